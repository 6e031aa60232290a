"""Numbers as people read them."""

import pytest

from rowcast.formatting import ascii_only, number, percent


def test_numbers_have_four_digits_and_no_exponent_where_people_write_none() -> None:
    assert [number(value) for value in (0.0, -4.25, 9999.4, -12_345.6, 1.5e9, 0.00012)] == [
        "0",
        "-4.25",
        "9,999",
        "-12,346",
        "1.5e+09",
        "0.00012",
    ]


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
