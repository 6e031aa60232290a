"""What is pending, what is read, and what was known: with source and store together and apart, on each system."""

import itertools
import math
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa
from conftest import Place
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from test_database import HARD_TEXTS, KEYS, filled_with_keys, told_apart

from rowcast import fetch
from rowcast.audit.batches import BatchCounts, check_batches
from rowcast.config import Source as SourceSettings
from rowcast.contract import Misfit
from rowcast.database import Database
from rowcast.errors import ConfigError, SourceError
from rowcast.fetch import by_key
from rowcast.source import (
    FRESH,
    GROUP,
    KNOWN,
    LABEL,
    TIME,
    KeyRange,
    Learned,
    Scope,
    declare_key,
    hash_rows,
    open_source,
)
from rowcast.store import BatchResult, JobState, Ledger
from rowcast.store.job_rows import JobRows
from rowcast.store.migrations import upgrade
from rowcast.store.tables import job_tables, tables

pytestmark = pytest.mark.turns  # in one database and in two

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
MONTH = timedelta(days=30)
EVERYTHING = Scope(LONG_AGO)
TOGETHER = ["sqlite", "postgresql", "mssql"]
APART = [
    *[pytest.param(f"{system}, {system}", marks=pytest.mark.long) for system in ("sqlite", "postgresql")],
    *["sqlite, postgresql", "postgresql, sqlite", "mssql, mssql", "mssql, sqlite", "postgresql, mssql"],
]


class Fab:
    """A source and a store, which may be one database."""

    def __init__(self, source: Place, store: Place) -> None:
        self.place = source
        self.store_place = store
        self.together = source is store

    def open(self, **given) -> "Fab":
        """Look at the source and make the store's tables."""
        if "query" not in given:
            given.setdefault("table", "t")
        named = {"key": ["id"], "label": "y", **given}
        self.settings = SourceSettings(url=self.place.url, **named)
        self.db = self.place.connect()
        self.store: Database = self.db if self.together else self.store_place.connect()
        self.source = open_source(self.db, self.settings)
        shared = tables(self.store, "rowcast")
        key = declare_key(self.source, self.store)
        self.own = job_tables(self.store, shared, "rowcast", "job", key, sa.BigInteger)
        upgrade(self.store, shared, self.own, "rowcast")
        self.ledger = Ledger(self.store, shared, self.own, "job")
        self.pending = fetch.Pending(JobRows(self.source, self.store, self.own))
        return self

    @property
    def columns(self):
        return self.source.features

    def plan(self, batch_rows=1000, scope=EVERYTHING, now=NOW, complete_to=None, late_arrival=MONTH, skip=()):
        since = JobState(scope, complete_to).search_start(late_arrival, now)
        return self.pending.plan(scope, now, since, batch_rows, skip)

    def read(self, keys, batch_rows=1000, scope=EVERYTHING, now=NOW):
        return self.pending.read(keys, self.columns, scope, now, batch_rows)

    def rows(self, batch_rows=1000, column=None, **given):
        """The values of a column, the key by default, over all planned batches in their order."""
        found = []
        for keys in self.plan(batch_rows, **given):
            given.pop("late_arrival", None)
            given.pop("complete_to", None)
            given.pop("skip", None)
            read = self.read(keys, batch_rows, **given).rows
            assert 0 < read.num_rows == keys.rows <= batch_rows
            found += read.column(column or self.settings.key[0]).to_pylist()
        return found

    def publish(self, batch_rows=1000, bad=lambda place: False, **given):
        """Score what is pending; rows whose place in the batch is `bad` are quarantined."""
        ranges = self.plan(batch_rows, **given)
        for keys, batch_id in zip(ranges, self.ledger.add_batches(1, ranges, 1), strict=True):
            rows = self.read(keys, batch_rows).rows
            places = np.arange(rows.num_rows)
            worse = np.array([bad(place) for place in places], dtype=bool)
            batch = self.ledger.claim(batch_id, 1, 1)
            assert self.ledger.publish(
                batch,
                BatchResult(self.predictions(rows, places[~worse]), self.quarantined(rows, places[worse])),
                None,
            )

    def predictions(self, rows, places):
        n = len(places)
        keys = rows.select(list(self.settings.key)).take(pa.array(places))
        columns = {"row_hash": [0] * n, "score": [0.5] * n, "predicted": [1] * n, "threshold": [0.1] * n}
        return beside(keys, **columns, contributions=pa.nulls(n, pa.string()))

    def quarantined(self, rows, places):
        n = len(places)
        keys = rows.select(list(self.settings.key)).take(pa.array(places))
        return beside(keys, row_hash=[1] * n, reasons=["bad"] * n, row_values=["{}"] * n)

    def count(self, own: str) -> int:
        return self.store.scalar(sa.select(sa.func.count()).select_from(getattr(self.own, own)))


def beside(keys, **columns):
    arrays = [pa.array(column) if isinstance(column, list) else column for column in columns.values()]
    kinds = [pa.int64() if name in ("row_hash", "predicted") else None for name in columns]
    arrays = [array.cast(kind) if kind else array for array, kind in zip(arrays, kinds, strict=True)]
    return pa.RecordBatch.from_arrays([*keys.columns, *arrays], names=[*keys.schema.names, *columns])


