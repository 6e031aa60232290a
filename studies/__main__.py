"""python -m studies [STUDY ...] [--years N]: prints the tables of docs/gate-method.md, models-method.md and
monitoring-method.md.

Seeded: equal numbers on equal libraries.
"""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from multiprocessing import Pool
from typing import Any

import numpy as np
from scipy.stats import binom, t

from rowcast.gate.bound import Blocks, doubt
from rowcast.report import table
from studies import (
    backtests,
    charts,
    coverage,
    estimates,
    history,
    monitoring,
    promises,
    quality,
    retraining,
    skews,
    timeline,
)
from studies.fab import MISSED, Fab, Floats, Year
from studies.gates import (
    YEARLY,
    Gate,
    Rule,
    bonferroni,
    budgeted,
    evenly,
    judged,
    unbudgeted,
    watch,
    watch_by_regret,
    year,
    year_of_two,
    year_watched,
)

WATCHES: dict[str, Callable[[Fab, int], int | None]] = {
    "fresh": watch_by_regret,
    "proven, late": watch,
    "proven, evenly": partial(watch, rule=evenly),
}
RULES: dict[str, Rule] = {"budget": budgeted, "Bonferroni": bonferroni, "5 % each": unbudgeted}
SMALL, MIDDLE, LARGE = Fab(rows=70), Fab(rows=350), Fab(rows=1_400)
BETTER = 0.3
AFTER = "1,400, after one better by 30 % was promoted"
NULLS = {
    "70 rows a week": SMALL,
    "350 rows a week": MIDDLE,
    "1,400 rows a week": LARGE,
    "350, challengers hardly alike": replace(MIDDLE, alike=0.2),
    "350, challengers much alike": replace(MIDDLE, alike=0.98),
    "350, 2 % failures": replace(MIDDLE, failures=0.02),
    "350, in 3 lots a week": replace(MIDDLE, blocks=3),
    "70, a third fewer alarms for misses": replace(SMALL, trade=0.33),
    "350, a third fewer alarms for misses": replace(MIDDLE, trade=0.33),
    "350, a third more alarms for misses": replace(MIDDLE, trade=-0.33),
    AFTER: LARGE,
}
GAINS = (0.05, 0.1, 0.2, 0.3)


def main() -> None:
    """Simulate and print the studies named, or all."""
    parser = argparse.ArgumentParser(prog="python -m studies")
    parser.add_argument("study", nargs="*", choices=[*STUDIES, "timeline", []], help="all where none is named")
    parser.add_argument("--years", type=int, default=200)
    given = parser.parse_args()
    if given.study == ["timeline"]:
        timeline.write()
        return
    for name in given.study or STUDIES:
        STUDIES[name](given.years)


def _gates(years: int) -> None:
    with Pool(2) as pool:
        run = partial(pool.map, chunksize=5)
        most = int(binom.ppf(0.99, years, YEARLY))
        print(f"Null: years of {years} with any promotion of a challenger that is no better, 52 weekly gates")
        print(f"(at most {most} with 99 % probability, if the chance is {YEARLY:.0%} a year)\n")
        print(table([_null(run, name, fab, years) for name, fab in NULLS.items()], list(_null_columns())))
        print("\nPower: years that promote a better challenger, by when half of them do, the mean week (53: none)\n")
        found = [
            _power(run, fab, gain, every, years)
            for fab, every in ((SMALL, 1), (MIDDLE, 1), (LARGE, 1), (MIDDLE, 4))
            for gain in GAINS
        ]
        print(table(found, list(found[0])))
        print("\nOne gate: share of challengers promoted, at the first gate after so many weeks\n")
        found = [_first(run, fab, weeks, years) for fab in (SMALL, MIDDLE, LARGE) for weeks in (4, 9, 26)]
        print(table(found, list(found[0])))
        print("\nWatch: share of promotions taken back within 4 weeks, by what the champion before saves\n")
        found = [_watch(run, fab, rule, years) for fab in (SMALL, MIDDLE, LARGE) for rule in WATCHES]
        print(table(found, list(found[0])))
        print(f"\nNull: years of {years} with gates and, each quarter, a watch by 'proven', all over versions alike,")
        print("in which …\n")
        found = [_null_watched(run, fab, years) for fab in (SMALL, MIDDLE, LARGE)]
        print(table(found, list(found[0])))
        print("\nTail: how often a gate errs at a level, over that level, where nothing is gained\n")
        found = [row for each in pool.map(_tail, range(len(TAILS))) for row in each]
        print(table(found, list(found[0])))


