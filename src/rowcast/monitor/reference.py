"""What a version's rows are held against: profiles of its training rows, whole and block by block, as one record."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rowcast.models.artifact import Model
from rowcast.models.calibration import Floats
from rowcast.models.matrix import Matrix
from rowcast.monitor.calendar import find_calendar_columns
from rowcast.monitor.drift import score_weights, split_blocks
from rowcast.monitor.edges import Edges, compute_edges
from rowcast.monitor.profile import Profile, count_profile
from rowcast.store.registry import Reference

_UNUSED = b"unused"  # under which the edges of columns stand that the model does not use
_CALENDAR = b"calendar"  # under which the names of columns stand that the calendar makes
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def make_reference(
    model: Model, contributions: Floats | None, matrix: Matrix, when: npt.NDArray[np.int64] | None, apart: timedelta
) -> Reference:
    """Return what a version's rows are held against, from its n training rows in time order.

    `when` (n,) says when they came, in microseconds since 1970, where that is known; `apart` how far apart runs will
    be; `contributions` (k, f) are those of some of the rows, None where the estimator gives none. The model has seen
    these rows, so that their scores are no measure of those to come: blocks are counted without.
    """
    features, n = model.features, len(matrix)
    rows, others = matrix.select(features), matrix.select(tuple(name for name in matrix.names if name not in features))
    score = model.score(rows).score
    used, unused = compute_edges(rows, score), compute_edges(others)
    parts = split_blocks(n, when, apart)
    counts = [count_profile(used, rows, score), *(count_profile(used, rows.take(part)) for part in parts)]
    at = [None, *((None if when is None else _EPOCH + timedelta(microseconds=int(when[part[-1]]))) for part in parts)]
    columns = {"at": pa.array(at, pa.timestamp("us", "UTC")), "counts": pa.array(map(Profile.to_bytes, counts))}
    if others.names:
        counts = [count_profile(unused, others.take(part)) for part in (np.arange(n), *parts)]
        columns["unused"] = pa.array(map(Profile.to_bytes, counts))
    calendar = () if when is None else find_calendar_columns(matrix, when)
    about = {_CALENDAR: json.dumps(calendar).encode()} | ({_UNUSED: unused.to_bytes()} if others.names else {})
    table = pa.table(columns, metadata=about)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    weights = None if contributions is None else score_weights(features, contributions)
    return Reference(used.to_bytes(), sink.getvalue().to_pybytes(), weights)


def list_training_profiles(found: Reference) -> pa.Table:
    """Return the training rows' profiles: of all rows, then block by block."""
    return pa.ipc.open_stream(found.blocks).read_all()


def list_calendar_columns(found: Reference) -> frozenset[str]:
    """Return the columns that the calendar makes, whose values are no drift."""
    return frozenset(json.loads((list_training_profiles(found).schema.metadata or {}).get(_CALENDAR, b"[]")))


def find_unused_edges(found: Reference) -> Edges | None:
    """Return the edges of the columns that the model does not use, None where it uses all."""
    data = (list_training_profiles(found).schema.metadata or {}).get(_UNUSED)
    return None if data is None else Edges.from_bytes(data)
