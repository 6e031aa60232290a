"""inference: a checked batch to predictions with contributions, and its bad rows to quarantine with reasons."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rowcast.contract import Failure
from rowcast.models.artifact import Model, ModelOutput
from rowcast.models.conformal import Sets
from rowcast.models.matrix import Matrix
from rowcast.models.top_contributions import select_top

TOP = 10  # contributions kept for a flagged row
MOST_EXPLAINED = 500  # flagged rows of a batch that carry contributions: exact ones cost as much as 40 scores


@dataclass(frozen=True)
class Predictions:
    """Scores of a batch's good rows, as they are stored."""

    rows: pa.RecordBatch
    flagged: int


def predict_batch(model: Model, matrix: Matrix, keys: pa.RecordBatch, row_hash: npt.NDArray[np.int64]) -> Predictions:
    """Return scores of n good rows, `keys` and `row_hash` (n,) beside them.

    The flagged rows with the highest scores carry their leading contributions; `rowcast explain` gives any row's.
    """
    scored = model.score(matrix)
    columns = {**certainty_columns(model, scored), "contributions": _contributions(model, matrix, scored)}
    rows = _beside(score_columns(model, scored, keys, row_hash), columns)
    return Predictions(rows, int(scored.flagged.sum()))


def score_columns(
    model: Model, scored: ModelOutput, keys: pa.RecordBatch, row_hash: npt.NDArray[np.int64]
) -> pa.RecordBatch:
    """Return score, prediction and threshold of each row, without how sure that is and why."""
    columns = {
        "row_hash": pa.array(row_hash),
        "score": pa.array(scored.score),
        "predicted": predict_labels(model, scored),
        "threshold": pa.repeat(pa.scalar(model.threshold, pa.float64()), len(scored.score)),
    }
    return _beside(keys, columns)


def predict_labels(model: Model, scored: ModelOutput) -> pa.Array:
    """Return the decisions as the source spells its labels, or a regression's values."""
    return pa.array(scored.score) if scored.place is None else pa.array(model.classes).take(pa.array(scored.place))


def make_quarantine_rows(
    keys: pa.RecordBatch,
    values: pa.RecordBatch,
    originals: Mapping[tuple[int, str], str],
    failures: Mapping[int, list[Failure]],
    row_hash: npt.NDArray[np.int64],
    reasons: Callable[[list[Failure]], str],
) -> pa.RecordBatch:
    """Return rows that broke the contract, by their index in `failures`, with reasons and values as they were read.

    `originals` holds, by row and column, texts that a column's type could not hold.
    """
    rows = np.array(sorted(failures), dtype=np.int64)
    read = values.take(pa.array(rows)).to_pylist()
    shown = [
        {name: originals.get((int(row), name), value) for name, value in row_values.items()}
        for row, row_values in zip(rows, read, strict=True)
    ]
    columns = {
        "row_hash": pa.array(row_hash[rows]),
        "reasons": pa.array([reasons(failures[int(row)]) for row in rows], pa.string()),
        "row_values": pa.array([json.dumps(row, ensure_ascii=False, default=str) for row in shown], pa.string()),
    }
    return _beside(keys.take(pa.array(rows)), columns)


def certainty_columns(model: Model, scored: ModelOutput) -> dict[str, pa.Array]:
    """Return which rows the model cannot tell, and what each may be: a JSON list of classes, or an interval's ends."""
    rows, how = len(scored.score), model.conformal
    kinds = {"uncertain": pa.bool_(), "possible": pa.string(), "low": pa.float64(), "high": pa.float64()}
    columns = {name: pa.nulls(rows, kind) for name, kind in kinds.items()}
    if how is None:
        return columns
    columns["uncertain"] = pa.array(how.uncertain(scored.probability))
    if isinstance(how, Sets):
        columns["possible"] = _possible(model, how.sets(scored.probability))
    else:
        low, high = (np.where(np.isfinite(end), end, np.nan) for end in how.interval(scored.score))
        columns |= {"low": pa.array(low, from_pandas=True), "high": pa.array(high, from_pandas=True)}
    return columns


def _possible(model: Model, sets: npt.NDArray[np.bool_]) -> pa.Array:
    """Each row's set as text; few sets are different, and as bytes they are quick to tell apart."""
    coded = np.ascontiguousarray(np.packbits(sets, axis=1))
    _, first, place = np.unique(coded.view(f"V{coded.shape[1]}"), return_index=True, return_inverse=True)
    named = [[label for label, there in zip(model.classes, sets[row], strict=True) if there] for row in first]
    texts = [json.dumps(labels, ensure_ascii=False) for labels in named]
    return pa.array(texts, pa.string()).take(pa.array(place.ravel()))


def _contributions(model: Model, matrix: Matrix, scored: ModelOutput) -> pa.Array:
    texts: list[str | None] = [None] * len(matrix)
    places = np.flatnonzero(scored.flagged)
    places = places[np.argsort(-scored.score[places], kind="stable")[:MOST_EXPLAINED]]
    explained = matrix.take(places).select(model.features)
    found = model.contributions(explained) if len(places) else None
    if found is not None:
        for row, place in enumerate(places):
            texts[place] = json.dumps(
                select_top(explained, row, found[row], model.reference_ranges, TOP), ensure_ascii=False
            )
    return pa.array(texts, pa.string())


def _beside(keys: pa.RecordBatch, columns: Mapping[str, Any]) -> pa.RecordBatch:
    names = [*keys.schema.names, *columns]
    return pa.RecordBatch.from_arrays([*keys.columns, *columns.values()], names=names)
