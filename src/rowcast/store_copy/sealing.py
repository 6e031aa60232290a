"""Checksums of a copy's batches: rows that have other numbers, or other keys, have another one."""

from rowcast.audit.batches import check_batches, check_shadows, seal_batches, seal_shadows
from rowcast.errors import StoreError
from rowcast.formatting import count
from rowcast.job.opening import Job
from rowcast.store.signing import Signed


def refuse_changed(job: Job) -> None:
    """Raise StoreError where batches are no longer what was published: a copy would make them so."""
    found = [check_batches(job.ledger), check_shadows(job.ledger)]
    changed = sum(each.changed + each.forged for each in found)
    if changed:
        raise StoreError(
            f"what {count(changed, 'batch', 'batches')} in {job.store.safe_url} published is there no longer as it was",
            hint="'rowcast audit --full' says more; nothing was copied, since a copy would be taken for the original",
        )


def seal_copy(copy: Job, numbers: dict[str, int]) -> None:
    """Give each batch of a copy, whose rows were held against the original, the checksum of its rows as they are here.

    What was signed is signed anew. Raise StoreError where that takes a key that is not there.
    """
    ledger, is_renumbered = copy.ledger, any(numbers[name] for name in ("run", "batch"))
    for what, sealed in ((Signed.BATCH, seal_batches(ledger)), (Signed.SHADOW, seal_shadows(ledger))):
        table = ledger.tables.batch if what is Signed.BATCH else ledger.tables.shadow_batch
        for row, checksum in sealed:
            if row["checksum"] is None or (row["checksum"] == checksum and not is_renumbered):
                continue
            signature = None if row["signature"] is None else _sign(copy, row["batch_id"], checksum, what)
            same = [table.c[c.name] == row[c.name] for c in table.primary_key.columns]
            ledger.db.execute(table.update().where(*same).values(checksum=checksum, signature=signature))


def _sign(copy: Job, batch_id: int, checksum: str, what: Signed) -> str:
    signature = copy.ledger.keys.sign(copy.settings.name, batch_id, checksum, what)
    if signature is None:
        raise StoreError(
            "batches are signed, and their rows get other numbers or keys in the copy: they must be signed anew",
            hint="export ROWCAST_SIGNING_KEY=… before the command; nothing was copied",
        )
    return signature
