"""Versions that are not in service score in the champion's shadow, and are judged by that once the labels have come."""

import itertools
import json
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from conftest import SYSTEMS, Place
from jobs import LABELLED, PENDING, SENSORS, Job, moment, train, wafers
from mortal import Dead, Death, living

from rowcast import features, pipeline
from rowcast.config import load
from rowcast.database.driver import to_batch
from rowcast.job.opening import open_job
from rowcast.source import parse_instant
from rowcast.store.records import DecisionOutcome, NewDecision
from rowcast.training import shadow_evaluation

pytest_plugins = ("job_fixtures",)

MakeJob = Callable[[str, str], Job]
Prepared = Callable[..., Job]
DAY = 144  # wafers
NEVER = {"policy": "never", "every": "7d"}
ONE_BATCH = {"batch_rows": 10_000}
GENEROUS = {"yearly_error": 0.5}


def days(first: int, count: int, by: tuple[str, str] | None) -> list[dict[str, Any]]:
    """Wafers of whole days, whose labels, where there are any, follow from two sensors."""
    rows = wafers(first, count * DAY, labelled=False)
    random = np.random.default_rng(first)
    for row in rows:
        if by is not None:
            row["failed"] = int(row[by[0]] + row[by[1]] + 0.3 * random.normal() > 1)
    return rows


def label(job: Job, first: int, by: tuple[str, str]) -> None:
    """The labels of wafers from one on come to be known."""
    job.sql(f"UPDATE wafers SET failed = CASE WHEN {by[0]} + {by[1]} > 1 THEN 1 ELSE 0 END WHERE wafer >= {first}")


def at(wafer: int) -> str:
    return moment(wafer).replace("Z", "+00:00")


def shadow(job: Job, version: int | None = None) -> dict[int, dict[str, Any]]:
    """What a version, or else the only one, scored in the shadow, by wafer."""
    rows = job.stored(f"SELECT * FROM {job.table('wafers_shadow')}")
    versions = {row["model_version"] for row in rows}
    assert version is not None or len(versions) < 2, versions
    of = [row for row in rows if version in (None, row["model_version"])]
    assert len({row["wafer"] for row in of}) == len(of)
    return {row["wafer"]: row for row in of}


def predicted(job: Job) -> dict[int, dict[str, Any]]:
    return {row["wafer"]: row for row in job.stored(f"SELECT * FROM {job.table('wafers_prediction')}")}


def decisions(job: Job) -> list[tuple[int, str, str]]:
    """Version, what was decided on it, and by whom; the newest first."""
    made = job.ok("models", "--json")["promotions"]
    return [(each["version"], each["decision"], each["decided_by"]) for each in made]


def statuses(job: Job) -> dict[int, str]:
    return {each["version"]: each["status"] for each in job.ok("models", "--json")["models"]}


def told(job: Job) -> list[str]:
    """What people are told, in its order."""
    rows = job.stored(f"SELECT severity, state, detail FROM {job.table('alert')} ORDER BY alert_id")
    return [f"{row['severity']}: {json.loads(row['detail'])['title']}, {row['state']}" for row in rows]


def told_but_costs(job: Job) -> list[str]:
    """The same without what v1 costs where wafers fail in another way: the cost alarm says so of its own accord."""
    return [each for each in told(job) if "costs more than it promised" not in each]


def figures(job: Job, step: str) -> dict[str, float]:
    """The newest figures of a step."""
    rows = job.stored(f"SELECT name, value FROM {job.table('metric')} WHERE step = '{step}' ORDER BY run_id")
    return {row["name"]: row["value"] for row in rows}


def waits(job: Job, **changes: Any) -> Job:
    """With a second version that waits: there are no labels later than what the champion was trained on."""
    job.configure({"retrain": NEVER, **changes})
    assert "undecided" in train(job, seed=1)["retrain"]
    return job


def make_two(make_job: MakeJob, system: str) -> Job:
    return waits(make_job(system, "trained"))


@pytest.fixture
def two(system: str, prepared: Prepared) -> Job:
    return prepared(make_two, system)


# Scoring in the shadow


