"""How the rows that a version scores are counted, to be published with them."""

from dataclasses import dataclass

import pyarrow as pa
import structlog

from rowcast import monitor
from rowcast.errors import ModelError
from rowcast.job.opening import Job
from rowcast.models.artifact import Model
from rowcast.models.matrix import Matrix
from rowcast.scoring.sample import Unused
from rowcast.store import BatchProfile

log = structlog.get_logger("rowcast")


@dataclass(frozen=True)
class Profiler:
    """How the rows that a version scores are counted."""

    edges: monitor.Edges
    unused: Unused | None  # None where the version uses all columns

    def profile(
        self, matrix: Matrix, predictions: pa.RecordBatch, good: pa.RecordBatch, keys: pa.RecordBatch, share: float
    ) -> BatchProfile:
        """The profiles of a batch's good rows, to be published with it: of all, and of a share in other columns.

        `good` tells NULL from an unknown category; `keys` are those of the same rows, as the source rendered them.
        """
        nulls = {name: good.column(name).null_count for name in matrix.categories}
        score, row_hash = (predictions.column(name).to_numpy() for name in ("score", "row_hash"))
        unused = None if self.unused is None else self.unused.counted(keys, row_hash, share)
        return BatchProfile(monitor.profile(self.edges, matrix, score, nulls).to_bytes(), unused)


def make_profiler(job: Job, version: int, model: Model) -> Profiler | None:
    """Of a version; None, and a word in the log, where it cannot be told how its rows are counted."""
    try:
        found = job.registry.reference(version)
        if found is None:
            return None
        unused = monitor.unused_edges(found)
        return Profiler(monitor.Edges.from_bytes(found.edges), None if unused is None else Unused(job, model, unused))
    except ModelError as error:
        log.warning("rows are scored without being counted", version=version, error=error)
        return None
