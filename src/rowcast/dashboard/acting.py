"""Requests by which a person acts: the confirmation, the act itself, and the page that follows it."""

import hashlib
import hmac
import secrets
import threading
from collections import defaultdict
from collections.abc import Callable

import structlog

from rowcast.dashboard.act_page import confirm_page, done_page, work_page
from rowcast.dashboard.acts import Act, Kind, Outlook, find_begun, look_ahead
from rowcast.dashboard.background import Background, Work
from rowcast.dashboard.frame import Viewer, link
from rowcast.dashboard.looks import RunLook, find_run_of
from rowcast.dashboard.responses import RENEWED, as_html, read_query, redirect
from rowcast.row_places import RowPlaces
from rowcast.serve.http import Request, Response
from rowcast.serve.refusal import Refusal
from rowcast.serve.served_job import ServedJob

log = structlog.get_logger("rowcast")

_SHORT = 3.0  # seconds that an act may take without a page that follows it
_LONGEST = 1000  # letters of what a person says

CountWaiting = Callable[[ServedJob], RowPlaces | None]


class FormTokens:
    """What a form carries that only a page of this service could have put there, for whoever it was shown to."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)

    def make(self, who: str) -> str:
        """Return the token of a session, or of a person."""
        return hmac.new(self._secret, who.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


class Acting:
    """The acts of one service; `tell` is called with a job's name once something is done to it."""

    def __init__(self, tell: Callable[[str], None], count_waiting: CountWaiting) -> None:
        self.background = Background(tell)
        self._count_waiting = count_waiting
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def show(self, job: ServedJob, act: Act, viewer: Viewer, note: str = "", status: int = 200) -> Response:
        """Return the page that says what will happen. Raise RowcastError where it cannot be done."""
        return self._show(job, look_ahead(job.settings, act), viewer, note, status)

    def confirm(self, job: ServedJob, act: Act, viewer: Viewer, form: dict[str, str]) -> Response:
        """Do what a person has confirmed, unless it was done already or things have changed since they looked."""
        if not viewer.form_token or not hmac.compare_digest(form.get("token", "").encode(), viewer.form_token.encode()):
            return self.show(job, act, viewer, "You have logged in anew since that page was shown: confirm again.", 403)
        words = form.get("words", "")[:_LONGEST]
        with self._locks[job.name]:  # of two that confirm the same, the second finds it done
            work = self.background.find_under_way(job.name, act)
            if work is None:
                outlook = look_ahead(job.settings, act)
                answer = self._answer_at_once(job, outlook, viewer, form.get("seen", ""), words)
                if answer is not None:
                    return answer
                work = self.background.begin(job.settings, outlook.act, by=viewer.name, words=words)
                if not act.kind.takes_long:
                    work.ended.wait(_SHORT)
        job.wake()  # a version that was promoted is taken up at once
        return redirect(link(job.name, "acts", work.number))

    def follow(self, job: ServedJob, work: Work, viewer: Viewer, *, is_still: bool) -> Response:
        """Return the page that says what has become of an act."""
        run: RunLook | None = None
        if work.pid is not None:
            run = find_run_of(job.settings, work.pid, work.begun_at)
        renewed = [] if is_still or work.ended.is_set() else [RENEWED]
        return as_html(work_page(work, run, viewer, is_still=is_still), 200, renewed)

    def _show(self, job: ServedJob, outlook: Outlook, viewer: Viewer, note: str, status: int) -> Response:
        waiting = self._count_waiting(job) if outlook.act.kind is Kind.RUN else None
        return as_html(confirm_page(job.name, outlook, viewer, waiting, note), status)

    def _answer_at_once(
        self, job: ServedJob, outlook: Outlook, viewer: Viewer, seen: str, words: str
    ) -> Response | None:
        act, done, is_new = outlook.act, outlook.done, outlook.seen != seen
        if act.kind is Kind.RUN and is_new:
            done = find_begun(job.settings, outlook)
        if done is not None:
            return as_html(done_page(job.name, act, done, viewer))
        if is_new:
            return self._show(job, outlook, viewer, "It has changed since you looked: confirm again.", 409)
        if act.kind.needs_words and not words:
            return self._show(job, outlook, viewer, "Say why: it is kept on record.", 422)
        return None


def read_act(request: Request, kind: str) -> Act:
    """Return what a request is about. Raise Refusal where there is no such act."""
    about = read_query(request).get("about", [""])
    if kind not in list(Kind) or len(about) != 1 or len(about[0]) > _LONGEST:
        raise Refusal(404, "there is no such act")
    default = "full-pipeline" if kind == Kind.RUN else ""
    return Act(Kind(kind), about[0] or default)