def test_a_challenger_that_waits_scores_what_the_champion_scores(two: Job, system: str, prepared: Prepared) -> None:
    found = two.ok("infer")
    assert (found["champion"], found["scored"], found["shadow_scored"]) == ("v1", PENDING, PENDING)
    assert "shadow_failed" not in found
    rows, beside = predicted(two), shadow(two, 2)
    assert rows.keys() == beside.keys()
    for wafer, row in beside.items():
        of_both = ("run_id", "batch_id", "row_hash")
        assert [row[name] for name in of_both] == [rows[wafer][name] for name in of_both]
    in_service = prepared(make_two, system)
    in_service.call("promote", "2", "--by", "Ada")
    in_service.ok("infer")
    made = ("score", "predicted", "threshold")
    alone = {wafer: [row[name] for name in made] for wafer, row in predicted(in_service).items()}
    assert {wafer: [row[name] for name in made] for wafer, row in beside.items()} == alone
    assert two.audit()["shadow"] == PENDING
    assert figures(two, "inference")["shadow_scored"] == PENDING


def test_nobody_scores_in_the_shadow_where_nobody_waits_or_is_watched(trained: Job) -> None:
    found = trained.ok("infer")
    assert "shadow_scored" not in found
    assert shadow(trained) == {}
    assert "shadow_scored" not in figures(trained, "inference")


@pytest.mark.long
def test_two_worker_processes_score_in_the_shadow_too(two: Job) -> None:
    two.configure({"infer": {"batch_rows": 13, "workers": 2}})
    assert two.run("infer").json["shadow_scored"] == PENDING
    assert shadow(two).keys() == predicted(two).keys()


def test_the_steps_by_hand_score_in_the_shadow_too(two: Job) -> None:
    for name in ("data-fetch", "data-check", "data-process"):
        two.ok("step", name)
    version = max(statuses(two))
    two.ok("step", "inference")
    assert shadow(two, version).keys() == predicted(two).keys()
    assert len(predicted(two)) == PENDING


@pytest.fixture
def narrow(system: str, prepared: Prepared) -> Job:
    """A champion that does not read s12, and a challenger that does."""
    return prepared(make_narrow, system)


def make_narrow(make_job: MakeJob, system: str) -> Job:
    job = make_job(system, "untrained")
    job.estimator("quick", retrain=NEVER, source={"exclude": ["s12"]})
    job.ok("retrain")
    job.configure({"retrain": NEVER, "model": {"estimator": "mine:quick"}})
    assert "undecided" in job.ok("retrain")["retrain"]
    reads = {each["version"]: "s12" in each["features"] for each in job.ok("models", "--json")["models"]}
    assert reads == {1: False, 2: True}
    return job


def test_rows_that_one_of_them_cannot_take_are_not_in_the_shadow(narrow: Job) -> None:
    job = narrow
    job.sql("UPDATE wafers SET s12 = 1e9 WHERE wafer IN (310, 390)", "UPDATE wafers SET s01 = 1e9 WHERE wafer = 320")
    found = job.ok("infer")
    assert (found["scored"], found["quarantined"]) == (99, 1)
    assert found["shadow_scored"] == 97
    assert "shadow_failed" not in found
    rows, beside = predicted(job), shadow(job)
    assert rows.keys() - beside.keys() == {310, 390}
    assert all(row["row_hash"] == rows[wafer]["row_hash"] for wafer, row in beside.items())
    with open_job(load(job.folder / "rowcast.toml")) as one:
        model = one.registry.load(2)
        chosen = ", ".join(model.features)
        rows_read = one.store.query(f"SELECT wafer, {chosen} FROM wafers WHERE wafer > {LABELLED} ORDER BY wafer")
        matrix = features.process(to_batch(rows_read), model.contract, model.features)
        scores = dict(zip(rows_read["wafer"].to_pylist(), model.score(matrix).score.tolist(), strict=True))
    assert {wafer: row["score"] for wafer, row in beside.items()} == pytest.approx(
        {wafer: scores[wafer] for wafer in beside}, rel=0, abs=1e-9
    )


