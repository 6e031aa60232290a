"""Events, the messages made of them, and sinks that fail in every way."""

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import SecretStr

from rowcast import notify
from rowcast.config import Notify
from rowcast.errors import NotifyError
from rowcast.notify import message, sinks
from rowcast.notify.apprise import Apprise
from rowcast.notify.message import Message
from rowcast.notify.sns import SNS
from rowcast.store.alert_record import Alert, alert_from_json

FAILED = Alert(
    job="wafers",
    topic="retrain",
    title="retrain failed",
    what="36 labelled rows are too few to train on: min_train_rows is 50",
    severity="error",
    since=datetime(2026, 5, 1, 6, 12, tzinfo=UTC),
    hint="wait for more labels, or lower [model] min_train_rows",
    command="rowcast resume 12",
    dedup_key="TrainingError:fit:rows",
    run_id=12,
)


# ---- what a person reads


def test_a_message_says_what_since_when_what_to_do_next_and_the_command() -> None:
    found = message(FAILED)
    assert found.subject == "rowcast wafers: retrain failed (run 12)"
    assert found.text == (
        "36 labelled rows are too few to train on: min_train_rows is 50\n"
        "\n"
        "since    2026-05-01 06:12 UTC\n"
        "next     wait for more labels, or lower [model] min_train_rows\n"
        "command  rowcast resume 12"
    )
    about = {"job": "wafers", "topic": "retrain", "severity": "error", "state": "begins"}
    assert (found.severity, found.attributes) == ("error", about)


def test_what_changed_and_what_is_over_say_so() -> None:
    assert message(replace(FAILED, state="changed")).subject == "rowcast wafers: changed: retrain failed (run 12)"
    over = message(replace(FAILED, state="ended"))
    assert over.subject == "rowcast wafers: over: retrain failed (run 12)"
    assert over.text == (
        "It is over: 36 labelled rows are too few to train on: min_train_rows is 50\n"
        "\n"
        "began  2026-05-01 06:12 UTC\n"
        "next   nothing needs to be done"
    )


def test_what_does_not_last_has_a_time_and_perhaps_no_run() -> None:
    found = message(replace(FAILED, title="v3 promoted", state="once", run_id=None))
    assert found.subject == "rowcast wafers: v3 promoted"
    assert "at       2026-05-01 06:12 UTC" in found.text


def test_times_are_told_in_utc() -> None:
    since = datetime(2026, 5, 1, 8, 12, tzinfo=timezone(timedelta(hours=2)))
    assert "2026-05-01 06:12 UTC" in message(replace(FAILED, since=since)).text


@pytest.mark.parametrize("job", ["Wafer Größe Ä", "晶圆", "line\n3", "x" * 48])
def test_a_subject_is_a_line_that_sns_takes_whatever_the_job_is_called(job: str) -> None:
    subject = message(replace(FAILED, job=job, title="retrain failed and so on" * 5)).subject
    assert subject.isascii()
    assert subject.isprintable()
    assert len(subject) <= 100


# ---- the same trouble


def test_trouble_is_the_same_by_its_key_whatever_its_text_says() -> None:
    reworded = replace(FAILED, title="training failed", what="there are 41 rows, and 50 are needed")
    assert FAILED.is_same_trouble(reworded)
    assert not FAILED.is_same_trouble(replace(FAILED, dedup_key="TrainingError:fit:class"))


def test_trouble_that_an_older_store_wrote_without_a_key_is_taken_for_the_same() -> None:
    assert replace(FAILED, dedup_key=None).is_same_trouble(FAILED)


def test_an_alert_survives_as_text() -> None:
    assert alert_from_json(FAILED.to_json()) == FAILED


def test_what_the_release_before_left_as_text_is_read() -> None:
    left = json.loads(FAILED.to_json())
    left |= {"todo": left.pop("hint"), "alike": ""}
    del left["dedup_key"]
    assert alert_from_json(json.dumps(left)) == replace(FAILED, dedup_key=None)


# ---- sinks


def test_each_sink_of_the_config_has_a_name_that_holds_no_secret() -> None:
    urls = ["mailto://ops:pw@fab", "slack://xoxb/token", "mailto://shift:pw@fab", "MailTo://night:pw@fab"]
    topic = "arn:aws:sns:eu-central-1:123456789012:alarms"
    settings = Notify(sns_topic=topic, urls=tuple(map(SecretStr, urls)))
    assert [sink.name for sink in notify.open_sinks(settings)] == ["sns", "mailto", "slack", "mailto-2", "mailto-3"]
    assert notify.open_sinks(Notify()) == []


class Fake:
    """A sink that does what the test says."""

    name = "fake"

    def __init__(self, act: Any) -> None:
        self.act = act

    def send(self, message: Message) -> None:
        self.act()


def raises(error: BaseException) -> Any:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda: None, ""),
        (raises(NotifyError("no such topic", hint="make it")), "no such topic: make it"),
        (raises(RuntimeError("token s3cret-token\nis wrong")), "RuntimeError: token *** is wrong"),
        (raises(OSError("https://me:pw@hooks.fab/x is away")), "OSError: https://***@hooks.fab/x is away"),
    ],
)
def test_why_a_message_was_not_taken_is_said_in_a_line_without_a_secret(act: Any, said: str) -> None:
    assert notify.send(Fake(act), message(FAILED), ["s3cret-token"]) == said


def test_a_sink_that_hangs_is_left_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sinks, "PATIENCE", 0.05)
    over = threading.Event()
    assert notify.send(Fake(over.wait), message(FAILED), []) == "no answer within 0.05 s"
    over.set()


@pytest.mark.parametrize(
    ("sink", "package"), [(SNS("arn:aws:sns:r:1:t"), "boto3"), (Apprise("x", SecretStr("x://")), "apprise")]
)
def test_a_sink_whose_library_is_not_installed_says_how_to_get_it(
    sink: notify.Sink, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    assert "which is not installed: pip install 'rowcast[notify]'" in notify.send(sink, message(FAILED), [])


def test_a_url_that_apprise_does_not_know_is_said_and_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("apprise")  # its first import can take longer than a sink is waited for
    sink = Apprise("nosuch", SecretStr("nosuch://token-1234"))
    assert "Apprise does not understand the URL" in notify.send(sink, message(FAILED), [])
    assert capfd.readouterr() == ("", "")
