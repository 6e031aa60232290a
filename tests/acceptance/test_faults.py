"""Bad input and faults: each names the thing and the way out, shows no secret, and never stops or loses good rows."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import literal, quoted
from jobs import LABELLED, PENDING, SENSORS, Done, Job, create, wafers
from postgres import Server

pytest_plugins = ("job_fixtures",)

long = pytest.mark.long

MakeJob = Callable[[str, str], Job]


def mentions(said: str, *words: str) -> None:
    for word in words:
        assert word in said, said


# The config


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"infer": {"batchrows": 5}}, ["unknown key 'infer.batchrows'", "did you mean 'batch_rows'?"]),
        ({"inference": {"batch_rows": 5}}, ["unknown key 'inference'", "did you mean 'infer'?"]),
        ({"check.columns.s01": {"maxi": 5}}, ["unknown key 'check.columns.s01.maxi'", "did you mean 'max'?"]),
        ({"zzz": {"port": 1}}, ["unknown key 'zzz'", "known here"]),
        ({"infer": {"batch_rows": "many"}}, ["'infer.batch_rows'", "a whole number"]),
        ({"infer": {"workers": 0}}, ["'infer.workers'", "at least 1 is needed"]),
        ({"source": {"key": "wafer"}}, ["'source.key'", "a list in brackets"]),
        ({"source": {"key": []}}, ["'source.key'", "must not be empty"]),
        ({"source": {"label": None}}, ["'source.label' is missing"]),
        ({"source": {"query": "SELECT 1"}}, ["'source'", "either 'table' or 'query'"]),
        ({"source": {"time": "failed"}}, ["'source'", "must be different columns"]),
        ({"source": {"timezone": "Mars/Olympus"}}, ["'source.timezone'", "no such time zone", "Europe/Berlin"]),
        ({"retrain": {"every": "weekly"}}, ["'retrain.every'", "'30d'"]),
        ({"retrain": {"policy": "on-change"}}, ["'retrain.policy'", "'never', 'every', 'on-drift' or 'on-loss'"]),
        ({"task": {"kind": "ranking"}}, ["'task.kind'", "'binary'"]),
        ({"model": {"estimator": "mine.py"}}, ["'model.estimator'", "'package.module:factory'"]),
        ({"source": {"url": "fab.db"}}, ["the database URL cannot be read", "sqlite:///fab.db"]),
        ({"source": {"url": "oracle://me:s3cret@fab/x"}}, ["'oracle' is not a database", "postgresql"]),
        ({"source": {"url": "sqlite://"}}, ["in-memory", "sqlite:///fab.db"]),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_right(
    make_job: MakeJob, changes: dict[str, dict[str, Any]], words: list[str]
) -> None:
    job = make_job("sqlite", "empty")
    job.configure(changes)
    mentions(job.refused("run"), *words)
    assert not (job.folder / "fab.db").exists()


def test_a_missing_config_names_the_command_that_writes_one(make_job: MakeJob) -> None:
    job = make_job("sqlite", "empty")
    (job.folder / "rowcast.toml").unlink()
    mentions(job.refused("run"), "no config at rowcast.toml", "rowcast init")
    mentions(job.refused("run", "--config", "no/such.toml"), "no config at no/such.toml")


@pytest.mark.parametrize("content", [b"[source\nurl = 1", b"name = wafers", b"name = '\xff\xfe'", None])
def test_a_config_that_is_no_toml_is_named(make_job: MakeJob, content: bytes | None) -> None:
    job = make_job("sqlite", "empty")
    path = job.folder / "rowcast.toml"
    path.unlink()
    path.mkdir() if content is None else path.write_bytes(content)
    mentions(job.refused("run"), "rowcast.toml")


def test_a_variable_that_is_not_set_is_named(make_job: MakeJob) -> None:
    job = make_job("sqlite", "empty")
    job.configure({"source": {"url": "${FAB_URL_THAT_NOBODY_SET}"}})
    mentions(job.refused("run"), "${FAB_URL_THAT_NOBODY_SET}, which is not set", "export FAB_URL_THAT_NOBODY_SET=")


@pytest.mark.parametrize(
    ("arguments", "who"),
    [
        (["run"], "rowcast.toml"),
        (["store", "copy", "--to", "${EMPTY_URL}"], "--to"),
        (["init", "--force", "--url", "${EMPTY_URL}", "--table", "wafers"], "--url"),
        (["init", "--force", "--table", "wafers"], "'rowcast init' without --url"),
        (["demo", "--dir", "fab", "--url", "${EMPTY_URL}"], "--url"),
    ],
)
def test_a_variable_that_is_empty_is_named(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, arguments: list[str], who: str
) -> None:
    job = make_job("sqlite", "empty")
    name = "EMPTY_URL" if "${EMPTY_URL}" in arguments else "ROWCAST_SOURCE_URL"
    if arguments == ["run"]:
        job.configure({"source": {"url": "${ROWCAST_SOURCE_URL}"}})
    monkeypatch.setenv(name, "")
    said = job.refused(*arguments)
    mentions(said, f"{who} uses ${{{name}}}, which is set, but empty", f"export {name}=")


@pytest.mark.parametrize(
    "arguments",
    [["init", "--force", "--url", "", "--table", "wafers"], ["demo", "--dir", "fab", "--url", ""]],
)
def test_a_url_that_is_empty_is_called_so(make_job: MakeJob, arguments: list[str]) -> None:
    mentions(make_job("sqlite", "empty").refused(*arguments), "the database URL is empty", "sqlite:///fab.db")


def test_a_file_is_named_though_the_environment_names_it_too(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job("sqlite", "empty")
    monkeypatch.setenv("ROWCAST_SOURCE_URL", f"sqlite:///{job.folder}/other.db")
    mentions(job.refused("init", "--force", "--table", "wafers"), f"there is no SQLite file {job.folder}/other.db")
    (job.folder / "other.db").touch()
    mentions(job.refused("init", "--force", "--table", "wafers"), f"no table wafers in sqlite:///{job.folder}/other.db")


def test_a_wrong_value_from_the_environment_is_named_and_not_shown(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROWCAST_INFER__WORKERS", "s3cret")
    mentions(make_job("sqlite", "empty").refused("run"), "'infer.workers'")


@pytest.mark.parametrize("arguments", [["fly"], ["run", "--fast"], ["step", "data-fatch"], ["promote", "two"]])
def test_wrong_usage_ends_with_2(make_job: MakeJob, arguments: list[str]) -> None:
    job = make_job("sqlite", "empty")
    done = job.run(*arguments)
    assert done.code == 2
    assert "Traceback" not in done.err
    assert arguments[-1].lstrip("-") in done.out + done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["watch", "--every", "0s"], ["--every 0s leaves no time"]),
        (["watch", "--every", "soon"], ["--every soon", "'90s'"]),
        (["infer", "--workers", "0"], ["--workers"]),
        (["infer", "--since", "soon"], ["--since: 'soon' is not a moment"]),
        (["run", "--as-of", "9999-12-31T23:59:59-01:00"], ["--as-of", "years 1 to 9999"]),
        (["step", "gate", "--as-of", "2026-01-01"], ["data-fetch"]),
        (["runs", "--last", "0"], ["--last"]),
        (["explain"], ["the key has 1 column: wafer"]),
        (["requeue", "--all", "--changed"], ["or else --all"]),
        (["init", "--url", "sqlite:///x.db"], ["either a table or a query"]),
        (["demo", "--sensors", "5"], ["--sensors"]),
    ],
)
def test_an_option_that_cannot_be_meant_is_wrong_usage(lite: Job, arguments: list[str], words: list[str]) -> None:
    lite.ok("step", "data-fetch") if "step" in arguments else None
    done = lite.call(*arguments)
    assert done.code == 2, done.err
    mentions(done.out + done.err, *words)


def test_debugging_alone_shows_a_traceback_and_no_secret(server: Server, make_job: MakeJob) -> None:
    job = make_job("postgresql", "empty")
    job.configure({"source": {"url": server.url("postgres", password="s3cret-but-wr0ng%2F")}})
    assert "Traceback" not in job.call("run").err
    for arguments in (("--log-level", "debug"), ("--log-level=debug",)):
        done = job.run("run", *arguments)
        assert done.code == 1
        assert "Traceback" in done.err
        assert "s3cret" not in done.out + done.err


# The source


def test_a_missing_table_is_named_with_its_database(empty: Job) -> None:
    empty.sql("CREATE TABLE wafers2 (wafer INTEGER)")
    mentions(empty.refused("run"), "there is no table wafers in ", empty.place.url.rpartition("/")[2])


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("key", ["waver"], ["no column 'waver'", "source.key", "did you mean 'wafer'?"]),
        ("time", "measured", ["no column 'measured'", "source.time", "did you mean 'measured_at'?"]),
        ("label", "outcome_zzz", ["no column 'outcome_zzz'", "source.label", "its columns begin with wafer, "]),
        ("group", "lot", ["no column 'lot'", "source.group"]),
        ("exclude", ["s1"], ["no column 's1'", "source.exclude"]),
        ("where", "sttus = 'DONE'", ["sttus"]),
        ("where", "s01 >", ["syntax error"]),
    ],
)
def test_a_missing_column_is_named_with_the_nearest(
    untrained: Job, setting: str, value: object, words: list[str]
) -> None:
    untrained.configure({"source": {setting: value}})
    mentions(untrained.refused("run"), *words)


def test_a_check_of_a_missing_column_is_named(plain: Job) -> None:
    plain.configure({"check.columns.s99": {"max": 5}})
    mentions(plain.refused("run"), "no column 's99'", "the nearest is 's0")


@pytest.mark.parametrize(
    ("name", "says", "words"),
    [
        pytest.param("s99", {"max": 5}, ["no column 's99'", "the nearest is 's0"], marks=long),
        ("note", {"nullable": False}, ["'note' cannot be applied when scoring", "no rule", "'rowcast retrain'"]),
        pytest.param(
            "s01",
            {"type": "category"},
            ["'s01' cannot be applied", "type = 'category'", "learned a number"],
            marks=long,
        ),
        pytest.param("s01", {"values": [1, 2]}, ["'s01' cannot be applied", "other 'values'"], marks=long),
        ("tool", {"values": ["A", "B"]}, ["'tool' cannot be applied", "other 'values'"]),
        pytest.param("tool", {"max": 3}, ["'tool' cannot be applied", "learned a category"], marks=long),
        ("s01", {"min": 1e9}, ["'s01'", "leave no number", "give both"]),
    ],
)
def test_a_check_that_the_champion_cannot_apply_is_refused_before_anything_is_planned(
    lite: Job, name: str, says: dict[str, Any], words: list[str]
) -> None:
    lite.sql("ALTER TABLE wafers ADD COLUMN note TEXT")
    lite.configure({f"check.columns.{name}": says})
    mentions(lite.refused("infer"), *words)
    assert lite.sql(f"SELECT count(*) AS n FROM {lite.table('batch')}") == [{"n": 0}]
    lite.ok("step", "data-fetch")
    mentions(lite.refused("step", "inference"), *words)


def test_a_check_is_applied_by_the_model_that_learned_it(lite: Job) -> None:
    lite.estimator("quick", **{"check.columns.tool": {"values": ["A", "B"]}, "check": {"max_quarantine": 0.5}})
    lite.refused("infer")
    lite.ok("retrain")
    assert lite.call("promote", "2").code == 0
    assert lite.ok("infer")["quarantined"] > 0


def test_a_query_that_is_wrong_is_told_by_the_database(untrained: Job) -> None:
    untrained.configure({"source": {"table": None, "query": "SELECT wafer FRUM wafers"}}, name="wafers")
    mentions(untrained.refused("run"), "syntax error")


def test_a_column_that_the_model_needs_and_is_gone_stops_before_anything_is_written(trained: Job) -> None:
    feature = trained.ok("models", "--json")["models"][0]["features"][0]
    trained.sql(f"ALTER TABLE wafers DROP COLUMN {feature}")
    mentions(trained.refused("infer"), f"no longer has column '{feature}'", "'rowcast retrain'")
    assert trained.counts() == (0, LABELLED, 0, 0, PENDING)
    assert trained.sql(f"SELECT status FROM {trained.table('run')} ORDER BY run_id")[-1] == {"status": "failed"}


def test_another_source_under_a_taken_name_is_refused(trained: Job) -> None:
    trained.place.keep("others", "wafers")
    trained.configure({"source": {"table": "others"}}, name="wafers")
    for command in ("run", "infer", "audit", "status"):
        said = trained.refused(command)
        mentions(said, "the job name 'wafers' is taken by another source: wafers (this one is others)", "'name'")


def test_another_key_under_the_same_name_is_refused_with_the_way_out(untrained: Job) -> None:
    untrained.estimator("quick")
    untrained.ok("run")
    for key in (["tool", "wafer"], ["tool"]):
        untrained.configure({"source": {"key": key}})
        for command in ("run", "audit", "explain"):
            said = untrained.refused(command)
            mentions(said, f"keeps its rows by the key wafer; rowcast.toml says {', '.join(key)}", "restore source.key")
    untrained.configure({"source": {"key": ["wafer"]}})
    assert untrained.ok("infer")["scored"] == 0


def test_the_order_of_key_columns_is_part_of_the_key(untrained: Job) -> None:
    untrained.configure({"source": {"key": ["tool", "wafer"]}})
    untrained.ok("runs", "--json")
    untrained.configure({"source": {"key": ["wafer", "tool"]}})
    mentions(untrained.refused("run"), "by the key tool, wafer; rowcast.toml says wafer, tool")


def test_a_key_column_with_a_name_of_our_own_is_refused_with_the_way_out(plain: Job) -> None:
    plain.sql("ALTER TABLE wafers RENAME COLUMN wafer TO score")
    plain.configure({"source": {"key": ["score"]}})
    mentions(plain.refused("run"), "'score'", "'query'", "score AS my_score")


# Keys and times


def test_rows_without_a_key_or_with_a_repeated_one_are_counted_and_the_others_scored(empty: Job) -> None:
    create(empty.place, key="INTEGER")
    rows = [*wafers(1, LABELLED, True), *wafers(301, PENDING, False)]
    again = [{**rows[350], "s01": 9.5}, {**rows[350], "s01": -9.5}, {**rows[10], "s01": 0.5}]
    keyless = [{**rows[360], "wafer": None}, {**rows[370], "wafer": None}]
    empty.add([*rows, *again, *keyless])
    empty.estimator("quick")
    assert empty.ok("run")["scored"] == PENDING - 1
    assert empty.counts() == (7, LABELLED - 1, PENDING - 1, 0, 0)
    assert 351 not in empty.scores()
    found = empty.ok("explain", "351", "--json")
    assert (found["state"], found["why"]) == ("unusable", "its key is repeated")
    empty.sql("DELETE FROM wafers WHERE wafer = 351 AND s01 IN (9.5, -9.5)")
    assert empty.ok("infer")["scored"] == 1
    assert empty.counts() == (4, LABELLED - 1, PENDING, 0, 0)


def test_text_keys_that_differ_in_case_or_trailing_blanks_are_different_rows(system: str, make_job: MakeJob) -> None:
    job = make_job(system, "empty")
    create(job.place, key="TEXT PRIMARY KEY")
    keys = ["a", "A", "a ", "a  ", "ä", "Ä", "", " ", "a\t", "0", "00", "1e0", "NULL", "x'--", 'x"', "%s", ":a", "{a}"]
    keys += ["'; DROP TABLE wafers; --", '["a"]', "ﬁ", "fi", "日本", "e\u0301", "é", "\\", "\\'", "a\nb", "$1", "?"]
    job.add([{**row, "wafer": f"w{row['wafer']:04d}"} for row in wafers(1, LABELLED, True)])
    job.add([{**row, "wafer": key} for row, key in zip(wafers(301, len(keys), False), keys, strict=True)])
    job.estimator("quick", infer={"batch_rows": 7})
    assert job.ok("run")["scored"] == len(keys)
    assert job.counts() == (0, LABELLED, len(keys), 0, 0)
    assert set(job.scores()) == set(keys)
    assert job.ok("run")["scored"] == 0
    for key in ("a", "A", "a ", "'; DROP TABLE wafers; --", "a\nb"):
        found = job.call("explain", key, "--json").json
        assert (found["state"], found["score"]) == ("scored", job.scores()[key]), found
        assert found["reproduced"], (found["score"], found["again"])  # by itself as among others


@pytest.mark.long
def test_keys_that_the_column_itself_holds_for_equal_are_repeated(make_job: MakeJob) -> None:
    job = make_job("sqlite", "empty")
    create(job.place, key="TEXT COLLATE NOCASE")
    job.add([{**row, "wafer": f"w{row['wafer']:04d}"} for row in wafers(1, LABELLED, True)])
    job.add([{**row, "wafer": key} for row, key in zip(wafers(301, 4, False), ["a", "A", "b", "c "], strict=True)])
    job.estimator("quick")
    assert job.ok("run")["scored"] == 2
    assert job.counts() == (2, LABELLED, 2, 0, 0)


@pytest.mark.long
def test_blank_padded_keys_are_scored_once(make_job: MakeJob) -> None:
    job = make_job("postgresql", "empty")
    create(job.place, key="char(5) PRIMARY KEY")
    job.add([{**row, "wafer": f"w{row['wafer']}"} for row in wafers(1, LABELLED, True)])
    job.add([{**row, "wafer": key} for row, key in zip(wafers(301, 3, False), ["a", "A  ", "b c"], strict=True)])
    job.estimator("quick")
    assert job.ok("run")["scored"] == 3
    assert job.ok("run")["scored"] == 0
    assert job.ok("explain", "A", "--json")["state"] == "scored"
    assert job.counts() == (0, LABELLED, 3, 0, 0)


@pytest.mark.long
def test_huge_integers_are_keys_like_others(empty: Job) -> None:
    huge = [2**53 + 1, 2**53 + 2, 2**63 - 1, -(2**63), -1, 0]
    create(empty.place, "INTEGER PRIMARY KEY" if empty.place.is_sqlite else "BIGINT PRIMARY KEY")
    empty.add([*wafers(1, LABELLED, True), *wafers(LABELLED + 1, PENDING, False)])
    empty.estimator("quick", retrain={"policy": "never"})
    empty.ok("retrain")
    spelled = [{**row, "wafer": key} for row, key in zip(wafers(301, len(huge), False), huge, strict=True)]
    columns = [name for name in spelled[0] if name != "wafer"]
    for row in spelled:  # the least integer cannot be written as a literal: its minus is an operator
        values = ", ".join(literal(row[name]) for name in columns)
        key = "-9223372036854775807 - 1" if row["wafer"] == -(2**63) else row["wafer"]
        empty.sql(f"INSERT INTO wafers (wafer, {', '.join(columns)}) VALUES ({key}, {values})")
    empty.estimator("quick", retrain={"policy": "never"}, infer={"batch_rows": 9})
    assert empty.ok("infer")["scored"] == PENDING + len(huge)
    assert set(huge) <= set(empty.scores())
    assert empty.counts() == (0, LABELLED, PENDING + len(huge), 0, 0)
    assert empty.ok("explain", str(2**53 + 1), "--json")["state"] == "scored"


def test_rows_whose_time_is_no_point_in_time_are_unusable_and_old_ones_out_of_scope(trained: Job) -> None:
    if trained.place.is_sqlite:
        wrong = [None, "soon", "2026-13-45", "99999-01-01", "", "12:00"]
    elif trained.place.is_mssql:
        wrong = [None, "0001-01-01 00:00:00Z", "9999-12-31 23:00:00Z"]
    else:
        wrong = [None, "infinity", "-infinity", "99999-01-01", "0044-03-15 BC"]
    old = ["1899-12-31 23:59:59Z", "1850-06-01", "0900-01-01 00:00:00Z"]
    extra = wafers(401, len(wrong) + len(old), False)
    trained.add([{**row, "measured_at": time} for row, time in zip(extra, [*wrong, *old], strict=True)])
    assert trained.ok("run")["scored"] == PENDING
    assert trained.counts() == (len(wrong), LABELLED + len(old), PENDING, 0, 0)
    assert trained.ok("explain", "401", "--json")["why"] == "its time is not a point in time"


@pytest.mark.long
def test_training_rows_from_before_1900_are_the_oldest(untrained: Job) -> None:
    untrained.sql("UPDATE wafers SET measured_at = '1815-12-10 10:00:00Z' WHERE wafer <= 5")
    untrained.estimator("quick")
    assert untrained.ok("run")["scored"] == PENDING
    assert untrained.ok("models", "--json")["models"][0]["trained_from"].startswith("1815-12-10T10:00:00")


def test_ties_in_time_are_kept_together_and_scored_once(untrained: Job) -> None:
    for day, (first, last) in enumerate([(1, 150), (151, 200), (201, 250), (251, 300), (301, 400)], 1):
        untrained.sql(
            f"UPDATE wafers SET measured_at = '2026-01-0{day} 00:00:00Z' WHERE wafer BETWEEN {first} AND {last}"
        )
    untrained.estimator("quick", infer={"batch_rows": 33})
    assert untrained.ok("run")["scored"] == PENDING
    assert untrained.counts() == (0, LABELLED, PENDING, 0, 0)
    untrained.add([{**wafers(401, 1, False)[0], "measured_at": "2026-01-05 00:00:00Z"}])
    assert untrained.ok("run")["scored"] == 1


def test_one_time_for_all_rows_cannot_be_validated_and_says_so(plain: Job) -> None:
    plain.sql("UPDATE wafers SET measured_at = '2026-01-01'")
    plain.estimator("quick")
    mentions(plain.refused("run"), "cannot be validated in time order", "[source] time has many values")


def test_zoned_and_zoneless_times_are_instants(trained: Job) -> None:
    # noon UTC is 13:00 in Berlin in winter
    zoned = ["2026-02-01 12:00:00Z", "2026-02-01T12:00:00+00:00", "2026-02-01 05:00:00-07:00", "2026-02-01T17:30+05:30"]
    later = ["2026-02-01 12:00:01Z", "2026-02-01 13:30:00+01:00"]
    zoneless, zoneless_later = ["2026-02-01 13:00:00", "2026-02-01T12:59"], ["2026-02-01 13:00:01"]
    if trained.place.is_mssql:
        trained.sql(
            "UPDATE wafers SET measured_at = SWITCHOFFSET(measured_at, '+01:00')",
            "ALTER TABLE wafers ALTER COLUMN measured_at datetime2(6)",
        )
        zoned, later = [], []
    elif not trained.place.is_sqlite:
        trained.sql(
            "ALTER TABLE wafers ALTER measured_at TYPE timestamp USING measured_at AT TIME ZONE 'Europe/Berlin'"
        )
        zoned, later = [], []
    else:
        zoned += ["1769947200", "1769947200.0"]
    trained.configure({"source": {"timezone": "Europe/Berlin"}})
    times = [*zoned, *zoneless, *later, *zoneless_later]
    trained.add([{**row, "measured_at": t} for row, t in zip(wafers(401, len(times), False), times, strict=True)])
    usable = len(zoned) - (1 if trained.place.is_sqlite else 0)  # a text of digits is a time, one with decimals is not
    assert trained.ok("infer", "--as-of", "2026-02-01T12:00:00Z")["scored"] == PENDING + usable + len(zoneless)
    assert trained.ok("infer", "--as-of", "2026-02-01T13:00:00")["scored"] == 0  # without a zone it is Berlin's
    assert trained.ok("infer")["scored"] == len(later) + len(zoneless_later)
    assert trained.counts()[-1] == 0


# Labels


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("failed = 0 WHERE failed = 1", ["no label is the one that [task] positive names", "[task] positive to"]),
        pytest.param(
            "failed = 1 WHERE failed = 0",
            ["the label has 1 value", "wait until both outcomes have been seen"],
            marks=long,
        ),
        pytest.param("failed = NULL", ["no row has a known label yet", "[source] label"], marks=long),
        ("failed = NULL WHERE wafer > 49", ["49 labelled rows are too few", "[model] min_train_rows"]),
        ("failed = 2 WHERE wafer < 60", ["the label has 3 values", "multiclass"]),
        pytest.param(
            "failed = 0 WHERE wafer > 8",
            ["are of one class: 10 are needed of each class", "wait for more labels"],
            marks=long,
        ),
        pytest.param("s01 = NULL, s02 = NULL", None, marks=long),
    ],
)
def test_labels_that_cannot_be_learned_from_are_named(untrained: Job, change: str, words: list[str] | None) -> None:
    labelled = f"{change} AND failed IS NOT NULL" if "WHERE" in change else f"{change} WHERE failed IS NOT NULL"
    untrained.sql(f"UPDATE wafers SET {labelled}")
    if words is None:
        untrained.estimator("quick")
        assert untrained.ok("run")["scored"] == PENDING  # without what matters it is a bad model, not a fault
        return
    mentions(untrained.refused("run"), *words)
    assert untrained.counts() == (0, LABELLED + PENDING, 0, 0, 0)
    [run] = untrained.ok("runs", "--json")
    assert run["status"] == "failed"
    assert words[0] in run["error"]


def test_labels_in_text_are_told_and_accepted_once_the_positive_one_is_named(empty: Job) -> None:
    create(empty.place, label="TEXT")
    rows = [*wafers(1, LABELLED, True), *wafers(301, PENDING, False)]
    empty.add([{**row, "failed": {1: "fail", 0: "pass", None: None}[row["failed"]]} for row in rows])
    empty.estimator("quick")
    mentions(empty.refused("run"), "no label is the one that [task] positive names", "'rowcast runs' say more")
    assert empty.ok("runs", "--json")[0]["error"].startswith(
        "no label is the one that [task] positive names: it names 1, and the labels are 'pass' in "
    )
    empty.estimator("quick", task={"positive": "fail"})
    assert empty.ok("run")["scored"] == PENDING
    predicted = {row["predicted"] for row in empty.sql(f"SELECT predicted FROM {empty.table('wafers_prediction')}")}
    assert predicted == {"pass", "fail"}


def test_an_empty_table_says_that_there_are_no_labels(empty: Job) -> None:
    create(empty.place)
    mentions(empty.refused("run"), "no row has a known label yet")
    assert empty.counts() == (0, 0, 0, 0, 0)


def test_a_table_emptied_after_training_is_nothing_new(trained: Job) -> None:
    trained.sql("DELETE FROM wafers")
    assert trained.ok("run")["note"] == "nothing new to score"
    assert trained.counts() == (0, 0, 0, 0, 0)


def test_a_table_without_any_feature_is_named(plain: Job) -> None:
    plain.configure({"source": {"exclude": [*SENSORS, "tool"]}})
    mentions(plain.refused("run"), "[source] exclude")


# Values


def test_bad_values_are_set_aside_with_their_reasons_and_good_rows_go_on(trained: Job) -> None:
    feature, other = trained.ok("models", "--json")["models"][0]["features"][:2]
    expected = {304: "max", 305: "min"}
    values = {304: "1e30", 305: "-1e30"}
    if not trained.place.is_mssql:  # whose floats are all finite
        infinite = ("9e999", "-9e999") if trained.place.is_sqlite else ("'infinity'", "'-infinity'")
        values |= dict(zip((302, 303), infinite, strict=True))
        expected |= {302: "finite", 303: "finite"}
    if trained.place.is_sqlite:
        values |= {306: "'n/a'", 307: "x'00ff'", 308: "' 0.5 '", 309: "''", 310: "9223372036854775807"}
        expected |= {306: "type", 307: "type", 310: "max"}
    elif trained.place.is_mssql:
        values |= {307: "NULL"}
    else:
        values |= {306: "'NaN'", 307: "NULL"}
    for wafer, value in values.items():
        trained.sql(f"UPDATE wafers SET {feature} = {value} WHERE wafer = {wafer}")
    trained.sql(f"UPDATE wafers SET {other} = NULL, tool = '''; DROP TABLE wafers; --' WHERE wafer = 320")
    trained.configure({"infer": {"batch_rows": 1000}})
    found = trained.ok("infer")
    assert (found["scored"], found["quarantined"]) == (PENDING - len(expected), len(expected))
    assert trained.reasons() == {wafer: [(feature, rule)] for wafer, rule in expected.items()}
    assert trained.counts() == (0, LABELLED, PENDING - len(expected), len(expected), 0)
    assert f"{feature}: max" in found["set_aside_for"]
    if trained.place.is_sqlite:
        [row] = trained.sql(f"SELECT reasons, row_values FROM {trained.table('wafers_quarantine')} WHERE wafer = 306")
        mentions(row["reasons"], '"n/a"')
        mentions(row["row_values"], f'"{feature}": "n/a"')


def test_bad_values_among_the_training_rows_are_dropped_and_counted(plain: Job) -> None:
    plain.sql(
        "UPDATE wafers SET s01 = 'broken' WHERE wafer IN (5, 250)", "UPDATE wafers SET s02 = 9e999 WHERE wafer = 6"
    )
    plain.estimator("quick")
    found = plain.ok("run")
    assert found["scored"] == PENDING
    assert plain.ok("models", "--json")["models"][0]["rows"] == LABELLED - 3
    bad = f"SELECT value FROM {plain.table('metric')} WHERE step = 'data-check' AND name = 'bad_rows'"
    assert plain.sql(bad) == [{"value": 3.0}]


def test_numbers_kept_as_text_are_read_where_the_config_says_so(empty: Job) -> None:
    create(empty.place)
    empty.sql("DROP TABLE wafers")
    time = "TEXT" if empty.place.is_sqlite else "timestamptz"
    sensors = ", ".join(f"{name} TEXT" for name in SENSORS)
    empty.sql(
        f"CREATE TABLE wafers (wafer INTEGER PRIMARY KEY, measured_at {time}, {sensors}, tool TEXT, failed INTEGER)"
    )
    rows = [*wafers(1, LABELLED, True), *wafers(301, PENDING, False)]
    as_text = [{**row, **{name: f" {row[name]}" for name in SENSORS}} for row in rows]
    spelled = {310: "1e-1", 311: "", 312: "  ", 313: "NaN", 320: "abc", 321: "1,5", 322: "inf", 323: "0x10", 324: "1_0"}
    for row in as_text:
        row["s01"] = spelled.get(row["wafer"], row["s01"])
    empty.add(as_text)
    numbers = {f"check.columns.{name}": {"type": "number"} for name in SENSORS}
    empty.estimator("quick", infer={"batch_rows": 1000}, **numbers)
    assert empty.ok("run")["quarantined"] == 5
    rule = {wafer: [("s01", "finite" if wafer == 322 else "type")] for wafer in (320, 321, 322, 323, 324)}
    assert empty.reasons() == rule
    assert empty.counts() == (0, LABELLED, PENDING - 5, 5, 0)


@pytest.mark.parametrize("composite", [pytest.param(False, marks=long), True])
def test_names_with_quotes_spaces_brackets_umlauts_and_sql_are_only_names(
    system: str, make_job: MakeJob, composite: bool
) -> None:
    job = make_job(system, "empty")
    job.place.deviates("it reads names of such signs otherwise")
    create(job.place)
    job.add([*wafers(1, LABELLED, True), *wafers(301, PENDING, False)])
    table = 'Prüf "Wafer" [tab]; DROP x'
    names = {
        "wafer": 'wafer "id"; --',
        "measured_at": "gemessen (um)",
        "failed": "fällt aus?",
        "s01": "s[1] :x %s {y}",
        "s02": "' OR '1'='1",
        "s03": "select",
        "s04": "a.b",
        "s05": "Größe µm²",
        "s06": "S06",
        "s07": "50%",
        "s08": "back\\slash",
        "tool": "Anlage\u00a0Nr",
    }
    job.sql(*[f"ALTER TABLE wafers RENAME COLUMN {old} TO {quoted(new)}" for old, new in names.items()])
    job.sql(f"ALTER TABLE wafers RENAME TO {quoted(table)}")
    key = [names["wafer"], names["s06"]] if composite else [names["wafer"]]
    job.estimator(
        "quick",
        source={"table": table, "key": key, "time": names["measured_at"], "label": names["failed"]},
        **{f"check.columns.{quoted(names['s01']).replace(chr(92), chr(92) * 2)}": {"max": 1e9}},
    )
    assert job.ok("run")["scored"] == PENDING
    assert job.counts() == (0, LABELLED, PENDING, 0, 0)
    alike = " AND ".join(f"p.{quoted(name)} = w.{quoted(name)}" for name in key)
    prediction = job.table(table + "_prediction")
    found = job.sql(f"SELECT count(*) AS n FROM {quoted(table)} AS w JOIN {prediction} AS p ON {alike}")
    assert found == [{"n": PENDING}]
    assert job.ok("run")["scored"] == 0
    assert job.call("ddl").code == 0


@pytest.mark.long
def test_a_table_of_a_thousand_columns_and_more_is_trained_on_and_scored(empty: Job) -> None:
    wide = 1000 if empty.place.is_mssql else 1500  # it takes 1,024
    columns = ", ".join(f"c{number} real" for number in range(wide))
    # any values that differ between columns and rows; c0 decides
    values = ", ".join(f"((n * {7 + 2 * number} + {number}) % 101) / 101.0" for number in range(wide))
    empty.sql(
        "CREATE TABLE r (n INTEGER)", f"CREATE TABLE wafers (wafer INTEGER PRIMARY KEY, failed INTEGER, {columns})"
    )
    empty.place.fill("r", n=list(range(1, 201)))
    empty.sql(
        f"INSERT INTO wafers"
        f" SELECT n, CASE WHEN n <= 150 THEN CASE WHEN (n * 7) % 101 > 70 THEN 1 ELSE 0 END END, {values} FROM r",
    )
    empty.estimator("quick", source={"time": None}, model={"estimator": "mine:quick", "max_features": 10})
    found = empty.ok("run")
    assert (found["scored"], found["quarantined"]) == (50, 0)
    assert empty.counts() == (0, 150, 50, 0, 0)
    [model] = empty.ok("models", "--json")["models"]
    assert len(model["features"]) == 10


# Too large a share of bad rows


def test_too_many_bad_rows_stop_the_run_before_they_are_published_and_may_be_accepted(trained: Job) -> None:
    spoiled = ", ".join(f"{name} = 1e30" for name in SENSORS)
    trained.sql(f"UPDATE wafers SET {spoiled} WHERE wafer BETWEEN 341 AND 370")
    mentions(
        trained.refused("infer"),
        "30 of 80 rows break the contract (37.5%; max_quarantine is 10.0%): nothing of this batch was published",
        "most often s",
        "'rowcast infer --accept-quarantine'",
    )
    assert trained.counts() == (0, LABELLED, 40, 0, 60)
    assert trained.call("infer").code == 1  # nothing changed by itself
    found = trained.ok("infer", "--accept-quarantine")
    assert (found["scored"], found["quarantined"]) == (30, 30)
    assert trained.counts() == (0, LABELLED, 70, 30, 0)
    assert set(trained.reasons()) == set(range(341, 371))


def test_no_bad_row_at_all_may_be_asked_for(lite: Job) -> None:
    feature = lite.ok("models", "--json")["models"][0]["features"][0]
    lite.sql(f"UPDATE wafers SET {feature} = 1e30 WHERE wafer = 400")
    lite.configure({"check": {"max_quarantine": 0.0}})
    mentions(lite.refused("infer"), "1 of 100 rows break the contract", f"{feature}: max")
    assert lite.counts() == (0, LABELLED, 80, 0, 20)


# Databases


def test_a_database_that_is_away_is_named(make_job: MakeJob) -> None:
    job = make_job("postgresql", "empty")
    job.configure({"source": {"url": "postgresql://fab:s3cret%2F%40%3A%25word@127.0.0.1:1/fab"}})
    for command in ("run", "infer", "audit", "status"):
        mentions(job.refused(command), "postgresql://127.0.0.1:1/fab", "check host, port and database")


def test_a_missing_database_is_named(server: Server, make_job: MakeJob) -> None:
    job = make_job("postgresql", "empty")
    job.configure({"source": {"url": server.url("nowhere")}})
    mentions(job.refused("run"), 'database "nowhere" does not exist', "check the database's name")


@pytest.mark.parametrize("password", [pytest.param("s3cret-wr0ng", marks=long), "s3cret%2Fwr%40ng%25", ""])
def test_a_wrong_password_is_not_shown(server: Server, make_job: MakeJob, password: str) -> None:
    job = make_job("postgresql", "empty")
    job.configure({"source": {"url": server.url("postgres", password=password)}})
    mentions(job.refused("run"), "postgresql://127.0.0.1:", "url")


def test_a_url_from_the_environment_is_never_printed_or_logged(
    make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job("postgresql", "trained")
    monkeypatch.setenv("ROWCAST_SOURCE_URL", job.place.url)
    job.configure({"source": {"url": "${ROWCAST_SOURCE_URL}"}})
    done = job.call("run", "--log-level", "debug")
    assert done.code == 0, done.err
    job.sql("ALTER TABLE wafers RENAME TO away")
    failed = job.call("run")
    job.refused(done=failed)
    looked = [job.call(command) for command in ("doctor", "status")]
    job.shows_no_secret(done, failed, *looked)
    kept = [str(job.sql(f"SELECT * FROM {job.table(name)}")) for name in ("run", "step", "job", "batch")]
    assert not any("s3cret" in text for text in kept)


@pytest.mark.long
def test_without_the_right_to_create_tables_ddl_is_named_and_is_the_way_on(server: Server, make_job: MakeJob) -> None:
    job = make_job("postgresql", "untrained")
    job.sql(
        "DROP ROLE IF EXISTS clerk",
        "CREATE ROLE clerk LOGIN PASSWORD 's3cret'",
        "GRANT SELECT ON wafers TO clerk",
    )
    try:
        job.estimator("quick", source={"url": server.url(job.place.url.rpartition("/")[2], "clerk", "s3cret")})
        mentions(job.refused("run"), "may not create its tables", "permission denied", "'rowcast ddl'")
        statements = job.call("ddl")
        assert statements.code == 0, statements.err
        job.sql(*[part for part in statements.out.split(";\n") if part.strip()])
        job.sql(
            "GRANT USAGE ON SCHEMA rowcast TO clerk",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA rowcast TO clerk",
        )
        assert job.ok("run")["scored"] == PENDING
        assert job.counts() == (0, LABELLED, PENDING, 0, 0)
    finally:
        job.sql("DROP OWNED BY clerk", "DROP ROLE clerk")


def test_a_table_that_may_not_be_read_is_named(server: Server, make_job: MakeJob) -> None:
    job = make_job("postgresql", "untrained")
    job.sql("DROP ROLE IF EXISTS stranger", "CREATE ROLE stranger LOGIN PASSWORD 's3cret'")
    job.sql("GRANT CREATE ON DATABASE " + job.place.url.rpartition("/")[2] + " TO stranger")
    try:
        job.configure({"source": {"url": server.url(job.place.url.rpartition("/")[2], "stranger", "s3cret")}})
        mentions(job.refused("run"), "permission denied for table wafers")
    finally:
        job.sql("DROP OWNED BY stranger", "DROP ROLE stranger")


def test_a_connection_that_breaks_in_a_batch_is_made_anew(make_job: MakeJob) -> None:
    job = make_job("postgresql", "trained")
    job.sql(
        "CREATE SEQUENCE cuts",  # what it has counted outlives the transaction
        "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF NEW.wafer = 350 AND nextval('cuts') <= 2 THEN"
        " PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END $$",
        f"CREATE TRIGGER cut BEFORE INSERT ON {job.table('wafers_prediction')} FOR EACH ROW EXECUTE FUNCTION cut()",
    )
    done = job.run("infer")
    assert (done.code, done.json["scored"]) == (0, PENDING)
    again = [event for event in done.events if event["event"] == "trying again"]
    assert len(again) == 2
    mentions(again[0]["error"], "terminating connection")
    assert figure(job, "inference", "retries") == 2
    assert job.counts() == (0, LABELLED, PENDING, 0, 0)


def figure(job: Job, step: str, name: str) -> float:
    """A figure that the newest run kept."""
    table = job.table("metric")
    [found] = job.sql(
        f"SELECT value FROM {table} WHERE step = '{step}' AND name = '{name}'"
        f" AND run_id = (SELECT max(run_id) FROM {table})"
    )
    value: float = found["value"]
    return value


def test_a_missing_file_or_one_that_is_not_sqlite_is_named(make_job: MakeJob) -> None:
    job = make_job("sqlite", "empty")
    mentions(job.refused("run"), f"there is no SQLite file {job.folder / 'fab.db'}", "folder of rowcast.toml")
    (job.folder / "fab.db").write_bytes(b"wafer,failed\n1,0\n" * 100)
    mentions(job.refused("run"), "fab.db", "not SQLite")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter."""
    with tempfile.TemporaryDirectory(prefix="rowcast-open-") as name:
        os.chmod(name, 0o755)
        yield Path(name)
        os.chmod(name, 0o755)


