"""Rows that come late, rows whose values change, and rows that get another chance."""

from collections.abc import Callable

import pytest
from jobs import LABELLED, PENDING, Job, moment, wafers

pytest_plugins = ("job_fixtures",)

MakeJob = Callable[..., Job]
FIRST, LAST = LABELLED + 1, LABELLED + PENDING  # of the pending wafers
BAD = (FIRST + 2, FIRST + 50)  # wafers that are quarantined
GOOD = PENDING - len(BAD)
USUAL = {"retrain": {"policy": "never"}, "source": {"late_arrival": "1h"}}


@pytest.fixture(
    params=[
        "sqlite",
        "postgresql",
        "mssql",
        "sqlite in postgresql",
        pytest.param("postgresql in sqlite", marks=pytest.mark.long),
        pytest.param("postgresql in mssql", marks=pytest.mark.long),
        pytest.param("mssql in sqlite", marks=pytest.mark.long),
    ]
)
def scored(request: pytest.FixtureRequest, prepared: Callable[..., Job]) -> Job:
    """A job that has scored 98 wafers and set two aside; source and store are one database, or two."""
    return prepared(make_scored, request.param)


def make_scored(make_job: MakeJob, where: str) -> Job:
    system, _, store = where.partition(" in ")
    job = make_job(system, "untrained" if store else "trained")
    if store:
        job.store = make_job(store, "empty").place
    job.sql(f"UPDATE wafers SET s01 = 1e6 WHERE wafer IN {BAD}")
    job.configure(USUAL)
    if store:
        job.ok("retrain")
    assert job.ok("infer")["quarantined"] == len(BAD)
    return job


def history(job: Job) -> list[tuple[int, str]]:
    rows = job.stored(f"SELECT wafer, was FROM {job.table('wafers_history')} ORDER BY wafer, batch_id")
    return [(row["wafer"], row["was"]) for row in rows]


# ---- late rows


def test_a_row_that_appears_behind_scored_ones_is_found_within_late_arrival(scored: Job) -> None:
    [row] = wafers(LAST + 1, 1, False)
    scored.add([{**row, "wafer": -5, "measured_at": moment(LAST - 2)}])
    assert scored.ok("infer")["scored"] == 1
    assert scored.counts() == (0, LABELLED, GOOD + 1, len(BAD), 0)


def test_an_older_row_is_counted_as_pending_and_scored_when_it_is_looked_for(scored: Job) -> None:
    [row] = wafers(LAST + 1, 1, False)
    scored.add([{**row, "measured_at": moment(FIRST + 10)}, {**row, "wafer": -5, "measured_at": moment(FIRST)}])
    for options in ([], ["--since", moment(LAST - 1)]):
        assert scored.ok("infer", *options)["scored"] == 0
        assert scored.counts() == (0, LABELLED, GOOD, len(BAD), 2)
    assert scored.ok("infer", "--since", moment(FIRST + 10))["scored"] == 1
    assert scored.ok("infer", "--since", moment(FIRST))["scored"] == 1
    assert scored.counts() == (0, LABELLED, GOOD + 2, len(BAD), 0)


def test_looking_back_less_far_than_usual_leaves_nothing_out(scored: Job) -> None:
    [row] = wafers(LAST + 1, 1, False)
    scored.add([{**row, "wafer": -5, "measured_at": moment(LAST - 2)}])
    assert scored.ok("infer", "--since", moment(LAST))["scored"] == 1
    assert scored.counts() == (0, LABELLED, GOOD + 1, len(BAD), 0)


def test_looking_further_back_never_widens_the_scope(scored: Job) -> None:
    assert scored.ok("infer", "--since", "2000-01-01")["scored"] == 0
    assert scored.counts() == (0, LABELLED, GOOD, len(BAD), 0)


def test_without_a_time_column_there_is_nothing_to_look_back_for(plain: Job) -> None:
    plain.configure({"source": {"time": None}})
    plain.ok("retrain")
    assert "--since needs source.time" in plain.refused("infer", "--since", "2026-01-01", code=2)


