"""Requeueing: rows are moved to the history and planned again, in one transaction, to be scored once more."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa
import structlog

from rowcast.database import RawType
from rowcast.job.run import Run
from rowcast.scoring.changes import Changes
from rowcast.source import KeyRange, declare_key
from rowcast.store.reading.held_rows import Stored

log = structlog.get_logger("rowcast")

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class RequeueFilter:
    """Which quarantined rows get another chance: those for which everything named here holds."""

    key: tuple[str, ...] = ()  # of one row, a text for each key column
    reason: str | None = None  # a column, a rule, or "column: rule"
    run_id: int | None = None  # the run that set them aside
    changed: bool = False  # whose values at the source have changed since


@dataclass(frozen=True)
class Requeued:
    """What became of quarantined rows that were to get another chance."""

    rows: int  # that are pending again
    learned: int  # that stay where they are: their label is known, and the champion could learn from it


def requeue_quarantined(run: Run, chosen: RequeueFilter) -> Requeued:
    """Make quarantined rows pending again, but for those that scoring leaves to training by now."""
    job, changes, own = run.job, Changes(run.job), run.job.own.quarantine
    of_own = [own.c.run_id == chosen.run_id] if chosen.run_id is not None else []
    of_source: list[sa.ColumnElement[bool]] = []
    if chosen.key:
        bounds = job.source.interpret_key(chosen.key)
        of_source = [one == other for one, other in zip(job.source.keys(), job.source.parse_key(bounds), strict=True)]

    def select(stored: Stored) -> Mask:
        mask = changes.compare(stored)[0] if chosen.changed else np.ones(len(stored.held), dtype=bool)
        if chosen.reason is not None:
            mask &= np.array([_gives(row.reasons or "[]", chosen.reason) for row in stored.held])
        return mask

    def walk(*, to_score_again: bool) -> Iterator[Stored]:
        return changes.walk(own, of_own, of_source, keys_alone=not chosen.changed, to_score_again=to_score_again)

    meant = None
    if job.ledger.state().scope.learned is not None:
        meant = sum(int(select(stored).sum()) for stored in walk(to_score_again=False))
    rows = _requeue(run, own, walk(to_score_again=True), select)
    return Requeued(rows, 0 if meant is None else max(0, meant - rows))


def requeue_changed(run: Run) -> int:
    """Make scored rows pending again whose values at the source have changed since, and return how many."""
    changes, own = Changes(run.job), run.job.own.prediction
    return _requeue(run, own, changes.walk(own), lambda stored: changes.compare(stored)[0])


def _gives(reasons: str, wanted: str) -> bool:
    """Return whether one of a row's reasons is the wanted one."""
    return any(wanted in (r["column"], r["rule"], f"{r['column']}: {r['rule']}") for r in json.loads(reasons))


def _requeue(run: Run, own: sa.Table, walked: Iterator[Stored], select: Callable[[Stored], Mask]) -> int:
    """Move rows and plan them: however old they are, the next run takes up their batches. Return how many."""
    job = run.job
    keys = declare_key(job.source, job.store)
    bounds: list[tuple[str, ...]] = []
    with job.ledger.planning():
        moved = job.store.create_temporary("rowcast_moved", *[sa.Column(c.name, RawType(c.type)) for c in keys])
        for stored in walked:
            places = pa.array(np.flatnonzero(select(stored)))
            if len(places):
                rendered = stored.rendered.take(places)
                bounds += [tuple(rendered.slice(n, 1).to_pylist()[0].values()) for n in (0, len(places) - 1)]
                job.store.ingest(moved, stored.fetched.rows.select([c.name for c in keys]).take(places))
        if not bounds:
            return 0
        count = job.ledger.move_to_history(own, moved)
        # What other batches cover is planned all the same: they may have been read before these rows were moved.
        within = KeyRange(bounds[0], bounds[-1], count)
        rows = job.settings.infer.batch_rows
        ranges = job.pending.plan(job.ledger.state().scope, run.now, None, rows, [], within)
        job.ledger.add_batches(run.run_id, ranges, None)
    return count
