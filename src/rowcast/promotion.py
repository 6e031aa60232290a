"""Decisions by a person: which version serves, whatever the gate says."""

from rowcast import fetch
from rowcast.alerts import raising
from rowcast.config import Settings
from rowcast.errors import RunError
from rowcast.job.meaning import require_same_task
from rowcast.job.opening import Job, open_job
from rowcast.store.records import DecisionOutcome, NewDecision


def promote(settings: Settings, version: int, *, by: str, reason: str) -> None:
    """Put a version in service by a named person's decision."""
    with open_job(settings) as job:
        if job.registry.champion() == version:
            raise RunError(f"v{version} is champion already", hint="'rowcast models' shows since when, and why")
        job.registry.load(version)  # one that cannot be loaded must not serve
        require_same_task(job.registry.version(version), job.source, settings.task)
        if not job.ledger.state().scope.is_fixed:
            job.ledger.fix_scope(fetch.find_initial_scope(job.source, job.store.now(), settings.infer.since))
        evidence = {"by": "a person"}
        made = NewDecision(DecisionOutcome.PROMOTED, reason, evidence, decided_at=job.store.now(), decided_by=by)
        job.registry.promote(version, made)
        raising.alert_decisions(job)
        raising.deliver(job)


def rollback(settings: Settings, *, by: str, reason: str) -> int:
    """Put the champion before this one back in service; returns its version."""
    with open_job(settings) as job:
        previous = find_previous(job)
    promote(settings, previous, by=by, reason=reason)
    return previous


def find_previous(job: Job) -> int:
    """Return the champion before this one: a second rollback goes on from there. Raise RunError for none."""
    champion = job.registry.champion()
    made = [each for each in job.registry.decisions() if each.version == champion]
    before = [each for each in made if each.outcome is DecisionOutcome.PROMOTED]
    previous = before[-1].previous if before else None  # the one before it first came into service
    if champion is None or previous in (None, champion):
        raise RunError("no champion before this one is known", hint="'rowcast promote V' names one of 'rowcast models'")
    return int(previous)
