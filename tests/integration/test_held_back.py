"""A version that learned from a source at fault does not serve: a person is told, and can decide otherwise."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from conftest import Place, literal
from test_fresh import settings

from rowcast import config, pipeline, promotion
from rowcast.job.opening import open_job
from rowcast.recorded_run import Result
from rowcast.store.alert_record import Alert
from rowcast.store.records import DecisionOutcome

START, EACH, DAYS = datetime(2026, 1, 1, tzinfo=UTC), 24, 50
FIRST, MORE, THEN, KNOWN = 25 * EACH, 33 * EACH, 45 * EACH, 40 * EACH


def fill(place: Place) -> None:
    """A row an hour. Up to day 25 the label follows s1, later s2; the newest five days have no label yet."""
    stamp = "TEXT" if place.is_sqlite else "timestamptz"
    place.run(f"CREATE TABLE t (id INTEGER PRIMARY KEY, ts {stamp}, s1 REAL, s2 REAL, tool TEXT, failed INTEGER)")
    random = np.random.default_rng(5)
    rows = []
    for n in range(DAYS * EACH):
        first, second = random.normal(size=2)
        failed = int((first if n < FIRST else second) + 0.3 * random.normal() > 0.8)
        rows.append((n, moment(n), first, second, "ABC"[n % 3], failed if n < KNOWN else None))
    place.run(f"INSERT INTO t VALUES {', '.join('(' + ', '.join(map(literal, row)) + ')' for row in rows)}")


def moment(row: int) -> str:
    return f"{START + timedelta(hours=row):%Y-%m-%dT%H:%M:%SZ}"


def retrain(found: config.Settings, row: int) -> tuple[Result, list[Alert]]:
    done = pipeline.run(found, "retrain", as_of=moment(row))
    with open_job(found) as job:
        return done, [each for each in job.alerts.list_standing() if each.topic == "held back"]


def serving(found: config.Settings) -> int | None:
    with open_job(found) as job:
        return job.registry.champion()


FAULTS = {
    "labels lost": (f"UPDATE t SET failed = NULL WHERE id < {FIRST} AND id % 8 > 0", "labels are known"),
    "a group lost": (f"DELETE FROM t WHERE tool = 'B' AND id < {THEN}", "with 'B' in column 'tool'"),
    "flags jump": (f"UPDATE t SET s2 = s2 + 4 WHERE id >= {KNOWN}", "newest rows without a label, the champion"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_version_that_learned_from_a_source_at_fault_is_held_back(
    database: Place, tmp_path: Path, fault: str
) -> None:
    statement, said = FAULTS[fault]
    fill(database)
    found = settings(database, tmp_path, notify={"values": True}, task={"cost_missed": 3})
    retrain(found, FIRST)
    database.run(statement)
    done, standing = retrain(found, THEN)
    assert done.decision is not None
    [alert] = standing
    assert done.decision.outcome is DecisionOutcome.UNDECIDED
    assert done.decision.reason.startswith("held back: ")
    assert said in alert.what
    champions = [serving(found)]
    promotion.promote(found, 2, by="ada", reason="it is as it should be")
    assert [*champions, serving(found)] == [1, 2]


def test_what_the_newest_labels_have_taught_holds_no_version_back(database: Place, tmp_path: Path) -> None:
    """Failures have become three times as frequent: only what learned from the newest labels knows."""
    fill(database)
    database.run(f"UPDATE t SET failed = CASE WHEN s2 > -0.6 THEN 1 ELSE 0 END WHERE id >= {MORE} AND id < {KNOWN}")
    found = settings(database, tmp_path, notify={"values": True}, task={"cost_missed": 3})
    retrain(found, FIRST)
    done, standing = retrain(found, THEN)
    assert done.decision is not None
    assert (done.decision.outcome, standing) == (DecisionOutcome.PROMOTED, [])


def test_a_version_of_a_source_that_is_whole_serves(database: Place, tmp_path: Path) -> None:
    fill(database)
    found = settings(database, tmp_path)
    retrain(found, FIRST)
    done, standing = retrain(found, THEN)
    assert done.decision is not None
    assert (done.decision.outcome, standing) == (DecisionOutcome.PROMOTED, [])
