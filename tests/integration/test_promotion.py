"""What a person's decision does to rows that nothing has scored: they are counted, and said."""

from collections.abc import Callable

import pytest
from conftest import Place
from odd import LABELLED, ROWS, Odd, empty_odd  # noqa: F401 (a fixture)

from rowcast import promotion
from rowcast.audit import audit
from rowcast.cli.promotion import describe_promotion
from rowcast.errors import DatabaseError
from rowcast.promotion import Promotion

MORE = 20  # rows whose label comes before anything has scored them


@pytest.fixture
def twice(odd: Odd) -> Odd:
    """Two versions, of which the second could learn from rows that the first could not."""
    odd.make().run(pipeline_name="retrain")
    odd.place.run(f"UPDATE wafers SET failed = id % 2 WHERE id BETWEEN {LABELLED + 1} AND {LABELLED + MORE}")
    odd.run(pipeline_name="retrain")
    if odd.with_job(lambda job: job.registry.champion()) == 2:
        promotion.promote(odd.settings(), 1, by="ada", reason="to begin with")
    return odd


def pending(odd: Odd, text: str = "") -> int:
    return int(odd.with_job(lambda job: audit(job).pending, text))


def decide(odd: Odd, version: int, text: str = "") -> Promotion:
    return promotion.promote(odd.settings(text), version, by="ada", reason="a test")


def test_rows_that_the_version_before_alone_could_learn_from_are_pending_and_counted(twice: Odd) -> None:
    assert pending(twice) == ROWS - LABELLED
    assert decide(twice, 2) == Promotion(2, 1, now_pending=0, left_to_training=MORE)
    assert pending(twice) == ROWS - LABELLED - MORE
    back = promotion.rollback(twice.settings(), by="ada", reason="a test")
    assert back == Promotion(1, 2, now_pending=MORE, left_to_training=0)
    assert pending(twice) == ROWS - LABELLED


def test_with_a_store_of_its_own_they_are_counted_all_the_same(odd: Odd, make_place: Callable[[str], Place]) -> None:
    text = f'[store]\nurl = "{make_place("postgresql" if odd.place.is_sqlite else "sqlite").url}"\n'
    odd.make().run(text, "retrain")
    odd.place.run(f"UPDATE wafers SET failed = id % 2 WHERE id BETWEEN {LABELLED + 1} AND {LABELLED + MORE}")
    odd.run(text, "retrain")
    champion = odd.with_job(lambda job: job.registry.champion(), text)
    made = decide(odd, 3 - champion, text)
    assert {made.now_pending, made.left_to_training} == {0, MORE}
    assert pending(odd, text) == ROWS - LABELLED - (MORE if made.version == 2 else 0)


def test_rows_that_are_scored_stay_where_they_are(twice: Odd) -> None:
    twice.run(pipeline_name="infer")
    assert decide(twice, 2) == Promotion(2, 1, now_pending=0, left_to_training=0)


def test_a_version_serves_though_nobody_could_count(twice: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise DatabaseError("it takes too long", reason="locked")

    monkeypatch.setattr("rowcast.fetch.Pending.count_moved", refuse)
    assert decide(twice, 2) == Promotion(2, 1, None, None)
    assert twice.with_job(lambda job: job.registry.champion()) == 2


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (Promotion(1, None, None, None), "v1 is champion, the first"),
        (Promotion(6, 7, 0, 0), "v6 is champion, in place of v7"),
        (
            Promotion(6, 7, 1930, 0),
            "v6 is champion, in place of v7\n  1,930 rows are pending by that: v7 could learn from them, "
            "v6 could not; the next run scores them",
        ),
        (
            Promotion(7, 6, 0, 1),
            "v7 is champion, in place of v6\n  1 row is no longer pending, but left to training: "
            "v7 could learn from it",
        ),
        (
            Promotion(7, 6, None, None),
            "v7 is champion, in place of v6\n  how many rows are pending by that could not be counted: "
            "'rowcast status' does",
        ),
    ],
)
def test_it_is_said_in_place_of_which_and_what_is_pending_by_that(made: Promotion, said: str) -> None:
    assert describe_promotion(made) == said
