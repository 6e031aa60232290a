"""Something to try rowcast on: a simulated fab or UCI SECOM in a database, and a rowcast.toml beside it."""

import shutil
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from rowcast.database import Database, connect
from rowcast.errors import ConfigError, DatabaseError
from rowcast.init import quote, written_url
from rowcast.simulate import Drift, Fab, Maintenance, Simulation, simulate
from rowcast.store.tables import job_tables, tables

WAFERS, SECOM = "wafers", "secom"
MAINTENANCE = "wafers_maintenance"
_MEMORY = 2.0  # log-odds by which wafers of a damaged tool fail more often
HIDDEN = 0.3  # share of SECOM whose labels the demo hides, so that there is something to score
_MARK = "# Written by 'rowcast demo'"  # begins every rowcast.toml that a demo may write anew
_CHUNK = 25_000  # rows
_WIDE = 900  # sensors; beyond, a row of double precision fits no page of PostgreSQL or SQL Server
_MOST_COLUMNS = 1_024  # of a table of SQL Server
_TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
_NAME = sa.Text().with_variant(sa.Unicode(100), "mssql")  # what an index may hold
_SENSORS = tuple(f"s{place:03d}" for place in range(1, 591))
_HOW_TO_GET_SECOM = (
    "SECOM is at https://archive.ics.uci.edu/dataset/179/secom: join its two files to a CSV, plain or .gz, "
    "with the columns timestamp, label, s001 … s590"
)


@dataclass(frozen=True)
class Call:
    """A command of the demo's history."""

    command: Literal["run", "infer"] = "run"
    as_of: datetime | None = None  # None is now


@dataclass(frozen=True)
class Demo:
    """What was built."""

    config: Path
    place: str  # the database, without secrets
    table: str
    key: str
    rows: int
    sensors: int
    labelled: int  # the others wait to be scored
    failures: int  # among the labelled
    export: bool = False  # whether ROWCAST_SOURCE_URL must be set before rowcast runs
    bad_rows: int = 0  # that a simulation wrote on purpose
    drifts: tuple[Drift, ...] = ()  # of a simulation
    hidden_from: datetime | None = None  # SECOM: the first event time whose labels are hidden
    calls: tuple[Call, ...] = (Call(),)  # one after another


def build(
    folder: Path,
    rows: int,
    sensors: int,
    url: str | None = None,
    *,
    daily: bool = False,
    memory: bool = False,
    seed: int = 7,
) -> Demo:
    """A simulated fab: `folder`/rowcast.toml and table wafers, in `folder`/fab.db or the database at `url`.

    `daily` is for a run of each day, and retraining when the rows drift; with `memory` a defect can damage its tool
    until maintenance, and the config declares columns of the past. What an earlier demo wrote there is replaced;
    ConfigError where anything else is in the way.
    """
    fab = Fab(rows=rows, sensors=sensors, seed=seed, memory=_MEMORY if memory else 0.0)
    simulation = simulate(fab, _CHUNK)
    first = fab.start + timedelta(days=int(fab.days / 3))
    days = int((fab.end - first) / timedelta(days=1))
    moments = [first + (fab.end - first) * day / days for day in range(days + 1)]
    calls = [Call("run", moment) for moment in moments]
    if not daily:  # what the first version scored has its labels when the next is trained
        calls = [calls[0], Call("infer", moments[-7]), calls[-1]]
    template = _WAFERS_TOML.replace('policy = "every"', f'policy = "{"on-drift" if daily else "every"}"')
    template += _FEATURES_TOML if memory else ""
    with closing(_prepare(folder, WAFERS, "fab.db", url, template)) as db:
        write_simulation(db, WAFERS, simulation)
        truth = simulation.truth
        if memory:
            _write_maintenance(db, truth.maintenance)
        facts = _facts(db, WAFERS, "failed")
        return Demo(
            folder / "rowcast.toml",
            db.safe_url,
            WAFERS,
            "wafer_id",
            sensors=sensors,
            export=_secret(url, folder),
            bad_rows=len(truth.bad),
            drifts=truth.drifts,
            calls=tuple(calls),
            **facts,
        )


