"""Running, going on after a kill, sharing the work, deciding, and looking."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import time
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import quoted
from jobs import ESTIMATORS, LABELLED, PENDING, SENSORS, Job, wafers
from sqlserver import waits

from rowcast.config import load
from rowcast.job.opening import open_job
from rowcast.scoring.plan import plan_batches
from rowcast.store.records import DecisionOutcome, NewDecision

pytest_plugins = ("job_fixtures",)

HAND_STEPS = ("data-fetch", "data-check", "data-process", "model-build", "gate", "inference")


def steps(job: Job, run: int) -> dict[tuple[str, str], dict[str, object]]:
    """The recorded steps of a run by name and row set."""
    [found] = [each for each in job.ok("runs", "--json") if each["run_id"] == run]
    return {(step["name"], step["row_set"]): step for step in found["steps"]}


def eventually(holds: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    """Wait until something has happened in a process that goes on."""
    deadline = time.monotonic() + 50
    while not holds():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate(timeout=60)


# Running


def test_a_run_trains_and_scores_and_a_second_one_finds_nothing_new(untrained: Job) -> None:
    first = untrained.ok("run")
    assert (first["status"], first["champion"], first["scored"], first["quarantined"]) == ("done", "v1", PENDING, 0)
    assert "first, unproven" in first["retrain"]
    assert untrained.counts() == (0, LABELLED, PENDING, 0, 0)
    before = untrained.scores()
    second = untrained.ok("run")
    assert (second["scored"], second["note"]) == (0, "nothing new to score")
    assert "not due before" in second["retrain"]
    assert untrained.scores() == before
    assert untrained.audit()["batches"] == 3


def test_the_model_tells_good_wafers_from_bad_ones(trained: Job) -> None:
    trained.ok("infer")
    score = trained.scores()
    fails = {row["wafer"]: row["s01"] + row["s02"] > 1 for row in trained.sql("SELECT wafer, s01, s02 FROM wafers")}
    ranked = sorted(score, key=score.__getitem__)
    assert sum(fails[wafer] for wafer in ranked[-20:]) >= 15
    assert sum(fails[wafer] for wafer in ranked[:50]) <= 2


def test_a_late_row_is_found_by_the_next_run(trained: Job) -> None:
    trained.ok("infer")
    trained.add(
        [
            {**wafers(1, 1, False)[0], "wafer": -5, "measured_at": "2026-01-03 02:15:00Z"},  # in scope, first by key
            {**wafers(1, 1, False)[0], "wafer": 345000, "measured_at": "2026-01-03 09:00:00Z"},
        ]
    )
    assert trained.ok("run")["scored"] == 2
    assert trained.counts() == (0, LABELLED, PENDING + 2, 0, 0)


def test_a_row_later_than_as_of_is_invisible_until_then(untrained: Job) -> None:
    untrained.estimator("quick", retrain={"every": "7d"})
    found = untrained.ok("run", "--as-of", "2026-01-03T04:00:00+00:00")  # wafer 312
    assert found["scored"] == 12
    assert untrained.counts() == (0, LABELLED, 12, 0, 88)
    found = untrained.ok("infer", "--as-of", "2026-01-03 10:00")
    assert found["scored"] == 36
    assert max(untrained.scores()) == 348
    assert untrained.ok("run")["scored"] == 52
    as_of = [run["as_of"][:16] for run in untrained.ok("runs", "--json")]
    assert as_of[1:] == ["2026-01-03T10:00", "2026-01-03T04:00"]


def test_labels_known_later_than_as_of_train_nothing(plain: Job) -> None:
    plain.configure({"source": {"label_delay": "1d"}})
    said = plain.refused("retrain", "--as-of", "2026-01-02T06:00:00Z")  # wafer 180; labels up to wafer 36 are known
    assert "36 labelled rows are too few" in said


def test_what_is_not_a_moment_is_refused(lite: Job) -> None:
    assert "--as-of: 'yesterday' is not a moment" in lite.refused("infer", "--as-of", "yesterday", code=2)


def test_only_the_columns_that_the_model_needs_and_the_checks_name_are_read(untrained: Job) -> None:
    untrained.estimator("quick", model={"estimator": "mine:quick", "max_features": 3, "min_train_rows": 50})
    untrained.ok("retrain")
    [model] = untrained.ok("models", "--json")["models"]
    assert len(model["features"]) == 3
    unread = [name for name in ("s09", "s10", "s11", "s12") if name not in model["features"]]
    checked = unread.pop()
    raises = "abs(-9223372036854775807 - 1)" if untrained.place.is_sqlite else "1 / (wafer - wafer)"
    columns = ("wafer", "measured_at", *SENSORS, "tool", "failed")
    broken = f"CAST(CASE WHEN {raises} = 1 THEN 1 END AS REAL)"
    shown = [f"{broken} AS {name}" if name in unread else name for name in columns]
    untrained.sql("ALTER TABLE wafers RENAME TO kept", f"CREATE VIEW wafers AS SELECT {', '.join(shown)} FROM kept")
    untrained.estimator("quick", retrain={"policy": "never"}, **{"check.columns." + checked: {"max": 1e9}})
    found = untrained.ok("run")
    assert found["scored"] == PENDING
    assert steps(untrained, found["run"])["data-fetch", "score"]["columns"] == 4
    [training] = [run for run in untrained.ok("runs", "--json") if run["pipeline"] == "retrain"]
    assert steps(untrained, training["run_id"])["data-fetch", "train"]["columns"] == 13


def test_every_step_is_recorded_with_status_rows_columns_and_memory(untrained: Job) -> None:
    untrained.estimator("quick")
    found = steps(untrained, untrained.ok("run")["run"])
    assert set(found) == {
        *(("data-fetch", "train"), ("data-check", "train"), ("data-process", "train")),
        *(("model-build", "-"), ("gate", "-"), ("inference", "score"), ("monitor", "score")),
        *(("data-fetch", "score"), ("data-check", "score"), ("data-process", "score")),
    }
    for step in found.values():
        assert step["status"] == "done"
        assert step["duration_s"] >= 0
        assert step["peak_rss_mb"] > 10
    assert found["data-fetch", "train"]["rows_out"] == LABELLED
    assert found["inference", "score"]["rows_out"] == PENDING
    figures = untrained.sql(f"SELECT step, name FROM {untrained.table('metric')}")
    assert {"step": "model-build", "name": "auc"} in figures
    assert {"step": "inference", "name": "scored"} in figures


# Steps by hand


def test_the_six_steps_by_hand_give_the_scores_of_a_run(system: str, make_job: Callable[[str, str], Job]) -> None:
    whole, by_hand = make_job(system, "untrained"), make_job(system, "untrained")
    now = "2026-02-01T00:00:00Z"
    for job in (whole, by_hand):
        job.estimator("quick")
    whole.ok("run", "--as-of", now)
    run = by_hand.ok("step", "data-fetch", "--as-of", now)["run"]
    for name in HAND_STEPS[1:]:
        found = by_hand.ok("step", name)
        assert (found["step"], found["run"], found["status"]) == (name, run, "done")
        assert Path(found["saved_in"]).is_dir()
    assert by_hand.scores() == pytest.approx(whole.scores(), rel=0, abs=1e-9)
    assert by_hand.counts() == whole.counts() == (0, LABELLED, PENDING, 0, 0)


def test_a_step_before_its_predecessor_says_what_to_run(plain: Job) -> None:
    for name in HAND_STEPS[1:]:
        assert "begin with 'rowcast step data-fetch'" in plain.refused("step", name)
    plain.ok("step", "data-fetch")
    for place, name in enumerate(HAND_STEPS[2:5], 2):
        assert f"run 'rowcast step {HAND_STEPS[place - 1]}' first" in plain.refused("step", name)
    assert "'rowcast retrain'" in plain.refused("step", "inference")
    assert plain.counts() == (0, LABELLED + PENDING, 0, 0, 0)


@pytest.mark.long
def test_a_step_can_be_triggered_again(lite: Job) -> None:
    for name in ("data-fetch", "data-check", "data-check", "data-process", "data-process", "inference", "inference"):
        lite.ok("step", name)
    assert lite.counts() == (0, LABELLED, PENDING, 0, 0)


def test_rows_fetched_by_hand_are_not_scored_twice_when_a_run_comes_between(lite: Job) -> None:
    for name in ("data-fetch", "data-check", "data-process"):
        lite.ok("step", name)
    assert lite.ok("infer")["scored"] == PENDING
    lite.ok("step", "inference")
    assert lite.counts() == (0, LABELLED, PENDING, 0, 0)


# Going on


def test_resume_goes_on_from_the_step_that_failed_on_the_same_inputs(untrained: Job) -> None:
    untrained.estimator("quick_if_ready")
    said = untrained.refused("run")
    assert "estimator 'mine:quick_if_ready'" in said
    before = steps(untrained, 1)
    assert before["model-build", "-"]["status"] == "failed"
    assert ("gate", "-") not in before
    untrained.add([{**row, "measured_at": "2026-01-01 12:00:00Z"} for row in wafers(401, 50, True)])
    (untrained.folder / "ready").touch()
    found = untrained.ok("resume")
    assert (found["run"], found["status"], found["scored"]) == (1, "done", PENDING)
    after = steps(untrained, 1)
    for name in ("data-fetch", "data-check", "data-process"):
        assert after[name, "train"] == before[name, "train"]
    assert after["model-build", "-"]["status"] == "done"
    assert untrained.ok("models", "--json")["models"][0]["rows"] == LABELLED
    assert len(untrained.ok("runs", "--json")) == 1
    assert "every run of job 'wafers' is done" in untrained.refused("resume")


def test_resume_goes_on_after_a_kill_and_falls_back_where_the_work_directory_is_gone(plain: Job) -> None:
    plain.estimator("waiting")
    process = plain.start("run")
    eventually((plain.folder / "waiting").exists, process)
    said = plain.refused("resume")
    assert "is under way" in said
    kill(process)
    before = steps(plain, 1)
    assert {name for name, _ in before} == {"data-fetch", "data-check", "data-process"}
    plain.estimator("raising")
    plain.refused("resume")
    assert steps(plain, 1)["data-process", "train"] == before["data-process", "train"]
    for path in (plain.folder / ".rowcast").rglob("*.arrow"):
        path.unlink()
    plain.estimator("quick")
    done = plain.call("resume", "1")
    assert done.code == 0, done.err
    assert any("going back to data-fetch" in event["event"] for event in done.events)
    assert steps(plain, 1)["data-fetch", "train"]["started_at"] > before["data-fetch", "train"]["started_at"]
    assert plain.counts() == (0, LABELLED, PENDING, 0, 0)


def test_resume_refuses_a_run_that_is_done_or_unknown(lite: Job) -> None:
    assert "run 1 is done" in lite.refused("resume", "1")
    assert "has no run 77" in lite.refused("resume", "77")


@pytest.mark.long
def test_a_killed_infer_publishes_whole_batches_and_another_scores_the_rest_once(trained: Job) -> None:
    trained.configure({"infer": {"batch_rows": 7}})
    unstall = stall(trained, wafer=350)
    process = trained.start("infer")
    batches = f"SELECT batch_id FROM {trained.table('batch')} WHERE status = 'claimed' AND key_from LIKE '%350%'"
    eventually(lambda: bool(trained.sql(batches)), process)
    kill(process)
    unstall()
    _, out_of_scope, scored, _, pending = trained.counts()
    assert (out_of_scope, scored, pending) == (LABELLED, 49, 51)
    before = trained.scores()
    done = trained.call("infer")
    assert done.json["scored"] == 51
    assert any(event["event"] == "taking up batches that an earlier run left" for event in done.events)
    assert trained.counts() == (0, LABELLED, PENDING, 0, 0)
    assert {wafer: score for wafer, score in trained.scores().items() if wafer in before} == before
    statuses = {run["run_id"]: run["status"] for run in trained.ok("runs", "--json")}
    assert statuses == {1: "done", 2: "interrupted", 3: "done"}


def stall(job: Job, wafer: int) -> Callable[[], None]:
    """Let the transaction that writes this wafer's prediction hang; the result ends that."""
    prediction = job.table("wafers_prediction")
    if job.place.is_sqlite:
        endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c"
        job.sql(f"CREATE TRIGGER stall BEFORE INSERT ON {prediction} WHEN NEW.wafer = {wafer} BEGIN {endless}; END")
        return lambda: job.sql("DROP TRIGGER stall").clear()
    if job.place.is_mssql:
        stalls = f"IF EXISTS (SELECT 1 FROM inserted WHERE wafer = {wafer}) BEGIN {waits(600_000)} END"
        job.sql(f"CREATE TRIGGER rowcast.stall ON {prediction} AFTER INSERT AS BEGIN {stalls} END")

        def let_go() -> None:
            assert job.place.mssql is not None
            job.place.close()
            job.place.mssql.cut_off(job.place.url)
            job.sql("DROP TRIGGER rowcast.stall")

        return let_go
    job.sql(
        "CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN IF NEW.wafer = {wafer} THEN PERFORM pg_sleep(600); END IF; RETURN NEW; END $$"
    )
    job.sql(f"CREATE TRIGGER stall BEFORE INSERT ON {prediction} FOR EACH ROW EXECUTE FUNCTION stall()")

    def unstall() -> None:
        # The server does not see by itself that the client is dead while a statement sleeps.
        job.sql(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        job.sql(f"DROP TRIGGER stall ON {prediction}")

    return unstall


@pytest.mark.long
def test_two_at_once_share_the_work_and_score_every_row_once(trained: Job) -> None:
    trained.configure({"infer": {"batch_rows": 4}})
    both = [trained.start("infer"), trained.start("infer")]
    ended = [process.communicate(timeout=600) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert sum(json.loads(out.splitlines()[-1])["scored"] for out, _ in ended) == PENDING
    assert trained.counts() == (0, LABELLED, PENDING, 0, 0)
    assert trained.audit()["batches"] >= 25


@pytest.mark.long
def test_two_worker_processes_give_the_scores_of_one(system: str, make_job: Callable[[str, str], Job]) -> None:
    one, two = make_job(system, "trained"), make_job(system, "trained")
    one.ok("infer")
    two.configure({"infer": {"batch_rows": 13, "workers": 2}})
    done = two.run("infer")
    assert done.code == 0, done.err
    assert done.json["scored"] == PENDING
    assert two.scores() == pytest.approx(one.scores(), rel=0, abs=1e-12)
    assert two.counts() == (0, LABELLED, PENDING, 0, 0)


# Deciding


def test_the_policy_never_trains_only_when_asked(plain: Job) -> None:
    plain.estimator("quick", retrain={"policy": "never"})
    assert "'rowcast retrain'" in plain.refused("run")
    assert plain.ok("models", "--json")["models"] == []
    plain.ok("retrain")
    plain.sql("UPDATE wafers SET failed = wafer % 3 = 0 WHERE failed IS NULL")
    found = plain.ok("run", "--as-of", "2030-01-01")
    assert (found["retrain"], found["champion"], found["scored"]) == ("not due: the policy is never", "v1", PENDING)


def test_the_policy_every_waits_for_days_and_for_labels(plain: Job) -> None:
    plain.estimator("quick", retrain={"policy": "every", "every": "2d", "min_new_labels": 60})
    assert plain.ok("run", "--as-of", "2026-01-03T12:00:00Z")["champion"] == "v1"
    plain.sql("UPDATE wafers SET failed = s01 + s02 > 1 WHERE wafer <= 350")
    assert plain.ok("run", "--as-of", "2026-01-05T11:59:00Z")["retrain"] == "not due before 2026-01-05 12:00 UTC"
    assert plain.ok("run", "--as-of", "2026-01-05T12:00:00Z")["retrain"] == "not due: 50 new labels of at least 60"
    plain.sql("UPDATE wafers SET failed = s01 + s02 > 1 WHERE wafer <= 360")
    found = plain.ok("run", "--as-of", "2026-01-05T12:00:00Z")
    assert found["retrain"].startswith("v2 ")
    decisions = plain.ok("models", "--json")["promotions"]
    assert [(each["version"], each["decided_by"]) for each in decisions] == [(2, "gate"), (1, "gate")]
    assert decisions[0]["evidence"]["rows"] == 30  # the later half of what came after v1's training


def second_version(job: Job) -> None:
    """A copy of the champion as v2, as if a challenger waited."""
    model = job.table("model")
    [columns] = [list(row) for row in job.sql(f"SELECT * FROM {model}")]
    names = ", ".join(f'"{name}"' for name in columns)
    values = names.replace('"version"', "2").replace('"status"', "'challenger'")
    job.sql(f"INSERT INTO {model} ({names}) SELECT {values} FROM {model} WHERE version = 1")


def test_who_promotes_and_who_rolls_back_is_recorded(trained: Job) -> None:
    assert "no champion before this one" in trained.refused("rollback")
    second_version(trained)
    assert "v2 is champion" in trained.call("promote", "2", "--by", "Ada", "--reason", "fewer misses").out
    assert trained.ok("infer")["champion"] == "v2"
    assert "v1 is champion" in trained.call("rollback", "--by", "Zoë").out
    found = trained.ok("models", "--json")
    assert [(model["version"], model["status"]) for model in found["models"]] == [(2, "retired"), (1, "champion")]
    decided = [(p["version"], p["previous"], p["decided_by"], p["reason"]) for p in found["promotions"][:2]]
    assert decided == [(1, 2, "Zoë", "rolled back by hand"), (2, 1, "Ada", "fewer misses")]
    used = trained.sql(f"SELECT DISTINCT model_version AS v FROM {trained.table('wafers_prediction')}")
    assert used == [{"v": 2}]


def test_a_version_that_is_not_there_cannot_be_promoted(lite: Job) -> None:
    said = lite.refused("promote", "9", "--by", "Ada")
    assert "no model v9" in said
    assert "'rowcast models'" in said


# Looking


def test_status_tells_what_is_in_service_and_pending(trained: Job) -> None:
    found = trained.ok("status", "--json")
    assert (found["job"], found["champion"], found["pending"], found["scored"]) == ("wafers", "v1", PENDING, 0)
    assert found["scoring_since"].startswith("2025-12-04T02:00")  # late_arrival before the newest label
    assert found["last_run"] == "1: retrain done"
    assert found["drift"] == "not looked at yet"
    trained.ok("infer")
    assert trained.stored(f"SELECT count(*) AS n FROM {found['predictions']}") == [{"n": PENDING}]
    assert trained.ok("status", "--json")["drift"].startswith("told once 40 blocks and runs say what is usual: ")
    [run] = trained.ok("runs", "2", "--json")
    steps = {step["name"]: step for step in run["steps"]}
    assert (steps["inference"]["rows_out"], steps["monitor"]["rows_in"]) == (PENDING, None)  # it looks at runs
    trained.shows_no_secret(trained.call("status"), trained.call("status", "--json"))


def test_explain_knows_where_any_row_is(trained: Job) -> None:
    trained.sql("UPDATE wafers SET s01 = 1e30, s02 = 1e30 WHERE wafer = 310")
    assert trained.ok("explain", "320", "--json")["state"] == "pending"
    trained.call("infer", "--accept-quarantine")
    found = trained.ok("explain", "320", "--json")
    assert (found["state"], found["reproduced"], found["changed"]) == ("scored", True, False)
    assert found["score"] == trained.scores()[320]
    assert abs(found["again"] - found["score"]) <= 1e-9
    assert len(found["contributions"]) > 1
    assert set(found["contributions"]) <= set(found["values"])
    column, leads = next(iter(found["contributions"].items()))
    assert leads["value"] == pytest.approx(found["values"][column], rel=1e-6)
    assert leads["reference_range"][0] < leads["reference_range"][1]
    headings, _, first = trained.call("explain", "320").out.splitlines()[-len(found["contributions"]) - 2 :][:3]
    assert headings.split() == ["column", "value", "reference", "range", "contribution"]
    assert first.split()[0] == column
    assert trained.ok("explain", "20", "--json")["state"] == "out of scope"
    quarantined = trained.ok("explain", "310", "--json")
    assert (quarantined["state"], quarantined["reasons"][0]["rule"]) == ("quarantined", "max")
    absent = trained.call("explain", "5000", "--json")
    assert (absent.code, absent.json["state"]) == (1, "absent")
    trained.sql("UPDATE wafers SET s01 = s01 + 1, s02 = s02 - 1 WHERE wafer = 320")
    assert trained.ok("explain", "320", "--json")["changed"] is True
    assert "has changed at the source" in trained.call("explain", "320").out


def test_explain_wants_a_value_for_each_key_column(lite: Job) -> None:
    assert "the key has 1 column: wafer" in lite.refused("explain", "1", "2", code=2)
    assert lite.refused("explain", code=2)


@pytest.mark.long
def test_the_printed_statements_make_a_store_that_rowcast_uses(untrained: Job) -> None:
    statements = untrained.call("ddl").out
    untrained.sql(*[part for part in statements.split(";\n") if part.strip()])
    before = untrained.sql(f"SELECT * FROM {untrained.table('version')}")
    untrained.estimator("quick")
    assert untrained.ok("run")["scored"] == PENDING
    assert untrained.sql(f"SELECT * FROM {untrained.table('version')}") == before


def test_doctor_finds_nothing_wrong_with_a_sound_job(trained: Job) -> None:
    findings = trained.ok("doctor", "--json")
    assert {finding["level"] for finding in findings} <= {"ok", "warning"}
    assert trained.call("doctor").code == 0


def test_init_writes_a_config_that_runs_once_what_it_cannot_know_is_filled_in(untrained: Job) -> None:
    done = untrained.call("init", "--url", untrained.place.url, "--table", "wafers", "--force")
    assert done.code == 0, done.err
    text = (untrained.folder / "rowcast.toml").read_text()
    found = tomllib.loads(text)
    assert (found["source"]["key"], found["source"]["time"]) == (["wafer"], "measured_at")
    assert found["source"]["label"] == "failed"
    untrained.shows_no_secret(done)
    assert "s3cret" not in text
    (untrained.folder / "mine.py").write_text(ESTIMATORS)
    given = {"ROWCAST_SOURCE_URL": untrained.place.url, "ROWCAST_MODEL__ESTIMATOR": "mine:quick"}
    done = untrained.run("run", environment=given)
    assert done.code == 0, done.err
    assert done.json["scored"] == PENDING
    assert "exists already" in untrained.refused("init", "--url", untrained.place.url, "--table", "wafers")


@pytest.mark.parametrize("command", ["status", "runs", "models", "audit", "doctor"])
def test_what_people_read_is_a_table(lite: Job, command: str) -> None:
    done = lite.call(command)
    assert done.code == 0, done.err
    assert len(done.out.splitlines()) >= 3
    with pytest.raises(json.JSONDecodeError):
        json.loads(done.out)


# Logs


def test_elsewhere_than_on_a_terminal_every_line_is_json(lite: Job) -> None:
    done = lite.run("infer")
    assert done.code == 0
    events = [json.loads(line) for line in done.err.splitlines()]
    assert [event["event"] for event in events] == [
        *("infer begins", "data-fetch (score) done", "data-check (score) done", "data-process (score) done"),
        *("inference (score) done", "monitor (score) done", "infer done"),
    ]
    assert all(event["timestamp"] and event["level"] == "info" for event in events)
    assert len(done.out.splitlines()) == 1
    assert lite.log() == events


def test_on_a_terminal_people_get_lines_and_a_summary(lite: Job) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        lite.command("infer"), cwd=lite.folder, env=lite.environment(TERM="xterm"), stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while part := os.read(ours, 10_000):
            shown += part
    os.close(ours)
    assert process.wait(timeout=300) == 0
    text = shown.decode()
    assert "infer begins" in text
    assert re.search(r"scored +100\b", text)
    assert "rows/s" in text
    assert '{"' not in text
    assert lite.log()[-1]["event"] == "infer done"


def test_the_log_level_is_kept(lite: Job) -> None:
    assert lite.run("infer", "--log-level", "warning").err == ""
    assert lite.log() == []


def test_one_run_can_be_looked_at(lite: Job) -> None:
    first = lite.ok("infer")["run"]
    lite.ok("infer")
    [run] = lite.ok("runs", str(first), "--json")
    assert (run["run_id"], len(run["steps"])) == (first, 5)
    assert f"steps of run {first}" in lite.call("runs", str(first)).out
    assert "has no run 99" in lite.refused("runs", "99")


def test_a_second_runner_plans_beside_thousands_of_open_batches(trained: Job) -> None:
    trained.configure({"infer": {"batch_rows": 1}})
    trained.add(wafers(401, 1_400, False))
    with open_job(load(trained.folder / "rowcast.toml")) as job:
        now, state = job.store.now(), job.ledger.state()
        assert len(plan_batches(job, 1, now, state, None, 1)) == PENDING + 1_400
        trained.add([{**wafers(2_000, 1, False)[0], "wafer": -1}])
        assert [keys.rows for _, keys in plan_batches(job, 2, now, state, None, 1)] == [1]


def test_watch_repeats_the_run_until_it_is_told_to_stop(lite: Job) -> None:
    process = lite.start("watch", "--every", "0.2s")

    def logged(event: str) -> int:
        log = lite.folder / "pipeline.log"
        return sum(line["event"] == event for line in lite.log()) if log.exists() else 0

    eventually(lambda: logged("full-pipeline done") >= 2, process)
    lite.sql("ALTER TABLE wafers RENAME TO away")
    eventually(lambda: logged("there is no table wafers in sqlite:///" + str(lite.folder / "fab.db")) >= 1, process)
    lite.sql("ALTER TABLE away RENAME TO wafers")
    lite.add(wafers(401, 5, False))
    scored = f"SELECT count(*) AS n FROM {lite.table('wafers_prediction')}"
    eventually(lambda: lite.sql(scored)[0]["n"] == PENDING + 5, process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert all(json.loads(line)["pipeline"] == "full-pipeline" for line in out.splitlines())
    assert lite.log()[-1]["event"] == "stopped watching"
    assert lite.counts() == (0, LABELLED, PENDING + 5, 0, 0)


@pytest.mark.long
def test_a_run_that_is_told_to_stop_is_recorded_and_can_go_on(plain: Job) -> None:
    plain.estimator("waiting")
    process = plain.start("run")
    eventually((plain.folder / "waiting").exists, process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "error: interrupted\n  'rowcast resume' goes on" in err
    assert "Traceback" not in err
    assert plain.ok("runs", "--json")[0]["status"] == "interrupted"
    assert steps(plain, 1)["model-build", "-"]["status"] == "interrupted"


def test_a_config_is_found_from_another_folder_and_its_paths_start_beside_it(lite: Job, tmp_path: Path) -> None:
    lite.configure({"source": {"url": "sqlite:///fab.db"}})
    done = lite.run("infer", "--config", str(lite.folder / "rowcast.toml"), cwd=tmp_path)
    assert done.code == 0, done.err
    assert lite.log()[-1]["event"] == "infer done"
    assert list(tmp_path.glob("*.log")) == []


@pytest.mark.long
def test_a_second_rollback_goes_on_to_the_version_before(trained: Job) -> None:
    model = trained.table("model")
    [columns] = [list(row) for row in trained.sql(f"SELECT * FROM {model}")]
    names = ", ".join(quoted(name) for name in columns)
    for version in (2, 3):
        values = names.replace('"version"', str(version)).replace('"status"', "'challenger'")
        trained.sql(f"INSERT INTO {model} ({names}) SELECT {values} FROM {model} WHERE version = 1")
        trained.call("promote", str(version), "--by", "Ada")
    assert "v2 is champion" in trained.call("rollback", "--by", "Ada").out
    assert "v1 is champion" in trained.call("rollback", "--by", "Ada").out


def test_the_gate_promotes_nobody_over_a_champion_that_it_did_not_judge(trained: Job) -> None:
    with open_job(load(trained.folder / "rowcast.toml")) as job:
        late = NewDecision(DecisionOutcome.PROMOTED, "late", {}, decided_at=job.store.now(), decided_by="gate")
        assert not job.registry.promote(1, late, against=None)
        assert not job.registry.promote(1, late, against=7)
        assert [made.reason for made in job.registry.decisions()].count("late") == 0
        assert job.registry.promote(1, late, against=1)


def test_a_gate_that_is_asked_again_after_its_promotion_lets_it_stand(untrained: Job) -> None:
    for name in ("data-fetch", "data-check", "data-process", "model-build", "gate"):
        untrained.ok("step", name)
    before = untrained.ok("models", "--json")["promotions"]
    untrained.ok("step", "gate")
    assert untrained.ok("models", "--json")["promotions"] == before
    assert [promotion["decision"] for promotion in before] == ["promoted"]


def test_what_a_gate_spends_of_the_years_error_is_on_record_and_never_spent_twice(plain: Job) -> None:
    plain.estimator("quick", gate={"min_gain": 9.0})  # more than any challenger gains
    plain.ok("retrain", "--as-of", "2026-01-03")
    plain.add(wafers(LABELLED + PENDING + 1, 4_000, True))

    def judged(as_of: str) -> dict[str, object]:
        plain.ok("retrain", "--as-of", as_of)
        newest: dict[str, object] = plain.ok("models", "--json")["promotions"][0]
        assert {"kept": "refused"}.get(str(newest["decision"]), newest["decision"]) in str(plain.call("models").out)
        return newest

    kept = judged("2026-02-01")
    assert (kept["version"], kept["decision"]) == (2, "kept")
    assert kept["evidence"]["level"] == pytest.approx(0.05 * 29 / 364)
    assert kept["evidence"]["left"] == pytest.approx(0.05 - 0.05 * 29 / 364)
    assert "Of the 5 % chance of a wrong promotion allowed for a year" in kept["reason"]
    plain.ok("step", "gate")  # the same rows are not judged again
    assert len(plain.ok("models", "--json")["promotions"]) == 2
    before = judged("2026-01-31")
    assert (before["version"], before["decision"], before["evidence"]["level"]) == (3, "undecided", None)
    assert judged("2026-02-08")["evidence"]["level"] == pytest.approx(0.05 * 7 / 364)


def test_a_gate_promotes_nobody_where_another_decision_was_recorded_since_it_began(trained: Job) -> None:
    with open_job(load(trained.folder / "rowcast.toml")) as job:
        late = NewDecision(DecisionOutcome.PROMOTED, "late", {}, decided_at=job.store.now(), decided_by="gate")
        job.registry.keep(1, replace(late, outcome=DecisionOutcome.UNDECIDED))
        assert not job.registry.promote(1, late, against=1, knowing=1)
        assert job.registry.promote(1, late, against=1, knowing=2)


def test_explain_says_that_a_row_of_the_future_waits_for_its_time(trained: Job) -> None:
    trained.add([{**wafers(500, 1, False)[0], "measured_at": "2999-01-01 00:00:00Z"}, *wafers(501, 1, False)])
    found = trained.ok("explain", "500", "--json")
    assert (found["state"], found["why"]) == ("pending", "its time is later than now: it is scored once that has come")
    assert trained.ok("explain", "501", "--json")["why"] == "the next 'rowcast infer' scores it"


def test_a_table_without_a_primary_key_and_without_an_index_is_scored(lite: Job) -> None:
    lite.sql("CREATE TABLE bare AS SELECT * FROM wafers", "DROP TABLE wafers", "ALTER TABLE bare RENAME TO wafers")
    assert lite.ok("infer")["scored"] == PENDING