def broken_shadow(job: Job, way: str) -> None:
    """Something that the challenger needs, and the champion does not, is no longer there."""
    if way == "its column is gone":
        job.sql("ALTER TABLE wafers DROP COLUMN s12")
    elif way == "its column cannot be read":
        raises = "abs(-9223372036854775807 - 1)" if job.place.is_sqlite else "1 / (wafer - wafer)"
        columns = ("wafer", "measured_at", *SENSORS[:-1], "tool", "failed")
        fails = f"CAST(CASE WHEN {raises} = 1 THEN 1 END AS REAL) AS s12"
        job.sql("ALTER TABLE wafers RENAME TO kept")
        job.sql(f"CREATE VIEW wafers AS SELECT {', '.join(columns)}, {fails} FROM kept")
    elif way == "its bytes are damaged":
        job.sql(f"UPDATE {job.table('model')} SET artifact_sha256 = '00' WHERE version = 2")
    elif job.place.is_sqlite:
        body = "BEGIN SELECT RAISE(ABORT, 'no'); END"
        job.sql(f"CREATE TRIGGER no BEFORE INSERT ON {job.table('wafers_shadow')} {body}")
    else:
        job.sql(f"ALTER TABLE {job.table('wafers_shadow')} ADD CONSTRAINT no CHECK (score < 0)")


@pytest.mark.parametrize(
    "way", ["its column is gone", "its column cannot be read", "its bytes are damaged", "its rows are refused"]
)
def test_a_shadow_that_fails_never_stops_the_champion(narrow: Job, way: str) -> None:
    job = narrow
    broken_shadow(job, way)
    done = job.call("infer")
    assert done.code == 0, done.err
    found = done.json
    assert (found["status"], found["scored"], found["quarantined"]) == ("done", PENDING, 0)
    assert (found["shadow_scored"], found["shadow_failed"]) == (0, PENDING)
    assert [event for event in done.events if event["level"] == "warning"]
    assert "Traceback" not in done.err
    assert told(job)[-1] == "warning: shadow failed, begins"
    assert shadow(job) == {}
    assert job.counts() == (0, LABELLED, PENDING, 0, 0)


def test_a_shadow_that_kills_its_worker_does_not_stop_the_champion_either(lite: Job) -> None:
    job = waits(lite, infer={"batch_rows": 4, "workers": 2})
    done = job.script("deadly_shadow.py", "infer")
    assert done.code == 0, done.err
    assert "nobody scores in the shadow any more in this run" in done.err
    assert (len(predicted(job)), shadow(job)) == (PENDING, {})
    assert job.counts() == (0, LABELLED, PENDING, 0, 0)


def test_a_row_that_is_scored_once_more_replaces_what_the_shadow_made_of_it(two: Job) -> None:
    two.ok("infer")
    before = shadow(two)
    two.sql("UPDATE wafers SET s01 = s01 + 1 WHERE wafer IN (310, 320)")
    assert two.ok("infer", "--rescore")["requeued"] == 2
    rows, after = predicted(two), shadow(two)
    assert after.keys() == before.keys()
    assert {wafer for wafer in after if after[wafer]["score"] != before[wafer]["score"]} == {310, 320}
    assert all(row["row_hash"] == rows[wafer]["row_hash"] for wafer, row in after.items())


def test_what_a_version_scored_in_the_shadow_goes_when_it_no_longer_waits(two: Job) -> None:
    two.ok("infer")
    two.ok("retrain")
    assert statuses(two)[2] == "replaced"
    two.add(wafers(LABELLED + PENDING + 1, 10, False))
    two.ok("infer")
    assert shadow(two, 2) == {}
    assert len(shadow(two, 3)) == 10
    two.call("promote", "3", "--by", "Ada")
    two.ok("infer")
    assert shadow(two) == {}


# Killed


def shadowed_whole(job: Job) -> None:
    """Each published batch is in the shadow as a whole or not at all, and nothing else is."""
    rows = predicted(job)
    of_batch = Counter(row["batch_id"] for row in rows.values())
    beside = Counter(row["batch_id"] for row in shadow(job).values())
    assert {batch: of_batch[batch] for batch in beside} == beside


@pytest.mark.parametrize("nth", [1, 3, 5, 7, 9])  # after each of its statements that write, until the next batch
def test_a_run_killed_between_publishing_and_its_shadow_doubles_nothing(two: Job, nth: int) -> None:
    log = str(two.folder / "phases")
    done = two.script("killed.py", log, "--phase", "committed", "--nth", str(nth), "--", "infer")
    assert done.code == -signal.SIGKILL
    shadowed_whole(two)
    assert len(predicted(two)) == 40
    assert len(shadow(two)) == (40 if nth == 9 else 0)
    two.audit()
    two.ok("infer")
    shadowed_whole(two)
    assert len(predicted(two)) == PENDING
    assert len(shadow(two)) == (PENDING if nth == 9 else 60)
    two.audit()


