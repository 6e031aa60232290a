"""Rows to an answer, by the functions with which a batch is checked and scored: the scores are the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from rowcast import predict
from rowcast.models.top_contributions import select_top
from rowcast.scoring.served_model import CheckedRows, ServedModel
from rowcast.serve.columns import KnownColumns
from rowcast.serve.refusal import RowFault, refuse_rows
from rowcast.serve.request import Options, SentRows
from rowcast.serve.rows import to_batch


@dataclass(frozen=True)
class Serving:
    """A version in service, and what its rows may hold: taken once for each request."""

    job: str
    served: ServedModel
    columns: KnownColumns

    @property
    def version(self) -> int:
        """The model version."""
        return self.served.version.version


@dataclass(frozen=True)
class Answer:
    """What a version makes of the rows of one request. Lists are of the rows in `places`."""

    job: str
    version: int
    rows: int  # of the request
    places: Sequence[int]  # which of them were scored
    score: Sequence[float]
    predicted: Sequence[Any]  # as the source spells its label
    flagged: Sequence[bool]
    uncertain: Sequence[bool | None]
    possible: Sequence[str | None]  # JSON lists of the classes that cannot be ruled out
    low: Sequence[float | None]
    high: Sequence[float | None]
    contributions: Sequence[dict[str, Any] | None] | None = None  # None where they were not asked for
    faults: Sequence[RowFault] = ()  # of the rows that were not


def score(serving: Serving, sent: SentRows, options: Options) -> Answer:
    """Check and score the rows of a request. Raise Refusal where some break the contract, unless it asks for a part."""
    batch, misfits = to_batch(sent, serving.columns)
    prepared = serving.served.prepare(batch, misfits)
    faults = sorted([*sent.faults, *_faults(prepared)], key=lambda fault: fault.row)
    if faults and not options.partial:
        raise refuse_rows(faults, sent.count)
    return _score(serving, sent, prepared, faults, options)


def _score(
    serving: Serving, sent: SentRows, prepared: CheckedRows, faults: Sequence[RowFault], options: Options
) -> Answer:
    model, matrix, places = serving.served.model, prepared.matrix, prepared.checked.passed
    lacking = {fault.row for fault in sent.faults}
    if lacking:
        kept = np.array([place not in lacking for place in places.tolist()], np.bool_)
        matrix, places = matrix.take(kept), places[kept]
    found = model.score(matrix)
    sure = predict.certainty_columns(model, found)
    return Answer(
        job=serving.job,
        version=serving.version,
        rows=sent.count,
        places=places.tolist(),
        score=found.score.tolist(),
        predicted=predict.predict_labels(model, found).to_pylist(),
        flagged=found.flagged.tolist(),
        uncertain=_to_list(sure["uncertain"]),
        possible=_to_list(sure["possible"]),
        low=_to_list(sure["low"]),
        high=_to_list(sure["high"]),
        contributions=_explain(serving, matrix, places) if options.explain else None,
        faults=faults,
    )


def _explain(serving: Serving, matrix: Any, places: npt.NDArray[np.int64]) -> list[dict[str, Any] | None]:
    """The leading contributions of each row, without the values, which whoever asks has."""
    model = serving.served.model
    found = model.contributions(matrix)
    if found is None:
        return [None] * len(places)
    tops = [select_top(matrix, row, found[row], model.reference_ranges, predict.TOP) for row in range(len(places))]
    return [
        {name: {key: part for key, part in one.items() if key != "value"} for name, one in top.items()} for top in tops
    ]


def _faults(prepared: CheckedRows) -> list[RowFault]:
    return [
        RowFault(failure.row, failure.column, failure.rule)
        for failures in prepared.checked.failures.values()
        for failure in failures
    ]


def _to_list(column: pa.Array) -> list[Any]:
    found: list[Any] = column.to_pylist()
    return found
