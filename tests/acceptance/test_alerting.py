"""Who is told what: over SNS, by mail and to a webhook, whatever these do, and whatever becomes of the run."""

import itertools
import signal
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jobs import ESTIMATORS, PENDING, Job
from mortal import Dead, Death, living
from pydantic import SecretStr
from receivers import PASSWORD, Mail, Topic, Webhook, amazon
from test_operation import eventually, second_version

from rowcast import pipeline, promotion
from rowcast.alerts import raising
from rowcast.config import load
from rowcast.job.opening import open_job
from rowcast.notify import message, sinks
from rowcast.notify.apprise import Apprise
from rowcast.store.alert_record import Alert
from rowcast.store.records import PipelineName

pytest_plugins = ("job_fixtures",)


@pytest.fixture
def hook() -> Iterator[Webhook]:
    found = Webhook()
    yield found
    found.close()


@pytest.fixture
def mail() -> Iterator[Mail]:
    found = Mail()
    yield found
    found.close()


@pytest.fixture(scope="module")
def topic() -> Iterator[Topic]:
    """One for all tests, each of which takes from the queue what came to it."""
    with pytest.MonkeyPatch.context() as patch, amazon(patch.setenv) as found:
        yield found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sinks are given up after half a second."""
    monkeypatch.setattr(sinks, "PATIENCE", 0.5)


@pytest.fixture
def told(lite: Job, hook: Webhook) -> Job:
    """A trained job whose people are told by a webhook."""
    lite.configure({"notify": {"urls": [hook.url]}})
    return lite


def break_sensor(job: Job, wafers: str) -> None:
    job.sql(f"UPDATE wafers SET s01 = 1e30, s02 = 1e30 WHERE {wafers}")


def waiting(job: Job) -> int:
    return int(job.call("status", "--json").json["alerts_waiting"])


def stored(job: Job) -> list[tuple[str, str]]:
    rows = job.stored(f"SELECT topic, state FROM {job.table('alert')} ORDER BY alert_id")
    return [(row["topic"], row["state"]) for row in rows]


def shows_nothing_secret(job: Job, *texts: Any) -> None:
    alerts = job.stored(f"SELECT * FROM {job.table('alert')}")
    for text in (*texts, alerts, (job.folder / "pipeline.log").read_text()):
        assert PASSWORD not in str(text)
        assert "s3cret" not in str(text)


# What is told, and when


def test_trouble_is_told_once_then_when_it_changes_and_when_it_is_over(trained: Job, hook: Webhook) -> None:
    trained.configure({"notify": {"urls": [hook.url]}})
    break_sensor(trained, "wafer BETWEEN 301 AND 340")
    for _ in range(2):
        assert trained.call("infer").code == 1
    assert hook.subjects == ["rowcast wafers: infer failed (run 2)"]
    what, _, *facts = hook.taken[0]["message"].splitlines()
    assert what.startswith("40 of 40 rows break the contract (100.0%; max_quarantine is 10.0%)")
    assert facts[0].startswith("since    20")
    assert "'rowcast infer --accept-quarantine' sets these rows aside and goes on" in facts[1]
    assert facts[2] == "command  rowcast resume 2"
    status = trained.call("status", "--json")
    assert "infer failed since" in status.json["needs_a_person"]
    assert status.code == 1
    trained.sql("ALTER TABLE wafers RENAME COLUMN s01 TO gone")
    assert trained.call("infer").code == 1
    assert hook.subjects[1:] == ["rowcast wafers: changed: infer failed (run 4)"]
    trained.sql("ALTER TABLE wafers RENAME COLUMN gone TO s01")
    assert trained.call("infer", "--accept-quarantine").code == 0
    assert hook.subjects[2:] == ["rowcast wafers: over: infer failed (run 4)"]
    assert hook.taken[2]["message"].startswith("It is over: the source no longer has column 's01'")
    assert trained.ok("status", "--json")["needs_a_person"] is None
    assert trained.call("infer").code == 0
    assert stored(trained) == [
        *(("decision 1", "once"), ("infer", "begins"), ("infer", "changed"), ("infer", "ended")),
    ]
    shows_nothing_secret(trained, hook.taken)


def test_what_keeps_a_run_from_beginning_is_told_once_and_when_it_is_over(told: Job, hook: Webhook) -> None:
    told.sql("ALTER TABLE wafers RENAME TO away")
    for _ in range(3):
        assert told.call("run").code == 1
    assert hook.subjects == ["rowcast wafers: full-pipeline failed"]
    assert "there is no table wafers in the database" in hook.taken[0]["message"]
    assert "command  rowcast run" in hook.taken[0]["message"]
    told.sql("ALTER TABLE away RENAME TO wafers")
    told.ok("run")
    assert hook.subjects[1:] == ["rowcast wafers: over: full-pipeline failed"]


def test_what_a_person_asked_wrongly_is_told_to_that_person_alone(told: Job, hook: Webhook) -> None:
    assert told.call("infer", "--as-of", "yesterday").code == 2
    assert told.call("resume", "77").code == 1
    assert told.call("step", "gate").code == 1
    assert hook.asked == 0


def test_a_step_by_hand_that_fails_is_told_each_time(told: Job, hook: Webhook) -> None:
    told.estimator("raising", notify={"urls": [hook.url]})
    for name in ("data-fetch", "data-check", "data-process"):
        told.ok("step", name)
    for _ in range(2):
        assert told.call("step", "model-build").code == 1
    assert hook.subjects == ["rowcast wafers: step failed (run 2)"] * 2
    assert "command  rowcast runs 2" in hook.taken[0]["message"]


def test_a_failed_retrain_is_told_as_a_warning_while_the_champion_scores(told: Job, hook: Webhook) -> None:
    told.estimator("raising", notify={"urls": [hook.url]})
    told.sql("UPDATE wafers SET failed = s01 + s02 > 1 WHERE wafer <= 350")
    assert told.call("run", "--as-of", "2030-01-01").code == 1
    assert [(found["title"], found["type"]) for found in hook.taken] == [
        ("rowcast wafers: retrain failed (run 2)", "warning")
    ]
    assert "at       " not in hook.taken[0]["message"]
    told.ok("infer")  # which says nothing about training
    told.estimator("quick", notify={"urls": [hook.url]})
    told.ok("retrain")
    assert hook.subjects[1] == "rowcast wafers: over: retrain failed (run 2)"


def test_every_promotion_and_every_refusal_is_told(plain: Job, hook: Webhook) -> None:
    plain.estimator("quick", notify={"urls": [hook.url]})
    plain.ok("retrain")
    second_version(plain)
    plain.call("promote", "2", "--by", "Ada", "--reason", "fewer misses")
    plain.call("rollback", "--by", "Zoë")
    decisions = ("v1 promoted", "v2 promoted in place of v1", "v1 promoted in place of v2")
    assert hook.subjects == [f"rowcast wafers: {decision}" for decision in decisions]
    first, promoted, back = (found["message"].splitlines()[0] for found in hook.taken)
    assert first.startswith("v1 promoted (decided by the gate): first, unproven: out of fold it costs")
    assert promoted == "v2 promoted in place of v1 (decided by Ada): fewer misses"
    assert back == "v1 promoted in place of v2 (decided by Zoë): rolled back by hand"
    assert ["'rowcast rollback'" in found["message"] for found in hook.taken] == [False, True, True]
    assert all(found["type"] == "info" for found in hook.taken)


def test_a_shadow_that_fails_is_told_as_a_warning_until_nobody_scores_there(told: Job, hook: Webhook) -> None:
    second_version(told)
    told.sql(f"UPDATE {told.table('model')} SET artifact_sha256 = '00' WHERE version = 2")
    told.ok("infer")
    told.ok("infer")  # nothing was pending, which says nothing about the shadow
    assert [(found["title"], found["type"]) for found in hook.taken] == [
        ("rowcast wafers: shadow failed (run 2)", "warning")
    ]
    assert hook.taken[0]["message"].startswith(f"{PENDING} rows could not be scored in the shadow")
    assert "command  rowcast runs 2" in hook.taken[0]["message"]  # there is nothing to resume
    told.sql(f"DELETE FROM {told.table('model')} WHERE version = 2")
    told.ok("infer")
    assert hook.subjects[1:] == ["rowcast wafers: over: shadow failed (run 2)"]


def test_only_what_is_severe_enough_is_sent(plain: Job, hook: Webhook) -> None:
    plain.estimator("quick", notify={"urls": [hook.url], "min_severity": "error"})
    plain.ok("retrain")
    assert (hook.asked, waiting(plain), stored(plain)) == (0, 0, [("decision 1", "once")])
    plain.sql("ALTER TABLE wafers RENAME TO away")
    plain.call("run")
    assert hook.subjects == ["rowcast wafers: full-pipeline failed"]


@pytest.mark.parametrize("values", [False, True])
def test_values_of_rows_are_told_only_where_that_is_allowed(told: Job, hook: Webhook, values: bool) -> None:
    quotes = "def quotes():\n    raise ValueError('could not convert string to float: operator Miller')\n"
    told.estimator("quotes", notify={"urls": [hook.url], "values": values})
    (told.folder / "mine.py").write_text(ESTIMATORS + quotes)
    assert told.call("retrain").code == 1
    assert ("Miller" in str(hook.taken)) is values
    assert "estimator 'mine:quotes' cannot be built" in hook.taken[0]["message"]
    assert ("Miller" in str(told.stored(f"SELECT what FROM {told.table('alert')}"))) is values
    assert "Miller" in (told.folder / "pipeline.log").read_text()  # whoever reads the log has the rest


# The sinks


def test_sns_publishes_to_the_topic(lite: Job, topic: Topic) -> None:
    lite.configure({"notify": {"sns_topic": topic.arn}})
    break_sensor(lite, "wafer > 300")
    assert lite.call("infer").code == 1
    [found] = topic.taken()
    assert found["Subject"] == "rowcast wafers: infer failed (run 2)"
    assert "command  rowcast resume 2" in found["Message"]
    attributes = {name: value["Value"] for name, value in found["MessageAttributes"].items()}
    assert attributes == {"job": "wafers", "topic": "infer", "severity": "error", "state": "begins"}
    lite.ok("infer", "--accept-quarantine")
    assert [each["Subject"] for each in topic.taken()] == ["rowcast wafers: over: infer failed (run 2)"]


def test_a_topic_that_is_not_there_is_said_and_what_it_should_get_waits(lite: Job, topic: Topic) -> None:
    lite.configure({"notify": {"sns_topic": topic.arn.replace("alarms", "others")}})
    break_sensor(lite, "wafer > 300")
    done = lite.call("infer")
    [error] = [event["error"] for event in done.events if event["event"] == "a message was not taken"]
    assert error.startswith("An error occurred (NotFound) when calling the Publish operation")
    assert waiting(lite) == 1
    lite.configure({"notify": {"sns_topic": topic.arn}})
    assert lite.ok("notify", "--json") == {"delivered": 1, "waiting": 0}
    assert [each["Subject"] for each in topic.taken()] == ["rowcast wafers: infer failed (run 2)"]


def test_a_mail_has_the_subject_and_the_lines_of_the_text(lite: Job, mail: Mail) -> None:
    lite.configure({"notify": {"urls": [mail.url]}})
    break_sensor(lite, "wafer > 300")
    assert lite.call("infer").code == 1
    [found] = mail.taken
    assert (found["Subject"], found["To"]) == ("rowcast wafers: infer failed (run 2)", "shift@fab.example")
    assert found.get_content_type() == "text/plain"
    assert "command  rowcast resume 2" in found.get_content().splitlines()


def test_html_that_somebody_asks_for_has_the_lines_and_the_signs_of_the_text(mail: Mail) -> None:
    at = datetime(2026, 5, 1, 6, 12, tzinfo=UTC)
    alert = Alert("wafers", "infer", "infer failed", "a < b & c_d *", "error", at, "", "rowcast resume 12", "k", 12)
    Apprise("mailto", SecretStr(f"{mail.url}&format=html")).send(message(alert))
    [found] = mail.taken
    html = found.get_body(("html",)).get_content().replace("\r\n", "\n")
    assert "a &lt; b &amp; c_d *\n\nsince    2026-05-01 06:12 UTC\n" in html
    assert "white-space: pre-wrap" in html
    assert "&nbsp;" not in html  # a long line of such does not wrap: its end is outside the window
    assert found.get_body(("plain",)).get_content().splitlines() == message(alert).text.splitlines()


def test_a_slow_webhook_is_waited_for(told: Job, hook: Webhook) -> None:
    hook.delay = 0.3
    break_sensor(told, "wafer > 300")
    assert told.call("infer").code == 1
    assert (len(hook.taken), waiting(told)) == (1, 0)


@pytest.mark.parametrize("how", ["500", "silent", "away"])
def test_a_sink_that_fails_or_hangs_changes_nothing_for_the_run_and_gets_its_message_later(
    told: Job, hook: Webhook, how: str, impatient: None
) -> None:
    if how == "500":
        hook.status = 500
    elif how == "silent":
        hook.silent = True
    else:
        told.configure({"notify": {"urls": [f"json://ops:{PASSWORD}@127.0.0.1:9/"]}})
    break_sensor(told, "wafer BETWEEN 301 AND 304")
    second_version(told)
    promoted = told.call("promote", "2", "--by", "Ada")
    assert (promoted.code, waiting(told)) == (0, 1)
    done = told.call("infer")
    assert (done.code, done.json["scored"]) == (0, PENDING - 4)
    assert "Traceback" not in done.err
    asked = hook.asked
    again = told.call("notify")
    assert (again.code, hook.asked) == (1, asked + (how != "away"))
    assert "waiting    1" in again.out
    reason = {"500": "error=500", "silent": "no answer within 0.5 s", "away": "Connection"}[how]
    assert reason in again.out
    shows_nothing_secret(told, done, again)
    hook.status, hook.silent = 200, False
    told.configure({"notify": {"urls": [hook.url]}})
    assert told.ok("notify", "--json") == {"delivered": 1, "waiting": 0}
    assert hook.subjects == ["rowcast wafers: v2 promoted in place of v1"]


def test_the_next_run_delivers_what_waits_once_it_is_due(told: Job, hook: Webhook) -> None:
    hook.status = 500
    break_sensor(told, "wafer BETWEEN 301 AND 340")
    told.call("infer")
    hook.status = 200
    told.call("infer")
    assert (hook.asked, waiting(told)) == (1, 1)  # it is not due yet
    told.stored(f"UPDATE {told.table('alert')} SET next_try = created_at WHERE next_try IS NOT NULL")
    told.call("infer")
    assert (hook.asked, hook.subjects, waiting(told)) == (2, ["rowcast wafers: infer failed (run 2)"], 0)


def test_one_sink_that_is_away_keeps_no_other_from_its_message(lite: Job, hook: Webhook, mail: Mail) -> None:
    hook.status = 503
    lite.configure({"notify": {"urls": [hook.url, mail.url]}})
    break_sensor(lite, "wafer > 300")
    lite.call("infer")
    assert (len(mail.taken), waiting(lite)) == (1, 1)
    hook.status = 200
    lite.ok("notify", "--json")
    assert (len(mail.taken), len(hook.taken)) == (1, 1)


def test_the_test_message_goes_to_every_sink_and_says_which_takes_it(
    lite: Job, hook: Webhook, mail: Mail, topic: Topic
) -> None:
    lite.configure({"notify": {"sns_topic": topic.arn, "urls": [hook.url, mail.url]}})
    done = lite.call("notify", "--test")
    assert (done.code, done.out) == (0, "ok       sns\nok       json\nok       mailto\n")
    subject = "rowcast wafers: test message"
    assert [hook.subjects, [each["Subject"] for each in topic.taken()], [each["Subject"] for each in mail.taken]] == [
        *([[subject]] * 3)
    ]
    hook.status = 500
    done = lite.call("notify", "--test")
    assert done.code == 1
    assert [line.split()[:2] for line in done.out.splitlines()] == [
        ["ok", "sns"],
        ["failed", "json:"],
        ["ok", "mailto"],
    ]
    assert PASSWORD not in done.out + done.err
    assert stored(lite) == [("decision 1", "once")]


def test_where_nobody_is_to_be_told_the_command_says_how(lite: Job) -> None:
    assert "name [notify] sns_topic or urls in rowcast.toml" in lite.refused("notify")
    assert "name [notify] sns_topic or urls in rowcast.toml" in lite.refused("notify", "--test")


# Kills, and a database that is away


def test_who_is_told_to_stop_while_a_message_is_sent_stops_and_it_is_sent_later(
    told: Job, hook: Webhook, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    hook.silent = True
    break_sensor(told, "wafer > 300")
    process = start(told, "infer")
    eventually(lambda: hook.asked == 1, process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in err) == (1, False)
    assert told.ok("runs", "--json")[0]["status"] == "failed"
    hook.silent = False
    assert told.ok("notify", "--json") == {"delivered": 1, "waiting": 0}
    assert hook.subjects == ["rowcast wafers: infer failed (run 2)"]


@pytest.mark.parametrize(("statement", "sent"), [(1, 0), (2, 1)], ids=["before it is sent", "when it was sent"])
def test_who_dies_over_a_message_loses_none(told: Job, hook: Webhook, statement: int, sent: int) -> None:
    hook.status = 500
    break_sensor(told, "wafer > 300")
    told.call("infer")
    hook.status = 200
    told.stored(f"UPDATE {told.table('alert')} SET next_try = created_at WHERE next_try IS NOT NULL")
    with open_job(load(told.folder / "rowcast.toml")) as job:
        with pytest.raises(Dead), living(Death(statement, executed=statement == 1)):
            raising.deliver(job)
        assert hook.subjects == ["rowcast wafers: infer failed (run 2)"] * sent
        assert job.alerts.due()[0].attempts == 2  # it had taken the message for itself
    assert told.ok("notify", "--json") == {"delivered": 1, "waiting": 0}
    assert hook.subjects == ["rowcast wafers: infer failed (run 2)"] * (sent + 1)


def test_whoever_dies_at_any_statement_of_a_promotion_each_decision_is_told_once(told: Job, hook: Webhook) -> None:
    settings = load(told.folder / "rowcast.toml")
    second_version(told)
    for statement in itertools.count(1):
        [champion] = told.stored(f"SELECT champion AS version FROM {told.table('job')}")
        try:
            with living(Death(statement, executed=bool(statement % 2))):
                promotion.promote(settings, 3 - champion["version"], by="Ada", reason="her turn")
            break
        except Dead:
            continue
    told.ok("infer")
    made = told.stored(f"SELECT promotion_id AS id FROM {told.table('promotion')} ORDER BY promotion_id")
    assert len(made) > 3
    assert stored(told) == [(f"decision {each['id']}", "once") for each in made]
    assert waiting(told) == 0
    assert set(hook.subjects) == {
        "rowcast wafers: v1 promoted in place of v2",
        "rowcast wafers: v2 promoted in place of v1",
    }


def test_a_run_that_died_is_told_when_the_next_begins_and_over_when_one_ends(told: Job, hook: Webhook) -> None:
    settings = load(told.folder / "rowcast.toml")
    for statement in (4, 14):  # that the second dies too, when it has told of the first, is the same trouble
        with pytest.raises(Dead), living(Death(statement, executed=True)):
            pipeline.run(settings, "infer")
    assert hook.subjects == ["rowcast wafers: a run died (run 2)"]
    assert "command  rowcast runs 2" in hook.taken[0]["message"]
    told.ok("infer")
    assert hook.subjects[1:] == ["rowcast wafers: over: a run died (run 2)"]
    assert [run["status"] for run in told.ok("runs", "--json")] == ["done", "interrupted", "interrupted", "done"]


def test_a_store_that_is_away_is_told_all_the_same_and_once(told: Job, hook: Webhook) -> None:
    database, away = told.folder / "fab.db", told.folder / "away.db"
    told.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    told.place.close()
    for _ in range(2):
        database.rename(away)
        assert told.call("run").code == 1
        away.rename(database)
    assert hook.subjects == ["rowcast wafers: full-pipeline failed"]
    assert "there is no SQLite file" in hook.taken[0]["message"]
    told.ok("run")
    assert hook.subjects[1:] == ["rowcast wafers: over: full-pipeline failed"]
    assert stored(told)[1:] == [("run", "begins"), ("run", "ended")]
    assert list((told.folder / ".rowcast" / "wafers" / "untold").iterdir()) == []


def test_a_run_whose_end_the_store_could_not_be_told_of_did_not_die(told: Job, hook: Webhook) -> None:
    settings = load(told.folder / "rowcast.toml")
    with open_job(settings) as job:
        run = job.runs.start(PipelineName.INFER, job.store.now(), "x")
        at = job.store.now()
        raising._keep(settings, Alert("wafers", "infer", "infer failed", "away", "error", at, "", "", "away", run))
    told.ok("infer")  # which finds the run, and what was left in the folder
    assert told.ok("runs", str(run), "--json")[0]["status"] == "interrupted"
    assert hook.subjects == ["rowcast wafers: infer failed (run 2)", "rowcast wafers: over: infer failed (run 2)"]


def test_what_could_be_told_to_nobody_is_told_at_the_next_run(told: Job, hook: Webhook) -> None:
    database, away = told.folder / "fab.db", told.folder / "away.db"
    told.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    told.place.close()
    hook.status = 500
    database.rename(away)
    assert told.call("run").code == 1
    away.rename(database)
    hook.status = 200
    told.ok("run")
    assert hook.subjects == [
        *("rowcast wafers: full-pipeline failed", "rowcast wafers: over: full-pipeline failed"),
    ]


def test_a_folder_that_cannot_be_written_leaves_it_to_the_log(told: Job, hook: Webhook) -> None:
    told.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    told.place.close()
    (told.folder / "fab.db").rename(told.folder / "away.db")
    folder: Path = told.folder / ".rowcast" / "wafers"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "untold").write_text("no folder")
    done = told.call("run")
    assert "there is no SQLite file" in done.error
    assert any(event["event"] == "an alert is kept nowhere for a later run" for event in done.events)
    (told.folder / "away.db").rename(told.folder / "fab.db")
