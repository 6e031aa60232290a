"""The user's table or query, checked against the config, and the parts of statements made from it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from itertools import product
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from rowcast import config
from rowcast.database import (
    Column,
    ColumnKind,
    Database,
    Relation,
    after,
    at_least,
    at_most,
    in_parentheses,
    is_of_texts,
)
from rowcast.errors import DatabaseError, SourceError, UsageError
from rowcast.formatting import count
from rowcast.nearest import find_nearest
from rowcast.source.keys import KeyRange
from rowcast.source.missing_table import make_missing_table_error
from rowcast.source.rows import GROUPED, RENDERED, TIME, is_reserved
from rowcast.source.scope import Learned, Scope


@dataclass(frozen=True)
class Source:
    """The user's table or query, checked against the config."""

    db: Database
    relation: Relation
    settings: config.Source
    key: tuple[Column, ...]
    time: Column | None
    label: Column
    # The key as the store holds it, where it cannot tell apart all that the source can; () where it can.
    stored_key: tuple[sa.ColumnElement[Any], ...] = field(default=(), compare=False)

    @property
    def identity(self) -> str:
        """The table, or the query by its key: what the name of a job belongs to."""
        return self.settings.table or f"a query with key {', '.join(self.settings.key)}"

    @property
    def features(self) -> tuple[Column, ...]:
        """Every column that a model may use."""
        named = self.settings
        taken = {*named.key, named.time, named.label, named.label_time, named.group, *named.exclude}
        usable = ("number", "category", "boolean", *(("time",) if self.time else ()))
        own = [c for c in self.relation.columns if c.name not in taken and not is_reserved(c.name)]
        return tuple(c for c in own if c.kind in usable)

    # Parts of statements

    def values(self, columns: Sequence[Column]) -> list[sa.ColumnElement[Any]]:
        """Return columns as they are read: a time as the hours that it lies before the event, else NULL.

        What is written after the event was not known at it. `TIME` is the event time, and what `GROUPED` begins a text
        that is equal where rows are alike in a column.
        """
        return [self._value(column).label(column.name) for column in columns]

    def _value(self, column: Column) -> sa.ColumnElement[Any]:
        if column.name == TIME:
            return self.event_time()
        if column.name.startswith(GROUPED):
            return self.group_text(column.name.removeprefix(GROUPED))
        if column.kind != "time" or self.time is None:
            return self.db.sql.feature(column)
        moment, event = self.db.sql.event_time(column, self.settings.timezone), self.event_time()
        return sa.case(
            (sa.and_(self.db.sql.has_event_time(column), moment <= event), self.db.sql.hours_between(moment, event))
        )

    def group_text(self, name: str) -> sa.ColumnElement[Any]:
        """Return the value of a column as text, which is equal where rows are alike in it."""
        if self.db.dialect.name == "sqlite":
            return sa.cast(sa.column(name), sa.Text)
        return self.db.sql.key_text(self.relation[name])

    def may_be_of_group(self, name: str, texts: Sequence[str]) -> sa.ColumnElement[bool]:
        """Return whether a row may be of one of these groups of a column, so that an index on it can serve."""
        wanted, column = [sa.literal(text, sa.Unicode) for text in texts], self.relation[name]
        if self.db.dialect.name == "sqlite" and column.kind == "category" and column.type:
            # A column declared so holds texts and bytes alone. Some collations find more rows, none finds fewer.
            return sa.column(name).in_([*wanted, *(sa.cast(each, sa.LargeBinary) for each in wanted)])
        return self.group_text(name).in_(wanted)

    def kinds(self, columns: Sequence[Column]) -> dict[str, ColumnKind]:
        """Return what each of these columns is once it is read, but for what stands beside features."""
        own = [c for c in columns if c.name != TIME and not c.name.startswith(GROUPED)]
        return {c.name: "number" if c.kind == "time" and self.time else c.kind for c in own}

    def table(self, alias: str = "s") -> sa.FromClause:
        """Return the table or query as a part of FROM."""
        if isinstance(self._all, sa.TableClause):
            return self._all.alias(alias)
        return self._all.subquery(alias)

    @cached_property
    def _all(self) -> sa.TableClause | sa.Select[Any]:
        """All columns; each statement takes an alias of its own."""
        columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in self.relation.names if name]
        if self.settings.query is not None:
            text = in_parentheses(self.settings.query).replace(":", r"\:")  # a colon would begin a parameter
            return sa.select(*columns).select_from(sa.text(f"{text} AS q"))
        schema, name = self.db.admin.split_name(str(self.settings.table))
        return sa.table(name, *columns, schema=schema)

    def select(self, *columns: sa.ColumnElement[Any], table: sa.FromClause | None = None) -> sa.Select[Any]:
        chosen = sa.select(*columns).select_from(self.table() if table is None else table)
        return chosen.where(sa.literal_column(f"({self.settings.where}\n)")) if self.settings.where else chosen

    def keys(self, table: sa.FromClause | None = None) -> list[sa.ColumnElement[Any]]:
        return [sa.column(c.name) if table is None else table.c[c.name] for c in self.key]

    def event_time(self) -> sa.ColumnElement[Any]:
        """Return the event time as a UTC instant; there must be a time column."""
        assert self.time is not None
        return self.db.sql.event_time(self.time, self.settings.timezone)

    def visible(self, now: datetime) -> sa.ColumnElement[bool]:
        """Return the condition of rows that are not later than now: others are not there yet."""
        return self.event_time() <= self.db.sql.instant(now) if self.time else sa.true()

    def usable(self, table: sa.FromClause, within: Sequence[sa.ColumnElement[bool]] = ()) -> sa.ColumnElement[bool]:
        """Return the condition of rows with a unique key and a time; `within` narrows the search for repeated keys."""
        own = self.has_unique_key(table, within)
        return sa.and_(own, self.db.sql.has_event_time(self.time)) if self.time else own

    def has_unique_key(
        self,
        table: sa.FromClause,
        within: Sequence[sa.ColumnElement[bool]] = (),
        among: sa.ColumnElement[bool] | None = None,
    ) -> sa.ColumnElement[bool]:
        """Return the condition of rows whose key is neither NULL nor repeated.

        `within` narrows the search for repeated keys, `among` to the keys of the rows that are asked about. Keys are
        counted: a constraint on a table says nothing of what inherits from it, and can be dropped at any time.
        """
        keys, every = self.keys(), self.table("t")
        repeated = self.select(*keys, table=every).where(*within)
        if among is not None:
            asked = self.table("c")
            same = [one == other for one, other in zip(self.keys(asked), self.keys(every), strict=True)]
            repeated = repeated.where(sa.exists(self.select(sa.literal(1), table=asked).where(among, *same)))
        d = repeated.group_by(*keys).having(sa.func.count() > 1).subquery("d")
        same = [one == other for one, other in zip(self.keys(table), self.keys(d), strict=True)]
        own: list[sa.ColumnElement[bool]] = [key.is_not(None) for key in self.keys(table)]
        own.append(~sa.exists(sa.select(sa.literal(1)).select_from(d).where(*same)))
        return sa.and_(*own, self.has_own_stored_key())

    def has_own_stored_key(self) -> sa.ColumnElement[bool]:
        """Return the condition of rows whose key the store can tell from that of every other row."""
        if not self.stored_key:
            return sa.true()
        names = [f"stored_{place}" for place in range(len(self.stored_key))]
        named = [value.label(name) for value, name in zip(self.stored_key, names, strict=True)]
        alike = self.select(*named, table=self.table("e")).group_by(*self.stored_key)
        e = alike.having(sa.func.count() > 1).subquery("alike")
        same = [value == e.c[name] for value, name in zip(self.stored_key, names, strict=True)]
        return ~sa.exists(sa.select(sa.literal(1)).select_from(e).where(*same))

    def in_scope(self, scope: Scope) -> sa.ColumnElement[bool]:
        """Return the condition of rows that are scored: scoring has begun with them, and none could be learned from."""
        return self._without(scope.learned, self.has_begun(scope))

    def has_begun(self, scope: Scope) -> sa.ColumnElement[bool]:
        """Return the condition of rows that scoring begins with, and of later ones."""
        if self.time:
            assert scope.since is not None
            return self.db.sql.event_time_between(self.time, self.settings.timezone, scope.since)
        return self.after_key(scope.after or ())

    def _without(self, learned: Learned | None, rows: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
        return rows if learned is None else sa.and_(rows, ~self.could_be_learned(learned))

    def could_be_learned(self, learned: Learned) -> sa.ColumnElement[bool]:
        """Return the condition of rows that a version could learn from: true or false, never NULL."""
        known = self.has_known_label(learned.known_by)
        until: sa.ColumnElement[bool] = sa.false()
        if isinstance(learned.until, tuple):
            until = at_most(self.keys(), self.parse_key(learned.until)) if learned.until else sa.false()
        elif self.time:
            until = self.event_time() <= self.db.sql.instant(learned.until)
        return sa.case((sa.and_(known, until), 1), else_=0) == 1

    def is_due(self, scope: Scope, now: datetime, since: datetime | None = None) -> sa.ColumnElement[bool]:
        """Return the condition of rows in scope that are visible at a moment, and no older than `since`."""
        if not self.time:
            return self.in_scope(scope)
        assert scope.since is not None
        first = scope.since if since is None else max(scope.since, since)
        due = self.db.sql.event_time_between(self.time, self.settings.timezone, first, now)
        return self._without(scope.learned, due)

    def after_key(self, bound: tuple[str, ...]) -> sa.ColumnElement[bool]:
        """Return the condition of rows after a key in key order; the empty one is before all."""
        return after(self.keys(), self.parse_key(bound)) if bound else sa.true()

    def parse_key(self, bound: tuple[str, ...]) -> list[sa.ColumnElement[Any]]:
        """Return the values of a key that the source rendered."""
        return [self.db.sql.parse_key(text, column) for text, column in zip(bound, self.key, strict=True)]

    def interpret_key(self, key: Sequence[str]) -> tuple[str, ...]:
        """Return a key that a person typed, a text for each column, as the source renders it. Raise UsageError."""
        if len(key) != len(self.key):
            names = ", ".join(column.name for column in self.key)
            told = f"the key has {count(len(self.key), 'column')}: {names}"
            raise UsageError(told, hint="give a value for each, in this order")
        ways = list(
            product(*[self.db.sql.interpret_key(text, column) for text, column in zip(key, self.key, strict=True)])
        )
        self._require_values(ways[0])
        return next((way for way in ways if len(ways) > 1 and self._has(way)), ways[0])

    def _require_values(self, bound: tuple[str, ...]) -> None:
        """Raise UsageError where a text is no value of its key column: the database alone can tell."""
        for value, column in zip(self.parse_key(bound), self.key, strict=True):
            try:
                self.db.scalar(sa.select(value.label("value")))
            except DatabaseError as error:
                if error.reason != "other":
                    raise
                raise UsageError(
                    f"what was given for the key column '{column.name}' is no value of it: it is {column.type}",
                    hint="give the key as a query of this database shows it",
                    detail=error.detail,
                ) from None

    def _has(self, bound: tuple[str, ...]) -> bool:
        this = [one == other for one, other in zip(self.keys(), self.parse_key(bound), strict=True)]
        return bool(self.db.scalar(self.select(sa.func.count()).where(*this)))

    def between(self, keys: KeyRange, table: sa.FromClause | None = None) -> sa.ColumnElement[bool]:
        """Return whether a row's key, or that of a table which carries the source's key, lies in a range."""
        own = self.keys(table)
        return sa.and_(at_least(own, self.parse_key(keys.first)), at_most(own, self.parse_key(keys.last)))

    def _has_label(self) -> list[sa.ColumnElement[bool]]:
        """Return the conditions of rows whose label is neither NULL, NaN nor blank, nor one that the config lists."""
        label: sa.ColumnElement[Any] = sa.column(self.label.name)
        parts: list[sa.ColumnElement[bool]] = [label.is_not(None)]
        is_text, is_sqlite = self.label.kind == "category", self.db.dialect.name == "sqlite"
        if is_text or is_sqlite:
            parts.append(sa.func.ltrim(label) != sa.literal_column("''"))
        if self.label.kind == "number":
            parts.append(self.db.sql.is_no_nan(self.label))
        for value in self.settings.label_missing:
            text = str(value)
            if is_text or is_sqlite:
                parts.append(label != sa.literal(text, sa.Text))
            if not is_text and isinstance(value, int | float):
                parts.append(label != sa.literal_column(repr(float(value))))
        return parts

    def has_known_label(self, now: datetime) -> sa.ColumnElement[bool]:
        """Return the condition of rows whose label was known at a moment."""
        there = sa.and_(*self._has_label())
        if self.settings.label_time:
            column = self.relation[self.settings.label_time]
            since = self.db.sql.event_time(column, self.settings.timezone)
            return sa.and_(there, self.db.sql.has_event_time(column), since <= self.db.sql.instant(now))
        if self.time and self.settings.label_delay:
            return sa.and_(
                there,
                self.db.sql.add_duration(self.event_time(), self.settings.label_delay) <= self.db.sql.instant(now),
            )
        return there

    def render_key(self) -> list[sa.ColumnElement[Any]]:
        """Return the key columns as text, under `RENDERED` and their place: bounds that `parse_key` reads back."""
        pairs = zip(self.keys(), self.key, strict=True)
        return [self.db.sql.render_key(value, c).label(f"{RENDERED}{place}") for place, (value, c) in enumerate(pairs)]

    def take_rendered_key(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return the keys of rows that were read with `render_key`, as text."""
        return rows.select([f"{RENDERED}{place}" for place in range(len(self.key))])


def open_source(db: Database, settings: config.Source) -> Source:
    """Look at the table and check every column that the config names. Raise SourceError."""
    relation = db.admin.describe(settings.table, settings.query)
    if relation is None:
        raise make_missing_table_error(db, str(settings.table))
    _require_names_once(relation, settings)
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
            if name is not None:
                find_column(relation, name, f"{settings.table or 'the query'} in {db.safe_url}", f"source.{setting}")
    for name in settings.key:
        base = relation[name].type.partition("(")[0].lower()
        if base in db.sql.no_keys:
            raise SourceError(
                f"the key column '{name}' is {base}, whose values cannot be told apart and put in order as keys must",
                hint=f"use a query that casts it: SELECT …, CAST({name} AS {db.sql.text_key}) AS {name}_text",
            )
    relation = _with_time_format(db, relation, settings)
    time = relation[settings.time] if settings.time else None
    return Source(
        db, relation, settings, tuple(relation[name] for name in settings.key), time, relation[settings.label]
    )


def _with_time_format(db: Database, relation: Relation, settings: config.Source) -> Relation:
    """Return the relation with times as the config says they are written. Raise SourceError where they are no times."""
    form, named = settings.time_format, {name for name in (settings.time, settings.label_time) if name is not None}
    for column in relation.columns:
        if column.name not in named:
            continue
        if column.kind == "category" and not is_of_texts(form) and db.dialect.name != "sqlite":
            raise SourceError(
                f"the time column '{column.name}' is text, and nothing says how its times are written",
                hint="set [source] time_format, such as '%d.%m.%Y %H:%M:%S'; or use a query: SELECT …, "
                f"{db.sql.cast_text_to_time(column.name)} AS {column.name}_at",
            )
        if column.kind not in ("time", "number", "category"):
            raise SourceError(
                f"the time column '{column.name}' is {column.type}, which is no point in time",
                hint="name a column with date and time, or use a query that adds its date to it",
            )
    formed = [c for c in relation.columns if c.name in named and _takes_format(db, c, form)]
    others = [c for c in relation.columns if c.name in named and c not in formed]
    if form is not None and others and not formed:
        column = others[0]
        raise SourceError(
            f"[source] time_format does not go with the column '{column.name}', which is {column.type}",
            hint="'excel' and 'seconds' are for numbers, the other formats for texts",
        )
    return replace(
        relation, columns=tuple(replace(c, time_format=form) if c in formed else c for c in relation.columns)
    )


def _takes_format(db: Database, column: Column, form: str | None) -> bool:
    """Return whether a time column is written as the config may say; one of SQLite may hold anything."""
    return db.dialect.name == "sqlite" or column.kind == ("category" if is_of_texts(form) else "number")


def _require_names_once(relation: Relation, settings: config.Source) -> None:
    """Raise SourceError where a query gives two columns one name: SQLite numbers the second, `lot:1`."""
    names = list(relation.names)
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if settings.query is not None:
        twice += [base for name in names if (base := re.sub(r":\d+$", "", name)) != name and base in names]
    if twice:
        raise SourceError(
            f"the query has two columns called '{twice[0]}'",
            hint=f"name its columns instead of *, and this one once: SELECT a.{twice[0]}, b.x, …",
        )


def find_column(relation: Relation, name: str, where: str, setting: str) -> Column:
    """Return the column of `where` that a setting names. Raise SourceError."""
    if name in relation.names:
        return relation[name]
    near = find_nearest(name, relation.names)
    hint = f"did you mean '{near}'?" if near else f"its columns begin with {', '.join(relation.names[:8])}"
    raise SourceError(f"{where} has no column '{name}' ({setting})", hint=hint)
