"""What a run came to, for whoever triggered it."""

from dataclasses import dataclass
from typing import Any, Self

from rowcast.errors import RowcastError, RunError, describe
from rowcast.recorded_run import Result
from rowcast.store.records import DecisionRecord, PipelineName, RunStatus
from rowcast.training.shadow_evaluation import ShadowDecision


@dataclass(frozen=True)
class RunResult:
    """What a run came to. A run that fails raises an error instead; one that was `partial` says why in `error`.

    Example
    -------
    >>> result = rowcast.open("rowcast.toml").infer()
    >>> result.raise_for_status()  # where something in the run failed
    >>> result.scored
    11904
    """

    run_id: int
    pipeline: PipelineName
    status: RunStatus  # done, or partial: it reached its end, but something in it failed
    champion: int | None  # the version in service at its end
    retrain: str = ""  # what became of retraining, or why it was not due; empty where nobody asked
    decision: DecisionRecord | None = None  # the gate's, with its evidence, where it decided
    shadow_evaluation: tuple[ShadowDecision, ...] = ()  # about versions, by what they scored in the shadow
    requeued: int | None = None  # rows that are scored once more
    left_to_training: int = 0  # rows that waited or were to be requeued, and whose label the champion could learn from
    scored_by: int | None = None  # the version that scored, where another serves by the end
    fetched: int | None = None  # pending rows that it took up; None where the pipeline does not score
    scored: int = 0
    flagged: int = 0  # of those scored, rows that need action
    quarantined: int = 0
    shadow_scored: int = 0  # each version counts for itself
    shadow_failed: int = 0
    set_aside_for: tuple[tuple[str, int], ...] = ()  # "column: rule" and rows, the most frequent first
    error: RowcastError | None = None  # the first one that did not stop it

    @classmethod
    def of(cls, result: Result) -> Self:
        """Return the record of a run that has ended."""
        outcome = result.outcome
        about = cls(
            run_id=result.run_id,
            pipeline=result.pipeline,
            status=result.status,
            champion=result.champion,
            retrain=result.retrain,
            decision=result.decision,
            shadow_evaluation=tuple(result.shadow_evaluation),
            requeued=result.requeued,
            left_to_training=result.left_to_training,
            scored_by=None if result.scored_by == result.champion else result.scored_by,
            error=result.error,
        )
        if outcome is None:
            return about
        figures = ("fetched", "scored", "flagged", "quarantined", "shadow_scored", "shadow_failed")
        counts = {name: getattr(outcome, name) for name in figures}
        return cls(**{**vars(about), **counts, "set_aside_for": tuple(outcome.broken.most_common())})

    @property
    def ok(self) -> bool:
        """Whether everything in it went well."""
        return self.status is RunStatus.DONE

    def raise_for_status(self) -> None:
        """Raise RunError unless everything in the run went well: an orchestrator's task then fails."""
        if not self.ok:
            what = self.error.what if self.error else "something in it failed"
            detail = self.error.detail if self.error else ""
            hint = (self.error.hint if self.error else "") or f"'rowcast runs {self.run_id}' shows its steps"
            raise RunError(f"run {self.run_id} ({self.pipeline}) is {self.status}: {what}", hint=hint, detail=detail)

    def to_dict(self, *, details: bool = False) -> dict[str, Any]:
        """Return what the command line prints of it; with `details` also what may quote a value of a row."""
        about: dict[str, Any] = {"run": self.run_id, "pipeline": self.pipeline, "status": self.status}
        if self.retrain:
            about["retrain"] = self.retrain
        if self.shadow_evaluation:
            about["shadow_evaluation"] = "; ".join(map(str, self.shadow_evaluation))
        if self.champion is not None:
            about["champion"] = f"v{self.champion}"
        if self.scored_by is not None:
            about["scored_by"] = f"v{self.scored_by}"
        if self.requeued is not None:
            about["requeued"] = self.requeued
        if self.left_to_training:
            about["left_to_training"] = self.left_to_training
        if self.fetched is not None:
            about |= {"scored": self.scored, "flagged": self.flagged, "quarantined": self.quarantined}
            if self.shadow_scored or self.shadow_failed:
                about["shadow_scored"] = self.shadow_scored
            if self.shadow_failed:
                about["shadow_failed"] = self.shadow_failed
            if self.set_aside_for:
                about["set_aside_for"] = ", ".join(f"{what} ({n})" for what, n in self.set_aside_for[:5])
            if not self.fetched:
                about["note"] = "nothing new to score"
        if self.error is not None:
            about["error"] = describe(self.error, details=details)
        return about
