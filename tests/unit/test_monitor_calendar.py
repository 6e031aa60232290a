"""Which columns the calendar makes, and that what they do is no drift."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from rowcast.models.matrix import Matrix
from rowcast.monitor.calendar import find_calendar_columns
from rowcast.monitor.drift import detect_drift, split_blocks
from rowcast.monitor.edges import compute_edges
from rowcast.monitor.profile import count_profile
from rowcast.monitor.statistics import Frame, Run, Series

BEGIN, BERLIN = datetime(2025, 3, 3, tzinfo=UTC), ZoneInfo("Europe/Berlin")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TRAINED = 120  # days
Column = Callable[[datetime], float]

CALENDAR: dict[str, Column] = {
    "weekday": lambda at: at.weekday(),
    "weekday of the plant": lambda at: at.astimezone(BERLIN).isoweekday(),
    "hour of the plant": lambda at: at.astimezone(BERLIN).hour,
    "half hour": lambda at: (2 * at.hour + at.minute // 30) / 47,
    "sine of the hour": lambda at: float(np.sin(at.hour / 24 * 2 * np.pi)),
    "night": lambda at: at.hour < 6,
    "day": lambda at: at.day,
    "week": lambda at: at.isocalendar()[1],
    "month": lambda at: at.month,
    "day of the year": lambda at: at.timetuple().tm_yday,
    "clock": lambda at: (at - BEGIN) / timedelta(days=1),
}
OTHERS: dict[str, Callable[[np.random.Generator, np.ndarray], np.ndarray]] = {
    "noise": lambda random, days: random.standard_normal(len(days)),
    "constant": lambda random, days: np.ones(len(days)),
    "constant but for one": lambda random, days: np.where(np.arange(len(days)) == len(days) // 2, 5, 70),
    "mostly missing": lambda random, days: np.where(random.random(len(days)) < 0.02, random.integers(0, 3), np.nan),
    "rare flag": lambda random, days: random.random(len(days)) < 0.02,
    "tool": lambda random, days: random.integers(0, 3, len(days)),
    "recipe": lambda random, days: days > 50,
    "lots": lambda random, days: np.arange(len(days)) // 25 % 7,
    "counter": lambda random, days: np.cumsum(random.integers(0, 3, len(days))),
    "ramp": lambda random, days: days / TRAINED + 0.05 * random.standard_normal(len(days)),
    "pattern of the day": lambda random, days: np.round(
        20 + 5 * np.cos(2 * np.pi * days) + random.standard_normal(len(days))
    ),
}


def rows(days: np.ndarray) -> tuple[Matrix, np.ndarray]:
    """Rows at some days after the beginning, and when they came; a value in fifty is missing."""
    random = np.random.default_rng([len(days), int(days[:1].sum() * 4)])
    moments = [BEGIN + timedelta(days=float(day)) for day in days]
    made = [[column(at) for at in moments] for column in CALENDAR.values()]
    made += [make(random, days).tolist() for make in OTHERS.values()]
    values = np.array(made, np.float32).T.copy()
    values[random.random(values.shape) < 0.02] = np.nan
    when = np.array([int(at.timestamp()) * 1_000_000 for at in moments], np.int64)
    return Matrix(values, (*CALENDAR, *OTHERS), {}), when


def regular(first: float, days: float, a_day: int = 48) -> np.ndarray:
    return first + np.arange(round(days * a_day)) / a_day


def test_columns_that_the_calendar_makes_are_found_and_no_others() -> None:
    assert find_calendar_columns(*rows(regular(0, TRAINED))) == tuple(CALENDAR)


def test_rows_at_odd_times_show_them_too() -> None:
    days = np.sort(np.random.default_rng(0).uniform(0, TRAINED, 7_000))
    assert set(CALENDAR) - {"half hour"} <= set(find_calendar_columns(*rows(days))) <= set(CALENDAR)


@pytest.mark.parametrize("days", [np.zeros(0), np.zeros(1), regular(0, 5)])
def test_fewer_than_two_weeks_show_no_week(days: np.ndarray) -> None:
    assert set(find_calendar_columns(*rows(days))).isdisjoint({"night", *OTHERS} - {"counter"})


@pytest.mark.parametrize("every", [0.25, 1, 7])
def test_what_they_do_is_no_drift_however_far_apart_runs_are(every: float) -> None:
    matrix, when = rows(regular(0, TRAINED))
    matrix = matrix.select((*CALENDAR, "noise"))
    edges = compute_edges(matrix)
    count = max(12, round(30 / every))
    clean = [
        Run("", EPOCH + timedelta(microseconds=int(when[part[-1]])), count_profile(edges, matrix.take(part)))
        for part in split_blocks(len(matrix), when, timedelta(days=every))
    ]
    later = list[Run]()
    for run in range(count):
        of_run = rows(regular(TRAINED + run * every, every, 240))[0].select((*CALENDAR, "noise"))
        if run >= count - 2:
            of_run.values[:, 1] = np.nan
        at = BEGIN + timedelta(days=TRAINED + (run + 1) * every)
        later.append(Run(f"r{run}", at, count_profile(edges, of_run)))
    reference = count_profile(edges, matrix)
    frame = Frame(edges, reference, frozenset(CALENDAR))
    assert not detect_drift([*clean, *later[:-2]], frame, clean=len(clean)).events
    assert detect_drift([*clean, *later[:-2]], Frame(edges, reference), clean=len(clean)).events
    [event] = detect_drift([*clean, *later], frame, clean=len(clean)).events
    assert [finding.series for finding in event.findings] == [Series("missing", "weekday of the plant")]
