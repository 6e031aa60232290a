"""The dashboard's requests: who may see which page, and what is read for it."""

import asyncio
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from http.cookies import CookieError, SimpleCookie
from typing import TypeVar
from urllib.parse import quote

import structlog

from rowcast.card.html import content as card_content
from rowcast.dashboard import looks
from rowcast.dashboard.acting import Acting, FormTokens, read_act
from rowcast.dashboard.audit_page import audit_page
from rowcast.dashboard.cache import SECONDS, BeingRead
from rowcast.dashboard.chart_page import AskedChart, chart_page
from rowcast.dashboard.column_page import column_page
from rowcast.dashboard.drift_page import drift_page
from rowcast.dashboard.frame import ROOT, Viewer, link, page, script, style
from rowcast.dashboard.job_page import job_page
from rowcast.dashboard.looks import Look, Parts
from rowcast.dashboard.overview_page import Unread, overview_page
from rowcast.dashboard.plain_pages import login_page, problem_page
from rowcast.dashboard.reading import Reading
from rowcast.dashboard.responses import CSS, RENEWED, SAFE, SCRIPT, as_html, name_page, read_form, read_query, redirect
from rowcast.dashboard.row_page import row_page
from rowcast.dashboard.run_page import charts_page, run_page
from rowcast.dashboard.sessions import HOURS, Sessions
from rowcast.errors import DatabaseError, ModelError, RowcastError, RunError, UsageError, as_rowcast_error
from rowcast.monitor import Numbers
from rowcast.row_places import RowPlaces
from rowcast.serve.guard import Guard, Scope
from rowcast.serve.http import Header, Request, Response
from rowcast.serve.refusal import Refusal
from rowcast.serve.request import Person
from rowcast.serve.served_job import ServedJob

log = structlog.get_logger("rowcast")

Result = TypeVar("Result")

COOKIE = "rowcast_session"
PATIENCE = 0.5  # seconds that a page waits for what takes long to read
_STATUSES = {UsageError: 400, RunError: 404, ModelError: 404}  # all else is the store's or the source's trouble
_AWAY = "the service's log says more; the page comes back once the database does"


