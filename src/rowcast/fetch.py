"""data-fetch: the user's table as Arrow batches, and pending rows planned into key ranges.

Keys are compared by the database alone: Python only carries bounds that the database rendered as text.
"""

import difflib
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa

from rowcast import config
from rowcast.contract import Misfit
from rowcast.database import Column, Database, RawType, Relation, after, at_least, at_most
from rowcast.errors import ConfigError, SourceError
from rowcast.ledger import Job, KeyRange
from rowcast.tables import JobTables

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(milliseconds=1)  # the coarsest resolution of a stored time
_CHUNK = 50_000  # keys that travel together from one database to another
_NULL = np.uint64(0xFFF8DEADBEEF0001)
TIME, LABEL, GROUP, FRESH = "rowcast.time", "rowcast.label", "rowcast.group", "rowcast.fresh"  # beside the features


@dataclass(frozen=True)
class Fetched:
    """Rows as the database holds them, and the values in them that their column's kind cannot hold."""

    rows: pa.RecordBatch
    misfits: list[Misfit]


@dataclass(frozen=True)
class Source:
    """The user's table or query, checked against the config."""

    db: Database
    relation: Relation
    settings: config.Source
    key: tuple[Column, ...]
    time: Column | None
    label: Column

    @property
    def identity(self) -> str:
        """What a job's name belongs to."""
        return self.settings.table or f"a query with key {', '.join(self.settings.key)}"

    @property
    def features(self) -> tuple[Column, ...]:
        """Every column that a model may use."""
        named = self.settings
        taken = {*named.key, named.time, named.label, named.label_time, named.group, *named.exclude}
        usable = ("number", "category", "boolean")
        return tuple(c for c in self.relation.columns if c.name not in taken and c.kind in usable)

    # Parts of statements

    def table(self, alias: str = "s") -> sa.FromClause:
        columns = [sa.column(name) for name in self.relation.names]
        if self.settings.query is not None:
            text = self.settings.query.strip().rstrip(";").replace(":", r"\:")  # a colon would begin a parameter
            return sa.text(text).columns(*columns).subquery(alias)
        schema, name = self.db.named(str(self.settings.table))
        return sa.table(name, *columns, schema=schema).alias(alias)

    def select(self, *columns: sa.ColumnElement[Any], table: sa.FromClause | None = None) -> sa.Select[Any]:
        chosen = sa.select(*columns).select_from(self.table() if table is None else table)
        return chosen.where(sa.literal_column(f"({self.settings.where})")) if self.settings.where else chosen

    def keys(self, table: sa.FromClause | None = None) -> list[sa.ColumnElement[Any]]:
        return [sa.column(c.name) if table is None else table.c[c.name] for c in self.key]

    def event_time(self) -> sa.ColumnElement[Any]:
        assert self.time is not None
        return self.db.event_time(self.time, self.settings.timezone)

    def visible(self, now: datetime) -> sa.ColumnElement[bool]:
        """Rows later than now are not there yet."""
        return self.event_time() <= self.db.instant(now) if self.time else sa.true()

    def usable(self, table: sa.FromClause, within: Sequence[sa.ColumnElement[bool]] = ()) -> sa.ColumnElement[bool]:
        """Rows with a key of their own and a time; `within` narrows where repeated keys are looked for."""
        parts: list[sa.ColumnElement[bool]] = [key.is_not(None) for key in self.keys(table)]
        if self.time:
            parts.append(self.db.has_event_time(self.time))
        if not self.relation.is_unique(self.settings.key):
            keys = self.keys()
            repeated = self.select(*keys, table=self.table("t")).where(*within).group_by(*keys)
            d = repeated.having(sa.func.count() > 1).subquery("d")
            same = [one == other for one, other in zip(self.keys(table), self.keys(d), strict=True)]
            parts.append(~sa.exists(sa.select(sa.literal(1)).select_from(d).where(*same)))
        return sa.and_(*parts)

    def in_scope(self, job: Job) -> sa.ColumnElement[bool]:
        if self.time:
            assert job.scope_from is not None
            return self.db.not_before(self.time, self.settings.timezone, job.scope_from)
        return self.after_key(job.scope_after or ())

    def after_key(self, bound: tuple[str, ...]) -> sa.ColumnElement[bool]:
        return after(self.keys(), self.parsed(bound)) if bound else sa.true()

    def parsed(self, bound: tuple[str, ...]) -> list[sa.ColumnElement[Any]]:
        return [self.db.parsed(text, column) for text, column in zip(bound, self.key, strict=True)]

    def between(self, keys: KeyRange) -> sa.ColumnElement[bool]:
        return sa.and_(at_least(self.keys(), self.parsed(keys.first)), at_most(self.keys(), self.parsed(keys.last)))

    def known(self, now: datetime) -> sa.ColumnElement[bool]:
        """Rows whose label was known at a moment."""
        there = sa.column(self.label.name).is_not(None)
        if self.settings.label_time:
            column = self.relation[self.settings.label_time]
            since = self.db.event_time(column, self.settings.timezone)
            return sa.and_(there, self.db.has_event_time(column), since <= self.db.instant(now))
        if self.time and self.settings.label_delay:
            return sa.and_(there, self.db.later(self.event_time(), self.settings.label_delay) <= self.db.instant(now))
        return there

    def rendered_keys(self) -> list[sa.ColumnElement[Any]]:
        return [self.db.rendered(key).label(f"rendered_{place}") for place, key in enumerate(self.keys())]