# Permissions do not bind root, and nobody may not be able to start Python: rights are given up once all is imported.
AS_NOBODY = """
import os, sys
from rowcast.cli import main
main(["infer", "--config", sys.argv[1]])
os.geteuid() or os.seteuid(65534)
sys.exit(main(["infer", "--config", sys.argv[2]]))
"""


@pytest.mark.long
def test_a_read_only_file_is_named_and_nothing_is_lost(make_job: MakeJob, open_folder: Path) -> None:
    warm, job = make_job("sqlite", "trained"), make_job("sqlite", "trained")
    database = open_folder / "fab.db"
    shutil.copy(job.folder / "fab.db", database)
    job.configure({"source": {"url": f"sqlite:///{database}"}})
    config = Path(shutil.copy(job.folder / "rowcast.toml", open_folder / "rowcast.toml"))
    for path, mode in ((database, 0o444), (config, 0o444), (open_folder, 0o555)):
        path.chmod(mode)
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(warm.folder / "rowcast.toml"), str(config)],
        capture_output=True, text=True, cwd=open_folder, env=warm.environment(), timeout=600,
    )  # fmt: skip
    assert warm.counts()[2] == PENDING, done.stderr
    said = job.refused(done=Done(done.returncode, done.stdout, done.stderr))
    mentions(said, f"sqlite:///{database}", "read-only for this user")
    assert "pipeline.log cannot be written" in done.stderr
    assert job.sql(f"SELECT count(*) AS n FROM {job.table('wafers_prediction')}") == [{"n": 0}]


