"""A fab to try rowcast on: wafers with sensors, late outcomes, drifts and bad rows, and the truth about all of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.optimize import brentq
from scipy.special import expit

from rowcast.errors import ConfigError

BadKind = Literal["impossible_value", "infinite_value", "null_time", "repeated_key", "null_key"]
BAD_KINDS: tuple[BadKind, ...] = ("impossible_value", "infinite_value", "null_time", "repeated_key", "null_key")
Role = Literal["linear", "interaction", "nonlinear", "category"]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_TOOLS = ("ETCH-01", "ETCH-02", "ETCH-03", "ETCH-04")
_CHAMBERS = ("A", "B", "C")
_RECIPES = {"CONTACT": 0.40, "GATE": 0.30, "METAL-1": 0.20, "VIA": 0.08, None: 0.02}
_DAY = 86_400  # seconds
_LOT = 25  # wafers
_BLOCK = 1000  # rows drawn from streams of their own: whole lots; even, so that no pair of repeated rows spans two
_PILOT = 100  # blocks at least, where there are as many, spread over the horizon, on which the relation is calibrated
_GROUP, _FACTORS = 10, 3  # sensors of a correlated group, and the latent factors behind them
_LOT_SHARE = 0.3  # of a factor's variance lies between lots
_LINEAR = (
    1.2,
    -1.1,
    0.4,
    -0.3,
    0.3,
)  # weights per standard deviation; the first is of a sensor that ages
_BOTH_HIGH, _PRODUCT, _WINDOW = 1.6, 0.3, 1.2  # weights of what a linear model cannot see, or sees in part
_STRENGTH = 2.1  # standard deviation of the log-odds: a perfect model's AUC is about 0.92, and some failures are luck
_BAD_STATION, _AGEING_TOOL = 7, 1  # ETCH-03 B fails more often; ETCH-02 ages
_AGEING, _STEP = 1.5, 1.2  # size of the drifts in standard deviations; the ageing one at the end of the horizon
_AGEING_FROM, _STEP_FROM = 0.55, 0.75  # when they start, as shares of the horizon
_BAD_VALUES: dict[str, float] = {"impossible_value": 1e12, "infinite_value": np.inf}


@dataclass(frozen=True)
class Fab:
    """What to simulate. Equal fabs give equal rows. Raises ConfigError for values that cannot be simulated."""

    rows: int = 10_000
    sensors: int = 100  # at least 20
    seed: int = 7
    start: datetime = datetime(2026, 1, 5, tzinfo=UTC)
    days: float = 180  # the horizon; its end is the data's now
    failure_rate: float = 0.066  # mean of the true probability
    missing_rate: float = 0.045  # of sensor cells: a third each single cells, groups for a lot, metrology sampling
    label_delay_days: tuple[float, float] = (2, 9)  # shortest and longest; one delay per lot
    label_until: datetime | None = None  # hides labels that arrive later, and changes nothing else
    bad_rows: float = 0.002  # share of rows
    bad_kinds: tuple[BadKind, ...] = BAD_KINDS  # fewer for a table that refuses some: a primary key, no infinity
    drift: bool = True  # False: the same fab, undrifted

    def __post_init__(self) -> None:
        shortest, longest = self.label_delay_days
        wrong = {
            "rows": self.rows < 1,
            "sensors": self.sensors < 20,
            "seed": self.seed < 0,
            "start": self.start.tzinfo is None,
            "days": self.days <= 0,
            "failure_rate": not 0 < self.failure_rate < 1,
            "missing_rate": not 0 <= self.missing_rate <= 0.3,
            "label_delay_days": not 0 < shortest <= longest,
            "label_until": self.label_until is not None and self.label_until.tzinfo is None,
            "bad_rows": not 0 <= self.bad_rows <= 0.4,
            "bad_kinds": not set(self.bad_kinds) <= set(BAD_KINDS),
        }
        if any(wrong.values()):
            names = ", ".join(name for name, is_wrong in wrong.items() if is_wrong)
            raise ConfigError(
                f"no fab can be simulated with this: {names}",
                hint="at least 1 row and 20 sensors; shares between 0 and 1; moments with a zone",
            )

    @property
    def end(self) -> datetime:
        """The end of the horizon, the data's now: no row and no label is later."""
        return self.start + timedelta(days=self.days)


@dataclass(frozen=True)
class Drift:
    """Readings that move; how failure depends on them does not."""

    kind: Literal["gradual", "step"]
    sensors: tuple[str, ...]
    tool: str | None  # None: all tools
    starts: datetime


