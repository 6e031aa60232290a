"""rowcast from Python, for notebooks, services and orchestrators. The command line is a thin user of it.

Example
-------
>>> import rowcast
>>> job = rowcast.open("rowcast.toml")
>>> job.run().raise_for_status()  # retrain when due, then score what is pending
>>> job.status().rows.pending
0
>>> job.predictions(since="2026-05-01").to_pandas()
"""

import getpass
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from rowcast import logs
from rowcast.config import DEFAULT_PATH, Settings, load

if TYPE_CHECKING:
    import pyarrow as pa

    from rowcast.audit import Audit
    from rowcast.card.record import Card
    from rowcast.drift_report import DriftReport
    from rowcast.explain import Explanation
    from rowcast.job.opening import Job as OpenJob
    from rowcast.pipeline import Pipeline, Progress, Result
    from rowcast.quality_report import QualityReport
    from rowcast.run_result import RunResult
    from rowcast.scoring.served_model import ServedModel
    from rowcast.status import Status
    from rowcast.store.records import RunRecord, StepRecord
    from rowcast.store.registry import Version

Moment: TypeAlias = datetime | date | str  # text as on the command line: 2026-05-01, or 2026-05-01T06:00:00+02:00

_running = threading.Lock()  # a process executes one run at a time: signals, worker processes and models are its own


def open(
    config: str | os.PathLike[str] = DEFAULT_PATH, *, workers: int | None = None, log_level: str = "warning"
) -> "Job":
    """Return the job of a rowcast.toml. Nothing is connected to before it is needed.

    Parameters
    ----------
    config
        The job's rowcast.toml. Secrets come from environment variables, as on the command line.
    workers
        Processes to score with; by default `[infer] workers`. With more than one, a script must stand under
        `if __name__ == "__main__":`, since each process imports it.
    log_level
        What is logged to standard error: debug, info, warning or error. Where the process has configured structlog
        itself, rowcast logs through that instead.

    Raises
    ------
    ConfigError
        Where the file is missing, or something in it is wrong; the error names the key and the way out.

    Example
    -------
    >>> with rowcast.open("rowcast.toml") as job:  # its looks share one connection
    ...     print(job.status())
    """
    from structlog import is_configured

    settings = load(Path(config), **({} if workers is None else {"infer": {"workers": workers}}))
    if not is_configured():
        logs.configure(log_level, secrets=settings.secrets, values=settings.notify.values)
    return Job(settings)


