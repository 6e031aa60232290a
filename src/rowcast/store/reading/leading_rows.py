"""Rows that somebody should look at: those of some runs with the highest scores, and those that were set aside."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from rowcast.database import Database
from rowcast.store.tables import JobTables

_SHOWN = ("model_version", "run_id", "score", "predicted", "threshold", "uncertain", "contributions")
_MOST = 10_000  # quarantined rows that are looked at, the newest first


@dataclass(frozen=True)
class SetAside:
    """Quarantined rows that broke the same rule of the same column."""

    column: str
    rule: str
    rows: int
    example: tuple[str, ...]  # the key of the newest


def read_leading(
    db: Database, own: JobTables, runs: sa.Select[Any], most: int, *, uncertain: bool = False
) -> list[Mapping[str, Any]]:
    """Return at most so many predictions of runs, whose `run_id` is selected, the highest score first.

    `uncertain` asks for those of which the model says too little.
    """
    table = own.prediction
    keys = [column for column in table.c if column.primary_key]
    meant: list[sa.ColumnElement[bool]] = [table.c.run_id.in_(sa.select(runs.subquery("meant").c.run_id))]
    if uncertain:
        meant.append(table.c.uncertain == sa.true())
    statement = sa.select(*keys, *[table.c[name] for name in _SHOWN]).where(*meant)
    return list(db.rows(statement.order_by(table.c.score.desc(), *keys).limit(most)))


def count_set_aside(db: Database, own: JobTables) -> list[SetAside]:
    """Return the newest quarantined rows by column and rule, the most frequent first; a row may break several."""
    table = own.quarantine
    keys = [column for column in table.c if column.primary_key]
    newest = sa.select(*keys, table.c.reasons).order_by(table.c.quarantined_at.desc(), *keys).limit(_MOST)
    counts: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], tuple[str, ...]] = {}
    for row in db.rows(newest):
        for why in dict.fromkeys((each["column"], each["rule"]) for each in json.loads(row["reasons"])):
            counts[why] += 1
            examples.setdefault(why, tuple(str(row[key.name]) for key in keys))
    return [SetAside(*why, rows, examples[why]) for why, rows in counts.most_common()]
