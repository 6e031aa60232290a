"""The gate on rows that versions scored in the shadow and whose labels have come since.

The champion before, while it is watched, is the challenger there: where it was better, it is rolled back to. A
challenger that waits is judged too, where no newer one is about to take its place. Neither version was trained on these
rows, and both said what they say of them before anybody knew.
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
from rowcast.messages.decisions import describe_decision
from rowcast.scoring import shadow
from rowcast.store.reading import version_pairs
from rowcast.store.reading.version_pairs import CHALLENGER, CHAMPION
from rowcast.training.comparison import compared

log = structlog.get_logger("rowcast")

STEP = ("gate", "score")  # name and row set
_CHANGED = (gate.Outcome.PROMOTED, gate.Outcome.ROLLED_BACK)


@dataclass(frozen=True)
class Verdict:
    """What was decided on a version, now or before, as it is on record."""

    outcome: gate.Outcome
    reason: str  # in a sentence
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class Standing:
    """A version that may take the champion's place by what it scored in the shadow."""

    version: int
    role: Literal["watched", "waiting"]  # the champion before, or the challenger
    champion: int
    since: datetime  # as of when it began to be that
    watch: gate.Watch | None = None


def standing(job: Job, now: datetime) -> list[Standing]:
    """Who may take the champion's place: the one that is watched, then the one that waits."""
    champion = job.registry.champion()
    if champion is None:
        return []
    watch = shadow.find_watch(job, now)
    found = [] if watch is None else [Standing(watch.former, "watched", champion, watch.since, watch)]
    waits = [each for each in job.registry.versions() if each.status == "challenger"]
    return found + [Standing(each.version, "waiting", champion, each.created_at) for each in waits]


def matured(job: Job, now: datetime, each: Standing) -> pa.RecordBatch:
    """Rows that both versions scored, later than what either was trained on and than what a gate judged them by."""
    bounds = [job.registry.version(version).trained_until for version in (each.champion, each.version)]
    judged_to = each.watch.judged_to if each.watch else None
    if judged_to is not None:
        bounds.append(datetime.fromisoformat(judged_to) if isinstance(judged_to, str) else tuple(judged_to))
    most = job.settings.model.max_train_rows
    return version_pairs.read_matured(job.rows, now, bounds, each.champion, each.version, most)


def told(job: Job, now: datetime) -> dict[str, str]:
    """Who stands where, in words, by role."""
    found: dict[str, str] = {}
    for each in standing(job, now):
        until = f" until {each.watch.until:%Y-%m-%d}" if each.watch else ""
        what = "the champion before" if each.watch else "the challenger"
        rows = matured(job, now, each).num_rows
        found[each.role] = f"v{each.version}{until} ({what}), {rows:,} matured rows so far"
    return found


def judge(job: Job, run_id: int, now: datetime, *, training: bool) -> list[str]:
    """Judge who stands long enough, and then no more often than a retrain may be; what was found of each, in words.

    `training` says that a challenger is about to be trained, which takes the place of the one that waits.
    """
    last, every = job.retried(lambda: job.runs.last_done(*STEP, now)), job.settings.retrain.every
    due = [
        each
        for each in job.retried(lambda: standing(job, now))
        if now - max(each.since, last or each.since) >= every and not (training and each.role == "waiting")
    ]
    said: list[str] = []
    if not due:
        return said
    with record_step(job.runs, run_id, *STEP) as about:
        about.rows_in = about.rows_out = 0
        for each in due:
            verdict = job.retried(partial(_judged, job, now, each))
            said.append(verdict.reason)
            about.note = "; ".join(said)
            about.metrics |= {f"{each.role}_{name}": value for name, value in verdict.evidence.items()}
            about.rows_in = about.rows_out = about.rows_in + verdict.evidence["rows"]
            if verdict.outcome is gate.Outcome.ROLLED_BACK:
                log.warning("rolled back by the gate", champion=each.version, was=each.champion, reason=verdict.reason)
            if verdict.outcome in _CHANGED:
                break  # the others were judged against a champion that no longer serves
    return said


def _judged(job: Job, now: datetime, each: Standing) -> Verdict:
    """What the gate says of one of them; a test and a change are on record then, what is undecided is not."""
    registry, decisions = job.registry, job.registry.promotions()
    if stands := _stands(decisions, now, each):
        return stands
    allowed = _allowed(job, now, decisions, each)
    decision = _as_challenger(_compared(job, matured(job, now, each), each, allowed), each)
    verdict = Verdict(decision.outcome, describe_decision(decision), decision.evidence.to_dict())
    record: dict[str, Any] = {"decision": verdict.outcome.value, "reason": verdict.reason}
    record |= {"evidence": verdict.evidence, "at": now, "by": "gate", "knowing": len(decisions)}
    done = True
    if decision.promote:
        done = registry.promote(each.version, against=each.champion, **record)
    elif decision.outcome is gate.Outcome.KEPT and (verdict.evidence["level"] or each.role == "waiting"):
        done = registry.keep(each.version, **record)
    if done:
        return verdict
    late = replace(decision, outcome=gate.Outcome.UNDECIDED, cause=gate.Cause.OVERTAKEN)
    return Verdict(late.outcome, describe_decision(late), {"rows": verdict.evidence["rows"]})


def _stands(decisions: Sequence[Mapping[str, Any]], now: datetime, each: Standing) -> Verdict | None:
    """What was decided on it as of this very moment, though nobody heard of it: the same rows are not judged twice."""
    for made in decisions:
        alike = (made["version"], made["decided_by"], made["decided_at"]) == (each.version, "gate", now)
        if alike and made["evidence"].get("shadow") == each.role:
            return Verdict(gate.Outcome(made["decision"]), made["reason"], made["evidence"])
    return None


def _allowed(job: Job, now: datetime, decisions: Sequence[Mapping[str, Any]], each: Standing) -> gate.Allowance:
    if each.watch is None:
        return shadow.find_allowance(job, now, decisions)
    return gate.allowance_of_watch(job.settings.gate.yearly_error, now, decisions, each.watch)


def _compared(job: Job, rows: pa.RecordBatch, each: Standing, allowed: gate.Allowance) -> gate.Decision:
    """Both versions by what they made of the same rows."""
    if not rows.num_rows:
        return gate.Decision(gate.Outcome.UNDECIDED, gate.Cause.NO_LABELS, gate.Evidence(rows=0))
    said = [rows.column(whose) for whose in (CHAMPION, CHALLENGER)]
    try:
        models = [job.registry.load(version) for version in (each.champion, each.version)]
        return compared(job, rows, said[0], said[1], models, allowed)
    except ModelError as error:
        evidence = gate.Evidence(rows=rows.num_rows)
        return gate.Decision(gate.Outcome.UNDECIDED, gate.Cause.NOT_COMPARABLE, evidence, error=error)


def _as_challenger(decision: gate.Decision, each: Standing) -> gate.Decision:
    """The decision with the versions that are meant; the champion before is not promoted but rolled back to."""
    is_back = decision.promote and each.role == "watched"
    outcome = gate.Outcome.ROLLED_BACK if is_back else decision.outcome
    about: dict[str, Any] = {"shadow": each.role}
    evidence = replace(decision.evidence, **about)
    return replace(decision, outcome=outcome, evidence=evidence, champion=each.champion, challenger=each.version)
