"""Times as people and programs write them: read where they leave no doubt, named with the way out where they do not."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from conftest import Place
from odd import LABELLED, ROWS, Odd, empty_odd  # noqa: F401 (a fixture)

from rowcast import init
from rowcast.config import Source as Settings
from rowcast.doctor import examine
from rowcast.errors import ConfigError, SourceError, TrainingError
from rowcast.source import open_source

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TEXT = "VARCHAR(60)"
MOMENT = datetime(2026, 12, 1, 6, 0, tzinfo=UTC)
READ = [
    "2026-12-01 06:00", "2026-12-01T06:00:00Z", "2026-12-01 06:00:00.000", "2026-12-01 06:00:00,000",
    "2026/12/01 06:00", "2026/12/01 06:00:00 UTC", "2026-12-01 06:00:00 UTC", "2026-12-01 06:00 GMT",
    "2026-12-01 07:00:00+0100", "2026-12-01T07:00:00+01:00", "2026-12-01 07:00 +01", "2026-12-01T01:00:00-0500",
    "01.12.2026 06:00", "01.12.2026 06:00:00,000", "01.12.2026 06:00 UTC", "2026-12-01 06:00  ",
    "1796104800", "1796104800000", 1796104800, 1796104800.0, 1796104800000, 1796104800000000, 1796104800000000000,
]  # fmt: skip
NOT_READ = [
    "12/01/2026 06:00",
    "01-12-2026 06:00",
    "1 Dec 2026",
    "06:00",
    "20261201",
    "01.12.26 06:00",
    "soon",
    "",
    " ",
]


def times_of(place: Place, column: str = "t", **source: str | None) -> list[datetime | None]:
    """What the source's event times are."""
    db = place.connect()
    found = open_source(db, Settings(url=place.url, table="x", key=("id",), time=column, label="y", **source))
    rows = db.rows(found.select(found.event_time().label("t")).order_by(*found.keys()))
    return [EPOCH + timedelta(microseconds=t) if isinstance(t, int) else t for t in (row["t"] for row in rows)]


def fill(place: Place, values: list[object], kind: str = "") -> None:
    place.run(f"CREATE TABLE x (id INTEGER PRIMARY KEY, t {kind}, y INTEGER)")
    place.fill("x", id=list(range(len(values))), t=values, y=[0] * len(values))


def test_texts_and_numbers_that_leave_no_doubt_are_read(sqlite: Place) -> None:
    fill(sqlite, READ)
    assert times_of(sqlite) == [MOMENT] * len(READ)


def test_a_zone_holds_for_times_that_carry_none_however_they_are_written(sqlite: Place) -> None:
    zoneless = ["2026-12-01 07:00", "2026/12/01 07:00", "01.12.2026 07:00:00,0"]
    zoned = ["2026-12-01 06:00 UTC", "2026-12-01 07:00:00+0100", "1796104800000", 1796104800000]
    fill(sqlite, [*zoneless, *zoned])
    assert times_of(sqlite, timezone="Europe/Berlin") == [MOMENT] * 7


def test_what_leaves_doubt_is_no_time(sqlite: Place) -> None:
    fill(sqlite, NOT_READ)
    assert times_of(sqlite) == [None] * len(NOT_READ)


@pytest.mark.parametrize(
    ("time_format", "text"),
    [
        ("%m/%d/%Y %H:%M", "12/01/2026 06:00"),
        ("%d/%m/%Y %H:%M:%S", "01/12/2026 06:00:00"),
        ("%Y%m%d", "20261201"),
        ("%Y%m%d%H%M%S", "20261201060000"),
        ("%d.%m.%Y %H:%M:%S.%f", "01.12.2026 06:00:00.000"),
        ("%d-%m-%Y %H:%M%z", "01-12-2026 08:00+0200"),
        ("%H h %M * %d? %m [%Y]", "06 h 00 * 01? 12 [2026]"),
    ],
)
def test_the_config_says_how_times_are_written(time_format: str, text: str, database: Place) -> None:
    fill(database, [text, f"{text}  ", "2026-12-01 06:00", "soon", "", None], "text" if database.is_sqlite else TEXT)
    wanted = MOMENT if "%H" in time_format else MOMENT.replace(hour=0)
    assert times_of(database, time_format=time_format) == [wanted, wanted, None, None, None, None]
    if "%z" not in time_format:
        local = wanted.replace(tzinfo=ZoneInfo("Europe/Berlin"))
        assert times_of(database, time_format=time_format, timezone="Europe/Berlin")[0] == local


@pytest.mark.parametrize(
    "text",
    [
        *("30.02.2026 06:00", "29.02.2025 06:00", "01.13.2026 06:00", "00.12.2026 06:00", "01.00.2026 06:00"),
        *("01.12.2026 24:01", "01.12.2026 06:60", "01.12.0000 06:00", "31.04.2026 06:00", "01.12.2026 6:00", "'; --"),
    ],
)
def test_a_text_that_is_no_time_of_the_format_stops_nothing(text: str, database: Place) -> None:
    fill(database, [text, "29.02.2024 06:00"], "text" if database.is_sqlite else TEXT)
    assert times_of(database, time_format="%d.%m.%Y %H:%M") == [None, datetime(2024, 2, 29, 6, tzinfo=UTC)]


