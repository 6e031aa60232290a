"""What the database cannot compute costs the rows and columns that it is in, in training as in scoring."""

from typing import Any

import pytest
from odd import LABELLED, ROWS, Odd, empty_odd  # noqa: F401 (a fixture)

from rowcast import fetch
from rowcast.doctor import examine
from rowcast.errors import DatabaseError, shorten


def failing(odd: Odd, where: str, beside: str = "") -> str:
    """A view of the table whose column `x` cannot be computed in some rows."""
    impossible = "abs(-9223372036854775807 - 1)" if odd.place.is_sqlite else "1 / (id - id)"
    columns = f"id, t, failed, {beside}CASE WHEN {where} THEN {impossible} ELSE s0 END AS x"
    odd.place.run(f"CREATE VIEW odd AS SELECT {columns} FROM wafers")
    return "odd"


@pytest.mark.parametrize("time", ["t", pytest.param(None, marks=pytest.mark.long)])
def test_labelled_rows_that_cannot_be_computed_are_counted_and_named(time: str | None, odd: Odd) -> None:
    table = failing(odd.make(), f"id IN (7, 77, {LABELLED + 3})")
    result = odd.run(table=table, time=time)
    assert (result.outcome.scored, result.outcome.quarantined) == (ROWS - LABELLED - 1, 1)
    version, figures = odd.with_job(lambda job: (job.registry.version(1), figures_of(job)), table=table, time=time)
    assert version.rows == LABELLED - 2
    assert figures["failing_rows"] == 2
    again = odd.with_job(
        lambda job: fetch.fetch_training_rows(job.source, job.store.now(), ROWS, None).failing, table=table, time=time
    )
    assert again.keys == (("7",), ("77",))
    assert again.columns == ()
    findings = [finding.what for finding in examine(odd.settings(table=table, time=time))]
    assert any("newest labelled rows the database cannot compute rows: 2" in told for told in findings)


def figures_of(job: Any) -> dict[str, Any]:
    """The figures of the job's steps."""
    return {row["name"]: row["value"] for row in job.store.rows(job.tables.metric.select())}


def test_a_column_that_cannot_be_computed_in_most_rows_is_left_out(odd: Odd) -> None:
    table = failing(odd.make(), "id > 20", "s0, ")
    result = odd.run('[check.columns.x]\ntype = "number"', table=table)
    assert (result.outcome.scored, result.outcome.quarantined) == (ROWS - LABELLED, 0)
    version = odd.with_job(lambda job: job.registry.version(1), table=table)
    assert (version.rows, version.features) == (LABELLED, ("s0",))
    assert version.metrics["dropped"] == {"x": "the database cannot compute it"}


def test_what_cannot_be_computed_for_the_label_is_an_error(odd: Odd) -> None:
    table = failing(odd.make(), "id = 7")
    with pytest.raises(DatabaseError):
        odd.run("", "retrain", table=table, label="x", exclude=["failed"])


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)  # the others have no such number
def test_a_number_beyond_every_float_costs_its_row_alone(odd: Odd) -> None:
    odd.make({"big": "numeric"}, {"big": list(range(ROWS))})
    odd.place.run("UPDATE wafers SET big = 1e400 WHERE id = 7", f"UPDATE wafers SET big = 1e400 WHERE id = {ROWS}")
    result = odd.run()
    assert (result.outcome.scored, result.outcome.quarantined) == (ROWS - LABELLED - 1, 1)
    version, figures = odd.with_job(lambda job: (job.registry.version(1), figures_of(job)))
    assert (version.rows, figures["failing_rows"]) == (LABELLED - 1, 1)
    assert "big" in version.features or "big" in version.metrics["dropped"]


def test_what_a_driver_says_is_cut_whatever_it_quotes() -> None:
    assert shorten("1" + "0" * 400 + " is out of range") == "100000000000… is out of range"
    assert len(shorten("invalid: " + "x" * 10**6 + " in line 1")) < 420
    assert shorten("short 12345") == "short 12345"
