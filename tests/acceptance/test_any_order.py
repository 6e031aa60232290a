"""Everything that can happen to a job, in any order, beside a model that says where each row must be afterwards.

Rows arrive, in time or late; they change, break, are mended and deleted. Runs score them, look further back, score
again what has changed; any of them may die at any statement. After each of these, promise 1 is looked at by SQL of this
file's own, row by row and in sums, and `rowcast audit` must say the same.

The long form is `pytest tests/acceptance/test_any_order.py --long`: many more lives, and other ones each time.
"""

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from conftest import literal
from hypothesis import HealthCheck
from hypothesis import settings as effort
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from jobs import LABELLED, SENSORS, START, Job, create, moment, wafers
from mortal import Dead, Death, living

from rowcast import config, pipeline, promotion
from rowcast.audit import audit
from rowcast.errors import QuarantineError
from rowcast.job.opening import open_job
from rowcast.recorded_run import Result
from rowcast.row_places import count_places
from rowcast.scoring.requeue import RequeueFilter
from rowcast.store.records import RunOptions

pytest_plugins = ("job_fixtures",)

STEP = timedelta(minutes=10)  # times are numbers of it, as `moment` counts them
LATE_ARRIVAL = 6
SCOPE = LABELLED - LATE_ARRIVAL  # when scoring begins: so long before the newest label; labelled rows are left out
FIRST_KEY, APART, BEGUN_WITH = 1000, 10, 10  # keys leave room for late ones between them
BATCH_ROWS = 4

# Two sensors change. The second version does not read s12: it neither checks that nor sees when it changes.
READ = {1: ("s01", "s12"), 2: ("s01",), 3: ("s01", "s12")}
RULES = {1e6: "max", -1e6: "min"}  # values that break the contract, and how

TABLES = ("job", "run", "step", "batch", "shadow_batch", "metric", "model", "promotion", "profile", "drift", "alert")
TABLES_OF_JOB = ("wafers_prediction", "wafers_quarantine", "wafers_history", "wafers_shadow")

SUMS = """
SELECT (SELECT count(*) FROM wafers) AS source,
    (SELECT count(*) FROM wafers WHERE measured_at IS NULL) AS unusable,
    (SELECT count(*) FROM wafers AS w WHERE (measured_at < '{scope}' OR failed IS NOT NULL)
        AND NOT EXISTS (SELECT 1 FROM {prediction} AS p WHERE p.wafer = w.wafer)
        AND NOT EXISTS (SELECT 1 FROM {quarantine} AS q WHERE q.wafer = w.wafer)) AS out_of_scope,
    (SELECT count(*) FROM wafers AS w JOIN {prediction} AS p ON p.wafer = w.wafer
        WHERE w.measured_at IS NOT NULL) AS scored,
    (SELECT count(*) FROM wafers AS w JOIN {quarantine} AS q ON q.wafer = w.wafer
        WHERE w.measured_at IS NOT NULL) AS quarantined,
    (SELECT count(*) FROM wafers AS w WHERE measured_at >= '{scope}' AND failed IS NULL
        AND NOT EXISTS (SELECT 1 FROM {prediction} AS p WHERE p.wafer = w.wafer)
        AND NOT EXISTS (SELECT 1 FROM {quarantine} AS q WHERE q.wafer = w.wafer)) AS pending
"""

