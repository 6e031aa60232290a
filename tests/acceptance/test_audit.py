"""The audit holds, and each part of it that is broken on purpose is seen and counted."""

import pytest
from jobs import LABELLED, PENDING, Job

pytest_plugins = ("jobs",)


@pytest.fixture
def scored(trained: Job) -> Job:
    """A job whose 100 wafers were scored, but for two that were set aside."""
    trained.sql("UPDATE wafers SET s01 = 1e30, s02 = 1e30, s03 = 1e30, s04 = 1e30 WHERE wafer IN (310, 350)")
    trained.ok("infer")
    return trained


def test_it_holds_after_a_run(scored: Job) -> None:
    found = scored.audit()
    assert found == {
        "source": LABELLED + PENDING,
        "unusable": 0,
        "out_of_scope": LABELLED,
        "scored": PENDING - 2,
        "quarantined": 2,
        "pending": 0,
        "duplicates": 0,
        "both": 0,
        "deleted": 0,
        "batches": 3,
        "batches_wrong": 0,
        "unpublished": 0,
        "holds": True,
    }
