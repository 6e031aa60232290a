"""Calls about where a job's store is."""

from typing import TYPE_CHECKING

from rowcast.api.connections import Connections

if TYPE_CHECKING:
    from rowcast.pipeline import Progress
    from rowcast.store_copy import StoreCopy


class Stores(Connections):
    """Calls that bring a store to another database."""

    def copy_store(self, *, to: str, progress: "Progress | None" = None) -> "StoreCopy":
        """Copy what the store holds of this job to another database, as `rowcast store copy`.

        The store itself stays as it is, and this job goes on with it: name the other database in `[store] url`. All is
        copied in one transaction; each row is read back and held against the original before it is committed.

        Parameters
        ----------
        to
            The URL of a database that does not hold this job.
        progress
            Called with rows done and rows in all.

        Raises
        ------
        StoreError
            Where the other database holds this job or a store of another version, or would not give back each row.
        BusyError
            Where a run is under way, or begins before the copy is done.
        """
        from rowcast import pipeline, store_copy

        return store_copy.copy_store(self.settings, to, progress or pipeline.ignore_progress)

    def preview_store_copy(self, *, to: str) -> "StoreCopy":
        """Return what `copy_store` would copy, and write nothing."""
        from rowcast import store_copy

        return store_copy.preview_copy(self.settings, to)
