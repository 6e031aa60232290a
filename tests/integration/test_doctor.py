"""The doctor names what is wrong, with numbers and a way out, and lets no error and no secret through."""

from pathlib import Path
from typing import Any

import pytest
from conftest import Place, literal

from rowcast import config, pipeline
from rowcast.doctor import Finding, examine
from rowcast.errors import ConfigError
from rowcast.init import quote
from rowcast.job.opening import open_job
from rowcast.store import migrations


@pytest.fixture
def table(database: Place) -> Place:
    """A healthy table: 200 labelled rows, one of four failed."""
    stamp = "TEXT" if database.is_sqlite else "timestamptz"
    database.run(f"CREATE TABLE t (id INTEGER PRIMARY KEY, ts {stamp}, s1 REAL, tool TEXT, failed INTEGER)")
    moments = [f"2026-03-{1 + n // 24:02d} {n % 24:02d}:00:00Z" for n in range(200)]
    rows = [(n, moments[n], n / 3, f"T{n % 3}", int(n % 4 == 0)) for n in range(200)]
    database.run(f"INSERT INTO t VALUES {', '.join('(' + ', '.join(map(literal, row)) + ')' for row in rows)}")
    return database


def settings(place: Place, folder: Path, text: str = "", **source: Any) -> config.Settings:
    found = {"url": place.url, "table": "t", "key": ["id"], "time": "ts", "label": "failed", **source}
    lines = [f"{name} = {quote(value)}" for name, value in found.items() if value is not None]
    path = folder / "rowcast.toml"
    path.write_text("\n".join(['name = "t"', "[source]", *lines, text]))
    return config.load(path)


def told(findings: list[Finding], level: str) -> str:
    assert all(len(finding.what.splitlines()) == 1 for finding in findings)
    assert "s3cret" not in repr(findings)
    return "\n".join(
        f"{finding.what} -> {finding.statement or finding.hint}" for finding in findings if finding.level == level
    )


def test_a_healthy_job_has_neither_problems_nor_warnings(table: Place, tmp_path: Path) -> None:
    findings = examine(settings(table, tmp_path))
    assert told(findings, "problem") == ""
    table.deviates("it has no ALTER DATABASE, by which row versions are allowed")
    assert told(findings, "warning") == ""
    ok = told(findings, "ok")
    for part in (
        "the key id is never NULL and does not repeat in 200 rows",
        "ts is a time in every row, with 200 different values",
    ):
        assert part in ok
    assert "failed is 0 in 150 rows, 1 in 50 rows; 1 is the one to find" in ok
    assert "200 of 200 rows (100.0%) have a known failed" in ok
    assert "2 columns may become features (1 number, 1 category)" in ok
    assert "the store has no tables yet" in ok
    scope = (
        "scoring would begin now with rows from 2026-02-07 07:00 UTC on: 0 of 200 rows would be in scope, 0 are older"
    )
    assert f"{scope}; 200 others, whose label is known, are left to training" in ok
    assert {"sqlite": "SQLite 3.", "postgresql": "PostgreSQL 1", "mssql": "SQL Server "}[table.system] in ok


def test_looking_leaves_nothing_behind(table: Place, tmp_path: Path) -> None:
    examine(settings(table, tmp_path))
    listed = {
        "sqlite": "sqlite_master",
        "postgresql": "pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
        "mssql": "sys.tables",
    }
    [row] = table.run(f"SELECT count(*) AS n FROM {listed[table.system]}")
    assert row["n"] == 1


@pytest.mark.parametrize(
    ("source", "part"),
    [
        ({"table": "nowhere"}, "there is no table nowhere"),
        ({"label": "faild"}, "has no column 'faild' (source.label) -> did you mean 'failed'?"),
        ({"where": "statuz = 1"}, "[source] where cannot be run"),
        ({"table": None, "query": "SELECT * FROM nowhere"}, "nowhere"),
    ],
)
def test_a_source_that_cannot_be_read_is_a_problem(
    source: dict[str, Any], part: str, table: Place, tmp_path: Path
) -> None:
    found = settings(table, tmp_path, **source)
    assert part in told(examine(found), "problem")