@pytest.mark.long
def test_a_full_disk_is_named_and_the_next_run_scores_what_is_left(lite: Job) -> None:
    def narrow() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    lite.configure({"infer": {"batch_rows": 10}})
    done = lite.run("infer", preexec_fn=narrow)
    mentions(lite.refused(done=done), f"sqlite:///{lite.folder / 'fab.db'}", "full")
    _, _, scored, _, pending = lite.counts()
    assert scored + pending == PENDING
    assert pending > 0
    lite.call("infer")
    assert lite.counts() == (0, LABELLED, PENDING, 0, 0)


# Users' estimators


ESTIMATOR_FAULTS = {
    "raising": ["estimator 'mine:raising' raised in fit", "y as 0 and 1"],
    "misshapen": ["sklearn.mixture._gaussian_mixture.GaussianMixture, which is not on the allow-list"],
    "blind": ["Pipeline of PCA raised while scoring"],
    "unlisted": ["mine.Own", "not on the allow-list", "scikit-learn's own classes"],
    "impossible": ["estimator 'mine:impossible' cannot be built", "takes no arguments"],
    "leaving": ["estimator 'mine:leaving' cannot be built"],
    "nothing": ["estimator 'mine:nothing'"],
    "absent": ["module 'mine' has no 'absent'", "package.module:factory"],
}


