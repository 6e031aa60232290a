"""The contents of the store: held against checksums, against the source and its models, and against one another."""

from datetime import datetime

import sqlalchemy as sa

from rowcast.audit.batches import check_batches, check_shadows
from rowcast.audit.recompute import recompute
from rowcast.audit.records import Contents
from rowcast.audit.references import find_broken
from rowcast.job.opening import Job
from rowcast.scoring.changes import Changes
from rowcast.source import Scope
from rowcast.store.scope_record import ScopeRecord
from rowcast.store.signing import SignatureState


def examine(job: Job, sample: int | None) -> Contents:
    """Return what is found; at most `sample` scored rows are scored again, None for every row.

    The snapshot is the caller's.
    """
    set_aside, gone = Changes(job).count(job.own.quarantine)
    again, batches, broken = recompute(job, sample), check_batches(job.ledger), find_broken(job)
    shadows = check_shadows(job.ledger)
    scope, recorded = job.ledger.compare_scope()
    return Contents(
        changed=again.changed,
        changed_quarantined=set_aside,
        not_comparable=again.not_comparable + gone,
        recomputed=again.compared,
        results_wrong=again.wrong,
        before_scope=_count_before_scope(job),
        batches_changed=batches.changed,
        batches_unchecked=batches.unchecked,
        batches_unsigned=batches.unsigned,
        batches_forged=batches.forged,
        shadows_changed=shadows.changed,
        shadows_unchecked=shadows.unchecked,
        shadows_unsigned=shadows.unsigned,
        shadows_forged=shadows.forged,
        models_changed=_count_changed_models(job),
        broken_references=broken,
        scope=scope,
        scope_recorded=None if recorded is None else _begin(recorded),
    )


def _begin(recorded: ScopeRecord) -> datetime | str | None:
    return recorded.since or recorded.after


def _count_changed_models(job: Job) -> int:
    """Return how many versions are not as they were saved; one that was never signed is refused, not changed."""
    found = [job.registry.check_integrity(each.version) for each in job.registry.versions()]
    return sum(not each.intact or each.signature is SignatureState.FORGED for each in found)


def _count_before_scope(job: Job) -> int:
    """Return how many predictions and quarantined rows are of rows with which scoring has not begun."""
    scope, table, source = job.ledger.state().scope, job.source.table(), job.source
    if not scope.is_fixed:
        return 0
    begun = source.has_begun(Scope(scope.since, scope.after))
    place = sa.case((begun, 1), else_=0).label("rowcast.begun")
    rows = job.rows.select_keys([source.usable(table)], table, place)
    found = 0
    for own in (job.own.prediction, job.own.quarantine):
        same = sa.and_(*[rows.c[c.name] == own.c[c.name] for c in source.key])
        joined = sa.select(sa.func.count()).select_from(rows.join(own, same))
        found += job.store.scalar(joined.where(rows.c["rowcast.begun"] == 0))
    return found
