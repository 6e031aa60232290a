"""Decisions by a person: which version serves, whatever the gate says."""

from dataclasses import dataclass

from rowcast import fetch
from rowcast.alerts import raising
from rowcast.config import Settings
from rowcast.errors import DatabaseError, RunError
from rowcast.job.meaning import require_same_task
from rowcast.job.opening import Job, open_job
from rowcast.source import Scope
from rowcast.store.records import DecisionOutcome, NewDecision


@dataclass(frozen=True)
class Promotion:
    """A version that a person has put in service, and what that did to rows which nothing has scored."""

    version: int
    previous: int | None  # the champion before it; None for the first
    now_pending: (
        int | None
    )  # rows that the one before could learn from and this one could not: the next run scores them
    left_to_training: int | None  # pending rows that this one could learn from: no run scores them while it serves
    # Both None where they could not be counted, or nothing served before.


def promote(settings: Settings, version: int, *, by: str, reason: str) -> Promotion:
    """Put a version in service by a named person's decision."""
    with open_job(settings) as job:
        previous = job.registry.champion()
        if previous == version:
            raise RunError(f"v{version} is champion already", hint="'rowcast models' shows since when, and why")
        job.registry.load(version)  # one that cannot be loaded must not serve
        require_same_task(job.registry.version(version), job.source, settings.task)
        before = job.ledger.state().scope
        if not before.is_fixed:
            job.ledger.fix_scope(fetch.find_initial_scope(job.source, job.store.now(), settings.infer.since))
        evidence = {"by": "a person"}
        made = NewDecision(DecisionOutcome.PROMOTED, reason, evidence, decided_at=job.store.now(), decided_by=by)
        job.registry.promote(version, made)
        raising.alert_decisions(job)
        raising.deliver(job)
        moved = None if previous is None else _count_moved(job, before)
    entered, left = (None, None) if moved is None else (moved.entered, moved.left)
    return Promotion(version, previous, entered, left)


def _count_moved(job: Job, before: Scope) -> fetch.Moved | None:
    """Return how many rows the promotion moved into the scope and out of it; None where the database does not say."""
    try:
        return job.pending.count_moved(before, job.ledger.state().scope)
    except DatabaseError:  # the version serves all the same
        return None


def rollback(settings: Settings, *, by: str, reason: str) -> Promotion:
    """Put the champion before this one back in service."""
    with open_job(settings) as job:
        previous = find_previous(job)
    return promote(settings, previous, by=by, reason=reason)


def find_previous(job: Job) -> int:
    """Return the champion before this one: a second rollback goes on from there. Raise RunError for none."""
    champion = job.registry.champion()
    made = [each for each in job.registry.decisions() if each.version == champion]
    before = [each for each in made if each.outcome is DecisionOutcome.PROMOTED]
    previous = before[-1].previous if before else None  # the one before it first came into service
    if champion is None or previous in (None, champion):
        raise RunError("no champion before this one is known", hint="'rowcast promote V' names one of 'rowcast models'")
    return int(previous)
