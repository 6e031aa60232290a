"""The whole SELECT: derived tables one on top of the other, each with what the next is made of."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rowcast.config import Reading
from rowcast.contract import Contract
from rowcast.database import Column
from rowcast.errors import ModelError
from rowcast.models.artifact import Model
from rowcast.translate.calibration import Decided, write_decision
from rowcast.translate.columns import VALUE, ColumnWriter, RowValue
from rowcast.translate.dialects import Dialect
from rowcast.translate.members import write_raw_scores

_SMALLER = 'a smaller model can be told: see [model] estimator; or score with [infer] engine = "local"'
_TERM = re.compile(r"(?!(?:CASE|WHEN|THEN|ELSE|END|AND|OR|IS|NOT|NULL|IN|BETWEEN|AS)\b)[A-Za-z_]\w*|\d[\w.]*")


@dataclass(frozen=True)
class SourceColumns:
    """What there is to score, as the source's SQL says it."""

    key: tuple[str, ...]
    columns: Mapping[str, Column]  # those of the contract that are checked, by name
    rows: str  # what follows SELECT …: FROM, and WHERE where the config names one
    is_own: bool  # whether the source's database is of the dialect's system
    hours: Mapping[str, str]  # SQL of time columns, as hours before the event


@dataclass(frozen=True)
class Told:
    """A model told in SQL."""

    sql: str  # a derived table with what is carried, `kept`, what stands beside, and what the decision is made of
    decided: Decided  # the decision, from its columns


def translate_model(model: Model, checked: Contract, source: SourceColumns, reading: Reading, dialect: Dialect) -> str:
    """Return one SELECT that gives key, score, decision and flagged for each of the source's rows.

    `checked` is what a row must keep: one that breaks it has no score. `flagged` is 1 where a row needs action, else 0.
    The score is the model's own within 1e-9, the decision the same. Raise ModelError for what cannot be told in this
    system's SQL, or is larger than the system takes.
    """
    keys = {f"k{number}": dialect.quote(name) for number, name in enumerate(source.key)}
    told = tell_model(model, checked, source, reading, dialect, Beside(keys))
    chosen = {
        **{dialect.quote(name): key for key, name in zip(keys, source.key, strict=True)},
        **{name: dialect.case([("kept = 1", sql)]) for name, sql in told.decided.chosen.items()},
    }
    return f"SELECT {list_columns(chosen)}\nFROM {told.sql}"


@dataclass(frozen=True)
class Beside:
    """Columns that stand beside a row's decision."""

    carried: Mapping[str, str]  # made of the source's columns
    counted: Callable[[int, str, str], str] | None = None  # made of a feature's place, meaning and code, as `s0`, …

    def count(self, place: int, value: RowValue, column: str) -> str:
        """Return what is made of a feature whose value stands in a column."""
        assert self.counted is not None
        return self.counted(place, column, value.seen.replace(VALUE, column))


def tell_model(
    model: Model, checked: Contract, source: SourceColumns, reading: Reading, dialect: Dialect, beside: Beside
) -> Told:
    """Return a model over the source's rows. Raise ModelError as `translate_model` does."""
    writer = ColumnWriter(dialect, reading, source.is_own, source.hours)
    values = [writer.write(source.columns[rule.name], rule) for rule in checked.rules]
    place = {rule.name: number for number, rule in enumerate(checked.rules)}
    categories = {
        number: rule.categories
        for number, rule in enumerate(model.contract.select(model.features).rules)
        if rule.kind == "category"
    }
    raw = write_raw_scores(model, dialect, [f"f{place[name]}" for name in model.features], categories)
    decided = write_decision(model, dialect)
    of_model = [place[name] for name in model.features]
    counts = {
        f"s{number}": beside.count(number, values[at], f"v{at}")
        for number, at in enumerate(of_model)
        if beside.counted is not None
    }
    seen = {**_see(values, of_model, dialect), **counts}
    kept = {name: name for name in (*beside.carried, "kept", *counts)}
    above: list[Mapping[str, str]] = [raw.parts, raw.own, raw.raw, *decided.levels]
    levels: list[Mapping[str, str]] = [
        {**beside.carried, **_read(values, dialect)},
        {**{name: name for name in beside.carried}, **seen},
        *({**kept, **level} for level in above),
    ]
    sql = _stack(levels, source.rows, dialect)
    _require_room(sql, levels, raw.parts, dialect)
    return Told(sql, decided)


def _read(values: Sequence[RowValue], dialect: Dialect) -> dict[str, str]:
    """The first derived table: what the source's columns mean."""
    mistyped = [value.mistyped for value in values if value.mistyped is not None]
    found = {f"v{number}": value.value for number, value in enumerate(values)}
    return {**found, "is_read": dialect.case([(" OR ".join(mistyped), "0")], "1") if mistyped else "1"}


def _see(values: Sequence[RowValue], of_model: Sequence[int], dialect: Dialect) -> dict[str, str]:
    """The second: what the model sees, and whether the row keeps the contract."""
    broken = ["is_read = 0"]
    for number, value in enumerate(values):
        broken += [condition.replace(VALUE, f"v{number}") for condition in value.broken]
    seen = {f"f{number}": values[number].seen.replace(VALUE, f"v{number}") for number in of_model}
    return {**seen, "kept": dialect.case([(" OR ".join(broken), "0")], "1")}


def _stack(levels: Sequence[Mapping[str, str]], rows: str, dialect: Dialect) -> str:
    """Return a derived table that has the columns of the last level."""
    sql = f"(SELECT {list_columns(levels[0])}\n{rows}{dialect.fence}) AS t0"
    for number, level in enumerate(levels[1:], start=1):
        sql = f"(SELECT {list_columns(level)}\nFROM {sql}{dialect.fence}) AS t{number}"
    return sql


def list_columns(columns: Mapping[str, str]) -> str:
    """Return what a SELECT chooses: SQL by the name that it gets."""
    return ",\n".join(value if value == name else f"{value} AS {name}" for name, value in columns.items())


def _require_room(
    statement: str, levels: Sequence[Mapping[str, str]], parts: Mapping[str, str], dialect: Dialect
) -> None:
    if dialect.longest is not None and len(statement) > dialect.longest:
        raise ModelError(
            f"the statement has {len(statement):,} characters, and {dialect.name} takes {dialect.longest:,}",
            hint=_SMALLER,
        )
    columns = max(map(len, levels))
    if columns > dialect.most_columns:
        raise ModelError(
            f"the statement has a part of {columns:,} columns, and {dialect.name} takes {dialect.most_columns:,}",
            hint=_SMALLER,
        )
    if dialect.most_terms is not None:
        terms = max(len(_TERM.findall(sql)) for sql in parts.values())
        if terms > dialect.most_terms:
            raise ModelError(
                f"a tree is made of {terms:,} names and numbers, and {dialect.name} takes {dialect.most_terms:,}"
                " in an expression",
                hint=_SMALLER,
            )
