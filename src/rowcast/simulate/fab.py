"""What is simulated, and the truth about it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt

from rowcast.errors import ConfigError

BadKind = Literal["impossible_value", "infinite_value", "null_time", "repeated_key", "null_key"]
BAD_KINDS: tuple[BadKind, ...] = ("impossible_value", "infinite_value", "null_time", "repeated_key", "null_key")
Role = Literal["linear", "interaction", "nonlinear", "category"]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


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
    memory: float = 0.0  # log-odds by which wafers of a damaged tool fail more often; 0: no defect damages a tool

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
            "memory": not 0 <= self.memory <= 10,
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
class Maintenance:
    """When a tool was put right."""

    tool: str
    done_at: datetime


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
    maintenance: tuple[Maintenance, ...]  # that ends what a defect did to a tool; none where no tool remembers
    bad: tuple[BadRow, ...]  # in row order
