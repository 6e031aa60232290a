"""Control charts: what was scored, day by day and by group, as the tables themselves have it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from conftest import SYSTEMS
from jobs import Job, create, wafers

from rowcast.monitor.control_charts import BASELINE

pytest_plugins = ("job_fixtures",)

WAFERS, DAY = 4_175, 144  # a wafer every ten minutes for four weeks and a day
END = "2026-01-30"
SHIFTED = 24 * DAY  # from here on s01 of tool A is 1 higher


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """Wafers of which each fifth has no label; s01 of tool A moves."""
    made = wafers(1, WAFERS, True)
    for row in made:
        row["failed"] = None if row["wafer"] % 5 == 0 else row["failed"]
        row["s01"] += 1.0 if row["wafer"] >= SHIFTED and row["tool"] == "A" else 0.0
    return made


def watching(job: Job, monitor: dict[str, Any]) -> None:
    """The job's config, with this [monitor]."""
    source = {"exclude": ["s12"], "missing": [-9999]}
    infer = {"batch_rows": 5_000, "since": "2026-01-03", "workers": 1}
    job.estimator("quick", source=source, infer=infer, retrain={"policy": "never"}, monitor=monitor)


def scored(job: Job, rows: list[dict[str, Any]], monitor: dict[str, Any] | None = None) -> Job:
    """A model of the first days, and all wafers after them scored."""
    watching(job, monitor or {})
    create(job.place)
    job.add(rows)
    job.ok("retrain", "--as-of", "2026-01-03")
    job.ok("infer", "--as-of", END)
    return job


EVENTS = {"events": "maintenance", "event_time": "at", "event_group": "equipment", "event_what": "done"}
DONE = [
    ("2026-01-07 22:00:00Z", "A", "pump changed"),
    ("2026-01-07 23:00:00Z", "A", "leak check"),
    ("2026-01-10 00:00:00Z", None, None),
    ("2026-01-12 10:00:00Z", "B", "<script>pump</script>"),
    ("2026-01-02 00:00:00Z", "A", "before the window"),
    ("2026-01-30 00:00:01Z", "A", "after now"),
    ("2026-01-25 10:00:00Z", "Z", "another tool"),
]
WEEK = [("2026-01-26 10:00:00Z", None, "power dip"), ("2026-01-27 10:00:00Z", "B", "cleaned")]
CLEANED = [("2026-01-24 10:00:00Z", "A", "cleaned"), ("2026-01-12 10:00:00Z", "A", "moved")]


def maintained(job: Job, table: str, events: list[tuple[str, str | None, str | None]]) -> None:
    time = "TEXT" if job.place.is_sqlite else "timestamptz"
    job.sql(f"CREATE TABLE {table} (at {time}, equipment TEXT, done TEXT)")
    names = ("at", "equipment", "done")
    job.place.fill(table, **{name: [event[place] for event in events] for place, name in enumerate(names)})


