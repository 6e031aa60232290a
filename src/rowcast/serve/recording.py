"""Answers that are recorded in the job's table of online predictions, once for each request."""

import json
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt
import pyarrow as pa
import structlog

from rowcast.check.values import to_text
from rowcast.config import Settings
from rowcast.errors import DatabaseError, RowcastError
from rowcast.models.target import canonical_label
from rowcast.serve.columns import KnownColumns
from rowcast.serve.opened_job import OpenedJob
from rowcast.serve.refusal import Refusal, RowFault, bad_request, refuse_columns, refuse_rows
from rowcast.serve.request import Options, SentRows
from rowcast.serve.rows import ReadRows, read_rows
from rowcast.serve.scoring import Answer, Serving, score
from rowcast.source import RowHash, hash_rows
from rowcast.store.online import LONGEST_ID, RequestId

log = structlog.get_logger("rowcast")


@dataclass(frozen=True)
class _Asked:
    """A request that is to be recorded."""

    id: RequestId
    keys: Mapping[str, pa.Array]
    rows: ReadRows
    hashed_by: RowHash  # as a batch would

    def hash(self, serving: Serving, how: RowHash) -> npt.NDArray[Any]:
        """Hash its rows as a batch would: where the source holds the same values, it is the same."""
        names = [name for name in serving.columns.hashed if name in self.rows.batch.schema.names]
        return hash_rows(self.rows.batch, self.rows.misfits, names, how)


class Recorder:
    """Records the answers of one job over a connection of its own; for one thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._opened = OpenedJob(settings, prepare=True)

    def answer(
        self, serving: Serving, sent: SentRows, options: Options, client: str, completed: ReadRows | None = None
    ) -> Answer:
        """Score rows and record the answer, or return the one that was recorded of the same request.

        Raise Refusal: 422 for rows without a key of their own, or where the id is that of another request; 503 where
        the store does not take it, and then nothing was recorded.
        """
        rows = completed or read_rows(sent, serving.columns)
        how = RowHash.SHA256 if self.settings.infer.engine == "database" else RowHash.MIXED
        asked = _Asked(_make_id(options, client), _read_keys(sent, serving.columns), rows, how)
        try:
            found = self._read(serving, asked)
            if found is None:
                made = score(serving, sent, options, completed)
                if self._write(serving, asked, made):
                    return made
                found = self._read(serving, asked)
        except RowcastError as error:
            self.close()
            log.warning("an answer was not recorded", job=self.settings.name, error=error)
            raise _make_refusal(error) from error
        assert found is not None
        return found if options.explain else replace(found, contributions=None)

    def _read(self, serving: Serving, asked: _Asked) -> Answer | None:
        rows = self._opened.run(lambda job: job.online.find(asked.id))
        if not rows:
            return None
        if not _is_same(serving, asked, rows):
            raise Refusal(
                422, "another request was recorded under this id", hint="an id stands for one request: send a new one"
            )
        return _to_answer(serving, rows)

    def _write(self, serving: Serving, asked: _Asked, answer: Answer) -> bool:
        rows = _to_table(serving, asked, answer)
        return bool(self._opened.run(lambda job: job.online.record(asked.id, answer.version, rows)))

    def close(self) -> None:
        """Let go of the connection."""
        self._opened.close()


def _is_same(serving: Serving, asked: _Asked, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether rows that were recorded are those asked for."""
    if serving.columns.past:  # which may have moved since, and hashes with them
        keys = [tuple(row[name] for name in asked.keys) for row in rows]
        sent = zip(*(column.to_pylist() for column in asked.keys.values()), strict=True)
        return keys == list(sent)
    hashes = asked.hash(serving, RowHash(rows[0]["hashed_by"] or RowHash.MIXED))
    return bool([row["row_hash"] for row in rows] == hashes.tolist())


def _make_refusal(error: RowcastError) -> Refusal:
    if isinstance(error, DatabaseError) and error.reason == "other":
        return Refusal(
            422, "the store does not take a key or a value of these rows", hint="the service's log says more"
        )
    return Refusal(
        503,
        "the answer could not be recorded: the store does not take it",
        hint="the service's log says more; rows are scored without record=true all the same",
        headers=[(b"retry-after", b"5")],
    )


def _make_id(options: Options, client: str) -> RequestId:
    given = options.request_id
    if given is not None and (not 0 < len(given) <= LONGEST_ID or not given.isprintable()):
        raise bad_request(f"a request's id has 1 to {LONGEST_ID} printable characters")
    return RequestId(uuid.uuid4().hex if given is None else given, client)


