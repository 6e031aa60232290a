"""The order of a copy: look, write, read back, prove, and only then let anybody see it."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from rowcast.audit.counts import count_rows as count_audited
from rowcast.audit.snapshot import open_snapshot
from rowcast.config import Settings
from rowcast.errors import BusyError, StoreError
from rowcast.job.opening import Job
from rowcast.store import Runs
from rowcast.store_copy.rows import Pair, copy_rows, count_rows, list_pairs, reserve_numbers
from rowcast.store_copy.sealing import refuse_changed, seal_copy
from rowcast.store_copy.stores import open_copy, open_origin

# What an audit counts that must be the same in both stores; new rows may arrive at the source meanwhile.
_SAME = (
    *("scored", "quarantined", "forgotten", "deleted", "duplicates", "both", "shared"),
    *("history", "shadow", "batches", "batches_wrong", "unpublished", "rows_missing"),
)


@dataclass(frozen=True)
class StoreCopy:
    """What was copied, or would be."""

    job: str
    origin: str  # the database, without user and password
    copy: str  # the other one
    schema: str
    rows: Mapping[str, int]  # by table
    done: bool  # False: nothing was written

    def to_dict(self) -> dict[str, Any]:
        """Return what `rowcast store copy --json` prints."""
        return {**vars(self), "rows": dict(self.rows)}


def preview_copy(settings: Settings, url: str) -> StoreCopy:
    """Return what `copy_store` would copy, and write nothing. Raise the same errors where it would not begin."""
    with open_origin(settings) as origin, open_copy(origin, url, create=False) as copy, open_snapshot(origin):
        counts = count_rows(origin.store, list_pairs(origin, copy or origin))
        where = copy.store.safe_url if copy else url
        return _describe(origin, where, counts, done=False)


def copy_store(settings: Settings, url: str, progress: Callable[[int, int], None]) -> StoreCopy:
    """Copy what the store holds of a job to another database, in one transaction of that database.

    The store itself stays as it is. What was written is read back and held against it, and what an audit counts must be
    the same of both; otherwise, and where a run began meanwhile, nothing is copied. Raise StoreError, BusyError.
    """
    with open_origin(settings) as origin, open_copy(origin, url, create=True) as copy:
        assert copy is not None
        pairs = list_pairs(origin, copy)
        with open_snapshot(origin):
            refuse_changed(origin)
            counts = count_rows(origin.store, pairs)
            with copy.store.transaction("write"):
                _copy(origin, copy, pairs, _Progress(progress, sum(counts.values())))
                _refuse_other_counts(origin, copy)
                _refuse_if_written(origin, pairs, counts)
        return _describe(origin, copy.store.safe_url, counts, done=True)


def _copy(origin: Job, copy: Job, pairs: list[Pair], progress: "_Progress") -> None:
    numbers = reserve_numbers(origin, copy)
    for pair in pairs:
        copy_rows(origin, copy, pair, numbers, progress.add)
    seal_copy(copy, numbers)


def _refuse_other_counts(origin: Job, copy: Job) -> None:
    """Raise StoreError where the copy's rows are not found at the source as the original's are."""
    here, there = count_audited(origin), count_audited(copy)
    differ = [name for name in _SAME if here[name] != there[name]]
    if differ:
        told = ", ".join(f"{name} {here[name]:,} and {there[name]:,}" for name in differ)
        raise StoreError(
            f"the audit counts differently in {origin.store.safe_url} and in the copy: {told}",
            hint="nothing was copied; keys may be alike to the other database, or rows were deleted meanwhile",
        )


def _refuse_if_written(origin: Job, pairs: list[Pair], counts: Mapping[str, int]) -> None:
    """Raise BusyError where something was written to the store since the snapshot."""
    with closing(origin.store.clone()) as now:
        runs = Runs(now, origin.tables, origin.settings.name)
        if count_rows(now, pairs) != counts or runs.list_under_way():
            raise BusyError(
                f"the store in {origin.store.safe_url} was written to while it was copied",
                hint="nothing was copied: stop what runs this job, its service too, and give the same command again",
            )


def _describe(origin: Job, where: str, counts: Mapping[str, int], *, done: bool) -> StoreCopy:
    name, schema = origin.settings.name, origin.settings.store.schema_
    return StoreCopy(name, origin.store.safe_url, where, schema, dict(counts), done)


class _Progress:
    """How many rows are copied of how many."""

    def __init__(self, tell: Callable[[int, int], None], total: int) -> None:
        self._tell = tell
        self._total = total
        self._done = 0

    def add(self, rows: int) -> None:
        """Count rows."""
        self._done += rows
        self._tell(self._done, self._total)