@pytest.fixture(scope="module", params=SYSTEMS)
def fab(
    request: pytest.FixtureRequest, bases: Any, tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> Iterator[Job]:
    """Four weeks of scored wafers, and what was done to the tools, on each system in turn; charts change nothing."""
    job = scored(bases.copy(request.param, "empty", tmp_path_factory.mktemp("fab")), rows)
    odd = ["9e999", "'broken'"] if job.place.is_sqlite else ["'-Infinity'", "'NaN'"]
    for place, value in enumerate([*odd, "-9999", "NULL", "1", "3"]):
        job.sql(f"UPDATE wafers SET s12 = {value} WHERE wafer % 6 = {place}")
    maintained(job, "maintenance", DONE)
    maintained(job, "journal", CLEANED)
    maintained(job, "week", WEEK)
    job.sql("CREATE VIEW cleanings AS SELECT at, equipment FROM journal WHERE done = 'cleaned'")
    yield job
    bases.drop(job)


def shown(job: Job, *arguments: str, days: int = 28) -> dict[tuple[str, str | None], dict[str, Any]]:
    found = job.ok("charts", "--json", "--as-of", END, "--days", str(days), *arguments)
    return {(chart["chart"], chart["group"]): chart for chart in found["charts"]}


def by_day(
    job: Job, value: Callable[[dict[str, Any]], float | None], tool: str | None = None
) -> dict[str, list[float]]:
    """What each scored wafer has, by the day of its event, from the tables themselves."""
    table = job.table("wafers_prediction")
    predicted = {row["wafer"]: row for row in job.stored(f"SELECT wafer, score, predicted FROM {table}")}
    found: dict[str, list[float]] = {}
    for row in job.sql("SELECT wafer, tool, failed, s01, s02 FROM wafers"):
        day = f"2026-01-{row['wafer'] // DAY + 1:02d}"
        if row["wafer"] in predicted and tool in (None, row["tool"]):
            each = value({**row, **predicted[row["wafer"]]})
            if each is not None:
                found.setdefault(day, []).append(each)
    return found


def agrees(chart: dict[str, Any], expected: dict[str, list[float]]) -> None:
    got = {day["day"]: (day["value"], day["rows"]) for day in chart["days"]}
    assert got == {
        day: (pytest.approx(sum(values) / len(values), abs=1e-9), len(values))
        for day, values in sorted(expected.items())
    }


def test_without_a_group_all_rows_are_charted_together(fab: Job) -> None:
    watching(fab, {})
    found = shown(fab)
    assert [chart for chart, _ in found][:3] == ["mean score", "share flagged", "fail rate"]
    assert len(found) == 7  # and four columns, the most important first
    assert {("s01", None), ("s02", None)} <= set(list(found)[3:5])
    agrees(found["mean score", None], by_day(fab, lambda row: row["score"]))
    agrees(found["share flagged", None], by_day(fab, lambda row: row["predicted"]))
    agrees(found["fail rate", None], by_day(fab, lambda row: row["failed"]))
    agrees(found["s02", None], by_day(fab, lambda row: row["s02"]))
    assert len(found["mean score", None]["days"]) == 27
    said = fab.call("charts", "--as-of", END).out
    assert "group" not in said
    assert "mean score" in said


def test_a_group_that_changes_is_told_apart_from_those_that_do_not(fab: Job) -> None:
    watching(fab, {"group_by": "tool"})
    found = shown(fab, "--column", "s01", "--column", "s03")
    assert len(found) == 3 * (3 + 2)
    agrees(found["s01", "A"], by_day(fab, lambda row: row["s01"], "A"))
    agrees(found["fail rate", "B"], by_day(fab, lambda row: row["failed"], "B"))
    assert set(found["s01", "A"]["broken"]) >= {"1 beyond 3 sigma", "EWMA"}
    assert found["s01", "A"]["broken"]["1 beyond 3 sigma"] >= "2026-01-25"
    assert {name for name in found if found[name]["broken"].get("1 beyond 3 sigma") and name[0] == "s01"} == {
        ("s01", "A")
    }
    said = fab.call("charts", "--as-of", END, "--column", "s01").out.splitlines()
    [line] = [line for line in said if line.split()[:2] == ["s01", "A"]]
    assert "1 beyond 3 sigma since 2026-01-2" in line


def test_maintenance_marks_the_charts_of_its_group_and_resets_their_baseline(fab: Job) -> None:
    watching(fab, {"group_by": "tool", **EVENTS})
    found = shown(fab, "--column", "s01")
    everywhere = {"day": "2026-01-10", "what": "maintenance", "effect": "later"}
    own = {"day": "2026-01-07", "what": "leak check and 1 more", "effect": "anew"}
    assert found["s01", "A"]["marks"] == [own, everywhere]
    assert found["s01", "C"]["marks"] == [everywhere]
    roles = {day["day"]: day["role"] for day in found["s01", "A"]["days"]}
    assert [day for day, role in roles.items() if role == "mixed"] == ["2026-01-07"]
    assert roles["2026-01-21"] == "baseline"  # the fourteenth since
    assert roles["2026-01-22"] == "watched"
    assert BASELINE == 14
    assert "1 beyond 3 sigma" in found["s01", "A"]["broken"]


def test_maintenance_of_a_tool_resets_its_own_sensors_alone_and_one_of_no_tool_takes_no_limits_away(fab: Job) -> None:
    """Charts of a whole line were blind after each event, fail rates too."""
    columns = ("--column", "s01", "--column", "s02")
    watching(fab, {"group_by": "tool"})
    before = shown(fab, *columns)
    watching(fab, {"group_by": "tool", **EVENTS, "events": "week"})
    after = shown(fab, *columns)
    assert {name for name, chart in after.items() if chart["days"][-1]["limits"] is None} == {
        ("s01", "B"),
        ("s02", "B"),
    }
    for name, chart in after.items():
        assert [mark["what"] for mark in chart["marks"]] == (
            ["power dip", "cleaned"] if name[1] == "B" else ["power dip"]
        )
        if name[0] in ("mean score", "share flagged", "fail rate"):
            assert chart["days"] == before[name]["days"]
        elif name[1] != "B":
            assert chart["days"][-1]["limits"] == before[name]["days"][-1]["limits"]
            assert chart["learning"]["limits"] == "before"
    learning = after["s01", "B"]["learning"]
    assert (learning["limits"], learning["since"]["what"], learning["ready_on"]) == ("none", "cleaned", "2026-02-02")
    said = fab.call("charts", "--as-of", END, *columns).out
    assert "B: s01, s02. No limits yet: they take 6 days with rows after cleaned on 2026-01-27" in said


def test_a_change_at_maintenance_becomes_the_new_usual_and_events_can_be_a_view(fab: Job) -> None:
    watching(fab, {"group_by": "tool", "events": "cleanings", "event_time": "at", "event_group": "equipment"})
    found = shown(fab, "--column", "s01")["s01", "A"]
    assert found["marks"] == [{"day": "2026-01-24", "what": "maintenance", "effect": "anew"}]
    assert found["broken"] == {}
    assert found["days"][-1]["limits"] is None
    assert "none until 2026-01-30" in fab.call("charts", "--as-of", END, "--column", "s01").out


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_days_are_those_of_the_plant(fab: Job, zone: str) -> None:
    """And so are those of maintenance."""
    watching(fab, {"timezone": zone, **{name: EVENTS[name] for name in ("events", "event_time", "event_what")}})
    found = fab.ok("charts", "--json", "--as-of", END, "--days", "28", "--column", "s01")
    assert found["timezone"] == zone
    chart = next(each for each in found["charts"] if each["chart"] == "s01")
    table = fab.table("wafers_prediction")
    scored = {row["wafer"] for row in fab.stored(f"SELECT wafer FROM {table}")}
    days: dict[str, list[float]] = {}
    for row in fab.sql("SELECT wafer, s01 FROM wafers"):
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=10 * row["wafer"])
        day = str(at.astimezone(ZoneInfo(zone)).date())
        if row["wafer"] in scored and day >= chart["days"][0]["day"]:
            days.setdefault(day, []).append(row["s01"])
    agrees(chart, days)
    pump = datetime(2026, 1, 7, 22, tzinfo=UTC).astimezone(ZoneInfo(zone))
    assert str(pump.date()) in {mark["day"] for mark in chart["marks"]}