def test_no_row_is_pushed_out_of_its_batch_by_an_older_one_among_its_keys(scored: Job) -> None:
    scored.configure(USUAL | {"infer": {"batch_rows": 4, "workers": 1}})
    keys, times = [1000, 1010, 1020, 1030, 1040, 1005], [500, 501, 502, 503, 550, FIRST]
    rows = wafers(LAST + 1, len(keys), False)
    scored.add([{**r, "wafer": key, "measured_at": moment(at)} for r, key, at in zip(rows, keys, times, strict=True)])
    assert scored.ok("infer")["scored"] == len(keys)
    assert scored.counts() == (0, LABELLED, GOOD + len(keys), len(BAD), 0)


# ---- rows that change


def test_nothing_has_changed_right_after_scoring(scored: Job) -> None:
    found = scored.ok("audit", "--full", "--json")
    assert (found["changed"], found["changed_quarantined"], found["not_comparable"]) == (0, 0, 0)
    assert scored.ok("infer", "--rescore")["requeued"] == 0
    assert scored.ok("requeue", "--changed")["requeued"] == 0
    assert history(scored) == []


def test_changed_rows_are_counted_and_scored_once_more(scored: Job) -> None:
    before = scored.scores()
    changed = [wafer for wafer in range(FIRST, LAST + 1, 7) if wafer not in BAD]
    scored.sql(f"UPDATE wafers SET s01 = s01 + 0.5, s02 = s02 + 0.5 WHERE wafer IN {tuple(changed)}")
    found = scored.ok("audit", "--full", "--json")
    assert (found["changed"], found["changed_quarantined"], found["holds"]) == (len(changed), 0, True)
    explained = scored.call("explain", str(changed[0]))
    assert "has changed at the source" in explained.out
    done = scored.ok("infer", "--rescore")
    assert (done["requeued"], done["scored"]) == (len(changed), len(changed))
    after = scored.scores()
    assert {wafer for wafer in before if before[wafer] != after[wafer]} == set(changed)
    assert history(scored) == [(wafer, "scored") for wafer in changed]
    explained = scored.ok("explain", str(changed[0]), "--json")
    assert not explained["changed"]
    assert [earlier["score"] for earlier in explained["earlier"]] == [before[changed[0]]]
    assert scored.counts() == (0, LABELLED, GOOD, len(BAD), 0)
    assert scored.ok("audit", "--full", "--json")["changed"] == 0


def test_a_label_that_becomes_known_is_no_change(scored: Job) -> None:
    scored.sql(f"UPDATE wafers SET failed = 1 WHERE wafer > {LABELLED}")
    assert scored.ok("audit", "--full", "--json")["changed"] == 0


def test_a_changed_row_that_breaks_the_contract_by_now_is_set_aside(scored: Job) -> None:
    scored.sql(f"UPDATE wafers SET s01 = 1e6 WHERE wafer = {LAST}")
    done = scored.ok("infer", "--rescore")
    assert (done["requeued"], done["quarantined"]) == (1, 1)
    assert scored.counts() == (0, LABELLED, GOOD - 1, len(BAD) + 1, 0)


def test_a_row_is_scored_again_as_often_as_it_changes(scored: Job) -> None:
    for _ in range(3):
        scored.sql(f"UPDATE wafers SET s01 = s01 + 0.5 WHERE wafer = {LAST}")
        assert scored.ok("infer", "--rescore")["scored"] == 1
    assert history(scored) == [(LAST, "scored")] * 3
    assert scored.counts() == (0, LABELLED, GOOD, len(BAD), 0)


def test_what_was_requeued_and_not_scored_is_taken_up_by_the_next_run(scored: Job) -> None:
    scored.sql(f"UPDATE wafers SET s01 = 0 WHERE wafer = {BAD[0]}")
    scored.ok("requeue", "--changed")
    assert scored.counts() == (0, LABELLED, GOOD, len(BAD) - 1, 1)
    [row] = wafers(LAST + 1, 1, False)
    scored.add([{**row, "measured_at": moment(LAST + 10_000)}])
    assert scored.ok("infer")["scored"] == 2
    assert scored.counts() == (0, LABELLED, GOOD + 2, len(BAD) - 1, 0)


def test_a_check_that_the_config_names_later_makes_no_row_look_changed(scored: Job) -> None:
    scored.configure(USUAL | {"check": {"max_quarantine": 1.0}, "check.columns.s07": {"max": 1e9}})
    [row] = wafers(LAST + 1, 1, False)
    scored.add([row])
    scored.ok("infer")
    assert scored.ok("audit", "--full", "--json")["changed"] == 0
    scored.sql(f"UPDATE wafers SET s07 = 5 WHERE wafer = {row['wafer']}")
    scored.configure(USUAL)
    assert scored.ok("audit", "--full", "--json")["changed"] == 1


