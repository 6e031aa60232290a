"""Numbers as people read them."""

import pytest

from rowcast.formatting import ascii_only, count, number, percent, significant, visible


def test_numbers_have_four_digits_and_no_exponent_where_people_write_none() -> None:
    assert [number(value) for value in (0.0, -4.25, 9999.4, -12_345.6, 1.5e9, 0.00012)] == [
        "0",
        "-4.25",
        "9,999",
        "-12,346",
        "1.5e+09",
        "0.00012",
    ]


def test_a_text_of_nothing_or_with_spaces_at_its_ends_is_seen_in_quotes() -> None:
    shown = {"": "''", "  ": "'  '", "A ": "'A '", "N/A": "N/A", "a b": "a b", "'": "'"}
    assert {text: visible(text) for text in shown} == shown


def test_percents_are_finer_where_they_near_nothing_or_all() -> None:
    shown = {
        0.0: "0",
        0.0004: "0.04",
        0.0634: "6.3",
        0.0999: "10",
        0.934: "93",
        0.994: "99.4",
        0.9996: "99.96",
        1: "100",
    }
    assert {share: percent(share) for share in shown} == {share: f"{text} %" for share, text in shown.items()}


@pytest.mark.parametrize(
    ("text", "plain"), [("wafers", "wafers"), ("Größe Ä, ñ", "Grosse A, n"), ("晶圆 3", "?? 3"), ("ﬁne №", "fine No")]
)
def test_names_in_plain_letters(text: str, plain: str) -> None:
    assert ascii_only(text) == plain


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        *((211.4, 2, "210"), (99.96, 2, "100"), (0.0, 2, "0"), (0.951, 2, "0.95"), (-0.5, 2, "-0.5"), (3.0, 2, "3")),
        *((12345.6, 3, "12,300"), (1e-7, 2, "1e-07"), (0.00012, 2, "0.00012"), (float("inf"), 2, "inf")),
    ],
)
def test_so_many_digits_in_plain_figures(value: float, digits: int, text: str) -> None:
    assert significant(value, digits) == text


@pytest.mark.parametrize(("rows", "text"), [(0, "0 rows"), (1, "1 row"), (1234, "1,234 rows")])
def test_one_is_no_plural(rows: int, text: str) -> None:
    assert count(rows, "row") == text
    assert count(1, "batch", "batches") == "1 batch"
    assert count(2, "batch", "batches") == "2 batches"
