"""The SELECT whose rows the ledger publishes: a decision, the row's hash, how sure it is, and where it is counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rowcast.config import Reading
from rowcast.contract import Contract
from rowcast.errors import ModelError
from rowcast.models.artifact import Model
from rowcast.translate.certainty import write_certainty
from rowcast.translate.dialects import Dialect, InDatabase
from rowcast.translate.rounding import FLOAT32_MAX, find_reach
from rowcast.translate.statement import Beside, SourceColumns, list_columns, tell_model

KEPT, FLAGGED, SLOT = "rowcast.kept", "rowcast.flagged", "rowcast.slot_"  # and the place of a feature
DECIDED = ("score", "predicted", FLAGGED, "uncertain", "possible", "low", "high")


@dataclass(frozen=True)
class HashedColumn:
    """A column that a row's hash is made of."""

    name: str  # as the source's SQL calls it
    kind: Literal["number", "text", "boolean"]


@dataclass(frozen=True)
class Counted:
    """Where a feature's values are counted: in the slots of a profile."""

    bounds: tuple[float, ...] | None  # ascending, as float32; None of categories


def translate_scoring(
    model: Model,
    checked: Contract,
    source: SourceColumns,
    reading: Reading,
    dialect: Dialect,
    hashed: Sequence[HashedColumn],
    counted: Sequence[Counted],
) -> str:
    """Return one SELECT over the source's rows, in this order: the key, row_hash, `KEPT`, `DECIDED`, and slots.

    `KEPT` is 1 where the row keeps the contract, else 0, and then nothing is decided. There is a slot for each of the
    features that are `counted`, in their order. Raise ModelError as `translate_model` does, and where this system
    cannot compute what the ledger keeps of a row.
    """
    able = dialect.in_database
    if able is None:
        raise ModelError(
            f"{dialect.name} cannot compute what is kept of a scored row", hint='use [infer] engine = "local"'
        )
    keys = {f"k{number}": dialect.quote(name) for number, name in enumerate(source.key)}
    carried = {**keys, "h": _hash(hashed, dialect, able)}

    def count(place: int, value: str, code: str) -> str:
        return _slot(counted[place], value, code, dialect, able)

    told = tell_model(model, checked, source, reading, dialect, Beside(carried, count if counted else None))
    decided, slots = told.decided, [f"s{number}" for number in range(len(counted))]
    chances = {f"p{number}": chance for number, chance in enumerate(decided.chances)}
    last = {**{name: name for name in (*carried, "kept", *slots)}, **decided.chosen, **chances}
    sure = write_certainty(model, "score", tuple(chances), dialect)
    found = {"score": "score", "predicted": "decision", FLAGGED: "flagged", **sure}
    named = {**dict(zip(source.key, keys, strict=True)), "row_hash": "h", KEPT: "kept"}
    named |= {name: dialect.case([("kept = 1", found[name])]) for name in DECIDED}
    named |= {f"{SLOT}{number}": slot for number, slot in enumerate(slots)}
    chosen = {dialect.quote(name): value for name, value in named.items()}
    return f"SELECT {list_columns(chosen)}\nFROM (SELECT {list_columns(last)}\nFROM {told.sql}{dialect.fence}) AS told"


def _hash(columns: Sequence[HashedColumn], dialect: Dialect, able: InDatabase) -> str:
    parts = []
    for column in columns:
        name = dialect.quote(column.name)
        if column.kind == "boolean":
            name = dialect.case([(f"{name} = {dialect.true}", "1"), (f"{name} IS NOT NULL", "0")])
        parts.append(able.text_digest(name) if column.kind == "text" else able.number_bytes(name))
    return able.first_of_sha256(parts)


def _slot(counted: Counted, value: str, code: str, dialect: Dialect, able: InDatabase) -> str:
    """The slot of a value in a profile: 0 where it is missing."""
    if counted.bounds is None:
        return dialect.case([(f"{value} IS NOT NULL", f"coalesce({code}, -1) + 2")], "0")
    borders = [_find_border(bound) for bound in counted.bounds]
    if not borders:
        return dialect.case([(f"{value} IS NOT NULL", "1")], "0")
    return f"coalesce({able.count_at_most(value, borders)} + 1, 0)"


def _find_border(bound: float) -> float:
    """Return the least float that is at or above a bound once it is rounded to float32."""
    below = float(np.nextafter(np.float32(bound), np.float32(-np.inf)))
    reach = find_reach(below)
    if isinstance(reach, bool):
        return float(np.inf) if reach else -FLOAT32_MAX
    operator, middle = reach
    return float(np.nextafter(middle, np.inf)) if operator == "<=" else middle
