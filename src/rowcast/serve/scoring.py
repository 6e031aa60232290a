"""Rows to an answer, by the functions with which a batch is checked and scored: the scores are the same."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from rowcast import predict
from rowcast.models.artifact import ModelOutput
from rowcast.models.conformal import Sets
from rowcast.models.matrix import Matrix
from rowcast.models.top_contributions import select_top
from rowcast.scoring.served_model import CheckedRows, ServedModel
from rowcast.serve.columns import KnownColumns
from rowcast.serve.plain_rows import MOST, PlainRows, SetTexts
from rowcast.serve.refusal import RowFault, refuse_rows
from rowcast.serve.request import Options, SentRows
from rowcast.serve.rows import ReadRows, read_rows


@dataclass(frozen=True)
class Serving:
    """A version in service, and what its rows may hold: taken once for each request."""

    job: str
    served: ServedModel
    columns: KnownColumns = field(repr=False)
    plain: PlainRows | None = field(default=None, repr=False)  # the short way, where there is one
    sets: SetTexts | None = field(default=None, repr=False)

    @classmethod
    def of(cls, job: str, served: ServedModel, columns: KnownColumns) -> Self:
        """Return a version with all that answers need of it."""
        how = served.model.conformal
        sets = SetTexts(served.model.classes, how) if isinstance(how, Sets) else None
        return cls(job, served, columns, PlainRows.of(served, columns), sets)

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


def score(serving: Serving, sent: SentRows, options: Options, completed: ReadRows | None = None) -> Answer:
    """Check and score the rows of a request, `completed` by columns of the past where the version has some.

    Raise Refusal where some rows break the contract, unless the request asks for a part.
    """
    if serving.plain is not None and sent.count <= MOST and not options.explain:
        found = serving.plain.score(sent)
        if found is not None:
            return _answer(serving, sent, range(sent.count), found)
    rows = completed or read_rows(sent, serving.columns)
    prepared = serving.served.prepare(rows.batch, rows.misfits)
    faults = sorted([*rows.faults, *_faults(prepared)], key=lambda fault: fault.row)
    if faults and not options.partial:
        raise refuse_rows(faults, sent.count)
    matrix, places = _without(prepared, {fault.row for fault in rows.faults})
    answer = _answer(serving, sent, places.tolist(), serving.served.model.score(matrix), faults)
    return replace(answer, contributions=_explain(serving, matrix)) if options.explain else answer


def _without(prepared: CheckedRows, lacking: set[int]) -> tuple[Matrix, npt.NDArray[np.int64]]:
    """The rows that passed, but for those that lack a column."""
    matrix, places = prepared.matrix, prepared.checked.passed
    if not lacking:
        return matrix, places
    kept = np.array([place not in lacking for place in places.tolist()], np.bool_)
    return matrix.take(kept), places[kept]


def _answer(
    serving: Serving, sent: SentRows, places: Sequence[int], found: ModelOutput, faults: Sequence[RowFault] = ()
) -> Answer:
    model, rows = serving.served.model, len(found.score)
    nothing: list[None] = [None] * rows
    uncertain: Sequence[bool | None] = nothing
    possible: Sequence[str | None] = nothing
    low: Sequence[float | None] = nothing
    high: Sequence[float | None] = nothing
    if serving.sets is not None and rows <= MOST:
        uncertain, possible = serving.sets.describe(found)
    elif model.conformal is not None:
        sure = predict.certainty_columns(model, found)
        uncertain, possible, low, high = (sure[name].to_pylist() for name in ("uncertain", "possible", "low", "high"))
    predicted = found.score.tolist() if found.place is None else [model.classes[each] for each in found.place.tolist()]
    return Answer(
        job=serving.job,
        version=serving.version,
        rows=sent.count,
        places=places,
        score=found.score.tolist(),
        predicted=predicted,
        flagged=found.flagged.tolist(),
        uncertain=uncertain,
        possible=possible,
        low=low,
        high=high,
        faults=faults,
    )


def _explain(serving: Serving, matrix: Matrix) -> list[dict[str, Any] | None]:
    """The leading contributions of each row, without the values, which whoever asks has."""
    model = serving.served.model
    found = model.contributions(matrix)
    if found is None:
        return [None] * len(matrix)
    tops = [select_top(matrix, row, found[row], model.reference_ranges, predict.TOP) for row in range(len(matrix))]
    return [
        {name: {key: part for key, part in one.items() if key != "value"} for name, one in top.items()} for top in tops
    ]


def _faults(prepared: CheckedRows) -> list[RowFault]:
    return [
        RowFault(failure.row, failure.column, failure.rule)
        for failures in prepared.checked.failures.values()
        for failure in failures
    ]
