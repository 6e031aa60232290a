"""Why a row got its score: the model, contract, run and contributions behind it, and the score computed again."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from rowcast import check, fetch, infer, process
from rowcast.errors import SourceError
from rowcast.pipeline.batch import columns_needed
from rowcast.pipeline.job import Job

_TOLERANCE = 1e-9  # of a score computed again


def explain(job: Job, key: Sequence[str]) -> dict[str, Any]:
    """Everything known about the row with this key, one text for each key column.

    `state` is scored, quarantined, pending, out of scope, unusable or absent. For a scored row `again` is the score
    computed now, `reproduced` whether it equals the stored one within 1e-9, `changed` whether the source's values
    are others than those that were scored.
    """
    columns = job.source.key
    if len(key) != len(columns):
        names = ", ".join(column.name for column in columns)
        raise SourceError(
            f"the key has {len(columns)} column(s): {names}", hint="give one value for each, in this order"
        )
    bounds = [job.source.db.typed(text, column) for text, column in zip(key, columns, strict=True)]
    this = [one == other for one, other in zip(job.source.keys(), job.source.parsed(tuple(bounds)), strict=True)]
    about: dict[str, Any] = {"job": job.settings.name, "key": dict(zip([c.name for c in columns], key, strict=True))}
    found = job.source.db.scalar(job.source.select(sa.func.count()).where(*this))
    if not found:
        return {**about, "state": "absent", "why": "the source has no row with this key"}
    if not job.source.db.scalar(_counted(job, this)):
        why = "its key is repeated" if found > 1 else "its time is not a point in time"
        return {**about, "state": "unusable", "why": why}
    rows = job.pending.keyed(this, job.source.table(), sa.literal(1).label("rowcast.found"))
    prediction = _stored(job, rows, job.own.prediction)
    if prediction is not None:
        return {**about, "state": "scored", **_scored(job, this, prediction)}
    quarantined = _stored(job, rows, job.own.quarantine)
    if quarantined is not None:
        return {
            **about,
            "state": "quarantined",
            "reasons": json.loads(quarantined["reasons"]),
            "row_values": json.loads(quarantined["row_values"]),
            "run_id": quarantined["run_id"],
            "quarantined_at": quarantined["quarantined_at"].isoformat(),
        }
    state = job.ledger.state()
    if state.has_scope and job.source.db.scalar(_counted(job, [*this, job.source.in_scope(state)])):
        return {**about, "state": "pending", "why": "the next 'rowcast infer' scores it"}
    why = "scoring begins later than this row" if state.has_scope else "no model was promoted yet"
    return {**about, "state": "out of scope", "why": why}


def _counted(job: Job, parts: list[sa.ColumnElement[bool]]) -> sa.Select[Any]:
    table = job.source.table()
    return job.source.select(sa.func.count(), table=table).where(
        *parts, job.source.usable(table, parts[: len(job.source.key)])
    )


def _stored(job: Job, rows: Any, own: sa.Table) -> dict[str, Any] | None:
    same = [rows.c[column.name] == own.c[column.name] for column in job.source.key]
    values = [column for column in own.c if column.name not in {c.name for c in job.source.key}]
    found = job.store.rows(sa.select(*values).select_from(rows.join(own, sa.and_(*same))))
    return found[0] if found else None


def _scored(job: Job, this: list[sa.ColumnElement[bool]], stored: dict[str, Any]) -> dict[str, Any]:
    version = job.registry.version(stored["model_version"])
    model = job.registry.load(version.version)
    columns = columns_needed(job, model)
    names = [column.name for column in columns]
    chosen = [job.source.db.feature(column).label(column.name) for column in columns]
    kinds = {column.name: column.kind for column in columns}
    rows, misfits = job.source.db.read(job.source.select(*chosen).where(*this), kinds, 1)
    changed = int(fetch.row_hash(rows, misfits, names)[0]) != stored["row_hash"]
    contract = model.contract.select(names)
    checked = check.check(rows, contract, misfits, job.settings.source.missing)
    again, contributions = None, None
    if len(checked.kept):
        matrix = process.process(checked.good, model.contract, model.features)
        again = float(model.score(matrix)[0])
        found = model.contributions(matrix)
        contributions = None if found is None else infer.leading(model.features, found[0], len(model.features))
    values = pa.RecordBatch.to_pylist(rows)[0]
    return {
        "score": stored["score"],
        "predicted": stored["predicted"],
        "threshold": stored["threshold"],
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
        "values": {name: values[name] for name in contributions} if contributions else None,
    }
