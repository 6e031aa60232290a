"""The audit holds, and each part of it that is broken on purpose is seen and counted."""

from collections.abc import Callable

import pytest
from jobs import LABELLED, PENDING, Job

pytest_plugins = ("job_fixtures",)

MakeJob = Callable[[str, str], Job]


def make_scored(make_job: MakeJob, system: str) -> Job:
    job = make_job(system, "trained")
    job.sql("UPDATE wafers SET s01 = 1e30, s02 = 1e30, s03 = 1e30, s04 = 1e30 WHERE wafer IN (310, 350)")
    job.ok("infer")
    return job


@pytest.fixture
def scored(system: str, prepared: Callable[..., Job]) -> Job:
    """A job whose 100 wafers were scored, but for two that were set aside."""
    return prepared(make_scored, system)


def test_it_holds_after_a_run(scored: Job) -> None:
    found = scored.audit()
    assert found == {
        "source": LABELLED + PENDING,
        "unusable": 0,
        "out_of_scope": LABELLED,
        "left_to_training": LABELLED,
        "scored": PENDING - 2,
        "quarantined": 2,
        "forgotten": 0,
        "pending": 0,
        "duplicates": 0,
        "both": 0,
        "shared": 0,
        "deleted": 0,
        "batches": 3,
        "batches_wrong": 0,
        "unpublished": 0,
        "history": 0,
        "shadow": 0,
        "holds": True,
    }


def test_people_get_the_equation_with_its_numbers(scored: Job) -> None:
    done = scored.call("audit")
    assert "400 source = 0 unusable + 300 out_of_scope + 98 scored + 2 quarantined + 0 pending: it holds" in done.out
    scored.sql(f"DELETE FROM {scored.table('wafers_prediction')} WHERE wafer = 320")
    done = scored.call("audit")
    assert done.code == 1
    assert "IT DOES NOT HOLD" in done.out


def test_a_row_that_arrived_later_is_pending(scored: Job) -> None:
    scored.add([{"wafer": 1000, "measured_at": "2026-01-20 00:00:00Z"}])
    found = scored.audit()
    assert (found["source"], found["pending"]) == (401, 1)


def test_a_prediction_deleted_from_a_published_batch_is_seen(scored: Job) -> None:
    scored.sql(f"DELETE FROM {scored.table('wafers_prediction')} WHERE wafer = 320")
    found = scored.audit(holds=False)
    assert (found["scored"], found["pending"], found["batches_wrong"], found["unpublished"]) == (97, 1, 1, 0)


def test_a_quarantined_row_deleted_from_a_published_batch_is_seen(scored: Job) -> None:
    scored.sql(f"DELETE FROM {scored.table('wafers_quarantine')} WHERE wafer = 310")
    found = scored.audit(holds=False)
    assert (found["quarantined"], found["pending"], found["batches_wrong"]) == (1, 1, 1)


def test_a_prediction_that_no_batch_published_is_seen(scored: Job) -> None:
    prediction = scored.table("wafers_prediction")
    scored.sql(f"UPDATE {prediction} SET wafer = 7, batch_id = 999 WHERE wafer = 320")
    found = scored.audit(holds=False)
    assert (found["unpublished"], found["batches_wrong"], found["pending"]) == (1, 1, 1)


def test_a_prediction_of_an_unpublished_batch_is_seen(scored: Job) -> None:
    scored.sql(f"UPDATE {scored.table('batch')} SET status = 'claimed' WHERE batch_id = 1")
    found = scored.audit(holds=False)
    assert (found["batches"], found["unpublished"], found["batches_wrong"]) == (2, 40, 0)


def test_a_row_both_scored_and_quarantined_is_seen(scored: Job) -> None:
    prediction, quarantine = scored.table("wafers_prediction"), scored.table("wafers_quarantine")
    values = "wafer, run_id, batch_id, scored_at, row_hash, '[]', '{}'"
    scored.sql(
        f"DELETE FROM {quarantine} WHERE wafer = 310",
        f"INSERT INTO {quarantine} (wafer, run_id, batch_id, quarantined_at, row_hash, reasons, row_values)"
        f" SELECT {values} FROM {prediction} WHERE wafer = 320",
    )
    found = scored.audit(holds=False)
    assert (found["both"], found["scored"], found["quarantined"], found["pending"]) == (1, 98, 2, 1)
    assert found["batches_wrong"] == 0  # only 'both' gives it away


