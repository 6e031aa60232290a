"""The ASGI callable: finds the route, lets the guard admit, and turns whatever goes wrong into an answer."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import structlog

from rowcast.errors import RowcastError, describe
from rowcast.serve.about_routes import AboutRoutes, State, require_version
from rowcast.serve.guard import Guard, Scope
from rowcast.serve.http import Message, Receive, Request, Response, Send, as_json, refuse, respond
from rowcast.serve.limits import Gate, Limits
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


class Application:
    """The service of one or more jobs."""

    def __init__(
        self,
        jobs: Sequence[ServedJob],
        guard: Guard | None = None,
        limits: Limits | None = None,
        platform: Sequence[PlatformRoutes] = (PlatformRoutes(),),
    ) -> None:
        self.jobs = {job.name: job for job in jobs}
        self.guard = guard or Guard()
        self.gate = Gate(limits or Limits())
        self.state = State()
        self.about = AboutRoutes(jobs, self.state)
        self.scoring = ScoringRoutes(self.gate)
        self._fixed = self._list_fixed(platform)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"the service speaks HTTP, not {scope['type']}")
        begun = time.perf_counter()
        request, route = None, None
        try:
            request = Request.of(scope, receive)
            route = self._find(request)
            response = await self._handle(route, request)
        except Refusal as refusal:
            response = refuse(refusal)
        except RowcastError as error:
            response = as_json({"error": error.what, "hint": error.hint}, 503)
        except Exception as error:
            log.error("a request failed", route=route and route.name, error=describe(error, details=False))
            log.debug("where it failed", exc_info=True)
            response = as_json({"error": "a fault in rowcast itself", "hint": "the service's log says more"}, 500)
        await respond(send, response)
        del begun

    async def _handle(self, route: Route, request: Request) -> Response:
        request.job = "" if route.job is None else route.job.name
        self.guard.admit(request, route.scope)
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
            Route("/v2", Scope.READ, _reading(about.server)),
            Route("/jobs", Scope.READ, _reading(about.index)),
        ]
        for of in platform:
            routes.append(Route(of.health, Scope.HEALTH, _reading(about.ready)))
            if len(self.jobs) == 1:
                [job] = self.jobs.values()
                handlers = {"POST": partial(self.scoring.invoke, job)}
                routes.append(Route(of.predict, Scope.SCORE, handlers, job))
        return {route.name: route for route in routes}

    def _find(self, request: Request) -> Route:
        found = self._fixed.get(request.path)
        if found is not None:
            return found
        parts = request.path.split("/")[1:]
        if parts[:2] == ["v2", "models"] and len(parts) > 2:
            return self._find_model(parts[2], parts[3:])
        if parts[:1] == ["jobs"] and len(parts) == 3 and parts[2] == "score":
            job = self._job(parts[1])
            return Route("/jobs/{job}/score", Scope.SCORE, {"POST": partial(self.scoring.invoke, job)}, job)
        # Who may not know what there is learns nothing from this: the guard is asked first.
        return Route("unknown", Scope.SCORE, _every(_not_found))

    def _find_model(self, name: str, rest: Sequence[str]) -> Route:
        job, version = self._job(name), None
        if rest[:1] == ["versions"] and len(rest) > 1:
            version, rest = rest[1], rest[2:]
        checked = _checked(job, version)
        match list(rest):
            case []:
                return Route(_MODEL, Scope.READ, _reading(checked(partial(self.about.model, job))), job)
            case ["ready"]:
                return Route(f"{_MODEL}/ready", Scope.READ, _reading(checked(partial(self.about.job_ready, job))), job)
            case ["infer"]:
                handlers = {"POST": checked(partial(self.scoring.infer, job))}
                return Route(f"{_MODEL}/infer", Scope.SCORE, handlers, job)
        return Route("unknown", Scope.SCORE, _every(_not_found))

    def _job(self, name: str) -> ServedJob:
        found = self.jobs.get(name)
        if found is None:
            raise Refusal(404, "there is no such job here", hint="GET /jobs lists them")
        return found

    def close(self) -> None:
        """Let go of what requests are scored with."""
        self.gate.close()


_MODEL = "/v2/models/{job}"


def _reading(handler: Handler) -> dict[str, Handler]:
    return {"GET": handler, "HEAD": handler}


def _every(handler: Handler) -> dict[str, Handler]:
    return dict.fromkeys(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"), handler)


async def _not_found(_request: Request) -> Response:
    raise Refusal(404, "there is no such path here", hint="GET /openapi.json lists them")


def _checked(job: ServedJob, version: str | None) -> Callable[[Handler], Handler]:
    def check(handler: Handler) -> Handler:
        if version is None:
            return handler

        async def checked(request: Request) -> Response:
            require_version(job, version)
            return await handler(request)

        return checked

    return check
