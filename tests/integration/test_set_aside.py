"""Labels that contradict all others are not learned from; a person is told, until the source is mended."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from conftest import Place, literal
from test_fresh import settings

from rowcast import config, pipeline
from rowcast.job.opening import open_job
from rowcast.store.alert_record import Alert

START, EACH, DAYS = datetime(2026, 1, 1, tzinfo=UTC), 60, 45
SHUFFLED = (25 * EACH, 33 * EACH)


def fill(place: Place) -> None:
    """Sixty rows a day; a week's labels belong to the rows before, as after a join that slipped."""
    stamp = "TEXT" if place.is_sqlite else "timestamptz"
    place.run(f"CREATE TABLE t (id INTEGER PRIMARY KEY, ts {stamp}, s1 REAL, s2 REAL, failed INTEGER, truth INTEGER)")
    random = np.random.default_rng(5)
    values = random.normal(size=(DAYS * EACH, 2))
    truth = (values[:, 0] + 0.5 * random.normal(size=len(values)) > 0.8).astype(int)
    label = truth.copy()
    label[slice(*SHUFFLED)] = np.roll(truth[slice(*SHUFFLED)], 1)
    rows = [
        (n, moment(n), *values[n].tolist(), known, real)
        for n, (known, real) in enumerate(zip(label.tolist(), truth.tolist(), strict=True))
    ]
    place.run(f"INSERT INTO t VALUES {', '.join('(' + ', '.join(map(literal, row)) + ')' for row in rows)}")


def moment(row: int) -> str:
    return f"{START + timedelta(minutes=24 * row):%Y-%m-%dT%H:%M:%SZ}"


def retrain(found: config.Settings, row: int) -> tuple[int, list[Alert]]:
    """How many rows the newest version learned from, and what a person is told of labels."""
    done = pipeline.run(found, "retrain", as_of=moment(row))
    assert done.decision is not None
    with open_job(found) as job:
        standing = [each for each in job.alerts.list_standing() if each.topic.startswith("set aside")]
        return job.registry.version(done.decision.version).rows, standing


def test_a_person_is_told_of_labels_that_were_set_aside_until_they_are_mended(database: Place, tmp_path: Path) -> None:
    fill(database)
    found = settings(database, tmp_path)
    found = config.load(found.path, source={**found.source.model_dump(exclude_defaults=True), "exclude": ["truth"]})
    rows, standing = retrain(found, 25 * EACH)
    assert (rows, standing) == (25 * EACH + 1, [])
    rows, [alert] = retrain(found, 36 * EACH)
    assert rows < 36 * EACH - 200
    assert alert.title.startswith("rows of 2026-01-2")
    assert "contradict what every model from before predicts" in alert.what
    database.run(f"UPDATE t SET failed = truth WHERE id >= {SHUFFLED[0]} AND id < {SHUFFLED[1]}")
    rows, standing = retrain(found, 40 * EACH)
    assert (rows, standing) == (40 * EACH + 1, [])


def test_a_unit_that_is_wrong_up_to_the_newest_label_shows_in_the_rows_that_wait_for_theirs(
    database: Place, tmp_path: Path
) -> None:
    fill(database)
    database.run("UPDATE t SET failed = truth")
    wrong, now = (30 * EACH, 36 * EACH), 38 * EACH
    database.run(f"UPDATE t SET s2 = 1000 * s2 WHERE id >= {wrong[0]} AND id < {wrong[1]}")
    database.run(f"UPDATE t SET failed = NULL WHERE id >= {wrong[1]}")
    found = settings(database, tmp_path)
    found = config.load(found.path, source={**found.source.model_dump(exclude_defaults=True), "exclude": ["truth"]})
    rows, [alert] = retrain(found, now)
    assert rows == wrong[1]  # learned from without the values of s2
    assert alert.title.startswith("values of 's2' of 2026-0")
    assert "on another scale than the rows before and after" in alert.what
    assert "was trained without these values, and judged without these rows" in alert.what
    database.run(f"UPDATE t SET s2 = 1000 * s2 WHERE id >= {wrong[1]}")  # it stays so
    rows, standing = retrain(found, now + 1)
    assert (rows, standing) == (wrong[1], [])
