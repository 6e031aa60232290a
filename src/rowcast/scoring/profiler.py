"""Profiles of scored rows: counts per column on the bin edges of a model version, published with the batch."""

from dataclasses import dataclass

import pyarrow as pa
import structlog

from rowcast import monitor
from rowcast.errors import ModelError
from rowcast.job.opening import Job
from rowcast.models.artifact import Model
from rowcast.models.matrix import Matrix
from rowcast.scoring.unused_columns import UnusedColumns
from rowcast.store import BatchProfile

log = structlog.get_logger("rowcast")


@dataclass(frozen=True)
class Profiler:
    """Makes the profiles of the rows that a version scores."""

    edges: monitor.Edges
    unused: UnusedColumns | None  # None where the version uses all columns

    def profile(
        self, matrix: Matrix, predictions: pa.RecordBatch, good: pa.RecordBatch, keys: pa.RecordBatch, share: float
    ) -> BatchProfile:
        """Return the profiles of a batch's good rows: of all in the model's columns, and of a share in the others.

        `good` tells NULL from an unknown category; `keys` are those of the same rows, as the source rendered them.
        """
        nulls = {name: good.column(name).null_count for name in matrix.categories}
        score, row_hash = (predictions.column(name).to_numpy() for name in ("score", "row_hash"))
        unused = None if self.unused is None else self.unused.profile_sample(keys, row_hash, share)
        return BatchProfile(monitor.count_profile(self.edges, matrix, score, nulls).to_bytes(), unused)


def make_profiler(job: Job, version: int, model: Model) -> Profiler | None:
    """Return a version's profiler; None, with a warning in the log, where its bin edges are unknown or unreadable."""
    try:
        found = job.registry.reference(version)
        if found is None:
            return None
        edges, unused = monitor.Edges.from_bytes(found.edges), monitor.find_unused_edges(found)
        return Profiler(edges, None if unused is None else UnusedColumns(job, model, unused))
    except ModelError as error:
        log.warning("rows are scored without being counted", version=version, error=error)
        return None
