"""Calls that run pipelines, and those by which a person decides which version serves."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rowcast.account import name_account
from rowcast.api.connections import Connections
from rowcast.api.moments import Moment, to_text

if TYPE_CHECKING:
    from rowcast.pipeline import Extra, Pipeline, Progress
    from rowcast.promotion import Promotion
    from rowcast.recorded_run import Result
    from rowcast.retention import Forgotten
    from rowcast.run_result import RunResult

_running = threading.Lock()  # a process executes one run at a time: signals, worker processes and models are its own


class Runs(Connections):
    """Calls that write: runs, and decisions by a person."""

    def run(
        self,
        *,
        as_of: Moment | None = None,
        since: Moment | None = None,
        rescore: bool = False,
        accept_quarantine: bool = False,
        by: str | None = None,
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
        by
            Who wants it, for the record.
        progress
            Called with rows done and rows in all while rows are scored.

        Raises
        ------
        RowcastError
            Where the run fails: it is recorded as failed, and what was published stays so. What did not stop it is in
            the result, whose `raise_for_status` raises it.
        """
        from rowcast.pipeline import Extra

        extra = Extra(to_text(since), rescore, accept_quarantine)
        return self._pipeline("full-pipeline", as_of, by, progress, extra)

    def retrain(self, *, as_of: Moment | None = None, by: str | None = None) -> "RunResult":
        """Train a challenger on all rows with a known label and let the gate decide on it, as `rowcast retrain`."""
        return self._pipeline("retrain", as_of, by)

    def infer(
        self,
        *,
        as_of: Moment | None = None,
        since: Moment | None = None,
        rescore: bool = False,
        accept_quarantine: bool = False,
        by: str | None = None,
        progress: "Progress | None" = None,
    ) -> "RunResult":
        """Score what is pending, each row exactly once, as `rowcast infer`; parameters as for `run`."""
        from rowcast.pipeline import Extra

        return self._pipeline("infer", as_of, by, progress, Extra(to_text(since), rescore, accept_quarantine))

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
        return self._execute(lambda: pipeline.step(self.settings, name, as_of=to_text(as_of), **given))

    def resume(self, run_id: int | None = None, *, progress: "Progress | None" = None) -> "RunResult":
        """Go on with a run that did not finish, by default the newest such, from its first unfinished step."""
        from rowcast import pipeline

        watch = progress or pipeline.ignore_progress
        return self._execute(lambda: pipeline.resume(self.settings, run_id, progress=watch))

    def requeue(
        self,
        *key: object,
        reason: str | None = None,
        run_id: int | None = None,
        changed: bool = False,
        all: bool = False,
        by: str | None = None,
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
        by
            Who wants it, for the record.
        """
        from rowcast import pipeline
        from rowcast.errors import UsageError
        from rowcast.scoring.requeue import RequeueFilter

        chosen = RequeueFilter(tuple(map(str, key)), reason, run_id, changed)
        if all == (chosen != RequeueFilter()):
            raise UsageError("name a KEY, --reason, --run or --changed, or else --all", hint="'rowcast requeue --help'")
        return self._execute(lambda: pipeline.requeue(self.settings, chosen, by=by))

    def forget(self, *, before: Moment, by: str | None = None, progress: "Progress | None" = None) -> "Forgotten":
        """Delete results that were published before a moment, for ever, as `rowcast forget --yes`.

        Their rows are not scored again, and the audit counts them as forgotten. It can be repeated where it was
        stopped: what is done stays done.

        Parameters
        ----------
        before
            A moment that is not to come. A moment without a time zone is in `source.timezone`.
        by
            Who decides so, for the record; by default this computer's user.
        progress
            Called with rows done and rows in all.
        """
        from rowcast import pipeline, retention

        with _running:
            watch = progress or pipeline.ignore_progress
            return retention.forget(self.settings, str(to_text(before)), by or name_account(), watch)

    def preview_forget(self, *, before: Moment) -> "Forgotten":
        """Return what `forget` would delete, and delete nothing."""
        from rowcast import retention

        return retention.preview(self.settings, str(to_text(before)))

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

        until = str(to_text(trained_to))
        return self._execute(lambda: pipeline.import_model(self.settings, Path(file), until, as_of=to_text(as_of)))

    def promote(self, version: int, *, by: str | None = None, reason: str = "by hand") -> "Promotion":
        """Put a version in service; who decided so and why is recorded. `by` is by default this computer's user.

        The result says in place of which, and how many rows are pending by that, or no longer.
        """
        from rowcast import promotion

        with _running:
            made = promotion.promote(self.settings, version, by=by or name_account(), reason=reason)
            self._mirror()
            return made

    def sign_model(self, version: int) -> None:
        """Sign a version as it is stored, by the first key of ROWCAST_SIGNING_KEY, as `rowcast models sign`.

        Raises
        ------
        ModelError
            Where there is no key, or the version's bytes were changed since they were saved.
        """
        with self.connection() as job:
            job.registry.sign(version)

    def rollback(self, *, by: str | None = None, reason: str = "rolled back by hand") -> "Promotion":
        """Put the champion before this one back in service; the result is that of `promote`."""
        from rowcast import promotion

        with _running:
            made = promotion.rollback(self.settings, by=by or name_account(), reason=reason)
            self._mirror()
            return made

    def _pipeline(
        self,
        name: "Pipeline",
        as_of: Moment | None,
        by: str | None,
        progress: "Progress | None" = None,
        extra: "Extra | None" = None,
    ) -> "RunResult":
        from rowcast import pipeline

        given: dict[str, Any] = {"as_of": to_text(as_of), "by": by, "extra": extra or pipeline.NOTHING_EXTRA}
        watch = progress or pipeline.ignore_progress
        return self._execute(lambda: pipeline.run(self.settings, name, progress=watch, **given))

    def _execute(self, work: "Callable[[], Result]") -> "RunResult":
        from rowcast.run_result import RunResult

        with _running:
            try:
                result = work()
            except Exception:
                self._mirror()
                raise
            self._mirror()
            return RunResult.of(result)

    def _mirror(self) -> None:
        if self.settings.mlflow.tracking_uri is not None:
            from rowcast import tracking

            tracking.mirror_after_run(self.settings)