@pytest.fixture(params=TOGETHER + APART)
def fab(request, make_place) -> Fab:
    """Source and store: in one database, and in two of each pair of systems."""
    source, _, store = request.param.partition(", ")
    place = make_place(source)
    return Fab(place, make_place(store) if store else place)


@pytest.fixture(params=TOGETHER)
def one(request, make_place) -> Fab:
    """Source and store in one database of each system."""
    place = make_place(request.param)
    return Fab(place, place)


def at(days: float) -> str:
    """A moment before now, as it is written."""
    return (NOW - timedelta(days=days)).strftime("%Y-%m-%d %H:%M:%S")


def wafers(fab: Fab, n=10, key="integer primary key", **columns) -> Fab:
    """A table of wafers, the last of them measured an hour ago."""
    fab.place.run(f"CREATE TABLE t (id {key}, at timestamp, x double precision, s text, y integer, y_at timestamp)")
    rows = {"id": list(range(1, n + 1)), "at": [at((n - place) / 24) for place in range(n)], **columns}
    fab.place.fill("t", **rows)
    return fab


# ---- planning and reading


@pytest.mark.parametrize("batch_rows", [1, 2, 3, 5, 10, 100])
def test_every_pending_row_is_in_one_batch_in_key_order(fab, batch_rows):
    wafers(fab, key="integer").open(time="at")
    assert fab.rows(batch_rows) == list(range(1, 11))
    assert [keys.rows for keys in fab.plan(batch_rows)] == [
        min(batch_rows, 10 - start) for start in range(0, 10, batch_rows)
    ]


def test_an_empty_table_has_nothing_pending(fab):
    fab.place.run("CREATE TABLE t (id integer, at timestamp, y integer)")
    assert fab.open(time="at").plan() == []
    assert fab.open().plan(scope=replace(EVERYTHING, since=None, after=())) == []


def test_what_is_published_is_never_pending_again(fab):
    wafers(fab).open(time="at").publish(3, bad=lambda place: place == 1)
    assert (fab.count("prediction"), fab.count("quarantine")) == (7, 3)
    assert fab.plan() == []
    fab.place.fill("t", id=[0, 11], at=[at(1), at(2)])
    assert fab.rows() == [0, 11]


def test_rows_that_were_scored_since_the_plan_are_not_read(fab):
    wafers(fab).open(time="at")
    [keys] = fab.plan()
    fab.place.run("DELETE FROM t WHERE id IN (2, 5)")
    fab.publish()
    fab.place.fill("t", id=[2, 5], at=[at(1), at(1)])
    assert fab.read(keys).rows.column("id").to_pylist() == [2, 5]


def test_a_range_that_grew_is_read_up_to_the_batch_and_the_rest_stays_pending(fab):
    wafers(fab, 4, id=[10, 20, 30, 40]).open(time="at")
    first, second = fab.plan(2)
    fab.place.fill("t", id=[11, 12, 13], at=[at(1)] * 3)
    assert fab.read(first, 2).rows.column("id").to_pylist() == [10, 11]
    assert fab.read(second, 2).rows.column("id").to_pylist() == [30, 40]


def test_many_chunks_of_keys_travel_between_databases(fab, monkeypatch):
    monkeypatch.setattr("rowcast.fetch.pending._CHUNK", 3)
    monkeypatch.setattr("rowcast.store.job_rows._CHUNK", 3)
    wafers(fab, 20, x=[None] * 5 + [1] * 5 + [0.5] * 5 + [2] * 5, s=[None] * 6 + ["a"] * 14)
    fab.open(time="at", exclude=["y_at"])
    fab.publish(4, bad=lambda place: place % 2)
    assert (fab.count("prediction"), fab.count("quarantine")) == (10, 10)
    fab.place.fill("t", id=list(range(100, 120)), at=[at(1)] * 20, x=[1] * 4 + [0.5] * 16)
    [keys] = fab.plan()
    read = fab.read(keys).rows
    assert read.column("id").to_pylist() == list(range(100, 120))
    assert read.column("x").to_pylist() == [1] * 4 + [0.5] * 16
    assert read.schema.names == ["id", "x", "s", "rowcast.key_0"]


def test_misfits_keep_their_row_when_chunks_are_joined(make_place, monkeypatch):
    monkeypatch.setattr("rowcast.fetch.pending._CHUNK", 3)
    monkeypatch.setattr("rowcast.store.job_rows._CHUNK", 3)
    fab = Fab(make_place("sqlite"), make_place("sqlite"))
    wafers(fab, 8, x=[1, "a", 3, 4, 5, 6, "b", 8]).open(time="at")
    [keys] = fab.plan()
    found = fab.read(keys)
    assert found.rows.column("x").to_pylist() == [1, None, 3, 4, 5, 6, None, 8]
    assert found.misfits == [Misfit(1, "x", "a"), Misfit(6, "x", "b")]
    fab.publish(bad=lambda place: place == 0)
    fab.place.fill("t", id=[20, 21, 22, 23, 24], at=[at(1)] * 5, x=[1, 2, 3, 4, "c"])
    [keys] = fab.plan()
    assert fab.read(keys).misfits == [Misfit(4, "x", "c")]


