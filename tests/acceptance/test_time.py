"""What was known when: a day can be had again, and nothing is learned from labels before they came."""

import pytest
from jobs import LABELLED, PENDING, Job, wafers

pytest_plugins = ("job_fixtures",)


def shas(job: Job) -> dict[int, str]:
    return {model["version"]: model["artifact_sha256"] for model in job.ok("models", "--json")["models"]}


def test_a_retrain_as_of_an_earlier_day_gives_what_that_day_gave(plain: Job) -> None:
    turned = [{**row, "failed": 1 - row["failed"]} for row in wafers(LABELLED + PENDING + 1, 4_000, True)]
    plain.add(turned)
    plain.estimator("quick", gate={"yearly_error": 0.9})
    plain.ok("retrain", "--as-of", "2026-01-03")
    that_day = plain.ok("retrain", "--as-of", "2026-01-25")
    assert that_day["champion"] == "v2"  # so that another champion serves when the day is repeated
    plain.ok("retrain", "--as-of", "2026-02-01")
    again = plain.ok("retrain", "--as-of", "2026-01-25")
    found = shas(plain)
    assert found[4] == found[2]
    assert found[4] != found[3]
    assert again["champion"] == "v2"
    assert "v4 undecided" in again["retrain"]


def test_a_challenger_learns_from_no_label_that_came_after_the_gates_first_row(plain: Job) -> None:
    plain.configure({"source": {"label_delay": "1d"}, "model": {"min_train_rows": 50}})
    plain.add(wafers(LABELLED + PENDING + 1, 4_000, True))
    plain.ok("retrain", "--as-of", "2026-01-10")
    plain.ok("retrain", "--as-of", "2026-01-28")
    first, second = sorted(plain.ok("models", "--json")["models"], key=lambda model: model["version"])
    assert first["trained_to"].startswith("2026-01-09")  # labels take a day
    assert second["trained_to"].startswith("2026-01-17")  # the gate's rows: from the 18th to the 27th


@pytest.mark.parametrize("rule", ["proven", "fresh"])
def test_a_window_forgets_older_rows(plain: Job, rule: str) -> None:
    plain.configure({"model": {"min_train_rows": 50, "window": "10d"}, "gate": {"rule": rule}})
    plain.add(wafers(LABELLED + PENDING + 1, 4_000, True))
    plain.ok("retrain", "--as-of", "2026-01-25")
    [model] = plain.ok("models", "--json")["models"]
    assert model["trained_from"].startswith("2026-01-15")
    assert model["rows"] == 10 * 144 + 1
