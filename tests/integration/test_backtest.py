"""Policies replayed over the past: what production would have decided, from what was known then, and nothing else."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import forked
import pytest
from conftest import Place
from odd import ROWS, START, Odd, empty_odd, is_failed  # noqa: F401 (a fixture)

import rowcast
from rowcast import config, fit, pipeline
from rowcast.backtest import running
from rowcast.backtest.history import History, find_history
from rowcast.backtest.policies import Variations, find_own, parse_policies, vary_policies
from rowcast.backtest.realised import read_realised
from rowcast.backtest.replay import Replay, count_done, is_done, make_replay, run_replay
from rowcast.errors import TrainingError, UsageError
from rowcast.fit import fold_fits, sharing
from rowcast.fit.candidates import user
from rowcast.job.opening import open_job
from rowcast.job.workdir import importable
from rowcast.watch.quality import quality

DAILY = """
estimator = "mine:quick"
[retrain]
every = "1d"
min_new_labels = 1
[infer]
workers = 1
"""
ESTIMATOR = """
from sklearn.linear_model import LogisticRegression

def quick():
    return LogisticRegression()
"""
DELAY = "30h"
FIRST = START + timedelta(days=2)  # there are too few labels yet
LAST = START + timedelta(days=6)
DAY = timedelta(days=1)
HISTORY = History(FIRST, LAST, DAY)


@pytest.fixture
def fab(odd: Odd) -> Odd:
    """Wafers whose labels all come thirty hours later, and an estimator beside the config."""
    (odd.folder / "mine.py").write_text(ESTIMATOR)
    odd.make(values={"failed": [int(is_failed(n)) for n in range(1, ROWS + 1)]})
    return odd


def settings(fab: Odd) -> config.Settings:
    return fab.settings(DAILY, label_delay=DELAY)


def replay(fab: Odd, folder: str = "alone", policy: str = "every:1d", history: History = HISTORY) -> Replay:
    named = {each.name: each for each in parse_policies(policy, settings(fab).retrain)}
    return make_replay(settings(fab), named[policy], history, fab.folder / folder)


def look(settings: config.Settings, until: datetime = LAST) -> Any:
    """What a job decided and scored up to a moment, all but clocks and numbers of runs."""
    with open_job(settings) as job:
        versions = [v for v in job.registry.versions() if v.created_at <= until]
        decisions = [d for d in job.registry.decisions() if d.decided_at <= until]
        runs = job.runs.as_of(datetime(2000, 1, 1, tzinfo=UTC), until)
        own = job.own.prediction
        rows = job.store.rows(own.select())
        scored = {
            row["id"]: (row["model_version"], row["score"], row["predicted"], runs[row["run_id"]])
            for row in rows
            if row["run_id"] in runs
        }
        return (
            [(v.version, v.created_at, v.trained_to, v.rows, v.features, v.artifact_sha256) for v in versions],
            [(d.version, d.previous, d.outcome, d.decided_at, d.reason) for d in decisions],
            scored,
        )


def operate(fab: Odd, moments: tuple[datetime, ...] = HISTORY.moments) -> config.Settings:
    """Run the job itself day by day, as people would; scoring begins with the first model."""
    champion = None
    for moment in moments:
        infer = settings(fab).infer.model_copy(update={"since": moment.isoformat()})
        given = settings(fab) if champion else settings(fab).model_copy(update={"infer": infer})
        with suppress(TrainingError):
            champion = pipeline.run(given, "full-pipeline", as_of=moment.isoformat()).champion
    return settings(fab)


def test_a_replay_decides_and_scores_as_production_did_day_by_day(fab: Odd) -> None:
    task = replay(fab)
    run_replay(task)
    found, real = look(task.settings), look(operate(fab))
    assert len(found[0]) >= 3
    assert len(found[1]) >= 3
    assert len(found[2]) > 40
    assert found == real


def test_what_came_later_than_a_moment_changes_nothing_before_it(fab: Odd) -> None:
    until, folder = START + timedelta(days=4, hours=12), "poisoned"
    clean, poisoned = replay(fab), replay(fab, folder)
    run_replay(clean)
    moment = START + timedelta(days=4)  # of the last run before
    later = (moment - START) // timedelta(hours=1)
    fab.place.run(f"UPDATE wafers SET failed = 1 - failed WHERE id > {later} - 30")  # labels that came after it
    fab.place.run(f"UPDATE wafers SET s0 = -1000 * s0 WHERE id > {later}")
    run_replay(poisoned)
    assert look(clean.settings, until) == look(poisoned.settings, until)
    assert look(clean.settings) != look(poisoned.settings)


def contents(place: Place, folder: Path) -> Any:
    """Every table of the database, and every file beside the config but for what a backtest keeps."""
    if place.is_sqlite:
        names = [row["name"] for row in place.run("SELECT name FROM sqlite_master WHERE type = 'table'")]
    else:
        found = place.run(
            "SELECT table_schema AS s, table_name AS t FROM information_schema.tables"
            " WHERE table_schema NOT IN ('pg_catalog', 'information_schema', 'sys')"
        )
        names = [f'"{row["s"]}"."{row["t"]}"' for row in found]
    tables = {name: sorted(map(str, place.run(f"SELECT * FROM {name}"))) for name in names}
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not {"backtest", "__pycache__"} & set(path.parts) and ".db" not in path.name
    }
    return tables, files


def test_neither_the_source_nor_the_job_itself_is_touched(fab: Odd) -> None:
    operate(fab, HISTORY.moments[:3])
    task = replay(fab, f".rowcast/wafers/backtest/{'x' * 12}/every-1d")
    before = contents(fab.place, fab.folder)
    running._look(settings(fab), running.Request())
    run_replay(task)
    assert contents(fab.place, fab.folder) == before


def test_a_replay_that_was_stopped_goes_on_where_it_was(fab: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, stopped = replay(fab), replay(fab, "stopped")
    run_replay(whole)
    for name, before in (("_train", 3), ("_score", 1)):  # in the middle of a run, with so many that reach their end
        with monkeypatch.context() as patch:
            left, work = iter([True] * before), getattr(pipeline, name)

            def stopping(*args: Any, _left: Any = left, _work: Any = work, **given: Any) -> Any:
                if next(_left, None):
                    return _work(*args, **given)
                raise KeyboardInterrupt

            patch.setattr(pipeline, name, stopping)
            with pytest.raises(KeyboardInterrupt):
                run_replay(stopped)
        assert not is_done(stopped)
        assert count_done(stopped) < len(HISTORY.moments)
    run_replay(stopped)
    assert is_done(stopped)
    assert count_done(stopped) == len(HISTORY.moments)
    assert look(stopped.settings) == look(whole.settings)


@pytest.mark.long
def test_policies_that_do_the_same_at_first_share_it_and_come_to_what_each_comes_to_alone(fab: Odd) -> None:
    alone = [replay(fab, f"alone-{place}", policy) for place, policy in enumerate(("every:2d", "on-drift"))]
    followers = [replay(fab, f"follows-{place}", each.policy.name) for place, each in enumerate(alone)]
    for task in (replace(replay(fab, "never", "never"), followers=tuple(followers)), *alone):
        run_replay(task)
    assert [is_done(each) for each in followers] == [False, True]
    for task, expected in zip(followers, alone, strict=True):
        run_replay(task)
        assert look(task.settings) == look(expected.settings)
    assert len(look(alone[0].settings)[0]) > 1


@pytest.mark.long
def test_policies_that_share_their_days_fit_at_least_five_times_less_than_one_by_one(
    fab: Odd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "_QUICK", 0.0)  # those of the tests are fitted within no time
    asked, fitted = list[int](), list[int]()

    def count(work: Any, calls: list[int]) -> Any:
        return lambda *args: calls.append(1) or work(*args)

    for module in (fit, fold_fits):
        monkeypatch.setattr(module, "fit_candidate", count(module.fit_candidate, asked))
    monkeypatch.setattr(user, "_fit_user", count(user._fit_user, fitted))
    plain = parse_policies("every:2d", settings(fab).retrain)
    policies = vary_policies(plain, Variations(rules="better,always"), settings(fab))
    assert len(policies) == 7
    for place, policy in enumerate(policies):
        run_replay(make_replay(settings(fab), policy, HISTORY, fab.folder / str(place)))
    assert len(asked) >= 5 * len(fitted)


@pytest.mark.long
def test_always_lets_each_new_model_serve_whatever_the_gate_says(fab: Odd) -> None:
    asked, unasked = replay(fab, "fresh"), replay(fab, "always", "always:1d")
    for task in (asked, unasked):
        run_replay(task)
    made = look(unasked.settings)
    assert len(made[1]) >= 3
    assert {decision[2] for decision in made[1]} == {"promoted"}
    assert [version[0] for version in made[0]] == [decision[0] for decision in made[1]]
    assert made != look(asked.settings)


@pytest.mark.long
def test_a_later_end_goes_on_with_what_is_there(fab: Odd) -> None:
    whole, part = replay(fab), replay(fab, "part", history=History(FIRST, LAST - 2 * DAY, DAY))
    run_replay(whole)
    run_replay(part)
    longer = replay(fab, "part")
    assert is_done(part)
    assert not is_done(longer)
    run_replay(longer)
    assert look(longer.settings) == look(whole.settings)


def test_never_builds_one_model_and_what_each_row_cost_is_what_quality_says(fab: Odd) -> None:
    tasks = [replay(fab, policy.replace(":", "-"), policy) for policy in ("never", "every:1d")]
    for task in tasks:
        run_replay(task)
    found = read_realised(tasks, HISTORY)
    assert [int(each.built.sum()) for each in found.outcomes] == [1, len(look(tasks[1].settings)[0])]
    assert found.rows.sum() > 40
    assert found.rows[0] == 0
    for place, task in enumerate(tasks):
        with open_job(task.settings) as job:
            parts = [each.whole for each in quality(job, LAST + 2 * DAY)]
        told = sum(part.realised["cost_per_row"].value * part.labelled for part in parts if part.realised)
        assert found.rows.sum() == sum(part.labelled for part in parts)
        assert found.cost[place].sum() == pytest.approx(told)


def test_replaying_begins_with_the_day_by_which_a_quarter_of_the_labels_were_known(fab: Odd) -> None:
    def find(**given: Any) -> History:
        since, until = given.get("since"), given.get("until")
        return fab.with_job(
            lambda job: find_history(job, since, until, given.get("step", DAY)), DAILY, label_delay=DELAY
        )

    newest = START + timedelta(hours=ROWS)
    found = find()
    assert (found.start, found.end) == (START + timedelta(days=3), newest)  # 40 of 160 labels after 70 hours
    assert found.moments[-1] <= newest < found.moments[-1] + DAY
    named = find(since="2026-01-02", until="2026-01-04T12:00", step=timedelta(hours=12))
    assert len(named.moments) == 6
    assert named.moments[0] == datetime(2026, 1, 2, tzinfo=UTC)
    for wrong in ({"since": "2026-01-05", "until": "2026-01-05"}, {"since": "2027-01-01"}, {"step": timedelta(0)}):
        with pytest.raises(UsageError):
            find(**wrong)


def test_without_an_event_time_there_is_no_past(fab: Odd) -> None:
    with pytest.raises(UsageError, match=r"source\.time"):
        running._look(fab.settings(DAILY, time=None), running.Request())


def test_an_estimator_beside_the_config_is_found_from_elsewhere(fab: Odd, tmp_path_factory: Any) -> None:
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("elsewhere"))
    try:
        run_replay(replay(fab, history=History(FIRST + 2 * DAY, FIRST + 3 * DAY, DAY)))
    finally:
        os.chdir(before)
    with importable(fab.folder):
        assert look(replay(fab).settings)[0]


@pytest.fixture
def workers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Without --long, processes that begin where everything is imported."""
    if request.config.getoption("--long"):
        yield
        return
    with forked.fork_workers():
        yield
    forked.close()