def test_a_row_scored_twice_is_seen(scored: Job) -> None:
    prediction = scored.table("wafers_prediction")
    copied = scored.table("copied")
    scored.place.keep(copied, prediction)
    renamed = '"rowcast_wafers_prediction"' if scored.place.is_sqlite else "wafers_prediction"
    scored.sql(
        f"DROP TABLE {prediction}",
        f"ALTER TABLE {copied} RENAME TO {renamed}",
        f"INSERT INTO {prediction} SELECT * FROM {prediction} WHERE wafer IN (320, 321)",
        f"INSERT INTO {prediction} SELECT * FROM {prediction} WHERE wafer = 320",
        # four rows of 320 and two of 321, and a batch that says so
        f"UPDATE {scored.table('batch')} SET scored = scored + 4 WHERE batch_id = 1",
    )
    found = scored.audit(holds=False)
    assert (found["duplicates"], found["batches_wrong"], found["unpublished"]) == (4, 0, 0)


@pytest.mark.parametrize("count", ["scored", "quarantined"])
def test_a_batch_whose_count_was_changed_is_seen(scored: Job, count: str) -> None:
    scored.sql(f"UPDATE {scored.table('batch')} SET {count} = {count} + 1 WHERE batch_id = 2")
    found = scored.audit(holds=False)
    assert (found["batches_wrong"], found["unpublished"], found["pending"]) == (1, 0, 0)


def test_a_batch_without_counts_is_seen(scored: Job) -> None:
    scored.sql(f"UPDATE {scored.table('batch')} SET scored = NULL WHERE batch_id = 2")
    assert scored.audit(holds=False)["batches_wrong"] == 1


def test_a_batch_that_is_gone_is_seen(scored: Job) -> None:
    scored.sql(f"DELETE FROM {scored.table('batch')} WHERE batch_id = 2")
    found = scored.audit(holds=False)
    assert (found["batches"], found["unpublished"]) == (2, 40)


def test_a_source_row_deleted_after_scoring_is_counted_and_the_equation_holds(scored: Job) -> None:
    scored.sql("DELETE FROM wafers WHERE wafer IN (310, 320, 321)")
    found = scored.audit()
    assert (found["source"], found["deleted"]) == (397, 3)
    assert (found["scored"], found["quarantined"], found["pending"]) == (96, 1, 0)


def test_it_changes_nothing(scored: Job) -> None:
    def stored() -> list[list[dict[str, object]]]:
        names = ("run", "step", "batch", "metric", "promotion", "wafers_prediction", "wafers_quarantine")
        return [scored.sql(f"SELECT * FROM {scored.table(name)} ORDER BY 1, 2") for name in names]

    before = stored()
    scored.audit()
    assert stored() == before


def test_without_a_champion_every_row_is_out_of_scope(untrained: Job) -> None:
    assert untrained.counts() == (0, 400, 0, 0, 0)


@pytest.mark.parametrize(
    ("system", "store"),
    [
        ("sqlite", "sqlite"),
        ("sqlite", "postgresql"),
        ("postgresql", "sqlite"),
        ("mssql", "sqlite"),
        ("postgresql", "mssql"),
    ],
)
def test_it_holds_and_breaks_alike_where_the_store_is_another_database(
    system: str, store: str, make_job: Callable[[str, str], Job]
) -> None:
    job, apart = make_job(system, "untrained"), make_job(store, "empty")
    job.estimator("quick", store={"url": apart.place.url}, retrain={"policy": "every"})
    job.ok("run")
    assert job.counts() == (0, 300, 100, 0, 0)
    job.sql("DELETE FROM wafers WHERE wafer = 350")
    assert job.audit()["deleted"] == 1
    apart.sql(f"DELETE FROM {apart.table('wafers_prediction')} WHERE wafer = 320")
    found = job.audit(holds=False)
    assert (found["scored"], found["pending"], found["batches_wrong"]) == (98, 1, 1)
    assert job.ok("infer")["scored"] == 1
