"""Columns of the past of rows that were sent, computed from the source as for a batch."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import structlog

from rowcast import history
from rowcast.config import Settings
from rowcast.errors import ModelError, RowcastError
from rowcast.scoring.served_model import ServedModel
from rowcast.serve.columns import KnownColumns
from rowcast.serve.opened_job import OpenedJob
from rowcast.serve.refusal import Refusal, RowFault
from rowcast.serve.request import SentRows, Values
from rowcast.serve.rows import ReadRows, parse_moment, read_rows, to_list
from rowcast.source import GROUPED, TIME, Fetched, Source

log = structlog.get_logger("rowcast")

_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


class PastReader:
    """Completes the rows of one job over a connection of its own; for one thread."""

    def __init__(self, settings: Settings) -> None:
        self._name = settings.name
        self._opened = OpenedJob(settings, prepare=False)

    def complete(self, sent: SentRows, known: KnownColumns) -> ReadRows:
        """Return rows with what was known before each row's event time, which each of them must have.

        Raise Refusal: 422 for a column that is unknown or missing, 503 where the source does not answer.
        """
        rows = read_rows(sent, known)
        times, faults = _read_times(sent, known)
        names = dict.fromkeys(name for column in known.past for name in column.by)
        groups = {GROUPED + name: _read_groups(sent.columns[name]) for name in names}
        names_read = [*rows.batch.schema.names, TIME, *groups]
        batch = pa.RecordBatch.from_arrays([*rows.batch.columns, times, *groups.values()], names=names_read)
        try:
            found = self._opened.run(
                lambda job: history.complete_rows(job.source, known.past, Fetched(batch, list(rows.misfits)))
            )
        except RowcastError as error:
            self.close()
            log.warning("earlier rows were not read", job=self._name, error=error)
            raise Refusal(
                503,
                f"'{known.past[0].name}' is computed from earlier rows, and the source does not answer",
                hint="the service's log says more",
                headers=[(b"retry-after", b"5")],
            ) from error
        return replace(rows, batch=found.rows, faults=(*rows.faults, *faults))

    def close(self) -> None:
        """Let go of the connection."""
        self._opened.close()


def require_readable(source: Source, served: ServedModel) -> None:
    """Raise RowcastError where columns of the past cannot be computed for rows that are sent."""
    history.require_columns(source, served.model.past)
    for name in dict.fromkeys(name for column in served.model.past for name in column.by):
        column = source.relation[name]
        if column.kind != "category" and not column.integer:
            first = next(each for each in served.model.past if name in each.by)
            raise ModelError(
                f"v{served.version.version} computes '{first.name}' from '{name}', which is {column.type}: groups of"
                " rows that are sent are texts or whole numbers",
                hint="let a query cast it to text; 'rowcast infer' scores its rows",
            )


def _read_times(sent: SentRows, known: KnownColumns) -> tuple[pa.Array, list[RowFault]]:
    """Return the rows' event times in microseconds, and which rows have none: these stand at the time of another."""
    name = known.event_time or ""
    values = to_list(sent.columns[name])
    moments = [parse_moment(value, known.timezone) for value in values]
    faults = [
        RowFault(row, name, "null" if values[row] is None else "type")
        for row, moment in enumerate(moments)
        if moment is None
    ]
    another = next((moment for moment in moments if moment is not None), _EPOCH)
    times = [((another if moment is None else moment) - _EPOCH) // _MICROSECOND for moment in moments]
    return pa.array(times, pa.int64()), faults


def _read_groups(values: Values) -> pa.Array:
    """Return the groups as the source writes them; NULL where a row is of none."""
    return pa.array([_to_text(value) for value in to_list(values)], pa.string())


def _to_text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if type(value) is int else None