class Dashboard:
    """The pages of one or more jobs; `is_alone` where nothing is scored beside them."""

    def __init__(
        self,
        jobs: Sequence[ServedJob],
        *,
        is_alone: bool = False,
        is_secure: bool = False,
        seconds: float = SECONDS,
        patience: float = PATIENCE,
        sessions: Sessions | None = None,
    ) -> None:
        self.is_alone = is_alone
        self._is_secure = is_secure  # whether browsers come by TLS
        self._jobs = {job.name: job for job in jobs}
        self._sessions = sessions or Sessions()
        self._tokens = FormTokens()
        self._reading = Reading(seconds, patience)
        self._acting = Acting(self._reading.forget, self._count_waiting)
        self._readers = ThreadPoolExecutor(2, "dashboard")

    def close(self) -> None:
        """Let go of the threads that read."""
        self._acting.background.close()
        self._reading.close()
        self._readers.shutdown(wait=False, cancel_futures=True)

    async def answer(self, request: Request, guard: Guard) -> Response:
        """Return a page, or why there is none."""
        viewer = self._recognise(request)
        try:
            return await self._route(request, guard, viewer)
        except Refusal as refusal:
            is_act = request.path.startswith(f"{ROOT}/jobs/")  # a form of a session that has ended: it is shown again
            if refusal.status == 401 and (is_act or request.method in ("GET", "HEAD")):
                return redirect(f"{ROOT}/login?next={quote(name_page(request), safe='')}")
            headings = {403: "Not allowed", 404: "Not found", 429: "Too many requests"}
            heading = headings.get(refusal.status, "That did not work")
            text = problem_page(heading, f"{refusal.what}.", refusal.hint, viewer)
            return as_html(text, refusal.status, refusal.headers)
        except RowcastError as error:
            what, hint = _describe(error)
            status = next((found for kind, found in _STATUSES.items() if isinstance(error, kind)), 503)
            heading = "Not found" if status == 404 else "This cannot be read"
            return as_html(problem_page(heading, what, hint, viewer), status)

    async def _route(self, request: Request, guard: Guard, viewer: Viewer) -> Response:
        match request.method, request.path.rstrip("/"):
            case (("GET" | "HEAD"), "/dashboard/style.css"):
                return Response(200, style().encode(), CSS, [*SAFE, (b"cache-control", b"max-age=300")])
            case (("GET" | "HEAD"), "/dashboard/local.js"):
                return Response(200, script().encode(), SCRIPT, [*SAFE, (b"cache-control", b"max-age=300")])
            case (("GET" | "HEAD"), ""):
                return redirect(ROOT)
            case (("GET" | "HEAD"), "/dashboard/login"):
                return as_html(login_page(_safe_next(read_query(request).get("next", [""])[0]), is_alone=self.is_alone))
            case "GET", path if path.startswith(f"{ROOT}/login/"):
                return self._use_link(request, path.rpartition("/")[2])
            case "POST", "/dashboard/login":
                return await self._log_in(request, guard)
            case "POST", "/dashboard/logout":
                return await self._log_out(request)
            case (("GET" | "HEAD"), _):
                return await self._show(request, guard, viewer)
            case "POST", path if path.startswith(f"{ROOT}/jobs/"):
                return await self._act(request, guard, viewer)
        raise Refusal(405, f"{request.method[:20]} is not allowed here", headers=[(b"allow", b"GET, HEAD")])

    async def _show(self, request: Request, guard: Guard, viewer: Viewer) -> Response:
        seen = {job.name: job for job in guard.admit(request, Scope.READ, list(self._jobs.values()))}
        viewer = self._name(request, viewer)
        if request.path.rstrip("/") == ROOT:
            is_owner = self.is_alone and request.person is not None  # who has the store at hand, whatever its keys
            return await self._read(partial(self._overview, list(seen.values()), viewer, with_others=is_owner))
        name, rest = self._split(request.path)
        if name is None:
            raise Refusal(404, "there is no such page")
        if name not in seen:
            guard.admit(request, Scope.READ, [self._jobs[name]])  # which refuses
        job = self._jobs[name]
        viewer = replace(viewer, may_act=guard.names(request, Scope.OPERATE, job))
        if rest[:1] in (["act"], ["acts"]):
            return await self._show_act(request, guard, job, rest, viewer)
        make = self._find(job, rest, read_query(request), viewer)
        if make is None:
            raise Refusal(404, "there is no such page", hint=f"{link(name)} is the job's page")
        return await self._read(make)

    async def _show_act(
        self, request: Request, guard: Guard, job: ServedJob, rest: Sequence[str], viewer: Viewer
    ) -> Response:
        match rest:
            case ["act", kind]:
                act = read_act(request, kind)
                _require_actor(request, guard, job)
                return await self._read(lambda: self._acting.show(job, act, viewer))
            case ["acts", number] if number.isdecimal() and len(number) < 9:
                work = self._acting.background.find(int(number), job.name)
                if work is not None:
                    is_still = "still" in read_query(request)
                    return await self._read(lambda: self._acting.follow(job, work, viewer, is_still=is_still))
        raise Refusal(404, "there is no such act", hint="the job's page has its runs and decisions on record")

    async def _act(self, request: Request, guard: Guard, viewer: Viewer) -> Response:
        form = await read_form(request)
        name, rest = self._split(request.path)
        if name is None or rest[:1] != ["act"] or len(rest) != 2:
            raise Refusal(405, f"{request.method[:20]} is not allowed here", headers=[(b"allow", b"GET, HEAD")])
        job, act = self._jobs[name], read_act(request, rest[1])
        guard.admit(request, Scope.OPERATE, [job])
        _require_actor(request, guard, job)
        viewer = replace(self._name(request, viewer), may_act=True)
        return await self._read(lambda: self._acting.confirm(job, act, viewer, form))

    def _split(self, path: str) -> tuple[str | None, list[str]]:
        """The job of a path and what comes after; a job's name has no slash in it."""
        parts = path.removeprefix(f"{ROOT}/jobs/").rstrip("/").split("/")
        is_there = path.startswith(f"{ROOT}/jobs/") and parts[0] in self._jobs
        return (parts[0], parts[1:]) if is_there else (None, [])

    def _find(
        self, job: ServedJob, rest: Sequence[str], query: dict[str, list[str]], viewer: Viewer
    ) -> Callable[[], Response] | None:
        settings = job.settings
        match list(rest):
            case []:
                return lambda: self._job_page(job, viewer)
            case ["audit"]:
                return lambda: self._audit_page(job, viewer)
            case ["charts"]:
                return lambda: self._charts_page(job, query, viewer)
            case ["chart"]:
                return lambda: self._chart_page(job, AskedChart.read(query), viewer)
            case ["drift"]:
                return lambda: self._drift_page(job, viewer)
            case ["column"]:
                name, value = query.get("name", [""])[0], _read_number(query.get("value", [""])[0])
                return lambda: self._column_page(job, name, viewer, value)
            case ["row"]:
                key = tuple(each.strip() for each in query.get("key", ()))
                return lambda: as_html(row_page(looks.look_at_row(settings, key), viewer))
            case ["runs", number] if number.isdecimal() and len(number) < 18:
                return lambda: as_html(run_page(looks.look_at_run(settings, int(number)), viewer))
            case ["versions", number] if number.isdecimal() and len(number) < 9:
                return lambda: as_html(_version_page(job, int(number), viewer))
        return None

    def _job_page(self, job: ServedJob, viewer: Viewer) -> Response:
        until = self._reading.wait_until()
        begun, look = self._reading.begin_all(job), self._reading.look(job)
        parts = self._reading.take(job, begun, until)
        return as_html(job_page(look, parts, viewer), 200, [] if parts.are_complete else [RENEWED])

    def _audit_page(self, job: ServedJob, viewer: Viewer) -> Response:
        found = self._reading.audit(job).take_by(self._reading.wait_until())
        return as_html(audit_page(job.name, found, viewer), 200, [RENEWED] if isinstance(found, BeingRead) else [])

    def _charts_page(self, job: ServedJob, query: dict[str, list[str]], viewer: Viewer) -> Response:
        found = self._reading.charts(job, tuple(query.get("column", ()))).take_by(self._reading.wait_until())
        text = charts_page(job.name, found, query, viewer)
        return as_html(text, 200, [RENEWED] if isinstance(found, BeingRead) else [])

    def _chart_page(self, job: ServedJob, asked: AskedChart, viewer: Viewer) -> Response:
        columns = (asked.what,) if asked.is_column else ()
        found = self._reading.charts(job, columns).take_by(self._reading.wait_until())
        text = chart_page(job.name, found, asked, viewer)
        return as_html(text, 200, [RENEWED] if isinstance(found, BeingRead) else [])

    def _column_page(self, job: ServedJob, name: str, viewer: Viewer, value: float | None) -> Response:
        until = self._reading.wait_until()
        drifting, found = self._reading.drift(job), self._reading.column(job, name)
        has_charts = job.settings.source.time is not None and isinstance(found.edges, Numbers)
        charted = self._reading.charts(job, (name,)) if has_charts else None
        drift, charts = drifting.take_by(until), None if charted is None else charted.take_by(until)
        text = column_page(found, drift, charts, viewer, value)
        return as_html(text, 200, [RENEWED] if isinstance(drift, BeingRead) or isinstance(charts, BeingRead) else [])

    def _drift_page(self, job: ServedJob, viewer: Viewer) -> Response:
        found = self._reading.drift(job).take_by(self._reading.wait_until())
        text = drift_page(job.name, found, viewer)
        return as_html(text, 200, [RENEWED] if isinstance(found, BeingRead) else [])

    def _count_waiting(self, job: ServedJob) -> RowPlaces | None:
        rows = self._reading.rows(job).take_by(self._reading.wait_until())
        return None if isinstance(rows, BeingRead) else rows

    def _overview(self, jobs: Sequence[ServedJob], viewer: Viewer, *, with_others: bool) -> Response:
        found: list[tuple[Look, Parts]] = []
        unread: list[Unread] = []
        begun, until = {job.name: self._reading.begin(job) for job in jobs}, self._reading.wait_until()
        for job in jobs:
            try:
                found.append((self._reading.look(job), self._reading.take(job, begun[job.name], until)))
            except Exception as error:  # one job's trouble does not hide the others
                unread.append(Unread(job.name, *_describe(as_rowcast_error(error))))
        read = [look.name for look, _ in found] if with_others else []
        others = [other for name in read for other in self._reading.others(self._jobs[name], list(self._jobs))]
        text = overview_page(found, unread, list({(each.name, each.source): each for each in others}.values()), viewer)
        return as_html(text, 200, [] if all(parts.are_complete for _, parts in found) else [RENEWED])

    async def _read(self, make: Callable[[], Result]) -> Result:
        def known() -> Result:
            try:
                return make()
            except RowcastError:
                raise
            except Exception as error:
                found = as_rowcast_error(error)
                log.error("a page could not be made", error=found)
                raise Refusal(500, found.what, hint=found.hint or "the service's log says more") from error

        return await asyncio.get_running_loop().run_in_executor(self._readers, known)

    def _recognise(self, request: Request) -> Viewer:
        """Put the key of a session where the guard looks for it."""
        sent = request.headers.get(b"x-api-key", request.headers.get(b"authorization"))
        if sent is not None:
            return Viewer(form_token=self._tokens.make(f"key {sent!r}"))
        token = _token(request)
        login = None if token is None else self._sessions.find(token)
        if token is None or login is None:
            return Viewer()
        if isinstance(login, Person):
            request.person = login
        else:
            request.headers[b"x-api-key"] = login.encode("latin-1")
        return Viewer(has_session=True, form_token=self._tokens.make(f"session {token}"))

    def _name(self, request: Request, viewer: Viewer) -> Viewer:
        """Whoever was admitted; a person whom a proxy names has no session, and forms all the same."""
        token = viewer.form_token or (self._tokens.make(f"person {request.key}") if request.key else "")
        return replace(viewer, name=request.key, form_token=token)

    async def _log_in(self, request: Request, guard: Guard) -> Response:
        form = await read_form(request)
        wait = self._sessions.seconds_to_wait(request.client)
        if wait:
            retry = b"%d" % (int(wait) + 1)
            raise Refusal(429, "too many logins have failed", hint="try again in a minute",
                          headers=[(b"retry-after", retry)])  # fmt: skip
        key, after = form.get("key", ""), _safe_next(form.get("next", ""))
        try:
            request.headers.pop(b"authorization", None)
            request.headers[b"x-api-key"] = key.encode("latin-1", "replace")
            guard.admit(request, Scope.READ, list(self._jobs.values()))
        except Refusal as refusal:
            self._sessions.note_failure(request.client)
            log.warning("a login failed", client=request.client, status=refusal.status)
            return as_html(login_page(after, f"{refusal.what}.", is_alone=self.is_alone), refusal.status)
        log.info("logged in", key=request.key, client=request.client)
        return redirect(after, [self._cookie(request, self._sessions.begin(key), int(HOURS * 3600))])

    def _use_link(self, request: Request, token: str) -> Response:
        person = self._sessions.use_link(token)
        if person is None:
            log.warning("a login link was not good", client=request.client)
            return as_html(login_page(ROOT, "This link has been used, or is too old.", is_alone=self.is_alone), 401)
        log.info("logged in", person=person.name, client=request.client)
        return redirect(ROOT, [self._cookie(request, self._sessions.begin(person), int(HOURS * 3600))])

    async def _log_out(self, request: Request) -> Response:
        await read_form(request)
        token = _token(request)
        if token is not None:
            self._sessions.end(token)
        return redirect(f"{ROOT}/login", [self._cookie(request, "", 0)])

    def _cookie(self, request: Request, token: str, seconds: int) -> Header:
        is_secure = self._is_secure or request.headers.get(b"x-forwarded-proto") == b"https"
        secure = "; Secure" if is_secure else ""
        text = f"{COOKIE}={token}; Path={ROOT}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"
        return b"set-cookie", text.encode()