@pytest.mark.longer
def test_a_run_that_dies_at_any_statement_leaves_the_shadow_whole_or_missing(
    two: Job, request: pytest.FixtureRequest
) -> None:
    two.configure({"retrain": NEVER, "infer": ONE_BATCH})
    settings = load(two.folder / "rowcast.toml")
    tables = [two.table(name) for name in ("wafers_prediction", "wafers_shadow", "batch")]
    sizes, died = set(), True
    # After the plan; to die before a statement leaves what dying after the one before it does.
    for statement in itertools.count(11, 2 if request.config.getoption("--long") else 11):
        two.sql(*[f"DELETE FROM {table}" for table in tables])
        try:
            with living(Death(statement, executed=True)):
                pipeline.run(settings, "infer")
            died = False
        except Dead:
            sizes.add(len(shadow(two)))
            shadowed_whole(two)
            pipeline.run(settings, "infer")
        shadowed_whole(two)
        assert len(predicted(two)) == PENDING
        if not died:
            break
    two.audit()
    assert sizes == {0, PENDING}


# Watching


A, B = ("s01", "s02"), ("s03", "s04")  # by which wafers fail, at one time and at another
FIRST = LABELLED + PENDING + 1
THEN = FIRST + 20 * DAY  # v2 is in service
LATER = THEN + 20 * DAY


def promoted(job: Job, **changes: Any) -> Job:
    """v2 is in service, trained and judged when wafers failed in another way than before."""
    job.estimator("quick", retrain=NEVER, infer=ONE_BATCH, **{"gate": GENEROUS, **changes})
    job.ok("retrain", "--as-of", at(FIRST - 1))
    job.add(days(FIRST, 20, B))
    assert job.ok("retrain", "--as-of", at(THEN))["champion"] == "v2"
    return job


def scored_since(job: Job, by: tuple[str, str] | None) -> Job:
    """Wafers of 20 more days are scored by both; then their labels come."""
    job.add(days(THEN, 20, None))
    found = job.ok("infer", "--as-of", at(LATER))
    assert found["shadow_scored"] == found["scored"] == 100 + 30 * DAY  # v2 learned from the ten days before its gate
    if by is not None:
        label(job, THEN, by)
    return job


def apart(make_job: MakeJob, make_place: Callable[[str], Place]) -> Job:
    """A job whose store is another database than its source."""
    job = make_job("postgresql", "untrained")
    job.store = make_place("sqlite")
    return job


@pytest.fixture(params=[*SYSTEMS, "apart"])
def fab(request: pytest.FixtureRequest, make_job: MakeJob, make_place: Callable[..., Place]) -> Job:
    return apart(make_job, make_place) if request.param == "apart" else make_job(request.param, "untrained")


def make_promoted(make_job: MakeJob) -> Job:
    return promoted(make_job("sqlite", "untrained"))


def make_scored_since(make_job: MakeJob) -> Job:
    return scored_since(make_promoted(make_job), None)


def test_a_promotion_that_turns_out_to_be_worse_is_rolled_back_by_itself(fab: Job) -> None:
    job = scored_since(promoted(fab), A)
    done = job.call("run", "--as-of", at(LATER))
    assert done.code == 0, done.err
    assert done.json["champion"] == "v1"
    assert done.json["scored"] == 10 * DAY  # which were left to the training of v2, and are v1's again
    said = "v1 put back in service in place of v2: v1 as challenger of v2, on rows that it scored in the shadow: "
    assert done.json["shadow_evaluation"].startswith(said)
    assert "Of the 50 % chance of a wrong promotion allowed for a year" in done.json["shadow_evaluation"]
    [warning] = [event for event in done.events if event["event"] == "rolled back by the gate"]
    assert (warning["level"], warning["champion"], warning["was"]) == ("warning", 1, 2)
    assert decisions(job)[0] == (1, "rolled back", "gate")
    assert statuses(job) == {1: "champion", 2: "retired"}
    newest = job.ok("models", "--json")["promotions"][0]
    assert newest["previous"] == 2
    assert newest["evidence"]["rows"] == 20 * DAY
    assert newest["evidence"]["level"] == pytest.approx(0.5 / 2 * 28 / 364 * (20 / 28) ** 2, rel=0.01)
    assert newest["evidence"]["left"] == 0.5  # it is given back
    job.add(days(LATER, 1, None))
    found = job.ok("run", "--as-of", at(LATER + DAY))
    assert (found["champion"], found["scored"]) == ("v1", DAY)
    assert "shadow_evaluation" not in found
    assert "shadow_scored" not in found  # what was rolled back is not watched
    assert shadow(job) == {}
    status = job.call("status", "--json").json
    assert "watched" not in status
    assert status["in_service"].endswith(", rolled back by gate")
    assert told_but_costs(job) == [
        "info: v1 promoted, once",
        "info: v2 promoted in place of v1, once",
        "warning: v2 rolled back to v1, once",
    ]


