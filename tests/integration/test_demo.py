"""The demo's tables hold what was simulated or read, and a demo replaces nothing but a demo."""

import gzip
import math
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import Place

from rowcast import config, demo, fetch
from rowcast.database import Database
from rowcast.errors import ConfigError
from rowcast.history import declare_columns
from rowcast.job.opening import open_job
from rowcast.simulate import Fab, simulate
from rowcast.store.records import PipelineName

SECOM = Path(__file__).parents[3] / "shared/data/secom/secom.csv.gz"
FAB = Fab(rows=600, sensors=20, bad_rows=0.05, seed=3)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def contents(db: Database, table: str) -> list[dict[str, Any]]:
    """Every row; times as microseconds since 1970."""
    relation = db.admin.describe(table, None)
    assert relation is not None
    times = [c for c in relation.columns if c.name in ("measured_at", "labelled_at", "timestamp")]
    others = [c for c in relation.columns if c not in times]
    columns = [db.sql.feature(c).label(c.name) for c in others]
    columns += [db.sql.event_time(c, "UTC").label(c.name) for c in times]
    chosen = sa.select(*columns).select_from(sa.table(table))
    rows = db.read(chosen, {c.name: c.kind for c in others}, 10_000)[0].to_pylist()
    return [
        {name: micros(value) if name in [c.name for c in times] else value for name, value in r.items()} for r in rows
    ]


def micros(value: Any) -> Any:
    return (value - _EPOCH) // timedelta(microseconds=1) if isinstance(value, datetime) else value


