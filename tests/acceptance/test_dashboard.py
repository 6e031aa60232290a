"""The dashboard: what its pages say, who may see them, and what text from tables can do to them."""

import http.client
import json
import math
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import pytest
from asked import Asked, Reply
from jobs import LASTING, SENSORS, Job
from test_kinds import filled
from test_serve_stays_up import away

import rowcast
from rowcast.config import Settings, load
from rowcast.dashboard import looks
from rowcast.dashboard.column_look import find_quantile, find_share_below, look_at_column
from rowcast.dashboard.dashboard import COOKIE, Dashboard
from rowcast.dashboard.words import ODDS, describe_push
from rowcast.drift_report import DriftReport
from rowcast.formatting import number, percent
from rowcast.job.opening import open_job
from rowcast.monitor import Numbers
from rowcast.row_places import RowPlaces
from rowcast.serve.application import Application
from rowcast.serve.guard import Asks, Guard
from rowcast.serve.request import Person
from rowcast.store.alert_record import Alert
from rowcast.store.api_keys import KeyScope
from rowcast.store.records import DriftRecord

pytest_plugins = ("job_fixtures",)

LOCAL = {"src": "/dashboard/local.js", "defer": "defer"}  # times and numbers as the reader writes them
SAME = {"origin": "http://127.0.0.1:8080"}