def test_a_where_that_lets_nothing_through_is_a_warning(table: Place, tmp_path: Path) -> None:
    findings = examine(settings(table, tmp_path, where="tool = 'none'"))
    assert "[source] where lets no row through" in told(findings, "warning")
    assert "the source holds no rows" in told(findings, "problem")


def test_null_and_repeated_keys_are_counted(table: Place, tmp_path: Path) -> None:
    spoiled = "CASE WHEN id < 3 THEN NULL WHEN id < 10 THEN 5 ELSE id END AS id"
    table.keep("k", f"(SELECT {spoiled}, ts, failed FROM t) AS spoiled")
    warned = told(examine(settings(table, tmp_path, table="k")), "warning")
    assert "10 of 200 rows cannot be scored: the key id is NULL in 3 and repeated in 7" in warned


def test_a_key_that_names_hardly_any_row_is_a_problem(table: Place, tmp_path: Path) -> None:
    problems = told(examine(settings(table, tmp_path, key=["tool"])), "problem")
    assert "200 of 200 rows cannot be scored: the key tool is NULL in 0 and repeated in 200" in problems


def test_times_that_are_missing_late_or_shared_are_counted(table: Place, tmp_path: Path) -> None:
    table.run("UPDATE t SET ts = '2026-01-01 00:00:00Z' WHERE id >= 10", "UPDATE t SET ts = NULL WHERE id < 4")
    table.run("UPDATE t SET ts = '2999-01-01 00:00:00Z' WHERE id BETWEEN 4 AND 5")
    warned = told(examine(settings(table, tmp_path)), "warning")
    assert "4 of 200 rows cannot be scored: ts is NULL or no time" in warned
    assert "2 rows with a ts in the future: not seen until then" in warned
    assert "196 rows hold 6 different values of ts" in warned


def test_a_missing_index_on_a_large_table_comes_with_the_statement_that_makes_it(table: Place, tmp_path: Path) -> None:
    assert "no index begins with the time ts; none is needed for 200 rows" in told(
        examine(settings(table, tmp_path)), "ok"
    )
    more = 10_001
    same = {"ts": "2026-04-01 00:00:00Z", "s1": 1.0, "tool": "T", "failed": 0}
    table.fill("t", id=list(range(1000, 1000 + more)), **{name: [value] * more for name, value in same.items()})
    if table.is_sqlite:  # as a number, since it has no type for times
        table.run("ALTER TABLE t RENAME COLUMN ts TO spelled", "ALTER TABLE t ADD COLUMN ts INTEGER")
        table.run("UPDATE t SET ts = unixepoch(spelled)")
    warned = told(examine(settings(table, tmp_path)), "warning")
    assert "every run scans 10,201 rows -> CREATE INDEX t_ts ON t (ts)" in warned.replace("[", "").replace("]", "")
    table.run("CREATE INDEX t_ts ON t (ts)")
    assert "no index" not in told(examine(settings(table, tmp_path)), "warning")


@pytest.mark.parametrize(("spelled", "form"), [("2026-04-01 00:00:00", None), ("01.04.2026 00:00", "%d.%m.%Y %H:%M")])
@pytest.mark.parametrize("indexed", [False, True])
def test_no_index_is_proposed_for_times_as_texts_but_what_a_run_costs_is_said(
    database: Place, spelled: str, form: str | None, indexed: bool, tmp_path: Path
) -> None:
    if form is None and not database.is_sqlite:
        pytest.skip("elsewhere texts are times by a format alone")
    rows = 10_001
    database.run("CREATE TABLE t (id INTEGER PRIMARY KEY, ts VARCHAR(40), failed INTEGER)")
    database.fill("t", id=list(range(rows)), ts=[spelled] * rows, failed=[n % 2 for n in range(rows)])
    if indexed:
        database.run("CREATE INDEX t_ts ON t (ts)")
    findings = examine(settings(database, tmp_path, time_format=None if database.is_sqlite else form))
    assert not [each for each in findings if "CREATE INDEX" in each.statement]
    assert "no index on ts would help: it holds times as texts, and a run reads those of all 10,001 rows" in told(
        findings, "ok"
    )


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ("failed = 0", "no label is the one that [task] positive names: it names 1, and the labels are 0"),
        ("failed = id", "failed has more than 20 values"),
        ("failed = NULL", "no row has a known label yet"),
    ],
)
def test_a_label_that_allows_no_model_is_a_problem(change: str, part: str, table: Place, tmp_path: Path) -> None:
    table.run(f"UPDATE t SET {change}")
    assert part in told(examine(settings(table, tmp_path)), "problem")


