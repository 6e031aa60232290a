"""What a person does on the dashboard: it is said before, done once, on record by name, and only with the right."""

import html
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from asked import Reply
from jobs import SENSORS, Job
from test_dashboard import SAME, Browser

import rowcast
from rowcast.store.alert_record import Alert
from rowcast.store.reading.leading_rows import count_set_aside

pytest_plugins = ("job_fixtures",)

HOME = "/dashboard/jobs/wafers"
NAMES = {"read": "ines", "operate": "mia"}
TROUBLE = Alert(
    job="wafers",
    topic="run",
    title="infer failed",
    what="the disk is full",
    severity="error",
    since=datetime(2026, 5, 1, tzinfo=UTC),
    hint="make room",
    command="rowcast runs",
    dedup_key="full",
)


def acted_on(make: Callable[..., Job]) -> Job:
    """A job with two versions, two wafers set aside by one rule, and an alert that stands."""
    job = make("sqlite", "trained")
    job.ok("infer")
    job.ok("retrain")
    job.sql(
        f"UPDATE wafers SET {SENSORS[0]} = 1e308 WHERE wafer IN (SELECT wafer FROM wafers ORDER BY wafer DESC LIMIT 2)"
    )
    job.ok("infer", "--rescore")
    opened = rowcast.open(job.folder / "rowcast.toml")
    champion = opened.champion().version.version
    if champion == 1:
        opened.promote(2)
    with opened.connection() as found:
        found.alerts.write([TROUBLE], ["run"])
    return job


class Person(Browser):
    """Somebody who is logged in, and confirms what a page asks."""

    key = ""

    def post(self, path: str, fields: dict[str, str], **headers: str) -> Reply:
        sent = {"cookie": self.cookie, "content-type": "application/x-www-form-urlencoded", **SAME, **headers}
        return self.asked.ask("POST", path, urlencode(fields).encode(), sent)

    def form(self, path: str) -> tuple[str, dict[str, str]]:
        """Open a page that asks, and return where its form leads and what it holds: one tab of a browser."""
        page = self.page(f"{HOME}/{path}")
        shown = page[page.index('class="confirm"') - 400 :]
        [action] = re.findall(r'<form method="post" action="([^"]+)" class="confirm"', page)
        held = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', shown)
        return html.unescape(action), {name: html.unescape(value) for name, value in held}

    def confirm(self, form: tuple[str, dict[str, str]], words: str = "the tool was serviced") -> Reply:
        where, fields = form
        return self.post(where, {**fields, "words": words})

    def follow(self, reply: Reply) -> str:
        """Wait until an act has ended, and return its page."""
        assert reply.status == 303, reply.body
        where = reply.headers["location"]
        work = self.works[int(where.rpartition("/")[2])]
        assert work.ended.wait(120)
        return self.page(where)

    @property
    def works(self) -> dict:  # type: ignore[type-arg]
        pages = self.asked.application._pages
        return pages._acting.background._works  # type: ignore[union-attr]


@pytest.fixture
def job(prepared: Callable[..., Job]) -> Job:
    return prepared(acted_on)


@pytest.fixture
def people(job: Job) -> Iterator[dict[str, Person]]:
    """Two people at one service: of one the key may read, of the other it may act as well."""
    opened = rowcast.open(job.folder / "rowcast.toml")
    keys = {scope: opened.create_key(name, scope=scope) for scope, name in NAMES.items()}
    mia, ines = Person(job), Person(job)
    ines.asked.close()
    ines.asked = mia.asked
    mia.key = keys["operate"]
    mia.log_in(mia.key)
    ines.log_in(keys["read"])
    yield {"operate": mia, "read": ines}
    mia.asked.close()


@pytest.fixture
def mia(people: dict[str, Person]) -> Person:
    return people["operate"]


def acts(job: Job) -> dict[str, str]:
    """The page of each act."""
    opened = rowcast.open(job.folder / "rowcast.toml")
    [alert] = opened.alerts()
    with opened.connection() as found:
        [broken] = [each for each in count_set_aside(found.store, found.own) if each.rows == 2]
    broke = urlencode({"about": f"{broken.column}: {broken.rule}"})
    return {
        "promote": "act/promote?about=1",
        "rollback": "act/rollback",
        "requeue": f"act/requeue?{broke}",
        "acknowledge": f"act/acknowledge?about={alert.alert_id}",
        "run": "act/run?about=infer",
    }


