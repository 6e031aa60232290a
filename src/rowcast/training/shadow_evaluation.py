"""The gate on rows that versions scored in the shadow and whose labels have come since.

The champion before, while it is watched, is the challenger there: where it was better, it is rolled back to. A
challenger that waits is compared too, where no newer one is about to take its place. Neither version was trained on
these rows, and both predicted them before anybody knew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Literal

import pyarrow as pa
import structlog

from rowcast import gate
from rowcast.errors import ModelError
from rowcast.job.opening import Job
from rowcast.job.step_record import record_step
from rowcast.messages.decisions import ShadowProgress, describe_outcome, explain_decision
from rowcast.scoring import shadow
from rowcast.store.reading import version_pairs
from rowcast.store.reading.version_pairs import CHALLENGER, CHAMPION
from rowcast.store.records import DecisionOutcome, DecisionRecord, VersionStatus
from rowcast.training.comparison import decide, make_record, pair_costs, tell_recipe

log = structlog.get_logger("rowcast")

STEP = ("gate", "score")  # name and row set


@dataclass(frozen=True)
class ShadowDecision:
    """What a gate decided about a version by what it scored in the shadow."""

    version: int
    champion: int  # that it was compared with
    role: Literal["watched", "waiting"]  # the champion before, or the challenger
    outcome: DecisionOutcome
    reason: str  # in words, without the outcome
    evidence: Mapping[str, Any]

    def __str__(self) -> str:
        return f"v{self.version} {describe_outcome(self.outcome, self.champion, self.reason)}"


@dataclass(frozen=True)
class Contender:
    """A version that may take the champion's place by what it scored in the shadow."""

    version: int
    role: Literal["watched", "waiting"]  # the champion before, or the challenger
    champion: int
    since: datetime  # as of when it began to be that
    watch: gate.Watch | None = None


def find_contenders(job: Job, now: datetime) -> list[Contender]:
    """Return who may take the champion's place: the one that is watched, then the one that waits."""
    champion = job.registry.champion()
    if champion is None:
        return []
    watch = shadow.find_watch(job, now)
    found = [] if watch is None else [Contender(watch.former, "watched", champion, watch.since, watch)]
    waits = [each for each in job.registry.versions() if each.status is VersionStatus.CHALLENGER]
    return found + [Contender(each.version, "waiting", champion, each.created_at) for each in waits]


def read_labelled(job: Job, now: datetime, each: Contender) -> pa.RecordBatch:
    """Return labelled rows that both versions scored.

    They are later than what either was trained on, and than what the gate decided the promotion by.
    """
    bounds = [job.registry.version(version).trained_until for version in (each.champion, each.version)]
    judged_to = each.watch.judged_to if each.watch else None
    if judged_to is not None:
        bounds.append(datetime.fromisoformat(judged_to) if isinstance(judged_to, str) else tuple(judged_to))
    most = job.settings.model.max_train_rows
    return version_pairs.read_matured(job.rows, now, bounds, each.champion, each.version, most)


def measure_progress(job: Job, now: datetime) -> tuple[ShadowProgress, ...]:
    """Return how far the evidence about each contender is."""
    return tuple(
        ShadowProgress(
            version=each.version,
            role=each.role,
            until=each.watch.until if each.watch else None,
            labelled=read_labelled(job, now, each).num_rows,
        )
        for each in find_contenders(job, now)
    )


def evaluate(job: Job, run_id: int, now: datetime, *, training: bool) -> list[ShadowDecision]:
    """Let the gate decide about those who contend long enough, and then no more often than a retrain may be.

    `training` says that a challenger is about to be trained, which takes the place of the one that waits.
    """
    last = job.retry(lambda: job.runs.last_done(*STEP, now))
    due = [
        each
        for each in job.retry(lambda: find_contenders(job, now))
        if _has_waited(job, now, each, last) and not (training and each.role == "waiting")
    ]
    made: list[ShadowDecision] = []
    if not due:
        return made
    with record_step(job.runs, run_id, *STEP) as about:
        about.rows_in = about.rows_out = 0
        for each in due:
            decided = job.retry(partial(_decide, job, now, each))
            made.append(decided)
            about.note = "; ".join(map(str, made))
            about.metrics |= {f"{each.role}_{name}": value for name, value in decided.evidence.items()}
            about.rows_in = about.rows_out = about.rows_in + decided.evidence["rows"]
            if decided.outcome is DecisionOutcome.ROLLED_BACK:
                log.warning("rolled back by the gate", champion=each.version, was=each.champion, reason=decided.reason)
            if decided.outcome.changes_champion:
                break  # the others were compared with a champion that no longer serves
    return made


