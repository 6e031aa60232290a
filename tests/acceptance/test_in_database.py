"""`[infer] engine = "database"`: the database scores its own rows, and what is published is what `local` publishes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from jobs import LABELLED, PENDING, Job, moment, train, wafers
from proof import is_exactly_once

from rowcast.translate import DIALECTS

pytest_plugins = ("job_fixtures",)

COLUMNS = (
    "wafer integer PRIMARY KEY, measured_at timestamptz, flow double precision, gauge numeric, steps bigint,"
    " single real, is_hot boolean, tool text, maker char(6), grade grade, loaded_at timestamptz, few integer"
)
TASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "two": ("integer", {}),
    "several": ("text", {"task": {"kind": "multiclass", "cost_missed": 5.0}}),
    "amount": ("double precision", {"task": {"kind": "regression", "high": 13.0}}),
}
CHECKS = {"check": {"max_quarantine": 0.9}, "check.columns.gauge": {"min": -3.0, "max": 3.0}}
CHECKS["check.columns.single"] = {"nullable": False}
LABELLED_ROWS, PENDING_ROWS = 500, 400


def rows(first: int, count: int, task: str, labelled: bool) -> list[dict[str, Any]]:
    """Wafers with every kind of column; those to be scored have NULLs, unseen categories, and breaches of contract."""
    random = np.random.default_rng(first)

    def pick(values: Any, *odd: Any, share: float = 0.05) -> list[Any]:
        found = np.asarray(values).astype(object)
        for value in (None, *(() if labelled else odd)):
            found[random.random(count) < share] = value
        return found.tolist()

    columns = {
        "flow": pick(random.normal(size=count), -999.0, 1e39, 0.1, -0.0, 77.7),
        "gauge": pick(random.normal(size=count).round(4), 3.0, 50.5, -3.0),
        "steps": pick(random.integers(0, 9, count), 2**53 + 1, 16777217),
        "single": [float(np.float32(value)) for value in random.normal(size=count)],
        "is_hot": pick(random.integers(0, 2, count).astype(bool)),
        "tool": pick(random.choice(["A", "b ", 'c"ä', "it's"], count), "unseen", "", "n/a"),
        "maker": pick(random.choice(["x", "yy "], count)),
        "grade": pick(random.choice(["low", "high"], count)),
        "few": pick(random.integers(0, 3, count)),
    }
    if not labelled:
        columns["single"][7] = None
    found = []
    for place in range(count):
        row = {name: values[place] for name, values in columns.items()}
        at = first + place
        loaded = None if place % 7 == 0 else moment(at - place % 5)
        row |= {"wafer": at, "measured_at": moment(at), "loaded_at": loaded}
        found.append({**row, "failed": _outcome(row, task) if labelled else None})
    return found


def _outcome(row: dict[str, Any], task: str) -> Any:
    signal = (row["flow"] or 0) + (row["single"] or 0) + (row["tool"] == "A") + (row["grade"] == "low") / 2
    if task == "amount":
        return round(10 + signal + (row["steps"] or 0) / 10, 3)
    if task == "several":
        return "scratch" if signal > 1.5 else "void" if (row["gauge"] or 0) > 0.8 else "ok"
    return int(signal > 1.2)


def prepare(make: Callable[..., Job], task: str) -> Job:
    """A trained job on PostgreSQL."""
    job = make("postgresql", "empty")
    label, settings = TASKS[task]
    job.sql("CREATE TYPE grade AS ENUM ('low', 'high')", f"CREATE TABLE wafers ({COLUMNS}, failed {label})")
    job.add(rows(1, LABELLED_ROWS, task, True))
    job.configure({**settings, **CHECKS, "source": {"missing": [-999.0, "n/a"]}})
    train(job)
    job.add(rows(LABELLED_ROWS + 1, PENDING_ROWS, task, False))
    job.sql("UPDATE wafers SET flow = 'NaN' WHERE flow = 77.7")
    return job


def configure(job: Job, engine: str, task: str = "two", **more: Any) -> None:
    infer = {"engine": engine, "batch_rows": 150, **more}
    job.configure({**TASKS[task][1], **CHECKS, "source": {"missing": [-999.0, "n/a"]}, "infer": infer})


def published(job: Job, what: str) -> dict[int, dict[str, Any]]:
    lineage = ("scored_at", "quarantined_at", "row_hash")
    found = job.stored(f"SELECT * FROM {job.table(f'wafers_{what}')}")
    return {row["wafer"]: {name: value for name, value in row.items() if name not in lineage} for row in found}


def profiles(job: Job) -> list[bytes]:
    found = job.stored(f"SELECT counts FROM {job.table('profile')} ORDER BY batch_id")
    return [bytes(row["counts"]) for row in found]


@pytest.mark.parametrize("task", list(TASKS))
def test_what_is_published_is_what_the_local_engine_publishes(prepared: Callable[..., Job], task: str) -> None:
    local, inside = prepared(prepare, task), prepared(prepare, task)
    configure(local, "local", task)
    configure(inside, "database", task)
    done = {job: job.ok("infer") for job in (local, inside)}
    for name in ("scored", "quarantined", "flagged"):
        assert done[inside][name] == done[local][name]
    assert published(inside, "quarantine") == published(local, "quarantine") != {}
    expected, found = published(local, "prediction"), published(inside, "prediction")
    assert found.keys() == expected.keys()
    for wafer, row in expected.items():
        for name, value in row.items():
            if isinstance(value, float):
                assert found[wafer][name] == pytest.approx(value, abs=1e-9, rel=0), (wafer, name)
            elif name == "predicted" and task == "amount":
                assert float(found[wafer][name]) == pytest.approx(float(value), abs=1e-9, rel=0)
            else:
                assert found[wafer][name] == value, (wafer, name)
    assert profiles(inside) == profiles(local) != []
    assert {row["hashed_by"] for row in inside.stored(f"SELECT hashed_by FROM {inside.table('batch')}")} == {"sha256"}
    holds(inside, len(expected))


def holds(job: Job, scored: int) -> None:
    """A full audit finds nothing, and scores every row again."""
    found = job.ok("audit", "--full", "--all", "--json")
    for name in ("changed", "changed_quarantined", "not_comparable", "results_wrong", "batches_changed"):
        assert found[name] == 0, name
    assert found["recomputed"] == scored
    assert found["holds"]


def test_few_rows_are_read(prepared: Callable[..., Job]) -> None:
    """Those that break the contract, and those whose contributions are kept."""
    job = prepared(prepare, "two")
    configure(job, "database")
    done = job.ok("infer")
    statements = "SELECT sum(CASE WHEN contributions IS NOT NULL THEN 1 ELSE 0 END) AS n FROM {}"
    [row] = job.stored(statements.format(job.table("wafers_prediction")))
    assert row["n"] == done["flagged"] > 0


def test_a_row_is_explained_and_a_change_of_it_found(prepared: Callable[..., Job]) -> None:
    job = prepared(prepare, "two")
    configure(job, "database")
    job.ok("infer")
    there = sorted(published(job, "prediction"))
    before = job.ok("explain", str(there[0]), "--json")
    assert (before["reproduced"], before["changed"]) == (True, False)
    job.sql(
        f"UPDATE wafers SET maker = 'other' WHERE wafer = {there[0]}",
        f"UPDATE wafers SET few = coalesce(few, 0) + 1 WHERE wafer = {there[1]}",
        f"UPDATE wafers SET is_hot = NOT coalesce(is_hot, false) WHERE wafer = {there[2]}",
    )
    used = set(before["contributions"])
    changed = sum(name in used for name in ("maker", "few", "is_hot"))
    assert job.ok("audit", "--full", "--json")["changed"] == changed
    assert job.ok("infer", "--rescore")["scored"] == changed
    holds(job, len(there))


def test_versions_in_the_shadow_are_scored_there_too(prepared: Callable[..., Job]) -> None:
    local, inside = (prepared(prepare_shadow, "two") for _ in range(2))
    found = []
    for job, engine in ((local, "local"), (inside, "database")):
        configure(job, engine)
        done = job.call("infer")
        print(done.err)
        assert done.code == 0
        rows = job.stored(f"SELECT * FROM {job.table('wafers_shadow')} ORDER BY wafer")
        found.append({row["wafer"]: (row["score"], row["predicted"], row["threshold"]) for row in rows})
    assert found[0].keys() == found[1].keys() != set()
    for wafer, (score, *rest) in found[0].items():
        assert found[1][wafer][0] == pytest.approx(score, abs=1e-9, rel=0)
        assert list(found[1][wafer][1:]) == rest
    alike = (
        f"SELECT count(*) AS n FROM {inside.table('wafers_shadow')} s JOIN {inside.table('wafers_prediction')} p"
        " ON p.wafer = s.wafer AND p.row_hash = s.row_hash"
    )
    assert inside.stored(alike)[0]["n"] == len(found[0])
    holds(inside, len(published(inside, "prediction")))


def prepare_shadow(make: Callable[..., Job], task: str) -> Job:
    """The same, with a second version that waits."""
    job = prepare(make, task)
    job.configure({**CHECKS, "source": {"missing": [-999.0, "n/a"]}, "retrain": {"policy": "never"}})
    assert "undecided" in train(job, seed=1)["retrain"]
    return job


def test_too_many_bad_rows_publish_nothing(prepared: Callable[..., Job]) -> None:
    job = prepared(prepare, "two")
    job.configure({"infer": {"engine": "database"}, "source": {"missing": [-999.0, "n/a"]}})
    job.sql("UPDATE wafers SET flow = 1e39 WHERE failed IS NULL")
    assert "rows break the contract" in job.refused("infer")
    assert published(job, "prediction") == published(job, "quarantine") == {}
    assert job.ok("infer", "--accept-quarantine")["quarantined"] == PENDING_ROWS


def test_a_row_that_the_database_cannot_compute_is_set_aside_alone(make_job: Callable[..., Job]) -> None:
    job = make_job("postgresql", "trained")
    query = "SELECT wafer, measured_at, s01 / (CASE WHEN wafer = 333 THEN 0 ELSE 1 END) AS s01, s02, failed FROM wafers"
    job.configure({"source": {"table": None, "query": query}, "infer": {"engine": "database"}}, name="divided")
    train(job)
    job.ok("infer")
    good = {LABELLED + 1 + place for place in range(PENDING)} - {333}
    scored = job.stored(f"SELECT wafer FROM {job.table('divided_prediction')}")
    assert {row["wafer"] for row in scored} == good
    [row] = job.stored(f"SELECT wafer, reasons FROM {job.table('divided_quarantine')}")
    assert row["wafer"] == 333
    assert "division by zero" in row["reasons"]


def test_engines_may_take_turns(trained_there: Job) -> None:
    job, first = trained_there, LABELLED + PENDING + 1
    for engine, at in (("database", None), ("local", first), ("database", first + 50)):
        job.configure({"infer": {"engine": engine, "batch_rows": 40}})
        if at:
            job.add(wafers(at, 50, False))
        job.ok("infer")
    is_exactly_once(job.place, range(LABELLED + 1, first + 100))
    holds(job, PENDING + 100)


KEYS = (
    (
        "lot text, at timestamp, number numeric(12,3)",
        "'lot ' || wafer % 7, measured_at AT TIME ZONE 'UTC', wafer / 8.0",
    ),
    ("id uuid", "md5(wafer::text)::uuid"),
    ("code char(9), kept boolean", "'w' || wafer, wafer % 2 = 0"),
)


@pytest.mark.parametrize(("declared", "values"), KEYS)
def test_keys_of_any_type(make_job: Callable[..., Job], declared: str, values: str) -> None:
    job = make_job("postgresql", "trained")
    names = [each.split()[0] for each in declared.split(", ")]
    key = ", ".join(names)
    job.sql(
        f"CREATE TABLE lots ({declared}, moment timestamptz, s01 double precision, s02 double precision,"
        f" failed integer, PRIMARY KEY ({key}))",
        f"INSERT INTO lots SELECT {values}, measured_at, s01, s02, failed FROM wafers",
        "UPDATE lots SET s01 = 1e39 WHERE failed IS NULL AND s02 > 1.5",
    )
    source = {"table": "lots", "key": names, "time": "moment"}
    job.configure({"source": source, "check": {"max_quarantine": 0.5}, "infer": {"engine": "database"}}, name="lots")
    train(job)
    done = job.ok("infer")
    assert done["scored"] + done["quarantined"] == PENDING
    assert done["quarantined"] > 0
    holds(job, done["scored"])


@pytest.fixture
def trained_there(make_job: Callable[..., Job]) -> Job:
    return make_job("postgresql", "trained")


# What it cannot do is refused before anything is planned


def refuses(job: Job) -> str:
    error = job.refused("infer")
    assert '[infer] engine = "local"' in error
    assert job.stored(f"SELECT 1 FROM {job.table('batch')}") == []
    return error


def test_another_system_is_refused(make_job: Callable[..., Job]) -> None:
    job = make_job("sqlite", "trained")
    job.configure({"infer": {"engine": "database"}})
    assert "is for PostgreSQL, and this is sqlite" in refuses(job)


def test_a_store_elsewhere_is_refused(make_job: Callable[..., Job]) -> None:
    job, other = make_job("postgresql", "untrained"), make_job("postgresql", "empty")
    job.store = other.place
    job.configure()
    train(job)
    job.configure({"infer": {"engine": "database"}})
    assert "needs source and store in one database" in refuses(job)


def test_an_estimator_of_the_users_own_is_refused(make_job: Callable[..., Job]) -> None:
    job = make_job("postgresql", "untrained")
    job.estimator("quick")
    job.ok("retrain")
    job.configure({"infer": {"engine": "database"}})
    assert "has an estimator of your own" in refuses(job)


def test_a_statement_that_is_too_large_is_refused(trained_there: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    small = replace(DIALECTS["postgresql"], longest=10_000)
    monkeypatch.setitem(DIALECTS, "postgresql", small)
    trained_there.configure({"infer": {"engine": "database"}})
    assert "characters, and postgresql takes 10,000" in refuses(trained_there)
