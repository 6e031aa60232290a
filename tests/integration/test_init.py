"""A first config is guessed from the table, says why, and never holds a password."""

import itertools
import re
import tomllib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import Place, literal, quoted

from rowcast import config, demo, init
from rowcast.errors import ConfigError, SourceError
from rowcast.history import declare_columns
from rowcast.init import Guess
from rowcast.job.opening import open_job
from rowcast.simulate import Fab, simulate
from rowcast.source import open_source


def looked(place: Place, table: str = "t", query: str | None = None) -> Guess:
    return init.inspect(place.url, None if query else table, query)


def make(place: Place, types: dict[str, str], rows: list[tuple[Any, ...]], constraint: str = "") -> None:
    columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in types.items())
    place.run(f"CREATE TABLE t ({columns}{constraint})")
    if rows:
        place.run(f"INSERT INTO t VALUES {', '.join('(' + ', '.join(map(literal, row)) + ')' for row in rows)}")


def stamp(place: Place) -> str:
    return "TEXT" if place.is_sqlite else "timestamptz"


def moment(hour: int) -> str:
    return f"2026-03-{1 + hour // 24:02d} {hour % 24:02d}:00:00Z"


def written(guess: Guess, folder: Path) -> dict[str, Any]:
    init.write(guess, folder / "rowcast.toml")
    return tomllib.loads((folder / "rowcast.toml").read_text())


def test_every_setting_of_the_simulated_fab_is_guessed(database: Place) -> None:
    demo.write_simulation(database.connect(), "wafers", simulate(Fab(rows=3000, sensors=20)))
    guess = looked(database, "wafers")
    assert guess.key.columns == ("wafer_id",)
    assert (guess.time.column, guess.label.column, guess.positive) == ("measured_at", "failed", 1)
    assert (guess.label_time.column, guess.group.column) == ("labelled_at", "lot_id")
    assert guess.exclude == {}
    assert guess.unknown == ()
    assert guess.remembers.columns == ("tool",)