def test_a_promotion_that_holds_is_left_alone_and_the_test_is_on_record(prepared: Prepared) -> None:
    job = prepared(make_scored_since)
    label(job, THEN, B)
    found = job.ok("run", "--as-of", at(LATER))
    assert found["champion"] == "v2"
    assert found["shadow_evaluation"].startswith("v1 refused, v2 stays in service: v1 as challenger of v2")
    assert decisions(job)[0] == (1, "kept", "gate")
    assert statuses(job) == {1: "retired", 2: "champion"}
    assert figures(job, "gate")["watched_rows"] == 20 * DAY
    assert "shadow_evaluation" not in job.ok("run", "--as-of", at(LATER + DAY))  # not before a week has passed
    assert decisions(job)[0] == (1, "kept", "gate")
    assert len(decisions(job)) == 3
    again = job.ok("run", "--as-of", at(LATER + 8 * DAY))
    assert again["shadow_evaluation"].startswith("v1 refused, v2 stays in service: ")
    levels = [each["evidence"]["level"] for each in job.ok("models", "--json")["promotions"][:2]]
    share = (20 / 28) ** 2  # of the watch's time, of what comes in for it
    assert levels == pytest.approx([0.5 / 2 * 28 / 364 * (1 - share), 0.5 / 2 * 28 / 364 * share], rel=0.01)
    assert told(job)[2:] == ["info: v2 stays in service, v1 before it is not proven better, once"] * 2
    assert job.ok("run", "--as-of", at(LATER + 17 * DAY))["champion"] == "v2"
    assert shadow(job) == {}  # the watch is over


def test_a_watch_that_cannot_tell_leaves_figures_and_no_decision(prepared: Prepared) -> None:
    job = prepared(make_scored_since)
    found = job.ok("run", "--as-of", at(LATER))
    assert "v1 undecided, v2 stays in service: v1 as challenger of v2" in found["shadow_evaluation"]
    assert "no row that both scored has its label yet" in found["shadow_evaluation"]
    label(job, LATER - 100, A)
    found = job.ok("run", "--as-of", at(LATER + 7 * DAY))
    assert "1 days or lots, 8 are needed" in found["shadow_evaluation"]
    assert len(decisions(job)) == len(told(job)) == 2
    assert figures(job, "gate")["watched_rows"] == 100
    assert job.counts() == (0, LABELLED + 10 * DAY, 100 + 30 * DAY, 0, 0)


def judged_rows(job: Job, now: str) -> int:
    with open_job(load(job.folder / "rowcast.toml")) as one:
        moment = parse_instant(now, "UTC")
        [each] = shadow_evaluation.find_contenders(one, moment)
        return shadow_evaluation.read_labelled(one, moment, each).num_rows


