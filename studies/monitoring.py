"""How often drift is told where there is none, and how soon where there is: months of 4 runs a day, 590 sensors."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain
from multiprocessing import Pool
from typing import Any

import numpy as np
from lightgbm import LGBMClassifier
from scipy.special import kolmogorov

from rowcast.models.matrix import Matrix
from rowcast.monitor.baseline import CLEAN
from rowcast.monitor.drift import detect_drift
from rowcast.monitor.edges import compute_edges
from rowcast.monitor.profile import count_profile
from rowcast.monitor.statistics import Run
from rowcast.report import table
from studies.runs import Drawn, Fab, Floats, Shift, block, counted, drawn, shifted

MONTH = 120  # runs
LOTS = {"1,000": 40, "200": 8}  # of 25 rows, on average
EFFECTS = (0.05, 0.1)  # SD, from run to run
STRONG = 0.3  # SD, of a day's pattern
FABS = 10  # months that share a fab: its sensors and what was learned from its training rows
RUNS = "40 runs"  # the baseline; else blocks of training rows: parts of a run, how many together
BLOCKS = {"1/4 run": (4, 1), "1 run": (1, 1), "4 runs": (1, 4)}
HISTORY = CLEAN * 4  # runs before a month, the last of which are in the blocks
FIRST = 5_000  # month: none that the rule was chosen by
BEGINS = 60  # the run with which a drift begins; the first 40 are the baseline
LEVEL, PSI = 0.05, 0.2  # of the plain rules
DRIFTS: dict[str, Callable[[tuple[int, ...]], Shift]] = {
    "step of 0.25 SD": partial(Shift, step=0.25),
    "step of 0.5 SD": partial(Shift, step=0.5),
    "step of 1 SD": partial(Shift, step=1.0),
    "ramp to 1 SD in 60 runs": partial(Shift, step=1.0, ramp=60),
    "variance doubled": partial(Shift, scale=2**0.5),
    "missing in 20 % of rows": partial(Shift, missing=0.2),
}


@dataclass(frozen=True)
class Setting:
    """Rows a run, and how much one run differs from another."""

    rows: str
    effect: float  # SD
    pattern: float = 0.1  # SD, of the day

    def fab(self, month: int) -> Fab:
        return _fab(month // FABS, self.effect, LOTS[self.rows], self.pattern)


def study(months: int) -> None:
    """Print the tables of docs/monitoring-method.md: a quarter of the months for each setting."""
    settings = [Setting(rows, effect) for rows in LOTS for effect in EFFECTS]
    with Pool(2) as pool:
        run = partial(pool.map, chunksize=FABS // 2)
        nulls = {setting: run(partial(_null, setting), range(FIRST, FIRST + months // 4)) for setting in settings}
        print(
            f"Null: months of {MONTH} runs without drift, 590 sensors, 1 false alarm a month allowed; the baseline is"
        )
        print(
            "40 runs before, or 40 blocks of training rows, and then those runs are looked at too; none, 1, … in all\n"
        )
        rows = _null_rows(nulls)
        print(table(rows, list(rows[0])))
        print("\nNull: the same months by plain rules, each run by itself: runs of 120 with an alarm, columns a run\n")
        rows = [_plain_row(setting, found) for setting, found in nulls.items()]
        print(table(rows, list(rows[0])))
        print(f"\nNull: as above, with a pattern of the day of {STRONG} SD in a third of the sensors, for 0.1 SD\n")
        strong = [Setting(rows, 0.05, STRONG) for rows in LOTS]
        rows = _null_rows({each: run(partial(_null, each), range(FIRST, FIRST + months // 10)) for each in strong})
        print(table(rows, list(rows[0])))
        print("\nPower: 3 columns drift from one run on, 0.05 SD from run to run: share of months in which one of them")
        print("is named, and the mean run of the drift that names it (1: the first); rowcast by its baseline\n")
        rows = [row for size in LOTS for row in _power(run, Setting(size, 0.05), max(months // 10, 1))]
        print(table(rows, list(rows[0])))
    print("\nTime on one core, seconds\n")
    rows = [*_scoring(), *_looking()]
    print(table(rows, list(rows[0])))


@cache
def _fab(seed: int, effect: float, lots: int, pattern: float) -> Fab:
    return Fab(seed, run_effect=effect, lots=lots, pattern=pattern)


def _month(fab: Fab, month: int) -> list[Drawn]:
    return drawn(fab, month, range(HISTORY, HISTORY + CLEAN + MONTH))


def _baselines(fab: Fab, month: int) -> dict[str, list[Run]]:
    """What comes before the runs of a month: nothing, so that 40 of them are the baseline, or 40 blocks."""
    found: dict[str, list[Run]] = {RUNS: []}
    for name, (parts, together) in BLOCKS.items():
        earlier = drawn(fab, month, range(HISTORY - CLEAN * together // parts, HISTORY), parts)
        runs = [counted(fab, each) for each in earlier]
        found[name] = [block(fab, runs[start : start + together]) for start in range(0, len(runs), together)]
    return found


def _null(setting: Setting, month: int) -> tuple[dict[str, int], dict[str, list[int]]]:
    """How many alarms there are by each baseline, and how many columns each plain rule names in each run."""
    fab = setting.fab(month)
    runs = [counted(fab, each) for each in _month(fab, month)]
    found: dict[str, list[int]] = {}
    for each in runs[CLEAN:]:
        for rule, columns in _plain(fab, each).items():
            found.setdefault(rule, []).append(int(columns.sum()))
    alarms = {
        usual: sum(
            event.what != "ended" for event in detect_drift([*blocks, *runs], fab.frame, clean=len(blocks)).events
        )
        for usual, blocks in _baselines(fab, month).items()
    }
    return alarms, found


def _null_rows(nulls: dict[Setting, list[Any]]) -> list[dict[str, Any]]:
    rows = []
    for usual in [RUNS, *BLOCKS]:
        found = {setting: [alarms[usual] for alarms, _ in months] for setting, months in nulls.items()}
        rows += [_null_row(usual, setting.rows, f"{setting.effect} SD", each) for setting, each in found.items()]
        rows.append(_null_row(usual, "all", "", [*chain(*found.values())]))
    return rows


def _null_row(usual: str, rows: str, effect: str, found: list[int]) -> dict[str, Any]:
    counts, months, looked = np.array(found), len(found), MONTH + (0 if usual == RUNS else CLEAN)
    times, monthly = Counter(found), MONTH / looked
    return {
        "baseline": usual,
        "rows a run": rows,
        "from run to run": effect,
        "months": months,
        "runs": looked,
        "alarms a month": f"{counts.mean() * monthly:.2f}",
        "±": f"{1.96 * counts.std() * monthly / np.sqrt(months):.2f}",
        "none": f"{times[0] / months:.0%}",
        "1": f"{times[1] / months:.0%}",
        "2": f"{times[2] / months:.0%}",
        "3 or more": f"{sum(n for k, n in times.items() if k > 2) / months:.1%}",
        "most": int(counts.max()),
    }


def _plain_row(setting: Setting, found: list[tuple[Any, dict[str, list[int]]]]) -> dict[str, Any]:
    row: dict[str, Any] = {"rows a run": setting.rows, "from run to run": f"{setting.effect} SD"}
    for rule in found[0][1]:
        columns = np.array([month[rule] for _, month in found])
        row[rule] = f"{(columns > 0).sum(axis=1).mean():.0f}, {columns.mean():.1f}"
    return row


def _plain(fab: Fab, run: Run) -> dict[str, Any]:
    """Which columns rules name that compare a run with the training rows, column by column, shape (sensors,).

    A two-sample Kolmogorov-Smirnov test on the counts of the bins, and the population stability index.
    """
    now, then = (
        counts.reshape(fab.sensors + 1, -1)[:-1, 1:] for counts in (run.profile.counts, fab.design.reference.counts)
    )
    rows, training = now.sum(axis=1, keepdims=True), then.sum(axis=1, keepdims=True)
    apart = np.abs(np.cumsum(now / np.maximum(rows, 1), axis=1) - np.cumsum(then / training, axis=1)).max(axis=1)
    p = kolmogorov(np.sqrt(rows * training / (rows + training))[:, 0] * apart)
    share, before = (_tenths(counts) for counts in (now, then))
    psi = ((share - before) * np.log(share / before)).sum(axis=1)
    return {"KS at 5 %": p < LEVEL, "KS, Bonferroni": p < LEVEL / fab.sensors, "PSI > 0.2": psi > PSI}


def _tenths(counts: Any) -> Floats:
    """Shares of ten bins of about a tenth each, as is usual for the PSI; half a row in an empty one."""
    cuts = np.linspace(0, counts.shape[1], 11).astype(int)[:-1]
    tenths = np.maximum(np.add.reduceat(counts, cuts, axis=1), 0.5)
    found: Floats = tenths / tenths.sum(axis=1, keepdims=True)
    return found


def _power(run: Callable[..., Any], setting: Setting, months: int) -> Iterator[dict[str, Any]]:
    found = run(partial(_found, setting), range(2 * FIRST, 2 * FIRST + months))
    for drift in DRIFTS:
        row: dict[str, Any] = {"rows a run": setting.rows, "drift": drift}
        for rule in found[0][drift]:
            delays = np.array([month[drift][rule] for month in found], dtype=float)
            seen = delays[~np.isnan(delays)]
            row[rule] = f"{len(seen) / months:.0%}" + (f", {seen.mean():.1f}" if len(seen) else "")
        yield row


def _found(setting: Setting, month: int) -> dict[str, dict[str, float]]:
    """With which run of each drift each rule names a column concerned; NaN for none."""
    fab = setting.fab(month)
    before, usual = _month(fab, month), _baselines(fab, month)
    runs = [counted(fab, each) for each in before]
    columns = tuple(np.random.default_rng(month).choice(fab.sensors, 3, replace=False).tolist())
    return {
        name: _first(fab, columns, usual, _drifting(fab, before, runs, shift(columns)))
        for name, shift in DRIFTS.items()
    }


def _drifting(fab: Fab, before: list[Drawn], runs: list[Run], shift: Shift) -> list[Run]:
    later = zip(before[BEGINS:], runs[BEGINS:], strict=True)
    return [*runs[:BEGINS], *(shifted(fab, each, run, shift, k) for k, (each, run) in enumerate(later))]


def _first(fab: Fab, columns: tuple[int, ...], usual: dict[str, list[Run]], runs: list[Run]) -> dict[str, float]:
    places, names = {run.run_id: place for place, run in enumerate(runs)}, {f"s{place}" for place in columns}
    found = dict[str, float]()
    for baseline, blocks in usual.items():
        told = [
            places[event.run_id] - BEGINS + 1
            for event in detect_drift([*blocks, *runs], fab.frame, clean=len(blocks)).events
            if any(finding.series.column in names for finding in event.findings)
        ]
        found[baseline] = float(min((k for k in told if k > 0), default=np.nan))
    named = [_plain(fab, each) for each in runs[BEGINS:]]
    for rule in named[0]:
        hits = np.flatnonzero([bool(each[rule][list(columns)].any()) for each in named])
        found[rule] = float(hits[0] + 1) if len(hits) else np.nan
    return found


def _scoring() -> Iterator[dict[str, Any]]:
    """Counting 50,000 rows, beside what LightGBM takes to score them."""
    random = np.random.default_rng(0)
    for columns in (60, 590):
        values = random.standard_normal((50_000, columns), np.float32)
        rows, score = Matrix(values, tuple(map(str, range(columns))), {}), random.random(50_000)
        found = compute_edges(rows.take(np.arange(5_000)), score[:5_000])
        model = LGBMClassifier(n_estimators=200, n_jobs=1, verbose=-1)
        model.fit(values[:5_000], values[:5_000, 0] + random.standard_normal(5_000) > 1)
        counting = _seconds(partial(count_profile, found, rows, score))
        scoring = _seconds(partial(model.booster_.predict, values, num_threads=1))
        yield _time("counting 50,000 rows", columns, counting, f"{counting / scoring:.0%} of scoring with 200 trees")


def _looking() -> Iterator[dict[str, Any]]:
    fab = _fab(0, 0.05, 40, 0.1)
    for count in (120, 1_000):
        runs = [counted(fab, each) for each in drawn(fab, 0, range(count))]
        size = sum(len(run.profile.to_bytes()) for run in runs) / count / 1e3
        seconds = _seconds(partial(detect_drift, runs, fab.frame))
        yield _time(f"looking at {count:,} runs of 1,000 rows", 590, seconds, f"{size:.0f} kB a run stored")


def _time(what: str, columns: int, seconds: float, beside: str) -> dict[str, Any]:
    return {"what": what, "columns": columns, "s": f"{seconds:.2f}", "": beside}


def _seconds(work: Callable[[], Any]) -> float:
    """The best of three."""
    found = []
    for _ in range(3):
        begin = time.perf_counter()
        work()
        found.append(time.perf_counter() - begin)
    return min(found)
