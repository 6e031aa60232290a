"""The simulation itself: rows on demand, and the truth about them."""

from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.optimize import brentq
from scipy.special import expit

from rowcast.errors import ConfigError
from rowcast.simulate.fab import BAD_KINDS, BadRow, Fab, Floats, Integers, Role, Truth
from rowcast.simulate.lots import CHAMBERS, RECIPES, TOOLS, Lots, draw_incidents
from rowcast.simulate.memory import Memory
from rowcast.simulate.physics import AGEING_FROM, AGEING_TOOL, STEP_FROM, Physics, list_drifts
from rowcast.simulate.streams import BLOCK, DAY, LOT, list_blocks, open_stream, to_microseconds

_PILOT = 100  # blocks at least, where there are as many, spread over the horizon, on which the relation is calibrated
_STRENGTH = 2.1  # standard deviation of the log-odds: a perfect model's AUC is about 0.92, and some failures are luck
_AGEING, _STEP = 1.5, 1.2  # size of the drifts in standard deviations; the ageing one at the end of the horizon
_BAD_VALUES: dict[str, float] = {"impossible_value": 1e12, "infinite_value": np.inf}


def simulate(fab: Fab, chunk_rows: int = 50_000) -> "Simulation":
    """Return the rows of `fab`, to be drawn in record batches of `chunk_rows`; the content does not depend on it."""
    if chunk_rows < 1:
        raise ConfigError(f"chunk_rows is {chunk_rows}", hint="at least 1; 50,000 rows of 100 sensors take 100 MB")
    return Simulation(fab, chunk_rows)


class Simulation:
    """Rows on demand. Only some numbers per lot and per bad row, and the truth once asked for, grow with the fab."""

    def __init__(self, fab: Fab, chunk_rows: int) -> None:
        self.fab, self.chunk_rows = fab, chunk_rows
        self._physics, self._lots = Physics(fab), Lots(fab)
        self._bad = draw_incidents(fab, self._lots, sorted(self._physics.roles))

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
        for rows in list_blocks(self.fab.rows):
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
        for rows in list_blocks(self.fab.rows):
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
            drifts=list_drifts(self.fab, self._physics),
            maintenance=Memory(self.fab, lots).list_maintenance() if self.fab.memory else (),
            bad=tuple(self._bad_row(*bad) for bad in self._bad.tolist()),
        )

    @cached_property
    def _relation(self) -> tuple[float, float]:
        """Intercept and slope that turn raw log-odds into those of the failure rate and strength wanted."""
        every = max(1, self.fab.rows // (BLOCK * _PILOT))
        pilot = islice(list_blocks(self.fab.rows), None, None, every)
        raw = np.concatenate([self._physics.log_odds(*self._readings(rows)) for rows in pilot])
        slope = _STRENGTH / (raw.std() or 1.0)
        intercept = brentq(lambda shift: expit(shift + slope * raw).mean() - self.fab.failure_rate, -1e3, 1e3)
        return float(intercept), float(slope)

    def _readings(self, rows: Integers) -> tuple[Floats, Integers]:
        """Sensor readings of one block in standard units, shape (n, sensors), and each row's station."""
        station = self._lots.station(rows)
        readings = self._physics.readings(open_stream(self.fab.seed, "readings", rows), station)
        if self.fab.drift:
            horizon = self._lots.seconds(rows) / (self.fab.days * DAY)
            ramp = np.clip((horizon - AGEING_FROM) / (1 - AGEING_FROM), 0, 1)
            aged = station // len(CHAMBERS) == AGEING_TOOL
            readings[:, self._physics.ageing] += (_AGEING * ramp * aged)[:, None]
            readings[:, self._physics.stepping] += (_STEP * (horizon >= STEP_FROM))[:, None]
        return readings, station

    def _draw(self, rows: Integers) -> tuple[Floats, Floats, Integers]:
        """Readings, true probability and outcome of one block."""
        readings, station = self._readings(rows)
        log_odds = self._log_odds(readings, station)
        if self.fab.memory:
            log_odds = log_odds + self.fab.memory * self._damaged[rows]
        probability: Floats = expit(log_odds)
        return readings, probability, (self._draw_luck(rows) < probability).astype(np.int64)

    def _log_odds(self, readings: Floats, station: Integers) -> Floats:
        """Log-odds of failure where no tool is damaged."""
        intercept, slope = self._relation
        return intercept + slope * self._physics.log_odds(readings, station)

    def _draw_luck(self, rows: Integers) -> Floats:
        return open_stream(self.fab.seed, "outcome", rows).random(len(rows))

    @cached_property
    def _damaged(self) -> npt.NDArray[np.bool_]:
        """Which rows a damaged tool made, found in a pass of its own over the rows, then kept."""
        blocks = list(list_blocks(self.fab.rows))
        log_odds = np.concatenate([self._log_odds(*self._readings(rows)) for rows in blocks])
        luck = np.concatenate([self._draw_luck(rows) for rows in blocks])
        return Memory(self.fab, self._lots).find_damaged(log_odds, luck)

    def _batch(self, rows: Integers) -> pa.RecordBatch:
        readings, _, failed = self._draw(rows)
        values, missing = self._physics.convert_readings(readings), self._draw_missing(rows)
        bad = self._bad[np.searchsorted(self._bad[:, 0], rows[0]) : np.searchsorted(self._bad[:, 0], rows[-1] + 1)]
        for place, kind, sensor in bad - (rows[0], 0, 0):
            if BAD_KINDS[kind] in _BAD_VALUES:
                values[place, sensor] = _BAD_VALUES[BAD_KINDS[kind]] * (1 if place % 2 else -1)
                missing[place, sensor] = False
        no_time, no_key = (np.isin(rows, bad[bad[:, 1] == BAD_KINDS.index(k), 0]) for k in ("null_time", "null_key"))
        labelled = self._lots.labelled_at(rows)
        unlabelled = labelled > to_microseconds(min(self.fab.end, self.fab.label_until or self.fab.end))
        station, wafers = self._lots.station(rows), self._lots.wafer_ids(rows)
        columns = [
            _texts(wafers, no_key),
            _texts([wafer.partition("-")[0] for wafer in wafers]),
            _texts(np.array(TOOLS, object)[station // len(CHAMBERS)]),
            _texts(np.array(CHAMBERS, object)[station % len(CHAMBERS)]),
            _texts(np.array(list(RECIPES), object)[self._lots.recipes[rows // LOT]]),
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
        random, third = open_stream(self.fab.seed, "missing", rows), self.fab.missing_rate / 3
        missing = random.random((len(rows), self.fab.sensors), dtype=np.float32) < third
        group = self._physics.group
        lost = random.random((BLOCK // LOT, group[-1] + 1)) < third
        missing |= np.repeat(lost, LOT, axis=0)[: len(rows), group]
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


def _texts(values: Any, missing: npt.NDArray[np.bool_] | None = None) -> Any:
    return pa.array(np.asarray(values, dtype=object), pa.string(), mask=missing)


def _times(microseconds: Integers, missing: npt.NDArray[np.bool_]) -> Any:
    return pa.array(microseconds, pa.int64(), mask=missing).cast(pa.timestamp("us", tz="UTC"))