@pytest.mark.parametrize("factory", ESTIMATOR_FAULTS)
def test_an_estimator_at_fault_is_named(plain: Job, factory: str) -> None:
    plain.estimator(factory)
    mentions(plain.refused("run"), *ESTIMATOR_FAULTS[factory])
    if factory == "impossible":
        assert "no licence for this model" in plain.ok("runs", "--json")[0]["error"]
    assert plain.counts() == (0, LABELLED + PENDING, 0, 0, 0)


# In fitting, and where it leaves the process: the others fail in the same places.
USUAL_FAULTS = ("raising", "leaving")


@pytest.mark.parametrize(
    "factory", [pytest.param(each, marks=() if each in USUAL_FAULTS else pytest.mark.long) for each in ESTIMATOR_FAULTS]
)
def test_beside_an_estimator_at_fault_the_champion_goes_on_scoring(lite: Job, factory: str) -> None:
    lite.sql("UPDATE wafers SET failed = s01 + s02 > 1 WHERE wafer <= 330")
    lite.estimator(factory)
    done = lite.call("run")
    assert done.code == 1
    lite.shows_no_secret(done)
    assert (done.json["status"], done.json["scored"], done.json["champion"]) == ("partial", PENDING, "v1")
    mentions(done.json["error"], ESTIMATOR_FAULTS[factory][0])
    assert lite.counts() == (0, LABELLED, PENDING, 0, 0)
    assert lite.ok("runs", "--json")[0]["status"] == "partial"


