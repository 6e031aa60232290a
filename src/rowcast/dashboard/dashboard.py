"""The dashboard's requests: who may see which page, and what is read for it."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, quote

import structlog

from rowcast.card.html import content as card_content
from rowcast.charts_report import ChartsReport
from rowcast.dashboard import looks
from rowcast.dashboard.frame import ROOT, Viewer, link, page, style
from rowcast.dashboard.job_page import job_page
from rowcast.dashboard.kept import SECONDS, Kept
from rowcast.dashboard.looks import Look, look_at
from rowcast.dashboard.overview_page import Unread, overview_page
from rowcast.dashboard.plain_pages import login_page, problem_page
from rowcast.dashboard.row_page import row_page
from rowcast.dashboard.run_page import charts_page, drift_page, run_page
from rowcast.dashboard.sessions import HOURS, Sessions
from rowcast.errors import DatabaseError, ModelError, RowcastError, RunError, UsageError, as_rowcast_error
from rowcast.serve.guard import Guard, Scope
from rowcast.serve.http import Header, Request, Response, read_body
from rowcast.serve.refusal import Refusal
from rowcast.serve.served_job import ServedJob

log = structlog.get_logger("rowcast")

COOKIE = "rowcast_session"
_HTML, _CSS = b"text/html; charset=utf-8", b"text/css; charset=utf-8"
_POLICY = (
    b"default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; "
    b"frame-ancestors 'none'"
)
_SAFE: Sequence[Header] = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
)
_KEPT_NOWHERE: Header = (b"cache-control", b"no-store")
_STATUSES = {UsageError: 400, RunError: 404, ModelError: 404}  # all else is the store's or the source's trouble
_LONGEST = 8192  # bytes of a form
_AWAY = "the service's log says more; the page comes back once the database does"


class Dashboard:
    """The pages of one or more jobs; `is_alone` where nothing is scored beside them."""

    def __init__(
        self, jobs: Sequence[ServedJob], *, is_alone: bool = False, is_secure: bool = False, seconds: float = SECONDS
    ) -> None:
        self.is_alone = is_alone
        self._is_secure = is_secure  # whether browsers come by TLS
        self._jobs = {job.name: job for job in jobs}
        self._sessions = Sessions()
        self._kept = Kept(seconds)
        self._readers = ThreadPoolExecutor(2, "dashboard")

    def close(self) -> None:
        """Let go of the threads that read."""
        self._readers.shutdown(wait=False, cancel_futures=True)

    async def answer(self, request: Request, guard: Guard) -> Response:
        """Return a page, or why there is none."""
        viewer = self._recognise(request)
        try:
            return await self._route(request, guard, viewer)
        except Refusal as refusal:
            if refusal.status == 401 and request.method in ("GET", "HEAD"):
                return _redirect(f"{ROOT}/login?next={quote(_come_back(request), safe='')}")
            headings = {403: "Not allowed", 404: "Not found", 429: "Too many requests"}
            heading = headings.get(refusal.status, "That did not work")
            text = problem_page(heading, f"{refusal.what}.", refusal.hint, viewer)
            return _html(text, refusal.status, refusal.headers)
        except RowcastError as error:
            what, hint = _describe(error)
            status = next((found for kind, found in _STATUSES.items() if isinstance(error, kind)), 503)
            heading = "Not found" if status == 404 else "This cannot be read"
            return _html(problem_page(heading, what, hint, viewer), status)

    async def _route(self, request: Request, guard: Guard, viewer: Viewer) -> Response:
        match request.method, request.path.rstrip("/"):
            case (("GET" | "HEAD"), "/dashboard/style.css"):
                return Response(200, style().encode(), _CSS, [*_SAFE, (b"cache-control", b"max-age=300")])
            case (("GET" | "HEAD"), ""):
                return _redirect(ROOT)
            case (("GET" | "HEAD"), "/dashboard/login"):
                return _html(login_page(_safe_next(_query(request).get("next", [""])[0])))
            case "POST", "/dashboard/login":
                return await self._log_in(request, guard)
            case "POST", "/dashboard/logout":
                return self._log_out(request)
            case (("GET" | "HEAD"), _):
                return await self._show(request, guard, viewer)
        raise Refusal(405, f"{request.method[:20]} is not allowed here", headers=[(b"allow", b"GET, HEAD")])

    async def _show(self, request: Request, guard: Guard, viewer: Viewer) -> Response:
        seen = {job.name: job for job in guard.admit(request, Scope.READ, list(self._jobs.values()))}
        viewer = Viewer(request.key, viewer.has_session)
        if request.path.rstrip("/") == ROOT:
            return _html(await self._read(partial(self._overview, list(seen.values()), viewer)))
        name, rest = self._split(request.path)
        if name is None:
            raise Refusal(404, "there is no such page")
        if name not in seen:
            guard.admit(request, Scope.READ, [self._jobs[name]])  # which refuses
        make = self._find(self._jobs[name], rest, _query(request), viewer)
        if make is None:
            raise Refusal(404, "there is no such page", hint=f"{link(name)} is the job's page")
        return _html(await self._read(make))

    def _split(self, path: str) -> tuple[str | None, list[str]]:
        """The job of a path and what comes after; a job's name has no slash in it."""
        parts = path.removeprefix(f"{ROOT}/jobs/").rstrip("/").split("/")
        is_there = path.startswith(f"{ROOT}/jobs/") and parts[0] in self._jobs
        return (parts[0], parts[1:]) if is_there else (None, [])

    def _find(
        self, job: ServedJob, rest: Sequence[str], query: dict[str, list[str]], viewer: Viewer
    ) -> Callable[[], str] | None:
        settings, kept = job.settings, self._kept
        match list(rest):
            case []:
                return lambda: job_page(self._look(job), self._charts(job) if settings.source.time else None, viewer)
            case ["charts"]:
                return lambda: charts_page(self._charts(job, tuple(query.get("column", ()))), viewer)
            case ["drift"]:
                find = partial(looks.look_at_drift, settings)
                return lambda: drift_page(kept.get((job.name, "drift"), find), viewer)
            case ["row"]:
                key = tuple(each.strip() for each in query.get("key", ()))
                return lambda: row_page(looks.look_at_row(settings, key), viewer)
            case ["runs", number] if number.isdecimal() and len(number) < 18:
                return lambda: run_page(looks.look_at_run(settings, int(number)), viewer)
            case ["versions", number] if number.isdecimal() and len(number) < 9:
                return lambda: _version_page(job, int(number), viewer)
        return None

    def _look(self, job: ServedJob) -> Look:
        return self._kept.get((job.name, "look"), partial(look_at, job.settings))

    def _charts(self, job: ServedJob, columns: tuple[str, ...] = ()) -> ChartsReport:
        read = partial(looks.look_at_charts, job.settings, columns)
        return self._kept.get((job.name, "charts", columns), read)

    def _overview(self, jobs: Sequence[ServedJob], viewer: Viewer) -> str:
        found: list[Look] = []
        unread: list[Unread] = []
        for job in jobs:
            try:
                found.append(self._look(job))
            except Exception as error:  # one job's trouble does not hide the others
                unread.append(Unread(job.name, *_describe(as_rowcast_error(error))))
        return overview_page(found, unread, viewer)

    async def _read(self, make: Callable[[], str]) -> str:
        def known() -> str:
            try:
                return make()
            except RowcastError:
                raise
            except Exception as error:
                found = as_rowcast_error(error)
                if found is error:
                    raise
                raise found from error

        return await asyncio.get_running_loop().run_in_executor(self._readers, known)

    def _recognise(self, request: Request) -> Viewer:
        """Put the key of a session where the guard looks for it."""
        token = _token(request)
        key = None if token is None else self._sessions.find_key(token)
        if key is None or b"x-api-key" in request.headers or b"authorization" in request.headers:
            return Viewer()
        request.headers[b"x-api-key"] = key.encode("latin-1")
        return Viewer(has_session=True)

    async def _log_in(self, request: Request, guard: Guard) -> Response:
        _require_own_origin(request)
        wait = self._sessions.seconds_to_wait(request.client)
        if wait:
            retry = b"%d" % (int(wait) + 1)
            raise Refusal(429, "too many logins have failed", hint="try again in a minute",
                          headers=[(b"retry-after", retry)])  # fmt: skip
        body = await read_body(request, _LONGEST, 10, lambda _: None)
        form = parse_qs(body.decode("utf-8", "replace"), max_num_fields=5)
        key, after = form.get("key", [""])[0].strip(), _safe_next(form.get("next", [""])[0])
        try:
            request.headers.pop(b"authorization", None)
            request.headers[b"x-api-key"] = key.encode("latin-1", "replace")
            guard.admit(request, Scope.READ, list(self._jobs.values()))
        except Refusal as refusal:
            self._sessions.note_failure(request.client)
            log.warning("a login failed", client=request.client, status=refusal.status)
            return _html(login_page(after, f"{refusal.what}."), refusal.status)
        log.info("logged in", key=request.key, client=request.client)
        return _redirect(after, [self._cookie(request, self._sessions.begin(key), int(HOURS * 3600))])

    def _log_out(self, request: Request) -> Response:
        _require_own_origin(request)
        token = _token(request)
        if token is not None:
            self._sessions.end(token)
        return _redirect(f"{ROOT}/login", [self._cookie(request, "", 0)])

    def _cookie(self, request: Request, token: str, seconds: int) -> Header:
        is_secure = self._is_secure or request.headers.get(b"x-forwarded-proto") == b"https"
        secure = "; Secure" if is_secure else ""
        text = f"{COOKIE}={token}; Path={ROOT}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
        return b"set-cookie", text.encode()


