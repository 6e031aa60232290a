"""Jobs of a store that nobody has named: what is known of them without their configuration."""

from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from rowcast.database import Database
from rowcast.store.alert_record import Alert
from rowcast.store.alerts import Alerts
from rowcast.store.records import RunRecord
from rowcast.store.runs import Runs
from rowcast.store.tables import Tables


@dataclass(frozen=True)
class OtherJob:
    """A job, by what the store keeps of it."""

    name: str
    source: str
    champion: int | None
    last_run: RunRecord | None
    standing: tuple[Alert, ...]


def list_other_jobs(db: Database, tables: Tables, named: Collection[str]) -> list[OtherJob]:
    """Return the jobs of a store but for those that are named, by their names."""
    job = tables.job
    rows = db.rows(sa.select(job.c.job, job.c.source, job.c.champion).order_by(job.c.job))
    found = []
    for row in rows:
        if row["job"] not in named:
            runs = Runs(db, tables, row["job"]).newest(1)
            standing = Alerts(db, tables, row["job"], (), "info").list_standing()
            found.append(OtherJob(row["job"], row["source"], row["champion"], next(iter(runs), None), tuple(standing)))
    return found
