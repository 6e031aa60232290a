"""Alerts in the store: news is told once, changes and ends are news, and what waits is delivered by one at a time."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from conftest import Place
from test_ledger import opened

from rowcast.alerts.delivery import SinkAnswer, deliver
from rowcast.errors import DatabaseError, NotifyError, UsageError
from rowcast.notify import Message, message
from rowcast.store.alert_record import Alert, Severity
from rowcast.store.alerts import Alerts
from rowcast.store.records import DecisionOutcome, NewDecision
from rowcast.store.registry import Registry

AT = datetime(2026, 6, 1, tzinfo=UTC)
ALERT = Alert(
    "wafers", "infer", "infer failed", "40 of 400 rows are bad", "error", AT, "mend them", "rowcast runs", "bad rows", 7
)
ELSEWHERE = "elsewhere:12345678:1:1:1"


@pytest.fixture
def alerts(database: Place) -> Alerts:
    return alerts_of(database)


def alerts_of(database: Place, sinks: Sequence[str] = ("sns", "mailto"), least: Severity = "info") -> Alerts:
    ledger = opened(database.connect())
    return Alerts(ledger.db, ledger.tables, "wafers", sinks, least)


def told(alerts: Alerts) -> list[tuple[str, str, str]]:
    """What was written, in its order: topic, state and what."""
    table = alerts.tables.alert
    rows = alerts.db.rows(sa.select(table).order_by(table.c.alert_id))
    return [(row["topic"], row["state"], row["what"]) for row in rows]


class Sink:
    """Keeps what it takes, unless it is told to refuse."""

    def __init__(self, name: str, refuses: str = "") -> None:
        self.name = name
        self.refuses = refuses
        self.asked = 0
        self.taken: list[str] = []

    def send(self, message: Message) -> None:
        self.asked += 1
        if self.refuses:
            raise NotifyError(self.refuses)
        self.taken.append(message.subject)


# ---- what a person has seen


def test_an_acknowledgement_stays_with_the_alert_and_what_was_first_written_stays(alerts):
    alerts.write([ALERT], ["infer"])
    [standing] = alerts.list_standing()
    made = alerts.acknowledge(standing.alert_id, by="mia", note="the tool is stopped")
    assert (made.by, made.note) == ("mia", "the tool is stopped")
    assert alerts.acknowledge(standing.alert_id, by="ines", note="me too") == made
    assert alerts.list_standing()[0].acknowledged == made
    alerts.write([ALERT], ["infer"])
    assert alerts.list_standing()[0].acknowledged == made
    assert standing.to_json() == alerts.list_standing()[0].to_json()


def test_an_alert_that_changed_or_is_over_has_to_be_looked_at_anew(alerts):
    alerts.write([replace(ALERT, severity="warning")], ["infer"])
    [seen] = alerts.list_standing()
    alerts.acknowledge(seen.alert_id, by="mia", note="known")
    alerts.write([ALERT], ["infer"])
    [worse] = alerts.list_standing()
    assert worse.acknowledged is None
    with pytest.raises(UsageError, match="the alert is over, or has changed"):
        alerts.acknowledge(seen.alert_id, by="mia", note="still known")
    alerts.write([], ["infer"])
    with pytest.raises(UsageError, match="the alert is over, or has changed"):
        alerts.acknowledge(worse.alert_id, by="mia", note="known")


# ---- what is news


def test_trouble_is_told_when_it_begins_changes_and_ends_and_not_in_between(alerts):
    alerts.write([ALERT], ["infer"])
    alerts.write([replace(ALERT, what="50 of 500 rows are bad", run_id=8)], ["infer"])
    assert told(alerts) == [("infer", "begins", ALERT.what)]
    later = replace(ALERT, what="no column 's001'", dedup_key="column s001", since=AT + timedelta(hours=1), run_id=9)
    alerts.write([later], ["infer"])
    alerts.write([later], ["infer"])
    assert [event.what for event in alerts.list_standing()] == ["no column 's001'"]
    assert alerts.list_standing()[0].since == later.since  # of other trouble, not of what was there before
    for _ in range(2):
        alerts.write([], ["infer"])
    assert [state for _, state, _ in told(alerts)] == ["begins", "changed", "ended"]
    assert alerts.list_standing() == []
    alerts.write([ALERT], ["infer"])
    assert [state for _, state, _ in told(alerts)][3:] == ["begins"]


def test_the_same_trouble_in_other_words_is_no_news(alerts):
    alerts.write([ALERT], ["infer"])
    alerts.write([replace(ALERT, title="scoring failed", what="many rows are bad", hint="look at them")], ["infer"])
    assert told(alerts) == [("infer", "begins", ALERT.what)]


def test_what_stood_before_there_were_keys_stands_on_under_the_key_of_what_is_found_next(alerts):
    alerts.write([ALERT])
    alerts.db.execute(alerts.tables.alert.update().values(dedup_key=None))
    alerts.write([ALERT], ["infer"])
    assert (told(alerts), alerts.list_standing()) == ([("infer", "begins", ALERT.what)], [ALERT])
    alerts.write([replace(ALERT, dedup_key="column s001")], ["infer"])
    assert [state for _, state, _ in told(alerts)] == ["begins", "changed"]


def test_what_grows_worse_is_news_and_what_grows_milder_is_not(alerts):
    for severity in ("warning", "error", "info"):
        alerts.write([replace(ALERT, severity=severity)])
    assert [state for _, state, _ in told(alerts)] == ["begins", "changed"]


def test_only_what_was_looked_at_can_have_ended(alerts):
    alerts.write([ALERT, replace(ALERT, topic="retrain")])
    alerts.write([], ["retrain", "drift"])
    assert [event.topic for event in alerts.list_standing()] == ["infer"]


def test_an_event_keeps_every_part_that_a_message_needs(alerts):
    alerts.write([ALERT])
    assert alerts.list_standing() == [ALERT]
    assert [delivery.alert for delivery in alerts.due()] == [ALERT]


def test_jobs_do_not_hear_of_each_other(alerts):
    other = Alerts(alerts.db, alerts.tables, "lots", alerts.sinks, "info")
    other.write([replace(ALERT, job="lots")])
    alerts.write([], ["infer"])
    assert (alerts.list_standing(), alerts.count_waiting(), alerts.due()) == ([], 0, [])
    assert (len(other.list_standing()), other.count_waiting(), len(other.due())) == (1, 1, 1)


def test_what_does_not_last_is_told_each_time_and_never_ends(alerts):
    once = replace(ALERT, state="once")
    alerts.write([once])
    alerts.write([once], ["infer"])
    assert [state for _, state, _ in told(alerts)] == ["once", "once"]
    assert alerts.list_standing() == []


def test_a_decision_becomes_an_alert_together_with_its_mark_and_once(alerts):
    registry = Registry(alerts.db, alerts.tables, "wafers")
    registry.keep(3, NewDecision(DecisionOutcome.KEPT, "it costs more", {}, decided_at=AT, decided_by="gate"))
    [made] = registry.decisions_to_alert()
    assert (made.version, made.reason) == (3, "it costs more")
    with pytest.raises(DatabaseError):
        alerts.write_once(replace(ALERT, since=None), registry.mark_alerted(made.promotion_id))
    assert len(registry.decisions_to_alert()) == 1
    for _ in range(2):
        alerts.write_once(ALERT, registry.mark_alerted(made.promotion_id))
    assert [state for _, state, _ in told(alerts)] == ["once"]
    assert registry.decisions_to_alert() == []
    assert registry.decisions() == [made]


def test_two_processes_that_see_the_same_trouble_tell_it_once(database):
    both = [alerts_of(database), alerts_of(database)]
    start, failed = threading.Barrier(2), []

    def tell(alerts: Alerts) -> None:
        start.wait()
        try:
            alerts.write([ALERT], ["infer"])
        except Exception as error:  # whatever it is, the test shows it
            failed.append(error)

    threads = [threading.Thread(target=tell, args=[alerts]) for alerts in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert told(both[0]) == [("infer", "begins", ALERT.what)]


# ---- who waits for it


def test_what_is_less_severe_than_asked_for_is_kept_and_sent_to_nobody(database):
    alerts = alerts_of(database, least="warning")
    alerts.write([replace(ALERT, severity="info"), replace(ALERT, topic="retrain", severity="warning")])
    assert len(told(alerts)) == 2
    assert [delivery.alert.topic for delivery in alerts.due()] == ["retrain"]


def test_without_sinks_nothing_waits_and_later_ones_hear_no_old_news(database):
    alerts = alerts_of(database, sinks=[])
    alerts.write([ALERT])
    assert (alerts.count_waiting(), alerts_of(database).due()) == (0, [])


def test_who_knows_already_is_not_told(alerts):
    alerts.write([ALERT], told=["sns"])
    assert [delivery.waiting for delivery in alerts.due()] == [("mailto",)]


# ---- delivery


def test_every_sink_gets_every_alert_in_its_order(alerts):
    alerts.write([ALERT])
    alerts.write([], ["infer"])
    sinks = [Sink("sns"), Sink("mailto")]
    assert deliver(alerts, sinks, []).delivered == 2
    begins = "rowcast wafers: infer failed (run 7)"
    assert [sink.taken for sink in sinks] == [[begins, "rowcast wafers: over: infer failed (run 7)"]] * 2
    assert (deliver(alerts, sinks, []).delivered, alerts.count_waiting()) == (0, 0)
    delivered = alerts.db.rows(sa.select(alerts.tables.alert.c.delivered_at))
    assert all(row["delivered_at"] is not None for row in delivered)


def test_a_sink_that_refuses_is_asked_once_and_keeps_no_other_from_its_messages(alerts):
    alerts.write([ALERT, replace(ALERT, topic="retrain")])
    refuses, takes = Sink("sns", "no such topic"), Sink("mailto")
    found = deliver(alerts, [refuses, takes], [])
    assert (found.delivered, found.failed) == (0, (SinkAnswer("sns", "no such topic"),))
    assert (refuses.asked, len(takes.taken), alerts.count_waiting()) == (1, 2, 2)
    refuses.refuses = ""
    assert deliver(alerts, [refuses, takes], [], at_once=True).delivered == 2
    assert (len(refuses.taken), len(takes.taken), alerts.count_waiting()) == (2, 2, 0)


def test_what_failed_is_not_tried_again_at_once_and_ever_later(alerts):
    table = alerts.tables.alert
    alerts.write([ALERT])
    waits = []
    for _ in range(7):
        deliver(alerts, [Sink("sns", "away"), Sink("mailto", "away")], [], at_once=True)
        [row] = alerts.db.rows(sa.select(table.c.next_try))
        waits.append(round((row["next_try"] - alerts.db.now()) / timedelta(minutes=1)))
        assert alerts.due() == []
    assert waits == [2, 8, 32, 128, 360, 360, 360]
    alerts.db.execute(table.update().values(next_try=alerts.db.now() - timedelta(seconds=1)))
    assert len(alerts.due()) == 1


def test_nobody_waits_for_a_sink_that_is_no_longer_configured(alerts):
    alerts.write([ALERT])
    sink = Sink("mailto")
    assert deliver(alerts, [sink], []).delivered == 1
    assert (len(sink.taken), alerts.count_waiting()) == (1, 0)


def test_of_two_that_want_to_deliver_an_alert_one_does(database):
    one, other = alerts_of(database), alerts_of(database)
    one.write([ALERT])
    [seen], [seen_too] = one.due(), other.due()
    assert (one.claim(seen), other.claim(seen_too)) == (True, False)
    assert other.due(at_once=True) == []
    one.db.execute(one.tables.alert.update().values(worker=ELSEWHERE))
    assert other.due(at_once=True) == []


@pytest.mark.parametrize("died", ["its lease has passed", "its process is gone"])
def test_what_somebody_died_over_is_delivered_again(alerts, died):
    alerts.write([ALERT])
    [alert] = alerts.due()
    assert alerts.claim(alert)
    table = alerts.tables.alert
    values = {"worker": ELSEWHERE, "lease_until": alerts.db.now() - timedelta(seconds=1)}
    if died == "its process is gone":
        [row] = alerts.db.rows(sa.select(table.c.worker))
        values = {"worker": row["worker"].rpartition(":")[0] + ":1"}  # of this machine, and begun at another time
    alerts.db.execute(table.update().values(**values))
    sinks = [Sink("sns"), Sink("mailto")]
    assert deliver(alerts, sinks, []).delivered == 1
    assert [len(sink.taken) for sink in sinks] == [1, 1]


def test_who_lost_an_alert_to_another_does_not_close_it(alerts):
    alerts.write([ALERT])
    [alert] = alerts.due()
    assert alerts.claim(alert)
    assert alerts.claim(replace(alert, attempts=1))
    alerts.close(alert, [])
    assert alerts.count_waiting() == 1
    alerts.close(replace(alert, attempts=1), [])
    assert alerts.count_waiting() == 0


# ---- what needs nothing


REFUSED = replace(
    ALERT, topic="decision 2", title="v2 not promoted", severity="info", state="once", dedup_key="2", digest=True
)


def weekly(database: Place) -> Alerts:
    ledger = opened(database.connect())
    return Alerts(ledger.db, ledger.tables, "wafers", ["mailto"], "info", timedelta(days=7))


def a_week_later(alerts: Alerts) -> None:
    table = alerts.tables.alert
    waits = table.c.next_try.is_not(None)
    alerts.db.execute(table.update().where(waits).values(next_try=alerts.db.now() - timedelta(seconds=1)))


def test_what_needs_nothing_is_kept_for_a_digest_and_what_is_urgent_is_not(database):
    alerts, sink = weekly(database), Sink("mailto")
    alerts.write([REFUSED, ALERT, replace(REFUSED, topic="decision 3", title="v3 not promoted")])
    assert deliver(alerts, [sink], []).delivered == 1
    assert sink.taken == ["rowcast wafers: infer failed (run 7)"]
    assert alerts.count_waiting() == 0  # nobody has to look why it was not sent
    a_week_later(alerts)
    assert deliver(alerts, [sink], []).delivered == 2
    assert sink.taken[1:] == ["rowcast wafers: 2 decisions that need nothing"]
    assert alerts.due(at_once=True) == []


@pytest.mark.parametrize("ahead", [timedelta(days=30), timedelta(days=400)])
def test_a_clock_that_was_ahead_mutes_nothing(database, ahead):
    """What it set for the next try, or for the digest, is further away than anything that is set now."""
    alerts = weekly(database)
    alerts.write([ALERT, REFUSED])
    deliver(alerts, [Sink("mailto", "away")], [])
    table = alerts.tables.alert
    alerts.db.execute(table.update().values(next_try=alerts.db.now() + ahead))
    assert alerts.count_waiting() == 2
    sink = Sink("mailto")
    assert deliver(alerts, [sink], []).delivered == 2
    assert alerts.due(at_once=True) == []


def test_a_digest_comes_a_week_after_the_first_of_its_decisions_whatever_others_follow(database):
    alerts = weekly(database)
    alerts.write([REFUSED])
    [first] = alerts.due(at_once=True)
    assert timedelta(days=6.9) < first.due - alerts.db.now() <= timedelta(days=7)
    alerts.write([replace(REFUSED, topic="decision 3")])
    rows = alerts.db.rows(sa.select(alerts.tables.alert.c.next_try))
    assert {row["next_try"] for row in rows} == {first.due}


def test_one_decision_alone_is_sent_as_it_is(database):
    alerts, sink = weekly(database), Sink("mailto")
    alerts.write([REFUSED])
    a_week_later(alerts)
    deliver(alerts, [sink], [])
    assert sink.taken == ["rowcast wafers: v2 not promoted (run 7)"]


def test_a_digest_that_is_refused_waits_as_others_do(database):
    alerts, sink = weekly(database), Sink("mailto", "away")
    alerts.write([REFUSED, replace(REFUSED, topic="decision 3")])
    a_week_later(alerts)
    deliver(alerts, [sink], [])
    assert alerts.count_waiting() == 2
    sink.refuses = ""
    assert deliver(alerts, [sink], [], at_once=True).delivered == 2
    assert sink.taken == ["rowcast wafers: 2 decisions that need nothing"]


# ---- what ends


DRIFT = replace(ALERT, topic="drift 7", title="drift in s001", dedup_key="drift 7", version=2)


def test_what_a_version_was_told_of_is_over_when_another_serves_and_says_so(alerts):
    alerts.write([DRIFT])
    alerts.write([], alerts.list_standing_topics("drift"), serving=3)
    [ended] = [alert for alert in alerts.all() if alert.state == "ended"]
    assert (ended.version, ended.replaced_by) == (2, 3)
    text = message(ended)
    assert text.subject == "rowcast wafers: over, v3 serves: drift in s001 (run 7)"
    assert "It is over" not in text.text
    assert text.text.startswith(f"v3 serves now in place of v2, of which this was told: {DRIFT.what}")


def test_what_is_over_while_the_same_version_serves_is_over(alerts):
    alerts.write([DRIFT])
    alerts.write([], alerts.list_standing_topics("drift"), serving=2)
    assert [alert.replaced_by for alert in alerts.all()] == [None, None]
    assert message(alerts.all()[1]).text.startswith("It is over: ")


def test_several_parts_of_a_topic_stand_and_end_each_by_itself(alerts):
    second = replace(DRIFT, topic="drift 9", dedup_key="drift 9", since=AT + timedelta(days=20), run_id=9)
    alerts.write([DRIFT])
    alerts.write([DRIFT, second], alerts.list_standing_topics("drift"))
    assert [(alert.topic, alert.since) for alert in alerts.list_standing()] == [
        ("drift 7", AT),
        ("drift 9", second.since),
    ]
    alerts.write([second], alerts.list_standing_topics("drift"))
    assert [alert.topic for alert in alerts.list_standing()] == ["drift 9"]
    assert [state for _, state, _ in told(alerts)] == ["begins", "begins", "ended"]
