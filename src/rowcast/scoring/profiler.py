"""Profiles of scored rows: counts per column on the bin edges of a model version, published with the batch."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
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

    def count(self, matrix: Matrix, predictions: pa.RecordBatch, good: pa.RecordBatch) -> monitor.Profile:
        """Return the profile of good rows in the model's columns; `good` tells NULL from an unknown category."""
        nulls = {name: good.column(name).null_count for name in matrix.categories}
        return monitor.count_profile(self.edges, matrix, predictions.column("score").to_numpy(), nulls)

    def finish(
        self, counted: monitor.Profile, keys: pa.RecordBatch, row_hash: npt.NDArray[np.int64], share: float
    ) -> BatchProfile:
        """Return the profiles of a batch's n good rows: with a share of them counted in the other columns.

        `keys` and `row_hash` (n,) are of the same rows, as the source rendered them.
        """
        unused = None if self.unused is None else self.unused.profile_sample(keys, row_hash, share)
        return BatchProfile(counted.to_bytes(), unused)


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