def test_the_page_is_one_file_with_a_picture_for_each_chart(fab: Job) -> None:
    watching(fab, {"group_by": "tool", **EVENTS})
    assert fab.call("charts", "--as-of", END, "--column", "s01", "--html", "charts.html").out == "wrote charts.html\n"
    text = (fab.folder / "charts.html").read_text()
    page = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    assert len([each for each in page.iter("svg") if each.get("class") == "chart"]) == 4 * 3
    assert "http" not in text
    assert "<script" not in text
    assert "Broken now" in text
    assert "cannot be written" in fab.refused("charts", "--html", "nowhere/charts.html", code=2)


@pytest.mark.parametrize(
    ("monitor", "said"),
    [
        ({"events": "maintenence", "event_time": "at"}, "there is no table maintenence"),
        ({"events": "maintenance", "event_time": "when"}, "has no column 'when' (monitor.event_time)"),
        ({"events": "maintenance", "event_time": "at", "event_what": "don"}, "did you mean 'done'?"),
        ({"group_by": "tol"}, "has no column 'tol' (monitor.group_by)"),
    ],
)
def test_what_is_not_there_is_named(fab: Job, monitor: dict[str, Any], said: str) -> None:
    watching(fab, monitor)
    assert said in fab.refused("charts")


def test_a_column_that_is_none_and_a_table_without_time_are_refused(fab: Job) -> None:
    watching(fab, {})
    assert "--column tool: there is no such column of numbers" in fab.refused("charts", "--column", "tool", code=2)
    fab.configure({"source": {"time": None}})
    assert "charts need 'time'" in fab.refused("charts", code=2)