class Job:
    """One rowcast.toml: a source, a task, a champion.

    Each call connects to the databases and lets go of them again, so that a job may be kept for as long as a process
    lives, and several jobs side by side. Within `with`, the calls that only look share one set of connections, until
    `close`. Runs always have their own. One process executes one run at a time: another thread's waits.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stack: ExitStack | None = None
        self._opened: OpenJob | None = None

    def __repr__(self) -> str:
        return f"<rowcast job '{self.name}' of {self.settings.folder}>"

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that are shared within `with`; the job itself can still be used."""
        stack, self._stack, self._opened = self._stack, None, None
        if stack is not None:
            stack.close()

    @property
    def name(self) -> str:
        """The job's name: `name` in rowcast.toml, or that of its table."""
        return self.settings.name

    # Runs: they write

    def run(
        self,
        *,
        as_of: Moment | None = None,
        since: Moment | None = None,
        rescore: bool = False,
        accept_quarantine: bool = False,
        progress: "Progress | None" = None,
    ) -> "RunResult":
        """Retrain when due, then score what is pending, as `rowcast run`.

        Parameters
        ----------
        as_of
            The moment that counts, by default now: rows and labels later than it are invisible. A moment without a
            time zone is in `source.timezone`.
        since
            The event time back to which rows older than `late_arrival` are looked for.
        rescore
            Score rows once more whose values at the source have changed.
        accept_quarantine
            Publish batches however many of their rows break the contract.
        progress
            Called with rows done and rows in all while rows are scored.

        Raises
        ------
        RowcastError
            Where the run fails: it is recorded as failed, and what was published stays so. What did not stop it is in
            the result, whose `raise_for_status` raises it.
        """
        return self._pipeline("full-pipeline", as_of, progress, since, rescore, accept_quarantine)

    def retrain(self, *, as_of: Moment | None = None) -> "RunResult":
        """Train a challenger on all matured labels and let the gate decide whether it serves, as `rowcast retrain`."""
        return self._pipeline("retrain", as_of)

    def infer(
        self,
        *,
        as_of: Moment | None = None,
        since: Moment | None = None,
        rescore: bool = False,
        accept_quarantine: bool = False,
        progress: "Progress | None" = None,
    ) -> "RunResult":
        """Score what is pending, each row exactly once, as `rowcast infer`; parameters as for `run`."""
        return self._pipeline("infer", as_of, progress, since, rescore, accept_quarantine)

    def step(
        self,
        name: str,
        *,
        as_of: Moment | None = None,
        run_id: int | None = None,
        accept_quarantine: bool = False,
    ) -> "RunResult":
        """Execute one step on what the step before saved; `data-fetch` begins a run that the others go on with."""
        from rowcast import pipeline

        given: dict[str, Any] = {"run_id": run_id, "accept_quarantine": accept_quarantine}
        return self._execute(lambda: pipeline.step(self.settings, name, as_of=_text(as_of), **given))

    def resume(self, run_id: int | None = None, *, progress: "Progress | None" = None) -> "RunResult":
        """Go on with a run that did not finish, by default the newest such, from its first unfinished step."""
        from rowcast import pipeline

        watch = progress or pipeline.unseen
        return self._execute(lambda: pipeline.resume(self.settings, run_id, progress=watch))

    def requeue(
        self,
        *key: object,
        reason: str | None = None,
        run_id: int | None = None,
        changed: bool = False,
        all: bool = False,
    ) -> "RunResult":
        """Make quarantined rows pending again; what is given narrows down which.

        Parameters
        ----------
        key
            Of one row: a value for each key column.
        reason
            Those set aside for this reason: a column, a rule, or "column: rule".
        run_id
            Those that this run set aside.
        changed
            Those whose values at the source have changed since.
        all
            All of them; nothing else may be given then.
        """
        from rowcast import pipeline
        from rowcast.errors import UsageError
        from rowcast.scoring.requeue import RequeueFilter

        chosen = RequeueFilter(tuple(map(str, key)), reason, run_id, changed)
        if all == (chosen != RequeueFilter()):
            raise UsageError("name a KEY, --reason, --run or --changed, or else --all", hint="'rowcast requeue --help'")
        return self._execute(lambda: pipeline.requeue(self.settings, chosen))

    def import_model(
        self, file: str | os.PathLike[str], *, trained_to: Moment, as_of: Moment | None = None
    ) -> "RunResult":
        """Take a model that was fitted elsewhere as a challenger, and let the gate decide whether it serves.

        Parameters
        ----------
        file
            LightGBM's text, or scikit-learn by skops. A pickle is refused.
        trained_to
            The event time of the newest row that it was fitted on: only later ones evaluate it.
        """
        from rowcast import pipeline

        until = str(_text(trained_to))
        return self._execute(lambda: pipeline.import_model(self.settings, Path(file), until, as_of=_text(as_of)))

    # Decisions

    def promote(self, version: int, *, by: str | None = None, reason: str = "by hand") -> None:
        """Put a version in service; who decided so and why is recorded. `by` is by default this computer's user."""
        from rowcast import pipeline

        with _running:
            pipeline.promote(self.settings, version, by=by or getpass.getuser(), reason=reason)

    def rollback(self, *, by: str | None = None, reason: str = "rolled back by hand") -> int:
        """Put the champion before this one back in service, and return its version."""
        from rowcast import pipeline

        with _running:
            return pipeline.rollback(self.settings, by=by or getpass.getuser(), reason=reason)

    # Looks: they write nothing about rows

    def status(self) -> "Status":
        """Return what is in service, what is pending, and how the last run went."""
        from rowcast.status import read_status

        with self.connection() as job:
            return read_status(job)

    def audit(self, *, full: bool = False) -> "Audit":
        """Prove with SQL that every source row is in just one place.

        `full` also reads every stored row again and counts those that have changed at the source.
        """
        from rowcast.audit import audit

        with self.connection() as job:
            return audit(job, full=full)

    def explain(self, *key: object) -> "Explanation":
        """Return why the row with this key got its score, and the score computed again; a value for each key column."""
        from rowcast.explain import explain

        with self.connection() as job:
            return explain(job, tuple(map(str, key)))

    def quality(self, *, days: int = 30, as_of: Moment | None = None) -> "QualityReport":
        """Return how good predictions of the last days are: estimated, and realised where labels are known."""
        from rowcast.job.opening import resolve_now
        from rowcast.quality_report import report_quality

        with self.connection() as job:
            return report_quality(job, resolve_now(job.settings, _text(as_of), job.store), days)

    def drift(self) -> "DriftReport":
        """Return whether the champion's rows have changed, in which columns, since when and by how much."""
        from rowcast.drift_report import report_drift

        with self.connection() as job:
            return report_drift(job)

    def models(self) -> "tuple[Version, ...]":
        """Return every model version, the newest first."""
        with self.connection() as job:
            return tuple(job.registry.versions())

    def card(self, version: int | None = None) -> "Card":
        """Return the card of a version, by default the champion's: how good it is, what it costs, its caveats."""
        from rowcast import card

        with self.connection() as job:
            return card.gather(job, _or_champion(job, version))

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
            after, before = (None if moment is None else _instant(job, moment) for moment in (since, until))
            return read_predictions(job.store, job.own, after, before, version, columns)

    def champion(self) -> "ServedModel":
        """Return the version in service, to score rows in memory. Raise ModelError where there is none yet."""
        return self.model(None)

    def model(self, version: int | None) -> "ServedModel":
        """Return a version, by default the champion, to score rows in memory: see `ServedModel.score`."""
        from rowcast.scoring.served_model import load_served

        with self.connection() as job:
            return load_served(job, _or_champion(job, version))

    # Inside

    @contextmanager
    def connection(self, *, prepare: bool = True) -> "Iterator[OpenJob]":
        """Connect, or use the connections that are shared within `with`; for what this class has no call for.

        `prepare` False touches nothing, for a store that may not exist.
        """
        from rowcast.job.opening import open_job

        if self._opened is not None:
            yield self._opened
        elif self._stack is not None and prepare:
            self._opened = self._stack.enter_context(open_job(self.settings))
            yield self._opened
        else:
            with open_job(self.settings, prepare=prepare) as job:
                yield job

    def _pipeline(
        self,
        name: "Pipeline",
        as_of: Moment | None,
        progress: "Progress | None" = None,
        since: Moment | None = None,
        rescore: bool = False,
        accept_quarantine: bool = False,
    ) -> "RunResult":
        from rowcast import pipeline

        return self._execute(
            lambda: pipeline.run(
                self.settings,
                name,
                as_of=_text(as_of),
                since=_text(since),
                rescore=rescore,
                accept_quarantine=accept_quarantine,
                progress=progress or pipeline.unseen,
            )
        )

    def _execute(self, work: "Callable[[], Result]") -> "RunResult":
        from rowcast.run_result import RunResult

        with _running:
            return RunResult.of(work())


def _or_champion(job: "OpenJob", version: int | None) -> int:
    from rowcast.errors import ModelError

    wanted = job.registry.champion() if version is None else version
    if wanted is None:
        raise ModelError("no model is in service yet", hint="name a version of 'rowcast models'")
    return wanted


def _text(moment: Moment | None) -> str | None:
    return moment.isoformat() if isinstance(moment, date) else moment


def _instant(job: "OpenJob", moment: Moment) -> datetime:
    from rowcast.job.opening import parse_moment

    return parse_moment("since, until", str(_text(moment)), job.settings.source.timezone)
