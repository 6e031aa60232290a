"""`rowcast models sql` prints a statement that gives the scores which `rowcast infer` wrote."""

import pytest
from jobs import Job

pytest_plugins = ("job_fixtures",)


def test_the_printed_select_gives_the_stored_scores(lite: Job) -> None:
    assert lite.call("infer").code == 0
    said = lite.call("models", "sql")
    assert said.code == 0, said.err
    stored = lite.sql(f"SELECT wafer, score, predicted FROM {lite.table('wafers_prediction')}")
    found = {row["wafer"]: row for row in lite.sql(said.out)}
    assert len(stored) > 50
    for row in stored:
        assert found[row["wafer"]]["score"] == pytest.approx(row["score"], rel=0, abs=1e-9)
        assert found[row["wafer"]]["decision"] == row["predicted"]


def test_a_bound_of_the_config_holds_in_the_select_too(lite: Job) -> None:
    lite.configure({"check.columns.s01": {"min": 1e9, "max": 2e9}})
    said = lite.call("models", "sql", "v1")
    assert said.code == 0, said.err
    assert {row["score"] for row in lite.sql(said.out) if row["score"] is not None} == set()


def test_other_dialects_are_printed_and_an_unknown_one_is_refused(lite: Job) -> None:
    assert "FROM [wafers] AS s" in lite.call("models", "sql", "--dialect", "mssql").out
    assert lite.call("models", "sql", "--dialect", "cobol").code == 2