def build_secom(folder: Path, path: Path, url: str | None = None, hide_last: float = HIDDEN) -> Demo:
    """UCI SECOM: `folder`/rowcast.toml and table secom, in `folder`/secom.db or the database at `url`.

    `path` is read before anything is replaced. Raises ConfigError as `build` and `load_secom` do.
    """
    rows = _secom(path, hide_last)
    with closing(_prepare(folder, SECOM, "secom.db", url, _SECOM_TOML)) as db:
        _write(db, SECOM, _secom_columns(), rows.to_batches(_CHUNK), ("timestamp",))
        hidden = rows["timestamp"].filter(pc.is_null(rows["label"]))
        return Demo(
            folder / "rowcast.toml",
            db.safe_url,
            SECOM,
            "wafer",
            sensors=len(_SENSORS),
            export=_secret(url, folder),
            hidden_from=pc.min(hidden).as_py(),
            **_facts(db, SECOM, "label"),
        )


def write_simulation(db: Database, table: str, simulation: Simulation) -> int:
    """Create the table and write every row of the simulation; the number of rows.

    The table has no primary key, since some simulated keys are NULL or repeated. Memory: one chunk of the simulation.
    """
    if db.dialect.name == "mssql" and len(simulation.schema) > _MOST_COLUMNS:
        raise ConfigError(
            f"a table of {len(simulation.schema):,} columns is wider than SQL Server allows: {_MOST_COLUMNS:,}",
            hint="take fewer --sensors",
        )
    number = sa.REAL if db.dialect.name != "sqlite" and simulation.fab.sensors > _WIDE else sa.Double
    types = {pa.string(): _NAME, pa.float64(): number, pa.int64(): sa.Integer}
    columns = [sa.Column(field.name, types.get(field.type, _TIME)) for field in simulation.schema]
    batches = simulation.batches()
    if db.dialect.name == "mssql":  # it has no infinity: the largest number that fits the column stands for it
        batches = (_finite(batch, 3e38 if number is sa.REAL else 1e308) for batch in batches)
    return _write(db, table, columns, batches, ("measured_at", "wafer_id"))


def _write_maintenance(db: Database, done: Iterable[Maintenance]) -> None:
    columns: list[sa.Column[Any]] = [sa.Column("tool", _NAME), sa.Column("done_at", _TIME)]
    rows = pa.RecordBatch.from_pylist(
        [vars(each) for each in done], schema=pa.schema([("tool", pa.string()), ("done_at", pa.timestamp("us", "UTC"))])
    )
    _write(db, MAINTENANCE, columns, [rows], ("done_at",))


def _finite(rows: pa.RecordBatch, most: float) -> pa.RecordBatch:
    columns = [
        pc.max_element_wise(pc.min_element_wise(values, most, skip_nulls=False), -most, skip_nulls=False)
        if pa.types.is_floating(values.type)
        else values
        for values in rows.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=rows.schema)


def load_secom(db: Database, table: str, path: Path, hide_last: float = 0.0) -> int:
    """Write UCI SECOM to a new table; the number of rows.

    `path`: a CSV, plain or .gz, with the columns timestamp (read as UTC), label (-1 pass, 1 fail), s001 … s590.
    The key `wafer` counts the rows in time order. `hide_last`: the share of the rows, by time, whose labels are
    written as NULL; rows of one time are not parted, so that it may be a little less.
    Raises ConfigError where the file is missing or is not SECOM.
    """
    return _write(db, table, _secom_columns(), _secom(path, hide_last).to_batches(_CHUNK), ("timestamp",))