FAULTS = """
SELECT (SELECT count(*) FROM (SELECT wafer FROM {prediction} GROUP BY wafer HAVING count(*) > 1) AS d) AS scored_twice,
    (SELECT count(*) FROM (SELECT wafer FROM {quarantine} GROUP BY wafer HAVING count(*) > 1) AS d) AS set_aside_twice,
    (SELECT count(*) FROM {prediction} AS p JOIN {quarantine} AS q ON q.wafer = p.wafer) AS scored_and_set_aside,
    (SELECT count(*) FROM (SELECT batch_id FROM {prediction} UNION ALL SELECT batch_id FROM {quarantine}
        UNION ALL SELECT batch_id FROM {history}) AS r WHERE NOT EXISTS
        (SELECT 1 FROM {batch} AS b WHERE b.batch_id = r.batch_id AND b.status = 'published')) AS of_no_batch,
    (SELECT count(*) FROM {batch} AS b WHERE b.status = 'published' AND (
        b.scored <> (SELECT count(*) FROM {prediction} AS p WHERE p.batch_id = b.batch_id)
            + (SELECT count(*) FROM {history} AS h WHERE h.batch_id = b.batch_id AND h.was = 'scored')
        OR b.quarantined <> (SELECT count(*) FROM {quarantine} AS q WHERE q.batch_id = b.batch_id)
            + (SELECT count(*) FROM {history} AS h WHERE h.batch_id = b.batch_id AND h.was = 'quarantined')
        OR b.row_count <> b.scored + b.quarantined)) AS batches_of_other_counts,
    (SELECT count(*) FROM {shadow} AS s WHERE NOT EXISTS (SELECT 1 FROM {prediction} AS p WHERE p.wafer = s.wafer
        AND p.batch_id = s.batch_id AND p.row_hash = s.row_hash AND p.model_version <> 3 AND s.model_version = 3))
        AS shadows_of_nothing
"""


@dataclass(frozen=True)
class Row:
    """A row of the source."""

    time: int | None  # one that has none is unusable
    s01: float = 0.0
    s12: float = 0.0

    def read_by(self, version: int) -> dict[str, float]:
        """The values that a model version reads, of those that ever change."""
        return {name: getattr(self, name) for name in READ[version]}


def breaks(values: dict[str, float]) -> list[str]:
    """The reasons for which a row is set aside."""
    return [f"{name}: {RULES[value]}" for name, value in values.items() if value in RULES]


@dataclass(frozen=True)
class Placed:
    """Where a row is that is no longer pending."""

    place: str
    version: int
    run: int
    batch: int


@dataclass(frozen=True)
class Batch:
    """A batch as the ledger records it."""

    status: str
    first: int
    last: int
    attempts: int


@dataclass(frozen=True)
class Store:
    """What rowcast's own tables say, by SQL."""

    placed: dict[int, Placed]
    history: Counter[int]  # earlier rows of each key
    batches: dict[int, Batch]
    complete_to: int | None
    champion: int

    @property
    def open(self) -> set[int]:
        return {number for number, batch in self.batches.items() if batch.status in ("planned", "claimed")}

    def within(self, batches: Iterable[int], keys: set[int]) -> set[int]:
        """Those keys that lie in the ranges of batches."""
        ranges = [self.batches[number] for number in batches]
        return {key for key in keys if any(batch.first <= key <= batch.last for batch in ranges)}