def _has_waited(job: Job, now: datetime, each: Contender, last: datetime | None) -> bool:
    """Return whether a version has contended long enough, since it began to and since the gate last looked."""
    begun = [] if job.is_ahead(each.since, now) else [each.since]
    return all(now - moment >= job.settings.retrain.every for moment in (*begun, *([last] if last else [])))


def _decide(job: Job, now: datetime, each: Contender) -> ShadowDecision:
    """What the gate says of one of them; a test and a change are on record then, what is undecided is not."""
    registry, decisions = job.registry, job.registry.decisions()
    if stands := _find_standing(decisions, now, each):
        return _make(each, stands.outcome, stands.reason, stands.evidence)
    decision = _as_challenger(_compare(job, now, decisions, each), each)
    record, done = make_record(decision, now), True
    if decision.promote:
        done = registry.promote(each.version, record, against=each.champion, knowing=len(decisions))
    elif decision.outcome is DecisionOutcome.KEPT and (record.evidence["level"] or each.role == "waiting"):
        done = registry.keep(each.version, record, knowing=len(decisions))
    if done:
        return _make(each, record.outcome, record.reason, record.evidence)
    late = replace(decision, outcome=DecisionOutcome.UNDECIDED, cause=gate.Cause.OVERTAKEN)
    return _make(each, late.outcome, explain_decision(late), {"rows": record.evidence["rows"]})


def _make(each: Contender, outcome: DecisionOutcome, reason: str, evidence: Mapping[str, Any]) -> ShadowDecision:
    return ShadowDecision(each.version, each.champion, each.role, outcome, reason, evidence)


def _find_standing(decisions: Sequence[DecisionRecord], now: datetime, each: Contender) -> DecisionRecord | None:
    """What was decided on it as of this very moment, though nobody heard of it: the same rows are not tested twice."""
    for made in decisions:
        alike = made.is_by_gate and (made.version, made.decided_at) == (each.version, now)
        if alike and made.evidence.get("shadow") == each.role:
            return made
    return None


def _compare(job: Job, now: datetime, decisions: Sequence[DecisionRecord], each: Contender) -> gate.Decision:
    """Both versions by what they made of the same rows.

    The one before comes back where the champion was likely a mistake; by the rule "proven", where it is proven better.
    """
    rows = read_labelled(job, now, each)
    if not rows.num_rows:
        return gate.Decision(DecisionOutcome.UNDECIDED, gate.Cause.NO_LABELS, gate.Evidence(rows=0))
    settings = job.settings.gate
    try:
        models = [job.registry.load(version) for version in (each.champion, each.version)]
        versions = [job.registry.version(version) for version in (each.champion, each.version)]
        costs = pair_costs(job, rows, rows.column(CHAMPION), rows.column(CHALLENGER), models)
    except ModelError as error:
        evidence = gate.Evidence(rows=rows.num_rows)
        return gate.Decision(DecisionOutcome.UNDECIDED, gate.Cause.NOT_COMPARABLE, evidence, error=error)
    if each.watch is None:
        ratio = max(1.0, versions[1].rows / max(1, versions[0].rows))
        return decide(job, costs, now, decisions, tell_recipe(*versions), gate.Growth(ratio, ratio))
    if settings.rule != "proven":
        return gate.decide_by_regret(costs, max_harm=settings.max_harm)
    allowed = gate.allowance_of_watch(settings.yearly_error, now, decisions, each.watch)
    return gate.decide(costs, gate.Rule(min_gain=settings.min_gain), allowed)


def _as_challenger(decision: gate.Decision, each: Contender) -> gate.Decision:
    """The decision with the versions that are meant; the champion before is not promoted but rolled back to."""
    is_back = decision.promote and each.role == "watched"
    outcome = DecisionOutcome.ROLLED_BACK if is_back else decision.outcome
    about: dict[str, Any] = {"shadow": each.role}
    evidence = replace(decision.evidence, **about)
    return replace(decision, outcome=outcome, evidence=evidence, champion=each.champion, challenger=each.version)
