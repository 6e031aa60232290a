"""The checksums of batches, held against the rows that the store has of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from rowcast.database import Database
from rowcast.errors import DatabaseError
from rowcast.source import declare_key
from rowcast.store import Ledger
from rowcast.store.checksums import digest_rows, from_history, seal, was
from rowcast.store.job_rows import JobRows
from rowcast.store.records import BatchStatus
from rowcast.store.signing import SignatureState, Signed

_CHUNK = 50_000  # rows that travel together
_TOGETHER = 2_000_000  # rows whose digests are held in memory, 16 bytes each


@dataclass
class BatchCounts:
    """Published batches by what their checksums say."""

    changed: int = 0
    unchecked: int = 0
    unsigned: int = 0
    forged: int = 0


def check_batches(rows: JobRows, ledger: Ledger) -> BatchCounts:
    """Return how many published batches are not what was published, and of how many that cannot be told."""
    batch, counts = ledger.tables.batch, BatchCounts()
    columns = [batch.c[name] for name in ("batch_id", "checksum", "signature", "scored", "quarantined")]
    published = sa.and_(batch.c.job == ledger.job, batch.c.status == BatchStatus.PUBLISHED)
    found = rows.store.rows(sa.select(*columns).where(published).order_by(batch.c.batch_id))
    _check_signatures(ledger, found, counts)
    for batches in _split(found):
        digests = _read_digests(rows, batches[0]["batch_id"], batches[-1]["batch_id"])
        for row in batches:
            if row["checksum"] is None:
                counts.unchecked += 1
            elif seal(digests.get(row["batch_id"], ())) != row["checksum"]:
                counts.changed += 1
    return counts


def _check_signatures(ledger: Ledger, batches: Sequence[Mapping[str, Any]], counts: BatchCounts) -> None:
    """Count what is signed wrongly: from the first signature on, a batch without one is such a batch."""
    keys, signed = ledger.keys, False
    for row in batches if keys else ():
        state = keys.check(row["signature"], ledger.job, row["batch_id"], row["checksum"] or "", Signed.BATCH)
        signed |= state is not SignatureState.MISSING
        if not state.is_trusted:
            counts.forged += signed
            counts.unsigned += not signed


def _split(batches: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Yield batches that follow one another, of so many rows that their digests find room in memory."""
    together: list[Mapping[str, Any]] = []
    rows = 0
    for row in batches:
        more = (row["scored"] or 0) + (row["quarantined"] or 0)
        if together and rows + more > _TOGETHER:
            yield together
            together, rows = [], 0
        together.append(row)
        rows += more
    if together:
        yield together


def _read_digests(job_rows: JobRows, first: int, last: int) -> dict[int, list[bytes]]:
    """Return by batch the digests of its rows, from the first of these batches to the last."""
    store, found = job_rows.store, dict[int, list[bytes]]()
    keys = {c.name: store.sql.key_value(c) for c in declare_key(job_rows.source, store)}
    history = job_rows.own.history
    for own in (job_rows.own.prediction, job_rows.own.quarantine):
        earlier = from_history(own, history)
        present = {column.name: column for column in own.c}
        for columns, parts in ((present, []), (earlier, [history.c.was == was(own)])):
            chosen = [keys.get(name, column).label(name) for name, column in columns.items()]
            within = columns["batch_id"].between(first, last)
            table = own if columns is present else history
            statement = sa.select(*chosen).select_from(table).where(within, *parts)
            for batch_id, digests in _digest_each(store, own, statement).items():
                found.setdefault(batch_id, []).extend(digests)
    return found


def _digest_each(store: Database, own: sa.Table, statement: sa.Select[Any]) -> dict[int, list[bytes]]:
    try:
        return _group(own, store.stream(statement, _CHUNK))
    except DatabaseError as error:
        if error.reason != "mixed":  # keys of several types, which is known only when one of another type comes
            raise
        return _group(own, store.stream(statement, _CHUNK, exact=True))


def _group(own: sa.Table, read: Iterable[pa.RecordBatch]) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    for rows in read:
        for batch_id, digest in zip(rows.column("batch_id").to_pylist(), digest_rows(own, rows), strict=True):
            found.setdefault(batch_id, []).append(digest)
    return found
