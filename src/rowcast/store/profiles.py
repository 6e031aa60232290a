"""What the rows of runs looked like, and the drift in them that was reported."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from rowcast.database import Database
from rowcast.store.records import BatchStatus, DriftRecord, PipelineName, ScoringRun
from rowcast.store.tables import Tables

_SCORES = (PipelineName.INFER, PipelineName.FULL, PipelineName.STEP)  # pipelines that score


class Profiles:
    """The store's record of one job's profiles and drift."""

    def __init__(self, db: Database, tables: Tables, job: str) -> None:
        self.db = db
        self.tables = tables
        self.job = job

    def of(self, version: int, reach: timedelta, *, unused: bool = False) -> dict[int, list[bytes]]:
        """By run, the profiles of the batches that a version scored, back to `reach` before the newest such run.

        `unused` asks for those of the columns that the version does not use.
        """
        table, run = self.tables.profile, self.tables.run
        counts = table.c.unused if unused else table.c.counts
        mine = sa.and_(table.c.job == self.job, table.c.model_version == version, counts.is_not(None))
        joined = table.join(run, run.c.run_id == table.c.run_id)
        newest = self.db.rows(
            sa.select(run.c.as_of).select_from(joined).where(mine).order_by(run.c.as_of.desc()).limit(1)
        )
        found: dict[int, list[bytes]] = {}
        if not newest:
            return found
        recent = sa.and_(mine, run.c.as_of >= newest[0]["as_of"] - reach)
        statement = sa.select(table.c.run_id, counts.label("counts")).select_from(joined).where(recent)
        for row in self.db.rows(statement.order_by(table.c.batch_id)):
            found.setdefault(row["run_id"], []).append(bytes(row["counts"]))
        return found

    def runs(self, first: int) -> list[ScoringRun]:
        """Return the runs that scored, from the `first` on and in their order."""
        run, batch, metric = self.tables.run, self.tables.batch, self.tables.metric
        published = sa.and_(batch.c.job == self.job, batch.c.run_id >= first, batch.c.status == BatchStatus.PUBLISHED)
        counted = (
            sa.select(
                batch.c.run_id,
                sa.func.sum(batch.c.scored).label("scored"),
                sa.func.sum(batch.c.quarantined).label("quarantined"),
            )
            .where(published)
            .group_by(batch.c.run_id)
            .subquery()
        )
        figure = {name: metric.alias(f"{name}_of_run") for name in ("flagged", "age_h")}
        joined: sa.FromClause = run.outerjoin(counted, counted.c.run_id == run.c.run_id)
        for name, of in figure.items():
            same = sa.and_(of.c.run_id == run.c.run_id, of.c.step == "inference", of.c.name == name)
            joined = joined.outerjoin(of, same)
        scores = sa.and_(run.c.job == self.job, run.c.run_id >= first, run.c.pipeline.in_(_SCORES))
        columns = [run.c.run_id, run.c.as_of, counted.c.scored, counted.c.quarantined]
        columns += [of.c.value.label(name) for name, of in figure.items()]
        rows = self.db.rows(sa.select(*columns).select_from(joined).where(scores).order_by(run.c.run_id))
        return [ScoringRun(**row) for row in rows]

    def record_drift(self, version: int, events: Sequence[DriftRecord], before: int) -> bool:
        """Keep drift of a version that began or ended.

        `before` is how many such records there were when it was looked; return False, and keep nothing, where another
        process has kept some since.
        """
        with self.db.transaction("write"):
            self.db.lock(self.tables.job, self.job)
            if len(self.list_drift(version)) != before:
                return False
            for event in events:
                about = {"job": self.job, "run_id": event.run_id, "begun_run": event.begun_run, "what": event.what}
                about |= {"model_version": version, "at": event.at, "size": event.size, "told": event.sentence}
                findings = json.dumps(event.findings, ensure_ascii=False)
                self.db.execute(self.tables.drift.insert().values({**about, "findings": findings}))
        return True

    def list_drift(self, version: int | None = None) -> list[DriftRecord]:
        """Return the drift on record, of one version or of all, the newest first."""
        table = self.tables.drift
        mine = table.c.job == self.job
        if version is not None:
            mine = sa.and_(mine, table.c.model_version == version)
        rows = self.db.rows(sa.select(table).where(mine).order_by(table.c.drift_id.desc()))
        return [DriftRecord.from_row(row) for row in rows]

    def find_last_look(self, run_id: int, figure: str) -> tuple[datetime, float] | None:
        """Return as of when a run before this one last kept a figure of the step `monitor`, and its value."""
        return next(iter(self.find_looks(run_id, figure, 1)), None)

    def find_looks(self, run_id: int, figure: str, most: int) -> list[tuple[datetime, float]]:
        """Return moments and values of a figure of the step `monitor` in the runs before this one, the newest first."""
        run, metric = self.tables.run, self.tables.metric
        mine = sa.and_(metric.c.job == self.job, metric.c.step == "monitor", metric.c.name == figure)
        joined = metric.join(run, run.c.run_id == metric.c.run_id)
        looked = sa.select(run.c.as_of, metric.c.value).select_from(joined).where(mine, run.c.run_id < run_id)
        found = self.db.rows(looked.order_by(run.c.run_id.desc()).limit(most))
        return [(row["as_of"], row["value"]) for row in found]

    def last_look(self) -> dict[str, float]:
        """The figures of the newest step `monitor` that looked at all runs; empty where there is none."""
        metric = self.tables.metric
        of_step = sa.and_(metric.c.job == self.job, metric.c.step == "monitor")
        newest = sa.select(sa.func.max(metric.c.run_id)).where(of_step, metric.c.name == "runs").scalar_subquery()
        rows = self.db.rows(sa.select(metric.c.name, metric.c.value).where(of_step, metric.c.run_id == newest))
        return {row["name"]: row["value"] for row in rows}


def find_standing(records: Sequence[DriftRecord]) -> list[DriftRecord]:
    """Return the drifts that have begun and not ended, of the records of a version, both the newest first."""
    found, ended = list[DriftRecord](), set[int]()
    for made in records:
        if made.what != "ended":
            found += [] if made.run_id in ended else [made]
        elif made.begun_run is None:  # of a store before version 11: one drift stood at a time
            break
        else:
            ended.add(made.begun_run)
    return found
