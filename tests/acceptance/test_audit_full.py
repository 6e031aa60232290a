"""A full audit finds what counts alone pass over: contents that are no longer those that were published."""

from collections.abc import Callable
from typing import Any

import pytest
from jobs import LABELLED, PENDING, Job, train, wafers

pytest_plugins = ("job_fixtures",)

MakeJob = Callable[[str, str], Job]
COPIED = "row_hash, score, predicted, threshold, contributions, uncertain, possible, low, high"


def audit(job: Job, *options: str, holds: bool = True) -> dict[str, Any]:
    done = job.call("audit", "--json", *options)
    found: dict[str, Any] = done.json
    assert (done.code, found["holds"]) == (0 if holds else 1, holds), found
    return found


def make_scored(make_job: MakeJob, system: str) -> Job:
    """As in `scored`; a full audit of it finds nothing."""
    job = make_job(system, "trained")
    job.sql("UPDATE wafers SET s01 = 1e30, s02 = 1e30, s03 = 1e30, s04 = 1e30 WHERE wafer IN (310, 350)")
    job.ok("infer")
    found = audit(job, "--full")
    assert (found["batches_changed"], found["batches_unchecked"], found["results_wrong"]) == (0, 0, 0)
    assert (found["recomputed"], found["broken_references"], found["scope"]) == (PENDING - 2, 0, "as recorded")
    return job


@pytest.fixture
def scored(system: str, prepared: Callable[..., Job]) -> Job:
    """A job whose 100 wafers were scored, but for two that were set aside."""
    return prepared(make_scored, system)


def add_prediction(job: Job, wafer: int) -> list[str]:
    """A prediction for a wafer that has none, in a batch that says so."""
    prediction = job.table("wafers_prediction")
    lineage = "model_version, run_id, batch_id, scored_at"
    return [
        f"INSERT INTO {prediction} (wafer, {lineage}, {COPIED})"
        f" SELECT {wafer}, {lineage}, {COPIED} FROM {prediction} WHERE wafer = 320",
        f"UPDATE {job.table('batch')} SET scored = scored + 1"
        f" WHERE batch_id = (SELECT batch_id FROM {prediction} WHERE wafer = 320)",
    ]


def copy_model(job: Job) -> str:
    """The champion once more, as a version 2."""
    model = job.table("model")
    rest = "created_at, run_id, estimator, features, rows, metrics, artifact_sha256, artifact"
    return f"INSERT INTO {model} (job, version, status, {rest}) SELECT job, 2, 'retired', {rest} FROM {model}"


def tamper(job: Job) -> dict[str, list[str]]:
    """What somebody may do to the store, in statements that the counts do not show."""
    prediction, batch, state = job.table("wafers_prediction"), job.table("batch"), job.table("job")
    later = "'2027-01-01 00:00:00.000000Z'"
    emptied = [f"DELETE FROM {job.table(name)}" for name in ("wafers_prediction", "wafers_quarantine", "profile")]
    swapped = f"UPDATE {prediction} SET batch_id = CASE wafer WHEN 320 THEN 2 ELSE 1 END WHERE wafer IN (320, 345)"
    return {
        "score": [f"UPDATE {prediction} SET score = score + 0.001 WHERE wafer = 320"],
        "predicted": [f"UPDATE {prediction} SET predicted = 1 - predicted WHERE wafer = 320"],
        "threshold": [f"UPDATE {prediction} SET threshold = 0.987 WHERE wafer = 320"],
        "version": [copy_model(job), f"UPDATE {prediction} SET model_version = 2 WHERE wafer = 320"],
        "run id": [f"UPDATE {prediction} SET run_id = 1 WHERE wafer = 320"],
        "a key that does not exist": add_prediction(job, 9999),
        "a key out of scope": [
            "INSERT INTO wafers (wafer, measured_at) VALUES (8000, '2020-01-01 00:00:00Z')",
            *add_prediction(job, 8000),
        ],
        "swapped batch ids": [swapped],
        "moved scope": [*emptied, f"DELETE FROM {batch}", f"UPDATE {state} SET scope_from = {later}"],
    }


TAMPERINGS = ["score", "predicted", "threshold", "version", "run id", "a key that does not exist"]
TAMPERINGS += ["a key out of scope", "swapped batch ids", "moved scope"]


@pytest.mark.everywhere
@pytest.mark.parametrize("what", TAMPERINGS)
def test_a_full_audit_finds_what_counts_pass_over(scored: Job, what: str) -> None:
    scored.sql(*tamper(scored)[what])
    audit(scored)  # what counts say holds all the same
    found = audit(scored, "--full", holds=False)
    if what == "moved scope":
        assert (found["scope"], found["scope_recorded"][:4], found["out_of_scope"]) == ("moved", "2025", 400)
        return
    assert found["batches_changed"] == (2 if what == "swapped batch ids" else 1)
    assert found["results_wrong"] == (1 if what in ("score", "predicted", "threshold") else 0)
    assert found["broken_references"] == {"version": 1, "run id": 1}.get(what, 0)
    assert (found["before_scope"], found["deleted"]) == (
        int(what == "a key out of scope"),
        int(what == "a key that does not exist"),
    )


