"""What plain SQL says of a job: the promise row by row, and how far a running command has come."""

import time
from collections.abc import Callable, Iterable
from subprocess import Popen
from typing import Any

from conftest import Place, quoted
from jobs import Done, Job
from sqlserver import waits


def ended(process: "Popen[str]", seconds: float = 1800) -> Done:
    """What a command came to that ends by itself."""
    out, err = process.communicate(timeout=seconds)
    assert "Traceback" not in err, err
    return Done(process.returncode, out, err)


def named(store: Place, name: str) -> str:
    """A table of the store as its database spells it."""
    return quoted(f"rowcast_{name}") if store.is_sqlite else f"rowcast.{quoted(name)}"


def is_exactly_once(store: Place, good: Iterable[int], bad: Iterable[int] = ()) -> None:
    """The good wafers are scored, the bad ones quarantined, no other is anywhere, and each batch says so itself."""
    prediction, quarantine = named(store, "wafers_prediction"), named(store, "wafers_quarantine")
    for table, wafers in ((prediction, good), (quarantine, bad)):
        found = sorted(row["wafer"] for row in store.run(f"SELECT wafer FROM {table}"))
        wanted = set(wafers)
        assert len(found) == len(set(found)), table
        assert set(found) == wanted, f"{table}: {wanted - set(found)} are missing, {set(found) - wanted} too many"
    batches = store.run(
        "SELECT b.batch_id, b.status, b.row_count, b.scored, b.quarantined,"
        f" (SELECT count(*) FROM {prediction} p WHERE p.batch_id = b.batch_id) AS predictions,"
        f" (SELECT count(*) FROM {quarantine} q WHERE q.batch_id = b.batch_id) AS set_aside"
        f" FROM {named(store, 'batch')} b"
    )
    for batch in batches:
        if batch["status"] == "halved":  # smaller ones stand in its place
            assert (batch["predictions"], batch["set_aside"]) == (0, 0), batch
            continue
        assert batch["status"] == "published", batch
        assert (batch["scored"], batch["quarantined"]) == (batch["predictions"], batch["set_aside"]), batch
        assert batch["row_count"] == batch["scored"] + batch["quarantined"], batch
    assert sum(batch["scored"] or 0 for batch in batches) == len(set(good))
    assert sum(batch["quarantined"] or 0 for batch in batches) == len(set(bad))


def statuses(job: Job) -> list[str]:
    """The statuses of the runs in their order."""
    return [row["status"] for row in job.sql(f"SELECT status FROM {job.table('run')} ORDER BY run_id")]


def batches(job: Job, *status: str) -> int:
    """How many batches have one of these statuses."""
    among = ", ".join(f"'{each}'" for each in status)
    found: int = job.sql(f"SELECT count(*) AS n FROM {job.table('batch')} WHERE status IN ({among})")[0]["n"]
    return found


def figure(job: Job, name: str) -> float:
    """A metric of the step inference, added up over all runs; 0 where nobody recorded it."""
    metric = job.table("metric")
    rows = job.sql(f"SELECT value FROM {metric} WHERE step = 'inference' AND name = '{name}'")
    return float(sum(row["value"] for row in rows))


def slow(job: Job, milliseconds: int = 40) -> None:
    """Let each prediction take about this long to be written, so that a run can be met in its middle."""
    prediction = job.table("wafers_prediction")
    if job.place.is_sqlite:  # it cannot sleep: it counts, ten million in a few seconds
        count = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {}) SELECT count(*) FROM c"
        body = count.format(milliseconds * 4000)
        job.sql(f"CREATE TRIGGER slow BEFORE INSERT ON {prediction} BEGIN {body}; END")
        return
    if job.place.is_mssql:  # once for all rows of a statement, which are a batch
        job.sql(f"CREATE TRIGGER rowcast.slow ON {prediction} AFTER INSERT AS BEGIN {waits(40 * milliseconds)} END")
        return
    job.sql(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN PERFORM pg_sleep({milliseconds / 1000}); RETURN NEW; END $$",
        f"CREATE TRIGGER slow BEFORE INSERT ON {prediction} FOR EACH ROW EXECUTE FUNCTION slow()",
    )


def eventually(holds: Callable[[], Any], process: "Popen[str] | None" = None) -> None:
    """Wait until something has happened, in a process that goes on."""
    deadline = time.monotonic() + 600
    while not holds():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.03)