def _secom(path: Path, hide_last: float) -> pa.Table:
    """SECOM in time order, with its key, and with the labels of the last share hidden."""
    from pyarrow import csv

    if not 0 <= hide_last < 1:
        raise ConfigError(f"the share of hidden labels is {hide_last}", hint="at least 0 and less than 1")
    types = {"timestamp": pa.timestamp("us"), "label": pa.int64(), **dict.fromkeys(_SENSORS, pa.float64())}
    try:
        rows = csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=types))
    except FileNotFoundError:
        raise ConfigError(f"there is no SECOM file {path}", hint=_HOW_TO_GET_SECOM) from None
    except (OSError, EOFError, pa.ArrowException) as error:
        said = str(error).strip().splitlines()[0]
        raise ConfigError(f"{path} cannot be read as SECOM: {said}", hint=_HOW_TO_GET_SECOM) from None
    missing = [name for name in types if name not in rows.column_names]
    if missing or not len(rows):
        what = f"has no column '{missing[0]}'" if missing else "has no rows"
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ConfigError(f"{path} is not SECOM: it {what}{more}", hint=_HOW_TO_GET_SECOM)
    rows = rows.select(list(types)).append_column("place", pa.array(np.arange(len(rows))))
    rows = rows.sort_by([("timestamp", "ascending"), ("place", "ascending")]).drop_columns("place")
    time, visible = rows["timestamp"], round(len(rows) * (1 - hide_last))
    if visible < len(rows):
        label = pc.if_else(pc.greater(time, time[max(visible - 1, 0)]), pa.scalar(None, pa.int64()), rows["label"])
        rows = rows.set_column(1, "label", label)
    rows = rows.set_column(0, "timestamp", time.cast(pa.timestamp("us", "UTC")))
    return rows.add_column(0, "wafer", pa.array(np.arange(1, len(rows) + 1)))


def _secom_columns() -> list[sa.Column[Any]]:
    columns: list[sa.Column[Any]] = [
        sa.Column("wafer", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("timestamp", _TIME),
        sa.Column("label", sa.Integer),
    ]
    return columns + [sa.Column(name, sa.Double) for name in _SENSORS]


def _write(
    db: Database,
    table: str,
    columns: list[sa.Column[Any]],
    batches: Iterable[pa.RecordBatch],
    indexed: tuple[str, ...],
) -> int:
    """Create a table, fill it batch by batch, and index it."""
    schema, name = db.admin.split_name(table)
    made = sa.Table(name, sa.MetaData(), *columns, schema=schema)
    db.execute(sa.schema.CreateTable(made))
    count = 0
    for batch in batches:
        db.load(made, batch)
        count += batch.num_rows
    for column in indexed:
        db.execute(sa.schema.CreateIndex(sa.Index(f"{name}_{column}", made.c[column])))
    return count


def _facts(db: Database, table: str, label: str) -> dict[str, Any]:
    column: sa.ColumnElement[int] = sa.column(label)
    counts = {
        "rows": sa.func.count(),
        "labelled": sa.func.count(column),
        "failures": sa.func.coalesce(sa.func.sum(sa.case((column == 1, 1), else_=0)), 0),
    }
    chosen = sa.select(*[count.label(name) for name, count in counts.items()])
    return {name: int(n) for name, n in db.rows(chosen.select_from(sa.table(table)))[0].items()}


# A demo replaces what a demo wrote, and nothing else


def _prepare(folder: Path, table: str, file: str, url: str | None, template: str) -> Database:
    """The config written, and a database without the table, the store's tables and the saved steps."""
    config = folder / "rowcast.toml"
    if config.exists() and not _is_marked(config):
        raise ConfigError(f"{config} was not written by the demo", hint="name another folder with --dir")
    database = folder / file
    if url is None and database.exists() and not config.exists():
        raise ConfigError(f"{database} may not be the demo's: no rowcast.toml lies beside it", hint="move it away")
    schema = "rowcast" if url is None else f"demo_{table}"  # in a database of others, the demo's store stands apart
    db = _empty_file(database) if url is None else _empty(url, table, schema)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / ".rowcast" / table, ignore_errors=True)  # run numbers begin at 1 again
        written, _ = written_url(f"sqlite:///{database.resolve()}" if url is None else url, folder)
        store = "" if url is None else f"\n[store]\nschema = {quote(schema)}  # the demo's own, apart from any other\n"
        config.write_text(template.format(mark=_MARK, url=quote(written), store=store), encoding="utf-8")
    except OSError as error:
        db.close()
        raise ConfigError(f"{folder} cannot be written: {error.strerror}", hint="name another with --dir") from None
    return db


