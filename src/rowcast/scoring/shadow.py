"""Shadow scoring: versions that are not in service score the champion's rows, and their scores are kept apart.

What goes wrong with them is logged and counted, and nothing else: the champion's rows are published by then.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import pyarrow as pa
import structlog

from rowcast import check, features, gate, predict
from rowcast.database import Column
from rowcast.errors import DatabaseError
from rowcast.job.opening import Job
from rowcast.models.artifact import Model
from rowcast.scoring.required_columns import check_rows, columns_needed, names_checked
from rowcast.source import Fetched, take_rows
from rowcast.store import Batch
from rowcast.store.records import DecisionRecord, VersionStatus

log = structlog.get_logger("rowcast")


def find_allowance(job: Job, now: datetime, decisions: Iterable[DecisionRecord]) -> gate.Allowance:
    """Return what a gate may spend by the decisions on record, beside the watch that shares it."""
    settings, made = job.settings.gate, list(decisions)
    ahead = [each for each in made if job.is_ahead(each.decided_at, now)]
    if ahead:  # they were made after the last of the others, and nobody knows when
        last = max((each.decided_at for each in made if each not in ahead), default=now - job.settings.retrain.every)
        made = [replace(each, decided_at=last) if each in ahead else each for each in made]
    return gate.allowance(settings.yearly_error, now, made, timedelta(days=settings.watch_days))


def find_watch(job: Job, now: datetime) -> gate.Watch | None:
    """Return the watch over the champion, as long as labels may still decide it; None afterwards.

    When the one before no longer scores in the shadow, its last rows may still wait for their labels. Over what a clock
    promoted that was ahead there is none: nobody knows when it would end.
    """
    settings = job.settings
    watch = gate.find_watch(job.registry.decisions(), timedelta(days=settings.gate.watch_days))
    if (
        watch is None
        or job.is_ahead(watch.since, now)
        or now >= watch.until + settings.source.label_delay + settings.retrain.every
    ):
        return None
    return watch


def find_versions(job: Job, now: datetime) -> tuple[int, ...]:
    """Return the versions that score in the shadow: a waiting challenger, and the former champion of a watch."""
    found = [each.version for each in job.registry.versions() if each.status is VersionStatus.CHALLENGER]
    watch = find_watch(job, now)
    if watch is not None and watch.since <= now < watch.until:
        found.append(watch.former)
    return tuple(found)


def forget(job: Job, now: datetime) -> None:
    """Delete the shadow scores of versions that neither wait nor are watched any more."""
    try:
        watch = find_watch(job, min(now, job.store.now()))
        over = {each.version for each in job.registry.versions() if each.status is not VersionStatus.CHALLENGER}
        job.ledger.forget_shadow(over if watch is None else over - {watch.former})
    except DatabaseError as error:  # the next run does it
        log.warning("what is over of the shadow could not be thrown away", error=error)


@dataclass(frozen=True)
class Shadow:
    """A version that scores in the shadow."""

    version: int
    model: Model
    columns: list[Column]


class InDatabase(Protocol):
    """Rows that the database has scored by itself."""

    decided: int  # how many

    def score(self, beside: Shadow) -> Iterable[pa.RecordBatch]:
        """Yield a version's scores of them, as `score_rows` does. Raise ModelError where it cannot be told in SQL."""
        ...


@dataclass
class ShadowCounts:
    """Rows that versions in the shadow scored, and rows that they should have scored; each version counts."""

    scored: int = 0
    failed: int = 0


class Shadows:
    """The versions that score in the shadow in this process, loaded once."""

    def __init__(self, job: Job, load: Callable[[int], Model]) -> None:
        self.job = job
        self._load_model = load
        self._loaded: dict[int, Shadow | None] = {}

    def load(self, versions: Sequence[int]) -> list[Shadow]:
        """Return those of these versions that can be loaded and find their columns."""
        return [shadow for version in versions if (shadow := self._load_one(version)) is not None]

    def _load_one(self, version: int) -> Shadow | None:
        if version not in self._loaded:
            self._loaded[version] = None
            try:
                model = self._load_model(version)
                self._loaded[version] = Shadow(version, model, columns_needed(self.job, model))
            except Exception as error:  # whatever it is, it is not the champion's fault
                if isinstance(error, DatabaseError) and error.is_transient:
                    del self._loaded[version]
                    raise
                log.warning("a version cannot score in the shadow", version=version, error=error)
        return self._loaded[version]


def read_rows(
    read: Callable[[Sequence[Column]], Fetched], columns: Sequence[Column], shadows: Sequence[Shadow]
) -> tuple[Fetched, Sequence[Shadow]]:
    """Return the champion's rows with the columns that shadows need besides, and the shadows that can go on.

    None can where the database refuses to read those columns.
    """
    names = {column.name for column in columns}
    more = {c.name: c for shadow in shadows for c in shadow.columns if c.name not in names}
    try:
        return read([*columns, *more.values()]), shadows
    except Exception as error:  # whatever it is, the champion may not need what raised it
        if not more or (isinstance(error, DatabaseError) and error.is_transient):
            raise
        fetched = read(columns)
        log.warning("what a version in the shadow needs cannot be read", columns=list(more)[:5], error=error)
        return fetched, ()


def score_batch(
    job: Job,
    batch: Batch,
    shadows: Sequence[Shadow],
    fetched: Fetched,
    checked: check.CheckResult,
    predictions: pa.RecordBatch,
    staged: InDatabase | None = None,
) -> ShadowCounts:
    """Let shadows score what the champion has just published: `predictions`, of the fetched rows that passed.

    What the database has scored by itself, it scores for them too.
    """
    counts, rows = ShadowCounts(), take_rows(fetched, checked.passed)
    for shadow in shadows:
        try:
            parts = [score_rows(job, shadow, rows, predictions), *(staged.score(shadow) if staged else ())]
            made = pa.Table.from_batches([part.cast(parts[0].schema) for part in parts])
            job.ledger.save_shadow(batch, shadow.version, made)
            counts.scored += made.num_rows
        except Exception as error:  # whatever it is, the champion goes on
            counts.failed += predictions.num_rows + (staged.decided if staged else 0)
            log.warning("a shadow failed", version=shadow.version, batch=batch.batch_id, error=error)
            log.debug("where it failed", exc_info=True)
    return counts


def score_rows(job: Job, shadow: Shadow, rows: Fetched, predictions: pa.RecordBatch) -> pa.RecordBatch:
    """Return a version's scores of the rows that keep its contract, with the champion's keys and hashes."""
    model, names = shadow.model, names_checked(job, shadow.model)
    checked = check_rows(job, model, rows, names)
    matrix = features.process(checked.good, model.contract, model.features)
    beside = predictions.select([*[column.name for column in job.source.key], "row_hash"])
    if len(checked.passed) < beside.num_rows:
        beside = beside.take(pa.array(checked.passed))
    keys = beside.select(beside.schema.names[:-1])
    return predict.score_columns(model, model.score(matrix), keys, beside.column("row_hash").to_numpy())
