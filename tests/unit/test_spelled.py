"""What init reads out of texts: the format of times, and numbers with a decimal comma."""

import pytest

from rowcast.init.spelled import CommaNumbers, find_comma_numbers, find_time_format


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (["01.12.2026 06:00:00", "31.01.2026 23:59:59"], "%d.%m.%Y %H:%M:%S"),
        (["01.12.2026 06:00", "31.01.2026 23:59  "], "%d.%m.%Y %H:%M"),
        (["2026-12-01T06:00:00"], "%Y-%m-%dT%H:%M:%S"),
        (["2026-12-01 06:00:00+0100"], "%Y-%m-%d %H:%M:%S%z"),
        (["2026-12-01 06:00:00.25"], "%Y-%m-%d %H:%M:%S.%f"),
        (["2026/12/01"], "%Y/%m/%d"),
        (["20261201 06:00"], "%Y%m%d %H:%M"),
        (["12/01/2026"], None),  # the day may be the month
        (["1.2.2026"], None),  # the parts have no fixed places
        (["20261201"], None),
        (["30.02.2026"], None),
        (["01.12.2026", "2026-12-01"], None),
        (["01.12.2026", "soon"], None),
        ([], None),
    ],
)
def test_a_format_is_found_where_all_texts_have_it_and_no_part_is_in_doubt(texts: list[str], wanted: str) -> None:
    assert find_time_format(texts) == wanted


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (["3,14", "2", "-0,5", " 7,0 "], CommaNumbers(())),
        (["3,14"] * 20 + ["---"], CommaNumbers(("---",))),
        (["1.234,56", "987,65", "-12.345.678,9"], CommaNumbers(())),
        (["3,14"] * 20 + ["1.234"], CommaNumbers(())),  # what cannot be read is no word for "not measured"
        (["3", "4"], None),
        (["3,14", "a", "b"], None),
        (["A,1", "B,2"], None),
        ([], None),
    ],
)
def test_numbers_with_a_comma_are_told_with_what_stands_between_them(
    texts: list[str], wanted: CommaNumbers | None
) -> None:
    assert find_comma_numbers(texts) == wanted