@dataclass(frozen=True)
class BadRow:
    """A row that must not be scored, and why. Of two rows with one key, both are bad."""

    row: int  # position in row order
    kind: BadKind
    wafer_id: str | None  # as written
    sensor: str | None  # that holds the impossible or infinite value


@dataclass(frozen=True)
class Truth:
    """What nobody in the fab can see. Arrays have shape (rows,), in row order."""

    probability: Floats  # of failure, given the readings before cells went missing or bad
    outcome: Integers  # 0 or 1, also where the label has not arrived
    measured_at: npt.NDArray[np.datetime64]  # UTC, microseconds; also where the row holds NULL
    labelled_at: npt.NDArray[np.datetime64]  # when the label arrives, even if after the horizon
    matters: dict[str, Role]  # the columns that the probability depends on
    twins: dict[str, str]  # sensor -> the sensor that it nearly repeats
    drifts: tuple[Drift, ...]
    bad: tuple[BadRow, ...]  # in row order


def simulate(fab: Fab, chunk_rows: int = 50_000) -> "Simulation":
    """The rows of `fab`, to be drawn in record batches of `chunk_rows`; the content does not depend on it."""
    if chunk_rows < 1:
        raise ConfigError(f"chunk_rows is {chunk_rows}", hint="at least 1; 50,000 rows of 100 sensors take 100 MB")
    return Simulation(fab, chunk_rows)