def _require_actor(request: Request, guard: Guard, job: ServedJob) -> None:
    """Raise Refusal, 403, for whoever may not act, or has no name for the record."""
    if not guard.names(request, Scope.OPERATE, job):
        hint = "log in with a key of that scope: 'rowcast keys create NAME --scope operate'"
        raise Refusal(403, "acting needs a name, and the scope operate", hint=hint)


def _version_page(job: ServedJob, version: int, viewer: Viewer) -> str:
    card = looks.look_at_version(job.settings, version)
    crumbs = [(job.name, link(job.name)), (f"v{version}", None)]
    return page(f"v{version}, {job.name}", viewer, *card_content(card), crumbs=crumbs)


def _describe(error: RowcastError) -> tuple[str, str]:
    """What is wrong, as a browser may read it: errors of databases name servers and files."""
    if isinstance(error, DatabaseError):
        log.warning("a page could not be read", error=error)
        return "The database does not answer as it should.", _AWAY
    return f"{error.what[:1].upper()}{error.what[1:]}.", error.hint


def _read_number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _token(request: Request) -> str | None:
    try:
        found = SimpleCookie(request.headers.get(b"cookie", b"").decode("latin-1")).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value


def _safe_next(where: str) -> str:
    """Where a login leads: to a page of the dashboard, and nowhere else."""
    is_own = where == ROOT or where.startswith((f"{ROOT}/", f"{ROOT}?"))
    is_plain = where.isascii() and where.isprintable() and "\\" not in where
    return where if is_own and is_plain and not where.startswith(f"{ROOT}/log") else ROOT
