"""Why a row got its score: the model, contract, run and contributions behind it, and the score computed again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from rowcast import check, features, fetch, history
from rowcast.errors import DatabaseError, SourceError
from rowcast.job.opening import Job
from rowcast.models.artifact import Model
from rowcast.models.top_contributions import select_top
from rowcast.scoring.changes import Changes
from rowcast.scoring.required_columns import check_columns
from rowcast.source import Fetched, RowHash, hash_rows

_TOLERANCE = 1e-9  # of a score computed again
_OPTIONAL = ("came_from",)  # what is told only where it is there
_SURE = ("uncertain", "possible", "low", "high")


class ContributionUnit(StrEnum):
    """What contributions to a score are measured in."""

    LOG_ODDS = "log-odds of the positive class"
    LOG_ODDS_OF_CLASS = "log-odds of the class decided on, against the one that needs no action or the next likely"
    LABEL = "the label's unit"

    @property
    def is_odds(self) -> bool:
        """Whether a contribution multiplies the odds; else it is added."""
        return self is not ContributionUnit.LABEL


_UNITS = {
    "binary": ContributionUnit.LOG_ODDS,
    "multiclass": ContributionUnit.LOG_ODDS_OF_CLASS,
    "regression": ContributionUnit.LABEL,
}


class RowState(StrEnum):
    """Where a row is."""

    SCORED = "scored"
    QUARANTINED = "quarantined"
    FORGOTTEN = "forgotten"
    PENDING = "pending"
    OUT_OF_SCOPE = "out of scope"
    UNUSABLE = "unusable"
    ABSENT = "absent"


@dataclass(frozen=True)
class ScoredRow:
    """A stored prediction, what stands behind it, and the score computed again."""

    score: float
    predicted: Any  # as the source spells its label
    threshold: float | None  # of two classes: from this score on a row is flagged
    uncertain: bool | None  # whether the model says too little about it; None where it cannot tell
    possible: str | None  # the classes that cannot be ruled out, as a JSON list
    low: float | None  # of a regression: between what the value lies
    high: float | None
    model_version: int
    model_status: str
    trained_to: datetime | None
    contract_sha256: str
    artifact_sha256: str
    run_id: int
    batch_id: int
    scored_at: datetime
    again: float | None  # the score computed now; None where the row breaks the contract by now
    reproduced: bool  # whether `again` equals `score` within 1e-9
    changed: bool  # whether the source's values are others than those that were scored
    contributions: dict[str, Any] | None  # of each column to the score, the largest first
    contributions_in: ContributionUnit | None
    values: dict[str, Any] | None  # present ones of these columns
    came_from: dict[str, list[dict[str, Any]]] | None = None  # of columns of the past: key, value and known of each row

    def to_dict(self) -> dict[str, Any]:
        trained_to = self.trained_to.isoformat() if self.trained_to else None
        about = {**vars(self), "trained_to": trained_to, "scored_at": self.scored_at.isoformat()}
        return {name: value for name, value in about.items() if name not in (*_SURE, *_OPTIONAL) or value is not None}


@dataclass(frozen=True)
class QuarantinedRow:
    """A row that was set aside, and why."""

    reasons: list[dict[str, Any]]  # column, rule, value, limit
    row_values: dict[str, Any]  # as they were read
    run_id: int
    quarantined_at: datetime
    changed: bool | None  # whether the source's values are others by now; None where they cannot be read

    def to_dict(self) -> dict[str, Any]:
        return {**vars(self), "quarantined_at": self.quarantined_at.isoformat()}


@dataclass(frozen=True)
class Explanation:
    """Everything known about one row.

    Example
    -------
    >>> why = rowcast.open("rowcast.toml").explain("W004711")
    >>> why.scored.score, why.scored.reproduced
    (0.8315, True)
    """

    job: str
    key: dict[str, str]
    state: RowState
    why: str | None = None  # of a row that is neither scored nor quarantined
    event_time: datetime | None = None  # of a row that is there, where the job names a time
    groups: dict[str, str] = field(default_factory=dict)  # of its lot, and of what charts are grouped by, by column
    scored: ScoredRow | None = None
    quarantined: QuarantinedRow | None = None
    earlier: tuple[Mapping[str, Any], ...] = ()  # what it was before it was scored again, the newest first

    @property
    def is_proven(self) -> bool:
        """Whether the row is there and, where it was scored and has not changed since, its score comes out again."""
        proven = self.scored is None or self.scored.reproduced or self.scored.changed
        return self.state is not RowState.ABSENT and proven

    def to_dict(self) -> dict[str, Any]:
        """Return what `rowcast explain --json` prints."""
        about: dict[str, Any] = {"job": self.job, "key": self.key, "state": self.state}
        about |= {} if self.why is None else {"why": self.why}
        about |= {} if self.event_time is None else {"event_time": self.event_time.isoformat()}
        about |= {"groups": self.groups} if self.groups else {}
        row = self.scored or self.quarantined
        about |= {} if row is None else row.to_dict()
        return about | ({"earlier": [dict(one) for one in self.earlier]} if self.earlier else {})


def explain(job: Job, key: Sequence[str]) -> Explanation:
    """Return everything known about the row with this key, one text for each key column."""
    bounds = job.source.parse_key(job.source.interpret_key(key))
    this = [one == other for one, other in zip(job.source.keys(), bounds, strict=True)]
    names = [column.name for column in job.source.key]
    about = partial(Explanation, job.settings.name, dict(zip(names, key, strict=True)))
    count = job.source.db.scalar(job.source.select(sa.func.count()).where(*this))
    if not count:
        return about(RowState.ABSENT, "the source has no row with this key")
    if not job.source.db.scalar(_count(job, this)):
        why = "its key is repeated" if count > 1 else "its time is not a point in time"
        own = job.source.select(sa.func.count()).where(*this, job.source.has_own_stored_key())
        if count == 1 and not job.source.db.scalar(own):
            why = "the store cannot tell its key from that of another row"
        return about(RowState.UNUSABLE, why)
    about = partial(about, event_time=fetch.find_event_time(job.source, this), groups=_find_groups(job, this))
    rows = job.rows.select_keys(this, job.source.table(), sa.literal(1).label("rowcast.found"))
    predictions, quarantined, history = (_read_stored(job, rows, own) for own in job.own.kept)
    earlier = tuple(_earlier(row) for row in history)
    if predictions:
        return about(RowState.SCORED, scored=_explain_scored(job, this, predictions[0]), earlier=earlier)
    if quarantined:
        return about(RowState.QUARANTINED, quarantined=_explain_quarantined(job, this, quarantined[0]), earlier=earlier)
    if _read_stored(job, rows, job.own.forgotten):
        return about(RowState.FORGOTTEN, "its result was deleted by 'rowcast forget', and it is not scored again")
    return about(*_place(job, this), earlier=earlier)


def _find_groups(job: Job, this: list[sa.ColumnElement[bool]]) -> dict[str, str]:
    """Of which lot and of which tool a row is, for example, by column; without those that it has no value in."""
    source, names = job.source, (job.settings.source.group, job.settings.monitor.group_by)
    there = [name for name in dict.fromkeys(names) if name is not None and name in source.relation.names]
    if not there:
        return {}
    texts = [source.group_text(name).label(f"group_{place}") for place, name in enumerate(there)]
    [row] = source.db.rows(source.select(*texts).where(*this))
    found = {name: row[f"group_{place}"] for place, name in enumerate(there)}
    return {name: str(value) for name, value in found.items() if value is not None}


def _place(job: Job, this: list[sa.ColumnElement[bool]]) -> tuple[RowState, str]:
    """Where a row is that is neither scored nor quarantined, and why."""
    scope = job.ledger.state().scope
    if scope.is_fixed and job.source.db.scalar(_count(job, [*this, job.source.in_scope(scope)])):
        if job.source.db.scalar(_count(job, [*this, job.source.visible(job.store.now())])):
            return RowState.PENDING, "the next 'rowcast infer' scores it"
        return RowState.PENDING, "its time is later than now: it is scored once that has come"
    why = "scoring begins later than this row" if scope.is_fixed else "no model was promoted yet"
    if scope.learned is not None and job.source.db.scalar(_count(job, [*this, job.source.has_begun(scope)])):
        why = "its label is known, and the version in service could learn from it"
    return RowState.OUT_OF_SCOPE, why


def _count(job: Job, parts: list[sa.ColumnElement[bool]]) -> sa.Select[Any]:
    table = job.source.table()
    return job.source.select(sa.func.count(), table=table).where(
        *parts, job.source.usable(table, parts[: len(job.source.key)])
    )


def _read_stored(job: Job, rows: Any, own: sa.Table) -> list[dict[str, Any]]:
    """What a table of the store holds about a row, the newest first."""
    same = [rows.c[column.name] == own.c[column.name] for column in job.source.key]
    values = [column for column in own.c if column.name not in {c.name for c in job.source.key}]
    statement = sa.select(*values).select_from(rows.join(own, sa.and_(*same)))
    return job.store.rows(statement.order_by(own.c.batch_id.desc()))


def _earlier(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the history, without what was empty in it."""
    names = ("was", "since", "until", "model_version", "score", "reasons")
    return {name: row[name] for name in names if row[name] is not None}