def _read_keys(sent: SentRows, known: KnownColumns) -> dict[str, pa.Array]:
    """The key columns. Raise Refusal where they are missing, NULL, of another type, or repeated."""
    absent = [name for name in known.key if name not in sent.columns]
    if absent:
        hint = "a row is recorded by its key: send it beside the features"
        raise refuse_columns(f"key column '{absent[0]}' is missing", "missing", absent, hint)
    faults: list[RowFault] = []
    columns = {}
    for name, kind in known.key.items():
        values = sent.columns[name]
        listed = values.to_pylist() if isinstance(values, pa.Array) else list(values)
        read = [_read_key(value, kind) for value in listed]
        faults += [
            RowFault(row, name, "null" if listed[row] is None else "type")
            for row, value in enumerate(read)
            if value is None
        ]
        columns[name] = read
    if not faults:
        rows = list(zip(*columns.values(), strict=True))
        often = Counter(rows)
        faults = [RowFault(row, next(iter(columns)), "repeated") for row, key in enumerate(rows) if often[key] > 1]
    if faults:
        refusal = refuse_rows(sorted(faults, key=lambda fault: fault.row), sent.count)
        refusal.hint = "each row that is recorded has a key of its own"
        raise refusal
    types = {"integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
    return {name: pa.array(values, types.get(known.key[name], pa.string())) for name, values in columns.items()}


def _read_key(value: Any, kind: str) -> Any:
    """A key's value as its column holds it; None where it is none of that type."""
    if value is None or isinstance(value, list | dict):
        return None
    if kind == "integer":
        return _read_integer(value)
    if kind == "number":
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    return to_text(value)


def _read_integer(value: Any) -> int | None:
    try:
        number = int(value) if not isinstance(value, bool) and float(value).is_integer() else None
    except (ValueError, OverflowError):
        return None
    return number if number is not None and -(2**63) <= number < 2**63 else None


def _to_table(serving: Serving, asked: _Asked, answer: Answer) -> pa.Table:
    """The rows as the store keeps them: those that were refused with their reasons."""
    reasons: dict[int, list[dict[str, str]]] = {}
    for fault in answer.faults:
        reasons.setdefault(fault.row, []).append({"column": fault.column, "rule": fault.rule})
    threshold, rows = serving.served.model.threshold, answer.rows

    def column(values: Sequence[Any], kind: Any = None) -> pa.Array:
        every: list[Any] = [None] * rows
        for place, value in zip(answer.places, values, strict=True):
            every[place] = value
        return pa.array(every, kind)

    contributions = answer.contributions or [None] * len(answer.places)
    texts = [None if one is None else json.dumps(one, ensure_ascii=False) for one in contributions]
    own = {
        "place": pa.array(range(rows), pa.int32()),
        "row_hash": pa.array(asked.hash(serving, asked.hashed_by), pa.int64()),
        "hashed_by": pa.repeat(pa.scalar(asked.hashed_by.value), rows),
        "score": column(answer.score, pa.float64()),
        "predicted": column(answer.predicted, None if answer.places else pa.float64()),
        "threshold": column([threshold] * len(answer.places), pa.float64()),
        "flagged": column(answer.flagged, pa.bool_()),
        "uncertain": column(answer.uncertain, pa.bool_()),
        "possible": column(answer.possible, pa.string()),
        "low": column(answer.low, pa.float64()),
        "high": column(answer.high, pa.float64()),
        "contributions": column(texts, pa.string()),
        "reasons": pa.array([json.dumps(reasons[row]) if row in reasons else None for row in range(rows)], pa.string()),
    }
    return pa.table({**asked.keys, **own})


def _to_answer(serving: Serving, rows: Sequence[Mapping[str, Any]]) -> Answer:
    """What was answered, from what was recorded of it."""
    scored = [row for row in rows if row["score"] is not None]
    labels = {canonical_label(label): label for label in serving.served.model.classes}

    def flags(name: str) -> list[Any]:
        return [None if row[name] is None else bool(row[name]) for row in scored]

    def texts(name: str) -> list[Any]:
        return [None if row[name] is None else json.loads(row[name]) for row in scored]

    return Answer(
        job=serving.job,
        version=int(rows[0]["model_version"]),
        rows=len(rows),
        places=[int(row["place"]) for row in scored],
        score=[row["score"] for row in scored],
        predicted=[labels.get(canonical_label(row["predicted"]), row["predicted"]) for row in scored],
        flagged=flags("flagged"),
        uncertain=flags("uncertain"),
        possible=[row["possible"] for row in scored],
        low=[row["low"] for row in scored],
        high=[row["high"] for row in scored],
        contributions=texts("contributions"),
        faults=[
            RowFault(int(row["place"]), reason["column"], reason["rule"])
            for row in rows
            if row["reasons"] is not None
            for reason in json.loads(row["reasons"])
        ],
    )