def test_few_labels_and_few_failures_are_told_with_their_number(table: Place, tmp_path: Path) -> None:
    table.run("UPDATE t SET failed = CASE WHEN id < 5 THEN 1 WHEN id < 60 THEN 0 END")
    findings = examine(settings(table, tmp_path))
    assert "60 of 200 rows (30.0%) have a known failed: a model needs 100" in told(findings, "problem")
    assert "1 in 5 rows: few are 1" in told(findings, "warning")


def test_a_label_without_its_time_does_not_count_and_is_told(table: Place, tmp_path: Path) -> None:
    table.run("ALTER TABLE t ADD COLUMN known " + ("TEXT" if table.is_sqlite else "timestamptz"))
    table.run("UPDATE t SET known = ts WHERE id < 150")
    assert "50 rows with a failed that does not count yet" in told(
        examine(settings(table, tmp_path, label_time="known")), "warning"
    )


def test_a_database_that_does_not_answer_is_a_problem_without_its_password(table: Place, tmp_path: Path) -> None:
    if table.is_sqlite:
        url, part = f"sqlite:///{tmp_path}/absent.db", "there is no SQLite file"
    else:
        url, part = "postgresql://me:s3cret@127.0.0.1:9/fab", "postgresql://127.0.0.1:9/fab"
    assert part in told(examine(settings(table, tmp_path, url=url)), "problem")


def test_a_wrong_password_is_a_problem_that_does_not_show_it(postgresql: Place, tmp_path: Path) -> None:
    assert postgresql.server is not None
    url = postgresql.server.url("postgres", password="s3cret-but-wrong")
    problems = told(examine(settings(postgresql, tmp_path, url=url)), "problem")
    assert "password authentication failed" in problems


