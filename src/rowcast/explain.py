"""Why a row got its score: the model, contract, run and contributions behind it, and the score computed again."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from rowcast import check, features
from rowcast.errors import DatabaseError, SourceError
from rowcast.job.opening import Job
from rowcast.models.top_contributions import leading
from rowcast.scoring.changes import Changes
from rowcast.scoring.columns import check_columns
from rowcast.source import hash_rows

_TOLERANCE = 1e-9  # of a score computed again
_SURE = ("uncertain", "possible", "low", "high")
_UNITS = {
    "binary": "log-odds of the positive class",
    "multiclass": "log-odds of the class decided on, against the one that needs no action or the next likely",
    "regression": "the label's unit",
}


def explain(job: Job, key: Sequence[str]) -> dict[str, Any]:
    """Everything known about the row with this key, one text for each key column.

    `state` is scored, quarantined, pending, out of scope, unusable or absent. For a scored row `again` is the score
    computed now, `reproduced` whether it equals the stored one within 1e-9, `changed` whether the source's values
    are others than those that were scored.
    """
    bounds = job.source.parse_key(job.source.interpret_key(key))
    this = [one == other for one, other in zip(job.source.keys(), bounds, strict=True)]
    names = [column.name for column in job.source.key]
    about: dict[str, Any] = {"job": job.settings.name, "key": dict(zip(names, key, strict=True))}
    found = job.source.db.scalar(job.source.select(sa.func.count()).where(*this))
    if not found:
        return {**about, "state": "absent", "why": "the source has no row with this key"}
    if not job.source.db.scalar(_counted(job, this)):
        why = "its key is repeated" if found > 1 else "its time is not a point in time"
        return {**about, "state": "unusable", "why": why}
    rows = job.rows.select_keys(this, job.source.table(), sa.literal(1).label("rowcast.found"))
    predictions, quarantined, history = (_stored(job, rows, own) for own in job.own.kept)
    earlier = {"earlier": [_earlier(row) for row in history]} if history else {}
    if predictions:
        return {**about, "state": "scored", **_scored(job, this, predictions[0]), **earlier}
    if quarantined:
        return {**about, "state": "quarantined", **_quarantined(job, this, quarantined[0]), **earlier}
    about |= earlier
    scope = job.ledger.state().scope
    if scope.is_fixed and job.source.db.scalar(_counted(job, [*this, job.source.in_scope(scope)])):
        if job.source.db.scalar(_counted(job, [*this, job.source.visible(job.store.now())])):
            return {**about, "state": "pending", "why": "the next 'rowcast infer' scores it"}
        return {**about, "state": "pending", "why": "its time is later than now: it is scored once that has come"}
    why = "scoring begins later than this row" if scope.is_fixed else "no model was promoted yet"
    return {**about, "state": "out of scope", "why": why}


def _counted(job: Job, parts: list[sa.ColumnElement[bool]]) -> sa.Select[Any]:
    table = job.source.table()
    return job.source.select(sa.func.count(), table=table).where(
        *parts, job.source.usable(table, parts[: len(job.source.key)])
    )


def _stored(job: Job, rows: Any, own: sa.Table) -> list[dict[str, Any]]:
    """What a table of the store holds about a row, the newest first."""
    same = [rows.c[column.name] == own.c[column.name] for column in job.source.key]
    values = [column for column in own.c if column.name not in {c.name for c in job.source.key}]
    statement = sa.select(*values).select_from(rows.join(own, sa.and_(*same)))
    return job.store.rows(statement.order_by(own.c.batch_id.desc()))


def _earlier(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the history, without what was empty in it."""
    names = ("was", "since", "until", "model_version", "score", "reasons")
    return {name: row[name] for name in names if row[name] is not None}


def _now(job: Job, this: list[sa.ColumnElement[bool]], stored: dict[str, Any]) -> tuple[list[str], Any, Any, bool]:
    """The columns that the row's hash is made of, its present values and misfits, and whether they have changed."""
    batch = job.tables.batch
    [of] = job.store.rows(sa.select(batch).where(batch.c.batch_id == stored["batch_id"]))
    names = Changes(job).hashed_columns(of["model_version"], of["also_read"])
    if names is None:
        check_columns(job, job.registry.version(of["model_version"]).features)
        raise SourceError("the source lacks a column that was read when this row was scored")
    columns = [column for column in job.source.relation.columns if column.name in names]
    statement = job.source.select(*job.source.values(columns)).where(*this)
    rows, misfits = job.source.db.read(statement, job.source.kinds(columns), 1)
    return names, rows, misfits, int(hash_rows(rows, misfits, names)[0]) != stored["row_hash"]


def _quarantined(job: Job, this: list[sa.ColumnElement[bool]], stored: dict[str, Any]) -> dict[str, Any]:
    try:
        changed = _now(job, this, stored)[-1]
    except (DatabaseError, SourceError):  # that it cannot be read may be why it was set aside
        changed = None
    return {
        "reasons": json.loads(stored["reasons"]),
        "row_values": json.loads(stored["row_values"]),
        "run_id": stored["run_id"],
        "quarantined_at": stored["quarantined_at"].isoformat(),
        "changed": changed,
    }


def _scored(job: Job, this: list[sa.ColumnElement[bool]], stored: dict[str, Any]) -> dict[str, Any]:
    version = job.registry.version(stored["model_version"])
    model = job.registry.load(version.version)
    names, rows, misfits, changed = _now(job, this, stored)
    contract = model.contract.select(names)
    checked = check.check(rows, contract, misfits, job.settings.source.missing)
    again, contributions = None, None
    if len(checked.passed):
        matrix = features.process(checked.good, model.contract, model.features)
        again = float(model.scored(matrix).score[0])
        found = model.contributions(matrix)
        if found is not None:
            contributions = leading(matrix, 0, found[0], model.usual, len(model.features))
    values = pa.RecordBatch.to_pylist(rows)[0]
    return {
        "score": stored["score"],
        "predicted": stored["predicted"],
        "threshold": stored["threshold"],
        **{name: stored[name] for name in _SURE if stored[name] is not None},
        "model_version": version.version,
        "model_status": version.status,
        "trained_to": version.trained_to.isoformat() if version.trained_to else None,
        "contract_sha256": model.contract.sha256(),
        "artifact_sha256": version.artifact_sha256,
        "run_id": stored["run_id"],
        "batch_id": stored["batch_id"],
        "scored_at": stored["scored_at"].isoformat(),
        "again": again,
        "reproduced": again is not None and bool(np.isclose(again, stored["score"], rtol=0, atol=_TOLERANCE)),
        "changed": changed,
        "contributions": contributions,
        "contributions_in": _UNITS[model.kind] if contributions else None,
        "values": {name: values[name] for name in contributions} if contributions else None,
    }
