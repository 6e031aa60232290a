"""Days of a place: the same in the database as by the clock on its wall, also where that is put forward or back."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from rowcast.database import Database
from rowcast.source import Days, days_until
from rowcast.store.reading.daily_sums import select_day

pytestmark = pytest.mark.everywhere

ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe",  # half an hour in summer
    "America/Havana", "Africa/Cairo", "Asia/Beirut", "America/Santiago",  # whose clocks change at midnight
    "Africa/Casablanca", "Pacific/Apia",
]  # fmt: skip
MOMENTS = st.datetimes(datetime(2023, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))


def count(days: Days, moment: datetime, until: datetime) -> int:
    """What `select_day` computes in SQL."""
    passed = (moment - days.start) / timedelta(hours=1)
    return int((passed + sum(by for changed, by in days.shifts(until) if passed >= changed)) // 24)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(ZONES), MOMENTS, st.timedeltas(timedelta(0), timedelta(days=800)))
def test_a_days_number_is_that_of_the_date_on_the_wall(zone: str, start: datetime, ago: timedelta) -> None:
    until = start.replace(microsecond=0)
    moment = until - timedelta(seconds=int(ago.total_seconds()))
    days = days_until(until, 801, zone)
    assert days.date(800) == until.astimezone(ZoneInfo(zone)).date()
    assert days.date(count(days, moment, until)) == moment.astimezone(ZoneInfo(zone)).date()


def test_the_days_of_a_change_have_23_and_25_hours() -> None:
    days = Days(date(2026, 3, 1), "Europe/Berlin")
    assert days.start == datetime(2026, 2, 28, 23, tzinfo=UTC)
    midnights = [datetime(2026, 3, 29, 22, tzinfo=UTC), datetime(2026, 10, 24, 22, tzinfo=UTC)]
    for midnight, number, hours in ((midnights[0] - timedelta(hours=23), 28, 23), (midnights[1], 238, 25)):
        until = midnight + timedelta(days=2)
        ends = midnight + timedelta(hours=hours)
        assert [count(days, at, until) for at in (midnight, ends - timedelta(seconds=1), ends)] == [number] * 2 + [
            number + 1
        ]


@pytest.mark.parametrize("zone", ["UTC", "Australia/Lord_Howe", "America/Havana", "Africa/Cairo"])
def test_the_database_counts_the_same(db: Database, zone: str) -> None:
    until = datetime(2026, 12, 1, tzinfo=UTC)
    days = days_until(until, 400, zone)
    hours = [days.start + timedelta(hours=number) for number in range(0, 400 * 24, 37)]
    for changed, _ in days.shifts(until):
        at = days.start + timedelta(hours=changed)
        hours += [at + timedelta(seconds=seconds) for seconds in (-3601, -1, 0, 1, 3599, 3600)]
    hours = [moment for moment in hours if moment <= until]
    source: object = SimpleNamespace(db=db)
    each = [
        sa.select(sa.literal(place).label("place"), db.sql.instant(moment).label("t"))
        for place, moment in enumerate(hours)
    ]
    found: dict[int, int] = {}
    for start in range(0, len(each), 300):
        rows = sa.union_all(*each[start : start + 300]).subquery("rows")
        chosen = sa.select(rows.c.place, select_day(source, rows.c.t, days, until).label("day"))  # type: ignore[arg-type]
        found |= {row["place"]: row["day"] for row in db.rows(chosen)}
    wall = ZoneInfo(zone)
    assert [days.date(found[place]) for place in range(len(hours))] == [m.astimezone(wall).date() for m in hours]