class Fab:
    """A job with three model versions, whose database is put back to its beginnings for each life."""

    def __init__(self, job: Job) -> None:
        self.job = job
        create(job.place)
        job.add(wafers(1, LABELLED, True))
        self.begun = {FIRST_KEY + APART * n: Row(SCOPE + n) for n in range(BEGUN_WITH)}
        self.add(self.begun)
        for version, read in READ.items():
            unread = {"s01", "s12"} - set(read)
            job.estimator("quick", source={"exclude": sorted(unread), "late_arrival": "1h"})
            assert job.ok("retrain")["champion"] == "v1", version  # the third waits, and scores in the shadow
        job.configure(
            {
                "source": {"late_arrival": "1h"},
                "infer": {"batch_rows": BATCH_ROWS},
                "check": {"max_quarantine": 0.5},
            }
        )
        self.settings = config.load(job.folder / "rowcast.toml")
        self.tables = {"wafers": "wafers", **{name: job.table(name) for name in (*TABLES, *TABLES_OF_JOB)}}
        for name, table in self.tables.items():
            job.place.keep(f"first_{name}", table)

    def begin(self) -> None:
        for name, table in self.tables.items():
            self.job.place.refill(table, f"first_{name}")

    def add(self, rows: dict[int, Row]) -> None:
        others = dict.fromkeys(SENSORS, 0.1) | {"tool": "A"}
        self.job.add(
            [{"wafer": key, "measured_at": at(row.time), **others, **_sensors(row)} for key, row in rows.items()]
        )

    def update(self, key: int, row: Row) -> None:
        values = {"measured_at": at(row.time), **_sensors(row)}
        assigned = ", ".join(f"{name} = {literal(value)}" for name, value in values.items())
        self.job.sql(f"UPDATE wafers SET {assigned} WHERE wafer = {key}")

    def delete(self, key: int) -> None:
        self.job.sql(f"DELETE FROM wafers WHERE wafer = {key}")

    def ask(self, question: str) -> list[dict[str, Any]]:
        names = {name.removeprefix("wafers_"): table for name, table in self.tables.items()}
        return self.job.sql(question.format(scope=moment(SCOPE), **names))

    def store(self) -> Store:
        batches = {row["batch_id"]: row for row in self.ask("SELECT * FROM {batch}")}
        placed = [
            (row["wafer"], Placed(place, batches[row["batch_id"]]["model_version"], row["run_id"], row["batch_id"]))
            for place, table in (("scored", "{prediction}"), ("quarantined", "{quarantine}"))
            for row in self.ask(f"SELECT wafer, run_id, batch_id FROM {table}")
        ]
        assert (
            self.ask(
                "SELECT 1 FROM {prediction} AS p JOIN {batch} AS b ON b.batch_id = p.batch_id"
                " WHERE b.model_version <> p.model_version OR b.run_id <> p.run_id"
            )
            == []
        )
        [job] = self.ask("SELECT complete_to, champion FROM {job}")
        history = self.ask("SELECT wafer, count(*) AS n FROM {history} GROUP BY wafer")
        return Store(
            dict(placed),
            Counter({row["wafer"]: row["n"] for row in history}),
            {
                number: Batch(row["status"], _bound(row["key_from"]), _bound(row["key_to"]), row["attempts"])
                for number, row in batches.items()
            },
            _time(job["complete_to"]),
            job["champion"],
        )

    def unfinished(self) -> RunOptions | None:
        """What the run was asked for that would be resumed; None where there is none."""
        unfinished = "status <> 'done' AND pipeline <> 'requeue'"
        found = self.ask(f"SELECT options FROM {{run}} WHERE {unfinished} ORDER BY run_id DESC")
        return RunOptions.from_json(found[0]["options"]) if found else None


def at(time: int | None) -> str | None:
    return None if time is None else moment(time)


def _sensors(row: Row) -> dict[str, float]:
    return {"s01": row.s01, "s12": row.s12}


def _bound(key: str) -> int:
    [text] = json.loads(key)
    return int(text)


def _time(moment: str | datetime | None) -> int | None:
    if moment is None:
        return None
    return ((datetime.fromisoformat(moment) if isinstance(moment, str) else moment) - START) // STEP