@pytest.mark.parametrize(
    "text",
    ["01.12.2026 06:00:00.5Z", "01.12.2026 07:00:00.5+01", "01.12.2026 01:00:00.5-0500", "01.12.2026 07:00:00.5+01:00"],
)
def test_a_time_of_a_format_carries_its_zone(text: str, database: Place) -> None:
    fill(database, [text.replace(".5", "")], "text" if database.is_sqlite else TEXT)
    found = times_of(database, time_format="%d.%m.%Y %H:%M:%S%z", timezone="Europe/Berlin")
    assert found == [MOMENT]


def test_a_format_is_for_the_column_of_texts_where_the_other_time_has_a_type_of_its_own(database: Place) -> None:
    if database.is_sqlite:
        pytest.skip("its columns have no types of times")
    database.run("CREATE TABLE x (id INTEGER PRIMARY KEY, t VARCHAR(40), u TIMESTAMP WITH TIME ZONE, y INTEGER)")
    database.fill("x", id=[1], t=["01.12.2026 06:00"], u=["2026-12-02 06:00Z"], y=[0])
    assert times_of(database, time_format="%d.%m.%Y %H:%M", label_time="u") == [MOMENT]


def test_days_as_excel_counts_them_are_read_where_the_config_says_so(database: Place) -> None:
    fill(database, [46357.25, 46357], "double precision")
    assert times_of(database, time_format="excel") == [MOMENT, MOMENT.replace(hour=0)]
    assert times_of(database, time_format="seconds")[1] == datetime(1970, 1, 1, 12, 52, 37, tzinfo=UTC)


def test_numbers_are_taken_for_seconds_or_finer_by_their_size(database: Place) -> None:
    fill(database, [1796104800, 1796104800000, 1796104800000000, 1796104800000000000, -1, 0], "bigint")
    assert times_of(database)[:4] == [MOMENT] * 4
    assert times_of(database)[5] == EPOCH


@pytest.mark.parametrize("time_format", ["%Y-%m", "%Y-%m-%d %Y", "%d.%b.%Y", "%f %Y-%m-%d", "", "excell"])
def test_a_format_that_cannot_be_read_is_refused(time_format: str, odd: Odd) -> None:
    with pytest.raises(ConfigError, match="write 'excel', 'seconds', or a format"):
        odd.settings(time_format=time_format)


@pytest.mark.parametrize(("value", "hint"), [("12/01/2026 06:00", "time_format"), (46357.25, 'time_format = "excel"')])
def test_times_that_cannot_be_read_are_named_and_never_blamed_on_the_label(value: object, hint: str, odd: Odd) -> None:
    if not odd.place.is_sqlite and isinstance(value, str):
        odd.make({"u": "text"}, {"u": [value] * ROWS})
        with pytest.raises(SourceError, match="the time column 'u' is text") as refused:
            odd.run("", "retrain", time="u")
        assert "set [source] time_format" in refused.value.hint
        assert "to_timestamp(u, 'DD.MM.YYYY HH24:MI:SS')::timestamp" in refused.value.hint
        return
    odd.make({"u": "" if odd.place.is_sqlite else "double precision"}, {"u": [value] * ROWS})
    with pytest.raises(TrainingError) as raised:
        odd.run("", "retrain", time="u", exclude=["t"])
    assert f"{LABELLED} labelled rows" in raised.value.what
    assert "the label" not in raised.value.what.replace("labelled", "")
    assert hint in raised.value.hint
    assert str(value) in raised.value.detail
    assert str(value) not in str(raised.value)
    findings = [finding for finding in examine(odd.settings(time="u", exclude=["t"])) if finding.level != "ok"]
    assert any(str(value) in finding.what and hint in finding.hint for finding in findings)


@pytest.mark.parametrize("kind", ["time", "timetz", "boolean"])
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_column_that_is_no_point_in_time_is_refused(kind: str, odd: Odd) -> None:
    odd.make({"u": kind})
    with pytest.raises(SourceError, match="which is no point in time") as raised:
        open_source(odd.place.connect(), odd.settings(time="u").source)
    assert "query" in raised.value.hint


@pytest.mark.parametrize(
    "text", ["01.12.2026 06:{:02d}", "2026/12/01 06:{:02d}", "2026-12-01 06:{:02d}:00,5", "2026-12-01 06:{:02d} UTC"]
)
def test_init_takes_times_that_leave_no_doubt_for_times(text: str, sqlite: Place) -> None:
    fill(sqlite, [text.format(n) for n in range(60)], "text")
    guess = init.inspect(sqlite.url, "x")
    assert guess.time.column == "t"
    assert guess.zoneless == ("UTC" not in text)
