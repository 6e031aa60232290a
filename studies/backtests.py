"""How often a backtest's verdict is right: over simulated policies without any model, and over a few whole replays.

A simulated policy is a list of versions and of the days from which they serve. How likely a version misses
a failure and flags a good row is known, so that which policy is truly the cheapest is known as well, and not estimated.
"""

import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from scipy.stats import norm

import rowcast
from rowcast import config
from rowcast.backtest.comparison import Comparison, compare
from rowcast.database import connect
from studies.fab import ALARM, DAY, FLAG, MISS, MISSED, SHARED, Floats

DAYS, ROWS, FAILURES = 120, 57, 0.07  # days, rows a day, share of failures
DELAY = 7  # days until labels tell of a break
LUCK = 0.05  # standard deviation of the logarithm of how good a version is
WORSE, LEARNING = 1.7, 1.15  # times as many mistakes: of a version from before the break, and of the first one after it
WEEKS = "alike, weeks good or bad"
FABS = ("versions are alike", WEEKS, "versions differ by luck", "the relation breaks")


@dataclass(frozen=True)
class Simulated:
    """What policies cost by day, and what was expected of them; the simplest policy first."""

    rows: Any  # (days,)
    cost: Floats  # (p, days)
    expected: Floats  # (p,): of all rows together