def test_only_rows_that_nobody_was_trained_or_judged_by_and_whose_labels_are_known_count(fab: Job) -> None:
    fab.sql("ALTER TABLE wafers ADD labelled_at " + ("TEXT" if fab.place.is_sqlite else "timestamptz"))
    fab.sql("UPDATE wafers SET labelled_at = measured_at")
    job = promoted(fab)
    job.ok("infer", "--as-of", at(THEN))
    assert judged_rows(job, at(THEN)) == 0  # though all of them are labelled, and scored by both
    job.add(days(THEN, 2, A))
    job.ok("infer", "--as-of", at(THEN + 2 * DAY))
    assert judged_rows(job, at(THEN + 2 * DAY)) == 2 * DAY
    assert judged_rows(job, at(THEN + DAY - 1)) == DAY  # later rows are not there yet
    early, late = moment(THEN + DAY), moment(THEN + 3 * DAY)
    job.configure({"source": {"label_time": "labelled_at"}, "retrain": NEVER, "gate": GENEROUS})
    job.sql(
        f"UPDATE wafers SET labelled_at = '{early}'",
        f"UPDATE wafers SET labelled_at = '{late}' WHERE wafer >= {THEN + DAY}",
    )
    assert judged_rows(job, at(THEN + 2 * DAY)) == DAY
    assert judged_rows(job, at(THEN + 3 * DAY)) == 2 * DAY
    job.stored(f"UPDATE {job.table('wafers_shadow')} SET row_hash = 1 WHERE wafer = {THEN}")
    assert judged_rows(job, at(THEN + 3 * DAY)) == 2 * DAY - 1
    job.stored(f"UPDATE {job.table('wafers_prediction')} SET model_version = 1 WHERE wafer = {THEN + 1}")
    assert judged_rows(job, at(THEN + 3 * DAY)) == 2 * DAY - 2


@pytest.mark.long
def test_without_a_time_column_a_row_is_later_by_its_key(untrained: Job) -> None:
    job = promoted(untrained, source={"time": None})
    job.ok("infer", "--as-of", at(THEN))
    assert len(shadow(job)) == 100 + 10 * DAY
    assert judged_rows(job, at(THEN)) == 0  # all of them served the training or the gate
    job.add(days(THEN, 10, None))
    job.ok("infer", "--as-of", at(LATER))
    assert judged_rows(job, at(LATER)) == 0
    label(job, THEN, A)
    assert judged_rows(job, at(LATER)) == 10 * DAY
    assert job.ok("run", "--as-of", at(LATER))["champion"] == "v1"


def test_a_persons_decision_ends_the_watch_and_begins_none(prepared: Prepared) -> None:
    job = prepared(make_promoted)
    job.call("rollback", "--by", "Ada")
    job.add(days(THEN, 10, None))
    assert "shadow_scored" not in job.ok("infer", "--as-of", at(THEN + 10 * DAY))
    job.call("promote", "2", "--by", "Ada")
    job.add(days(THEN + 10 * DAY, 10, None))
    assert "shadow_scored" not in job.ok("infer", "--as-of", at(LATER))
    label(job, THEN, A)
    assert "shadow_evaluation" not in job.ok("run", "--as-of", at(LATER))
    assert statuses(job)[2] == "champion"


@pytest.mark.long
def test_nobody_is_watched_where_the_config_says_so(plain: Job) -> None:
    job = promoted(plain, gate={**GENEROUS, "watch_days": 0})
    assert "shadow_scored" not in job.ok("infer", "--as-of", at(THEN))
    assert "watched" not in job.ok("models", "--json")["shadow"]


def test_the_champion_before_scores_in_the_shadow_for_as_long_as_it_is_watched(plain: Job) -> None:
    job = promoted(plain, gate={**GENEROUS, "watch_days": 10})
    job.add(days(THEN, 20, None))
    found = job.ok("infer", "--as-of", at(THEN + 10 * DAY - 1))
    assert found["shadow_scored"] == found["scored"]
    found = job.ok("infer", "--as-of", at(THEN + 10 * DAY))
    assert (found["scored"], found.get("shadow_scored")) == (1, None)
    label(job, THEN, A)
    assert job.ok("run", "--as-of", at(THEN + 12 * DAY))["champion"] == "v1"  # its rows are judged all the same


def test_status_and_models_say_who_is_watched(prepared: Prepared) -> None:
    job = prepared(make_promoted)
    with open_job(load(job.folder / "rowcast.toml")) as one:
        promotion, now = one.tables.promotion, one.store.now()
        one.store.execute(promotion.update().where(promotion.c.version == 2).values(decided_at=now))
    until = f"{now + timedelta(days=28):%Y-%m-%d}"
    said = f"v1 until {until} (the champion before), 0 labelled rows so far"
    assert job.ok("status", "--json")["watched"] == said
    assert job.ok("models", "--json")["shadow"] == {"watched": said}
    assert said in job.call("models").out
    assert said in job.call("status").out