class Browser:
    """Asks for pages, and keeps the cookie."""

    def __init__(self, *jobs: Job, is_alone: bool = False, **options: Any) -> None:
        self.asked = Asked(*jobs)
        self.asked.application.close()
        pages = Dashboard(self.asked.jobs, is_alone=is_alone, **{"seconds": 0.0, "patience": 60.0, **options})
        self.asked.application = Application(self.asked.jobs, pages=pages)
        self.cookie = ""

    def get(self, path: str, **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.asked.ask("GET", path, headers={**({"cookie": self.cookie} if self.cookie else {}), **named})

    def page(self, path: str) -> str:
        reply = self.get(path)
        assert reply.status == 200, reply.body
        return reply.body.decode()

    def log_in(self, key: str, after: str = "", **headers: str) -> Reply:
        form = f"key={key}&next={after}".encode()
        reply = self.asked.ask("POST", "/dashboard/login", form, {**SAME, **headers})
        if "set-cookie" in reply.headers:
            self.cookie = reply.headers["set-cookie"].partition(";")[0]
        return reply


class Outline(HTMLParser):
    """Elements of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def levels(self) -> list[int]:
        return [int(tag[1]) for tag, _ in self.tags if re.fullmatch("h[1-6]", tag)]

    def values(self, name: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(name))]


def scored(make: Callable[..., Job]) -> Job:
    """A job that has scored what waited, and set aside one wafer."""
    job = make("sqlite", "trained")
    job.ok("infer")
    return job


def scored_then(make: Callable[..., Job]) -> Job:
    """The same, as of the day after its newest wafer."""
    job = make("sqlite", "trained")
    [newest] = job.sql("SELECT DATE(MAX(measured_at), '+1 day') AS day FROM wafers")
    job.ok("infer", "--as-of", newest["day"])
    return job


@pytest.fixture
def browse() -> Iterator[Callable[..., Browser]]:
    made: list[Browser] = []

    def begin(*jobs: Job, **options: Any) -> Browser:
        made.append(Browser(*jobs, **options))
        return made[-1]

    yield begin
    for each in made:
        each.asked.close()


@pytest.fixture
def job(prepared: Callable[..., Job]) -> Job:
    return prepared(scored)


@pytest.fixture
def browser(job: Job, browse: Callable[..., Browser]) -> Browser:
    return browse(job)


def test_the_overview_names_each_job_and_what_needs_a_person_first(
    job: Job, plain: Job, browse: Callable[..., Browser]
) -> None:
    plain.configure(name="another")
    plain.call("status")
    page = browse(job, plain).page("/dashboard")
    assert "1 of 2 jobs to look at." in page
    assert page.index(">another</a>") < page.index(">wafers</a>")
    assert "nothing is scored yet" in page
    assert "all well" in page


def test_a_job_s_page_counts_its_rows_and_has_rows_with_reasons_decisions_and_runs(job: Job, browser: Browser) -> None:
    page = browser.page("/dashboard/jobs/wafers")
    rows = rowcast.open(job.folder / "rowcast.toml").status().rows
    for place in ("scored", "quarantined", "pending", "out of scope"):
        many = getattr(rows, place.replace(" ", "_"))
        assert re.search(rf"<td>{place}</td><td class=\"num\">{many:,}</td>", page)
    assert "promoted" in page
    assert page.count("/dashboard/jobs/wafers/row?key=") >= 10
    assert page.count('<ul class="reasons">') > 0
    assert 'href="/dashboard/jobs/wafers/runs/1"' in page
    assert "No row whose event lies in the 60 days to" in page  # the fab is of another year
    assert 'href="/dashboard/jobs/wafers/charts"' in page


def test_a_job_is_proven_when_somebody_asks_and_its_page_says_since_when(job: Job, browser: Browser) -> None:
    assert "has not been proven since the service began" in browser.page("/dashboard/jobs/wafers")
    proof = browser.page("/dashboard/jobs/wafers/audit")
    counted = rowcast.open(job.folder / "rowcast.toml").audit()
    assert f"{counted.source:,} source = " in proof
    assert f"{counted.scored:,} scored" in proof
    assert "it holds" in proof
    page = browser.page("/dashboard/jobs/wafers")
    assert "Every row of the source is in just one place: " in page
    assert "it holds" in page
    job.stored(f"DELETE FROM {job.table('wafers_prediction')}")
    assert "it does not hold" in browser.page("/dashboard/jobs/wafers/audit")
    assert "the audit does not hold" in browser.page("/dashboard")


def test_what_takes_long_is_said_to_be_read_and_the_page_renews_itself_until_it_is_there(
    job: Job, browse: Callable[..., Browser], monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on, real = threading.Event(), looks.count_rows

    def count_rows(settings: Settings) -> RowPlaces:
        may_go_on.wait()
        return real(settings)

    monkeypatch.setattr(looks, "count_rows", count_rows)
    browser = browse(job, seconds=3600.0, patience=0.0)
    for path in ("/dashboard", "/dashboard/jobs/wafers"):
        reply = browser.get(path)
        assert reply.headers["refresh"] == "2"
        assert b"Being read for " in reply.body
        assert b"v1" in reply.body  # what the store says is there at once
    may_go_on.set()
    for path in ("/dashboard", "/dashboard/jobs/wafers"):
        while "refresh" in (reply := browser.get(path)).headers:
            time.sleep(0.02)
        assert b"Being read for " not in reply.body


def scored_for_days(make: Callable[..., Job]) -> Job:
    """A job that has scored wafers of five days."""
    job = make("sqlite", "trained")
    later = "strftime('%Y-%m-%d %H:%M:%SZ', measured_at, ((wafer - 301) / 20) || ' days')"
    job.sql(f"UPDATE wafers SET measured_at = {later} WHERE failed IS NULL")
    [newest] = job.sql("SELECT DATE(MAX(measured_at), '+1 day') AS day FROM wafers")
    job.ok("infer", "--as-of", newest["day"])
    return job


def test_a_column_and_drift_are_shown_before_all_runs_were_looked_at(
    job: Job, browse: Callable[..., Browser], monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on, real = threading.Event(), looks.look_at_drift

    def look_at_drift(settings: Settings) -> DriftReport:
        may_go_on.wait()
        return real(settings)

    monkeypatch.setattr(looks, "look_at_drift", look_at_drift)
    browser = browse(job, seconds=3600.0, patience=0.0)
    paths = ("/dashboard/jobs/wafers/drift", f"/dashboard/jobs/wafers/column?name={SENSORS[0]}")
    for path in paths:
        reply = browser.get(path)
        assert (reply.status, reply.headers["refresh"]) == (200, "2")
        assert b"Being read for " in reply.body
    assert b"95 % lie below" in reply.body  # where the column's values lay and lie is there at once
    may_go_on.set()
    for path in paths:
        while "refresh" in (reply := browser.get(path)).headers:
            time.sleep(0.02)
        assert b"share missing" in reply.body


def test_a_chart_has_a_page_of_its_own_for_all_or_for_some_of_its_days(
    prepared: Callable[..., Job], browse: Callable[..., Browser]
) -> None:
    browser = browse(prepared(scored_for_days))
    path = re.search(r"/dashboard/jobs/wafers/chart\?column=s\d\d", browser.page("/dashboard/jobs/wafers/charts"))
    assert path

    def days(asked: str = "") -> list[str]:
        return re.findall(r"<tr><td>(\d{4}-\d\d-\d\d)</td>", browser.page(f"{path[0]}{asked}"))

    every = days()
    assert len(every) >= 5
    assert every == sorted(every, reverse=True)
    assert days(f"&days=1&until={every[0]}") == every[:1]
    assert days(f"&days=1&until={every[1]}") == every[1:2]
    assert days("&days=7") == every
    for is_there, until in ((True, every[1]), (False, "9999-01-01")):
        assert (">Later</a>" in browser.page(f"{path[0]}&days=1&until={until}")) == is_there
    for nonsense in ("days=0", "days=x", "days=99999", "until=2026-13-01", "until=9999-01-01"):
        assert days(f"&{nonsense}") == every
    assert browser.get(f"{path[0]}&group=nowhere").status == 404


def test_charts_of_the_newest_days_are_on_a_job_s_page(
    prepared: Callable[..., Job], browse: Callable[..., Browser]
) -> None:
    page = browse(prepared(scored_then)).page("/dashboard/jobs/wafers")
    assert re.search(r"\d of \d+ charts break a rule on their last day", page)
    assert 'aria-labelledby="chart-0-title chart-0-desc"' in page


def test_a_column_that_drifts_is_charted_and_the_job_s_page_leads_to_it(
    prepared: Callable[..., Job], browse: Callable[..., Browser]
) -> None:
    job = prepared(scored_then)
    browser = browse(job)
    charted = re.findall(r"<h3[^>]*>(s\d\d)", browser.page("/dashboard/jobs/wafers/charts"))
    other = next(name for name in SENSORS if name not in charted)
    with open_job(load(job.folder / "rowcast.toml")) as opened:
        [run] = opened.runs.newest(1)
        found = {"kind": "location", "column": other, "category": None, "unseen": [], "is_first": False}
        found |= {
            "since_run": run.run_id,
            "since": run.as_of.isoformat(),
            "was": 1.0,
            "now": 2.0,
            "change": 1.5,
            "size": 1.5,
        }
        opened.profiles.record_drift(
            1, [DriftRecord(run.run_id, run.run_id, 1, "started", run.as_of, 1.5, "it is higher", (found,))], 0
        )
    assert f'href="/dashboard/jobs/wafers/column?name={other}"><code>{other}</code>' in browser.page(
        "/dashboard/jobs/wafers"
    )
    found_now = re.findall(r"<h3[^>]*>(s\d\d)", browser.page("/dashboard/jobs/wafers/charts"))
    assert set(found_now) == {other, *charted}


def test_a_flagged_row_and_a_run_that_found_nothing_new_say_so(job: Job, browser: Browser) -> None:
    found = re.search(r"/dashboard/jobs/wafers/row\?key=[^\"]+", browser.page("/dashboard/jobs/wafers"))
    assert found
    assert '<span class="badge warn">flagged</span>' in browser.page(found[0])
    job.ok("infer")
    [newest] = [row["run_id"] for row in job.sql(f"SELECT MAX(run_id) AS run_id FROM {job.table('run')}")]
    assert "Nothing was new to score." in browser.page(f"/dashboard/jobs/wafers/runs/{newest}")
    assert "Nothing was new to score." not in browser.page(f"/dashboard/jobs/wafers/runs/{newest - 1}")


def test_rows_that_were_set_aside_are_counted_by_the_rule_that_they_broke(job: Job, browser: Browser) -> None:
    assert "Quarantined rows, by the rule they broke" not in browser.page("/dashboard/jobs/wafers")
    job.sql(
        f"UPDATE wafers SET {SENSORS[0]} = 1e308 WHERE wafer IN (SELECT wafer FROM wafers ORDER BY wafer DESC LIMIT 2)"
    )
    job.ok("infer", "--rescore")
    page = browser.page("/dashboard/jobs/wafers")
    shown = page[page.index("Quarantined rows, by the rule they broke") :]
    assert re.search(rf"<code>{SENSORS[0]}</code></td><td>\w+</td><td class=\"num\">2</td>", shown)


@pytest.mark.parametrize("path", ["charts", "drift", "versions/1", "runs/1"])
def test_each_page_below_a_job_is_there_and_leads_back(browser: Browser, path: str) -> None:
    page = browser.page(f"/dashboard/jobs/wafers/{path}")
    assert 'href="/dashboard/jobs/wafers"' in page


def test_a_row_is_found_by_its_key_with_each_column_s_part_in_its_score(browser: Browser) -> None:
    found = re.search(r"/dashboard/jobs/wafers/row\?key=[^\"]+", browser.page("/dashboard/jobs/wafers"))
    assert found
    page = browser.page(found[0])
    assert "By how much each column moved the score" in page
    assert "comes out again" in page
    assert "the source has no row with this key" in browser.page("/dashboard/jobs/wafers/row?key=nowhere")


def test_a_column_has_its_values_then_and_now_its_weight_its_drift_and_its_charts(
    prepared: Callable[..., Job], browse: Callable[..., Browser]
) -> None:
    job = prepared(scored_then)
    browser = browse(job)
    [name, *_] = re.findall(r"/dashboard/jobs/wafers/column\?name=(\w+)", browser.page("/dashboard/jobs/wafers/drift"))
    page = browser.page(f"/dashboard/jobs/wafers/column?name={name}")
    opened = rowcast.open(job.folder / "rowcast.toml")
    [state] = [each for each in opened.drift().series if each.series.column == name and each.series.kind == "location"]
    assert f'<p class="tile-value">{number(state.weight)}</p>' in page
    assert f"{number(state.now)}</td>" in page
    assert 'aria-labelledby="column-spread-title column-spread-desc"' in page
    assert 'aria-labelledby="chart-0-title chart-0-desc"' in page
    assert "95 % lie below" in page
    reply = browser.get("/dashboard/jobs/wafers/column?name=nowhere")
    assert (reply.status, b"no such column" in reply.body) == (404, True)


def test_where_values_lie_now_is_counted_from_the_rows_that_were_scored(job: Job) -> None:
    opened = rowcast.open(job.folder / "rowcast.toml")
    [name, *_] = [each.series.column for each in opened.drift().series if each.series.kind == "location"]
    found = look_at_column(opened.settings, name)
    assert isinstance(found.edges, Numbers)
    assert found.now is not None
    assert found.now.rows == opened.status().rows.scored
    for spread in (found.trained, found.now):
        assert spread.missing + spread.below + spread.above + spread.within.sum() == pytest.approx(1.0)
    values = [row[name] for row in job.sql(f'SELECT "{name}" FROM wafers WHERE "{name}" IS NOT NULL')]
    half = find_quantile(found.edges, found.trained, 0.5)
    assert half is not None
    between = find_share_below(found.edges, found.trained, half)
    assert between is not None
    assert between[0] <= 0.5 <= between[1] < between[0] + 0.1
    assert 0.3 < sum(value < half for value in values) / len(values) < 0.7


def test_a_row_s_value_is_shown_among_those_of_training(job: Job, browser: Browser) -> None:
    opened = rowcast.open(job.folder / "rowcast.toml")
    found = re.search(r"/dashboard/jobs/wafers/row\?key=[^\"]+", browser.page("/dashboard/jobs/wafers"))
    assert found
    where = re.search(r"/dashboard/jobs/wafers/column\?name=\w+&amp;value=[^\"]+", browser.page(found[0]))
    assert where
    page = browser.page(where[0].replace("&amp;", "&"))
    assert re.search(
        r"The row&#x27;s value is [\d.,]+: [\d.]+ %( to [\d.]+ %)? of the training rows lie below it\.", page
    )
    assert 'class="served"' in page
    name = where[0].partition("name=")[2].partition("&")[0]
    edges = look_at_column(opened.settings, name).edges
    assert isinstance(edges, Numbers)
    low, high = float(edges.bounds[0]), float(edges.bounds[-1])
    here = f"/dashboard/jobs/wafers/column?name={name}"
    assert "0 % of the training rows lie below it" in browser.page(f"{here}&value={low - 1}")
    assert "100 % of the training rows lie below it" in browser.page(f"{here}&value={high + 1}")
    for nonsense in ("nan", "inf", "x", ""):
        assert "rows lie below it" not in browser.page(f"{here}&value={nonsense}")


def test_a_run_s_page_has_what_it_published_and_what_it_said(job: Job, browser: Browser) -> None:
    [run] = [each for each in rowcast.open(job.folder / "rowcast.toml").runs() if each.pipeline == "infer"]
    evil = {
        "run": run.run_id,
        "event": "<script>alert(1)</script>",
        "level": "warning",
        "timestamp": "2026-05-01T06:00Z",
    }
    other = {"run": run.run_id + 1, "event": "another's", "level": "info", "timestamp": "2026-05-01T06:00Z"}
    lines = [{**evil, "event": "begins", "rows_in": 1234}, other, {**evil, "run": None}, {"half": 1}, evil]
    with (job.folder / "pipeline.log").open("a", encoding="utf-8") as log:
        log.write("".join(f"{json.dumps({k: v for k, v in line.items() if v is not None})}\n" for line in lines) + "{")
    page = browser.page(f"/dashboard/jobs/wafers/runs/{run.run_id}")
    scored = rowcast.open(job.folder / "rowcast.toml").status().rows.scored
    assert f'<p class="tile-value">{scored:,}</p>' in page
    assert "rows_in 1,234" in page
    assert page.count("&lt;script&gt;alert(1)") == 2  # one names no run, but stands between
    assert "another&#x27;s" not in page
    (job.folder / "pipeline.log").unlink()
    assert "are not in pipeline.log here" in browser.page(f"/dashboard/jobs/wafers/runs/{run.run_id}")


def test_other_jobs_of_the_store_are_listed_for_whoever_started_the_command(
    job: Job, browse: Callable[..., Browser]
) -> None:
    opened = rowcast.open(job.folder / "rowcast.toml")
    other = opened.settings.model_copy(update={"name": "fans"})
    with open_job(other):
        pass
    alone = browse(job, is_alone=True)
    assert "fans" not in alone.page("/dashboard")
    sessions = alone.asked.application._pages._sessions  # type: ignore[union-attr]
    alone.cookie = f"{COOKIE}={sessions.begin(Person('mia', KeyScope.OPERATE))}"
    page = alone.page("/dashboard")
    assert "Other jobs in the same store" in page
    assert re.search(r"<td>fans</td><td>[^<]*wafers[^<]*</td><td>none</td><td>none</td>", page)
    beside = browse(job)
    beside.cookie = alone.cookie
    assert "fans" not in beside.page("/dashboard")


PATHS = ["", "/jobs/wafers", "/jobs/wafers/charts", "/jobs/wafers/drift", "/jobs/wafers/versions/1"]
PATHS += ["/jobs/wafers/column?name=s01", "/jobs/wafers/runs/1", "/login", "/jobs/none"]


@pytest.mark.parametrize("path", PATHS)
def test_a_page_loads_nothing_from_elsewhere_runs_nothing_and_has_an_outline(browser: Browser, path: str) -> None:
    reply = browser.get(f"/dashboard{path}")
    outline = Outline(reply.body.decode())
    assert not {"style", "iframe", "img", "object"} & {tag for tag, _ in outline.tags}
    assert [given for tag, given in outline.tags if tag == "script"] == [LOCAL]
    assert all(where.startswith(("/dashboard", "#", "data:,")) for where in outline.values("href"))
    assert outline.values("style") == []
    assert len(outline.values("id")) == len(set(outline.values("id")))
    levels = outline.levels()
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "unsafe" not in reply.headers["content-security-policy"]
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "status"), [("runs/99", 404), ("versions/99", 404), ("row", 400), ("row?key=a&key=b", 400)]
)
def test_what_is_not_there_or_cannot_be_asked_is_said(browser: Browser, path: str, status: int) -> None:
    reply = browser.get(f"/dashboard/jobs/wafers/{path}")
    assert reply.status == status, reply.body
    assert b"Traceback" not in reply.body


def test_every_input_has_a_label(browser: Browser) -> None:
    for path in ("/dashboard/login", "/dashboard/jobs/wafers"):
        page = browser.page(path)
        visible = re.findall(r"<input(?![^>]*hidden)[^>]*>", page)
        assert visible
        assert len(visible) == page.count("<label")


def test_text_from_tables_is_shown_as_text(job: Job, browser: Browser) -> None:
    evil = "<script>alert(1)</script>&\"'<img src=x onerror=alert(2)>"
    quoted = evil.replace("'", "''")
    job.stored(f"UPDATE {job.table('promotion')} SET reason = '{quoted}', decided_by = '{quoted}'")
    job.stored(f"UPDATE {job.table('run')} SET error = '{quoted}', host = '{quoted}'")
    job.stored(f"UPDATE {job.table('model')} SET estimator = '{quoted}'")
    for path in ("", "/jobs/wafers", "/jobs/wafers/runs/1", "/jobs/wafers/versions/1"):
        page = browser.page(f"/dashboard{path}")
        assert [given for tag, given in Outline(page).tags if tag in ("script", "img")] == [LOCAL]
    assert "&lt;script&gt;" in page
    sent = "/dashboard/jobs/wafers/row?key=%3Cscript%3Ealert(1)%3C/script%3E"
    assert browser.get(sent).body.decode().count("<script") == 1


def test_the_root_leads_to_it_and_nothing_else_is_taken(browser: Browser) -> None:
    assert browser.get("/").headers["location"] == "/dashboard"
    assert browser.get("/dashboards").status == 404
    assert browser.get("/jobs").status == 200
    assert browser.asked.ask("PUT", "/dashboard").status == 405
    for path in ("/dashboard/none", "/dashboard/jobs/none", "/dashboard/jobs/wafers/none", "/dashboard/jobs/"):
        assert browser.get(path).status == 404


def test_alone_it_scores_nothing(job: Job, browse: Callable[..., Browser]) -> None:
    alone = browse(job, is_alone=True)
    assert alone.get("/dashboard").status == 200
    assert alone.get("/jobs").status == 404
    assert alone.asked.ask("POST", "/invocations", {"instances": []}).status == 404
    assert alone.get("/v2/health/live").status == 200


def test_without_a_dashboard_there_is_no_page(job: Job) -> None:
    asked = Asked(job)
    assert asked.ask("GET", "/dashboard").status == 404
    asked.close()


def test_without_keys_only_this_computer_by_its_own_name_sees_it(browser: Browser) -> None:
    assert browser.get("/dashboard", host="localhost:8080").status == 200
    assert browser.get("/dashboard", host="evil.example").status == 403


@pytest.mark.parametrize(
    ("command", "shown", "scores"),
    [
        (["serve"], 200, 200),
        (["serve", "--no-dashboard"], 404, 200),
        (["serve", "--behind", "vertex", "--host", "127.0.0.1"], 404, 200),
        (["dashboard"], 303, 401),
    ],
    ids=["beside", "left out", "behind a platform", "alone"],
)
def test_the_commands_say_where_it_is(
    lite: Job, start: Callable[..., Any], command: list[str], shown: int, scores: int
) -> None:
    process = start(lite, *command, "--port", "0")
    lines = iter(process.stderr.readline, "")
    found = next(line for said in lines if (line := json.loads(said))["event"] == "serving")

    def ask(path: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", int(found["url"].rpartition(":")[2]), timeout=30)
        connection.request("GET", path)
        reply = connection.getresponse()
        reply.read()
        connection.close()
        return reply.status

    assert (ask("/dashboard"), ask("/jobs/wafers/example")) == (shown, scores)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_it_ends_though_sqlite_goes_on_reading_for_a_page(lite: Job, start: Callable[..., Any]) -> None:
    lite.configure({"source": {"where": LASTING}})
    process = start(lite, "dashboard", "--port", "0", "--no-open")
    link = urlsplit(process.stdout.readline().split()[-1])
    connection = http.client.HTTPConnection(link.netloc, timeout=60)
    connection.request("GET", link.path)
    reply = connection.getresponse()
    reply.read()
    connection.request("GET", "/dashboard/jobs/wafers", headers={"Cookie": reply.headers["Set-Cookie"].split(";")[0]})
    assert "Being read" in connection.getresponse().read().decode()
    connection.close()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_every_page_reads_each_database(trained: Job, browse: Callable[..., Browser]) -> None:
    trained.ok("infer")
    browser = browse(trained)
    for path in ("", "/jobs/wafers", "/jobs/wafers/charts", "/jobs/wafers/drift", "/jobs/wafers/runs/1"):
        browser.page(f"/dashboard{path}")
    found = re.search(r"/dashboard/jobs/wafers/row\?key=[^\"]+", browser.page("/dashboard/jobs/wafers"))
    assert found
    assert "By how much each column moved the score" in browser.page(found[0])


def of_kind(make: Callable[..., Job], kind: str) -> Job:
    """A job of several classes, or of values, that has scored what waited."""
    job = filled(make("sqlite", "empty"), kind)
    job.ok("run")
    return job


@pytest.mark.parametrize("kind", ["classes", "values"])
def test_several_outcomes_and_amounts_have_pages_too(
    prepared: Callable[..., Job], browse: Callable[..., Browser], kind: str
) -> None:
    browser = browse(prepared(of_kind, kind))
    for path in ("", "/jobs/wafers/charts", "/jobs/wafers/drift", "/jobs/wafers/versions/1"):
        browser.page(f"/dashboard{path}")
    found = re.search(r"/dashboard/jobs/wafers/row\?key=[^\"]+", browser.page("/dashboard/jobs/wafers"))
    assert found
    page = browser.page(found[0])
    assert "the score comes out again" in page
    assert (ODDS in page, "In the label&#x27;s unit." in page) == (
        (True, False) if kind == "classes" else (False, True)
    )


def test_what_moved_a_score_is_said_in_odds_or_in_the_label_s_unit() -> None:
    assert describe_push(math.log(2), is_odds=True) == "odds × 2"
    assert describe_push(-math.log(7.4), is_odds=True) == "odds ÷ 7.4"
    assert describe_push(0.03, is_odds=True) == "odds × 1.03"
    assert describe_push(-0.25, is_odds=False) == "−0.25"
    for times in (2, 1 / 2):
        odds = 0.2 / 0.8 * times
        assert f"20 % into {percent(odds / (1 + odds))}" in ODDS


# Logging in


@pytest.fixture
def keys(job: Job) -> dict[str, str]:
    opened = rowcast.open(job.folder / "rowcast.toml")
    return {scope: opened.create_key(scope, scope=scope) for scope in ("score", "read", "operate")}


@pytest.fixture
def locked(job: Job, keys: dict[str, str], browse: Callable[..., Browser]) -> Browser:
    return browse(job)


def test_with_keys_a_page_asks_to_log_in_and_comes_back_to_where_it_was_wanted(
    locked: Browser, keys: dict[str, str]
) -> None:
    wanted = "/dashboard/jobs/wafers/row?key=W1"
    reply = locked.get(wanted)
    assert reply.status == 303
    where = reply.headers["location"]
    assert where == "/dashboard/login?next=%2Fdashboard%2Fjobs%2Fwafers%2Frow%3Fkey%3DW1"
    assert f'value="{wanted}"' in locked.page(where)
    assert locked.log_in(keys["read"], "%2Fdashboard%2Fjobs%2Fwafers").headers["location"] == "/dashboard/jobs/wafers"
    assert "Log out" in locked.page("/dashboard/jobs/wafers")


@pytest.mark.parametrize("scope", ["read", "operate"])
def test_the_cookie_is_for_this_site_and_for_no_script(locked: Browser, keys: dict[str, str], scope: str) -> None:
    cookie = locked.log_in(keys[scope]).headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert keys[scope] not in cookie
    assert {"HttpOnly", "SameSite=Strict", "Path=/dashboard"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    over_tls = locked.log_in(keys[scope], **{"x-forwarded-proto": "https"})
    assert "Secure" in over_tls.headers["set-cookie"]


def test_a_key_that_may_only_score_does_not_log_in(locked: Browser, keys: dict[str, str]) -> None:
    assert locked.log_in(keys["score"]).status == 403
    assert locked.log_in("nonsense").status == 401
    assert locked.get("/dashboard").status == 303


def test_a_session_is_for_pages_alone(locked: Browser, keys: dict[str, str]) -> None:
    locked.log_in(keys["operate"])
    assert locked.get("/jobs").status == 401
    assert locked.asked.ask("POST", "/jobs/wafers/refresh", b"", {"cookie": locked.cookie}).status == 401


def test_a_revoked_key_ends_its_sessions(job: Job, locked: Browser, keys: dict[str, str]) -> None:
    locked.log_in(keys["read"])
    assert locked.get("/dashboard").status == 200
    rowcast.open(job.folder / "rowcast.toml").revoke_key("read")
    locked.asked.jobs[0].refresh()
    assert locked.get("/dashboard").status == 303


def test_logging_out_ends_the_session(locked: Browser, keys: dict[str, str]) -> None:
    locked.log_in(keys["read"])
    reply = locked.asked.ask("POST", "/dashboard/logout", b"", {"cookie": locked.cookie, **SAME})
    assert (reply.status, "Max-Age=0" in reply.headers["set-cookie"]) == (303, True)
    assert locked.get("/dashboard").status == 303


def test_a_login_leads_nowhere_else(locked: Browser, keys: dict[str, str]) -> None:
    for after in ("https://evil.example", "//evil.example", "/dashboard%0d%0aset-cookie: a=b", "/dashboardx", "%5C"):
        assert locked.log_in(keys["read"], after).headers["location"] == "/dashboard", after


def test_another_site_cannot_log_anybody_in(locked: Browser, keys: dict[str, str]) -> None:
    assert locked.log_in(keys["read"], origin="http://evil.example").status == 403
    assert locked.log_in(keys["read"], **{"sec-fetch-site": "cross-site"}).status == 403


def test_who_fails_often_has_to_wait(locked: Browser, keys: dict[str, str]) -> None:
    assert [locked.log_in("wrong").status for _ in range(11)] == [401] * 10 + [429]
    reply = locked.log_in(keys["read"])
    assert (reply.status, int(reply.headers["retry-after"]) > 0) == (429, True)


def test_a_key_shows_its_own_jobs_alone(
    job: Job, keys: dict[str, str], plain: Job, browse: Callable[..., Browser]
) -> None:
    plain.configure(name="another")
    rowcast.open(plain.folder / "rowcast.toml").create_key("read", scope="read")
    browser = browse(job, plain)
    browser.log_in(keys["read"])
    page = browser.page("/dashboard")
    assert ">wafers</a>" in page
    assert "another" not in page
    assert browser.get("/dashboard/jobs/another").status == 303


def test_a_key_may_also_come_in_a_header(locked: Browser, keys: dict[str, str]) -> None:
    assert locked.get("/dashboard", authorization=f"Bearer {keys['read']}").status == 200
    assert locked.get("/dashboard", x_api_key=keys["score"]).status == 403


# When something is missing


def test_a_job_that_never_ran_says_so_and_nothing_is_created(plain: Job, browse: Callable[..., Browser]) -> None:
    browser = browse(plain)
    before = plain.sql("SELECT name FROM sqlite_master ORDER BY name")
    assert "Nothing has run yet." in browser.page("/dashboard")
    for path in ("", "/charts", "/drift", "/row?key=W1", "/versions/1", "/runs/1"):
        reply = browser.get(f"/dashboard/jobs/wafers{path}")
        assert (reply.status, b"rowcast run" in reply.body) == (503, True), path
    assert plain.sql("SELECT name FROM sqlite_master ORDER BY name") == before


def test_a_job_without_a_champion_has_a_page(plain: Job, browse: Callable[..., Browser]) -> None:
    plain.call("status")
    browser = browse(plain)
    page = browser.page("/dashboard/jobs/wafers")
    assert "nothing is scored yet" in page
    assert "There is no version yet" in page
    assert "Nothing is counted yet." in browser.page("/dashboard/jobs/wafers/drift")
    assert "No row has been scored." in browser.page("/dashboard/jobs/wafers/charts")


def test_a_broken_store_hides_no_other_job_and_names_no_file(
    job: Job, plain: Job, browse: Callable[..., Browser]
) -> None:
    plain.configure(name="another")
    plain.call("status")
    browser = browse(job, plain)
    plain.stored(f"DROP TABLE {plain.table('run')}")
    page = browser.page("/dashboard")
    assert ">wafers</a>" in page
    assert "cannot be read" in page
    reply = browser.get("/dashboard/jobs/another")
    assert reply.status == 503
    assert str(plain.folder).encode() not in reply.body
    assert b"Traceback" not in reply.body


def test_a_database_that_goes_away_is_said_and_the_page_comes_back(
    make_job: Callable[..., Job], browse: Callable[..., Browser]
) -> None:
    job = make_job("postgresql", "trained")
    browser = browse(job)
    assert browser.get("/dashboard/jobs/wafers").status == 200
    with away(job):
        assert "The database does not answer as it should." in browser.page("/dashboard")
        reply = browser.get("/dashboard/jobs/wafers")
        assert (reply.status, b"comes back once the database does" in reply.body) == (503, True)
        assert job.place.url.encode() not in reply.body
    assert browser.get("/dashboard/jobs/wafers").status == 200


def test_standing_alerts_are_on_top_with_since_when_and_what_to_do(job: Job, browser: Browser) -> None:
    since = datetime(2026, 5, 4, 6, tzinfo=UTC)
    told = (
        "wafers",
        "drift",
        "drift",
        "s3 of tool E&K is 2 SDs higher",
        "error",
        since,
        "look at E&K",
        "rowcast drift",
    )
    with rowcast.open(job.folder / "rowcast.toml").connection() as opened:
        opened.alerts.write([Alert(*told, None)], {"drift"})
    page = browser.page("/dashboard/jobs/wafers")
    shown = page[page.index('id="now"') : page.index('id="working"')]
    for part in ("s3 of tool E&amp;K is 2 SDs higher", "2026-05-04 06:00", "look at E&amp;K", "rowcast drift"):
        assert part in shown
    assert "1 of 1 job to look at." in browser.page("/dashboard")


def test_where_a_platform_asks_everybody_in_there_is_no_login(job: Job) -> None:
    asked = Asked(job)
    pages = Dashboard(asked.jobs)
    asked.application = Application(asked.jobs, Guard(Asks.WHERE_THERE_ARE, is_local=False), pages=pages)
    assert asked.ask("GET", "/dashboard", headers={"host": "fab.example"}).status == 200
    asked.close()
