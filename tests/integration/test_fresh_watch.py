"""By the rule "fresh" a promotion that was a mistake is taken back as soon as labels make that likely."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from conftest import Place, literal
from test_fresh import settings

from rowcast import config, pipeline
from rowcast.job.opening import open_job
from rowcast.store.records import DecisionOutcome, DecisionRecord

START, EACH, DAYS = datetime(2026, 1, 1, tzinfo=UTC), 24, 60
FIRST, THEN, LATER = 25 * EACH, 45 * EACH, 55 * EACH


def fill(place: Place, *, is_mistake: bool) -> None:
    """A row an hour. The label follows s1, from day 25 on s2, after day 45 s1 once more where that was a mistake."""
    stamp = "TEXT" if place.is_sqlite else "timestamptz"
    place.run(f"CREATE TABLE t (id INTEGER PRIMARY KEY, ts {stamp}, s1 REAL, s2 REAL, failed INTEGER)")
    random, rows = np.random.default_rng(5), []
    for n in range(DAYS * EACH):
        first, second = random.normal(size=2)
        follows = second if n >= FIRST and (n < THEN or not is_mistake) else first
        rows.append((n, moment(n), first, second, int(follows + 0.3 * random.normal() > 0.8)))
    place.run(f"INSERT INTO t VALUES {', '.join('(' + ', '.join(map(literal, row)) + ')' for row in rows)}")


def moment(row: int) -> str:
    return f"{START + timedelta(hours=row):%Y-%m-%dT%H:%M:%SZ}"


def decisions(found: config.Settings) -> list[DecisionRecord]:
    with open_job(found) as job:
        return job.registry.decisions()


@pytest.mark.parametrize("is_mistake", [True, False])
def test_a_promotion_is_taken_back_where_it_was_likely_a_mistake(
    database: Place, tmp_path: Path, is_mistake: bool
) -> None:
    fill(database, is_mistake=is_mistake)
    found = settings(database, tmp_path, retrain={"policy": "never"}, task={"cost_missed": 3})
    for row in (FIRST, THEN):
        pipeline.run(found, "retrain", as_of=moment(row))
    assert decisions(found)[0].version == 2
    pipeline.run(found, "infer", as_of=moment(LATER))
    done = pipeline.run(found, "full-pipeline", as_of=moment(LATER))
    newest = decisions(found)[0]
    [looked] = done.shadow_evaluation
    assert "The chance that the champion costs over 5 % more than that is" in str(looked)
    if is_mistake:
        assert (newest.version, newest.outcome) == (1, DecisionOutcome.ROLLED_BACK)
        assert newest.evidence["regret"] > 0.5
    else:
        assert (newest.version, newest.outcome) == (2, DecisionOutcome.PROMOTED)
    assert len(decisions(found)) == 2 + is_mistake  # a look that changes nothing is no decision