def open_source(db: Database, settings: config.Source) -> Source:
    """Look at the table and check every column that the config names. Raises SourceError."""
    relation = db.describe(settings.table, settings.query)
    if relation is None:
        raise SourceError(
            f"there is no table {settings.table} in {db.shown}", hint="'table' may need its schema: schema.table"
        )
    named = {
        "key": settings.key,
        "time": (settings.time,),
        "label": (settings.label,),
        "label_time": (settings.label_time,),
        "group": (settings.group,),
        "exclude": settings.exclude,
    }
    for setting, names in named.items():
        for name in names:
            if name is not None and name not in relation.names:
                near = difflib.get_close_matches(name, relation.names, n=1, cutoff=0.4)
                hint = (
                    f"did you mean '{near[0]}'?" if near else f"its columns begin with {', '.join(relation.names[:8])}"
                )
                raise SourceError(
                    f"{settings.table or 'the query'} in {db.shown} has no column '{name}' (source.{setting})",
                    hint=hint,
                )
    time = relation[settings.time] if settings.time else None
    if time and time.kind == "category" and db.dialect.name != "sqlite":
        raise SourceError(
            f"the time column '{time.name}' is text", hint="use a query that casts it: SELECT …::timestamptz AS …"
        )
    return Source(
        db, relation, settings, tuple(relation[name] for name in settings.key), time, relation[settings.label]
    )


def store_key(source: Source, store: Database) -> tuple[Column, ...]:
    """The key columns as the store declares them: alike in the same system, else integers or text."""
    if source.db.dialect.name == store.dialect.name:
        return source.key
    return tuple(Column(c.name, c.kind, "BIGINT" if c.integer else "TEXT", c.integer) for c in source.key)


def _key_values(source: Source, store: Database) -> list[sa.ColumnElement[Any]]:
    """The key as it is read, in a form that the store's key columns take."""
    if source.db.dialect.name == store.dialect.name:
        return [source.db.key_value(c).label(c.name) for c in source.key]
    return [(sa.column(c.name) if c.integer else sa.cast(sa.column(c.name), sa.Text)).label(c.name) for c in source.key]


