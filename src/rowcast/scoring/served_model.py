"""A model version in memory: rows from anywhere are checked and scored as a batch would be, and nothing is written."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pyarrow as pa

from rowcast import check, features, predict
from rowcast.config import Reading
from rowcast.contract import Contract, Misfit
from rowcast.errors import UsageError
from rowcast.job.meaning import require_same_task
from rowcast.job.opening import Job
from rowcast.models.artifact import Model
from rowcast.models.matrix import Matrix
from rowcast.scoring.required_columns import check_overrides
from rowcast.store.registry import Version

_PLACE = "rowcast.place"


@dataclass(frozen=True)
class CheckedRows:
    """Rows held against the contract, and what the model sees of those that keep it."""

    checked: check.CheckResult
    matrix: Matrix  # of the rows that passed


@dataclass(frozen=True)
class ServedModel:
    """A model version, loaded once. It holds no connection, and may be used from several threads.

    Example
    -------
    >>> champion = rowcast.open("rowcast.toml").champion()
    >>> champion.score(pandas.read_parquet("wafers.parquet")).to_pandas()
    """

    version: Version
    model: Model
    key: tuple[str, ...]  # the job's key columns: they are passed through where the rows have them
    checked: Contract  # what each row must look like, by the model and by today's config
    reading: Reading  # how the source writes its values
    batch_rows: int  # scored at a time: memory does not depend on the number of rows

    def __repr__(self) -> str:
        return f"<v{self.version.version} ({self.version.status}): {self.model.kind}, {len(self.features)} features>"

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that the model needs."""
        return self.model.features

    def score(self, rows: Any) -> pa.Table:
        """Return a score, or the reasons why there is none, for each row.

        Parameters
        ----------
        rows
            A `pyarrow.Table` or `RecordBatch`, a pandas DataFrame, or anything else that exports an Arrow stream
            (`__arrow_c_stream__`), such as a Polars DataFrame or a DuckDB relation. Columns are found by name; those
            that the model does not need may be there, in any order.

        Returns
        -------
        pyarrow.Table
            One row for each given one, in the same order: the key columns that `rows` have, then `score`, `predicted`,
            `threshold`, `contributions` (JSON, of flagged rows with the highest scores), `uncertain`, `possible`,
            `low`, `high` as in the prediction table, and `reasons`: NULL for a row that was scored; for one that
            breaks the contract, which has no score, a JSON list of `{"column", "rule", "value", "limit"}`.

        Raises
        ------
        UsageError
            Where `rows` are no table, or lack a column that the model needs.
        """
        table = _table(rows)
        absent = [name for name in self.features if name not in table.schema.names]
        if absent:
            raise UsageError(
                f"the rows lack column '{absent[0]}', which v{self.version.version} needs",
                hint=(
                    f"it needs {len(self.features)} columns: see 'features'"
                    if absent[0] not in {column.name for column in self.model.past}
                    else "'rowcast infer' computes it from earlier rows; rows from elsewhere bring it along"
                ),
            )
        return pa.concat_tables(self._score(batch) for batch in _batches(table, self.batch_rows))

    def prepare(self, rows: pa.RecordBatch, misfits: Iterable[Misfit] = ()) -> CheckedRows:
        """Check rows and make the matrix of those that pass, as a batch does.

        Raise SourceError where they lack a feature, or hold a column of a type that no model can use.
        """
        contract = self.checked.select(name for name in self.checked.names if name in rows.schema.names)
        checked = check.check(rows, contract, misfits, self.reading)
        return CheckedRows(checked, features.process(checked.good, self.model.contract, self.features))

    def _score(self, rows: pa.RecordBatch) -> pa.Table:
        prepared = self.prepare(rows)
        checked, matrix = prepared.checked, prepared.matrix
        places = pa.RecordBatch.from_arrays([pa.array(checked.passed)], names=[_PLACE])
        found = predict.predict_batch(self.model, matrix, places, np.zeros(len(checked.passed), np.int64)).rows
        whole = np.full(rows.num_rows, -1, np.int64)  # where in `found` each row stands
        whole[checked.passed] = np.arange(len(checked.passed))
        order = pa.array(whole, mask=whole < 0)
        columns = {name: rows.column(name) for name in self.key if name in rows.schema.names}
        columns |= {
            name: found.column(name).take(order) for name in found.schema.names if name not in (_PLACE, "row_hash")
        }
        reasons = [
            check.format_reasons(checked.failures[row]) if row in checked.failures else None
            for row in range(len(whole))
        ]
        return pa.table({**columns, "reasons": pa.array(reasons, pa.string())})


def load_served(job: Job, version: int) -> ServedModel:
    """Load a version to score rows in memory. Raise ModelError where it is missing or was changed."""
    check_overrides(job, version)
    require_same_task(job.registry.version(version), job.source, job.settings.task)
    settings, model = job.settings, job.registry.load(version)
    overrides = settings.check.columns
    named = [name for name in model.contract.names if name in model.features or name in overrides]
    return ServedModel(
        job.registry.version(version),
        model,
        tuple(settings.source.key),
        check.apply_overrides(model.contract.select(named), overrides),
        settings.source.reading,
        settings.infer.batch_rows,
    )


def _table(rows: Any) -> pa.Table:
    if isinstance(rows, pa.Table):
        return rows
    if isinstance(rows, pa.RecordBatch):
        return pa.Table.from_batches([rows])
    if type(rows).__module__.split(".")[0] == "pandas" and hasattr(rows, "columns"):
        return pa.Table.from_pandas(rows, preserve_index=False)
    if hasattr(rows, "__arrow_c_stream__"):
        return pa.table(rows)
    raise UsageError(
        f"rows are scored from a table, not from a {type(rows).__name__}",
        hint="give a pyarrow Table or RecordBatch, a pandas DataFrame, or what exports an Arrow stream",
    )


def _batches(table: pa.Table, most: int) -> Iterator[pa.RecordBatch]:
    """One batch at least, of columns in the types that a database's rows come in."""
    for start in range(0, max(table.num_rows, 1), most):
        part = table.slice(start, most)
        columns = [_plain(column) for column in part.columns]
        yield pa.RecordBatch.from_arrays(columns, names=part.schema.names)


def _plain(column: pa.ChunkedArray) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    if pa.types.is_string_view(column.type) or pa.types.is_large_string(column.type):
        column = column.cast(pa.string())
    if pa.types.is_float16(column.type) or pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    joined = cast(Any, column.combine_chunks())
    return pa.concat_arrays(joined.chunks) if isinstance(joined, pa.ChunkedArray) else joined
