"""What is scored and what is not, and what the audit says of it: predictions are published without a model."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from conftest import Place
from test_fetch import beside

from rowcast import config, fetch
from rowcast.audit import Audit, audit
from rowcast.job.opening import Job, open_job
from rowcast.source import Scope
from rowcast.store import BatchResult

EVERYTHING = Scope(datetime(2000, 1, 1, tzinfo=UTC))
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def settings(source: Place, store: Place | None = None, **given: Any) -> config.Settings:
    named = {"url": source.url, "table": "t", "key": ["id"], "time": "ts", "label": "y", **given}
    apart = {"url": store.url} if store else {}
    return config.Settings.model_validate({"name": "job", "source": named, "store": apart})


def score(job: Job, now: datetime = NOW, batch_rows: int = 1000) -> int:
    """Publish a prediction for each pending row, whatever a model would say; return how many."""
    state, count = job.ledger.state(), 0
    ranges = job.pending.plan(state.scope, now, None, batch_rows, job.ledger.open_ranges())
    for keys, batch_id in zip(ranges, job.ledger.add_batches(1, ranges, 1), strict=True):
        rows = job.pending.read(keys, job.source.features, state.scope, now, batch_rows).rows
        n = rows.num_rows
        made = {"row_hash": [0] * n, "score": [0.5] * n, "predicted": [1] * n, "threshold": [0.1] * n}
        found = beside(rows.select(list(job.settings.source.key)), **made)
        nothing = beside(
            rows.select(list(job.settings.source.key)).slice(0, 0),
            row_hash=[],
            reasons=pa.array([], pa.string()),
            row_values=pa.array([], pa.string()),
        )
        batch = job.ledger.claim(batch_id, 1, 1)
        assert batch is not None
        assert job.ledger.publish(batch, BatchResult(found, nothing), None)
        count += n
    return count


def parts(found: Audit) -> tuple[int, ...]:
    return (found.source, found.unusable, found.out_of_scope, found.scored, found.quarantined, found.pending)


@pytest.fixture(params=["together", "apart"])
def store(request: pytest.FixtureRequest, make_place: Callable[[str], Place], database: Place) -> Place | None:
    """The store of a job: the source's database, or another one."""
    return make_place("sqlite") if request.param == "apart" else None


def fill(place: Place, *keys: int, days: int = 1) -> None:
    rows = ", ".join(f"({key}, '2026-05-{days:02d} 00:00:00Z', {key * 1.5}, NULL)" for key in keys)
    place.run(f"INSERT INTO t VALUES {rows}")


def stamp(place: Place) -> str:
    return "TEXT" if place.is_sqlite else "timestamptz"


# ---- keys that repeat although a constraint says otherwise


def test_keys_that_repeat_once_their_constraint_was_dropped_are_unusable(database: Place, store: Place | None) -> None:
    database.run(f"CREATE TABLE t (id integer PRIMARY KEY, ts {stamp(database)}, s REAL, y integer)")
    fill(database, *range(1, 7))
    with open_job(settings(database, store)) as job:
        job.ledger.fix_scope(EVERYTHING)
        assert job.source.relation.is_unique(["id"])
        database.run("DROP TABLE t", f"CREATE TABLE t (id integer, ts {stamp(database)}, s REAL, y integer)")
        fill(database, 1, 2, 3, 4, 5, 5, 6, 6)
        assert score(job) == 4
        found = audit(job)
        assert (parts(found), found.holds) == ((8, 4, 0, 4, 0, 0), True)
        fill(database, 1, days=3)  # a second row of a key that was scored
        assert score(job) == 0
        found = audit(job)
        assert (parts(found), found.deleted, found.holds) == ((9, 6, 0, 3, 0, 0), 1, True)


def test_rows_of_a_table_that_inherits_share_no_key_with_it(postgresql: Place) -> None:
    postgresql.run("CREATE TABLE t (id integer PRIMARY KEY, ts timestamptz, s REAL, y integer)")
    fill(postgresql, *range(1, 11))
    with open_job(settings(postgresql)) as job:
        job.ledger.fix_scope(EVERYTHING)
        assert score(job) == 10
        postgresql.run(
            "CREATE TABLE line2 () INHERITS (t)", "INSERT INTO line2 SELECT id, ts, s, y FROM ONLY t WHERE id > 8"
        )
        fill(postgresql, 11)
        assert score(job) == 1
        found = audit(job)
        assert (parts(found), found.deleted, found.holds) == ((13, 4, 0, 9, 0, 0), 2, True)
        assert job.store.scalar(sa.select(sa.func.count()).select_from(job.own.prediction)) == 11


# ---- rows that the version in service could learn from


def serve(job: Job, version: int, trained_to: datetime, created_at: datetime = NOW) -> None:
    """Put a version in service of which the store says how far it was trained."""
    about = {"job": "job", "version": version, "status": "champion", "created_at": created_at, "run_id": 1}
    about |= {"estimator": "default", "features": "[]", "trained_to": trained_to, "rows": 1, "metrics": "{}"}
    job.store.execute(job.tables.model.insert().values(**about, artifact_sha256="", artifact=b""))
    job.ledger.set_state(champion=version)


@pytest.mark.parametrize("with_learned", [False, True])
def test_rows_that_the_version_in_service_could_learn_from_are_not_scored_unless_since_asks_for_it(
    with_learned: bool, database: Place, store: Place | None
) -> None:
    database.run(f"CREATE TABLE t (id integer PRIMARY KEY, ts {stamp(database)}, s REAL, y integer)")
    for day in range(1, 11):
        fill(database, day, days=day)
    database.run("UPDATE t SET y = 1 WHERE id IN (1, 2, 3, 5)")
    since = "2026-04-15" if with_learned else None
    with open_job(settings(database, store)) as job:
        job.ledger.fix_scope(fetch.find_initial_scope(job.source, NOW, since))
        serve(job, 1, datetime(2026, 5, 5, tzinfo=UTC))
        database.run("UPDATE t SET y = 1 WHERE id = 6")  # later than what was learned from
        assert score(job) == (10 if with_learned else 6)
        found = audit(job)
        out = 0 if with_learned else 4
        assert (parts(found), found.left_to_training, found.holds) == ((10, 0, out, 10 - out, 0, 0), out, True)
        for key in (11, 12):  # two more rows, of which the next version learns one before it is scored
            fill(database, key, days=key)
        database.run("UPDATE t SET y = 0 WHERE id = 11")
        assert audit(job).pending == 2
        serve(job, 2, datetime(2026, 5, 11, tzinfo=UTC))
        found = audit(job)
        assert (found.pending, found.left_to_training, found.holds) == ((2, 0, True) if with_learned else (1, 5, True))
        assert score(job) == found.pending
        fill(database, 13, days=2)  # it comes late, and no label is known of it
        assert score(job) == 1
