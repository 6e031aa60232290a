"""How often training-serving skew is told where no more rows differ than may, and how soon where more do."""

from typing import Any

import numpy as np

from rowcast.monitor.skew import UNIT, SkewUnit, find_skews
from rowcast.report import table
from rowcast.watch.skew_alarm import SHARE
from studies.promises import FIRST

MOST, MONTH, BEFORE = 0.01, 180, 180  # share that may differ; units looked at, and of those before skew begins
NULLS = {
    "each row by itself": [MOST],
    "none or 2 % in four hours": [0.0, 2 * MOST],
    "a fifth of the rows in one of 20": [0.0] * 19 + [0.2],
    "all rows in one of 100": [0.0] * 99 + [1.0],
}


def study(months: int) -> None:
    """Print the tables of docs/monitoring-method.md."""
    print("Null: months in which 1 % of the recorded rows differ, as many as may: how often skew is told, where")
    print(f"{SHARE} or 1 false alarms a month are allowed\n")
    rows = [_count(what, shares, size, months) for what, shares in NULLS.items() for size in (1, 10, 100)]
    print(table(rows, list(rows[0])))
    print("\nPower: after a month without, so many rows differ from some unit of four hours on: the mean unit that is")
    print(f"told (1: the first), {SHARE} false alarms a month are allowed\n")
    rows = [_find(share, size, months) for share in (1.0, 0.3, 0.1, 0.05, 0.02) for size in (1, 10, 100)]
    print(table(rows, list(rows[0])))


def _count(what: str, shares: list[float], size: int, months: int) -> dict[str, Any]:
    random = np.random.default_rng(1)
    drawn = [_draw(random, random.choice(shares, size=MONTH), size) for _ in range(months)]
    counts = {allowed: [len(find_skews(units, MOST, allowed)) for units in drawn] for allowed in (SHARE, 1.0)}
    return {
        "which rows differ": what,
        "rows in 4 h": size,
        "months": months,
        **{f"told a month at {allowed:g}": f"{np.mean(found):.3f}" for allowed, found in counts.items()},
    }


def _find(share: float, size: int, months: int) -> dict[str, Any]:
    found = [unit for month in range(months // 4) if (unit := _find_first(month, share, size)) is not None]
    return {
        "rows that differ": f"{share:.0%}",
        "rows in 4 h": size,
        "told within a month": f"{len(found) / (months // 4):.0%}",
        "on unit": f"{np.mean(found):.1f}" if found else "-",
    }


def _find_first(month: int, share: float, size: int) -> int | None:
    """The unit with skew at whose end it is first told; None where that is not within a month."""
    random = np.random.default_rng(month)
    units = _draw(random, np.repeat([0.0, share], [BEFORE, MONTH]), size)
    low, high = 0, MONTH + 1
    while high - low > 1:  # once told, it stands
        middle = (low + high) // 2
        low, high = (low, middle) if find_skews(units[: BEFORE + middle], MOST, SHARE) else (middle, high)
    return high if high <= MONTH else None


def _draw(random: np.random.Generator, shares: Any, size: int) -> list[SkewUnit]:
    begin = FIRST.astype("datetime64[s]").item()
    differing = random.binomial(size, shares).tolist()
    return [SkewUnit(begin + place * UNIT, size, count) for place, count in enumerate(differing)]
