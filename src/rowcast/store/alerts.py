"""The store's record of what people are told: written before it is sent, so that nothing is lost in between."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rowcast.database import Database
from rowcast.errors import UsageError
from rowcast.store.alert_record import SEVERITIES, Acknowledgement, Alert, Severity, is_topic_of
from rowcast.store.lease import stands
from rowcast.store.process import is_gone, process_name
from rowcast.store.tables import Tables

_LEASE = timedelta(minutes=5)  # that a process has for one alert; on this machine it is seen earlier that it died
_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=2), timedelta(hours=6)  # between two tries; each is four times the last
_COLUMNS = ("topic", "state", "severity", "what", "since", "run_id", "dedup_key")
_SEEN = "acknowledged"  # in the detail too
_DETAIL = ("title", "hint", "command", "digest", "version", "replaced_by")


@dataclass(frozen=True)
class Delivery:
    """An alert that sinks wait for."""

    alert_id: int
    alert: Alert
    waiting: tuple[str, ...]  # the sinks
    attempts: int
    due: datetime


class Alerts:
    """The alerts of one job: `sinks` get what is `least` severe or more, and every `digest` what needs nothing."""

    def __init__(
        self,
        db: Database,
        tables: Tables,
        job: str,
        sinks: Sequence[str],
        least: Severity,
        digest: timedelta = timedelta(0),
    ) -> None:
        self.db = db
        self.tables = tables
        self.job = job
        self.sinks = tuple(sinks)
        self.least = least
        self.digest = digest

    def write(
        self,
        alerts: Sequence[Alert],
        topics: Collection[str] = (),
        told: Collection[str] = (),
        serving: int | None = None,
    ) -> None:
        """Write down what is true now, where it is news.

        What lasts is news when it begins, and when it changes: a trouble of the same topic is the same while its
        `dedup_key` is, and it grows no more severe. `topics` are those that were looked at: trouble of these which is
        not among the alerts has ended; trouble of a version other than the one `serving` has, since it was replaced.
        `told` are sinks that know already.
        """
        if not alerts and not topics:
            return
        standing = self.list_standing()
        if not _news(standing, alerts, topics) and not _without_key(standing, alerts):
            return
        with self.db.transaction("write"):
            self.db.lock(self.tables.job, self.job)
            standing = self.list_standing()  # anew: another process may have said the same
            for alert in _without_key(standing, alerts):
                self._give_key(alert)
            for alert in _news(standing, alerts, topics):
                is_replaced = alert.state == "ended" and serving is not None and alert.version not in (None, serving)
                self._insert(replace(alert, replaced_by=serving) if is_replaced else alert, told)

    def write_once(self, alert: Alert, mark: sa.UpdateBase) -> None:
        """Write down what does not last, together with the mark that it was: by one process only.

        `mark` returns a row to whoever sets it.
        """
        with self.db.transaction("write"):
            if self.db.rows(mark):
                self._insert(replace(alert, state="once"), ())

    def list_standing(self) -> list[Alert]:
        """Trouble that has begun and not ended."""
        table = self.tables.alert
        lasting = sa.and_(table.c.job == self.job, table.c.state != "once")
        newest = sa.select(sa.func.max(table.c.alert_id)).where(lasting).group_by(table.c.topic)
        statement = sa.select(table).where(table.c.alert_id.in_(newest), table.c.state != "ended")
        return [_alert(row) for row in self.db.rows(statement.order_by(table.c.alert_id))]

    def acknowledge(self, alert_id: int, *, by: str, note: str) -> Acknowledgement:
        """Write down that a person has seen an alert, and return what is on record: what was first written stays.

        Raise UsageError where it no longer stands, or has changed since it was read.
        """
        with self.db.transaction("write"):
            self.db.lock(self.tables.job, self.job)
            found = next((alert for alert in self.list_standing() if alert.alert_id == alert_id), None)
            if found is None:
                raise UsageError("the alert is over, or has changed", hint="'rowcast acknowledge' lists what stands")
            if found.acknowledged is not None:
                return found.acknowledged
            made = Acknowledgement(by, self.db.now(), note)
            table = self.tables.alert
            mine = table.c.alert_id == alert_id
            [row] = self.db.rows(sa.select(table.c.detail).where(mine))
            detail = json.loads(row["detail"]) | {_SEEN: {**asdict(made), "at": made.at.isoformat()}}
            self.db.execute(table.update().where(mine).values(detail=json.dumps(detail, ensure_ascii=False)))
            return made

    def list_standing_topics(self, main: str) -> set[str]:
        """Return the topic and its parts of which trouble stands."""
        return {alert.topic for alert in self.list_standing() if is_topic_of(alert.topic, main)}

    def all(self) -> list[Alert]:
        """Everything that was ever written down, the oldest first."""
        table = self.tables.alert
        rows = self.db.rows(sa.select(table).where(table.c.job == self.job).order_by(table.c.alert_id))
        return [_alert(row) for row in rows]

    def count_waiting(self) -> int:
        """How many alerts should have reached every sink, and have not; one kept for the next digest is not due yet."""
        table = self.tables.alert
        is_late = sa.or_(table.c.attempts > 0, self._is_due(self.db.now()))
        mine = sa.and_(table.c.job == self.job, table.c.next_try.is_not(None), is_late)
        return int(self.db.scalar(sa.select(sa.func.count().label("n")).where(mine)))

    def due(self, *, at_once: bool = False) -> list[Delivery]:
        """Return what waits to be delivered by nobody yet, the oldest first; `at_once`: also what is not due yet."""
        table, now = self.tables.alert, self.db.now()
        waits = table.c.next_try.is_not(None) if at_once else self._is_due(now)
        rows = self.db.rows(sa.select(table).where(table.c.job == self.job, waits).order_by(table.c.alert_id))
        return [
            Delivery(row["alert_id"], _alert(row), tuple(json.loads(row["waiting"])), row["attempts"], row["next_try"])
            for row in rows
            if not stands(row["lease_until"], now, _LEASE) or is_gone(row["worker"])
        ]

    def claim(self, delivery: Delivery) -> bool:
        """Take an alert for delivery; False where another process has taken it since it was looked at."""
        table = self.tables.alert
        as_seen = sa.and_(table.c.alert_id == delivery.alert_id, table.c.attempts == delivery.attempts)
        values = {"worker": process_name(), "lease_until": self.db.now() + _LEASE, "attempts": delivery.attempts + 1}
        return bool(self.db.rows(table.update().where(as_seen).values(values).returning(table.c.alert_id)))

    def close(self, delivery: Delivery, left: Sequence[str]) -> None:
        """Let go of a claimed alert, for which these sinks still wait."""
        table, now = self.tables.alert, self.db.now()
        wait = min(_FIRST_WAIT * 4 ** min(delivery.attempts, 10), _LONGEST_WAIT)
        values: dict[str, Any] = {"waiting": json.dumps(list(left)), "worker": None, "lease_until": None}
        values |= {"next_try": now + wait} if left else {"next_try": None, "delivered_at": now}
        claimed = sa.and_(table.c.alert_id == delivery.alert_id, table.c.attempts == delivery.attempts + 1)
        self.db.execute(table.update().where(claimed).values(values))

    def _is_due(self, now: datetime) -> sa.ColumnElement[bool]:
        """Return the condition for alerts of which a try is due.

        One that is further away than any which is set now was set by a clock that was ahead: it is due too.
        """
        next_try = self.tables.alert.c.next_try
        return sa.or_(next_try <= now, next_try > now + 2 * max(_LONGEST_WAIT, self.digest))

    def _give_key(self, alert: Alert) -> None:
        table = self.tables.alert
        old = sa.and_(table.c.job == self.job, table.c.topic == alert.topic, table.c.dedup_key.is_(None))
        self.db.execute(table.update().where(old, table.c.state != "once").values(dedup_key=alert.dedup_key))

    def _insert(self, alert: Alert, told: Collection[str]) -> None:
        now = self.db.now()
        severe = _rank(alert) >= SEVERITIES.index(self.least)
        waiting = [name for name in self.sinks if name not in told] if severe else []
        about = asdict(alert)
        values = {name: about[name] for name in _COLUMNS}
        self.db.execute(
            self.tables.alert.insert().values(
                **values,
                job=self.job,
                detail=json.dumps({name: about[name] for name in _DETAIL}, ensure_ascii=False),
                created_at=now,
                waiting=json.dumps(waiting),
                attempts=0,
                next_try=(self._next_digest(now) if alert.digest else now) if waiting else None,
            )
        )

    def _next_digest(self, now: datetime) -> datetime:
        """When the digest is due that an alert of now goes into: that of the one which has waited longest."""
        waiting = [each for each in self.due(at_once=True) if each.alert.digest and not each.attempts]
        return min([each.due for each in waiting] + [now + self.digest])


def _news(standing: Sequence[Alert], alerts: Sequence[Alert], topics: Collection[str]) -> list[Alert]:
    before, now = {alert.topic: alert for alert in standing}, {alert.topic for alert in alerts}
    news = [replace(alert, state="ended") for topic, alert in before.items() if topic in set(topics) - now]
    for alert in alerts:
        known = before.get(alert.topic)
        if known is None or alert.state == "once":
            news.append(alert)
        elif not known.is_same_trouble(alert) or _rank(known) < _rank(alert):
            since = min(known.since, alert.since) if known.is_same_trouble(alert) else alert.since
            news.append(replace(alert, state="changed", since=since))
    return news


def _without_key(standing: Sequence[Alert], alerts: Sequence[Alert]) -> list[Alert]:
    """The alerts that stand already, since an older store did not say by what they are recognised."""
    unknown = {alert.topic for alert in standing if alert.dedup_key is None}
    return [alert for alert in alerts if alert.topic in unknown and alert.state != "once"]


def _rank(alert: Alert) -> int:
    return SEVERITIES.index(alert.severity)


def _alert(row: Mapping[str, Any]) -> Alert:
    detail = json.loads(row["detail"])
    hint = detail["hint"] if "hint" in detail else detail["todo"]  # as it was called before version 9 of the store
    columns = {name: row[name] for name in _COLUMNS}
    about = {name: detail[name] for name in _DETAIL if name in detail and name != "hint"}
    seen = detail.get(_SEEN)
    made = None if seen is None else Acknowledgement(seen["by"], datetime.fromisoformat(seen["at"]), seen["note"])
    return Alert(job=row["job"], hint=hint, **about, **columns, alert_id=row["alert_id"], acknowledged=made)
