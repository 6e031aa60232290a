"""python -m benchmarks.bare CONFIG: what `rowcast infer` does to the same rows, without ledger, plan and claims.

It reads, checks, processes, scores and writes batch by batch, each in a transaction, by the same functions; it keeps no
record, takes no claim, and does not look for what is scored already.
"""

import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from rowcast import config, features
from rowcast.job.opening import open_job
from rowcast.scoring.publish import make_results
from rowcast.scoring.required_columns import check_rows, columns_needed
from rowcast.source import Fetched, declare_key
from rowcast.store.tables import job_tables, with_constants


def main(path: Path) -> int:
    """Score every row in scope into tables of its own; how many."""
    settings = config.load(path)
    count = 0
    with open_job(settings) as job:
        key, schema = declare_key(job.source, job.store), settings.store.schema_
        own = job_tables(job.store, job.tables, schema, "bare", key, job.own.prediction.c.predicted.type)
        for table in own.all:
            job.store.execute(sa.schema.DropTable(table, if_exists=True))
            job.store.execute(sa.schema.CreateTable(table))
        model = job.registry.load(job.registry.champion() or 0)
        columns = columns_needed(job, model)
        names = [column.name for column in columns]
        chosen: list[sa.ColumnElement[Any]] = [
            *[sa.column(c.name) for c in key],
            *[job.source.db.sql.feature(c).label(c.name) for c in columns],
        ]
        chosen += job.source.render_key()
        scope, last = job.source.in_scope(job.ledger.state().scope), None
        while True:
            parts = [scope] if last is None else [scope, job.source.after_key(last)]
            statement = job.source.select(*chosen).where(*parts).order_by(*job.source.keys())
            kinds = {column.name: column.kind for column in columns}
            fetched = Fetched(*job.source.db.read(statement, kinds, settings.infer.batch_rows))
            if not fetched.rows.num_rows:
                return count
            rendered = [fetched.rows.column(f"rowcast.key_{place}")[-1].as_py() for place in range(len(key))]
            last = tuple(rendered)
            checked = check_rows(job, model, fetched, names)
            matrix = features.process(checked.good, model.contract, model.features)
            predictions, quarantined = make_results(job, model, matrix, checked, fetched)
            lineage = {"run_id": 0, "batch_id": 0}
            now = job.store.now()
            with job.store.transaction("write"):
                scored = with_constants(predictions.rows, model_version=1, **lineage, scored_at=now)
                job.store.ingest(own.prediction, scored)
                job.store.ingest(own.quarantine, with_constants(quarantined, **lineage, quarantined_at=now))
            count += fetched.rows.num_rows


if __name__ == "__main__":
    print(main(Path(sys.argv[1])))