@dataclass(frozen=True)
class _Present:
    """A row as the source holds it by now."""

    names: list[str]  # the columns that its hash is made of
    fetched: Fetched  # as they were read
    rows: pa.RecordBatch  # with the columns of the past
    is_changed: bool


def _read_now(job: Job, this: list[sa.ColumnElement[bool]], stored: dict[str, Any]) -> _Present:
    batch = job.tables.batch
    [of] = job.store.rows(sa.select(batch).where(batch.c.batch_id == stored["batch_id"]))
    names = Changes(job).hashed_columns(of["model_version"], of["also_read"])
    if names is None:
        check_columns(job, job.registry.load(of["model_version"]))
        raise SourceError("the source lacks a column that was read when this row was scored")
    past = tuple(column for column in job.registry.load(of["model_version"]).past if column.name in names)
    columns = [column for column in job.source.relation.columns if column.name in names]
    columns += history.list_needed(past)
    statement = job.source.select(*job.source.values(columns)).where(*this)
    fetched = Fetched(*job.source.db.read(statement, job.source.kinds(columns), 1))
    rows = history.complete_rows(job.source, past, fetched).rows
    [now] = hash_rows(rows, fetched.misfits, names, RowHash(of["hashed_by"] or RowHash.MIXED)).tolist()
    return _Present(names, fetched, rows, now != stored["row_hash"])