def test_chunks_of_integers_floats_and_texts_are_joined(make_place, monkeypatch):
    """SQLite lets any type into any column, so that each chunk may come with types of its own."""
    monkeypatch.setattr("rowcast.fetch.pending._CHUNK", 2)
    monkeypatch.setattr("rowcast.store.job_rows._CHUNK", 2)
    fab = Fab(make_place("sqlite"), make_place("sqlite"))
    fab.place.run("CREATE TABLE t (id integer, at timestamp, n integer, s text, u, y integer)")
    n, s, u = [1, 2, 1.5, 2**60, None, None], [None, None, "a", "b", 1, 2], ["a", "b", None, None, 1, 2.5]
    fab.place.fill("t", id=[1, 2, 3, 4, 5, 6], at=[at(1)] * 6, n=n, s=s, u=u)
    [keys] = fab.open(time="at").plan()
    found = fab.read(keys)
    assert found.rows.column("n").to_pylist() == [1.0, 2.0, 1.5, 2.0**60, None, None]
    assert found.rows.column("s").to_pylist() == [None, None, "a", "b", "1", "2"]
    assert found.rows.column("u").to_pylist() == [None, None, None, None, 1.0, 2.5]
    assert [(misfit.row, misfit.value) for misfit in found.misfits] == [(0, "a"), (1, "b")]


def test_only_the_columns_asked_for_are_read(one):
    wafers(one).open(time="at")
    [keys] = one.plan()
    read = one.pending.read(keys, [one.source.relation["x"]], EVERYTHING, NOW, 10).rows
    assert read.schema.names == ["id", "x", "rowcast.key_0"]


# ---- keys


def test_composite_keys_of_any_text_are_each_in_one_batch(fab):
    fab.place.run("CREATE TABLE t (lot text, at timestamp, slot integer, y integer, PRIMARY KEY (lot, slot))")
    rows = [(text, slot) for text in told_apart(HARD_TEXTS, fab.place, fab.store_place) for slot in (1, 2, 3)]
    fab.place.fill("t", lot=[row[0] for row in rows], slot=[row[1] for row in rows], at=[at(1)] * len(rows))
    fab.open(key=["lot", "slot"], time="at")
    seen = Counter()
    for keys in fab.plan(7):
        read = fab.read(keys, 7).rows
        seen.update(zip(read.column("lot").to_pylist(), read.column("slot").to_pylist(), strict=True))
    assert seen == Counter(rows)
    fab.publish(7)
    assert fab.count("prediction") == len(rows)
    assert fab.plan() == []


