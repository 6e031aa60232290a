"""Labels that say nothing are not known, odd ones are named and left out, and neither stops training."""

from typing import Any

import pytest
from odd import LABELLED, ROWS, Odd, empty_odd, is_failed  # noqa: F401 (a fixture)

from rowcast import fetch
from rowcast.doctor import examine
from rowcast.source import open_source


def labels(**at: Any) -> list[Any]:
    """The labels as texts, with others in some rows: `n7` is row 7."""
    found: list[Any] = [("NOK" if is_failed(n) else "OK") if n <= LABELLED else None for n in range(1, ROWS + 1)]
    for row, value in at.items():
        found[int(row[1:]) - 1] = value
    return found


def known(odd: Odd, **source: Any) -> int:
    found = open_source(odd.place.connect(), odd.settings(**source).source)
    return fetch.count_known_labels(found, found.db.now())


def test_blank_labels_and_those_that_the_config_lists_are_not_known(odd: Odd) -> None:
    odd.make({"y": "varchar(9)"}, {"y": labels(n3="", n4="  ", n5="N/A", n6="pending", n7="7")})
    assert known(odd, label="y") == LABELLED - 2
    assert known(odd, label="y", label_missing=["N/A", "pending", 7]) == LABELLED - 5


def test_numbers_that_mean_not_known(odd: Odd) -> None:
    odd.make({"y": "double precision"}, {"y": [-1 if n == 3 else 0.5 for n in range(ROWS)]})
    nan = "'NaN'" if odd.place.system == "postgresql" else "NULL"
    odd.place.run(f"UPDATE wafers SET y = {nan} WHERE id = 9")
    assert known(odd, label="y") == ROWS - 1
    assert known(odd, label="y", label_missing=[-1, "N/A"]) == ROWS - 2


def test_an_odd_label_is_left_out_of_training_and_named_by_the_doctor(odd: Odd) -> None:
    odd.make({"y": "varchar(9)"}, {"y": labels(n3="", n5="N/A", n6="nok")})
    task = '[task]\npositive = "NOK"'
    odd.run(task, "retrain", label="y", exclude=["failed"])
    assert odd.with_job(lambda job: job.registry.version(1).rows, task, label="y", exclude=["failed"]) == LABELLED - 3
    findings = examine(odd.settings(task, label="y", exclude=["failed"]))
    [told] = [finding for finding in findings if "odd values" in finding.what]
    assert "'N/A' in 1 row," in told.what
    assert told.what.endswith("'nok' in 1 row")
    assert "label_missing" in told.hint
    assert not [finding for finding in findings if finding.level == "problem"]


@pytest.mark.parametrize(("late", "warned"), [(False, False), (True, True)])
def test_a_label_that_is_there_before_the_outcome_is_a_warning(late: bool, warned: bool, odd: Odd) -> None:
    odd.make({"y": "integer"}, {"y": [int(is_failed(n) and not (late and n > LABELLED)) for n in range(1, ROWS + 1)]})
    told = [
        finding
        for finding in examine(odd.settings(label="y", exclude=["failed"]))
        if "until the outcome" in finding.what
    ]
    assert bool(told) == warned
    if warned:
        assert "label_time" in told[0].hint
        named = odd.settings(label="y", exclude=["failed"], label_delay="1d")
        assert not [finding for finding in examine(named) if "until the outcome" in finding.what]
