"""A job that has scored each day for a long time: its newest run, copied by SQL."""

import sqlalchemy as sa
from conftest import quoted
from jobs import Job

from rowcast.config import load
from rowcast.job.opening import open_job
from rowcast.store.tables import Instant

# What the copied rows hold where the prediction they are copied from has nothing.
FILLED = {
    "reasons": """'[{"column": "s01", "rule": "range", "value": 9.0, "limit": 1.0}]'""",
    "row_values": "'{}'",
    "was": "'scored'",
    "online_request": "'request'",
    "online_client": "''",
    "place": "n",
}


def enlarge(job: Job, days: int, rows: int) -> None:
    """Let a run follow each day on the newest, with so many rows: scored, set aside, and in every table of rows."""
    with open_job(load(job.folder / "rowcast.toml")) as opened:
        run, tables, own = opened.runs.newest(1)[0].run_id, opened.tables, opened.own
    [first] = job.stored(f"SELECT MAX(batch_id) AS batch FROM {job.table('batch')} WHERE run_id = {run}")
    [last] = job.sql("SELECT MAX(wafer) AS wafer FROM wafers")
    for name, most in (("days", days), ("places", days * rows)):
        counted = f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {most}) SELECT n FROM c"
        job.stored(f"CREATE TABLE {name} AS {counted}")
    later = {"run_id": "run_id + n", "batch_id": "batch_id + n", "lease_until": "NULL"}
    later |= {"scored": str(rows), "row_count": str(rows)}
    later["value"] = "CASE WHEN name = 'flagged' THEN n % 7 ELSE value END"
    for table in (tables.run, tables.step, tables.metric, tables.batch, tables.profile):
        here = f"batch_id = {first['batch']}" if "batch_id" in table.c else f"run_id = {run}"
        values = {c.name: later.get(c.name, _later(job, c, "n")) for c in table.c}
        _insert(job, table, values, f"{_spell(table)} CROSS JOIN days WHERE {here}")
    wafer, day = f"{last['wafer']} + n", f"(n + {rows - 1}) / {rows}"
    places = {"wafer": wafer, "run_id": f"{run} + {day}", "batch_id": f"{first['batch']} + {day}"}
    like = f"{_spell(own.prediction)} CROSS JOIN places WHERE wafer = {last['wafer']}"
    for table in (own.prediction, own.quarantine, own.history, own.shadow, own.forgotten, own.online):
        there = {c.name: _later(job, c, day) if c.name in own.prediction.c else "NULL" for c in table.c}
        times = {c.name: _later(job, own.prediction.c.scored_at, day) for c in table.c if isinstance(c.type, Instant)}
        known = {name: value for name, value in {**places, **FILLED, **times}.items() if name in table.c}
        _insert(job, table, {**there, **known}, like)
    moved = _later(job, sa.column("measured_at", Instant()), day)
    names = [name for name in job.sql("SELECT * FROM wafers LIMIT 1")[0] if name not in ("wafer", "measured_at")]
    values = {"wafer": wafer, "measured_at": moved, **{name: quoted(name) for name in names}}
    of_last = f"FROM wafers CROSS JOIN places WHERE wafer = {last['wafer']}"
    job.sql(f"INSERT INTO wafers ({', '.join(values)}) SELECT {', '.join(values.values())} {of_last}", "ANALYZE")


def _insert(job: Job, table: sa.Table, values: dict[str, str], chosen: str) -> None:
    names = ", ".join(quoted(name) for name in values)
    job.stored(f"INSERT INTO {_spell(table)} ({names}) SELECT {', '.join(values.values())} FROM {chosen}")


def _spell(table: sa.Table) -> str:
    return f"{table.schema}.{quoted(table.name)}" if table.schema else quoted(table.name)


def _later(job: Job, column: sa.ColumnElement[object], days: str) -> str:
    """A column's value; of a moment, that so many days later."""
    name = quoted(str(column.name))
    if not isinstance(column.type, Instant):
        return name
    if job.place.is_sqlite:
        return f"strftime('%Y-%m-%d %H:%M:%S.000000Z', {name}, ({days}) || ' days')"
    return f"{name} + ({days}) * interval '1 day'"