class Simulation:
    """Rows on demand. Only some numbers per lot and per bad row, and the truth once asked for, grow with the fab."""

    def __init__(self, fab: Fab, chunk_rows: int) -> None:
        self.fab, self.chunk_rows = fab, chunk_rows
        self._physics, self._lots = _Physics(fab), _Lots(fab)
        self._bad = _incidents(fab, self._lots, sorted(self._physics.roles))

    @cached_property
    def schema(self) -> pa.Schema:
        """wafer_id, lot_id, tool, chamber, recipe, measured_at, s001 …, failed, labelled_at."""
        text, time, number = pa.string(), pa.timestamp("us", tz="UTC"), pa.float64()
        wafer = [(name, text) for name in ("wafer_id", "lot_id", "tool", "chamber", "recipe")]
        sensors = [(name, number) for name in self._physics.names]
        columns: list[tuple[str, pa.DataType]] = [*wafer, ("measured_at", time), *sensors]
        return pa.schema([*columns, ("failed", pa.int64()), ("labelled_at", time)])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows in time order, `chunk_rows` at a time. Memory: about twice max(chunk_rows, 1000) x columns."""
        held: list[pa.RecordBatch] = []
        for rows in _blocks(self.fab.rows):
            held.append(self._batch(rows))
            count = sum(batch.num_rows for batch in held)
            if count >= self.chunk_rows:
                whole, full = pa.concat_batches(held), count - count % self.chunk_rows
                yield from (whole.slice(start, self.chunk_rows) for start in range(0, full, self.chunk_rows))
                held = [whole.slice(full)] if full < count else []
        if held:
            yield pa.concat_batches(held)

    @cached_property
    def truth(self) -> Truth:
        """The truth about every row, drawn in a pass of its own over the rows, then kept."""
        names, lots = self._physics.names, self._lots
        probability, outcome = np.empty(self.fab.rows), np.empty(self.fab.rows, np.int64)
        for rows in _blocks(self.fab.rows):
            _, probability[rows], outcome[rows] = self._draw(rows)
        written = self._row_written(np.arange(self.fab.rows))
        sensors: dict[str, Role] = {names[place]: role for place, role in self._physics.roles.items()}
        return Truth(
            probability=probability[written],
            outcome=outcome[written],
            measured_at=lots.measured_at(written).astype("datetime64[us]"),
            labelled_at=lots.labelled_at(written).astype("datetime64[us]"),
            matters={**sensors, "tool": "category", "chamber": "category"},
            twins={names[twin]: names[source] for twin, source in self._physics.twins.items()},
            drifts=_drifts(self.fab, self._physics),
            bad=tuple(self._bad_row(*bad) for bad in self._bad.tolist()),
        )

    @cached_property
    def _relation(self) -> tuple[float, float]:
        """Intercept and slope that turn raw log-odds into those of the failure rate and strength wanted."""
        every = max(1, self.fab.rows // (_BLOCK * _PILOT))
        pilot = islice(_blocks(self.fab.rows), None, None, every)
        raw = np.concatenate([self._physics.log_odds(*self._readings(rows)) for rows in pilot])
        slope = _STRENGTH / (raw.std() or 1.0)
        intercept = brentq(lambda shift: expit(shift + slope * raw).mean() - self.fab.failure_rate, -1e3, 1e3)
        return float(intercept), float(slope)

    def _readings(self, rows: Integers) -> tuple[Floats, Integers]:
        """Sensor readings of one block in standard units, shape (n, sensors), and each row's station."""
        station = self._lots.station(rows)
        readings = self._physics.readings(_random(self.fab, "readings", rows), station)
        if self.fab.drift:
            horizon = self._lots.seconds(rows) / (self.fab.days * _DAY)
            ramp = np.clip((horizon - _AGEING_FROM) / (1 - _AGEING_FROM), 0, 1)
            aged = station // len(_CHAMBERS) == _AGEING_TOOL
            readings[:, self._physics.ageing] += (_AGEING * ramp * aged)[:, None]
            readings[:, self._physics.stepping] += (_STEP * (horizon >= _STEP_FROM))[:, None]
        return readings, station

    def _draw(self, rows: Integers) -> tuple[Floats, Floats, Integers]:
        """Readings, true probability and outcome of one block."""
        readings, station = self._readings(rows)
        intercept, slope = self._relation
        probability: Floats = expit(intercept + slope * self._physics.log_odds(readings, station))
        failed = _random(self.fab, "outcome", rows).random(len(rows)) < probability
        return readings, probability, failed.astype(np.int64)

    def _batch(self, rows: Integers) -> pa.RecordBatch:
        readings, _, failed = self._draw(rows)
        values, missing = self._physics.values(readings), self._draw_missing(rows)
        bad = self._bad[np.searchsorted(self._bad[:, 0], rows[0]) : np.searchsorted(self._bad[:, 0], rows[-1] + 1)]
        for place, kind, sensor in bad - (rows[0], 0, 0):
            if BAD_KINDS[kind] in _BAD_VALUES:
                values[place, sensor] = _BAD_VALUES[BAD_KINDS[kind]] * (1 if place % 2 else -1)
                missing[place, sensor] = False
        no_time, no_key = (np.isin(rows, bad[bad[:, 1] == BAD_KINDS.index(k), 0]) for k in ("null_time", "null_key"))
        labelled = self._lots.labelled_at(rows)
        unlabelled = labelled > _microseconds(min(self.fab.end, self.fab.label_until or self.fab.end))
        station, wafers = self._lots.station(rows), self._lots.wafer_ids(rows)
        columns = [
            _texts(wafers, no_key),
            _texts([wafer.partition("-")[0] for wafer in wafers]),
            _texts(np.array(_TOOLS, object)[station // len(_CHAMBERS)]),
            _texts(np.array(_CHAMBERS, object)[station % len(_CHAMBERS)]),
            _texts(np.array(list(_RECIPES), object)[self._lots.recipes[rows // _LOT]]),
            _times(self._lots.measured_at(rows), no_time),
            *(pa.array(values[:, place], mask=missing[:, place]) for place in range(self.fab.sensors)),
            pa.array(failed, mask=unlabelled),
            _times(labelled, unlabelled),
        ]
        batch = pa.RecordBatch.from_arrays(columns, schema=self.schema)
        written = self._row_written(rows)
        return batch if np.array_equal(written, rows) else batch.take(pa.array(written - rows[0]))

    def _draw_missing(self, rows: Integers) -> npt.NDArray[np.bool_]:
        """Which cells of one block were not measured, shape (n, sensors)."""
        random, third = _random(self.fab, "missing", rows), self.fab.missing_rate / 3
        missing = random.random((len(rows), self.fab.sensors), dtype=np.float32) < third
        group = self._physics.group
        lost = random.random((_BLOCK // _LOT, group[-1] + 1)) < third
        missing |= np.repeat(lost, _LOT, axis=0)[: len(rows), group]
        skipped = random.random(len(rows)) < third * self.fab.sensors / len(self._physics.metrology)
        missing[:, self._physics.metrology] |= skipped[:, None]
        return missing

    def _row_written(self, rows: Integers) -> Integers:
        """The row that stands at each place: a repeated row is its predecessor, written twice."""
        bad = self._bad
        twice = bad[(bad[:, 1] == BAD_KINDS.index("repeated_key")) & (bad[:, 0] % 2 == 1), 0]
        return np.where(np.isin(rows, twice), rows - 1, rows)

    def _bad_row(self, row: int, code: int, sensor: int) -> BadRow:
        kind = BAD_KINDS[code]
        [wafer_id] = self._lots.wafer_ids(self._row_written(np.array([row])))
        name = self._physics.names[sensor] if kind in _BAD_VALUES else None
        return BadRow(row, kind, None if kind == "null_key" else wafer_id, name)


class _Physics:
    """How sensors behave and what makes a wafer fail. s sensors, named by position; g groups; 12 stations."""

    def __init__(self, fab: Fab) -> None:
        random, s = _random(fab, "design"), fab.sensors
        few = [max(1, round(share * s)) for share in (0.04, 0.03, 0.05)]
        parts = np.split(random.permutation(s), np.cumsum([5, 4, 1, 2, 3, *few]))
        self.linear, self.pairs, window, ageing, stepping, self.constant, self.metrology, twins, others = parts
        self.window, self.ageing = window[0], np.append(ageing, self.linear[0])
        self.twins = dict(zip(twins.tolist(), [int(self.linear[1]), *others.tolist()], strict=False))
        self.stepping = np.concatenate([stepping, self.linear[1:2], twins[:1]])
        self.roles: dict[int, Role] = dict.fromkeys(self.linear.tolist(), "linear")
        self.roles |= dict.fromkeys(self.pairs.tolist(), "interaction") | {int(self.window): "nonlinear"}
        self.names = tuple(f"s{place:03d}" for place in range(1, s + 1))

        self.group, stations = np.arange(s) // _GROUP, len(_TOOLS) * len(_CHAMBERS)
        self.noise = np.sqrt(random.uniform(0.3, 0.7, s))
        loadings = random.standard_normal((_FACTORS, s))
        self.loadings = loadings * np.sqrt((1 - self.noise**2) / (loadings**2).sum(axis=0))
        self.offsets = 0.3 * random.standard_normal((stations, s)) * (random.random(s) < 0.5)
        self.harm = 0.3 * random.standard_normal(stations)  # raw log-odds
        self.harm[_BAD_STATION] = 1.5
        self.scale = 10 ** random.uniform(-3, 5, s)
        self.centre = self.scale * random.uniform(5, 50, s)
        self.skewed = np.flatnonzero(random.random(s) < 0.2)

    def readings(self, random: np.random.Generator, station: Integers) -> Floats:
        """Standard units, shape (n, s), before any drift."""
        shape = (_FACTORS, self.group[-1] + 1)
        lots = np.repeat(random.standard_normal((_BLOCK // _LOT, *shape)), _LOT, axis=0)[: len(station)]
        wafers = random.standard_normal((len(station), *shape))
        factors = np.sqrt(_LOT_SHARE) * lots + np.sqrt(1 - _LOT_SHARE) * wafers
        readings: Floats = random.standard_normal((len(station), len(self.names))) * self.noise + self.offsets[station]
        for k in range(_FACTORS):  # not one matrix product: its last bits depend on the number of threads
            readings += factors[:, k, self.group] * self.loadings[k]
        for twin, source in self.twins.items():
            readings[:, twin] = readings[:, source] + 0.05 * readings[:, twin]
        return readings

    def log_odds(self, readings: Floats, station: Integers) -> Floats:
        """Raw log-odds of failure, shape (n,): intercept and slope are calibrated later."""
        a, b, c, d = readings[:, self.pairs].T
        interactions = _BOTH_HIGH * np.maximum(a, 0) * np.maximum(b, 0) + _PRODUCT * c * d
        outside = _WINDOW * np.minimum(readings[:, self.window] ** 2, 6)
        log_odds: Floats = (readings[:, self.linear] * _LINEAR).sum(axis=1) + interactions + outside
        return log_odds + self.harm[station]

    def values(self, readings: Floats) -> Floats:
        """What the sensors report, in their units, column by column in memory."""
        values: Floats = np.asfortranarray(readings * self.scale + self.centre)
        values[:, self.skewed] = self.scale[self.skewed] * np.exp(0.6 * readings[:, self.skewed])
        values[:, self.constant] = self.centre[self.constant]
        return values


class _Lots:
    """When and where lots run: arrays with one entry per lot, in time order."""

    def __init__(self, fab: Fab) -> None:
        random, lots = _random(fab, "lots"), -(-fab.rows // _LOT)
        gaps = random.gamma(0.7, size=lots) + 0.01
        gaps *= fab.days * _DAY / gaps.sum()
        self.zero, self.starts = _microseconds(fab.start), np.cumsum(gaps) - gaps  # seconds after zero
        self.pace = np.minimum(gaps / _LOT, 60)  # seconds between wafers
        self.numbers = np.argsort(np.argsort(np.arange(lots) + random.uniform(0, 6, lots))) + 1  # lots overtake
        self.digits = max(5, len(str(lots)))
        self.tools = random.integers(len(_TOOLS), size=lots)
        self.turns = random.integers(len(_CHAMBERS), size=lots)  # chamber of the first wafer; the next take turns
        self.recipes = random.choice(len(_RECIPES), size=lots, p=list(_RECIPES.values()))
        self.delays = (random.uniform(*fab.label_delay_days, lots) * _DAY).astype(np.int64)  # seconds

    def seconds(self, rows: Integers) -> Floats:
        lot, pair = rows // _LOT, rows % _LOT // 2  # metrology takes two wafers at a time
        return np.floor(self.starts[lot] + 2 * pair * self.pace[lot])

    def measured_at(self, rows: Integers) -> Integers:
        return self.zero + self.seconds(rows).astype(np.int64) * 1_000_000

    def labelled_at(self, rows: Integers) -> Integers:
        return self.measured_at(rows) + self.delays[rows // _LOT] * 1_000_000

    def station(self, rows: Integers) -> Integers:
        """Tool and chamber as one number: tool x 3 + chamber."""
        chambers = len(_CHAMBERS)
        return self.tools[rows // _LOT] * chambers + (self.turns[rows // _LOT] + rows % _LOT) % chambers

    def wafer_ids(self, rows: Integers) -> list[str]:
        keys = zip(self.numbers[rows // _LOT].tolist(), (rows % _LOT + 1).tolist(), strict=True)
        return [f"L{number:0{self.digits}d}-{slot:02d}" for number, slot in keys]


def _incidents(fab: Fab, lots: _Lots, sensors: list[int]) -> Integers:
    """Bad rows as (row, kind, sensor), shape (b, 3), in row order.

    Every kind comes all over the horizon and in its last days. One pair of neighbours is drawn from each of equal
    shares of the rows, so that no row is hit twice.
    """
    random, codes = _random(fab, "bad"), [BAD_KINDS.index(kind) for kind in fab.bad_kinds]
    if not codes:
        return np.empty((0, 3), np.int64)
    count = round(fab.rows * fab.bad_rows * len(codes) / (len(codes) + ("repeated_key" in fab.bad_kinds)))
    pairs = fab.rows // 2
    unlabelled = int(np.searchsorted(lots.starts, (fab.days - fab.label_delay_days[0]) * _DAY)) * _LOT
    first = min(-(-unlabelled // 2), pairs)
    late = min(max(round(count * (pairs - first) / max(pairs, 1)), len(codes)), pairs - first, count // 2)
    found = []
    for start, stop, hits in ((0, first, count - late), (first, pairs, late)):
        edges = start + np.arange(hits + 1) * (stop - start) // max(hits, 1)
        for place, pair in enumerate(random.integers(edges[:-1], edges[1:]).tolist()):
            kind, sensor, side = codes[place % len(codes)], sensors[random.integers(len(sensors))], random.integers(2)
            twice = BAD_KINDS[kind] == "repeated_key"
            found += [(2 * pair + half, kind, sensor) for half in ((0, 1) if twice else (side,))]
    return np.array(found, np.int64).reshape(-1, 3)


def _drifts(fab: Fab, physics: _Physics) -> tuple[Drift, ...]:
    def drift(kind: Literal["gradual", "step"], places: Integers, tool: str | None, share: float) -> Drift:
        names = tuple(physics.names[place] for place in sorted(places))
        return Drift(kind, names, tool, fab.start + timedelta(days=fab.days * share))

    ageing = drift("gradual", physics.ageing, _TOOLS[_AGEING_TOOL], _AGEING_FROM)
    return (ageing, drift("step", physics.stepping, None, _STEP_FROM)) if fab.drift else ()


def _blocks(rows: int) -> Iterator[Integers]:
    return (np.arange(start, min(start + _BLOCK, rows)) for start in range(0, rows, _BLOCK))


def _random(fab: Fab, purpose: str, rows: Integers | None = None) -> np.random.Generator:
    """A stream of its own for each purpose and block, so that none depends on how much another was read."""
    block = 0 if rows is None else int(rows[0]) // _BLOCK
    return np.random.default_rng(np.random.SeedSequence(fab.seed, spawn_key=(*purpose.encode(), block)))


def _microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _texts(values: Any, missing: npt.NDArray[np.bool_] | None = None) -> Any:
    return pa.array(np.asarray(values, dtype=object), pa.string(), mask=missing)


def _times(microseconds: Integers, missing: npt.NDArray[np.bool_]) -> Any:
    return pa.array(microseconds, pa.int64(), mask=missing).cast(pa.timestamp("us", tz="UTC"))
