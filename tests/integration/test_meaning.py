"""What a version means belongs to it: a job that asks for something else is refused before anything is scored."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Place, literal

import rowcast
from rowcast import config, pipeline
from rowcast.doctor import examine
from rowcast.errors import ConfigError, RowcastError, RunError, StoreError
from rowcast.init import quote
from rowcast.job.meaning import find_differences, make_error
from rowcast.job.opening import open_job
from rowcast.store.meaning import Meaning
from rowcast.store.registry import Version

pytestmark = pytest.mark.turns


def settings(place: Place, folder: Path, source: dict[str, Any], task: dict[str, Any]) -> config.Settings:
    found = {"url": place.url, "table": "t", "key": ["id"], "time": "ts", "label": "failed", **source}
    lines = ["[source]", *[f"{name} = {quote(value)}" for name, value in found.items() if value is not None]]
    lines += ["[task]", *[f"{name} = {quote(value)}" for name, value in task.items()]]
    path = folder / "rowcast.toml"
    path.write_text("\n".join(['name = "t"', *lines, "[model]", 'budget = "0s"', "[infer]", "workers = 1"]))
    return config.load(path)


@pytest.fixture
def table(database: Place) -> Place:
    """A table of 150 labelled rows and 20 pending ones; the first ones failed, the last ones were scrapped."""
    stamp = "TEXT" if database.is_sqlite else "timestamptz"
    database.run(f"CREATE TABLE t (id INTEGER PRIMARY KEY, ts {stamp}, s1 REAL, s2 REAL, failed TEXT, scrapped TEXT)")
    rows = []
    for n in range(170):
        known = ("NOK" if n % 4 == 0 else "OK", "NOK" if n % 4 == 3 else "OK") if n < 150 else (None, None)
        rows.append((n, f"2026-03-{1 + n // 24:02d} {n % 24:02d}:00:00Z", n % 4 + n / 300, n / 3, *known))
    database.run(f"INSERT INTO t VALUES {', '.join('(' + ', '.join(map(literal, row)) + ')' for row in rows)}")
    return database


def scored(place: Place) -> int:
    name = "rowcast_t_prediction" if place.is_sqlite else "rowcast.t_prediction"
    found: int = place.run(f"SELECT count(*) AS n FROM {name}")[0]["n"]
    return found


def problems(found: config.Settings) -> str:
    return "\n".join(finding.what for finding in examine(found) if finding.level == "problem")


def test_another_label_or_class_to_find_is_refused_by_whatever_scores_trains_or_judges(
    table: Place, tmp_path: Path
) -> None:
    task = {"positive": "NOK"}
    pipeline.run(settings(table, tmp_path, {}, task), "retrain")
    swapped = [
        ({"label": "scrapped", "exclude": ["failed"]}, task, "v1 predicts 'failed', and [source] label is 'scrapped'"),
        ({}, {"positive": "OK"}, "[task] positive is 'OK', and v1 looks for another class"),
        ({}, {"kind": "multiclass"}, "v1 is a binary model, and [task] kind is 'multiclass'"),
    ]
    for source, other, told in swapped:
        found = settings(table, tmp_path, source, other)
        refused: list[Callable[[], object]] = [
            lambda: pipeline.run(found, "infer"),  # noqa: B023
            lambda: pipeline.run(found, "retrain"),  # noqa: B023
            lambda: pipeline.run(found, "full-pipeline"),  # noqa: B023
            lambda: pipeline.step(found, "data-fetch"),  # noqa: B023
            lambda: rowcast.open(found.path).champion(),  # noqa: B023
        ]
        for work in refused:
            with pytest.raises(ConfigError) as caught:
                work()
            assert caught.value.what == told
            assert "another 'name'" in caught.value.hint
        assert told in problems(found)
        assert scored(table) == 0
    again = settings(table, tmp_path, {}, task)
    assert problems(again) == ""
    assert pipeline.run(again, "infer").outcome.scored == 20
    with pytest.raises(ConfigError, match="v1 predicts 'failed'"):
        rowcast.open(settings(table, tmp_path, {"label": "scrapped"}, task).path).quality()


def test_two_files_for_one_table_are_two_jobs_once_they_have_two_names(table: Place, tmp_path: Path) -> None:
    first = settings(table, tmp_path, {}, {"positive": "NOK"})
    pipeline.run(first, "full-pipeline")
    second = settings(table, tmp_path, {"label": "scrapped"}, {"positive": "NOK"})
    with pytest.raises(ConfigError, match="v1 predicts 'failed'"):
        pipeline.run(second, "full-pipeline")
    assert pipeline.run(second.model_copy(update={"name": "scrap"}), "full-pipeline").outcome.scored == 20


@pytest.mark.parametrize("to", ["a time", "a text that is none", "a time and back"])
def test_a_column_of_another_kind_is_refused_before_scoring(to: str, table: Place, tmp_path: Path) -> None:
    found = settings(table, tmp_path, {}, {"positive": "NOK"})
    pipeline.run(found, "retrain")
    time = "datetime(ts, '-9 hours')" if table.is_sqlite else "ts - interval '9 hours'"
    if table.is_mssql:
        time = "DATEADD(hour, -9, ts)"
    kind = "DATETIME" if table.is_sqlite else "datetimeoffset" if table.is_mssql else "timestamptz"
    shown = f"SELECT id, ts, {time} AS s1, s2, failed, scrapped FROM kept"
    if to == "a text that is none":
        kind, shown = "TEXT", "SELECT id, ts, 'none' AS s1, s2, failed, scrapped FROM kept"
    table.keep("kept", "t")
    stamp = "TEXT" if table.is_sqlite else "datetimeoffset" if table.is_mssql else "timestamptz"
    columns = f"id INTEGER PRIMARY KEY, ts {stamp}, s1 {kind}, s2 REAL, failed VARCHAR(9), scrapped VARCHAR(9)"
    table.run("DROP TABLE t", f"CREATE TABLE t ({columns})", f"INSERT INTO t {shown}")
    if to == "a text that is none":  # read value by value: set aside
        with pytest.raises(RowcastError, match="break the contract"):
            pipeline.run(found, "infer")
        assert scored(table) == 0
        return
    told = "column 's1' was a number when v1 learned from it, and is a time"
    with pytest.raises(RunError, match=told) as caught:
        pipeline.run(found, "infer")
    assert "casts it" in caught.value.hint
    assert told in problems(found)
    assert scored(table) == 0
    if to == "a time and back":
        table.run("DROP TABLE t")
        table.keep("t", "kept")
        assert pipeline.run(found, "infer").outcome.scored == 20


@pytest.mark.parametrize("apart", [False, True])
def test_a_key_of_another_kind_is_refused(apart: bool, table: Place, make_place: Callable[[str], Place]) -> None:
    store = {"url": make_place("sqlite").url} if apart else {}
    source = {"url": table.url, "table": "t", "key": ["id"], "time": "ts", "label": "failed"}
    found = config.Settings.model_validate({"name": "job", "source": source, "store": store})
    with open_job(found):
        pass
    table.keep("kept", "t")
    stamp = "TEXT" if table.is_sqlite else "datetimeoffset" if table.is_mssql else "timestamptz"
    columns = f"ts {stamp}, s1 REAL, s2 REAL, failed VARCHAR(9), scrapped VARCHAR(9)"
    text = "CAST(id AS VARCHAR(20))"
    table.run(
        "DROP TABLE t",
        f"CREATE TABLE t (id VARCHAR(20) PRIMARY KEY, {columns})",
        f"INSERT INTO t SELECT {text}, ts, s1, s2, failed, scrapped FROM kept",
    )
    with pytest.raises(StoreError, match="keeps its rows by id as ") as caught, open_job(found):
        pass
    assert "CAST(id AS" in caught.value.hint
    cast = "SELECT CAST(id AS bigint) AS id, ts, s1, failed FROM t"
    back = found.model_copy(update={"source": found.source.model_copy(update={"table": None, "query": cast})})
    with pytest.raises(StoreError, match="taken by another source"), open_job(back):
        pass  # a query is another source; its key is right
    table.run("DROP TABLE t", "CREATE VIEW t AS SELECT CAST(id AS bigint) AS id, ts, s1, failed FROM kept")
    with open_job(found):
        pass


# ---- the record


NOW = datetime(2026, 6, 1, tzinfo=UTC)
VERSION = Version(3, "champion", NOW, 1, "default", ("s1",), None, NOW, None, 100, {"kind": "binary"}, "")  # type: ignore[arg-type]


def source(label: str = "y", kind: str = "number", **columns: str) -> Any:
    made = [SimpleNamespace(name=name, kind=found, type="x") for name, found in columns.items()]
    return SimpleNamespace(
        label=SimpleNamespace(name=label, kind=kind, type="x"), relation=SimpleNamespace(columns=tuple(made))
    )


@pytest.mark.parametrize(
    ("meaning", "now", "task", "told"),
    [
        (Meaning("y", "number", "binary", "1"), source(), {"positive": True}, None),  # one spelling for 1 and true
        (Meaning("y", "number", "binary", "1"), source(kind="category"), {}, "the label 'y' was a number when v3"),
        (Meaning("y", "category", "multiclass", normal="OK"), source(kind="category"), {"kind": "multiclass"}, None),
        (
            Meaning("y", "category", "multiclass", normal="OK"),
            source(kind="category"),
            {"kind": "multiclass", "normal": "scratch"},
            "[task] normal is 'scratch', and v3 takes another class",
        ),
        (Meaning("y", "number", "regression", flags=("low",)), source(), {"kind": "regression", "low": 2.0}, None),
        (
            Meaning("y", "number", "regression", flags=("low",)),
            source(),
            {"kind": "regression", "high": 2.0},
            "v3 flags values that are too low, and [task] names a bound for those that are too high",
        ),
        (Meaning("y", "number", "regression"), source(), {"kind": "regression", "high": 2.0}, None),
        (None, source(), {}, None),
        (None, source(), {"kind": "regression"}, "v3 is a binary model, and [task] kind is 'regression'"),
    ],
)
def test_what_differs_is_told(meaning: Meaning | None, now: Any, task: dict[str, Any], told: str | None) -> None:
    found = find_differences(replace(VERSION, meaning=meaning), now, config.Task.model_validate(task))
    said = [make_error(3, each).what for each in found]
    assert said == [] if told is None else len(said) == 1 and said[0].startswith(told)
    if meaning is not None:
        assert Meaning.from_json(meaning.to_json()) == meaning


KINDS = ["number", "category", "boolean", "time", "other"]


@pytest.mark.parametrize("was", KINDS)
def test_only_what_is_checked_value_by_value_may_change_its_kind(was: Any) -> None:
    meaning = Meaning("y", "number", "binary", "1", columns=(("s1", was),))
    version = replace(VERSION, meaning=meaning)
    refused = [kind for kind in KINDS if find_differences(version, source(s1=kind), config.Task())]
    allowed = {("number", "category"), ("boolean", "category"), ("boolean", "number")}
    assert refused == [kind for kind in KINDS if kind != was and (was, kind) not in allowed]
