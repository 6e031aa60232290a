"""Processes killed at any instruction, one after the other: no row is lost, none is scored twice.

What the store holds after each kill is looked at by SQL of this file's own, not by rowcast's audit. The usual 8 kills
on each database are a sample; the long form is `pytest tests/acceptance/test_crash.py -k often --kills 500`.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import forked
import killed
import pytest
from jobs import LABELLED, PENDING, Job, moment, wafers
from killed import ELSEWHERE, PHASES

pytest_plugins = ("job_fixtures",)

# How many points of each phase a run of three batches has at least; beyond them it would end by itself.
POINTS = {"planned": 15, "claimed": 12, "scored": 6, "publish": 24, "committed": 3}
PER_HOUR = 360  # new wafers in an hour of event time
ONE, TWO = "with one process", "with two processes"
TIMEOUT = 1200

FAULTS = """
SELECT (SELECT count(*) FROM (SELECT wafer FROM {prediction} GROUP BY wafer HAVING count(*) > 1) AS d) AS scored_twice,
    (SELECT count(*) FROM (SELECT wafer FROM {quarantine} GROUP BY wafer HAVING count(*) > 1) AS d) AS set_aside_twice,
    (SELECT count(*) FROM {prediction} AS p JOIN {quarantine} AS q ON q.wafer = p.wafer) AS scored_and_set_aside,
    (SELECT count(*) FROM {prediction} AS p WHERE NOT EXISTS
        (SELECT 1 FROM wafers AS w WHERE w.wafer = p.wafer)) AS scored_of_no_row,
    (SELECT count(*) FROM {quarantine} AS q WHERE NOT EXISTS
        (SELECT 1 FROM wafers AS w WHERE w.wafer = q.wafer)) AS set_aside_of_no_row,
    (SELECT count(*) FROM {prediction} AS p WHERE NOT EXISTS
        (SELECT 1 FROM {batch} AS b WHERE b.batch_id = p.batch_id AND b.status = 'published')) AS scored_unpublished,
    (SELECT count(*) FROM {quarantine} AS q WHERE NOT EXISTS
        (SELECT 1 FROM {batch} AS b WHERE b.batch_id = q.batch_id AND b.status = 'published')) AS set_aside_unpublished,
    (SELECT count(*) FROM {batch} AS b
        LEFT JOIN (SELECT batch_id, count(*) AS n FROM {prediction} GROUP BY batch_id) AS p ON p.batch_id = b.batch_id
        LEFT JOIN (SELECT batch_id, count(*) AS n FROM {quarantine} GROUP BY batch_id) AS q ON q.batch_id = b.batch_id
        WHERE b.status = 'published' AND (coalesce(b.scored, -1) <> coalesce(p.n, 0)
            OR coalesce(b.quarantined, -1) <> coalesce(q.n, 0))) AS batches_of_other_counts,
    (SELECT count(*) FROM {batch} AS b
        LEFT JOIN (SELECT batch_id, count(*) AS n FROM {profile} GROUP BY batch_id) AS f ON f.batch_id = b.batch_id
        WHERE coalesce(f.n, 0) > CASE WHEN b.status = 'published' THEN 1 ELSE 0 END
            OR b.scored > 0 AND f.n IS NULL) AS batches_of_other_profiles
"""

TOTALS = f"""
SELECT (SELECT count(*) FROM wafers WHERE wafer NOT BETWEEN 1 AND {LABELLED}) AS source,
    (SELECT count(*) FROM {{prediction}}) AS scored,
    (SELECT count(*) FROM {{quarantine}}) AS quarantined,
    (SELECT count(*) FROM wafers AS w WHERE w.wafer NOT BETWEEN 1 AND {LABELLED}
        AND NOT EXISTS (SELECT 1 FROM {{prediction}} AS p WHERE p.wafer = w.wafer)
        AND NOT EXISTS (SELECT 1 FROM {{quarantine}} AS q WHERE q.wafer = w.wafer)) AS pending