def simulate(fab: str, seed: int) -> Simulated:
    """Return a fab in which versions are alike, differ by luck, or in which what they learned breaks one day."""
    random = np.random.default_rng(seed)
    broken = int(random.integers(DAYS * 3 // 10, DAYS * 7 // 10)) if fab == "the relation breaks" else DAYS
    luck = LUCK if fab == "versions differ by luck" else 0.0
    day = np.repeat(np.arange(DAYS), ROWS)
    failed = random.random(len(day)) < FAILURES
    common = np.sqrt(SHARED) * random.standard_normal(len(day))
    worth: dict[int, tuple[Floats, Floats]] = {}  # by the day of the build: mistakes by day, and latent values

    def version(built: int) -> tuple[Floats, Floats]:
        if built not in worth:
            after = WORSE if built < broken + DELAY else LEARNING if built < broken + 2 * DELAY else 1.0
            quality = np.exp(luck * random.standard_normal()) * np.where(np.arange(DAYS) < broken, 1.0, after)
            shared = np.sqrt(DAY) * random.standard_normal(DAYS)[day // (7 if fab == WEEKS else 1)]
            own = shared + np.sqrt(1 - DAY) * random.standard_normal(len(day))
            worth[built] = quality, common + np.sqrt(1 - SHARED) * own
        return worth[built]

    builds = _builds(broken, random)
    cost, expected = np.zeros((len(builds), len(day))), np.zeros(len(builds))
    a_row = FAILURES * MISS * MISSED + (1 - FAILURES) * FLAG * ALARM
    for place, days in enumerate(builds.values()):
        for built, until in zip(days, [*days[1:], DAYS], strict=True):
            quality, latent = version(built)
            here = (day >= built) & (day < until)
            missed = failed & (latent < norm.ppf(np.minimum(MISS * quality, 0.95))[day])
            flagged = ~failed & (latent > norm.isf(FLAG * quality)[day])
            cost[place, here] = (missed * MISSED + flagged * ALARM)[here]
            expected[place] += ROWS * a_row * quality[built:until].sum()
    by_day = np.add.reduceat(cost, np.arange(0, len(day), ROWS), axis=1)
    return Simulated(np.full(DAYS, ROWS), by_day, expected)


def _builds(broken: int, random: np.random.Generator) -> dict[str, list[int]]:
    """Return the days on which each policy builds what serves from then on."""
    by_drift, by_loss = broken + int(random.integers(4, 12)), broken + int(random.integers(14, 22))
    return {
        "never": [0],
        "every:28d": [*range(0, DAYS, 28)],
        "every:7d": [*range(0, DAYS, 7)],
        "on-drift": sorted({0, int(random.integers(1, DAYS)), *([by_drift] if by_drift < DAYS else [])}),
        "on-loss": [0, *([by_loss] if by_loss < DAYS else [])],
    }


def study_verdicts(fabs: int) -> list[dict[str, Any]]:
    """Return, for each kind of fab, how often the verdict was right."""
    return [_judge(fab, fabs) for fab in FABS]


def _judge(fab: str, fabs: int) -> dict[str, Any]:
    over, best, dearer = 0, 0, 0
    for seed in range(fabs):
        simulated = simulate(fab, 20_000 + seed)
        found: Comparison = compare(simulated.rows, simulated.cost)
        least, expected = simulated.expected.min(), simulated.expected
        over += found.chosen != 0 and expected[found.chosen] >= expected[0] * (1 - 1e-9)
        best += any(expected[place] <= least * (1 + 1e-9) for place in found.tied)
        dearer += 0 not in found.tied
    return {
        "fab": fab,
        "recommended in vain": f"{over / fabs:.1%}",
        "the best among those named": f"{best / fabs:.1%}",
        "never shown to cost more": f"{dearer / fabs:.1%}",
    }


# Whole replays

ESTIMATOR = """
from sklearn.linear_model import LogisticRegression

def quick():
    return LogisticRegression()
"""
TOML = """
[source]
url = "sqlite:///fab.db"
table = "wafers"
key = ["id"]
time = "at"
label = "failed"
label_delay = "3d"

[task]
positive = 1
cost_missed = 10.0

[model]
estimator = "mine:quick"

[retrain]
every = "7d"
min_new_labels = 1

[infer]
workers = 1
"""
START, SPAN, A_DAY = datetime(2026, 1, 1, tzinfo=UTC), 80, 40  # first day, days, rows a day
BREAK = 45  # day


def study_replays(fabs: int) -> list[dict[str, Any]]:
    """Return what `rowcast backtest` says of fabs whose relation holds, and of others in which it breaks on day 45."""
    found = []
    for broken in (None, BREAK):
        for seed in range(fabs):
            with tempfile.TemporaryDirectory() as folder:
                _write(Path(folder), broken, seed)
                job = rowcast.Job(config.load(Path(folder) / "rowcast.toml"))
                report = job.backtest("never,every:28d", step=timedelta(days=2), workers=2)
            costs = {each.name: f"{each.cost:.0f}" for each in report.policies}
            kind = "breaks" if broken else "holds"
            found.append({"relation": kind, **costs, "named": ", ".join(report.verdict.tied)})
    return found


def _write(folder: Path, broken: int | None, seed: int) -> None:
    """Write a fab: a failure depends on column a, after a break on column b."""
    random = np.random.default_rng(seed)
    (folder / "mine.py").write_text(ESTIMATOR)
    (folder / "rowcast.toml").write_text(TOML)
    day = np.repeat(np.arange(SPAN), A_DAY)
    values = random.standard_normal((len(day), 3))
    cause = np.where(day < (SPAN if broken is None else broken), values[:, 0], values[:, 1])
    failed = random.random(len(day)) < 1 / (1 + np.exp(3.0 - 2.5 * cause))
    columns: list[sa.Column[Any]] = [sa.Column("id", sa.Integer, primary_key=True), sa.Column("at", sa.Text)]
    columns += [sa.Column(name, sa.Double) for name in "abc"] + [sa.Column("failed", sa.Integer)]
    table = sa.Table("wafers", sa.MetaData(), *columns)
    with closing(connect(f"sqlite:///{folder / 'fab.db'}", create=True)) as db:
        db.execute(sa.schema.CreateTable(table))
        at = [(START + timedelta(minutes=36 * place)).isoformat(sep=" ") for place in range(len(day))]
        rows = {"id": np.arange(len(day)), "at": at, **dict(zip("abc", values.T, strict=True)), "failed": failed * 1}
        db.ingest(table, pa.RecordBatch.from_pydict({name: pa.array(each) for name, each in rows.items()}))


def study(fabs: int, show: Callable[[list[dict[str, Any]]], None]) -> None:
    """Print both tables."""
    print(f"Verdicts on {fabs} simulated fabs each\n")
    show(study_verdicts(fabs))
    print("\nWhole replays: cost per 1,000 rows, and the policies between which nothing can be told\n")
    show(study_replays(2))