# ---- quarantined rows


def test_one_row_gets_another_chance_by_its_key(scored: Job) -> None:
    scored.sql(f"UPDATE wafers SET s01 = 0 WHERE wafer IN {BAD}")
    assert scored.ok("requeue", str(BAD[1]))["requeued"] == 1
    assert scored.counts() == (0, LABELLED, GOOD, 1, 1)
    assert scored.ok("infer")["scored"] == 1
    assert history(scored) == [(BAD[1], "quarantined")]
    assert scored.counts() == (0, LABELLED, GOOD + 1, 1, 0)
    assert "before that" in scored.call("explain", str(BAD[1])).out


@pytest.mark.parametrize("reason", ["s01", "max", "s01: max"])
def test_rows_get_another_chance_by_their_reason(lite: Job, reason: str) -> None:
    lite.sql(f"UPDATE wafers SET s01 = 1e6 WHERE wafer IN {BAD}", f"UPDATE wafers SET s02 = -1e6 WHERE wafer = {LAST}")
    lite.ok("infer")
    assert lite.ok("requeue", "--reason", reason)["requeued"] == len(BAD)
    assert lite.ok("requeue", "--reason", "s02: min")["requeued"] == 1
    assert lite.ok("requeue", "--reason", "s02: min")["requeued"] == 0


def test_rows_get_another_chance_by_the_run_that_set_them_aside(scored: Job) -> None:
    [first] = {row["run_id"] for row in scored.stored(f"SELECT run_id FROM {scored.table('wafers_quarantine')}")}
    [row] = wafers(LAST + 1, 1, False)
    scored.add([{**row, "s01": 1e6}])
    second = scored.ok("infer", "--accept-quarantine")["run"]
    assert scored.ok("requeue", "--run", str(second))["requeued"] == 1
    assert scored.ok("requeue", "--run", str(first))["requeued"] == len(BAD)


def test_a_requeued_row_is_not_pushed_out_by_one_that_came_since(scored: Job) -> None:
    scored.configure(USUAL | {"infer": {"batch_rows": 2, "workers": 1}, "check": {"max_quarantine": 1.0}})
    scored.ok("requeue", "--all")
    [row] = wafers(LAST + 1, 1, False)
    # Between the two in the order of keys, and older than what is looked for.
    scored.sql(f"DELETE FROM wafers WHERE wafer = {FIRST + 20}")
    scored.stored(f"DELETE FROM {scored.table('wafers_prediction')} WHERE wafer = {FIRST + 20}")
    scored.add([{**row, "wafer": FIRST + 20, "measured_at": moment(FIRST + 1)}])
    done = scored.ok("infer")
    assert (done["scored"], done["quarantined"]) == (1, 2)


def test_only_what_has_changed_gets_another_chance(scored: Job) -> None:
    scored.sql(f"UPDATE wafers SET s01 = 0 WHERE wafer = {BAD[0]}")
    assert scored.ok("audit", "--full", "--json")["changed_quarantined"] == 1
    assert scored.ok("requeue", "--changed")["requeued"] == 1
    scored.ok("infer")
    assert scored.counts() == (0, LABELLED, GOOD + 1, 1, 0)


def test_a_row_that_is_still_bad_is_set_aside_again(scored: Job) -> None:
    assert scored.ok("requeue", "--all")["requeued"] == len(BAD)
    assert scored.counts() == (0, LABELLED, GOOD, 0, len(BAD))
    assert scored.ok("infer", "--accept-quarantine")["quarantined"] == len(BAD)
    assert scored.counts() == (0, LABELLED, GOOD, len(BAD), 0)


def test_what_is_meant_must_be_said(lite: Job) -> None:
    for arguments in ([], ["--all", "--changed"]):
        assert "--all" in lite.refused("requeue", *arguments, code=2)
    assert "the key has 1 column: wafer" in lite.refused("requeue", "1", "2", code=2)


