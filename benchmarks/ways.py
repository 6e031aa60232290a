"""Three ways to score a table, each run as a process of its own and measured from outside.

limit  read the model's columns and write as many predictions in the database's own bulk form, without any model
plain  pandas read_sql, a scikit-learn pipeline, pandas to_sql
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

SYSTEM, URL, COLUMNS, LABELLED = sys.argv[2], sys.argv[3], sys.argv[4].split(","), int(sys.argv[5])
CHUNK = 50_000


def limit() -> None:
    """Bulk out, bulk in. The written table has the columns and the primary key of a prediction table."""
    import numpy as np
    import pyarrow as pa

    chosen = ", ".join(f'"{name}"' for name in ["wafer_id", *COLUMNS])
    connect: Callable[[], Any]
    if SYSTEM == "sqlite":
        import adbc_driver_sqlite.dbapi as sqlite

        connect = partial(sqlite.connect, f"file:{URL.removeprefix('sqlite:///')}", autocommit=True)
        real = "REAL"
    else:
        import adbc_driver_postgresql.dbapi as postgresql

        connect = partial(postgresql.connect, URL, autocommit=True)
        real = "double precision"
    options = {"adbc.sqlite.query.batch_rows": str(CHUNK)} if SYSTEM == "sqlite" else None
    with connect() as reading, connect() as writing, writing.cursor() as write:
        write.execute("DROP TABLE IF EXISTS bench_limit")
        write.execute(
            "CREATE TABLE bench_limit (wafer_id TEXT PRIMARY KEY, model_version INTEGER, run_id BIGINT,"
            f" batch_id BIGINT, scored_at TEXT, row_hash BIGINT, score {real}, predicted BIGINT,"
            f" threshold {real}, contributions TEXT)"
        )
        with reading.cursor(adbc_stmt_kwargs=options) as read:
            read.execute(f"SELECT {chosen} FROM wafers ORDER BY wafer_id")
            for batch in read.fetch_record_batch():
                n = batch.num_rows
                whole = np.zeros(n, np.int64)
                rows = pa.table(
                    {
                        "wafer_id": batch.column(0),
                        "model_version": pa.array(whole.astype(np.int32)),
                        "run_id": whole,
                        "batch_id": whole,
                        "scored_at": pa.repeat("2026-07-04 00:00:00Z", n),
                        "row_hash": whole,
                        "score": np.zeros(n),
                        "predicted": whole,
                        "threshold": np.zeros(n),
                        "contributions": pa.nulls(n, pa.string()),
                    }
                )
                write.execute("BEGIN")
                write.adbc_ingest("bench_limit", rows, mode="append")
                write.execute("COMMIT")


def plain() -> None:
    """What a notebook does: all columns into pandas, a pipeline, and back."""
    import pandas as pd
    import sqlalchemy as sa
    from sklearn.ensemble import HistGradientBoostingClassifier

    engine = sa.create_engine(URL.replace("postgresql://", "postgresql+psycopg://"))
    train = pd.read_sql(f"SELECT * FROM wafers WHERE failed IS NOT NULL LIMIT {LABELLED}", engine)
    numbers = [name for name in COLUMNS if name[1:].isdigit()]
    model = HistGradientBoostingClassifier(max_iter=150, random_state=0).fit(train[numbers], train["failed"])
    first = True
    for rows in pd.read_sql("SELECT * FROM wafers", engine, chunksize=CHUNK):
        scored = pd.DataFrame({"wafer_id": rows["wafer_id"], "score": model.predict_proba(rows[numbers])[:, 1]})
        scored.to_sql("bench_plain", engine, index=False, if_exists="replace" if first else "append")
        first = False


if __name__ == "__main__":
    {"limit": limit, "plain": plain}[sys.argv[1]]()