class Pending:
    """Rows that the store holds neither a prediction nor a quarantined row for."""

    def __init__(self, source: Source, store: Database, own: JobTables) -> None:
        self.source = source
        self.store = store
        self.own = own
        self.together = store is source.db  # one statement sees both

    def plan(
        self, job: Job, now: datetime, late_arrival: timedelta, batch_rows: int, skip: Sequence[KeyRange]
    ) -> list[KeyRange]:
        """Ranges of at most `batch_rows` pending rows each, in key order, outside the ranges to skip."""
        source = self.source
        table = source.table()
        parts = [source.usable(table), source.visible(now), source.in_scope(job)]
        if source.time and job.complete_to is not None:
            since = job.complete_to - late_arrival
            parts.append(source.db.not_before(source.time, source.settings.timezone, since))
        parts += [~source.between(keys) for keys in skip]
        numbered, bounds = self._numbered(table, parts) if self.together else self._numbered_staged(table, parts)
        n = numbered.c.n
        edge = sa.or_((n - 1) % batch_rows == 0, n % batch_rows == 0, n == numbered.c.total)
        rows = self.store.rows(sa.select(n, *bounds).where(edge).order_by(n))
        edges = [(row.pop("n"), tuple(row.values())) for row in rows]
        starts = [edge for edge in edges if (edge[0] - 1) % batch_rows == 0]
        ends = [edge for edge in edges if edge[0] % batch_rows == 0 or edge[0] == edges[-1][0]]
        return [
            KeyRange(first, last, end - start + 1) for (start, first), (end, last) in zip(starts, ends, strict=True)
        ]

    def _numbered(
        self, table: sa.FromClause, parts: list[sa.ColumnElement[bool]]
    ) -> tuple[sa.FromClause, list[sa.ColumnElement[Any]]]:
        """Pending rows numbered in key order, where one statement sees source and store."""
        keys = self.source.keys(table)
        chosen = self.source.select(*keys, *_numbers(keys), table=table).where(*parts, *self._absent(table))
        numbered = chosen.subquery("numbered")
        rendered = [self.store.rendered(numbered.c[c.name]) for c in self.source.key]
        return numbered, [bound.label(f"bound_{place}") for place, bound in enumerate(rendered)]

    def _numbered_staged(
        self, table: sa.FromClause, parts: list[sa.ColumnElement[bool]]
    ) -> tuple[sa.FromClause, list[sa.ColumnElement[Any]]]:
        """The same where they are apart: candidate keys are staged in the store, in the source's order."""
        source = self.source
        chosen = source.select(*_key_values(source, self.store), *source.rendered_keys(), table=table).where(*parts)
        staged = self.stage(chosen.order_by(*source.keys(table)), len(source.key))
        bounds = [staged.c[f"rendered_{place}"] for place in range(len(source.key))]
        found = sa.select(*bounds, *_numbers([staged.c.place])).where(*self._absent(staged)).subquery("numbered")
        return found, [column for column in found.c if column.name.startswith("rendered_")]

    def stage(self, statement: sa.Select[Any], rendered: int = 0) -> sa.Table:
        """Copy keys from the source into a temporary table of the store, numbered by `place`."""
        columns = [sa.Column(c.name, RawType(c.type)) for c in store_key(self.source, self.store)]
        columns += [sa.Column(f"rendered_{place}", sa.Text) for place in range(rendered)]
        columns += [sa.Column("place", sa.BigInteger)]
        staged = sa.Table("rowcast_candidate", sa.MetaData(), *columns)
        self.store.ingest(staged, pa.table({}), temporary=True)
        count = 0
        for batch in self.source.db.stream(statement, _CHUNK):
            places = pa.array(np.arange(count, count + batch.num_rows))
            self.store.ingest(staged, batch.append_column("place", places))
            count += batch.num_rows
        return staged

    def _absent(self, table: sa.FromClause) -> list[sa.ColumnElement[bool]]:
        """Neither scored nor quarantined. The source's column stands first: its collation decides what is equal."""
        found = []
        for own in (self.own.prediction, self.own.quarantine):
            same = [table.c[c.name] == own.c[c.name] for c in self.source.key]
            found.append(~sa.exists(sa.select(sa.literal(1)).select_from(own).where(*same)))
        return found

    def read(self, keys: KeyRange, columns: Sequence[Column], job: Job, now: datetime, batch_rows: int) -> Fetched:
        """The pending rows of a planned range with these columns, at most `batch_rows`; late ones are left to the next run."""
        source = self.source
        if self.together:
            table = source.table()
            return self._read(columns, [source.between(keys), *self._absent(table)], job, now, batch_rows, table)
        parts: list[Fetched] = []
        found, within = 0, source.between(keys)
        while True:
            table = source.table()
            chunk = self._read(columns, [within], job, now, _CHUNK, table, rendered=True)
            bounds = chunk.rows.select([f"rendered_{place}" for place in range(len(source.key))])
            kept = _take(chunk, self._absent_places(chunk.rows))
            parts.append(_take(kept, np.arange(min(kept.rows.num_rows, batch_rows - found))))
            found += parts[-1].rows.num_rows
            if chunk.rows.num_rows < _CHUNK or found == batch_rows:
                return _joined(parts, len(source.key))
            last = tuple(str(value) for value in bounds.slice(bounds.num_rows - 1).to_pylist()[0].values())
            within = sa.and_(source.between(keys), source.after_key(last))

    def _read(
        self,
        columns: Sequence[Column],
        parts: list[sa.ColumnElement[bool]],
        job: Job,
        now: datetime,
        most: int,
        table: sa.FromClause,
        *,
        rendered: bool = False,
    ) -> Fetched:
        source = self.source
        chosen = [*_key_values(source, self.store), *[source.db.feature(c).label(c.name) for c in columns]]
        if rendered:
            chosen += source.rendered_keys()
        parts = [*parts, source.usable(table, parts[:1]), source.visible(now), source.in_scope(job)]
        statement = source.select(*chosen, table=table).where(*parts).order_by(*source.keys(table))
        return Fetched(*source.db.read(statement, {c.name: c.kind for c in columns}, most))

    def _absent_places(self, rows: pa.RecordBatch) -> npt.NDArray[np.int64]:
        keys = [sa.Column(c.name, RawType(c.type)) for c in store_key(self.source, self.store)]
        staged = sa.Table("rowcast_chunk", sa.MetaData(), *keys, sa.Column("place", sa.BigInteger))
        chosen = rows.select([c.name for c in keys])
        self.store.ingest(staged, chosen.append_column("place", pa.array(np.arange(rows.num_rows))), temporary=True)
        found = self.store.rows(sa.select(staged.c.place).where(*self._absent(staged)).order_by(staged.c.place))
        return np.array([row["place"] for row in found], dtype=np.int64)


