"""The checksums of batches, held against the rows that the store has of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from rowcast.store import Ledger
from rowcast.store.checksums import from_history, seal, split_digests, was
from rowcast.store.records import BatchStatus
from rowcast.store.signing import SignatureState, Signed
from rowcast.store.stored_digests import Digests, read_digests, select_stored

_TOGETHER = 2_000_000  # rows whose digests are held in memory, 16 bytes each
_BY_VERSION = ("batch_id", "model_version")

Row = Mapping[str, Any]


@dataclass
class BatchCounts:
    """Batches by what their checksums say."""

    changed: int = 0
    unchecked: int = 0
    unsigned: int = 0
    forged: int = 0


def check_batches(ledger: Ledger) -> BatchCounts:
    """Return how many published batches are not what was published, and of how many that cannot be told."""
    counts, found = BatchCounts(), _list_published(ledger)
    _check_signatures(ledger, found, Signed.BATCH, counts)
    for row, checksum in _seal_published(ledger, found):
        counts.unchecked += row["checksum"] is None
        counts.changed += row["checksum"] not in (None, checksum)
    return counts


def seal_batches(ledger: Ledger) -> Iterator[tuple[Row, str]]:
    """Yield each published batch, with what is recorded of it, and the checksum that its rows have now."""
    yield from _seal_published(ledger, _list_published(ledger))


def check_shadows(ledger: Ledger) -> BatchCounts:
    """Return the same of what versions in the shadow scored: each version's rows of a batch count for themselves."""
    record, own, counts = ledger.tables.shadow_batch, ledger.own.shadow, BatchCounts()
    found = _list_shadows(ledger)
    _check_signatures(ledger, found, Signed.SHADOW, counts)
    for row, checksum in _seal_shadows(ledger, found):
        counts.changed += checksum != row["checksum"]
    of = sa.select(own.c.batch_id, own.c.model_version).distinct().subquery()
    same = sa.and_(*[of.c[name] == record.c[name] for name in _BY_VERSION])
    alone = sa.select(sa.func.count()).select_from(of.outerjoin(record, same)).where(record.c.batch_id.is_(None))
    counts.unchecked = ledger.db.scalar(alone)
    return counts


def seal_shadows(ledger: Ledger) -> Iterator[tuple[Row, str]]:
    """Yield the same of what versions in the shadow scored."""
    yield from _seal_shadows(ledger, _list_shadows(ledger))


def _list_published(ledger: Ledger) -> list[Row]:
    batch = ledger.tables.batch
    columns = [batch.c[name] for name in ("batch_id", "checksum", "signature")]
    count = (sa.func.coalesce(batch.c.scored, 0) + sa.func.coalesce(batch.c.quarantined, 0)).label("row_count")
    published = sa.and_(batch.c.job == ledger.job, batch.c.status == BatchStatus.PUBLISHED)
    return list(ledger.db.rows(sa.select(*columns, count).where(published).order_by(batch.c.batch_id)))


def _list_shadows(ledger: Ledger) -> list[Row]:
    record = ledger.tables.shadow_batch
    mine = sa.select(record).where(record.c.job == ledger.job).order_by(record.c.batch_id, record.c.model_version)
    return list(ledger.db.rows(mine))


def _seal_published(ledger: Ledger, found: Sequence[Row]) -> Iterator[tuple[Row, str]]:
    for batches in _split(found):
        digests = _read_published(ledger, batches[0]["batch_id"], batches[-1]["batch_id"])
        for row in batches:
            yield row, seal(digests.get((row["batch_id"],), ()))


def _seal_shadows(ledger: Ledger, found: Sequence[Row]) -> Iterator[tuple[Row, str]]:
    own = ledger.own.shadow
    for batches in _split(found):
        within = own.c.batch_id.between(batches[0]["batch_id"], batches[-1]["batch_id"])
        digests = read_digests(ledger.db, own, select_stored(ledger.db, own, ledger.own.key).where(within), _BY_VERSION)
        for row in batches:
            present = digests.get((row["batch_id"], row["model_version"]), [])
            yield row, seal([*present, *split_digests(row["removed"])])


def _check_signatures(ledger: Ledger, batches: Sequence[Row], what: Signed, counts: BatchCounts) -> None:
    """Count what is signed wrongly: from the first signature on, a batch without one is such a batch."""
    keys, signed = ledger.keys, False
    for row in batches if keys else ():
        state = keys.check(row["signature"], ledger.job, row["batch_id"], row["checksum"] or "", what)
        signed |= state is not SignatureState.MISSING
        if not state.is_trusted:
            counts.forged += signed
            counts.unsigned += not signed


def _split(batches: Sequence[Row]) -> Iterator[list[Row]]:
    """Yield batches that follow one another, of so many rows that their digests find room in memory.

    What is of one batch stays together.
    """
    together: list[Row] = []
    rows = 0
    for row in batches:
        begins = not together or row["batch_id"] != together[-1]["batch_id"]
        if together and begins and rows + row["row_count"] > _TOGETHER:
            yield together
            together, rows = [], 0
        together.append(row)
        rows += row["row_count"]
    if together:
        yield together


def _read_published(ledger: Ledger, first: int, last: int) -> Digests:
    """Return by batch the digests of its rows, from the first of these batches to the last."""
    store, found = ledger.db, Digests()
    history, key = ledger.own.history, ledger.own.key
    for own in (ledger.own.prediction, ledger.own.quarantine):
        earlier = from_history(own, history)
        now = select_stored(store, own, key).where(own.c.batch_id.between(first, last))
        then = select_stored(store, own, key, earlier).select_from(history)
        then = then.where(history.c.batch_id.between(first, last), history.c.was == was(own))
        for statement in (now, then):
            for place, digests in read_digests(store, own, statement, ("batch_id",)).items():
                found.setdefault(place, []).extend(digests)
    return found