def _explain_quarantined(job: Job, this: list[sa.ColumnElement[bool]], stored: dict[str, Any]) -> QuarantinedRow:
    try:
        changed = _read_now(job, this, stored).is_changed
    except (DatabaseError, SourceError):  # that it cannot be read may be why it was set aside
        changed = None
    return QuarantinedRow(
        reasons=json.loads(stored["reasons"]),
        row_values=json.loads(stored["row_values"]),
        run_id=stored["run_id"],
        quarantined_at=stored["quarantined_at"],
        changed=changed,
    )


def _explain_scored(job: Job, this: list[sa.ColumnElement[bool]], stored: dict[str, Any]) -> ScoredRow:
    version = job.registry.version(stored["model_version"])
    model = job.registry.load(version.version)
    now = _read_now(job, this, stored)
    contract = model.contract.select(now.names)
    checked = check.check(now.rows, contract, now.fetched.misfits, job.settings.source.reading)
    again, contributions = None, None
    if len(checked.passed):
        matrix = features.process(checked.good, model.contract, model.features)
        again = float(model.score(matrix).score[0])
        found = model.contributions(matrix)
        if found is not None:
            contributions = select_top(matrix, 0, found[0], model.reference_ranges, len(model.features))
    values = pa.RecordBatch.to_pylist(now.rows)[0]
    return ScoredRow(
        score=stored["score"],
        predicted=stored["predicted"],
        threshold=stored["threshold"],
        **{name: stored[name] for name in _SURE},
        model_version=version.version,
        model_status=version.status,
        trained_to=version.trained_to,
        contract_sha256=model.contract.sha256(),
        artifact_sha256=version.artifact_sha256,
        run_id=stored["run_id"],
        batch_id=stored["batch_id"],
        scored_at=stored["scored_at"],
        again=again,
        reproduced=again is not None and bool(np.isclose(again, stored["score"], rtol=0, atol=_TOLERANCE)),
        changed=now.is_changed,
        contributions=contributions,
        contributions_in=_UNITS[model.kind] if contributions else None,
        values={name: values[name] for name in contributions} if contributions else None,
        came_from=_trace(job, model, now) if model.past else None,
    )


def _trace(job: Job, model: Model, now: _Present) -> dict[str, list[dict[str, Any]]]:
    """The earlier rows from which columns of the past were computed, the newest first."""
    names = [column.name for column in job.source.key]
    found = history.trace(job.source, model.past, now.fetched)
    return {
        column: [
            {"key": dict(zip(names, one.key, strict=True)), "value": one.value, "known": one.known.isoformat()}
            for one in values
        ]
        for column, values in found.items()
    }
