"""The store's record of what people are told: written before it is sent, so that nothing is lost in between."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from rowcast.database import Database
from rowcast.store.event import SEVERITIES, Event, Severity
from rowcast.store.process import is_gone, process_name
from rowcast.store.tables import Tables

_LEASE = timedelta(minutes=5)  # that a process has for one alert; on this machine it is seen earlier that it died
_FIRST_WAIT, _LONGEST_WAIT = timedelta(minutes=2), timedelta(hours=6)  # between two tries; each is four times the last
_DETAIL = ("title", "todo", "command", "alike")


@dataclass(frozen=True)
class Alert:
    """An event that sinks wait for."""

    alert_id: int
    event: Event
    waiting: tuple[str, ...]  # the sinks
    attempts: int


class Alerts:
    """The alerts of one job. `sinks` are told of what is `least` severe or more."""

    def __init__(self, db: Database, tables: Tables, job: str, sinks: Sequence[str], least: Severity) -> None:
        self.db = db
        self.tables = tables
        self.job = job
        self.sinks = tuple(sinks)
        self.least = least

    def raised(self, events: Sequence[Event], topics: Collection[str] = (), told: Collection[str] = ()) -> None:
        """Write down what is true now, where it is news.

        What lasts is news when it begins, and when it changes: a trouble of the same topic is the same while its
        `sameness` is, and it grows no more severe. `topics` are those that were looked at: trouble of these which is
        not among the events has ended. `told` are sinks that know already.
        """
        if not self._news(events, topics):
            return
        with self.db.transaction("write"):
            self.db.lock(self.tables.job, self.job)
            for event in self._news(events, topics):  # anew: another process may have said the same
                self._insert(event, told)

    def once(self, event: Event, mark: sa.UpdateBase) -> None:
        """Write down what does not last, together with the mark that it was: by one process only.

        `mark` returns a row to whoever sets it.
        """
        with self.db.transaction("write"):
            if self.db.rows(mark):
                self._insert(replace(event, state="once"), ())

    def standing(self) -> list[Event]:
        """Trouble that has begun and not ended."""
        table = self.tables.alert
        lasting = sa.and_(table.c.job == self.job, table.c.state != "once")
        newest = sa.select(sa.func.max(table.c.alert_id)).where(lasting).group_by(table.c.topic)
        statement = sa.select(table).where(table.c.alert_id.in_(newest), table.c.state != "ended")
        return [_event(row) for row in self.db.rows(statement.order_by(table.c.alert_id))]

    def all(self) -> list[Event]:
        """Everything that was ever written down, the oldest first."""
        table = self.tables.alert
        rows = self.db.rows(sa.select(table).where(table.c.job == self.job).order_by(table.c.alert_id))
        return [_event(row) for row in rows]

    def waiting(self) -> int:
        """How many alerts have not reached every sink."""
        table = self.tables.alert
        mine = sa.and_(table.c.job == self.job, table.c.next_try.is_not(None))
        return int(self.db.scalar(sa.select(sa.func.count().label("n")).where(mine)))

    def due(self, *, at_once: bool = False) -> list[Alert]:
        """What waits and nobody is delivering, the oldest first; `at_once`: also what failed a short while ago."""
        table, now = self.tables.alert, self.db.now()
        waits = table.c.next_try.is_not(None) if at_once else table.c.next_try <= now
        rows = self.db.rows(sa.select(table).where(table.c.job == self.job, waits).order_by(table.c.alert_id))
        return [
            Alert(row["alert_id"], _event(row), tuple(json.loads(row["waiting"])), row["attempts"])
            for row in rows
            if row["lease_until"] is None or row["lease_until"] < now or is_gone(row["worker"])
        ]

    def claim(self, alert: Alert) -> bool:
        """Take an alert for delivery; False where another process has taken it since it was looked at."""
        table = self.tables.alert
        as_seen = sa.and_(table.c.alert_id == alert.alert_id, table.c.attempts == alert.attempts)
        values = {"worker": process_name(), "lease_until": self.db.now() + _LEASE, "attempts": alert.attempts + 1}
        return bool(self.db.rows(table.update().where(as_seen).values(values).returning(table.c.alert_id)))

    def close(self, alert: Alert, left: Sequence[str]) -> None:
        """Let go of a claimed alert, for which these sinks still wait."""
        table, now = self.tables.alert, self.db.now()
        wait = min(_FIRST_WAIT * 4 ** min(alert.attempts, 10), _LONGEST_WAIT)
        values: dict[str, Any] = {"waiting": json.dumps(list(left)), "worker": None, "lease_until": None}
        values |= {"next_try": now + wait} if left else {"next_try": None, "delivered_at": now}
        claimed = sa.and_(table.c.alert_id == alert.alert_id, table.c.attempts == alert.attempts + 1)
        self.db.execute(table.update().where(claimed).values(values))

    def _news(self, events: Sequence[Event], topics: Collection[str]) -> list[Event]:
        if not events and not topics:
            return []
        before, now = {event.topic: event for event in self.standing()}, {event.topic for event in events}
        news = [replace(event, state="ended") for topic, event in before.items() if topic in set(topics) - now]
        for event in events:
            known = before.get(event.topic)
            if known is None or event.state == "once":
                news.append(event)
            elif known.sameness != event.sameness or _rank(known) < _rank(event):
                news.append(replace(event, state="changed", since=min(known.since, event.since)))
        return news

    def _insert(self, event: Event, told: Collection[str]) -> None:
        now = self.db.now()
        severe = _rank(event) >= SEVERITIES.index(self.least)
        waiting = [name for name in self.sinks if name not in told] if severe else []
        about = asdict(event)
        values = {name: about[name] for name in ("topic", "state", "severity", "what", "since", "run_id")}
        self.db.execute(
            self.tables.alert.insert().values(
                **values,
                job=self.job,
                detail=json.dumps({name: about[name] for name in _DETAIL}, ensure_ascii=False),
                created_at=now,
                waiting=json.dumps(waiting),
                attempts=0,
                next_try=now if waiting else None,
            )
        )


def _rank(event: Event) -> int:
    return SEVERITIES.index(event.severity)


def _event(row: Mapping[str, Any]) -> Event:
    names = ("job", "topic", "what", "severity", "since", "run_id", "state")
    return Event(**{name: row[name] for name in names}, **json.loads(row["detail"]))