def test_an_estimator_whose_package_is_missing_is_named(lite: Job) -> None:
    lite.configure({"model": {"estimator": "no_such_package.models:best"}})
    mentions(lite.refused("retrain"), "'no_such_package.models:best' cannot be imported", "PYTHONPATH")


def test_labels_that_became_useless_keep_no_champion_from_scoring(trained: Job) -> None:
    trained.sql("UPDATE wafers SET failed = 2 WHERE wafer BETWEEN 301 AND 320")
    trained.estimator("quick")
    done = trained.call("run")
    assert (done.code, done.json["status"], done.json["scored"]) == (1, "partial", PENDING)
    mentions(done.json["error"], "the label has 3 values")
    resumed = trained.call("resume")
    assert (resumed.code, resumed.json["status"], resumed.json["scored"]) == (1, "partial", 0)
    mentions(trained.ok("run")["retrain"], "not tried again before", "the last try failed: 'rowcast runs ")
    trained.sql("UPDATE wafers SET failed = 1 WHERE wafer BETWEEN 301 AND 320")
    assert trained.ok("retrain")["status"] == "done"


# Models


def test_a_model_whose_bytes_were_changed_is_refused_by_name_and_another_is_a_way_on(trained: Job) -> None:
    model = trained.table("model")
    [columns] = [list(row) for row in trained.sql(f"SELECT * FROM {model}")]
    names = ", ".join(quoted(name) for name in columns)
    for version in (2, 3):
        values = names.replace('"version"', str(version)).replace('"status"', "'challenger'")
        trained.sql(f"INSERT INTO {model} ({names}) SELECT {values} FROM {model} WHERE version = 1")
    trained.call("promote", "2", "--by", "Ada")
    if trained.place.is_sqlite:
        changed = "CAST(substr(artifact, 1, 99) || x'07' || substr(artifact, 101) AS BLOB)"
    elif trained.place.is_mssql:
        changed = "SUBSTRING(artifact, 1, 99) + 0x07 + SUBSTRING(artifact, 101, DATALENGTH(artifact))"
    else:
        changed = "set_byte(artifact, 99, get_byte(artifact, 99) # 7)"
    trained.sql(f"UPDATE {model} SET artifact = {changed} WHERE version IN (2, 3)")
    said = trained.refused("infer")
    mentions(said, "model v2 of job 'wafers' was changed in the store", "SHA-256", "'rowcast rollback'")
    assert trained.counts() == (0, LABELLED, 0, 0, PENDING)
    assert trained.sql(f"SELECT * FROM {trained.table('batch')}") == []
    mentions(trained.refused("promote", "3", "--by", "Ada"), "model v3")
    assert trained.call("status", "--json").json["champion"] == "v2"
    assert "v1 is champion" in trained.call("rollback", "--by", "Ada").out
    assert trained.ok("infer")["scored"] == PENDING
    assert trained.counts() == (0, LABELLED, PENDING, 0, 0)


