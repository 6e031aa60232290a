"""What commands print."""

from datetime import UTC, datetime

from rowcast import report


def test_a_table_has_numbers_to_the_right_and_a_dash_for_nothing() -> None:
    rows = [{"name": "gate", "rows": 12345, "error": None}, {"name": "data-fetch", "rows": 7, "error": "gone"}]
    assert report.table(rows, ["name", "rows", "error"]).splitlines() == [
        "name          rows  error",
        "----------  ------  -----",
        "gate        12,345  -",
        "data-fetch       7  gone",
    ]


def test_a_table_without_rows_still_has_its_headings() -> None:
    assert report.table([], ["a", "b"]).splitlines() == ["a  b", "-  -"]


def test_moments_and_truth_are_written_for_people() -> None:
    assert report.facts({"at": datetime(2026, 5, 1, 6, 30, tzinfo=UTC), "holds": True}) == (
        "at     2026-05-01 06:30\nholds  yes"
    )


def test_the_equation_says_whether_it_holds() -> None:
    parts = {"source": 6, "unusable": 1, "out_of_scope": 2, "scored": 3, "quarantined": 0, "pending": 0, "forgotten": 0}
    assert report.equation({**parts, "holds": True}) == (
        "6 source = 1 unusable + 2 out_of_scope + 3 scored + 0 quarantined + 0 pending: it holds"
    )
    assert "≠" in report.equation({**parts, "source": 7, "holds": False})
    assert report.equation({**parts, "source": 7, "holds": False}).endswith("IT DOES NOT HOLD")