def test_a_policy_that_waits_begins_with_what_the_other_did(fab: Odd, workers: None) -> None:
    job = rowcast.Job(settings(fab))
    span: dict[str, Any] = {"since": FIRST, "until": LAST}

    def begun(policy: str) -> list[dict[str, Any]]:
        [path] = (fab.folder / ".rowcast").glob(f"*/backtest/*/{policy}/store.db")
        with closing(sqlite3.connect(path)) as db:
            return db.execute("SELECT run_id, started_at FROM rowcast_run ORDER BY run_id").fetchall()

    first = job.backtest("never,on-loss", **span, workers=4)  # so that all begin at once
    assert len(begun("never")) > 3
    assert begun("on-loss")[:3] == begun("never")[:3]  # by the clock: it has not run them itself
    [folder] = (fab.folder / ".rowcast").glob("*/backtest/*")
    shutil.rmtree(folder / "on-loss")
    (folder / "on-loss.waits").touch()  # as a kill leaves it once the other has come to its end
    again = job.backtest("never,on-loss", **span)
    assert begun("on-loss") == begun("never")
    assert [each.cost for each in again.policies] == [each.cost for each in first.policies]


def test_a_second_call_replays_nothing_and_says_the_same(
    fab: Odd, workers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = rowcast.Job(settings(fab))
    span: dict[str, Any] = {"since": FIRST, "until": LAST}
    told: list[tuple[str, int, int]] = []
    found = job.backtest("never", **span, progress=lambda *about: told.append(about))
    assert {name for name, _, _ in told} == {"never", "every:1d", "always:1d"}
    assert told[-1][1:] == (len(HISTORY.moments), len(HISTORY.moments))
    assert found.rows > 40
    assert found.verdict.own == "every:1d"
    assert not found.labels_at_once
    alone = make_replay(settings(fab), find_own(settings(fab).retrain), HISTORY, found.folder / "every-1d")
    assert look(alone.settings) == look(operate(fab))  # although the first version was built once for both

    def refuse(*_args: Any, **_given: Any) -> None:
        raise AssertionError("it was replayed once more")

    monkeypatch.setattr(running, "Local", refuse)
    again = job.backtest("never", **span, retrain_cost=100)
    assert again.rows == found.rows
    built = [each.built for each in found.policies]
    for before, after, count in zip(found.policies, again.policies, built, strict=True):
        assert after.cost == pytest.approx(before.cost + 1000 * 100 * count / found.rows)
    with pytest.raises(AssertionError):
        job.backtest("never", **span, fresh=True)