def test_the_written_config_loads_and_fits_the_table(
    database: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = database.connect()
    demo.write_simulation(db, "wafers", simulate(Fab(rows=600, sensors=20)))
    left = init.write(looked(database, "wafers"), tmp_path / "rowcast.toml")
    text = (tmp_path / "rowcast.toml").read_text()
    assert "s3cret" not in text + repr(left)
    if database.is_sqlite:
        assert left == []
    else:
        assert "export ROWCAST_SOURCE_URL=" in left[0]
        assert 'url = "${ROWCAST_SOURCE_URL}"' in text
        monkeypatch.setenv("ROWCAST_SOURCE_URL", database.url)
    settings = config.load(tmp_path / "rowcast.toml")
    assert settings.source_url == database.url
    assert len(open_source(db, settings.source).features) == 23


def test_each_setting_that_is_not_in_force_would_be_accepted(
    sqlite: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROWCAST_MAIL_URL", "mailto://fab.example")
    make(sqlite, {"a": "REAL", "b": "REAL"}, [(1.5, 2.5)])
    init.write(looked(sqlite), tmp_path / "rowcast.toml")
    lines = (tmp_path / "rowcast.toml").read_text().splitlines()
    hidden = [line[2:] for line in lines if re.match(r"# (\w+ = |\[check|\[\[features)", line)]
    assert len(hidden) > 20
    path = tmp_path / "all.toml"
    text = "\n".join(line[2:] if line[2:] in hidden else line for line in lines)
    numbers = itertools.count()
    path.write_text(re.sub("…", lambda _: f"column{next(numbers)}", text))
    assert config.load(path).source.key == ("column0",)


def test_the_last_outcomes_of_a_tool_are_three_lines_to_uncomment(
    database: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db, path = database.connect(), tmp_path / "rowcast.toml"
    demo.write_simulation(db, "wafers", simulate(Fab(rows=600, sensors=20)))
    init.write(looked(database, "wafers"), path)
    monkeypatch.setenv("ROWCAST_SOURCE_URL", database.url)
    path.write_text(re.sub(r"# (\[\[features.*|of = .*|by = .*|last = .*)", r"\1", path.read_text()))
    settings = config.load(path)
    declared = declare_columns(settings, open_source(db, settings.source))
    assert [column.name for column in declared][:2] == ["last failed by tool", "mean of last 5 failed by tool"]


def test_a_table_without_key_and_label_says_what_to_fill_in(database: Place, tmp_path: Path) -> None:
    make(database, {"s001": "REAL", "s002": "REAL"}, [(1.5, 2.5), (1.5, 3.5)])
    guess = looked(database)
    assert guess.unknown == ("key", "label")
    left = init.write(guess, tmp_path / "rowcast.toml")
    assert [line for line in left if "set [source] key" in line]
    assert [line for line in left if "set [source] label" in line]
    text = (tmp_path / "rowcast.toml").read_text()
    assert '# label = "…"  # needed: no column looks like an outcome' in text
    assert '# time = "…"  # no column looks like a time; without one key order is time order' in text


def test_an_existing_file_is_kept_unless_forced(sqlite: Place, tmp_path: Path) -> None:
    make(sqlite, {"id": "INTEGER PRIMARY KEY", "failed": "INTEGER"}, [(1, 0)])
    path = tmp_path / "rowcast.toml"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="exists already"):
        init.write(looked(sqlite), path)
    assert path.read_text() == "mine"
    init.write(looked(sqlite), path, force=True)
    assert config.load(path).source.label == "failed"


def test_a_sqlite_path_starts_at_the_config_not_at_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(Place("sqlite", "sqlite:///fab.db")) as place:
        make(place, {"id": "INTEGER PRIMARY KEY", "failed": "INTEGER"}, [(1, 0)])
        guess = looked(place)
    (tmp_path / "elsewhere").mkdir()
    init.write(guess, tmp_path / "rowcast.toml")
    init.write(guess, tmp_path / "elsewhere" / "rowcast.toml")
    assert 'url = "sqlite:///fab.db"' in (tmp_path / "rowcast.toml").read_text()
    monkeypatch.chdir("/")
    for path in (tmp_path / "rowcast.toml", tmp_path / "elsewhere" / "rowcast.toml"):
        assert config.load(path).source_url == f"sqlite:///{tmp_path}/fab.db"


def test_a_password_among_the_options_of_a_url_is_not_written_either(tmp_path: Path) -> None:
    assert init.written_url("postgresql://host/db?user=me&password=s3cret", tmp_path)[1]
    assert init.written_url("postgresql://me@host/db", tmp_path) == ("postgresql://me@host/db", False)


def test_the_primary_key_comes_before_a_name_and_keeps_its_order(database: Place) -> None:
    types = {"part_id": "INTEGER", "slot": "INTEGER NOT NULL", "lot": "INTEGER NOT NULL", "failed": "INTEGER"}
    make(database, types, [(n, n % 5, n // 5, n % 2) for n in range(20)], ", PRIMARY KEY (lot, slot)")
    assert looked(database).key.columns == ("lot", "slot")


LOTS = [(f"L{n // 5:03d}", n % 5, 3 - n % 4, n % 7 / 3, n % 2) for n in range(300)]


@pytest.mark.parametrize(
    ("names", "group", "why"),
    [
        (["lot", "wafer", "line"], "lot", "part of the key, by its name, and its values repeat"),
        (["coil", "piece", "heat"], "coil", "part of the key, by its name, and its values repeat"),
        (["panel", "spot", "line"], "panel", "part of the key, many values, and they repeat"),
        (["panel", "spot", "batch"], "batch", "by its name, and its values repeat"),
        (["tool", "spot", "line"], None, "no column looks like a lot or batch"),
    ],
)
def test_a_lot_that_is_part_of_the_key_is_the_group(
    database: Place, names: list[str], group: str | None, why: str, tmp_path: Path
) -> None:
    kinds = ("VARCHAR(9) NOT NULL", "INTEGER NOT NULL", "INTEGER", "REAL", "INTEGER")
    types = dict(zip([*names, "s1", "failed"], kinds, strict=True))
    make(database, types, LOTS, f", PRIMARY KEY ({', '.join(names[:2])})")
    guess = looked(database)
    assert guess.key.columns == tuple(names[:2])
    assert (guess.group.column, guess.group.why) == (group, why)
    assert written(guess, tmp_path)["source"].get("group") == group


def test_a_key_without_a_constraint_is_found_by_name_and_sampled_values(database: Place) -> None:
    database.deviates("it makes the names of columns small")
    types = {"tool_id": "TEXT", "lot_id": "TEXT", "WaferId": "TEXT", "wafer_thickness": "REAL", "failed": "INTEGER"}
    make(database, types, [(f"T{n % 3}", f"L{n // 25}", f"W{n}", n / 7, n % 2) for n in range(100)])
    guess = looked(database)
    assert (guess.key.columns, guess.group.column) == (("WaferId",), "lot_id")
    assert guess.exclude == {}


@pytest.mark.parametrize(
    ("values", "positive"),
    [(["pass"] * 9 + ["fail"], "fail"), ([1] * 7 + [0] * 2, 0), ([1], 1), (["FAILED", "GOOD"], "FAILED"), ([0], 1)],
)
def test_the_rarer_value_is_the_positive_one_else_what_sounds_bad(
    values: list[Any], positive: Any, database: Place
) -> None:
    kind = "TEXT" if isinstance(values[0], str) else "INTEGER"
    make(database, {"id": "INTEGER PRIMARY KEY", "result": kind}, [(n, v) for n, v in enumerate(values)])
    guess = looked(database)
    assert (guess.label.column, guess.positive) == ("result", positive)


def test_a_boolean_label_keeps_its_type(postgresql: Place, tmp_path: Path) -> None:
    make(postgresql, {"id": "INTEGER PRIMARY KEY", "defect": "BOOLEAN"}, [(n, n == 3) for n in range(9)])
    assert written(looked(postgresql), tmp_path)["task"]["positive"] is True


def test_a_column_with_two_values_and_gaps_is_a_label_whatever_its_name(database: Place) -> None:
    rows = [(n, n / 3, None if n % 4 == 0 else n % 2) for n in range(50)]
    make(database, {"id": "INTEGER PRIMARY KEY", "s1": "REAL", "q7": "INTEGER"}, rows)
    assert looked(database).label.column == "q7"


def test_a_place_on_a_die_and_a_yield_are_no_labels(database: Place) -> None:
    types = {"id": "INTEGER PRIMARY KEY", "die_y": "INTEGER", "target": "REAL"}
    make(database, types, [(n, n % 2, n / 3) for n in range(50)])
    guess = looked(database)
    assert (guess.label.column, guess.kind) == ("target", "regression")
    assert guess.label.why == "by its name; it has 50 values in a sample"


@pytest.mark.parametrize(
    ("type_", "values", "kind"),
    [
        ("TEXT", ["ok", "scratch", "void"], "multiclass"),
        ("INTEGER", [1, 2, 3], "multiclass"),
        ("REAL", [n / 7 for n in range(60)], "regression"),
        ("INTEGER", [0, 1], "binary"),
    ],
)
def test_what_is_to_be_learned_follows_from_the_labels_values(
    type_: str, values: list[Any], kind: str, database: Place, tmp_path: Path
) -> None:
    types = {"id": "INTEGER PRIMARY KEY", "measured": stamp(database), "s1": "REAL", "result": type_}
    make(database, types, [(n, moment(n), n / 3, values[n % len(values)]) for n in range(60)])
    guess = looked(database)
    assert (guess.label.column, guess.kind) == ("result", kind)
    assert written(guess, tmp_path)["task"]["kind"] == kind


def test_what_would_give_the_outcome_away_and_free_text_are_excluded(database: Place) -> None:
    types = {"id": "INTEGER PRIMARY KEY", "measured": stamp(database), "failed": "INTEGER", "defect_code": "INTEGER"}
    types |= {"note": "TEXT", "recipe": "TEXT", "s1": "REAL", "closed": stamp(database)}
    rows = []
    for n in range(100):
        known = n < 80
        outcome = (n % 2, n % 7, moment(n + 48)) if known else (None, None, None)
        rows.append((n, moment(n), *outcome[:2], f"looked at wafer {n} twice", f"R{n % 3}", n / 3, outcome[2]))
    make(database, types, rows)
    guess = looked(database)
    assert guess.exclude["note"].startswith("free text")
    assert "give the outcome away" in guess.exclude["defect_code"]
    assert guess.label_time.column == "closed"
    assert set(guess.exclude) == {"note", "defect_code"}


def test_a_value_far_from_all_others_is_suggested_as_missing_but_not_put_in_force(
    database: Place, tmp_path: Path
) -> None:
    rows = [(n, 0, -9999 if n % 5 == 0 else n / 3, -9999 - n) for n in range(50)]
    make(database, {"id": "INTEGER PRIMARY KEY", "failed": "INTEGER", "s1": "REAL", "s2": "REAL"}, rows)
    guess = looked(database)
    assert guess.missing == {-9999: ["s1"]}
    assert "missing" not in written(guess, tmp_path)["source"]


def test_times_without_a_zone_ask_for_one(database: Place, tmp_path: Path) -> None:
    kind = "TEXT" if database.is_sqlite else "timestamp"
    make(database, {"id": "INTEGER PRIMARY KEY", "ts": kind, "failed": "INTEGER"}, [(1, "2026-03-01 10:00:00", 0)])
    source = written(looked(database), tmp_path)["source"]
    assert (source["time"], source["timezone"]) == ("ts", "UTC")


def test_unix_seconds_are_a_time_and_a_duration_is_not(database: Place) -> None:
    types = {"id": "INTEGER PRIMARY KEY", "process_time": "REAL", "start_time": "REAL", "failed": "INTEGER"}
    make(database, types, [(n, 12.5 + n, 1_770_000_000 + n, n % 2) for n in range(10)])
    assert looked(database).time.column == "start_time"


def test_an_empty_table_is_guessed_by_names_and_types(database: Place, tmp_path: Path) -> None:
    kind = "DATETIME" if database.is_sqlite else "timestamptz"
    types = {"id": "INTEGER PRIMARY KEY", "measured_at": kind, "lot": "TEXT", "failed": "INTEGER", "failed_at": kind}
    make(database, types, [])
    guess = looked(database)
    assert (guess.time.column, guess.label.column, guess.group.column) == ("measured_at", "failed", "lot")
    assert guess.label_time.column == "failed_at"


def test_a_query_is_looked_at_and_gets_a_name(database: Place, tmp_path: Path) -> None:
    make(database, {"id": "INTEGER PRIMARY KEY", "failed": "INTEGER"}, [(n, n % 2) for n in range(30)])
    found = written(looked(database, query="SELECT id AS part_id, failed, 'a:b' AS \"x:y\" FROM t;"), tmp_path)
    assert (found["name"], found["source"]["key"], found["source"]["label"]) == ("t", ["part_id"], "failed")


def test_names_with_quotes_brackets_line_breaks_and_umlauts_survive(database: Place, tmp_path: Path) -> None:
    database.deviates("it reads names of such signs otherwise")
    names = ['Prüf "Nr" id', "zeit\n[x] = 1", "fail'ed # y"]
    types = dict(zip(names, ("INTEGER", stamp(database), "INTEGER"), strict=True))
    make(database, types, [(n, moment(n), n % 2) for n in range(30)])
    source = written(looked(database), tmp_path)["source"]
    assert [*source["key"], source["time"], source["label"]] == names


def test_a_missing_table_and_a_look_at_nothing_are_refused(database: Place) -> None:
    hints = {"wafers": "it may need its schema", "mes.wafers": "capital letters and spaces count"}
    if database.is_sqlite:
        database.run()  # makes the file
        hints = dict.fromkeys(hints, "it holds no table: is it the right file?")
    for name, hint in hints.items():
        with pytest.raises(SourceError, match=f"there is no table {name} in") as caught:
            looked(database, name)
        assert hint in caught.value.hint
    with pytest.raises(ConfigError, match="either a table or a query"):
        init.inspect(database.url)


@pytest.mark.parametrize("written", ["etchlog", "etch_log", "Etch Log ", "ETCHLOG", "Etch Lgo"])
def test_of_a_table_that_is_not_there_the_nearest_one_is_named(database: Place, written: str) -> None:
    database.run('CREATE TABLE "Etch Log" (a INTEGER)', "CREATE TABLE catalog (a INTEGER)")
    with pytest.raises(SourceError) as caught:
        looked(database, written)
    assert caught.value.hint == "did you mean 'Etch Log'?"


def test_in_a_file_without_a_table_of_a_like_name_its_tables_are_named(sqlite: Place) -> None:
    sqlite.run("CREATE TABLE lots (a INTEGER)", "CREATE VIEW moves AS SELECT * FROM lots")
    sqlite.run("CREATE TABLE rowcast_run (a INTEGER)")
    with pytest.raises(SourceError) as caught:
        looked(sqlite, "etch_log")
    assert caught.value.hint == "its tables are lots, moves"


def test_a_table_of_another_schema_is_named_with_it_where_this_user_may_read_it(postgresql: Place) -> None:
    for schema in ("mes", "old", "secret"):
        postgresql.run(f"CREATE SCHEMA {schema}", f"CREATE TABLE {schema}.etch_log (a INTEGER)")
    postgresql.run("CREATE ROLE looker LOGIN PASSWORD 's3cret'")
    postgresql.run(*(f"GRANT USAGE ON SCHEMA {name} TO looker" for name in ("mes", "old")))
    postgresql.run(*(f"GRANT SELECT ON {name}.etch_log TO looker" for name in ("mes", "old", "secret")))
    assert postgresql.server is not None
    url = postgresql.server.url(postgresql.url.rpartition("/")[2], "looker", "s3cret")
    both = "did you mean 'mes.etch_log' or 'old.etch_log'?"
    try:
        for written, hint in {
            "etch_log": both,
            "etchlog": both,
            "mes.etchlog": "did you mean 'mes.etch_log'?",
        }.items():
            with pytest.raises(SourceError) as caught:
                init.inspect(url, written)
            assert caught.value.hint == hint
    finally:
        postgresql.run("DROP OWNED BY looker", "DROP ROLE looker")


def test_rows_at_the_far_end_of_a_long_table_are_seen_where_an_index_serves(database: Place) -> None:
    make(database, {"id": "INTEGER PRIMARY KEY", "failed": "INTEGER", "defect_code": "REAL"}, [])
    ids = list(range(1, 12_001))
    failed, code = [[n % by if n < 11_700 else None for n in ids] for by in (2, 7)]
    database.fill("t", id=ids, failed=failed, defect_code=code)
    assert "defect_code" in looked(database).exclude


def test_a_table_of_rowcasts_own_is_refused(database: Place) -> None:
    make(database, {"id": "INTEGER PRIMARY KEY", "failed": "INTEGER"}, [(n, n % 2) for n in range(30)])
    database.run("CREATE TABLE rowcast_notes (id INTEGER PRIMARY KEY, failed INTEGER)")
    assert looked(database, "rowcast_notes").table == "rowcast_notes"  # before there is a store
    named = {"url": database.url, "table": "t", "key": ["id"], "label": "failed"}
    with open_job(config.Settings.model_validate({"name": "t", "source": named})) as job:
        own = [*job.tables.shared, *job.own.all]
    names = [table.name if table.schema is None else f"{table.schema}.{table.name}" for table in own]
    for name in names:
        with pytest.raises(SourceError, match="is one of rowcast's own tables"):
            looked(database, name)
    assert looked(database, "rowcast_notes").table == "rowcast_notes"


def test_an_export_of_german_texts_is_read_as_what_it_spells(
    database: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROWCAST_SOURCE_URL", database.url)
    names = ["Teil-Nr", "Zeitstempel", "Druck [bar]", "Ergebnis", "Pruefzeit"]
    rows = [
        (
            f"T{n:04d}",
            f"{1 + n // 24:02d}.03.2026 {n % 24:02d}:00:00",
            "---" if n % 40 == 0 else f"{n % 17 + 1}.{n + 100},{n % 10}" if n % 2 else f"{n % 17},{n % 10}",
            "NOK" if n % 9 == 0 else "OK",
            f"{2 + n // 24:02d}.03.2026 {n % 24:02d}:30:00",
        )
        for n in range(120)
    ]
    make(database, dict.fromkeys(names, "VARCHAR(40)"), rows)
    path = tmp_path / "rowcast.toml"
    init.write(looked(database), path)
    source = tomllib.loads(path.read_text())["source"]
    assert (source["key"], source["time"], source["label"]) == (["Teil-Nr"], "Zeitstempel", "Ergebnis")
    assert (source["label_time"], source["timezone"], source["decimal"]) == ("Pruefzeit", "UTC", ",")
    assert source.get("time_format") == (None if database.is_sqlite else "%d.%m.%Y %H:%M:%S")
    found = tomllib.loads(path.read_text())
    assert found["task"]["positive"] == "NOK"
    assert found["check"]["columns"] == {"Druck [bar]": {"type": "number"}}
    assert '# missing = ["---"]  # looks so: "---" in Druck [bar]' in path.read_text()
    with closing(open_source_of(database, path)) as db:
        assert db.scalar(sa.select(sa.func.count()).select_from(sa.table("t"))) == 120


def open_source_of(place: Place, path: Path) -> Any:
    """Open what a written config names, which must go with the table; return its database."""
    db = place.connect()
    open_source(db, config.load(path, source={"url": place.url}).source)
    return db


def test_leading_columns_are_the_key_where_only_together_they_do_not_repeat(database: Place) -> None:
    types = {"auftrag": "VARCHAR(9)", "pos": "INTEGER", "ts": stamp(database), "f1": "REAL", "failed": "INTEGER"}
    make(database, types, [(f"A{n // 4}", n % 4, moment(n), n / 7, n % 2) for n in range(80)])
    assert looked(database).key.columns == ("auftrag", "pos")
    database.run("INSERT INTO t SELECT * FROM t WHERE pos = 1")
    assert "key" in looked(database).unknown


def test_a_column_of_outcomes_is_the_label_whatever_it_is_called(database: Place) -> None:
    types = {"id": "INTEGER PRIMARY KEY", "farbe": "VARCHAR(9)", "stempel": "VARCHAR(9)"}
    make(database, types, [(n, "rot" if n % 2 else "blau", "n.i.O." if n % 5 == 0 else "i.O.") for n in range(40)])
    guess = looked(database)
    assert (guess.label.column, guess.positive) == ("stempel", "n.i.O.")