def _null_columns() -> Iterable[str]:
    return ("fab", *RULES, "gates that test")


def _null(run: Callable[..., Any], name: str, fab: Fab, years: int) -> dict[str, Any]:
    row: dict[str, Any] = {"fab": name}
    for label, rule in RULES.items():
        gates: list[list[Gate]] = run(partial(_simulated, name, fab, rule), range(years))
        row[label] = sum(each[-1].promoted for each in gates)
        if rule is budgeted:
            row["gates that test"] = f"{sum(g.tested for each in gates for g in each) / sum(map(len, gates)):.0%}"
    return row


def _simulated(name: str, fab: Fab, rule: Rule, seed: int) -> list[Gate]:
    return year_of_two(fab, BETTER, rule, seed) if name == AFTER else year(fab, rule, seed)


def _power(run: Callable[..., Any], fab: Fab, gain: float, every: int, years: int) -> dict[str, Any]:
    row: dict[str, Any] = {"rows a week": fab.rows, "a gate every": f"{every} w", "gain": f"{gain:.0%}"}
    for label in ("budget", "Bonferroni"):
        gates = run(partial(year, replace(fab, gain=gain), RULES[label], every=every), range(1_000, 1_000 + years))
        weeks = np.array([each[-1].week if each[-1].promoted else 53 for each in gates])
        half = int(np.sort(weeks)[len(weeks) // 2])
        row[label] = f"{(weeks < 53).mean():.0%}"
        row[f"{label[:4]}. half by"] = f"week {half}" if half < 53 else "-"
        row[f"{label[:4]}. mean"] = f"{weeks.mean():.1f}"
    return row


def _first(run: Callable[..., Any], fab: Fab, weeks: int, years: int) -> dict[str, Any]:
    level = YEARLY * weeks / 52
    rows = fab.rows * weeks - fab.rows * weeks // 2
    row = {"weeks": weeks, "rows": rows, "failures": round(rows * fab.failures), "level": f"{level:.2%}"}
    for gain in (0.1, 0.2, 0.3, 0.4):
        found = run(partial(_one, replace(fab, gain=gain), weeks, level), range(2_000, 2_000 + years))
        row[f"gain {gain:.0%}"] = f"{np.mean(found):.0%}"
    return row


def _watch(run: Callable[..., Any], fab: Fab, rule: str, years: int) -> dict[str, Any]:
    row: dict[str, Any] = {"rows a week": fab.rows, "rule": rule}
    for gain in (0.0, 0.05, 0.2, 0.3, 0.5, 0.7):
        found = run(partial(WATCHES[rule], replace(fab, gain=gain)), range(3_000, 3_000 + years))
        weeks = [week for week in found if week is not None]
        row[f"{gain:.0%}"] = f"{len(weeks) / years:.0%}" + (f" (week {np.mean(weeks):.1f})" if weeks else "")
    return row


def _null_watched(run: Callable[..., Any], fab: Fab, years: int) -> dict[str, Any]:
    found = np.array(run(partial(year_watched, fab), range(4_000, 4_000 + years)))
    either = int(found.any(axis=1).sum())
    promoted, back = (int(count) for count in found.sum(axis=0))
    return {"rows a week": fab.rows, "a gate promotes": promoted, "a watch rolls back": back, "one of both": either}


def _one(fab: Fab, weeks: int, level: float, seed: int) -> bool:
    end = fab.rows * weeks
    value = judged(Year(fab, weeks, seed), end // 2, end, level)
    return value is not None and value <= level


TAILS = ((8, 0.07, 0.0), (30, 0.07, 0.0), (30, 0.07, 0.33), (30, 0.07, -0.33), (60, 0.01, 0.15), (60, 0.004, 0.15))
TAIL_LEVELS = (0.05, 0.01, 0.001)
_GATES, _RESAMPLES = 10_000, 20_000


def _tail(place: int) -> list[dict[str, Any]]:
    """The same gates by a plain bootstrap of the blocks, by Student's t and by the gate's bound."""
    blocks, failures, trade = TAILS[place]
    fab = Fab(failures=failures, trade=trade)
    random = np.random.default_rng(place)
    drawn = random.multinomial(blocks, np.full(blocks, 1 / blocks), size=_RESAMPLES).astype(np.float32)
    found: dict[str, list[float]] = {"bootstrap": [], "Student's t": [], "the gate": []}
    rows = fab.rows // fab.blocks
    for seed in range(_GATES):
        simulated = Year(replace(fab, rows=rows, blocks=1), blocks, 10_000_000 * place + seed)
        gained = simulated.gain(0, rows * blocks).reshape(blocks, rows).sum(axis=1)
        units = int((gained != 0).sum())
        found["bootstrap"].append(float((drawn @ gained.astype(np.float32) <= 0).mean()))
        found["Student's t"].append(_student(gained, units))
        found["the gate"].append(
            doubt(Blocks.of(gained, np.full(blocks, rows), units, MISSED), 0.0) if units > 7 else 1
        )
    return [
        {"blocks": blocks, "failures": round(blocks * rows * fab.failures), "alarms saved": f"{trade:.0%}", "by": by}
        | {f"at {level:.1%}": f"{np.mean(np.array(values) <= level) / level:.1f}" for level in TAIL_LEVELS}
        for by, values in found.items()
    ]


def _student(gained: Floats, units: int) -> float:
    deviation = gained.std(ddof=1)
    return float(t.sf(gained.mean() / deviation * np.sqrt(len(gained)), units - 1)) if deviation and units > 7 else 1.0


def _retraining() -> None:
    with Pool(2) as pool:
        run = partial(pool.map, chunksize=1)
        print("Cost of operating each table, retrained every 28 days (± half the paired 95 % interval by days)\n")
        rows = [row for case in retraining.CASES for row in retraining.study(run, case)]
        print(table(rows, list(rows[0])))
        print("\nA fault in what training sees of one month: what it costs over the whole time\n")
        rows = [row for case in retraining.CASES for row in retraining.faults(run, case)]
        print(table(rows, list(rows[0])))


def _estimates() -> None:
    with Pool(2) as pool:
        print(
            "The first model goes on serving: windows of 30 days, looked at each week; alarms are looked for each day\n"
        )
        rows = pool.map(
            estimates.study, [case for case in retraining.CASES if case.name not in ("SECOM", "APS", "AI4I")]
        )
        print(table(rows, list(rows[0])))


STUDIES: dict[str, Callable[[int], None]] = {
    "gates": _gates,
    "coverage": lambda _: coverage.study(),
    "builds": lambda _: coverage.builds(),
    "quality": lambda _: quality.study(),
    "history": lambda _: history.study(),
    "memory": lambda _: history.memory(),
    "columns": lambda _: quality.columns(),
    "leaks": lambda _: quality.leaks(),
    "speed": lambda _: quality.speed(),
    "monitoring": monitoring.study,
    "promises": promises.study,
    "skews": skews.study,
    "estimates": lambda _: _estimates(),
    "charts": lambda _: charts.study(),
    "retraining": lambda _: _retraining(),
    "backtests": lambda fabs: backtests.study(fabs, lambda rows: print(table(rows, list(rows[0])))),
}

if __name__ == "__main__":
    main()