def test_requeueing_is_a_run_of_its_own_that_is_not_resumed(lite: Job) -> None:
    run = lite.ok("requeue", "--all")
    assert run["note"] == "no quarantined row is meant by that"
    assert lite.ok("runs", "--json")[0]["pipeline"] == "requeue"
    lite.sql(f"UPDATE {lite.table('run')} SET status = 'interrupted' WHERE run_id = {run['run']}")
    assert "is done" in lite.refused("resume")
    assert "repeat the 'rowcast requeue'" in lite.refused("resume", str(run["run"]))


def test_rows_that_a_newer_version_could_learn_from_stay_in_quarantine_and_that_is_said(scored: Job) -> None:
    scored.sql("UPDATE wafers SET failed = CASE WHEN s01 + s02 > 1 THEN 1 ELSE 0 END")
    scored.ok("retrain")
    scored.call("promote", "2", "--by", "Ada", "--reason", "newer")
    assert scored.ok("status", "--json")["champion"] == "v2"
    done = scored.ok("requeue", str(BAD[0]))
    assert (done["requeued"], done["left_to_training"]) == (0, 1)
    assert done["note"].startswith("1 row stays in quarantine: the label is known by now")
    assert scored.counts() == (0, LABELLED, GOOD, len(BAD), 0)
    assert scored.ok("requeue", "-1000")["note"] == "no quarantined row is meant by that"


def test_a_run_says_how_many_rows_that_waited_its_new_version_learned_from(lite: Job) -> None:
    lite.configure({"infer": {"batch_rows": 1000}, "gate": {"rule": "better"}})
    lite.ok("infer")
    lite.sql("UPDATE wafers SET failed = CASE WHEN s01 + s02 > 1 THEN 1 ELSE 0 END")
    came = [*wafers(LAST + 1, 400, True), *wafers(LAST + 401, 20, False)]
    lite.add([{**row, "measured_at": moment(LAST + 12 * place)} for place, row in enumerate(came, 1)])  # 35 days
    done = lite.ok("run", "--as-of", "2100-01-01")
    assert "promoted" in done["retrain"], done
    assert (done["left_to_training"], done["scored"]) == (400, 20)
    assert lite.counts()[-1] == 0
    assert "left_to_training" not in lite.ok("run", "--as-of", "2100-01-02")


def test_a_deleted_source_row_is_counted_and_not_requeued(scored: Job) -> None:
    scored.sql(f"DELETE FROM wafers WHERE wafer IN ({BAD[0]}, {FIRST})")
    found = scored.ok("audit", "--full", "--json")
    assert (found["deleted"], found["scored"], found["quarantined"]) == (2, GOOD - 1, 1)
    assert scored.ok("requeue", "--all")["requeued"] == 1


def stopped(job: Job, *arguments: str) -> None:
    """A run that fails before it has planned anything, and whose cause is mended."""
    job.configure(USUAL | {"check.columns.s99": {"max": 1}})
    job.refused("infer", *arguments)
    job.configure(USUAL)


def test_resume_looks_as_far_back_as_the_run_was_asked_to(scored: Job) -> None:
    [row] = wafers(LAST + 1, 1, False)
    scored.configure(USUAL)
    scored.add([{**row, "measured_at": moment(FIRST + 1)}])
    stopped(scored, "--since", moment(FIRST))
    assert scored.ok("infer")["scored"] == 0
    scored.ok("resume")
    assert LAST + 1 in scored.scores()


def test_resume_scores_again_what_has_changed_where_the_run_was_asked_to(scored: Job) -> None:
    scored.sql(f"UPDATE wafers SET s01 = 0.25 WHERE wafer = {LAST}")
    stopped(scored, "--rescore")
    assert scored.ok("resume")["requeued"] == 1
    assert scored.ok("audit", "--full", "--json")["changed"] == 0


def test_a_run_as_of_the_past_leaves_requeued_rows_that_it_cannot_see(scored: Job) -> None:
    scored.sql(f"UPDATE wafers SET s01 = 0 WHERE wafer IN {BAD}")
    scored.ok("requeue", "--all")
    planned = f"SELECT row_count FROM {scored.table('batch')} WHERE status = 'planned'"
    before = scored.stored(planned)
    assert scored.ok("infer", "--as-of", moment(FIRST))["scored"] == 0
    assert before == scored.stored(planned) != []
    assert scored.counts()[-1] == len(BAD)
    assert scored.ok("infer")["scored"] == len(BAD)