def test_rows_are_found_again_by_their_keys_of_any_text(fab, monkeypatch):
    monkeypatch.setattr(by_key, "_TOGETHER", 7)
    fab.place.run(
        "CREATE TABLE t (lot text, at timestamp, slot integer, x integer, y integer, PRIMARY KEY (lot, slot))"
    )
    rows = [(text, slot) for text in told_apart(HARD_TEXTS, fab.place, fab.store_place) for slot in (1, 2, 3)]
    columns = {"lot": [row[0] for row in rows], "slot": [row[1] for row in rows], "x": list(range(len(rows)))}
    fab.place.fill("t", **columns, at=[at(1)] * len(rows))
    fab.open(key=["lot", "slot"], time="at")
    for keys in fab.plan(50):
        read = fab.read(keys, 50).rows
        wanted = read.take(list(range(0, read.num_rows, 2)))
        found = fetch.fetch_by_key(fab.source, fab.source.take_rendered_key(wanted), [fab.source.relation["x"]])
        values = [value for each in found for value in each.rows.column("x").to_pylist()]
        assert sorted(values) == sorted(wanted.column("x").to_pylist())
        assert len(found) == -(-wanted.num_rows // 7)


def test_keys_that_differ_in_case_or_trailing_blanks_are_different_rows(fab):
    keys = told_apart(["a ", "A ", "a", "A", " a", "ä", "Ä", "a\t", ""], fab.place, fab.store_place)
    spelled = "text" if fab.place.is_mssql else "varchar(9)"
    wafers(fab, len(keys), f"{spelled} primary key", id=keys).open(time="at")
    assert sorted(fab.rows(2)) == sorted(keys)
    fab.publish(2)
    assert fab.count("prediction") == len(keys)
    assert fab.plan() == []


def test_repeated_and_null_keys_are_never_planned_or_read(fab):
    wafers(fab, 9, "integer", id=[1, 2, 2, 3, None, 4, None, 5, 5]).open(time="at")
    assert fab.rows(2) == [1, 3, 4]
    assert fab.read(KeyRange(("1",), ("5",), 9)).rows.column("id").to_pylist() == [1, 3, 4]


def test_a_composite_key_repeats_only_as_a_whole(fab):
    fab.place.run("CREATE TABLE t (a integer, b integer, at timestamp, y integer)")
    fab.place.fill("t", a=[1, 1, 2, 2, None, 3], b=[1, 2, 1, 1, 1, None], at=[at(1)] * 6)
    fab.open(key=["a", "b"], time="at")
    assert [read for keys in fab.plan(1) for read in fab.read(keys).rows.select(["a", "b"]).to_pylist()] == [
        {"a": 1, "b": 1},
        {"a": 1, "b": 2},
    ]


@pytest.mark.parametrize(
    ("system", "spelled"), [("sqlite", "text COLLATE NOCASE"), ("mssql", "varchar(9) COLLATE Latin1_General_CI_AS")]
)
def test_a_key_that_a_looser_collation_repeats_is_unusable(make_place, system, spelled):
    place = make_place(system)
    fab = wafers(Fab(place, place), 4, spelled, id=["a", "A", "B", "c"]).open(time="at")
    assert fab.rows(1) == ["B", "c"]
    fab.publish(1)
    assert fab.plan() == []
    fab.place.run("UPDATE t SET id = 'b' WHERE id = 'B'")  # the same key
    assert fab.plan() == []


def every_key():
    """Kinds of keys in one database and in two; two of the same system take them as one does."""
    return [
        pytest.param(system, s, apart, marks=[pytest.mark.long] if apart == system else (), id=f"{system}-{s}-{apart}")
        for system in KEYS
        for s in KEYS[system]
        for apart in ("together", "sqlite", "postgresql", "mssql")
        if s
    ]


@pytest.mark.everywhere
@pytest.mark.parametrize(("system", "spelled", "apart"), every_key())
def test_keys_of_every_type_are_scored_once(make_place, system, spelled, apart):
    """From the source's column through Arrow to the job's own, and back by the anti-join."""
    place = make_place(system)
    count = filled_with_keys(place, spelled)
    place.run("ALTER TABLE t ADD COLUMN y integer")
    fab = Fab(place, place if apart == "together" else make_place(apart)).open(key=["k"])
    scope = Scope(after=())
    seen = [
        key for keys in fab.plan(2, scope=scope) for key in fab.read(keys, 2, scope=scope).rows.column("k").to_pylist()
    ]
    assert len(seen) == len(set(seen)) == count
    ranges = fab.plan(2, scope=scope)
    for keys, batch_id in zip(ranges, fab.ledger.add_batches(1, ranges, 1), strict=True):
        rows = fab.read(keys, 2, scope=scope).rows
        batch = fab.ledger.claim(batch_id, 1, 1)
        assert batch.keys == keys
        empty = fab.quarantined(rows, np.arange(0))
        assert fab.ledger.publish(batch, BatchResult(fab.predictions(rows, np.arange(rows.num_rows)), empty), None)
    assert fab.count("prediction") == count
    assert fab.plan(scope=scope) == []
    # What is read back has the checksums that were published.
    assert check_batches(fab.ledger) == BatchCounts()


def test_numbers_in_a_key_that_are_not_integers_are_scored_in_sqlite(make_place):
    """An INTEGER column of SQLite takes anything; the job's own must take it too."""
    place = make_place("sqlite")
    wafers(Fab(place, place), 4, "integer", id=[1, 2.5, "abc", 7])
    fab = Fab(place, place).open(time="at")
    fab.publish()
    assert fab.count("prediction") == 4
    assert fab.plan() == []


# ---- which rows


def test_rows_without_a_time_are_never_planned(fab):
    wafers(fab, 3, at=[at(1), None, at(2)]).open(time="at")
    assert fab.rows() == [1, 3]


def test_where_decides_which_rows_are_ready(fab):
    wafers(fab, 5, s=["ready", "100% :ok?", None, "ready", "it's"]).open(
        time="at", where="s = 'ready' OR s = '100% :ok?'"
    )
    assert fab.rows(2) == [1, 2, 4]
    fab.publish(bad=lambda place: place == 0)
    fab.place.run("UPDATE t SET s = 'ready' WHERE id = 5")
    assert fab.rows() == [5]


def test_where_may_end_in_a_comment(one):
    wafers(one, 3).open(time="at", where="id <> 2 -- broken tool")
    assert one.rows() == [1, 3]


def test_a_key_may_repeat_among_rows_that_are_not_ready(fab):
    wafers(fab, 4, "integer", id=[1, 1, 2, 3], s=["draft", "ready", "ready", "draft"])
    fab.open(time="at", where="s = 'ready'")
    assert fab.rows() == [1, 2]


def test_a_query_is_fetched_as_a_table_is(fab):
    wafers(fab, 6)
    query = (
        'SELECT id AS "key", at AS "at time", x * 2 AS "x:2", y FROM t WHERE id <> 3 AND \'12:30\' <> \':x\' -- all;'
    )
    fab.open(query=query, key=["key"], time="at time")
    assert fab.rows(2) == [1, 2, 4, 5, 6]
    fab.publish(2)
    assert fab.plan() == []


def test_ranges_to_skip_are_left_out(fab):
    wafers(fab).open(time="at")
    ranges = fab.plan(2)
    left = fab.plan(3, skip=[ranges[1], ranges[3]])
    assert [fab.read(keys, 3).rows.column("id").to_pylist() for keys in left] == [[1, 2], [5, 6], [9, 10]]
    assert fab.plan(3, skip=ranges) == []


def test_rows_before_the_scope_are_not_pending(fab):
    wafers(fab, 4, at=[at(4), at(3), at(2), at(1)]).open(time="at")
    scope = replace(EVERYTHING, since=NOW - timedelta(days=3))
    assert fab.rows(scope=scope) == [2, 3, 4]


def test_late_rows_are_found_within_late_arrival_of_the_last_complete_run(fab):
    wafers(fab, 3, at=[at(5.1), at(4.9), at(1)]).open(time="at")
    complete_to = NOW - timedelta(days=1)
    assert fab.rows(complete_to=complete_to, late_arrival=timedelta(days=4)) == [2, 3]
    assert fab.rows(late_arrival=timedelta(days=4)) == [1, 2, 3]


def test_a_clock_that_was_ahead_hides_no_row(fab):
    """A run with a clock 400 days ahead, which saw a row of then, noted that all is complete until then."""
    wafers(fab, 3, at=[at(5.1), at(1), at(-399)]).open(time="at")
    ahead = NOW + timedelta(days=399)
    assert fab.rows(complete_to=ahead) == [1, 2]
    assert fab.rows(complete_to=ahead, now=NOW + timedelta(days=400)) == [3]  # what it noted holds from then on


def test_without_a_time_column_the_scope_is_a_key(fab):
    wafers(fab, 5, "varchar(9)", id=["a", "b", "it's", "d", None]).open()
    scope = Scope(after=("'b'" if fab.place.is_sqlite else "b",))
    assert fab.rows(scope=scope) == ["d", "it's"]
    assert fab.rows(scope=replace(scope, after=())) == ["a", "b", "d", "it's"]


def test_the_future_is_invisible(fab):
    wafers(fab, 3, at=[at(3), at(2), at(1)]).open(time="at")
    assert fab.rows(now=NOW - timedelta(days=2)) == [1, 2]
    [keys] = fab.plan()
    assert fab.read(keys, now=NOW - timedelta(days=2)).rows.column("id").to_pylist() == [1, 2]


def test_zoneless_times_are_read_in_their_zone(one):
    wafers(one, 2, at=["2026-05-31 23:59:00", "2026-06-01 01:59:00"]).open(time="at", timezone="Europe/Berlin")
    assert one.rows() == [1, 2]  # both before midnight UTC
    assert one.rows(now=NOW - timedelta(hours=1)) == [1]


# ---- labels


def test_labels_are_known_at_once_unless_something_else_is_said(one):
    wafers(one, 3, y=[0, 1, None]).open(time="at")
    assert fetch.count_known_labels(one.source, NOW) == 2


def test_a_label_is_known_from_its_own_time_on(one):
    wafers(one, 4, at=[at(9)] * 4, x=[1, 2, 3, 4], y=[0, 1, 1, None], y_at=[at(3), at(1), None, at(3)])
    one.open(time="at", label_time="y_at")
    assert fetch.count_known_labels(one.source, NOW) == 2
    assert fetch.count_known_labels(one.source, NOW - timedelta(days=1)) == 2
    assert fetch.count_known_labels(one.source, NOW - timedelta(days=1, seconds=1)) == 1
    assert training(one, now=NOW - timedelta(days=2)).column("x").to_pylist() == [1]


def test_a_label_is_known_some_time_after_the_event(one):
    wafers(one, 3, at=[at(9), at(8), at(7)], y=[0, 1, 1]).open(time="at", label_delay="2d")
    assert fetch.count_known_labels(one.source, NOW) == 3
    assert fetch.count_known_labels(one.source, NOW - timedelta(days=6)) == 2
    assert fetch.count_known_labels(one.source, NOW - timedelta(days=6, seconds=1)) == 1


def training(fab, most=100, now=NOW, trained_to=None):
    return fetch.fetch_training_rows(fab.source, now, most, trained_to).rows


def test_training_rows_are_the_latest_known_ones_oldest_first(one):
    wafers(one, 6, at=[at(day) for day in (1, 6, 2, 5, 3, 4)], x=[1, 6, 2, 5, 3, 4], y=[0, 1, 0, 1, None, 0])
    one.open(time="at")
    rows = training(one)
    assert rows.column("x").to_pylist() == [6, 5, 4, 2, 1]
    assert rows.column(LABEL).to_pylist() == [1, 1, 0, 0, 0]
    micros = [int((NOW - timedelta(days=day)).timestamp()) * 1_000_000 for day in (6, 5, 4, 2, 1)]
    assert rows.column(TIME).to_pylist() == micros
    assert rows.schema.field(TIME).type == pa.int64()
    assert training(one, most=2).column("x").to_pylist() == [2, 1]
    assert training(one, now=NOW - timedelta(days=2)).column("x").to_pylist() == [6, 5, 4, 2]


def test_training_rows_of_one_moment_are_in_key_order(one):
    wafers(one, 5, id=[3, 1, 2, 5, 4], at=[at(1)] * 5, x=[3, 1, 2, 5, 4], y=[0] * 5).open(time="at")
    assert training(one).column("x").to_pylist() == [1, 2, 3, 4, 5]
    assert training(one, most=2).column("x").to_pylist() == [4, 5]


def test_fresh_rows_are_later_than_what_the_champion_saw(one):
    wafers(one, 3, at=[at(3), at(2), at(1)], y=[0, 1, 0]).open(time="at")
    assert training(one, trained_to=NOW - timedelta(days=2)).column(FRESH).to_pylist() == [0, 0, 1]
    assert training(one).column(FRESH).to_pylist() == [0, 0, 0]


def test_without_a_time_column_key_order_is_time_order(one):
    wafers(one, 4, "varchar(9)", id=["b", "a", "d", "c"], x=[2, 1, 4, 3], y=[0, 1, 0, 1]).open()
    rows = training(one, trained_to=("'b'" if one.place.is_sqlite else "b",))
    assert rows.column("x").to_pylist() == [1, 2, 3, 4]
    assert rows.column(TIME).to_pylist() == [0, 1, 2, 3]
    assert rows.column(FRESH).to_pylist() == [0, 0, 1, 1]
    assert training(one, most=2).column("x").to_pylist() == [3, 4]


def test_groups_and_misfits_come_along(make_place):
    place = make_place("sqlite")
    fab = wafers(Fab(place, place), 4, x=[1, "a", 3, "b"], s=["l1", "l1", None, "l2"], y=[0, 1, 0, 1])
    fab.open(time="at", group="s")
    found = fetch.fetch_training_rows(fab.source, NOW, 100, None).fetched
    assert found.rows.column(GROUP).to_pylist() == ["l1", "l1", None, "l2"]
    assert sorted((misfit.row, misfit.value) for misfit in found.misfits) == [(1, "a"), (3, "b")]
    latest = fetch.fetch_training_rows(fab.source, NOW, 2, None).fetched
    assert [(misfit.row, misfit.value) for misfit in latest.misfits] == [(1, "b")]
    assert "s" not in latest.rows.schema.names


def test_unusable_rows_are_not_trained_on(one):
    wafers(one, 5, "integer", id=[1, 2, 2, None, 3], at=[at(1)] * 4 + [None], y=[0] * 5, x=[1, 2, 3, 4, 5]).open(
        time="at"
    )
    assert training(one).column("x").to_pylist() == [1]


def test_no_known_label_gives_no_training_rows(one):
    wafers(one, 3).open(time="at")
    rows = training(one)
    assert rows.num_rows == 0
    assert {TIME, LABEL, FRESH, "x", "s"} <= set(rows.schema.names)


def test_keys_times_labels_and_excluded_columns_are_no_features(one):
    one.place.run(
        "CREATE TABLE t (id integer, at timestamp, y integer, y_at timestamp, g text, note text, x real, s text)"
    )
    one.open(time="at", label_time="y_at", group="g", exclude=["note"])
    assert [column.name for column in one.source.features] == ["x", "s"]


def test_a_time_among_the_features_is_the_hours_before_the_event(one):
    later = (NOW + timedelta(minutes=30)).strftime("%Y-%m-%d %H:%M:%S")
    wafers(one, 4, at=[at(0)] * 4, y_at=[at(0), at(1.5), None, later], y=[0, 1, 0, 1]).open(time="at", timezone="UTC")
    assert training(one).column("y_at").to_pylist() == [0, 36, None, None]  # what comes later was not known then
    [keys] = one.plan()
    assert one.read(keys).rows.column("y_at").to_pylist() == [0, 36, None, None]


def test_without_an_event_time_no_time_is_a_feature(one):
    wafers(one, 2).open()
    assert [column.name for column in one.source.features] == ["x", "s"]


def test_when_a_label_was_known_comes_along(one):
    wafers(one, 2, at=[at(3), at(2)], y=[0, 1], y_at=[at(1.5), at(1)]).open(time="at", label_time="y_at")
    days = [(known - time) / 86_400e6 for time, known in zip(*columns(training(one), TIME, KNOWN), strict=True)]
    assert days == [1.5, 1]
    one.open(time="at", label_delay="2h")
    assert [k - t for t, k in zip(*columns(training(one), TIME, KNOWN), strict=True)] == [7_200_000_000] * 2
    one.open()
    assert columns(training(one), TIME, KNOWN) == [[0, 1], [0, 1]]


def columns(rows, *names):
    return [rows.column(name).to_pylist() for name in names]


# ---- where scoring begins


def test_scoring_begins_late_arrival_before_the_newest_label_and_leaves_labelled_rows_to_training(one):
    wafers(one, 5, at=[at(day) for day in (36, 9, 7, 5, 3)], y=[None, 0, None, 1, None]).open(
        time="at", late_arrival="30d"
    )
    newest = NOW - timedelta(days=5)
    scope = fetch.find_initial_scope(one.source, NOW, None)
    assert scope == Scope(newest - timedelta(days=30), learned=Learned(newest, NOW))
    assert one.rows(scope=scope) == [3, 5]
    counts = fetch.count_scope(one.source, NOW, scope)
    assert (counts.rows, counts.older, counts.learned, counts.scored) == (5, 1, 2, 2)


def test_a_row_that_comes_late_is_in_scope_although_every_label_was_known(one):
    wafers(one, 3, at=[at(3), at(2), at(1)], y=[0, 1, 0]).open(time="at")
    scope = fetch.find_initial_scope(one.source, NOW, None)
    assert one.rows(scope=scope) == []
    one.place.fill("t", id=[4, 5, 6], at=[at(0.5), at(20), at(40)])
    assert sorted(one.rows(scope=scope)) == [4, 5]


def test_a_label_that_is_not_known_yet_leaves_its_row_in_scope(one):
    wafers(one, 3, at=[at(9), at(8), at(7)], y=[0, 1, 1], y_at=[at(8), at(1), at(2)]).open(time="at", label_time="y_at")
    as_of = NOW - timedelta(days=1, hours=1)
    scope = fetch.find_initial_scope(one.source, as_of, None)
    assert scope.learned == Learned(NOW - timedelta(days=7), as_of)
    assert one.rows(scope=scope) == [2]


@pytest.mark.parametrize("until", [9, 7.5, 5, 0])
@pytest.mark.parametrize("timed", [True, False])
def test_just_the_rows_that_a_version_could_learn_from_are_not_scored(until, timed, fab):
    wafers(fab, 4, at=[at(day) for day in (9, 7, 5, 3)], y=[0, None, 1, 1])
    fab.open(**({"time": "at"} if timed else {}))
    last = NOW - timedelta(days=until) if timed else ({9: "1", 7.5: "1", 5: "3", 0: "4"}[until],)
    began = EVERYTHING if timed else Scope(after=())
    scope = replace(began, learned=Learned(last, NOW))
    learned = {9: [1], 7.5: [1], 5: [1, 3], 0: [1, 3, 4]}[until]
    assert fab.rows(scope=scope) == [row for row in (1, 2, 3, 4) if row not in learned]


def test_since_overrides_where_scoring_begins(one):
    wafers(one, 3, y=[0, 1, None]).open(time="at", timezone="Europe/Berlin")
    assert fetch.find_initial_scope(one.source, NOW, "2026-05-01") == Scope(
        datetime(2026, 4, 30, 22, tzinfo=UTC), with_learned=True
    )
    assert fetch.find_initial_scope(one.source, NOW, "2026-05-01T00:00:00Z") == Scope(
        datetime(2026, 5, 1, tzinfo=UTC), with_learned=True
    )
    with pytest.raises(ConfigError, match="not a moment"):
        fetch.find_initial_scope(one.source, NOW, "in May")


def test_without_a_time_column_scoring_begins_after_the_last_key_before_the_first_unlabelled(one):
    wafers(one, 5, "varchar(9)", id=["a", "b", "it's", "d", None], y=[0, 1, None, None, 1]).open()
    scope = fetch.find_initial_scope(one.source, NOW, None)
    assert scope.since is None
    assert one.rows(scope=scope) == ["d", "it's"]
    with pytest.raises(ConfigError, match=r"needs source\.time"):
        fetch.find_initial_scope(one.source, NOW, "2026-05-01")


def test_without_a_time_column_and_with_the_first_row_unlabelled_all_are_in_scope(one):
    wafers(one, 3, y=[None, 1, 0]).open()
    scope = fetch.find_initial_scope(one.source, NOW, None)
    assert one.rows(scope=replace(scope, learned=None)) == [1, 2, 3]
    assert one.rows(scope=scope) == [1]  # the others are left to training


def test_without_a_time_column_and_all_labelled_only_later_keys_are_in_scope(one):
    wafers(one, 3, y=[0, 1, 0]).open()
    scope = fetch.find_initial_scope(one.source, NOW, None)
    assert one.rows(scope=scope) == []
    one.place.fill("t", id=[4], at=[at(1)])
    assert one.rows(scope=scope) == [4]


def test_scope_of_an_empty_table_begins_now(one):
    wafers(one, 1)
    one.place.run("DELETE FROM t")
    assert fetch.find_initial_scope(one.open(time="at").source, NOW, None) == Scope(NOW, None)
    assert fetch.find_newest_event(one.source, NOW) is None
    assert fetch.find_initial_scope(one.open().source, NOW, None) == Scope(None, ())


def test_the_newest_event_is_the_newest_visible_one(one):
    wafers(one, 4, at=[at(3), at(1), None, at(-5)]).open(time="at")
    assert fetch.find_newest_event(one.source, NOW) == NOW - timedelta(days=1)
    assert fetch.find_newest_event(one.open().source, NOW) is None


# ---- fingerprints


def hashes(rows, misfits=(), columns=None):
    return hash_rows(rows, misfits, columns or rows.schema.names).tolist()


def batch(**columns):
    return pa.RecordBatch.from_pydict(columns)


ROWS = batch(
    x=pa.array([1.0, 2.5, None, math.nan, -0.0, math.inf, 1e300]),
    n=pa.array([1, 2, 3, None, 5, 2**62, 7]),
    s=pa.array(["a", None, "", "NULL", "ä", "a", "A"]),
    b=pa.array([True, False, None, True, True, False, None]),
)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_a_fingerprint_does_not_depend_on_the_batch(size):
    parts = [hashes(ROWS.slice(start, size)) for start in range(0, ROWS.num_rows, size)]
    assert list(itertools.chain(*parts)) == hashes(ROWS)
    assert len(set(hashes(ROWS))) == ROWS.num_rows


@pytest.mark.parametrize(
    "changed",
    [
        {"x": 1.0000000000000002},
        {"x": None},
        {"x": -1.0},
        {"n": 2},
        {"n": None},
        {"s": "a "},
        {"s": None},
        {"b": False},
    ],
)
def test_a_fingerprint_changes_with_any_value(changed):
    row = {"x": [1.0], "n": [1], "s": ["a"], "b": [True]}
    assert hashes(batch(**row)) != hashes(batch(**{**row, **{name: [value] for name, value in changed.items()}}))


def test_values_that_change_places_change_the_fingerprint():
    assert hashes(batch(a=[1.0], b=[2.0])) != hashes(batch(a=[2.0], b=[1.0]))
    assert hashes(batch(a=[1.0], b=[1.0])) != hashes(batch(a=[2.0], b=[2.0]))
    assert hashes(batch(a=["x"], b=[None])) != hashes(batch(a=[None], b=["x"]))


def test_null_is_nan_and_an_integer_is_its_float_in_a_fingerprint():
    assert hashes(batch(x=pa.array([None], pa.float64()))) == hashes(batch(x=pa.array([math.nan])))
    assert hashes(batch(x=pa.array([None], pa.string()))) == hashes(batch(x=pa.array([None], pa.int64())))
    assert hashes(batch(x=pa.array([1]))) == hashes(batch(x=pa.array([1.0]))) == hashes(batch(x=pa.array([True])))
    assert hashes(batch(x=pa.array([0.0]))) == hashes(batch(x=pa.array([-0.0])))


def test_a_misfit_is_part_of_the_fingerprint():
    rows = batch(x=pa.array([None, None], pa.float64()))
    plain, odd = hashes(rows), hashes(rows, [Misfit(1, "x", "a")])
    assert plain[0] == odd[0]
    assert plain[1] != odd[1] != hashes(rows, [Misfit(1, "x", "b")])[1]
    assert hashes(rows, [Misfit(1, "other", "a")]) == plain


def test_rows_have_one_fingerprint_on_every_system(make_place):
    found = []
    for system in TOGETHER:
        place = make_place(system)
        place.run(
            "CREATE TABLE t (id integer primary key, at timestamp, x double precision, n bigint, s text, y integer)"
        )
        place.fill("t", id=[1, 2, 3], at=[at(1)] * 3, x=[1, 0.1, None], n=[5, None, -3], s=["a", None, "ü"])
        fab = Fab(place, place).open(time="at")
        read = fab.read(fab.plan()[0])
        found.append(hash_rows(read.rows, read.misfits, ["x", "n", "s"]).tolist())
    assert found[0] == found[1]


# ---- a source that cannot be used


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"table": "wafer"}, ["wafer"]),
        ({"key": ["ids"]}, ["'ids'", "source.key", "did you mean 'id'"]),
        ({"time": "att"}, ["'att'", "source.time", "did you mean 'at'"]),
        ({"label": "failed"}, ["'failed'", "source.label", "its columns begin with id, at"]),
        ({"group": "lot"}, ["'lot'", "source.group"]),
        ({"exclude": ["S"]}, ["'S'", "source.exclude"]),
        ({"time": "at", "label_time": "y_on"}, ["'y_on'", "source.label_time"]),
    ],
)
def test_what_is_missing_is_named_with_the_way_out(one, given, names):
    wafers(one)
    with pytest.raises(SourceError) as caught:
        one.open(**given)
    assert all(name in str(caught.value) for name in names), str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


