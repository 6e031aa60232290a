"""The rows of a store's tables: read from one database, written to another, and read back."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from rowcast.database import Column, Database, RawType
from rowcast.errors import StoreError
from rowcast.job.opening import Job, name_owner
from rowcast.source import declare_key, is_known
from rowcast.store.checksums import digest_rows
from rowcast.store.tables import Choice, Instant, Tables

_CHUNK = 4_000  # rows that travel together: fewer locks than make SQL Server lock a whole table
_LARGE = 20  # of tables whose rows hold bytes

# The tables that number their rows, and the columns of the tables that jobs share which hold such a number.
_NAMES = {
    "run": ("run_id", "training_run", "begun_run", "forgotten_run"),
    "batch": ("batch_id", "plan"),
    "drift": ("drift_id",),
    "promotion": ("promotion_id",),
    "alert": ("alert_id",),
    "api_key": ("key_id",),
}
_OWN_NAMES = {"run_id": "run", "batch_id": "batch"}


@dataclass(frozen=True)
class Pair:
    """A table in both stores."""

    name: str
    origin: sa.Table
    copy: sa.Table
    select: sa.Select[Any]  # from the one …
    select_copy: sa.Select[Any]  # … and, in the same form, from the other
    numbers: Mapping[str, str] = field(default_factory=dict)  # columns that hold a number of a table


@dataclass
class Sum:
    """Rows, and the sum of their digests: equal for the same rows in whatever order."""

    rows: int = 0
    digests: int = 0

    def add(self, table: sa.Table, rows: pa.Table) -> None:
        """Count rows of a table."""
        self.rows += rows.num_rows
        self.digests += sum(int.from_bytes(digest, "big") for digest in digest_rows(table, rows))


def list_pairs(origin: Job, copy: Job) -> list[Pair]:
    """Return each table of the job in both stores: the shared ones, then its own."""
    return [*_list_shared(origin, copy), *_list_own(origin, copy)]


def count_rows(db: Database, pairs: Sequence[Pair]) -> dict[str, int]:
    """Return how many rows of the job each table of the store has."""
    return {pair.name: db.scalar(sa.select(sa.func.count()).select_from(pair.select.subquery())) for pair in pairs}


def reserve_numbers(origin: Job, copy: Job) -> dict[str, int]:
    """Return for each table that numbers its rows what is added to the numbers; 0 in a store that is new."""
    found = {}
    for name in _NAMES:
        table = getattr(origin.tables, name)
        [key] = table.primary_key.columns
        largest = origin.store.scalar(sa.select(sa.func.max(key)).where(table.c.job == origin.settings.name)) or 0
        found[name] = copy.store.admin.reserve_numbers(getattr(copy.tables, name), largest)
    return found


def copy_rows(origin: Job, copy: Job, pair: Pair, numbers: Mapping[str, int], tell: Callable[[int], None]) -> None:
    """Copy the rows of a table in the open transaction, and read them back. Raise StoreError where they differ.

    `tell` is called with how many were written.
    """
    given, found = Sum(), Sum()
    write = _choose_writer(copy.store, pair.copy)
    with copy.store.admin.take_numbers(pair.copy) if pair.name in _NAMES else nullcontext():
        for rows in _read(origin.store, pair.select, pair.copy, _is_exact(origin, copy)):
            mapped = _renumber(rows, pair, numbers)
            if pair.name == "job":
                mapped = _set_owner(mapped, name_owner(copy.source, copy.store))
            write(mapped)
            given.add(pair.copy, mapped)
            tell(mapped.num_rows)
    for rows in _read(copy.store, pair.select_copy, pair.copy, _is_exact(origin, copy)):
        found.add(pair.copy, rows)
    if given != found:
        raise StoreError(
            f"the table {pair.copy.name} in {copy.store.safe_url} does not give back what was written to it"
            f" ({found.rows:,} of {given.rows:,} rows)",
            hint="nothing was copied; a trigger, a rule or a type of that database changes rows",
        )


def _list_shared(origin: Job, copy: Job) -> Iterator[Pair]:
    tables_of = {column: name for name, columns in _NAMES.items() for column in columns}
    for name in (field_ for field_ in _names_of(origin.tables) if field_ != "version"):
        one, other = _plain(getattr(origin.tables, name)), _plain(getattr(copy.tables, name))
        mine, theirs = (sa.select(table).where(table.c.job == origin.settings.name) for table in (one, other))
        numbers = {c.name: tables_of[c.name] for c in one.c if c.name in tables_of}
        yield Pair(name, one, other, mine, theirs, numbers)


def _names_of(shared: Tables) -> list[str]:
    by_table = {id(getattr(shared, name)): name for name in vars(shared) if name != "metadata"}
    return [by_table[id(table)] for table in shared.shared]


def _plain(table: sa.Table) -> sa.Table:
    """Return a table whose columns are found by their names."""
    columns = [sa.Column(c.name, c.type, primary_key=c.primary_key, nullable=c.nullable) for c in table.c]
    return sa.Table(table.name, sa.MetaData(), *columns, schema=table.schema)


def _list_own(origin: Job, copy: Job) -> Iterator[Pair]:
    for name in ("prediction", "quarantine", "history", "shadow", "forgotten", "online"):
        one, other = getattr(origin.own, name), getattr(copy.own, name)
        mine, theirs = _select_own(origin, copy, one), _select_own(copy, origin, other)
        yield Pair(name, one, other, mine, theirs, {c: t for c, t in _OWN_NAMES.items() if c in one.c})


def _select_own(job: Job, other: Job, table: sa.Table) -> sa.Select[Any]:
    """Return the select of a job's own table with its key in a form that both stores have."""
    keys = {}
    for at_source, column in zip(job.source.key, declare_key(job.source, job.store), strict=True):
        is_own = is_known(at_source, job.source, job.store) and not is_known(at_source, other.source, other.store)
        as_text = is_own and not at_source.integer  # as it is at the source here, and there as text
        keys[column.name] = _read_key(job.store, column, as_text=as_text)
    return sa.select(*[keys.get(c.name, c).label(c.name) for c in table.c]).select_from(table)