"""


def asked(job: Job, question: str) -> dict[str, int]:
    """The answer of one statement, which sees one moment."""
    names = {name: job.table(f"wafers_{name}") for name in ("prediction", "quarantine")}
    [row] = job.sql(question.format(batch=job.table("batch"), profile=job.table("profile"), **names))
    return {name: int(count) for name, count in row.items()}


def faults(job: Job) -> dict[str, int]:
    """What must never be, counted; empty where all is well."""
    return {name: count for name, count in asked(job, FAULTS).items() if count}


class Arrivals:
    """New wafers without end: a fifth of them late, between or below the keys that are there; one in 25 is broken."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.rows: list[dict[str, Any]] = []
        self.taken: set[int] = set()

    def next(self, count: int) -> list[dict[str, Any]]:
        begun = len(self.rows)
        for number, row in enumerate(wafers(1000 + begun, count, False), begun):
            late = self.chance.randrange(PER_HOUR // 2) if self.chance.random() < 0.2 else 0
            arrived = moment(LABELLED + PENDING + 6 * (number - late) / PER_HOUR)
            broken = {"s01": 1e9, "s02": 1e9} if number % 25 == 24 else {}
            self.rows.append({**row, "wafer": self._key(number, late > 0), "measured_at": arrived, **broken})
        return self.rows[begun:]

    def _key(self, number: int, late: bool) -> int:
        key = 1000 + 10 * number
        if late:
            among = range(max(0, number - 200), number + 1)
            between = (1000 + 10 * self.chance.choice(among) + self.chance.randint(1, 9) for _ in range(3))
            key = next((key for key in between if key not in self.taken), -number)
            key = -number if self.chance.random() < 0.3 else key
        self.taken.add(key)
        return key


class Siege:
    """A job whose processes are killed one after the other."""

    def __init__(self, job: Job, seed: str) -> None:
        self.job = job
        self.seed = seed
        self.chance = random.Random(seed)
        self.arrivals = Arrivals(random.Random(seed))
        self.kills: Counter[str] = Counter()  # by the phase in which they hit
        self.started = 0
        self.process: subprocess.Popen[bytes] | None = None  # the newest

    def at(self, phase: str) -> None:
        """Kill a run at a point of a phase."""
        self.draw()
        for nth in (self.chance.randint(1, POINTS[phase]), 1):
            self.refill(3)
            process, log = self.start("--phase", phase, "--nth", str(nth))
            if self.ended(process, log) != 0:  # or the workers died in which a run tries what others died over
                said = phases(log)
                assert phase in dict(said).values(), (self.seed, said[-3:])  # the last word of the process that died
                self.kills[phase] += 1
                return
        raise AssertionError(f"no run reached {phase}; seed {self.seed}")

    def anywhere(self, workers: int) -> None:
        """Kill a run, or one of its workers, at any moment; rows may arrive meanwhile."""
        self.draw()
        for changes in (self.chance.randint(0, 18), self.chance.randint(0, 6), 1):
            self.refill(3 * workers)
            process, log = self.start(workers=workers)
            while process.poll() is None and len(phases(log)) < changes:
                time.sleep(0.0005)
            if self.chance.random() < 0.3:
                self.add(self.chance.randint(1, 20))
            time.sleep(self.chance.uniform(0, 0.02))
            phase = self.strike(process, log)
            if self.ended(process, log) != 0:
                self.kills[phase] += 1
                return
        raise AssertionError(f"every run was over before it was killed; seed {self.seed}")

    def draw(self) -> None:
        """Let chance depend on the number of the kill alone, whatever those before it came to."""
        self.chance.seed(f"{self.seed} {self.kills.total()}")

    def strike(self, process: "subprocess.Popen[bytes]", log: Path) -> str:
        """Kill the run, one of its workers, or all at once; the phase of what was hit."""
        workers = {pid for pid, _ in phases(log)} - {process.pid}
        victim = self.chance.choice(["run", "worker", "all"])
        pid = self.chance.choice(sorted(workers)) if victim == "worker" and workers else process.pid
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if victim == "all" else os.kill)(pid, signal.SIGKILL)
        # Workers end with their run: the one that was the last to say something stands for all.
        said = [phase for speaker, phase in phases(log) if pid in (speaker, process.pid)]
        return said[-1] if said else ELSEWHERE

    def start(self, *arguments: str, workers: int = 1) -> tuple["subprocess.Popen[bytes]", Path]:
        """The command in the background, in a process group of its own, with the file of its phases."""
        self.started += 1
        log = self.job.folder / f"phases{self.started}"
        command = [sys.executable, killed.__file__, str(log), *arguments, "--", "infer", "--workers", str(workers)]
        with (self.job.folder / "output").open("wb") as output:
            process = forked.Popen(
                command,
                cwd=self.job.folder,
                env=self.job.environment(),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.process = process
        return process, log

    def ended(self, process: "subprocess.Popen[bytes]", log: Path) -> int:
        """How the process ended, once what it left has been looked at."""
        code = process.wait(TIMEOUT)
        found = faults(self.job)
        said = (self.job.folder / "output").read_text()
        assert not found, (found, f"seed {self.seed}, start {self.started}, in {phases(log)[-3:]}", said)
        assert code in (0, -signal.SIGKILL) or "a worker process died" in said, (code, said)
        deadline = time.monotonic() + TIMEOUT
        while alive(process.pid):  # workers notice that their run was killed
            assert time.monotonic() < deadline
            time.sleep(0.005)
        return code

    def refill(self, batches: int) -> None:
        """Let there be work for a few batches."""
        if asked(self.job, TOTALS)["pending"] < 40 * batches:
            self.add(40 * batches + 30)

    def add(self, count: int) -> None:
        self.job.add(self.arrivals.next(count))

    def close(self) -> None:
        """Leave no process behind, whatever a test came to."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(TIMEOUT)


def phases(log: Path) -> list[tuple[int, str]]:
    """What the processes of a run said, in order: who, and which phase began."""
    said = log.read_text().split() if log.exists() else []
    return [(int(pid), phase) for pid, phase in zip(said[::2], said[1::2], strict=False)]


def alive(group: int) -> bool:
    """Whether a process group has a member that runs; one that has ended may wait for its parent to hear of it."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended just now
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                return True
    return False


def table(system: str, kills: Counter[str], totals: dict[str, int], doubled: int) -> str:
    """The outcome in two lines."""
    columns = {
        "database": system,
        "kills": kills.total(),
        **{phase: kills[phase] for phase in (*PHASES, ELSEWHERE)},
        "rows": totals["source"],
        "rows doubled": doubled,
        "rows lost": totals["pending"],
    }
    widths = [max(len(name), len(str(value))) for name, value in columns.items()]
    lines = (columns, map(str, columns.values()))
    return "".join("\n  " + "  ".join(map(str.rjust, line, widths)) for line in lines)


def prepared(job: Job) -> Job:
    job.configure({"source": {"late_arrival": "31m"}})
    return job


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    found: int = request.config.getoption("--kills")
    return found


@pytest.fixture
def siege(trained: Job, kills: int) -> Iterator[Siege]:
    """The usual wafers are scored, so that a broken one among the first new ones is not too large a share."""
    prepared(trained).ok("infer")
    found = Siege(trained, f"{trained.place.system} {kills}")
    yield found
    found.close()


def schedule(kills: int, chance: random.Random) -> list[str]:
    """A tenth of the kills in each phase; the others at any moment, a fifth of them with two worker processes."""
    aimed = list(PHASES) * -(-kills // 10)
    found = [*aimed, *([ONE, ONE, TWO, ONE, ONE] * kills)][:kills]
    chance.shuffle(found)
    return found


@pytest.mark.everywhere
@pytest.mark.longer
def test_no_row_is_lost_or_scored_twice_however_often_runs_are_killed(
    siege: Siege,
    system: str,
    make_job: Callable[[str, str], Job],
    kills: int,
    record_property: Callable[[str, str], None],
) -> None:
    besieged(siege, prepared(make_job(system, "trained")), kills, record_property)


@pytest.mark.everywhere
@pytest.mark.longer
@pytest.mark.parametrize("system", ["postgresql"])
def test_nor_where_the_database_scores_the_rows(
    siege: Siege,
    system: str,
    make_job: Callable[[str, str], Job],
    kills: int,
    record_property: Callable[[str, str], None],
) -> None:
    siege.job.configure({"source": {"late_arrival": "31m"}, "infer": {"engine": "database"}})
    besieged(siege, prepared(make_job(system, "trained")), kills, record_property)
    how = siege.job.sql(f"SELECT DISTINCT hashed_by FROM {siege.job.table('batch')} WHERE run_id > 2 AND scored > 0")
    assert [row["hashed_by"] for row in how] == ["sha256"]


def besieged(siege: Siege, undisturbed: Job, kills: int, record_property: Callable[[str, str], None]) -> None:
    """Kill runs of a job, which comes to what an undisturbed one comes to."""
    for target in schedule(kills, siege.chance):
        if target in PHASES:
            siege.at(target)
        else:
            siege.anywhere(workers=2 if target == TWO else 1)

    siege.add(60)  # part of them in ranges that the killed runs left open
    siege.job.ok("infer")
    doubled = sum(faults(siege.job).values())
    totals = asked(siege.job, TOTALS)
    record_property("outcome", table(siege.job.place.system, siege.kills, totals, doubled))
    assert doubled == 0, siege.seed
    assert totals["pending"] == 0, siege.seed
    assert totals["source"] == totals["scored"] + totals["quarantined"] == PENDING + len(siege.arrivals.rows)
    assert all(siege.kills[phase] >= -(-kills // 10) for phase in PHASES)
    assert siege.job.sql(f"SELECT 1 FROM {siege.job.table('batch')} WHERE status IN ('planned', 'claimed')") == []

    undisturbed.add(siege.arrivals.rows)
    undisturbed.ok("infer", "--accept-quarantine")
    assert siege.job.scores() == pytest.approx(undisturbed.scores(), rel=0, abs=1e-9), siege.seed
    assert siege.job.reasons() == undisturbed.reasons()
    assert set(siege.job.reasons()) == {row["wafer"] for row in siege.arrivals.rows if row["s01"] == 1e9}


def test_the_batch_of_a_killed_run_is_free_even_before_its_parent_has_heard(siege: Siege) -> None:
    siege.add(100)
    process, _ = siege.start("--phase", "claimed")
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # as under a parent that never asks: it stays a zombie
    siege.job.ok("infer")
    assert asked(siege.job, TOTALS)["pending"] == 0
    assert faults(siege.job) == {}


# The check can fail


def test_a_publish_without_its_transaction_leaves_what_the_check_finds(siege: Siege) -> None:
    siege.add(400)
    found: dict[str, int] = {}
    for nth in range(3, 9):  # after the first statement that writes, and on
        process, _ = siege.start("--phase", "publish", "--nth", str(nth), "--without", "transaction")
        assert process.wait(TIMEOUT) == -signal.SIGKILL
        found = faults(siege.job)
        if found:
            break
    assert set(found) == {"batches_of_other_counts", "batches_of_other_profiles"}


def overtaken(siege: Siege, *arguments: str) -> None:
    """A run that sleeps before it publishes, for longer than its lease, while another takes its batch over.

    In between the rows break, so that one run scores what the other sets aside; and later rows come among their keys.
    """
    job, batch = siege.job, siege.job.table("batch")
    first = 100_000
    at = moment(LABELLED + PENDING)
    new = [{**row, "wafer": first + 10 * n, "measured_at": at} for n, row in enumerate(wafers(500, 5, False))]
    job.add(new)
    process, _ = siege.start("--phase", "scored", "--by", "SIGSTOP", *arguments)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    job.sql(
        f"UPDATE {batch} SET lease_until = started_at WHERE status = 'claimed'",
        f"UPDATE wafers SET s01 = 1e9 WHERE wafer >= {first}",
    )
    assert job.ok("infer")["quarantined"] == 5
    job.add([{**row, "wafer": row["wafer"] + 1} for row in new[:3]])
    process.send_signal(signal.SIGCONT)
    assert process.wait(TIMEOUT) == 0, (job.folder / "output").read_text()


def test_a_run_that_lost_its_claim_publishes_nothing(siege: Siege) -> None:
    overtaken(siege)
    assert faults(siege.job) == {}
    assert asked(siege.job, TOTALS)["pending"] == 3
    assert siege.job.ok("infer")["scored"] == 3
    assert asked(siege.job, TOTALS) == {"source": PENDING + 8, "scored": PENDING + 3, "quarantined": 5, "pending": 0}
    assert faults(siege.job) == {}


def test_a_publish_that_does_not_ask_whose_claim_it_is_leaves_what_the_check_finds(siege: Siege) -> None:
    overtaken(siege, "--without", "claim")
    assert faults(siege.job) == {
        **{"scored_and_set_aside": 5, "batches_of_other_counts": 1},
        "batches_of_other_profiles": 1,
    }
