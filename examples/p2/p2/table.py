"""The example table: a line's sensors, their gaps, rare failures, rows to be scored and some bad ones.

`python -m p2.table` creates it in the database of rowcast.toml, whichever that is.
"""

import sys

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from rowcast.config import load
from rowcast.database import connect
from rowcast.errors import RowcastError

ROWS, SENSORS, TO_SCORE = 4_000, 100, 300
MISSING = 0.045  # of the sensor cells
TOOLS, RECIPES = ("T1", "T2", "T3", "T4"), ("A", "B", "C")
WEIGHTS = {7: 1.3, 23: -1.1, 42: 0.9, 61: 0.6, 88: -0.6}  # sensor: share in the log-odds, per standard deviation
TOOL_T3, INTERCEPT = 1.2, -4.3  # T3 fails more often; the intercept makes it about 8 %
BAD = {40: 1e12, 1_500: float("inf"), 3_790: 1e12, 3_850: float("-inf"), 3_911: -4e9}  # row: what sensor 7 reports
MISTYPED = 3_960  # where sensor 7 holds a text: SQLite lets one in


def create(url: str, name: str) -> int:
    """Create and fill the table in one transaction; returns its rows, 0 where it was there already.

    All through rowcast's database layer: two SQLite libraries in one process would drop each other's locks.
    """
    db = connect(url, create=True)
    try:
        if db.admin.describe(name, None) is not None:
            return 0
        schema, bare = db.admin.split_name(name)
        target, rows = _table(bare, schema), _rows()
        with db.transaction("write"):
            db.execute(sa.schema.CreateTable(target))
            db.ingest(target, rows)
            if db.dialect.name == "sqlite":
                text: sa.ColumnClause[str] = sa.literal_column("'no signal'")
                db.execute(target.update().where(target.c.id == MISTYPED).values(sensor_007=text))
        return int(rows.num_rows)
    finally:
        db.close()


def _table(name: str, schema: str | None) -> sa.Table:
    return sa.Table(
        name,
        sa.MetaData(schema=schema),
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("tool", sa.Text),
        sa.Column("recipe", sa.Text),
        *[sa.Column(sensor, sa.Double) for sensor in _sensors()],
        sa.Column("target", sa.Integer),
    )


def _rows(seed: int = 6) -> pa.Table:
    """Equal seeds give equal rows, in the order of id."""
    random = np.random.default_rng(seed)
    common = random.standard_normal((ROWS, SENSORS // 5)).repeat(5, axis=1)  # five sensors to a station
    readings = 0.6 * common + 0.8 * random.standard_normal((ROWS, SENSORS))
    tool, recipe = random.integers(len(TOOLS), size=ROWS), random.choice(len(RECIPES), ROWS, p=(0.5, 0.4, 0.1))
    log_odds = INTERCEPT + TOOL_T3 * (tool == TOOLS.index("T3"))
    for sensor, weight in WEIGHTS.items():
        log_odds = log_odds + weight * readings[:, sensor - 1]
    failed = (random.random(ROWS) < 1 / (1 + np.exp(-log_odds))).astype(np.int32)
    scale = 10 ** random.uniform(-2, 3, SENSORS)
    values, gaps = (readings + random.uniform(5, 50, SENSORS)) * scale, random.random(readings.shape) < MISSING
    for row, bad in BAD.items():
        values[row - 1, 6], gaps[row - 1, 6] = bad, False
    sensors = {name: pa.array(values[:, k], mask=gaps[:, k]) for k, name in enumerate(_sensors())}
    return pa.table(
        {
            "id": pa.array(np.arange(1, ROWS + 1), pa.int32()),
            "tool": pa.array(np.array(TOOLS)[tool], mask=random.random(ROWS) < 0.01),
            "recipe": pa.array(np.array(RECIPES)[recipe]),
            **sensors,
            "target": pa.array(failed, mask=np.arange(ROWS) >= ROWS - TO_SCORE),
        }
    )


def _sensors() -> list[str]:
    return [f"sensor_{number:03d}" for number in range(1, SENSORS + 1)]


if __name__ == "__main__":
    try:
        settings = load()
        made = create(settings.source_url, str(settings.source.table))
    except RowcastError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    print(f"{settings.source.table}: {made:,} rows written" if made else f"{settings.source.table} is there already")
