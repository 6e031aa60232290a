"""Which of the known names somebody meant who wrote another."""

import pytest

from rowcast.nearest import find_nearest


@pytest.mark.parametrize(
    ("written", "known", "meant"),
    [
        ("lable", ["table", "label"], "label"),
        ("tabel", ["label", "table"], "table"),
        ("etchlog", ["Etch", "Etch Log", "catalog"], "Etch Log"),
        ("waferId", ["wafer", "WAFER_ID"], "WAFER_ID"),
        ("labeltime", ["label", "label_time"], "label_time"),
        ("--", ["-", "x"], "-"),
    ],
)
def test_the_nearest_has_the_same_letters_or_most_of_them(written: str, known: list[str], meant: str) -> None:
    assert find_nearest(written, known) == meant


def test_what_is_wanted_comes_before_what_is_as_much_alike() -> None:
    assert find_nearest("tables", ["cables", "table"], wanted=["table"]) == "table"
    assert find_nearest("label_tim", ["label", "label_time"], wanted=["label"]) == "label_time"


def test_none_is_near_where_none_is_alike() -> None:
    assert find_nearest("pressure", ["lot", "wafer"]) is None
    assert find_nearest("pressure", []) is None
    assert find_nearest("pressure", ["lot", "wafer"], cutoff=0.0) in ("lot", "wafer")