def test_a_changed_model_with_a_checksum_to_match_is_still_no_model(lite: Job) -> None:
    lite.sql(
        f"UPDATE {lite.table('model')} SET artifact = x'00', artifact_sha256 ="
        " '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d'"
    )
    mentions(lite.refused("infer"), "model v1 of job 'wafers'")
    assert lite.counts() == (0, LABELLED, 0, 0, PENDING)


def test_a_lost_column_stops_even_a_run_that_would_find_nothing_new(trained: Job) -> None:
    trained.ok("infer")
    trained.sql("ALTER TABLE wafers RENAME COLUMN s01 TO lost")
    mentions(trained.refused("infer"), "no longer has column 's01'", "give it back")


def test_promoting_the_champion_again_is_refused_by_name(trained: Job) -> None:
    mentions(trained.refused("promote", "1", "--by", "Ada"), "v1 is champion already", "rowcast models")


def test_names_that_rowcast_itself_uses_are_refused_as_a_key_with_a_way_out(lite: Job) -> None:
    lite.sql("ALTER TABLE wafers RENAME COLUMN wafer TO gap")
    lite.configure({"source": {"key": ["gap"]}})
    mentions(lite.refused("run"), "'gap'", "another name")


def test_a_check_of_the_key_is_refused_for_what_it_is(lite: Job) -> None:
    lite.configure({"check.columns.wafer": {"nullable": False}})
    mentions(lite.refused("run"), "[check.columns] names 'wafer'", "key, time, label or group")


def test_a_scope_before_the_year_1000_can_be_read_again(lite: Job) -> None:
    lite.configure({"infer": {"since": "0001-01-02"}})
    lite.ok("run")
    assert lite.ok("audit", "--json")["holds"]
