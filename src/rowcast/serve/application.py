"""The ASGI callable: finds the route, lets the guard admit, and turns whatever goes wrong into an answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias

import structlog

from rowcast.errors import RowcastError, describe
from rowcast.serve.about_routes import AboutRoutes, State, require_version
from rowcast.serve.figures import Figures
from rowcast.serve.guard import Guard, Scope
from rowcast.serve.http import Message, Receive, Request, Response, Send, as_json, refuse, respond
from rowcast.serve.limits import Gate, Limits
from rowcast.serve.observed import Observer
from rowcast.serve.openapi import describe_service
from rowcast.serve.refusal import Refusal
from rowcast.serve.scoring_routes import ScoringRoutes
from rowcast.serve.served_job import ServedJob

log = structlog.get_logger("rowcast")

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Route:
    """What one path does by each method, and the scope that it needs."""

    name: str  # the path as the log and the figures have it
    scope: Scope
    handlers: Mapping[str, Handler]
    job: ServedJob | None = None


@dataclass(frozen=True)
class PlatformRoutes:
    """Paths that a platform names."""

    health: str = "/ping"
    predict: str = "/invocations"


class Pages(Protocol):
    """Pages for people, which ask the guard themselves: a browser has a session in place of a key."""

    is_alone: bool  # whether there is nothing else to be had here

    async def answer(self, request: Request, guard: Guard) -> Response:
        """Return a page."""

    def close(self) -> None:
        """Let go of what pages are made with."""


class Application:
    """The service of one or more jobs."""

    def __init__(
        self,
        jobs: Sequence[ServedJob],
        guard: Guard | None = None,
        limits: Limits | None = None,
        observer: Observer | None = None,
        platform: Sequence[PlatformRoutes] = (PlatformRoutes(),),
        pages: Pages | None = None,
    ) -> None:
        self.jobs = {job.name: job for job in jobs}
        self.guard = guard or Guard()
        self.gate = Gate(limits or Limits())
        self.observer = observer or Observer()
        self.figures = Figures(jobs, self.observer, self.gate)
        self.state = State()
        self.about = AboutRoutes(jobs, self.state)
        self.scoring = ScoringRoutes(self.gate)
        self._platform = platform
        self._pages = pages
        self._fixed = self._list_fixed(platform)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"the service speaks HTTP, not {scope['type']}")
        begun = time.perf_counter()
        request, route = None, None
        try:
            request = Request.of(scope, receive, begun)
            route = self._find(request)
            response = await self._handle(route, request)
        except Refusal as refusal:
            response = refuse(refusal)
            if request is not None:
                request.rules = refusal.rules
        except RowcastError as error:
            response = as_json({"error": error.what, "hint": error.hint}, 503)
        except Exception as error:
            log.error("a request failed", route=route and route.name, error=describe(error, details=False))
            log.debug("where it failed", exc_info=True)
            response = as_json({"error": "a fault in rowcast itself", "hint": "the service's log says more"}, 500)
        await respond(send, response)
        name = "unknown" if route is None else route.name
        seconds = time.perf_counter() - begun
        self.observer.note(request, name, response.status, begun, seconds)
        spans = self.observer.spans
        if spans is not None and request is not None and route is not None and route.scope is Scope.SCORE:
            spans.note(request, name, response.status, seconds)

    async def _handle(self, route: Route, request: Request) -> Response:
        request.job = "" if route.job is None else route.job.name
        asked = list(self.jobs.values()) if route.job is None else [route.job]
        request.jobs = self.guard.admit(request, route.scope, asked)
        handler = route.handlers.get(request.method)
        if handler is None:
            allowed = ", ".join(route.handlers)
            raise Refusal(405, f"{request.method[:20]} is not allowed here", headers=[(b"allow", allowed.encode())])
        return await handler(request)

    def _list_fixed(self, platform: Sequence[PlatformRoutes]) -> dict[str, Route]:
        about = self.about
        routes = [
            Route("/v2/health/live", Scope.HEALTH, _reading(about.live)),
            Route("/v2/health/ready", Scope.HEALTH, _reading(about.ready)),
            Route("/v2", Scope.ANY, _reading(about.server)),
            Route("/jobs", Scope.READ, _reading(about.index)),
            Route("/metrics", Scope.READ, _reading(self._metrics)),
            Route("/openapi.json", Scope.ANY, _reading(self._openapi)),
        ]
        for of in platform:
            routes.append(Route(of.health, Scope.HEALTH, _reading(about.ready)))
            if len(self.jobs) == 1:
                [job] = self.jobs.values()
                handlers = {"POST": partial(self.scoring.invoke, job)}
                routes.append(Route(of.predict, Scope.SCORE, handlers, job))
        return {route.name: route for route in routes}

    async def _show(self, pages: Pages, request: Request) -> Response:
        return await pages.answer(request, self.guard)

    async def _openapi(self, request: Request) -> Response:
        predict = [of.predict for of in self._platform] if len(self.jobs) == 1 else []
        names = [job.name for job in request.jobs]
        return as_json(describe_service(names, [of.health for of in self._platform], predict))

    async def _metrics(self, request: Request) -> Response:
        text = await asyncio.get_running_loop().run_in_executor(None, self.figures.format, request.jobs)
        return Response(200, text.encode(), b"text/plain; version=0.0.4; charset=utf-8")

    def _find(self, request: Request) -> Route:
        """The route of a path. Of one that is not there, the guard is asked first: strangers learn nothing."""
        if self._pages is not None and (request.path == "/" or f"{request.path}/".startswith("/dashboard/")):
            return Route("/dashboard", Scope.HEALTH, _every(partial(self._show, self._pages)))
        found = self._fixed.get(request.path)
        is_alone = self._pages is not None and self._pages.is_alone
        if found is not None and (not is_alone or found.scope is Scope.HEALTH):
            return found
        if is_alone:
            return _NO_PATH
        parts = request.path.split("/")[1:]
        if parts[:2] == ["v2", "models"] and len(parts) > 2:
            return self._find_model(self.jobs.get(parts[2]), parts[3:])
        if parts[:1] == ["jobs"] and len(parts) == 3:
            return self._find_job(self.jobs.get(parts[1]), parts[2])
        return _NO_PATH

    def _find_job(self, job: ServedJob | None, what: str) -> Route:
        if job is None:
            return _NO_JOB
        if what == "score":
            return Route("/jobs/{job}/score", Scope.SCORE, {"POST": partial(self.scoring.invoke, job)}, job)
        if what == "example":
            return Route("/jobs/{job}/example", Scope.ANY, _reading(partial(self.about.example, job)), job)
        if what == "refresh":
            return Route("/jobs/{job}/refresh", Scope.OPERATE, {"POST": partial(self.about.refresh, job)}, job)
        return _NO_PATH

    def _find_model(self, job: ServedJob | None, rest: Sequence[str]) -> Route:
        if job is None:
            return _NO_JOB
        version = None
        if rest[:1] == ["versions"] and len(rest) > 1:
            version, rest = rest[1], rest[2:]
        checked = _checked(job, version)
        match list(rest):
            case []:
                return Route(_MODEL, Scope.ANY, _reading(checked(partial(self.about.model, job))), job)
            case ["ready"]:
                return Route(f"{_MODEL}/ready", Scope.ANY, _reading(checked(partial(self.about.job_ready, job))), job)
            case ["infer"]:
                handlers = {"POST": checked(partial(self.scoring.infer, job))}
                return Route(f"{_MODEL}/infer", Scope.SCORE, handlers, job)
        return _NO_PATH

    def close(self) -> None:
        """Let go of what requests are scored with."""
        self.gate.close()
        if self._pages is not None:
            self._pages.close()
        self.observer.close()


_MODEL = "/v2/models/{job}"


def _reading(handler: Handler) -> dict[str, Handler]:
    return {"GET": handler, "HEAD": handler}


def _every(handler: Handler) -> dict[str, Handler]:
    return dict.fromkeys(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"), handler)


async def _no_path(_request: Request) -> Response:
    raise Refusal(404, "there is no such path here", hint="GET /openapi.json lists them")


async def _no_job(_request: Request) -> Response:
    raise Refusal(404, "there is no such job here", hint="GET /jobs lists them")


_NO_PATH = Route("unknown", Scope.ANY, _every(_no_path))
_NO_JOB = Route("unknown", Scope.ANY, _every(_no_job))


def _checked(job: ServedJob, version: str | None) -> Callable[[Handler], Handler]:
    def check(handler: Handler) -> Handler:
        if version is None:
            return handler

        async def checked(request: Request) -> Response:
            require_version(job, version)
            return await handler(request)

        return checked

    return check