@pytest.mark.parametrize("url", ["no url", "mysql://me:s3cret@host/db", "postgresql://me:s3cret@host:port/db"])
def test_a_url_that_is_none_is_refused_before_anything_is_looked_at(url: str, sqlite: Place, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(sqlite, tmp_path, url=url)
    assert "s3cret" not in str(caught.value)


def test_a_user_without_rights_is_told_which_to_ask_for(postgresql: Place, tmp_path: Path) -> None:
    postgresql.run("CREATE TABLE t (id INTEGER PRIMARY KEY, ts timestamptz, s1 REAL, failed INTEGER)")
    postgresql.run("CREATE ROLE reader LOGIN PASSWORD 's3cret'")
    assert postgresql.server is not None
    url = postgresql.server.url(postgresql.url.rpartition("/")[2], "reader", "s3cret")
    try:
        read = settings(postgresql, tmp_path, url=url)
        assert "reader lacks the right to SELECT on table public.t -> GRANT SELECT ON public.t TO reader" in told(
            examine(read), "problem"
        )
        postgresql.run("GRANT SELECT ON t TO reader")
        postgresql.run("INSERT INTO t VALUES (1, now(), 1, 1)")
        assert "lacks the right to CREATE on database" in told(examine(read), "problem")
    finally:
        postgresql.run("DROP OWNED BY reader", "DROP ROLE reader")


def test_a_store_that_is_not_there_yet_is_no_problem(table: Place, tmp_path: Path) -> None:
    store = f'[store]\nurl = "sqlite:///{tmp_path}/new/store.db"'
    findings = examine(settings(table, tmp_path, store))
    assert told(findings, "problem") == ""
    assert f"there is no store yet: the first run creates {tmp_path}/new/store.db" in told(findings, "ok")
    assert not (tmp_path / "new").exists()


def test_a_newer_store_and_a_taken_name_are_problems(table: Place, tmp_path: Path) -> None:
    mine = settings(table, tmp_path)
    with open_job(mine):
        pass
    assert f"the store has version {migrations.VERSION}" in told(examine(mine), "ok")
    version, job = ("rowcast_version", "rowcast_job") if table.is_sqlite else ("rowcast.version", "rowcast.job")
    table.run(f"UPDATE {job} SET source = 'other'")
    assert "the job name 't' is taken by another source: other (this one is t)" in told(examine(mine), "problem")
    table.run(f"UPDATE {version} SET version = 99")
    assert "the store has version 99" in told(examine(mine), "problem")


def test_a_champion_is_checked_against_its_bytes_and_the_source(table: Place, tmp_path: Path) -> None:
    mine = settings(table, tmp_path)
    assert "there is no champion yet" not in told(examine(mine), "problem")
    pipeline.run(mine, "retrain")
    assert "champion v1 is whole" in told(examine(mine), "ok")
    table.run("ALTER TABLE t RENAME COLUMN s1 TO s2")
    assert "champion v1 needs columns that the source no longer has: s1" in told(examine(mine), "problem")
    model = "rowcast_model" if table.is_sqlite else "rowcast.model"
    changed = {"sqlite": "CAST(artifact || 'x' AS BLOB)", "postgresql": "artifact || 'x'", "mssql": "artifact + 0x78"}
    table.run(f"UPDATE {model} SET artifact = {changed[table.system]}")
    assert "model v1 of job 't'" in told(examine(mine), "problem")


def test_an_estimator_that_cannot_be_imported_is_a_problem(table: Place, tmp_path: Path) -> None:
    found = settings(table, tmp_path, '[model]\nestimator = "no_such_package:make"')
    assert "estimator 'no_such_package:make' cannot be imported" in told(examine(found), "problem")


def test_a_check_of_an_unknown_column_and_a_wide_table_are_told(table: Place, tmp_path: Path) -> None:
    text = "[check.columns.s99]\nmax = 1.0\n[model]\nmax_train_rows = 1_000_000_000"
    findings = examine(settings(table, tmp_path, text))
    assert "[check.columns] names no column of the source: s99" in told(findings, "problem")
    assert "the table is wide: 1,000,000,000 training rows of 2 columns take 16.0 GB" in told(findings, "warning")


EVENTS = 'events = "maintenance"\nevent_time = "done_at"\nevent_group = "equipment"\nevent_what = "what"\n'
GROUPED = f'[monitor]\ngroup_by = "tool"\n{EVENTS}'


@pytest.fixture
def maintained(table: Place) -> Place:
    """The healthy table with three events beside it: one of now, one of a year ago, one without a time."""
    stamp, now = ("TEXT", "datetime('now')") if table.is_sqlite else ("timestamptz", "now()")
    if table.is_mssql:
        now = "SYSUTCDATETIME()"
    table.run(f"CREATE TABLE maintenance (done_at {stamp}, equipment TEXT, what TEXT)")
    for time in (now, "'2025-01-01 00:00:00Z'", "NULL"):
        table.run(f"INSERT INTO maintenance VALUES ({time}, 'T1', 'cleaned')")
    return table


def test_what_charts_need_is_read_as_charts_read_it(maintained: Place, tmp_path: Path) -> None:
    findings = examine(settings(maintained, tmp_path, GROUPED))
    assert told(findings, "problem") == ""
    ok = told(findings, "ok")
    assert "charts are drawn by tool" in ok
    assert "maintenance can be read; events in the last 60 days: 1" in ok
    assert "events of maintenance without a time that can be read, which charts leave out: 1" in told(
        findings, "warning"
    )


@pytest.mark.parametrize(
    ("right", "wrong", "part"),
    [
        ('"tool"', '"tol"', "has no column 'tol' (monitor.group_by) -> did you mean 'tool'?"),
        ('"maintenance"', '"maintenence"', "there is no table maintenence in "),
        ('"done_at"', '"done"', "has no column 'done' (monitor.event_time) -> did you mean 'done_at'?"),
        (
            '"equipment"',
            '"tool"',
            "has no column 'tool' (monitor.event_group) -> its columns begin with done_at, equip",
        ),
        ('"what"', '"wat"', "has no column 'wat' (monitor.event_what) -> did you mean 'what'?"),
    ],
)
def test_what_charts_need_and_is_not_there_is_a_problem(
    right: str, wrong: str, part: str, maintained: Place, tmp_path: Path
) -> None:
    before, _, after = GROUPED.rpartition(right)
    problems = told(examine(settings(maintained, tmp_path, f"{before}{wrong}{after}")), "problem")
    assert part in problems
    assert len(problems.splitlines()) == 1


def test_a_group_and_events_that_are_both_wrong_are_both_told(table: Place, tmp_path: Path) -> None:
    problems = told(examine(settings(table, tmp_path, GROUPED.replace('"tool"', '"tol"'))), "problem")
    assert "'tol' (monitor.group_by)" in problems
    assert "there is no table maintenance" in problems
    way_out = "its tables are t" if table.is_sqlite else "it may need its schema"
    assert f"(monitor.events) -> {way_out}" in problems


def test_events_whose_time_is_text_are_a_problem_where_the_database_has_times(
    postgresql: Place, tmp_path: Path
) -> None:
    postgresql.run("CREATE TABLE t (id INTEGER PRIMARY KEY, ts timestamptz, s1 REAL, tool TEXT, failed INTEGER)")
    postgresql.run("CREATE TABLE maintenance (done_at TEXT, equipment TEXT, what TEXT)")
    problems = told(examine(settings(postgresql, tmp_path, GROUPED)), "problem")
    assert "the time column 'done_at' of maintenance is text -> use a view that casts it" in problems


def test_events_that_may_not_be_read_come_with_the_right_to_ask_for(postgresql: Place, tmp_path: Path) -> None:
    postgresql.run("CREATE TABLE t (id INTEGER PRIMARY KEY, ts timestamptz, s1 REAL, tool TEXT, failed INTEGER)")
    postgresql.run("CREATE TABLE maintenance (done_at timestamptz, equipment TEXT, what TEXT)")
    postgresql.run("CREATE ROLE reader LOGIN PASSWORD 's3cret'", "GRANT SELECT ON t TO reader")
    assert postgresql.server is not None
    url = postgresql.server.url(postgresql.url.rpartition("/")[2], "reader", "s3cret")
    try:
        problems = told(examine(settings(postgresql, tmp_path, GROUPED, url=url)), "problem")
        assert "reader lacks the right to SELECT on table public.maintenance -> GRANT SELECT ON public.main" in problems
    finally:
        postgresql.run("DROP OWNED BY reader", "DROP ROLE reader")


def test_charts_without_a_time_are_a_warning(maintained: Place, tmp_path: Path) -> None:
    assert "which need a time -> name [source] time" in told(
        examine(settings(maintained, tmp_path, GROUPED, time=None)), "warning"
    )


def test_where_alerts_go_is_said_without_a_secret(table: Place, tmp_path: Path, monkeypatch: Any) -> None:
    assert "alerts go to nobody" in told(examine(settings(table, tmp_path)), "ok")
    text = '[notify]\nsns_topic = "arn:aws:sns:r:123456789012:t"\nurls = ["mailto://me:s3cret@fab"]'
    config = settings(table, tmp_path, text)
    assert "alerts go to sns, mailto; 'rowcast notify --test' tries each" in told(examine(config), "ok")
    monkeypatch.setattr("rowcast.doctor.installed.find_spec", lambda package: None)
    said = told(examine(config), "problem")
    assert "no alert can be sent: boto3 and apprise not installed -> pip install 'rowcast[notify]'" in said