def _is_marked(config: Path) -> bool:
    try:
        return config.read_bytes().startswith(_MARK.encode())
    except OSError:
        return False


def _empty_file(database: Path) -> Database:
    try:
        for suffix in ("", "-wal", "-shm", "-journal"):
            database.with_name(database.name + suffix).unlink(missing_ok=True)
        return connect(f"sqlite:///{database.resolve()}", create=True)
    except OSError as error:
        raise ConfigError(f"{database} cannot be written: {error.strerror}", hint="name another with --dir") from None


def _empty(url: str, table: str, schema: str) -> Database:
    """The user's database without what an earlier demo wrote into it, and with the sign that the demo is here."""
    db = connect(url, create=True)
    try:
        shared = tables(db, schema)
        own = job_tables(db, shared, schema, table, (), sa.Text)
        prefix = f"{schema}_" if db.dialect.name == "sqlite" else ""
        sign = sa.Table(f"{prefix}demo", shared.metadata, sa.Column("written", sa.Text))
        named = sa.Table(table, sa.MetaData())
        beside = sa.Table(MAINTENANCE, sa.MetaData())
        if db.admin.has_table(sign):
            for found in filter(db.admin.has_table, chain((named, beside), shared.shared, own.all)):
                db.execute(sa.schema.DropTable(found))
        elif db.admin.has_table(named):
            raise ConfigError(
                f"{db.safe_url} has a table {table} that the demo did not write",
                hint="name another database with --url",
            )
        else:
            db.admin.prepare_store(schema)
            db.execute(sa.schema.CreateTable(sign))
    except (ConfigError, DatabaseError):
        db.close()
        raise
    return db


def _secret(url: str | None, folder: Path) -> bool:
    return url is not None and written_url(url, folder)[1]


_WAFERS_TOML = """\
{mark}, which writes it and its table anew each time it runs. Copy the folder to keep a change.
# A simulated fab: wafers run through tools and chambers in lots of 25; some fail, which is known days later.

[source]
url = {url}
table = "wafers"
key = ["wafer_id"]           # a few are NULL or repeated, as in a real fab: such rows are counted, never scored
time = "measured_at"         # when the wafer was measured
label = "failed"             # 1 failed, 0 passed, NULL until the final test
label_time = "labelled_at"   # when the final test was done: nothing earlier may know the label
group = "lot_id"             # wafers of one lot are alike: never some in training and others in the test of it
exclude = []                 # columns that are never features
{store}
[task]
positive = 1                 # the label that means a failure
cost_missed = 20.0           # a failed wafer that nobody looked at …
cost_false_alarm = 1.0       # … costs as much as 20 good ones looked at in vain

[retrain]
policy = "every"
every = "7d"

[monitor]
group_by = "tool"            # a chart for each tool, and a drift says which tool drifts

[notify]
values = true                # messages may quote values of rows, such as which tool it is: these rows are no secret
"""

_FEATURES_TOML = """
[[features.history]]         # what was known of the tool's wafers before each wafer
of = "failed"
by = ["tool"]
last = [25, 100]

[[features.since]]           # hours and wafers since its last maintenance
events = "wafers_maintenance"
event_time = "done_at"
by = ["tool"]
"""

_SECOM_TOML = """\
{mark}, which writes it and its table anew each time it runs. Copy the folder to keep a change.
# UCI SECOM (McCann and Johnston 2008, DOI 10.24432/C54305, CC BY 4.0): 590 sensors of a semiconductor line.
# It is hard: judged in time order, most models reach an AUC of 0.53 to 0.69. Higher figures that are published leak.

[source]
url = {url}
table = "secom"
key = ["wafer"]              # numbered in time order by the loader: SECOM itself has no key
time = "timestamp"           # when the wafer was tested
timezone = "UTC"             # SECOM's times carry no zone; the loader wrote them as UTC
label = "label"              # 1 failed, -1 passed; the demo hides those of the last wafers
{store}
[task]
positive = 1                 # the label that means a failure
cost_missed = 20.0           # a failed wafer that nobody looked at …
cost_false_alarm = 1.0       # … costs as much as 20 good ones looked at in vain
"""
