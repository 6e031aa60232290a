"""Columns that the model does not use: counted on a sample of the rows, so that only few rows are read with them.

They move no score and alarm nobody. What happens to them is for a person who looks, and for the next retrain.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from rowcast import check, features, fetch, monitor
from rowcast.contract import ColumnRule, Contract
from rowcast.errors import DatabaseError, RowcastError
from rowcast.job.opening import Job
from rowcast.models.artifact import Model
from rowcast.source import Fetched

log = structlog.get_logger("rowcast")

SAMPLE = 1_000  # rows of what is pending, on average; all where there are fewer


def choose_share(job: Job) -> float:
    """Return the share of the planned rows that is sampled, from 0 to 1."""
    return min(1.0, SAMPLE / max(1, sum(keys.rows for keys in job.ledger.open_ranges())))


class UnusedColumns:
    """The columns that one version does not use, as far as its training rows had them."""

    def __init__(self, job: Job, model: Model, edges: monitor.Edges) -> None:
        self.job = job
        self.edges = edges
        self._columns = [column for column in job.source.relation.columns if column.name in edges.names]
        self._contract = Contract(tuple(map(_allow_all, model.contract.select(edges.names).rules)))
        self._is_able = True

    def profile_sample(self, keys: pa.RecordBatch, row_hash: npt.NDArray[np.int64], share: float) -> bytes | None:
        """Return the profile of a share of n rows by `keys`, as the source rendered them; None where it cannot be read.

        `row_hash` (n,) decides which rows, so that the sample depends neither on batches nor on workers.
        """
        places = np.flatnonzero((row_hash.view(np.uint64) >> np.uint64(11)) * 2.0**-53 < share)
        if not self._is_able or not len(places):
            return None
        try:
            found = monitor.empty_profile(self.edges)
            for fetched in fetch.fetch_by_key(self.job.source, keys.take(pa.array(places)), self._columns):
                found = monitor.add_profiles(found, self._profile(fetched))
            return found.to_bytes()
        except RowcastError as error:
            if isinstance(error, DatabaseError) and error.is_transient:
                raise
            self._is_able = False
            log.warning("columns that the model does not use are no longer watched in this run", error=error)
            return None

    def _profile(self, fetched: Fetched) -> monitor.Profile:
        rows, given = fetched.rows, set(fetched.rows.schema.names)
        there = [name for name in self.edges.names if name in given]
        reading, kinds = self.job.settings.source.reading, {rule.name: rule.kind for rule in self._contract.rules}
        # A row is counted in its other columns all the same where a value has no meaning.
        meant = [
            m for m in fetched.misfits if m.column in kinds and check.has_meaning(m.value, kinds[m.column], reading)
        ]
        good = check.check(_finite(rows), self._contract.select(there), meant, reading).good
        for name in self.edges.names:
            if name not in given:  # the source has lost it: missing in every row
                good = good.append_column(name, pa.nulls(good.num_rows))
        matrix = features.process(good, self._contract, self.edges.names)
        nulls = {name: good.column(name).null_count for name in matrix.categories}
        return monitor.count_profile(self.edges, matrix, nulls=nulls)


def _finite(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return the rows without numbers that no model could take: a row is counted in its other columns all the same."""
    columns = [
        pc.if_else(pc.less_equal(pc.abs(column), check.FLOAT32_MAX), column, pa.scalar(None, column.type))
        if pa.types.is_floating(column.type)
        else column
        for column in rows.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=rows.schema.names)


def _allow_all(rule: ColumnRule) -> ColumnRule:
    """Return a rule that lets pass whatever its column's type can hold: nothing depends on the value."""
    return replace(rule, nullable=True, min=None, max=None, closed=False)
