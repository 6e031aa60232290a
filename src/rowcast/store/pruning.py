"""What rowcast need not keep of old runs: profiles, figures, steps, and messages that were delivered.

Predictions, quarantined rows, decisions, versions, batches and the runs themselves stay: they are what is proven.
"""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from rowcast.database import Database
from rowcast.store.records import RunStatus
from rowcast.store.tables import Tables

_LEFT = 100  # newest runs whose steps and figures stay, however old they are
_RUNS = 1_000  # whose rows are deleted in one transaction


@dataclass(frozen=True)
class Pruned:
    """How many rows were deleted."""

    profiles: int = 0
    metrics: int = 0
    steps: int = 0
    alerts: int = 0

    @property
    def rows(self) -> int:
        """All of them."""
        return self.profiles + self.metrics + self.steps + self.alerts


class Pruning:
    """The old rows of one job in the tables that jobs share."""

    def __init__(self, db: Database, tables: Tables, job: str) -> None:
        self.db = db
        self.tables = tables
        self.job = job

    def prune(self, before: datetime) -> Pruned:
        """Delete what was written before a moment and no promise needs; what is done stays done if it is stopped."""
        tables = (self.tables.profile, self.tables.metric, self.tables.step)
        of_runs = dict.fromkeys(tables, 0)
        old = self._find_old_runs(before)
        for start in range(0, len(old), _RUNS):
            first, last = old[start], old[min(start + _RUNS, len(old)) - 1]
            with self.db.transaction("write"):
                for table in of_runs:
                    mine = sa.and_(table.c.job == self.job, table.c.run_id.between(first, last))
                    of_runs[table] += self._delete(table, sa.and_(mine, table.c.run_id.not_in(self._running())))
        with self.db.transaction("write"):
            alerts = self._delete(self.tables.alert, self._told_before(before))
        profiles, metrics, steps = of_runs.values()
        return Pruned(profiles, metrics, steps, alerts)

    def _find_old_runs(self, before: datetime) -> list[int]:
        """Runs that began before a moment and still have steps or profiles, in their order."""
        run, table = self.tables.run, self.tables
        own = run.c.job == self.job
        newest = sa.select(run.c.run_id).where(own).order_by(run.c.run_id.desc()).limit(_LEFT)
        left = {row["run_id"] for row in self.db.rows(newest)}
        there = sa.or_(
            *(
                sa.exists(sa.select(sa.literal(1)).select_from(each).where(each.c.run_id == run.c.run_id))
                for each in (table.step, table.profile)
            )
        )
        old = sa.select(run.c.run_id).where(own, run.c.started_at < before, there).order_by(run.c.run_id)
        return [row["run_id"] for row in self.db.rows(old) if row["run_id"] not in left]

    def _running(self) -> sa.Select[tuple[int]]:
        run = self.tables.run
        return sa.select(run.c.run_id).where(run.c.job == self.job, run.c.status == RunStatus.RUNNING)

    def _told_before(self, before: datetime) -> sa.ColumnElement[bool]:
        """The condition of old alerts that every sink was told; the last word on each topic stays."""
        table = self.tables.alert
        mine = table.c.job == self.job
        last = sa.select(sa.func.max(table.c.alert_id)).where(mine, table.c.state != "once").group_by(table.c.topic)
        told = sa.and_(mine, table.c.created_at < before, table.c.next_try.is_(None))
        return sa.and_(told, table.c.alert_id.not_in(last))

    def _delete(self, table: sa.Table, these: sa.ColumnElement[bool]) -> int:
        count: int = self.db.scalar(sa.select(sa.func.count()).select_from(table).where(these))
        if count:
            self.db.execute(table.delete().where(these))
        return count