class Model:
    """Where every row must be. The labelled wafers that the models were trained on are left out."""

    def __init__(self, rows: dict[int, Row]) -> None:
        self.rows = dict(rows)  # of the source, by key
        self.placed: dict[int, Placed] = {}  # rows of the source, and such as have been deleted since
        self.read: dict[int, dict[str, float]] = {}  # what they were when they were placed
        self.history: Counter[int] = Counter()
        self.owed: set[int] = set()  # pending rows with a place in a plan: scored by the next run however old they are
        self.complete_to: int | None = None
        self.champion = 1
        self.before: dict[int, int | None] = {1: None}  # which champion each version replaced when it first came

    @property
    def newest(self) -> int:
        return max([LABELLED, *(row.time for row in self.rows.values() if row.time is not None)])

    def place(self, key: int) -> str:
        row = self.rows[key]
        if row.time is None:
            return "unusable"
        if key in self.placed:
            return self.placed[key].place
        return "pending" if row.time >= SCOPE else "out_of_scope"

    def keys(self, place: str) -> set[int]:
        return {key for key in self.rows if self.place(key) == place}

    def known(self, place: str) -> set[int]:
        """Scored or quarantined rows that can be scored once more: a row out of scope is never scored."""
        return {key for key in self.keys(place) if (self.rows[key].time or 0) >= SCOPE}

    def changed(self, place: str) -> set[int]:
        return {key for key in self.known(place) if self.rows[key].read_by(self.placed[key].version) != self.read[key]}

    def meant(self, chosen: RequeueFilter) -> set[int]:
        """Quarantined rows that get another chance."""
        keys = self.changed("quarantined") if chosen.changed else self.known("quarantined")
        if chosen.key:
            keys &= {int(chosen.key[0])}
        if chosen.run_id is not None:
            keys = {key for key in keys if self.placed[key].run == chosen.run_id}
        if chosen.reason is not None:
            reasons = {key: [(why, *why.split(": ")) for why in breaks(self.read[key])] for key in keys}
            keys = {key for key in keys if any(chosen.reason in names for names in reasons[key])}
        return keys

    def looked_for(self, since: int | None) -> set[int]:
        """Pending rows within late_arrival, those that are asked for, and those that are owed."""
        bound = SCOPE if self.complete_to is None else self.complete_to - LATE_ARRIVAL
        bound = bound if since is None else min(bound, since)
        return {key for key in self.keys("pending") if (self.rows[key].time or 0) >= bound or key in self.owed}

    def put(self, key: int, placed: Placed) -> None:
        self.placed[key] = placed
        self.read[key] = self.rows[key].read_by(placed.version)
        self.owed.discard(key)

    def move_to_history(self, keys: set[int]) -> None:
        self.history.update(keys)
        self.owed |= keys
        for key in keys:
            del self.placed[key], self.read[key]

    def promote(self, version: int) -> None:
        self.before.setdefault(version, self.champion)
        self.champion = version
        self.complete_to = None  # rows that the one before could have learned from are looked for, however old


# What may happen next is drawn from what there is.
def one_of(chosen: Callable[[Model], Iterable[int]]) -> st.SearchStrategy[int]:
    return st.runner().flatmap(lambda life: st.sampled_from(sorted(chosen(life.model))))


def dying(statements: int) -> st.SearchStrategy[Death | None]:
    """How a process ends that makes about so many statements: half of them die."""
    return st.none() | st.builds(Death, st.integers(1, statements), st.booleans())


NEAR = st.runner().flatmap(lambda life: st.sampled_from(sorted({FIRST_KEY - APART, *life.model.rows})))
TIMES = st.runner().flatmap(lambda life: st.integers(SCOPE - 3, life.model.newest))
S01 = st.sampled_from((0.0, 0.5, -0.25, 1.0, 1e6, -1e6))
S12 = st.sampled_from((0.0, 0.5, -0.25, 1.0, 1e6))
VALUES = st.builds(dict, s01=S01, s12=S12)
DELAY = st.sampled_from((0, 0, 0, 0, LATE_ARRIVAL, 5 * LATE_ARRIVAL))
ARRIVING = st.lists(st.tuples(VALUES, DELAY), min_size=1, max_size=9)
PAUSE = st.sampled_from((1, LATE_ARRIVAL, 10 * LATE_ARRIVAL))
SET_ASIDE = one_of(lambda model: model.keys("quarantined"))
CHOSEN = st.one_of(
    st.just(RequeueFilter()),
    st.just(RequeueFilter(changed=True)),
    st.builds(RequeueFilter, reason=st.sampled_from(("s01", "s12", "min", "s12: max"))),
    st.runner().flatmap(lambda life: SET_ASIDE.map(lambda key: RequeueFilter(run_id=life.model.placed[key].run))),
    st.builds(RequeueFilter, key=st.tuples(one_of(lambda model: model.placed).map(str))),
)
SCORING, REQUEUEING, PROMOTING = 48, 11, 8  # statements that write in such a process, or a few more