def newest_event(source: Source, now: datetime) -> datetime | None:
    """The newest event time that is visible, None without a time column or rows."""
    if source.time is None:
        return None
    newest = sa.func.max(source.event_time()).label("newest")
    return _moment(
        source.db.scalar(source.select(newest).where(source.visible(now), source.db.has_event_time(source.time)))
    )


def labels_known(source: Source, now: datetime) -> int:
    """How many visible rows have a label that is known."""
    counted = source.select(sa.func.count().label("n")).where(source.known(now), source.visible(now))
    return int(source.db.scalar(counted))


def initial_scope(source: Source, now: datetime, since: str | None) -> tuple[datetime | None, tuple[str, ...] | None]:
    """Where scoring begins, as (event time, None) or, without a time column, (None, key after which)."""
    if source.time is None:
        if since is not None:
            raise ConfigError("infer.since needs source.time", hint="without a time column key order is time order")
        return None, _key_before_first_unlabelled(source, now)
    if since is not None:
        return instant(since, source.settings.timezone), None
    known, visible = source.known(now), sa.and_(source.visible(now), source.db.has_event_time(source.time))
    time = source.event_time()
    newest_known = _moment(source.db.scalar(source.select(sa.func.max(time).label("t")).where(known, visible)))
    unlabelled = source.select(sa.func.min(time).label("t")).where(~_true(known), visible)
    if newest_known is not None:
        bound = newest_known - source.settings.late_arrival
        unlabelled = unlabelled.where(source.db.not_before(source.time, source.settings.timezone, bound))
    earliest = _moment(source.db.scalar(unlabelled))
    if earliest is not None:
        return earliest, None
    newest = newest_event(source, now)
    return (newest + _TICK if newest else now), None


def _key_before_first_unlabelled(source: Source, now: datetime) -> tuple[str, ...]:
    table, keys = source.table(), source.keys()
    usable = [key.is_not(None) for key in keys]
    first = source.db.rows(
        source.select(*source.rendered_keys(), table=table)
        .where(~_true(source.known(now)), *usable)
        .order_by(*keys)
        .limit(1)
    )
    parts = [sa.not_(at_least(keys, source.parsed(tuple(first[0].values()))))] if first else []
    last = source.select(*source.rendered_keys(), table=table).where(*usable, *parts)
    rows = source.db.rows(last.order_by(*[key.desc() for key in keys]).limit(1))
    return tuple(rows[0].values()) if rows else ()