def test_too_many_groups_are_refused(fab: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    watching(fab, {"group_by": "wafer"})
    monkeypatch.setattr("rowcast.watch.chart_data.MOST_GROUPS", 99)
    assert "'wafer' has more than 99 values" in fab.refused("charts", "--as-of", END, code=2)


def test_before_anything_was_scored_there_is_nothing_to_chart(fab: Job) -> None:
    watching(fab, {})
    assert fab.call("charts", "--as-of", "2026-01-02").out.startswith("no row of the 60 days before 2026-01-02")
    assert fab.ok("charts", "--as-of", "2026-01-02", "--json")["charts"] == []


@pytest.mark.parametrize(("source", "store"), [("sqlite", "postgresql"), ("postgresql", "sqlite")])
def test_source_and_store_can_be_two_databases(
    make_job: Callable[[str, str], Job], rows: list[dict[str, Any]], source: str, store: str
) -> None:
    gaps = [{**row, "s02": None, "tool": None} if row["wafer"] % 7 == 0 else row for row in rows]
    job = make_job(source, "empty")
    job.store = make_job(store, "empty").place
    scored(job, gaps, {"group_by": "tool"})
    found = shown(job, "--column", "s02")
    for name, value in (
        ("mean score", "score"),
        ("share flagged", "predicted"),
        ("fail rate", "failed"),
        ("s02", "s02"),
    ):
        agrees(found[name, "B"], by_day(job, itemgetter(value), "B"))
    assert ("mean score", "(none)") in found
    assert ("s02", "(none)") not in found  # where there is no tool there is no s02


def test_values_that_are_none_are_in_no_mean(fab: Job) -> None:
    watching(fab, {})
    found = shown(fab, "--column", "s12")["s12", None]
    assert {(day["value"], day["rows"]) for day in found["days"][1:-1]} == {(2.0, DAY // 3)}


@pytest.mark.long
def test_several_classes_and_values_are_charted_in_their_own_terms(make_job: Callable[[str, str], Job]) -> None:
    rows = wafers(1, 1_000, True)
    kinds = [{**row, "failed": "void" if row["s02"] > 1 else "ok" if row["s01"] < 0.8 else "scratch"} for row in rows]
    classes = make_job("sqlite", "empty")
    classes.estimator("quick", task={"kind": "multiclass"}, infer={"since": "2026-01-03"})
    create(classes.place, label="TEXT")
    classes.add(kinds)
    values = make_job("sqlite", "empty")
    values.configure({"task": {"kind": "regression"}, "infer": {"since": "2026-01-03"}})
    create(values.place, label="REAL")
    values.add([{**row, "failed": 10 + 2 * row["s01"]} for row in rows])
    for job in (classes, values):
        job.ok("retrain", "--as-of", "2026-01-03")
        job.ok("infer", "--as-of", "2026-01-07")
    found = {each["chart"]: each for each in classes.ok("charts", "--json", "--as-of", "2026-01-07")["charts"]}
    agrees(found["fail rate"], by_day(classes, lambda row: row["failed"] != "ok"))
    agrees(found["share flagged"], by_day(classes, lambda row: row["predicted"] != "ok"))
    found = {each["chart"]: each for each in values.ok("charts", "--json", "--as-of", "2026-01-07")["charts"]}
    assert list(found)[:3] == ["mean predicted", "mean label", "s01"]
    agrees(found["mean label"], by_day(values, lambda row: row["failed"]))
    agrees(found["mean predicted"], by_day(values, lambda row: row["predicted"]))


def test_another_version_resets_the_charts_of_scores_alone(
    make_job: Callable[[str, str], Job], rows: list[dict[str, Any]]
) -> None:
    job = make_job("sqlite", "empty")
    job.estimator("quick", infer={"batch_rows": 5_000, "since": "2026-01-03", "workers": 1})
    create(job.place)
    job.add(rows)
    job.ok("retrain", "--as-of", "2026-01-03")
    job.ok("infer", "--as-of", "2026-01-20")
    job.ok("retrain", "--as-of", "2026-01-20")
    job.call("promote", "2", "--by", "Ada", "--reason", "it is newer")
    job.ok("infer", "--as-of", END)
    found = shown(job)
    assert found["mean score", None]["marks"] == [{"day": "2026-01-20", "what": "v2", "effect": "anew"}]
    assert found["share flagged", None]["marks"] == found["mean score", None]["marks"]
    assert found["fail rate", None]["marks"] == []