class Life(RuleBasedStateMachine):
    """A job, its model, and what happens to them."""

    def __init__(self, fab: Fab) -> None:
        super().__init__()
        self.fab = fab
        fab.begin()
        self.model = Model(fab.begun)
        self.batches: set[int] = set()  # that were there when the last process ended
        self.is_unfinished = False  # there is a run to be resumed
        self.is_sound = True  # what happened last was looked at, and well

    # The source changes

    @initialize(death=dying(SCORING))
    def begin(self, death: Death | None) -> None:
        """Mostly there is more than what was there when the first model was trained."""
        self.scored(death, accept=True)

    @rule(rows=ARRIVING, pause=PAUSE)
    def arrive(self, rows: list[tuple[dict[str, float], int]], pause: int) -> None:
        """Rows arrive as they usually do: with larger keys than all before, and later, but for some."""
        key, time = max([FIRST_KEY, *self.model.rows, *self.model.placed]) + APART, self.model.newest + pause
        arrived = enumerate(rows)
        self.insert({key + APART * n: Row(time + n - delay, **values) for n, (values, delay) in arrived})

    @rule(behind=NEAR, time=TIMES | st.none(), rows=st.lists(VALUES, min_size=1, max_size=3))
    def arrive_late(self, behind: int, time: int | None, rows: list[dict[str, float]]) -> None:
        """Rows arrive behind others, their keys among theirs; a deleted row's key may come again."""
        free = (key for key in itertools.count(behind + 1) if key not in self.model.rows)
        self.insert({key: Row(time, **values) for key, values in zip(free, rows, strict=False)})

    @precondition(lambda life: life.model.rows)
    @rule(key=one_of(lambda model: model.rows), values=VALUES)
    def change(self, key: int, values: dict[str, float]) -> None:
        self.update(key, replace(self.model.rows[key], **values))

    @precondition(lambda life: life.model.rows)
    @rule(key=one_of(lambda model: model.rows), time=TIMES | st.none())
    def move_in_time(self, key: int, time: int | None) -> None:
        self.update(key, replace(self.model.rows[key], time=time))

    @precondition(lambda life: life.model.rows)
    @rule(key=one_of(lambda model: model.rows))
    def delete(self, key: int) -> None:
        self.fab.delete(key)
        del self.model.rows[key]
        self.model.owed.discard(key)

    def insert(self, rows: dict[int, Row]) -> None:
        self.fab.add(rows)
        self.model.rows |= rows

    def update(self, key: int, row: Row) -> None:
        self.fab.update(key, row)
        self.model.rows[key] = row
        if self.model.place(key) != "pending":
            self.model.owed.discard(key)

    # Processes work

    @rule(rows=ARRIVING, pause=PAUSE, accept=st.booleans(), death=dying(SCORING))
    def infer(self, rows: list[tuple[dict[str, float], int]], pause: int, accept: bool, death: Death | None) -> None:
        """The usual day: rows arrive and are scored."""
        self.arrive(rows=rows, pause=pause)
        self.scored(death, accept)

    @rule(since=TIMES, accept=st.booleans(), death=dying(SCORING))
    def infer_since(self, since: int, accept: bool, death: Death | None) -> None:
        self.scored(death, accept, since)

    @rule(since=st.none() | TIMES, accept=st.booleans(), death=dying(SCORING))
    def rescore(self, since: int | None, accept: bool, death: Death | None) -> None:
        self.scored(death, accept, since, rescore=True)

    @precondition(lambda life: life.is_unfinished)
    @rule(death=dying(SCORING))
    def resume(self, death: Death | None) -> None:
        """A run goes on with what it was asked for: one that rescores finds what has changed since, too."""
        asked = self.fab.unfinished()
        assert asked is not None
        moved = self.model.changed("scored") if asked.rescore else set()
        result = self.lived(death, lambda: pipeline.resume(self.fab.settings), moved)
        self.look_at_scoring(result, _time(asked.since), moved)

    @precondition(lambda life: life.model.keys("quarantined"))
    @rule(chosen=CHOSEN, death=dying(REQUEUEING))
    def requeue(self, chosen: RequeueFilter, death: Death | None) -> None:
        """All rows that are meant become pending, with a place in a plan, or none does."""
        model = self.model
        keys = model.meant(chosen)
        result = self.lived(death, lambda: pipeline.requeue(self.fab.settings, chosen))
        store = self.fab.store()
        self.look_at_history(result, store, keys)
        if result is not None:
            assert (result.status, result.requeued) == ("done", len(keys))
        self.look_at_plans(store, model.keys("pending"))

    @rule(version=one_of(lambda model: READ.keys() - {model.champion}), death=dying(PROMOTING))
    def promote(self, version: int, death: Death | None) -> None:
        self.promoted(version, death, partial(promotion.promote, self.fab.settings, version, by="me", reason="a test"))

    @precondition(lambda life: life.model.before[life.model.champion])
    @rule(death=dying(PROMOTING))
    def roll_back(self, death: Death | None) -> None:
        version = self.model.before[self.model.champion]
        self.promoted(version, death, partial(promotion.rollback, self.fab.settings, by="me", reason="a test"))

    # What they must have come to

    def lived(self, death: Death | None, work: Callable[[], Result], moved: Iterable[int] = ()) -> Result | None:
        """What a process came to; None where it died, or was stopped by too many bad rows: pending ones, or `moved`."""
        self.is_sound = False
        try:
            with living(death):
                return work()
        except Dead:
            return None
        except QuarantineError:
            assert any(breaks(self.model.rows[key].read_by(1)) for key in self.model.keys("pending").union(moved))
            return None

    def scored(self, death: Death | None, accept: bool, since: int | None = None, *, rescore: bool = False) -> None:
        moved = self.model.changed("scored") if rescore else set()
        extra = pipeline.Extra(at(since), rescore, accept)
        result = self.lived(death, lambda: pipeline.run(self.fab.settings, "infer", extra=extra), moved)
        self.look_at_scoring(result, since, moved)

    def look_at_scoring(
        self, result: Result | None, since: int | None = None, moved: set[int] | frozenset[int] = frozenset()
    ) -> None:
        """All rows that were looked for are placed once; an unfinished run may have got to any part of them."""
        model, store = self.model, self.fab.store()
        self.look_at_history(result, store, set(moved))
        pending, wanted = model.keys("pending"), model.looked_for(since)
        new = store.placed.keys() - model.placed.keys()
        left = wanted - new
        # A row too old to be looked for is scored all the same if its key lies among those of a batch.
        ranges = {store.placed[key].batch for key in new}
        assert new <= wanted | store.within(ranges, pending), "scored out of turn"
        if result is not None:
            assert result.status == "done"
            assert not left, "not scored, though looked for"
            assert not store.open
            assert store.complete_to == model.newest
            in_place = Counter(store.placed[key].place for key in new)
            assert (result.outcome.scored, result.outcome.quarantined) == (in_place["scored"], in_place["quarantined"])
        elif store.complete_to != model.complete_to:
            assert (store.complete_to, left) == (model.newest, set()), "not scored, and no longer looked for"
        for key in new:
            placed = store.placed[key]
            assert placed.place == ("quarantined" if breaks(model.rows[key].read_by(placed.version)) else "scored")
            # A batch that a process died over keeps the version that it was claimed for.
            assert placed.version == model.champion or store.batches[placed.batch].attempts > 1
            model.put(key, placed)
        model.complete_to = store.complete_to
        self.look_at_plans(store, left)

    def look_at_history(self, result: Result | None, store: Store, moved: set[int]) -> None:
        if result is not None or store.history != self.model.history:
            self.model.move_to_history(moved)
        assert store.history == self.model.history

    def look_at_plans(self, store: Store, left: set[int]) -> None:
        """Rows that are owed keep their place in a plan, as long as they would not be found otherwise."""
        model = self.model
        planned = {number for number in store.open if number not in self.batches}
        lost = model.owed - store.within(store.open, model.owed)
        model.owed -= lost
        assert lost <= model.looked_for(None), "no longer planned, though requeued or planned before"
        model.owed |= store.within(planned, left)
        self.batches = set(store.batches)

    def promoted(self, version: int, death: Death | None, work: Callable[[], Any]) -> None:
        done = self.lived(death, lambda: (work(), True))
        if done or self.fab.store().champion != self.model.champion:
            self.model.promote(version)

    # At any moment

    @invariant()
    def every_row_is_where_it_must_be(self) -> None:
        model, store = self.model, self.fab.store()
        assert store.placed == model.placed
        assert store.history == model.history
        assert (store.champion, store.complete_to) == (model.champion, model.complete_to)
        [faults], [sums] = self.fab.ask(FAULTS), self.fab.ask(SUMS)
        assert not any(faults.values()), faults
        places = ("unusable", "out_of_scope", "scored", "quarantined", "pending")
        expected = {place: len(model.keys(place)) for place in places}
        expected["out_of_scope"] += LABELLED
        assert sums == {"source": LABELLED + len(model.rows), **expected}
        assert sums["source"] == sum(sums[place] for place in places)
        with open_job(self.fab.settings, prepare=False) as job:
            found = audit(job, full=not self.is_sound)
            counted = count_places(job)
        assert found.holds
        for place in ("source", "unusable", "out_of_scope", "pending"):
            assert getattr(counted, place) == sums[place], place
        stored = [sum(placed.place == place for placed in model.placed.values()) for place in ("scored", "quarantined")]
        assert [counted.scored, counted.quarantined] == stored
        assert {place: getattr(found, place) for place in sums} == sums
        usable = {key for key in model.rows if model.place(key) != "unusable"}
        assert found.deleted == len(model.placed.keys() - usable)
        assert found.history == model.history.total()
        if not self.is_sound:  # it reads every row, so not after each change at the source
            changed = {place: len(model.changed(place)) for place in ("scored", "quarantined")}
            assert {"scored": found.contents.changed, "quarantined": found.contents.changed_quarantined} == changed
        self.is_unfinished = self.fab.unfinished() is not None
        self.is_sound = True

    def teardown(self) -> None:
        """A run that looks at everything leaves nothing pending."""
        if self.is_sound:
            self.scored(None, accept=True, since=0)
            self.every_row_is_where_it_must_be()
            assert self.model.keys("pending") == set()


