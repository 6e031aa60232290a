"""The proof of promise 1, in SQL: every source row is in just one place, and every published batch says so itself.

source = unusable + out_of_scope + scored + quarantined + forgotten + pending, each counted by a query of its own in one
snapshot. A full audit also holds the contents of the store against checksums, the source and the models.
"""

from rowcast.audit.counts import count_rows
from rowcast.audit.full import examine
from rowcast.audit.records import Audit, BrokenReference, Contents
from rowcast.audit.snapshot import open_snapshot
from rowcast.job.opening import Job

__all__ = ["SAMPLE", "Audit", "BrokenReference", "Contents", "audit"]
SAMPLE = 1_000  # scored rows that a full audit scores again


def audit(job: Job, *, full: bool = False, sample: int | None = SAMPLE) -> Audit:
    """Count everything in one snapshot; where source and store are two databases, the store's is taken first.

    A full audit also reads every row of the store again, and scores `sample` rows once more: None for every row.
    """
    with open_snapshot(job):
        contents = examine(job, sample) if full else None
        return Audit(**count_rows(job), contents=contents)