def _version_page(job: ServedJob, version: int, viewer: Viewer) -> str:
    card = looks.look_at_version(job.settings, version)
    crumbs = [(job.name, link(job.name)), (f"v{version}", None)]
    return page(f"v{version}, {job.name}", viewer, *card_content(card), crumbs=crumbs)


def _html(text: str, status: int = 200, headers: Sequence[Header] = ()) -> Response:
    return Response(status, text.encode(), _HTML, [*_SAFE, _KEPT_NOWHERE, *headers])


def _redirect(where: str, headers: Sequence[Header] = ()) -> Response:
    return Response(303, b"", _HTML, [(b"location", where.encode()), *_SAFE, _KEPT_NOWHERE, *headers])


def _describe(error: RowcastError) -> tuple[str, str]:
    """What is wrong, as a browser may read it: errors of databases name servers and files."""
    if isinstance(error, DatabaseError):
        log.warning("a page could not be read", error=error)
        return "The database does not answer as it should.", _AWAY
    return f"{error.what[:1].upper()}{error.what[1:]}.", error.hint


def _query(request: Request) -> dict[str, list[str]]:
    try:
        return parse_qs(request.query.decode("ascii"), keep_blank_values=True, max_num_fields=50)
    except ValueError:
        raise Refusal(400, "the query cannot be read") from None


def _token(request: Request) -> str | None:
    try:
        found = SimpleCookie(request.headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value


def _come_back(request: Request) -> str:
    query = f"?{request.query.decode('latin-1')}" if request.query else ""
    return quote(request.path, safe="/") + query


def _safe_next(where: str) -> str:
    """Where a login leads: to a page of the dashboard, and nowhere else."""
    is_own = where == ROOT or where.startswith((f"{ROOT}/", f"{ROOT}?"))
    is_plain = where.isascii() and where.isprintable() and "\\" not in where
    return where if is_own and is_plain and not where.startswith(f"{ROOT}/log") else ROOT


def _require_own_origin(request: Request) -> None:
    """Raise Refusal, 403, for a form that another site sends."""
    origin, host = request.headers.get(b"origin"), request.headers.get(b"host", b"")
    if origin is not None and origin.partition(b"://")[2].lower() != host.lower():
        raise Refusal(403, "the form comes from another site")
    if request.headers.get(b"sec-fetch-site", b"same-origin") not in (b"same-origin", b"none"):
        raise Refusal(403, "the form comes from another site")