def training_rows(source: Source, now: datetime, most: int, trained_to: datetime | tuple[str, ...] | None) -> Fetched:
    """The latest labelled rows, oldest first, with every feature.

    Beside the features: `TIME` (int64 microseconds, or the row's place without a time column), `LABEL`, `GROUP` where
    one is named, and `FRESH`: later than what the champion was trained on.
    """
    source_settings, table = source.settings, source.table()
    later: sa.ColumnElement[Any] = sa.false()
    if isinstance(trained_to, datetime):
        later = source.event_time() > source.db.instant(trained_to)
    elif trained_to:
        later = source.after_key(trained_to)
    columns = [source.db.feature(c).label(c.name) for c in source.features]
    columns += [source.db.feature(source.label).label(LABEL), sa.case((later, 1), else_=0).label(FRESH)]
    if source_settings.group:
        columns.append(source.db.feature(source.relation[source_settings.group]).label(GROUP))
    keys = source.keys(table)
    order = [source.event_time().desc(), *[key.desc() for key in keys]] if source.time else [key.desc() for key in keys]
    if source.time:
        columns.append(source.event_time().label(TIME))
    else:
        columns += source.rendered_keys()
    wanted = source.select(*columns, table=table).where(source.usable(table), source.known(now), source.visible(now))
    kinds = {c.name: c.kind for c in source.features}
    rows, misfits = source.db.read(wanted.order_by(*order), kinds, most)
    rows = rows.take(pa.array(np.arange(rows.num_rows)[::-1]))
    misfits = [Misfit(rows.num_rows - 1 - misfit.row, misfit.column, misfit.value) for misfit in misfits]
    if source.time:
        place = rows.schema.get_field_index(TIME)
        rows = rows.set_column(place, TIME, rows.column(place).cast(pa.timestamp("us", "UTC")).cast(pa.int64()))
    else:
        rows = rows.append_column(TIME, pa.array(np.arange(rows.num_rows)))
    return Fetched(rows, misfits)


def row_hash(rows: pa.RecordBatch, misfits: Sequence[Misfit], columns: Sequence[str]) -> npt.NDArray[np.int64]:
    """A 64-bit fingerprint of each row's values in these columns, to tell whether the source changed one later.

    Mixing as in SplitMix64 (Steele, Lea, Flood 2014); not a cryptographic hash.
    """
    found = np.zeros(rows.num_rows, dtype=np.uint64)
    for name in columns:
        found = _mixed(found ^ _bits(rows.column(name)))
    for misfit in misfits:
        if misfit.column in columns:
            found[misfit.row : misfit.row + 1] = _mixed(found[misfit.row : misfit.row + 1] ^ _text_bits(misfit.value))
    return found.view(np.int64)


def instant(text: str, timezone: str) -> datetime:
    """An ISO 8601 moment as UTC; without a zone it is in `timezone`. Raises ConfigError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"'{text}' is not a moment", hint="write 2026-05-01 or 2026-05-01T06:00:00+02:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(timezone))).astimezone(UTC)


def _numbers(order: Sequence[sa.ColumnElement[Any]]) -> tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]]:
    return sa.func.row_number().over(order_by=order).label("n"), sa.func.count().over().label("total")


def _true(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """NULL counts as false, so that its negation is true."""
    return sa.case((condition, 1), else_=0) == 1


def _moment(value: Any) -> datetime | None:
    """What an event-time expression reads as: microseconds or a timestamp."""
    return _EPOCH + timedelta(microseconds=value) if isinstance(value, int) else value


def _take(fetched: Fetched, places: npt.NDArray[Any]) -> Fetched:
    if len(places) == fetched.rows.num_rows:
        return fetched
    at = {int(old): new for new, old in enumerate(places)}
    misfits = [Misfit(at[m.row], m.column, m.value) for m in fetched.misfits if m.row in at]
    return Fetched(fetched.rows.take(pa.array(places)), misfits)


def _joined(parts: Sequence[Fetched], keys: int) -> Fetched:
    """One batch of several, without the rendered keys."""
    misfits, start = [], 0
    for part in parts:
        misfits += [Misfit(start + m.row, m.column, m.value) for m in part.misfits]
        start += part.rows.num_rows
    rows = parts[0].rows if len(parts) == 1 else pa.concat_batches([part.rows for part in parts])
    return Fetched(rows.select(rows.schema.names[: len(rows.schema.names) - keys]), misfits)


def _bits(column: pa.Array) -> npt.NDArray[np.uint64]:
    """The values as 64 bits each; NULL, NaN and -0.0 in one way only."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        encoded = column.dictionary_encode()
        known = np.concatenate(
            [_text_bits(value) for value in encoded.dictionary.to_pylist()] or [np.zeros(0, np.uint64)]
        )
        codes = encoded.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)
        return np.append(known, _NULL)[codes]
    numbers = column.cast(pa.float64(), safe=False).fill_null(float("nan")).to_numpy(zero_copy_only=False) + 0.0
    return np.where(np.isnan(numbers), _NULL, numbers.view(np.uint64))


def _text_bits(text: str) -> npt.NDArray[np.uint64]:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return np.frombuffer(digest, dtype="<u8").astype(np.uint64)


def _mixed(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