@pytest.fixture(scope="module")
def fabs(bases: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Fab]]:
    """The job of each system, trained when it is first asked for."""
    made: dict[str, Fab] = {}

    def fab(system: str) -> Fab:
        if system not in made:
            made[system] = Fab(bases.copy(system, "empty", tmp_path_factory.mktemp(f"any_order_{system}")))
        return made[system]

    yield fab
    for one in made.values():
        bases.drop(one.job)


USUAL = effort(
    max_examples=2,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    database=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
LONG = effort(USUAL, max_examples=30, stateful_step_count=40, derandomize=False)


@pytest.mark.longer
def test_every_row_is_in_its_place_whatever_happens_in_whatever_order(
    system: str, fabs: Callable[[str], Fab], request: pytest.FixtureRequest
) -> None:
    fab = fabs(system)
    run_state_machine_as_test(lambda: Life(fab), settings=LONG if request.config.getoption("--long") else USUAL)


@pytest.mark.parametrize("statement", [3, 5, 10])
def test_a_rescore_that_died_goes_on_with_what_has_changed_since(
    system: str, fabs: Callable[[str], Fab], statement: int
) -> None:
    life = Life(fabs(system))
    life.begin(death=None)
    life.every_row_is_where_it_must_be()
    life.rescore(accept=False, death=Death(statement, executed=True), since=None)
    life.every_row_is_where_it_must_be()
    life.change(key=FIRST_KEY, values={"s01": 0.0, "s12": 1.0})
    life.every_row_is_where_it_must_be()
    assert life.is_unfinished
    life.resume(death=None)
    life.every_row_is_where_it_must_be()
    assert life.model.history == Counter({FIRST_KEY: 1})


def test_a_rescore_stops_where_what_has_changed_breaks_the_contract(system: str, fabs: Callable[[str], Fab]) -> None:
    life = Life(fabs(system))
    life.begin(death=None)
    life.every_row_is_where_it_must_be()
    life.change(key=FIRST_KEY, values={"s01": 1e6, "s12": 0.0})
    life.rescore(accept=False, death=None, since=None)
    life.every_row_is_where_it_must_be()
    assert life.model.place(FIRST_KEY) == "pending"
    life.rescore(accept=True, death=None, since=None)
    life.every_row_is_where_it_must_be()
    assert life.model.place(FIRST_KEY) == "quarantined"