def test_two_that_judge_at_once_record_but_one_test(prepared: Prepared) -> None:
    job = prepared(make_promoted)
    with open_job(load(job.folder / "rowcast.toml")) as one:
        at, evidence = one.store.now(), {"level": 0.001}
        kept = NewDecision(DecisionOutcome.KEPT, "", evidence, decided_at=at, decided_by="gate")
        assert one.registry.keep(1, kept, knowing=2)
        assert not one.registry.keep(1, kept, knowing=2)
        back = replace(kept, outcome=DecisionOutcome.ROLLED_BACK)
        assert not one.registry.promote(1, back, against=2, knowing=2)
    assert decisions(job)[0] == (1, "kept", "gate")
    assert len(decisions(job)) == 3
    assert statuses(job) == {1: "retired", 2: "champion"}


def test_a_watch_that_cannot_be_judged_keeps_nobody_from_scoring(prepared: Prepared) -> None:
    job = prepared(make_promoted)
    job.add(days(THEN, 20, A))
    job.sql(f"ALTER TABLE {job.table('wafers_shadow')} RENAME COLUMN predicted TO gone")
    done = job.call("run", "--as-of", at(LATER))
    assert done.code == 1
    assert (done.json["status"], done.json["scored"]) == ("partial", 100 + 30 * DAY)
    assert "gone" in done.json["error"] or "predicted" in done.json["error"]
    job.sql(f"ALTER TABLE {job.table('wafers_shadow')} RENAME COLUMN gone TO predicted")
    job.ok("run", "--as-of", at(LATER))
    assert "warning: gate failed, begins" in told(job)
    assert "warning: gate failed, ended" in told(job)


# Waiting


def challenged(make_job: MakeJob, system: str) -> Job:
    """v2 waits, trained when wafers failed in another way than before, and scores what came since."""
    job = make_job(system, "untrained")
    job.estimator("quick", retrain=NEVER, infer=ONE_BATCH, gate=GENEROUS)
    job.ok("retrain", "--as-of", at(FIRST - 1))
    job.add(days(FIRST, 6, B))
    assert "undecided" in job.ok("retrain", "--as-of", at(FIRST + 6 * DAY))["retrain"]
    job.add(days(FIRST + 6 * DAY, 20, None))
    job.ok("infer", "--as-of", at(FIRST + 26 * DAY))
    return job


def test_a_challenger_that_waits_is_promoted_by_what_it_scored_in_the_shadow(system: str, prepared: Prepared) -> None:
    job = prepared(challenged, system)
    label(job, FIRST + 6 * DAY, B)
    found = job.ok("run", "--as-of", at(FIRST + 26 * DAY))
    assert found["champion"] == "v2"
    assert found["shadow_evaluation"].startswith("v2 promoted: v2 as challenger of v1")
    assert decisions(job)[0] == (2, "promoted", "gate")
    assert told_but_costs(job) == [
        "info: v1 promoted, once",
        "info: v2 waits for more labels, once",
        "info: v2 promoted in place of v1, once",
    ]
    job.add(days(FIRST + 26 * DAY, 1, None))
    assert job.ok("infer", "--as-of", at(FIRST + 27 * DAY))["shadow_scored"] == DAY
    assert shadow(job, 1).keys() == set(range(FIRST + 26 * DAY, FIRST + 27 * DAY))


@pytest.mark.long
def test_a_challenger_that_waits_is_refused_by_what_it_scored_in_the_shadow(prepared: Prepared) -> None:
    job = prepared(challenged, "sqlite")
    label(job, FIRST + 6 * DAY, A)
    found = job.ok("run", "--as-of", at(FIRST + 26 * DAY))
    assert found["champion"] == "v1"
    assert found["shadow_evaluation"].startswith("v2 refused, v1 stays in service: v2 as challenger of v1")
    assert statuses(job) == {1: "champion", 2: "refused"}
    assert told(job) == [
        "info: v1 promoted, once",
        "info: v2 waits for more labels, once",
        "info: v2 not promoted, v1 stays in service, once",
    ]
    assert shadow(job) == {}


def test_a_challenger_that_waits_is_not_judged_where_a_newer_one_is_about_to_come(prepared: Prepared) -> None:
    job = prepared(challenged, "sqlite")
    label(job, FIRST + 6 * DAY, B)
    job.estimator("quick", retrain={"every": "7d"}, infer=ONE_BATCH, gate=GENEROUS)
    found = job.ok("run", "--as-of", at(FIRST + 26 * DAY))
    assert "shadow_evaluation" not in found
    assert statuses(job)[2] == "replaced"
