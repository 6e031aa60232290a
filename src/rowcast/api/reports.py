"""Calls that look: they write nothing about rows."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rowcast.api.connections import Connections
from rowcast.api.moments import Moment, to_instant, to_text

if TYPE_CHECKING:
    import pyarrow as pa

    from rowcast.audit import Audit
    from rowcast.card.record import Card
    from rowcast.charts_report import ChartsReport
    from rowcast.drift_report import DriftReport
    from rowcast.explain import Explanation
    from rowcast.job.opening import Job as OpenJob
    from rowcast.messages.decisions import ShadowProgress
    from rowcast.quality_report import QualityReport
    from rowcast.scoring.served_model import ServedModel
    from rowcast.status import Status
    from rowcast.store.records import DecisionRecord, RunRecord, StepRecord
    from rowcast.store.registry import Integrity, Version
    from rowcast.translate import DialectName


class Reports(Connections):
    """Calls that look at a job, its rows, its versions and its runs."""

    def status(self) -> "Status":
        """Return what is in service, what is pending, and how the last run went."""
        from rowcast.status import read_status

        with self.connection() as job:
            return read_status(job)

    def audit(self, *, full: bool = False, all: bool = False) -> "Audit":
        """Prove with SQL that every source row is in just one place.

        Parameters
        ----------
        full
            Also hold the store's contents against the batches' checksums, the source and the models: `Audit.contents`.
            Of the scored rows a sample is scored again.
        all
            Do so, and score every row again.
        """
        from rowcast.audit import SAMPLE, audit

        with self.connection() as job:
            return audit(job, full=full or all, sample=None if all else SAMPLE)

    def explain(self, *key: object) -> "Explanation":
        """Return why the row with this key got its score, and the score computed again; a value for each key column."""
        from rowcast.explain import explain

        with self.connection() as job:
            return explain(job, tuple(map(str, key)))

    def quality(self, *, days: int = 30, as_of: Moment | None = None) -> "QualityReport":
        """Return how good predictions of the last days are: estimated, and realised where labels are known.

        Where `as_of` is not given and nothing was scored in these days, they are those before the newest rows.
        """
        from rowcast.job.opening import resolve_now
        from rowcast.quality_report import report_quality

        with self.connection() as job:
            found = report_quality(job, resolve_now(job.settings, to_text(as_of), job.store), days)
            newest = None if as_of is not None or found.versions else job.runs.newest_that_scored()
            return found if newest is None else replace(report_quality(job, newest, days), is_newest=True)

    def drift(self) -> "DriftReport":
        """Return whether the champion's rows have changed, in which columns, since when and by how much."""
        from rowcast.drift_report import report_drift

        with self.connection() as job:
            return report_drift(job)

    def charts(self, *, days: int = 60, columns: Sequence[str] = (), as_of: Moment | None = None) -> "ChartsReport":
        """Return control charts of scores, outcomes and sensors, day by day and by group.

        Parameters
        ----------
        days
            How many days to look at, up to that of `as_of`. Where that is not given and no row was scored in these
            days, they are those before the newest rows.
        columns
            The columns to chart; by default those that matter most.

        Raises
        ------
        UsageError
            Where `[source]` names no time.
        """
        from rowcast.charts_report import report_charts
        from rowcast.job.opening import resolve_now

        with self.connection() as job:
            found = report_charts(job, resolve_now(job.settings, to_text(as_of), job.store), days, columns)
            newest = None if as_of is not None or found.charts else job.runs.newest_that_scored()
            return found if newest is None else replace(report_charts(job, newest, days, columns), is_newest=True)

    def models(self) -> "tuple[Version, ...]":
        """Return every model version, the newest first."""
        with self.connection() as job:
            return tuple(job.registry.versions())

    def verify_models(self) -> "tuple[Integrity, ...]":
        """Return for every model version, the newest first, whether its bytes and its signature are those saved.

        `is_trusted` of each says whether it may be loaded: as `rowcast models verify`.
        """
        with self.connection() as job:
            return tuple(job.registry.check_integrity(each.version) for each in job.registry.versions())

    def decisions(self) -> "tuple[DecisionRecord, ...]":
        """Return every decision about a version, the newest first: by whom, why, on what evidence."""
        with self.connection() as job:
            return tuple(job.registry.decisions())

    def shadow(self) -> "tuple[ShadowProgress, ...]":
        """Return how far the evidence is about versions that score in the shadow."""
        from rowcast.training.shadow_evaluation import measure_progress

        with self.connection() as job:
            return measure_progress(job, job.store.now())

    def card(self, version: int | None = None) -> "Card":
        """Return the card of a version, by default the champion's: how good it is, what it costs, its caveats."""
        from rowcast import card

        with self.connection() as job:
            return card.gather(job, _or_champion(job, version))

    def sql(self, version: int | None = None, *, dialect: "DialectName | None" = None) -> str:
        """Return one SELECT that scores the source with a version, by default the champion: key, score, decision.

        Parameters
        ----------
        version
            A number of `models()`.
        dialect
            mssql, postgresql, sqlite, bigquery, snowflake or databricks; by default that of the source's database.

        Raises
        ------
        ModelError
            Where the version cannot be told in that SQL, such as an estimator of your own; the error says why.
        """
        from rowcast.scoring.as_sql import write_sql

        with self.connection() as job:
            return write_sql(job, _or_champion(job, version), dialect)

    def runs(self, most: int = 20) -> "tuple[RunRecord, ...]":
        """Return the newest runs, the newest first."""
        with self.connection() as job:
            return tuple(job.runs.newest(most))

    def find_run(self, run_id: int) -> "RunRecord":
        """Return one run. Raise RunError where this job has none such."""
        with self.connection() as job:
            return job.runs.get(run_id)

    def steps(self, run_id: int) -> "tuple[StepRecord, ...]":
        """Return the steps of a run in their order."""
        with self.connection() as job:
            return tuple(job.runs.steps(run_id))

    def predictions(
        self,
        *,
        since: Moment | None = None,
        until: Moment | None = None,
        version: int | None = None,
        columns: Sequence[str] | None = None,
    ) -> "pa.Table":
        """Return predictions in the order in which they were published, and by key within a batch.

        Parameters
        ----------
        since, until
            Those that were published (`scored_at`) at or after the first and before the second moment: the end of one
            call is the beginning of the next.
        version
            Those of one model version.
        columns
            Names of columns; by default all of the prediction table but the row's hash: the source's key columns,
            `model_version`, `run_id`, `batch_id`, `scored_at` (the lineage), `score`, `predicted`, `threshold`,
            `contributions` and `possible` (JSON), `uncertain`, `low`, `high`.

        Example
        -------
        >>> job.predictions(since="2026-05-01", columns=["wafer_id", "score"]).to_pandas()
        """
        from rowcast.store.reading.prediction_table import read_predictions

        with self.connection() as job:
            after, before = (None if moment is None else to_instant(job, moment) for moment in (since, until))
            return read_predictions(job.store, job.own, after, before, version, columns)

    def champion(self) -> "ServedModel":
        """Return the version in service, to score rows in memory. Raise ModelError where there is none yet."""
        return self.model(None)

    def model(self, version: int | None) -> "ServedModel":
        """Return a version, by default the champion, to score rows in memory: see `ServedModel.score`."""
        from rowcast.scoring.served_model import load_served

        with self.connection() as job:
            return load_served(job, _or_champion(job, version))

    def export_model(self, folder: str | os.PathLike[str], version: int | None = None) -> int:
        """Write a version, by default the champion, as an MLflow model into a folder that is not there yet.

        `mlflow.pyfunc.load_model` reads it where rowcast and pandas are installed. Return the version's number. Raise
        UsageError where the folder is there, ModelError where the version is missing or was changed.
        """
        from rowcast.mlflow_model import export_model
        from rowcast.scoring.served_model import load_served

        with self.connection() as job:
            number = _or_champion(job, version)
            stored = job.registry.read_stored(number)
            export_model(load_served(job, number), stored, job.settings.name, Path(folder))
            return number


def _or_champion(job: "OpenJob", version: int | None) -> int:
    from rowcast.errors import ModelError

    wanted = job.registry.champion() if version is None else version
    if wanted is None:
        raise ModelError("no model is in service yet", hint="name a version of 'rowcast models'")
    return wanted