def _read_key(db: Database, column: Column, *, as_text: bool) -> sa.ColumnElement[Any]:
    return db.sql.key_text(column) if as_text else db.sql.key_value(column)


def _is_exact(origin: Job, copy: Job) -> bool:
    """Return whether keys of several types in one column are possible: in SQLite alone."""
    return {origin.store.dialect.name, copy.store.dialect.name} == {"sqlite"}


def _read(db: Database, select: sa.Select[Any], declared: sa.Table, exact: bool) -> Iterator[pa.Table]:
    """Yield rows as the columns of a table declare them."""
    for batch in db.stream(select, _LARGE if _has_bytes(declared) else _CHUNK, exact=exact):
        columns = {name: _cast(batch.column(name), declared.c[name].type) for name in batch.schema.names}
        yield pa.table(columns)


def _cast(values: Any, declared: Any) -> Any:
    if isinstance(declared, RawType):
        return values
    kind = next(kind for type_, kind in _ARROW if isinstance(declared, type_))
    if values.null_count == len(values):
        return pa.nulls(len(values), kind)
    return values.cast(kind)


_ARROW: tuple[tuple[Any, pa.DataType], ...] = (
    (Instant, pa.timestamp("us", "UTC")),
    (Choice, pa.string()),
    (sa.Boolean, pa.bool_()),
    (sa.Integer, pa.int64()),
    (sa.Float, pa.float64()),
    (sa.LargeBinary, pa.binary()),
    (sa.String, pa.string()),
)


def _renumber(rows: pa.Table, pair: Pair, numbers: Mapping[str, int]) -> pa.Table:
    for column, table in pair.numbers.items():
        if numbers[table]:
            place = rows.schema.get_field_index(column)
            rows = rows.set_column(place, column, pc.add(rows.column(column), numbers[table]))
    return rows


def _set_owner(rows: pa.Table, owner: str) -> pa.Table:
    place = rows.schema.get_field_index("source")
    return rows.set_column(place, "source", pa.array([owner] * rows.num_rows, pa.string()))


def _choose_writer(db: Database, table: sa.Table) -> Callable[[pa.Table], None]:
    if _has_bytes(table):
        return partial(_insert, db, table)
    if "staging" in table.info:
        return lambda rows: db.stage(table, rows)()
    return partial(db.ingest, table)


def _insert(db: Database, table: sa.Table, rows: pa.Table) -> None:
    for row in rows.to_pylist():
        db.execute(table.insert().values(row))


def _has_bytes(table: sa.Table) -> bool:
    return any(isinstance(column.type, sa.LargeBinary) for column in table.c)