def state(job: Job) -> tuple[object, ...]:
    """All that an act could change."""
    opened = rowcast.open(job.folder / "rowcast.toml")
    decisions = [(made.version, made.outcome, made.decided_by, made.reason) for made in opened.decisions()]
    runs = [(run.run_id, run.options.by) for run in opened.runs()]
    noted = [alert.acknowledged for alert in opened.alerts()]
    return decisions, runs, noted, opened.status().rows.quarantined


KINDS = ["promote", "rollback", "requeue", "acknowledge", "run"]


@pytest.mark.parametrize("kind", KINDS)
def test_whoever_may_only_read_neither_sees_nor_does_it(job: Job, people: dict[str, Person], kind: str) -> None:
    ines, mia, path = people["read"], people["operate"], acts(job)[kind]
    link = f'href="{HOME}/act/{kind}'
    assert link in mia.page(HOME)
    assert link not in ines.page(HOME)
    before = state(job)
    assert ines.get(f"{HOME}/{path}").status == 403
    where, fields = mia.form(path)
    assert ines.post(where, {**fields, "words": "why not"}).status == 403
    assert ines.post(where, {}).status == 403
    assert state(job) == before


@pytest.mark.parametrize("kind", KINDS)
def test_after_the_session_has_ended_nothing_is_done_and_a_login_leads_back_to_the_question(
    job: Job, mia: Person, kind: str
) -> None:
    form = mia.form(acts(job)[kind])
    mia.post("/dashboard/logout", {})
    before = state(job)
    reply = mia.confirm(form)
    assert reply.status == 303
    login = reply.headers["location"]
    assert login.startswith("/dashboard/login?next=")
    [(_, back)] = parse_qsl(login.partition("?")[2])
    assert back == form[0]
    assert state(job) == before
    assert mia.log_in(mia.key, quote(back, safe="")).headers["location"] == back
    mia.form(back.removeprefix(f"{HOME}/"))


@pytest.mark.parametrize("kind", KINDS)
def test_another_session_s_form_a_foreign_site_s_and_one_without_a_token_do_nothing(
    job: Job, mia: Person, kind: str
) -> None:
    where, fields = mia.form(acts(job)[kind])
    before = state(job)
    for changed in ({"token": "0" * 64}, {"token": ""}):
        reply = mia.post(where, {**fields, **changed, "words": "why"})
        assert (reply.status, b"confirm again" in reply.body) == (403, True)
    assert mia.post(where, {"words": "why"}).status == 403
    assert mia.post(where, {**fields, "words": "why"}, origin="http://evil.example").status == 403
    assert state(job) == before


@pytest.mark.parametrize("kind", ["promote", "rollback", "acknowledge"])
def test_words_for_the_record_are_asked_for(job: Job, mia: Person, kind: str) -> None:
    before = state(job)
    reply = mia.confirm(mia.form(acts(job)[kind]), "  ")
    assert (reply.status, b"Say why" in reply.body) == (422, True)
    assert state(job) == before


@pytest.mark.parametrize(("kind", "outcome"), [("promote", "promoted"), ("rollback", "promoted")])
def test_a_version_is_put_in_service_once_by_name_with_the_reason(
    job: Job, mia: Person, kind: str, outcome: str
) -> None:
    path = acts(job)[kind]
    page = mia.page(f"{HOME}/{path}")
    assert "v1 will be the champion, in place of v2." in page
    assert "Rows without a score that v2 could learn from are pending where v1 could not" in page
    first, second = mia.form(path), mia.form(path)
    assert "v1 is the champion." in mia.follow(mia.confirm(first))
    made = rowcast.open(job.folder / "rowcast.toml").decisions()[0]
    assert (made.version, made.outcome, made.decided_by, made.reason) == (1, outcome, "mia", "the tool was serviced")
    before = state(job)
    again = mia.confirm(second)
    assert b"v1 is the champion, put in service by mia" in again.body
    assert b"Nothing was done a second time." in again.body
    assert state(job) == before
    assert "the tool was serviced" in mia.page(HOME)


def test_what_has_changed_since_the_person_looked_is_asked_anew(job: Job, mia: Person) -> None:
    assert "v2 is the champion, put in service" in mia.page(f"{HOME}/act/promote?about=2")  # nothing to confirm
    form = mia.form("act/promote?about=1")
    job.ok("retrain")
    rowcast.open(job.folder / "rowcast.toml").promote(3)
    before = state(job)
    reply = mia.confirm(form)
    assert (reply.status, b"It has changed since you looked" in reply.body) == (409, True)
    assert b"in place of v3" in reply.body
    assert state(job) == before


