"""Control charts over simulated days: how often they cry wolf, and how soon they see a change."""

from datetime import date, timedelta
from typing import Any

import numpy as np

from rowcast.monitor import control_charts
from rowcast.monitor.control_charts import RULES, SMOOTHED, Point, Subgroup, apply_limits
from rowcast.report import table
from studies.fab import Floats

CHARTS, DAYS, LONGEST = 1_000, 40, 100
BASELINES = (control_charts.BASELINE, 50, 500)
SHIFTS = (0.5, 1.0, 2.0, 3.0)
_FIRST = date(2026, 1, 1)


def study() -> None:
    """The tables of docs/monitoring-method.md."""
    columns = ["baseline", *RULES, "any rule", "charts with any"]
    print(f"days that break a rule, of {DAYS} normal days after the baseline, {CHARTS:,} charts")
    print(table([_alike(days) for days in BASELINES], columns))
    print(f"\ndays until a rule is broken, where all days from one on are shifted: median of {CHARTS:,} charts")
    rows = [_shifted(shift, days) for days in BASELINES[:2] for shift in SHIFTS]
    print(table(rows, ["baseline", "shift", "Western Electric", SMOOTHED, "either"]))


def _alike(baseline: int) -> dict[str, Any]:
    found = [_drawn(baseline, DAYS, 0.0, seed) for seed in range(CHARTS)]
    broken = np.array([[[rule in point.broken for rule in RULES] for point in points] for points in found])
    of_rules = {rule: f"{share:.2%}" for rule, share in zip(RULES, broken.mean(axis=(0, 1)), strict=True)}
    days, any_day = f"{broken.any(axis=2).mean():.1%}", f"{broken.any(axis=(1, 2)).mean():.0%}"
    return {"baseline": f"{baseline} days", **of_rules, "any rule": days, "charts with any": any_day}


def _shifted(shift: float, baseline: int) -> dict[str, Any]:
    """By so many standard deviations between days."""
    found = [_drawn(baseline, LONGEST, shift, seed) for seed in range(CHARTS)]
    shown = {"baseline": f"{baseline} days", "shift": f"{shift} SD"}
    for name, rules in (("Western Electric", {*RULES} - {SMOOTHED}), (SMOOTHED, {SMOOTHED}), ("either", {*RULES})):
        days = int(np.median([_delay(points, rules) for points in found]))
        shown[name] = f"over {LONGEST}" if days > LONGEST else str(days)
    return shown


def _delay(points: list[Point], rules: set[str]) -> int:
    return next((place for place, point in enumerate(points, 1) if rules & set(point.broken)), len(points) + 1)


def _drawn(baseline: int, days: int, shift: float, seed: int) -> list[Point]:
    """The days after a baseline."""
    values: Floats = np.random.default_rng(seed).normal(size=baseline + days)
    values[baseline:] += shift
    subgroups = [Subgroup(_FIRST + timedelta(days=place), float(value), 100) for place, value in enumerate(values)]
    return apply_limits(subgroups[baseline:], control_charts.fit_baseline(subgroups[:baseline]))