@pytest.mark.parametrize("where", ["reasons", "row_values", "row_hash"])
def test_a_changed_quarantined_row_is_found(scored: Job, where: str) -> None:
    value = "7" if where == "row_hash" else "'[]'"
    scored.sql(f"UPDATE {scored.table('wafers_quarantine')} SET {where} = {value} WHERE wafer = 310")
    audit(scored)
    assert audit(scored, "--full", holds=False)["batches_changed"] == 1


def test_rows_that_move_to_the_history_stay_what_was_published(scored: Job) -> None:
    scored.sql("UPDATE wafers SET s01 = s01 + 1 WHERE wafer IN (320, 345)")
    assert audit(scored, "--full")["changed"] == 2
    scored.ok("infer", "--rescore")
    scored.sql("UPDATE wafers SET s01 = 0, s02 = 0, s03 = 0, s04 = 0 WHERE wafer = 310")
    scored.ok("requeue", "--all")
    scored.ok("infer")
    found = audit(scored, "--full", "--all")
    assert (found["history"], found["batches_changed"], found["recomputed"]) == (4, 0, 99)
    scored.sql(f"UPDATE {scored.table('wafers_history')} SET score = 0.5 WHERE wafer = 320")
    assert audit(scored, "--full", holds=False)["batches_changed"] == 1


def test_batches_of_before_checksums_are_counted_and_do_not_fail(scored: Job) -> None:
    emptied = {"batch": "checksum", "job": "scope_record"}
    scored.sql(*[f"UPDATE {scored.table(table)} SET {column} = NULL" for table, column in emptied.items()])
    found = audit(scored, "--full")
    assert (found["batches"], found["batches_unchecked"], found["scope"]) == (3, 3, "not recorded")


def test_a_changed_shadow_score_is_found(system: str, prepared: Callable[..., Job]) -> None:
    job = prepared(make_shadowed, system)
    found = audit(job, "--full")
    assert (found["shadow"], found["shadows_changed"], found["shadows_unchecked"]) == (PENDING, 0, 0)
    job.sql("UPDATE wafers SET s01 = s01 + 1 WHERE wafer IN (320, 345)")
    job.ok("infer", "--rescore")
    assert audit(job, "--full")["shadows_changed"] == 0
    job.sql(f"UPDATE {job.table('wafers_shadow')} SET score = score + 0.001 WHERE wafer = 330")
    audit(job)  # what counts say holds all the same
    assert audit(job, "--full", holds=False)["shadows_changed"] == 1
    assert "scored in the shadow of 1 published batch" in job.call("audit", "--full").out


def make_shadowed(make_job: MakeJob, system: str) -> Job:
    """A job with a second version that waits, and that scored in the shadow what the first one scored."""
    job = make_job(system, "trained")
    job.configure({"retrain": {"policy": "never", "every": "7d"}})
    train(job, seed=1)
    job.ok("infer")
    return job


def test_people_read_what_was_found(scored: Job) -> None:
    scored.sql(f"UPDATE {scored.table('wafers_prediction')} SET score = 0.5 WHERE wafer = 320")
    done = scored.call("audit", "--full")
    assert done.code == 1
    assert "IT DOES NOT HOLD" in done.out
    assert "rows of 1 published batch are no longer those that were published" in done.out
    assert "1 of 98 scores that were computed again" in done.out


@pytest.mark.parametrize("stripped", [False, True])
def test_with_a_key_a_rewritten_checksum_is_found(scored: Job, stripped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROWCAST_SIGNING_KEY", "k" * 40)
    assert scored.call("models", "sign", "1").code == 0
    found = audit(scored, "--full")
    assert (found["batches_unsigned"], found["batches_forged"]) == (3, 0)  # published before there was a key
    for first in (1000, 1001):
        scored.add(wafers(first, 1, False))
        scored.ok("infer")
    assert audit(scored, "--full")["batches_forged"] == 0
    newest = f"WHERE batch_id = (SELECT MAX(batch_id) FROM {scored.table('batch')})"
    forged = ", signature = NULL" if stripped else ""
    scored.sql(f"UPDATE {scored.table('batch')} SET checksum = 'made up'{forged} {newest}")
    assert audit(scored, "--full", holds=False)["batches_forged"] == 1


@pytest.mark.parametrize(
    ("system", "store"), [("sqlite", "postgresql"), ("postgresql", "sqlite"), ("mssql", "sqlite"), ("sqlite", "mssql")]
)
def test_checksums_come_out_alike_where_the_store_is_another_database(
    system: str, store: str, make_job: Callable[[str, str], Job]
) -> None:
    job, apart = make_job(system, "untrained"), make_job(store, "empty")
    job.estimator("quick", store={"url": apart.place.url}, retrain={"policy": "every"})
    job.ok("run")
    found = audit(job, "--full", "--all")
    assert (found["recomputed"], found["batches_changed"], found["out_of_scope"]) == (PENDING, 0, LABELLED)
    apart.sql(f"UPDATE {apart.table('wafers_prediction')} SET score = score + 0.001 WHERE wafer = 320")
    assert audit(job, "--full", holds=False)["batches_changed"] == 1