def test_a_text_as_time_is_refused_where_the_database_has_times(make_place):
    place = make_place("postgresql")
    with pytest.raises(SourceError, match="time column 's' is text"):
        wafers(Fab(place, place)).open(time="s")


# ---- any table


@effort(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.sampled_from([None, 1, 2, 3]), st.sampled_from([None, "", "a", "A", "a'"]), st.integers(0, 4)),
        max_size=14,
    ),
    scored=st.sets(st.integers(0, 13)),
    batch_rows=st.integers(1, 5),
)
def test_any_table_is_planned_as_a_brute_search_would(make_place, rows, scored, batch_rows):
    """Usable rows in scope that are not scored yet, each once, in batches that do not overlap."""
    place = make_place("sqlite")
    place.run("CREATE TABLE t (a integer, b text, at timestamp, y integer)")
    if rows:
        place.fill(
            "t", a=[r[0] for r in rows], b=[r[1] for r in rows], at=[at(r[2] or 99) if r[2] else None for r in rows]
        )
    fab = Fab(place, place).open(key=["a", "b"], time="at")
    repeated = Counter(row[:2] for row in rows)
    usable = [row for row in rows if None not in row[:2] and repeated[row[:2]] == 1 and row[2]]
    done = [row for place, row in enumerate(usable) if place in scored]
    if done:
        keys = batch(a=[row[0] for row in done], b=[row[1] for row in done])
        fab.store.ingest(fab.own.prediction, with_lineage(fab.predictions(keys, np.arange(len(done)))))
    scope = replace(EVERYTHING, since=NOW - timedelta(days=3))
    wanted = sorted(row[:2] for row in usable if row not in done and row[2] <= 3)
    found = []
    for keys in fab.plan(batch_rows, scope=scope):
        read = fab.read(keys, batch_rows, scope=scope).rows
        assert read.num_rows == keys.rows
        found += [tuple(row.values()) for row in read.select(["a", "b"]).to_pylist()]
    assert found == wanted


def with_lineage(rows):
    table = pa.Table.from_batches([rows])
    for name in ("model_version", "run_id", "batch_id"):
        table = table.append_column(name, pa.array([1] * len(table), pa.int64()))
    return table.append_column("scored_at", pa.array([NOW] * len(table), pa.timestamp("us", "UTC")))
