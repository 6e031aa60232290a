"""SQLite keys of several types in one column: each row is scored once, and none is taken for another."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Place
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from jobs import LABELLED, Job, create, wafers

pytest_plugins = ("job_fixtures",)

FIRST = LABELLED + 1
DECLARED = ("", "BLOB", "NUMERIC", "TEXT", "INT", "REAL")  # INTEGER would let in nothing else
# What a careless copy would take for one another, among them.
HARD = [
    "1001",
    1001,
    1.5,
    "1.5",
    b"1.5",
    2**53 + 1,
    2.0**53,
    2**63 - 1,
    -(2**63),
    "",
    b"",
    "a",
    b"a",
    "a'b",
    "a\0b",
    b"\0",
]
KEYS = st.one_of(
    st.sampled_from(HARD),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8"), max_size=5),
    st.binary(max_size=3),
)


def spelled(key: Any) -> str:
    if isinstance(key, bytes):
        return f"X'{key.hex()}'"
    if isinstance(key, str):
        return f"CAST(X'{key.encode().hex()}' AS TEXT)"
    if isinstance(key, int):
        return str(key) if key > -(2**63) else "-9223372036854775807 - 1"
    return {float("inf"): "9e999", float("-inf"): "-9e999"}.get(key, repr(key))


def put(job: Job, keys: list[Any]) -> int:
    """Pending rows with these keys, as far as the column holds them apart; how many."""
    statements = []
    for key, wafer in zip(keys, wafers(FIRST + 1, len(keys), False), strict=True):
        names = [name for name in wafer if name not in ("wafer", "failed")]
        values = ", ".join(f"'{wafer[name]}'" for name in names)
        statements.append(f"INSERT OR IGNORE INTO wafers (wafer, {', '.join(names)}) VALUES ({spelled(key)}, {values})")
    job.sql(*statements)
    found: int = job.sql("SELECT count(*) AS n FROM wafers WHERE failed IS NULL")[0]["n"]
    return found


@pytest.fixture(scope="module")
def fabs(bases: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Job]:
    """Trained jobs by how their key is declared, and whether their store is a file of its own; a copy of each."""
    made: dict[tuple[str, bool], Job] = {}

    def file(job: Job) -> Path:
        return Path(job.place.url.removeprefix("sqlite:///"))

    def fab(declared: str, apart: bool = False) -> Job:
        if (declared, apart) not in made:
            folder = tmp_path_factory.mktemp("fab")
            job = bases.copy("sqlite", "empty", folder / "base")
            create(job.place, key=f"{declared} PRIMARY KEY NOT NULL")
            job.add([*wafers(1, LABELLED, True), *wafers(FIRST, 1, False)])
            if apart:
                job.store = Place("sqlite", f"sqlite:///{file(job).parent}/store.db")
            job.estimator("quick", infer={"batch_rows": 7}, retrain={"policy": "never"})
            job.ok("retrain")
            for db in file(job).parent.glob("*.db"):
                shutil.copy(db, db.with_suffix(".base"))
            made[declared, apart] = job
        job = made[declared, apart]
        for base in file(job).parent.glob("*.base"):
            for rest in ("-wal", "-shm"):
                base.with_suffix(f".db{rest}").unlink(missing_ok=True)
            shutil.copy(base, base.with_suffix(".db"))
        return job

    return fab


def audited(job: Job) -> tuple[int, int, int, int]:
    found = job.audit()
    return found["scored"], found["quarantined"], found["pending"], found["deleted"]


# SQLite keeps values as they are, or makes numbers of texts, or texts of numbers: the others do one of these.
USUAL = (("", False), ("INT", False), ("TEXT", True))


@pytest.mark.longer
@pytest.mark.parametrize(
    ("declared", "apart"),
    [
        pytest.param(*given, marks=() if given in USUAL else pytest.mark.long)
        for given in (*[(each, False) for each in DECLARED], ("", True), ("TEXT", True))
    ],
)
def test_keys_of_any_types_side_by_side_are_scored_once(
    fabs: Callable[..., Job], declared: str, apart: bool, request: pytest.FixtureRequest
) -> None:
    phases = [Phase.explicit, *([Phase.generate] if request.config.getoption("--long") else [])]

    @settings(phases=phases, max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(KEYS, min_size=1, max_size=25))
    @example(HARD)
    def check(keys: list[Any]) -> None:
        job = fabs(declared, apart)
        count = put(job, keys)
        assert job.ok("infer")["scored"] == count
        assert job.ok("infer")["scored"] == 0
        assert audited(job) == (count, 0, 0, 0)
        stored = f"SELECT quote(wafer) AS k FROM {job.table('wafers_prediction')} ORDER BY 1"
        assert job.stored(stored) == job.sql("SELECT quote(wafer) AS k FROM wafers WHERE failed IS NULL ORDER BY 1")

    check()


@pytest.mark.parametrize("apart", [False, pytest.param(True, marks=pytest.mark.long)], ids=["together", "apart"])
def test_each_of_them_can_be_set_aside_requeued_scored_again_and_explained(
    fabs: Callable[..., Job], apart: bool
) -> None:
    job = fabs("", apart)
    count = put(job, HARD)
    job.sql("UPDATE wafers SET s01 = 1e6 WHERE failed IS NULL")
    assert job.ok("infer", "--accept-quarantine")["quarantined"] == count
    assert audited(job) == (0, count, 0, 0)
    moved = f"SELECT quote(wafer) AS k FROM {job.table('wafers_history')} ORDER BY batch_id, until"
    for typed, key in (
        ("1001", "1001"),
        ("'1001'", "'1001'"),
        ("1.5", "'1.5'"),
        ("X'312E35'", "X'312E35'"),
        ("a", "'a'"),
    ):
        assert job.ok("explain", typed, "--json")["state"] == "quarantined"
        assert job.ok("requeue", typed)["requeued"] == 1
        assert {"k": key} in job.stored(moved)
        assert job.ok("explain", typed, "--json")["state"] == "pending"
    assert job.ok("requeue", "--all")["requeued"] == count - 5
    job.sql("UPDATE wafers SET s01 = 0 WHERE failed IS NULL")
    assert job.ok("infer")["scored"] == count
    job.sql("UPDATE wafers SET s01 = 0.5 WHERE failed IS NULL")
    assert job.ok("infer", "--rescore")["requeued"] == count
    assert job.ok("audit", "--full", "--json")["changed"] == 0
    assert audited(job) == (count, 0, 0, 0)


def test_steps_by_hand_keep_them_too(fabs: Callable[..., Job]) -> None:
    job = fabs("")
    count = put(job, HARD)
    for step in ("data-fetch", "data-check", "data-process", "inference"):
        job.ok("step", step)
    assert audited(job) == (count, 0, 0, 0)


def test_rows_of_one_type_in_each_chunk_and_several_in_all_are_scored_once(
    fabs: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rowcast.fetch.pending._CHUNK", 3)
    monkeypatch.setattr("rowcast.store.job_rows._CHUNK", 3)
    monkeypatch.setattr("rowcast.store.reading.held_rows._CHUNK", 3)
    job = fabs("", apart=True)
    count = put(job, [1001, 1002, 1003, "a", "b", b"a", b"b", 1.5, "1001"])
    assert job.ok("infer")["scored"] == count
    assert audited(job) == (count, 0, 0, 0)


def test_a_store_that_cannot_tell_them_apart_says_so_before_anything_is_scored(
    fabs: Callable[..., Job], make_job: Callable[..., Job]
) -> None:
    job, apart = fabs(""), make_job("postgresql", "empty")
    job.estimator("quick", store={"url": apart.place.url})
    try:
        job.ok("retrain")
        assert job.ok("infer")["scored"] == 1
        put(job, ["a", b"a"])
        said = job.refused("infer")
        assert "job 'wafers' keeps its rows by wafer as bigint; at the source it is TEXT now" in said
        assert len(apart.sql(f"SELECT * FROM {apart.table('wafers_prediction')}")) == 1
        assert "keeps its rows by wafer as bigint" in job.refused("audit")
    finally:
        job.configure({"infer": {"batch_rows": 7}, "retrain": {"policy": "never"}})