def multiset(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(repr(sorted(row.items())) for row in rows)


def test_every_simulated_row_arrives_as_it_was_drawn_infinite_values_included(database: Place) -> None:
    infinities = (float("inf"), float("-inf"))
    db = database.connect()
    simulation = simulate(FAB, chunk_rows=250)
    assert demo.write_simulation(db, "wafers", simulation) == 600
    drawn = [{n: micros(v) for n, v in row.items()} for batch in simulation.batches() for row in batch.to_pylist()]
    infinite = sum(value in infinities for row in drawn for value in row.values())
    assert infinite == sum(bad.kind == "infinite_value" for bad in simulation.truth.bad) > 0
    if database.is_mssql:  # it knows no such number
        drawn = [{n: math.copysign(1e308, v) if v in infinities else v for n, v in row.items()} for row in drawn]
    assert multiset(contents(db, "wafers")) == multiset(drawn)


def test_time_and_key_are_indexed_and_the_key_may_repeat(database: Place) -> None:
    db = database.connect()
    demo.write_simulation(db, "wafers", simulate(FAB))
    relation = db.admin.describe("wafers", None)
    assert relation is not None
    assert {("measured_at",), ("wafer_id",)} <= set(relation.indexed)
    assert not relation.is_unique(["wafer_id"])


def test_a_fab_too_wide_for_a_page_of_double_precision_is_written(postgresql: Place) -> None:
    db = postgresql.connect()
    assert demo.write_simulation(db, "wafers", simulate(Fab(rows=50, sensors=1500))) == 50


def test_the_demo_is_a_config_that_fits_its_table(tmp_path: Path) -> None:
    built = demo.build(tmp_path / "demo", rows=400, sensors=20)
    settings = config.load(built.config)
    with open_job(settings) as job:
        assert job.source.time is not None
        assert len(job.source.features) == 23
    assert settings.source_url == f"sqlite:///{tmp_path}/demo/fab.db"


def test_the_demo_tells_what_it_built(tmp_path: Path) -> None:
    built = demo.build(tmp_path, rows=2000, sensors=20, seed=5)
    truth = simulate(Fab(rows=2000, sensors=20, seed=5)).truth
    assert (built.rows, built.sensors, built.bad_rows, built.drifts) == (2000, 20, len(truth.bad), truth.drifts)
    arrived = truth.labelled_at <= (Fab().end.replace(tzinfo=None))
    assert built.labelled == arrived.sum()
    assert built.failures == truth.outcome[arrived].sum()


def test_the_demo_writes_to_a_named_database_and_keeps_its_password_out_of_the_file(
    database: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = demo.build(tmp_path, rows=300, sensors=20, url=database.url)
    assert built.export is not database.is_sqlite
    assert "s3cret" not in built.config.read_text() + repr(built)
    monkeypatch.setenv("ROWCAST_SOURCE_URL", database.url)
    settings = config.load(built.config)
    assert settings.source_url == database.url
    with open_job(settings) as job:
        assert fetch.count_known_labels(job.source, datetime.now(UTC)) == built.labelled
    assert not (tmp_path / "fab.db").exists()


@pytest.mark.parametrize("named", [False, True])
def test_a_second_demo_starts_afresh(
    named: bool, database: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROWCAST_SOURCE_URL", database.url)
    url = database.url if named else None
    settings = config.load(demo.build(tmp_path, rows=500, sensors=25, url=url).config)
    with open_job(settings) as job:
        job.runs.start(PipelineName.INFER, datetime.now(UTC), "sha")
    (tmp_path / ".rowcast" / "wafers" / "1").mkdir(parents=True)
    again = demo.build(tmp_path, rows=300, sensors=20, url=url)
    assert again.rows == 300
    assert not (tmp_path / ".rowcast" / "wafers").exists()
    with open_job(config.load(again.config)) as job:
        assert len(job.source.features) == 23
        assert job.runs.newest() == []


def test_a_config_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "rowcast.toml").write_text("# mine\n")
    (tmp_path / "fab.db").write_text("mine")
    with pytest.raises(ConfigError, match="was not written by the demo"):
        demo.build(tmp_path, rows=100, sensors=20)
    assert (tmp_path / "rowcast.toml").read_text() == "# mine\n"
    assert (tmp_path / "fab.db").read_text() == "mine"


def test_a_database_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "fab.db").write_text("mine")
    with pytest.raises(ConfigError, match=r"fab\.db may not be the demo's"):
        demo.build(tmp_path, rows=100, sensors=20)
    assert (tmp_path / "fab.db").read_text() == "mine"


def test_a_table_of_somebody_else_is_left_alone(database: Place, tmp_path: Path) -> None:
    database.run("CREATE TABLE wafers (mine INTEGER)", "INSERT INTO wafers VALUES (1)")
    with pytest.raises(ConfigError, match="has a table wafers that the demo did not write"):
        demo.build(tmp_path, rows=100, sensors=20, url=database.url)
    assert database.run("SELECT mine FROM wafers") == [{"mine": 1}]
    assert not (tmp_path / "rowcast.toml").exists()


def secom_like(path: Path, rows: int = 40, tied: int = 1, without: str = "") -> Path:
    """A file shaped like SECOM, its rows in no order; `tied` rows share each time."""
    names = [name for name in ("timestamp", "label", *(f"s{n:03d}" for n in range(1, 591))) if name != without]
    lines = []
    for row in range(rows):
        values = {"timestamp": datetime(2008, 7, 19) + timedelta(hours=row // tied), "label": 1 if row % 4 == 0 else -1}
        values |= {f"s{n:03d}": "" if n == 2 else row + n / 10 for n in range(1, 591)}
        lines.append(",".join(str(values[name]) for name in names))
    random.Random(1).shuffle(lines)
    text = "\n".join([",".join(names), *lines, ""])
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["secom.csv", "secom.csv.gz"])
def test_secom_is_keyed_in_time_order_with_its_values(name: str, database: Place, tmp_path: Path) -> None:
    db = database.connect()
    assert demo.load_secom(db, "secom", secom_like(tmp_path / name)) == 40
    rows = sorted(contents(db, "secom"), key=lambda row: row["wafer"])
    assert [row["wafer"] for row in rows] == list(range(1, 41))
    hours = [(row["timestamp"] - micros(datetime(2008, 7, 19, tzinfo=UTC))) / 3.6e9 for row in rows]
    assert hours == list(range(40))
    assert [row["label"] for row in rows] == [1, -1, -1, -1] * 10
    assert [(row["s001"], row["s002"], row["s590"]) for row in rows] == [(n + 0.1, None, n + 59.0) for n in range(40)]


@pytest.mark.parametrize(("tied", "visible"), [(1, 28), (5, 30), (40, 40)])
def test_the_last_labels_are_hidden_without_parting_rows_of_one_time(
    tied: int, visible: int, sqlite: Place, tmp_path: Path
) -> None:
    db = sqlite.connect()
    demo.load_secom(db, "secom", secom_like(tmp_path / "secom.csv", tied=tied), hide_last=0.3)
    rows = sorted(contents(db, "secom"), key=lambda row: row["wafer"])
    assert [row["label"] is not None for row in rows] == [True] * visible + [False] * (40 - visible)
    shown, hidden = (
        {row["timestamp"] for row in rows if (row["label"] is None) is is_hidden} for is_hidden in (False, True)
    )
    assert not shown & hidden


def test_the_secom_demo_is_a_config_that_fits_its_table(tmp_path: Path) -> None:
    built = demo.build_secom(tmp_path / "demo", secom_like(tmp_path / "secom.csv"))
    assert (built.rows, built.labelled, built.failures, built.table) == (40, 28, 7, "secom")
    assert built.hidden_from == datetime(2008, 7, 20, 4, tzinfo=UTC)
    with open_job(config.load(built.config)) as job:
        assert len(job.source.features) == 590


def test_a_missing_secom_file_names_where_to_get_it_and_touches_no_earlier_demo(tmp_path: Path) -> None:
    built = demo.build_secom(tmp_path, secom_like(tmp_path / "secom.csv"))
    before = built.config.read_bytes(), (tmp_path / "secom.db").read_bytes()
    with pytest.raises(ConfigError, match="there is no SECOM file") as caught:
        demo.build_secom(tmp_path, tmp_path / "absent.csv")
    assert "archive.ics.uci.edu" in caught.value.hint
    assert (built.config.read_bytes(), (tmp_path / "secom.db").read_bytes()) == before


def test_a_file_that_is_not_secom_is_refused_naming_the_column(sqlite: Place, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"it has no column 's417'\n"):
        demo.load_secom(sqlite.connect(), "secom", secom_like(tmp_path / "secom.csv", without="s417"))
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match="has no column 'timestamp' and 591 more"):
        demo.load_secom(sqlite.connect(), "secom", tmp_path / "other.csv")


@pytest.mark.parametrize("content", [b"", b"\x1f\x8bnot gzip", b"timestamp,label\nyesterday,1\n"])
def test_a_file_that_cannot_be_read_is_refused(content: bytes, sqlite: Place, tmp_path: Path) -> None:
    path = tmp_path / "secom.csv.gz" if content.startswith(b"\x1f") else tmp_path / "secom.csv"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read as SECOM"):
        demo.load_secom(sqlite.connect(), "secom", path)


@pytest.mark.skipif(not SECOM.exists(), reason=f"{SECOM} is absent")
def test_the_real_secom_is_loaded_whole(database: Place) -> None:
    db = database.connect()
    assert demo.load_secom(db, "secom", SECOM) == 1096
    [row] = database.run("SELECT sum(label) AS s, count(label) AS n, count(s001) AS one FROM secom")
    assert (int(row["s"]), row["n"], row["one"]) == (78 - 1018, 1096, 1090)


def test_a_fab_whose_tools_remember_declares_columns_of_the_past(tmp_path: Path) -> None:
    settings = config.load(demo.build(tmp_path, rows=500, sensors=20, memory=True).config)
    with open_job(settings) as job:
        names = [column.name for column in declare_columns(settings, job.source)]
    assert names == [
        "mean of last 25 failed by tool",
        "mean of last 100 failed by tool",
        "hours since wafers_maintenance by tool",
        "rows since wafers_maintenance by tool",
    ]