def test_rows_are_requeued_once_by_their_reason(job: Job, mia: Person) -> None:
    path = acts(job)["requeue"]
    assert "2 quarantined rows that broke" in mia.page(f"{HOME}/{path}")
    first, second = mia.form(path), mia.form(path)
    page = mia.follow(mia.confirm(first))
    assert "The rows are pending again" in page
    opened = rowcast.open(job.folder / "rowcast.toml")
    assert opened.status().rows.pending == 2
    [run] = opened.runs(1)
    assert (run.pipeline, run.status, run.options.by) == ("requeue", "done", "mia")
    assert f'href="{HOME}/runs/{run.run_id}"' in page
    assert "for mia" in mia.page(f"{HOME}/runs/{run.run_id}")
    with opened.connection() as found:
        assert found.ledger.measure_progress(run.run_id) == (0, 2)
    before = state(job)
    assert b"rows were last requeued by mia" in mia.confirm(second).body
    assert state(job) == before


def test_a_run_is_started_once_and_followed_in_the_background(job: Job, mia: Person) -> None:
    first, second, third = (mia.form(acts(job)["run"]) for _ in range(3))
    begun = mia.confirm(first)
    page = mia.get(begun.headers["location"])
    if "refresh" in page.headers:  # it has not ended yet
        assert b"under way" in page.body
        assert "refresh" not in mia.get(f"{begun.headers['location']}?still=1").headers
        assert mia.confirm(second).headers["location"] == begun.headers["location"]
    page = mia.follow(begun)
    [run] = rowcast.open(job.folder / "rowcast.toml").runs(1)
    assert (run.pipeline, run.status, run.options.by) == ("infer", "done", "mia")
    assert f'href="{HOME}/runs/{run.run_id}"' in page
    assert "inference (score): done" in page
    before = state(job)
    again = mia.confirm(third)
    assert b"A run of the same kind began since you looked by mia" in again.body
    assert f"runs/{run.run_id}".encode() in again.body
    assert state(job) == before


def test_a_run_that_cannot_begin_says_why(job: Job, mia: Person) -> None:
    form = mia.form(acts(job)["run"])
    job.configure({"source": {"label": "nowhere"}})
    page = mia.follow(mia.confirm(form))
    assert "failed" in page
    assert "nowhere" in page
    assert "Traceback" not in page


def test_an_alert_is_acknowledged_once_and_its_note_is_text(job: Job, mia: Person) -> None:
    evil = "<script>alert(1)</script> the disk is being replaced"
    first, second = (mia.form(acts(job)["acknowledge"]) for _ in range(2))
    assert "bad" in mia.page("/dashboard")
    assert "Your note stands beside the alert." in mia.follow(mia.confirm(first, evil))
    opened = rowcast.open(job.folder / "rowcast.toml")
    [alert] = opened.alerts()
    assert alert.acknowledged is not None
    assert (alert.acknowledged.by, alert.acknowledged.note) == ("mia", evil)
    page = mia.page(HOME)
    assert html.escape(evil) in page
    assert "<script>" not in page
    assert f'href="{HOME}/act/acknowledge' not in page
    assert "acknowledged by mia" in opened.status().needs_a_person[0]
    assert b"It was acknowledged by mia" in mia.confirm(second, "me too").body
    assert opened.alerts()[0].acknowledged == alert.acknowledged


def test_what_is_over_or_was_never_there_cannot_be_done(job: Job, mia: Person) -> None:
    form = mia.form(acts(job)["acknowledge"])
    with rowcast.open(job.folder / "rowcast.toml").connection() as found:
        found.alerts.write([], ["run"])
    assert mia.confirm(form).status == 404
    for path in ("promote?about=99", "promote", "acknowledge?about=x", "requeue?about=no: rule", "run?about=all", "no"):
        assert mia.get(f"{HOME}/act/{path.replace(' ', '%20')}").status in (400, 404), path
    assert mia.get(f"{HOME}/acts/99").status == 404
    assert mia.post(f"{HOME}/runs/1", {}).status == 405


def test_without_keys_nobody_has_a_name_and_nothing_can_be_done(job: Job) -> None:
    anybody = Person(job)
    page = anybody.page(HOME)
    assert "/act/" not in page
    reply = anybody.get(f"{HOME}/act/run")
    assert (reply.status, b"acting needs a name" in reply.body) == (403, True)
    assert anybody.post(f"{HOME}/act/run", {"seen": "0", "token": ""}).status == 403
    anybody.asked.close()
