"""Quality estimated without labels: against a simulation of the truth, and against its own record."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from rowcast.messages.cost import describe_excess, describe_withheld
from rowcast.monitor.quality import Basis, Tally, TallyBuilder, estimate, estimate_cost, make_basis, realise
from rowcast.monitor.track_record import (
    ExpectedCost,
    find_daily_loss,
    find_estimated_loss,
    find_realised_loss,
    interval_coverage,
    measure_track_record,
)

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

DAY = np.datetime64("2026-05-01")
COSTS = (20.0, 1.0)  # missed, false alarm
SURE = Basis("binary", *COSTS)  # of a calibration without any error
THRESHOLD = 1 / 21


def tally(score: Floats, outcome: Bools | None = None, days: int = 1, edges: tuple[float, ...] = ()) -> Tally:
    """Rows as the database would add them up."""
    adding, flagged, band = TallyBuilder(), score >= THRESHOLD, np.searchsorted(edges, score)
    day = np.arange(len(score)) * days // len(score)
    wrong = np.zeros(len(score)) if outcome is None else flagged != outcome
    sums = np.stack([np.ones(len(score)), score, score * (1 - score), score * (1 - score) * (1 - 2 * score), wrong])
    for number in range(days):
        for is_flagged in (False, True):
            for place in range(len(edges) + 1):
                here = (day == number) & (flagged == is_flagged) & (band == place)
                if here.any():
                    adding.add(DAY + number, is_flagged, place, sums[:, here].sum(axis=1).tolist())
    return adding.tally()


def figures(score: Floats, outcome: Bools) -> dict[str, float]:
    """By the definitions, row by row."""
    flagged = score >= THRESHOLD
    return {
        "precision": float(outcome[flagged].mean()),
        "recall": float(flagged[outcome].mean()) if outcome.any() else np.nan,
        "cost_per_row": float(np.where(outcome & ~flagged, 20.0, np.where(flagged & ~outcome, 1.0, 0.0)).mean()),
    }


def scores(failing: float, rows: int, seed: int = 0) -> Floats:
    """Probabilities whose mean is about the share of failures."""
    return np.random.default_rng(seed).beta(0.5, 0.5 * (1 - failing) / failing, size=rows)


# The estimator


@pytest.mark.parametrize("failing", [0.2, 0.05, 0.005])
def test_the_estimate_is_the_mean_of_simulated_truths_and_its_interval_holds_95_of_100(failing: float) -> None:
    score = scores(failing, 2_000)
    found = estimate(tally(score), SURE)
    random = np.random.default_rng(1)
    truths = [figures(score, random.random(len(score)) < score) for _ in range(2_000)]
    for name, figure in found.items():
        came = np.array([truth[name] for truth in truths])
        came = came[np.isfinite(came)]
        assert figure.value == pytest.approx(came.mean(), abs=4 * came.std() / np.sqrt(len(came)) + 0.1 * came.std())
        held = np.mean([figure.holds(each) for each in came])
        assert 0.93 <= held <= 0.995, name


def test_realised_figures_are_those_of_the_definitions() -> None:
    score = scores(0.1, 3_000)
    outcome = np.random.default_rng(2).random(3_000) < score
    found = realise(tally(score, outcome), SURE)
    assert {name: figure.value for name, figure in found.items()} == pytest.approx(figures(score, outcome))
    assert tally(score).flagged_share.value == pytest.approx((score >= THRESHOLD).mean())  # type: ignore[union-attr]


def test_a_tally_is_the_same_however_the_rows_are_cut() -> None:
    score = scores(0.1, 500)
    whole, adding = tally(score), TallyBuilder()
    for part in (score[:77], score[77:]):
        each = tally(part)
        for place in range(len(each.rows)):
            sums = [getattr(each, name)[place] for name in ("rows", "score", "variance", "third", "wrong")]
            adding.add(each.day[place], bool(each.flagged[place]), int(each.band[place]), sums)
    assert all(
        np.allclose(one, two)
        for one, two in zip(vars(whole).values(), vars(adding.tally()).values(), strict=True)
        if one.dtype == float
    )


def test_several_classes_are_right_as_often_as_their_scores_say() -> None:
    score, several = np.array([0.9, 0.6, 0.8]), Basis("multiclass", 5.0, 1.0)
    adding = TallyBuilder()
    for flagged, s, wrong in zip((False, True, True), score, (1, 0, 1), strict=True):
        adding.add(DAY, flagged, 0, (1, s, s * (1 - s), s * (1 - s) * (1 - 2 * s), wrong))
    found, came = estimate(adding.tally(), several), realise(adding.tally(), several)
    assert found["accuracy"].value == pytest.approx(score.mean())
    assert found["cost_per_row"].value == pytest.approx((5 * 0.1 + 0.4 + 0.2) / 3)
    assert (came["accuracy"].value, came["cost_per_row"].value) == pytest.approx((1 / 3, 6 / 3))


def test_nothing_is_said_of_no_rows_of_values_and_of_the_precision_of_none() -> None:
    none = TallyBuilder().tally()
    assert (estimate(none, SURE), realise(none, SURE), none.flagged_share) == ({}, {}, None)
    unflagged = tally(np.full(10, 0.01))
    assert estimate(unflagged, Basis("regression", 1, 1)) == {}
    assert "precision" not in estimate(unflagged, SURE)
    assert set(realise(tally(np.full(10, 0.01), np.zeros(10, dtype=bool)), SURE)) == {"cost_per_row"}


# The calibration's own error


def record(rows: int, *rates: float, reach: float) -> dict[str, Any]:
    """A table of reliability with bands of equally many rows."""
    highs = np.linspace(0, 1, len(rates) + 1)[1:]
    return {
        "reliability": [
            {"rows": rows, "observed": r, "observed_low": r - reach, "observed_high": r + reach, "high": float(high)}
            for r, high in zip(rates, highs, strict=True)
        ]
    }


def test_the_interval_holds_where_rates_are_off_by_what_the_record_says() -> None:
    off, n = 0.03, 4_000
    rests = make_basis("binary", *COSTS, record(10**9, 0.1, 0.6, reach=1.96 * off))
    random, held = np.random.default_rng(3), []
    score = np.where(np.arange(n) % 2, 0.1, 0.6)
    found = estimate(tally(score, edges=rests.edges), rests)["cost_per_row"]
    for _ in range(2_000):
        truth = np.where(score < 0.5, score + random.normal(0, off), score + random.normal(0, off))
        held.append(found.holds(figures(score, random.random(n) < truth)["cost_per_row"]))
    assert 0.93 <= np.mean(held) <= 0.995
    luck_alone = estimate(tally(score), SURE)["cost_per_row"]
    assert luck_alone.high - luck_alone.low < (found.high - found.low) / 2  # type: ignore[operator]


def test_luck_of_the_measured_rows_is_a_bands_own_and_the_rest_may_be_shared() -> None:
    luck = np.sqrt(0.1 * 0.9 / 100)
    only_luck = make_basis("binary", *COSTS, record(100, 0.1, reach=1.96 * np.sqrt(2) * luck))
    assert only_luck.own == pytest.approx((luck,))
    assert only_luck.shared == pytest.approx((0.0,), abs=1e-3)
    drifting = make_basis("binary", *COSTS, record(10**9, 0.1, 0.2, reach=0.05))
    assert drifting.shared == pytest.approx((0.05 / 1.96,) * 2, rel=1e-3)
    assert drifting.edges == (0.5,)


def test_bands_together_are_off_by_no_more_than_the_cost_out_of_fold_was() -> None:
    table = record(10**9, 0.01, 0.02, 0.03, 0.5, reach=0.05)
    dev = {"flagged_share": 0.25, "cost_per_row_low": 0.5, "cost_per_row_high": 0.7}
    rests = make_basis("binary", *COSTS, table | dev)
    score = np.repeat([0.01, 0.02, 0.03, 0.8], 10**6)
    found = estimate_cost(tally(score, edges=rests.edges), rests)
    assert found.high - found.low == pytest.approx(0.2, rel=0.02)  # type: ignore[operator]
    vague = make_basis("binary", *COSTS, table | dev | {"cost_per_row_high": 9.0})
    assert vague == make_basis("binary", *COSTS, table)


def test_a_record_of_before_leaves_luck_alone() -> None:
    assert make_basis("binary", *COSTS, {}) == SURE
    assert make_basis("multiclass", *COSTS, {"accuracy": 0.9}) == Basis("multiclass", *COSTS)
    several: Mapping[str, Any] = {"rows_out_of_fold": 900, "accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 1.0}
    assert make_basis("multiclass", *COSTS, several).shared[0] == pytest.approx(0.049, abs=0.001)


# The track record


def test_a_calibrated_score_is_hardly_ever_contradicted_even_where_failures_are_rare() -> None:
    random, withheld = np.random.default_rng(4), 0
    for trial in range(300):
        score = scores(0.005, 1_000, seed=trial)
        withheld += (
            measure_track_record(tally(score, random.random(1_000) < score, days=10), SURE).contradicted is not None
        )
    assert withheld <= 8  # 1 % of 300, and the luck of that


def test_the_record_says_of_each_figure_on_how_many_days_its_interval_held() -> None:
    random = np.random.default_rng(4)
    calibrated = [scores(0.1, 500, seed=trial) for trial in range(20)]
    found = [interval_coverage(tally(score, random.random(500) < score, days=5), SURE) for score in calibrated]
    for name in ("cost_per_row", "precision", "recall"):
        assert np.mean([each[name] for each in found]) > 0.93, name
    # Of those flagged fewer fail than the scores say.
    score = np.tile([0.05, 0.6], 2_000)
    broken = interval_coverage(tally(score, random.random(4_000) < np.tile([0.05, 0.4], 2_000), days=4), SURE)
    assert (broken["precision"], broken["recall"]) == (0, 1)


def test_days_that_share_their_luck_are_hardly_ever_taken_for_a_contradiction() -> None:
    random, withheld = np.random.default_rng(5), 0
    for trial in range(300):
        score = scores(0.1, 1_000, seed=trial)
        of_day = np.repeat(random.gamma(4, 1 / 4, size=20), 50)  # a day's failures are half or twice as many
        outcome = random.random(1_000) < np.minimum(score * of_day, 1)
        withheld += measure_track_record(tally(score, outcome, days=20), SURE).contradicted is not None
    assert withheld <= 10


def test_a_changed_relation_withholds_the_estimate() -> None:
    score = scores(0.1, 3_000)
    outcome = np.random.default_rng(6).permutation(score) > np.random.default_rng(7).random(3_000)
    found = measure_track_record(tally(score, outcome, days=5), SURE)
    assert found.contradicted is not None
    assert "per row was estimated for 3,000 rows" in describe_excess(found.contradicted)
    assert found.difference is not None
    assert found.difference < 0  # less was estimated than it cost


def test_what_labels_say_leaves_the_interval_of_the_estimate_as_seldom_as_it_says() -> None:
    random, missed = np.random.default_rng(14), 0
    for trial in range(400):
        score = scores(0.1, 1_000, seed=trial)
        missed += measure_track_record(tally(score, random.random(1_000) < score, days=10), SURE).missed is not None
    assert 4 <= missed <= 33  # 5 % of 400, and the luck of that


def test_an_estimate_that_labels_have_left_is_withheld_though_luck_could_explain_it() -> None:
    score, outcome = np.full(400, 0.04), np.zeros(400, dtype=bool)  # too low to be flagged: each failure is missed
    outcome[::15] = True
    found = measure_track_record(tally(score, outcome, days=2), SURE)
    assert (found.contradicted, found.is_withheld) == (None, True)
    assert describe_withheld(found).startswith("labels left its interval: 0.43")
    assert describe_withheld(found).endswith("for the 400 rows of known label, and they cost 1.35")
    outcome[::15] = False
    outcome[::25] = True
    held = measure_track_record(tally(score, outcome, days=2), SURE)
    assert (held.is_withheld, describe_withheld(held)) == (False, "")


def test_an_uncalibrated_score_is_contradicted_unless_the_record_says_how_far_it_is_off() -> None:
    truth = np.full(5_000, 0.2)
    outcome = np.random.default_rng(8).random(5_000) < truth
    score = truth * 0.7
    assert measure_track_record(tally(score, outcome, days=8), SURE).contradicted is not None
    vague = make_basis("binary", *COSTS, record(10**9, 0.14, reach=1.96 * 0.05))
    assert measure_track_record(tally(score, outcome, days=8), vague).contradicted is None


def test_a_changed_week_is_not_hidden_by_a_month_that_held() -> None:
    score = scores(0.1, 9_000)
    random = np.random.default_rng(11)
    outcome = random.random(9_000) < score
    assert measure_track_record(tally(score, outcome, days=30), SURE).contradicted is None
    outcome[-2_100:] = random.permutation(outcome[-2_100:])
    found = measure_track_record(tally(score, outcome, days=30), SURE).contradicted
    assert found is not None
    assert "of the latest 3 days" in describe_excess(found)


def test_days_before_say_how_much_three_days_may_vary() -> None:
    random = np.random.default_rng(12)
    score = np.full(4_800, 0.1)
    rate = np.repeat([0.1] * 17 + [0.16, 0.28, 0.2], 240)  # each of the last days is worse, and they differ
    outcome = random.random(4_800) < rate
    alone = slice(-720, None)
    assert measure_track_record(tally(score[alone], outcome[alone], days=3), SURE, 0.002).contradicted is None
    found = measure_track_record(tally(score, outcome, days=20), SURE, 0.002).contradicted
    assert found is not None
    assert "of the latest 3 days" in describe_excess(found)


@pytest.mark.parametrize("since", [5, 10, 20, 25])
def test_a_change_is_seen_however_long_ago_and_dated(since: int) -> None:
    random = np.random.default_rng(13)
    score = np.full(7_200, 0.04)  # too low to be flagged: each failure is missed
    outcome = random.random(7_200) < np.repeat([0.04] * since + [0.1] * (30 - since), 240)
    record = tally(score, outcome, days=30)
    for found in (
        measure_track_record(record, SURE, 0.002).contradicted,
        find_realised_loss(record, SURE, ExpectedCost(0.8, 0.85), 0.002),
    ):
        assert found is not None
        assert abs(found.since - record.days[since]) <= np.timedelta64(1, "D")


def test_two_days_are_no_record_to_judge_by() -> None:
    score = np.full(1_000, 0.2)
    wrong = np.zeros(1_000, dtype=bool)
    assert measure_track_record(tally(score, wrong, days=2), SURE).contradicted is None
    assert measure_track_record(tally(score, wrong, days=3), SURE).contradicted is not None
    assert measure_track_record(TallyBuilder().tally(), SURE).difference is None


# Costing more than promised


def test_a_loss_names_its_figure_since_when_and_how_much_it_is() -> None:
    score = np.full(2_000, 0.5)
    outcome = np.random.default_rng(9).random(2_000) < score
    judged, none, promise = tally(score, outcome, days=6), TallyBuilder().tally(), ExpectedCost(0.2, 0.25)
    came, told = find_realised_loss(judged, SURE, promise), find_estimated_loss(judged, SURE, promise)
    assert came is not None
    assert describe_excess(came).startswith("the realised cost of 0.49")
    assert "of the latest 3 days is above the 0.2 that the model promised" in describe_excess(came)
    assert came.since == judged.days[0]
    assert came.beyond == pytest.approx(0.3, abs=0.02)
    assert told is not None
    assert describe_excess(told).startswith("the estimated cost of 0.5")
    for kept in (find_realised_loss, find_estimated_loss):
        assert kept(judged, SURE, ExpectedCost(0.45, 0.6)) is None
        assert kept(none, SURE, promise) is None


def test_the_surer_the_less_is_shown() -> None:
    score = np.full(600, 0.25)
    judged = tally(score, np.arange(600) % 10 < 3, days=6)  # 0.3 of them fail, rather steadily
    promise = ExpectedCost(0.2, 0.2)
    shown = [find_realised_loss(judged, SURE, promise, level) is not None for level in (0.5, 0.01, 1e-9)]
    assert shown == [True, True, False]
    contradicted = [measure_track_record(judged, SURE, level).contradicted is not None for level in (0.5, 1e-9)]
    assert contradicted == [True, False]


def test_a_promise_that_is_kept_is_hardly_ever_called_broken() -> None:
    random, called = np.random.default_rng(10), 0
    for trial in range(300):
        score = scores(0.02, 1_000, seed=trial)
        judged = tally(score, random.random(1_000) < score, days=8)
        promise = ExpectedCost(estimate_cost(judged, SURE).value, estimate_cost(judged, SURE).value)
        called += (
            find_realised_loss(judged, SURE, promise) is not None
            or find_estimated_loss(judged, SURE, promise) is not None
        )
    assert called <= 10


def test_what_values_are_off_is_held_against_the_promise_too() -> None:
    rows = np.full(5, 100)
    days = np.arange("2026-03-01", "2026-03-06", dtype="datetime64[D]")
    shown = find_daily_loss(days, np.full(5, 200.0), rows, ExpectedCost(1.0, 1.2))
    assert shown is not None
    assert "the realised cost of 2 per row on 300 labelled rows of the latest 3 days" in describe_excess(shown)
    assert shown.since == np.datetime64("2026-03-01")
    assert find_daily_loss(days, np.array([100.0, 300, 50, 80, 120]), rows, ExpectedCost(1.0, 1.2)) is None
    assert ExpectedCost.of({"cost_per_row": 1.0, "cost_per_row_high": None}) is None
