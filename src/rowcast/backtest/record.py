"""What a backtest found, as figures; `words` tells it."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from rowcast.backtest.comparison import Difference
from rowcast.backtest.policies import format_duration

HINDSIGHT = "best in hindsight"  # what is shown beside the policies


@dataclass(frozen=True)
class Prices:
    """What operating a policy costs beside wrong decisions, in the units of [task]."""

    retrain: float = 0.0  # a build
    review: float = 0.0  # an alarm


@dataclass(frozen=True)
class PolicyResult:
    """One policy over the history."""

    name: str  # such as every:7d
    lines: str  # of rowcast.toml
    cost: float  # per 1,000 rows
    difference: Difference  # to the cheapest of those that are no yardstick, per 1,000 rows
    built: int  # model versions
    promoted: int  # by the gate, after the first
    alarms: int  # of drift and of cost that began
    failed: int  # runs that failed, or in which something did
    seconds: float  # of computing, on this machine
    cumulative: tuple[float, ...]  # cost by the end of each moment
    is_yardstick: bool = False  # there to compare with: it asks no gate, and is not recommended

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON takes it."""
        return asdict(self)


@dataclass(frozen=True)
class Verdict:
    """What can be told."""

    recommended: str  # the simplest of those that cannot be told from the cheapest
    cheapest: str
    tied: tuple[str, ...]  # those that cannot be told from the cheapest, itself among them, the simplest first
    own: str  # that of rowcast.toml
    lines: str  # of rowcast.toml, for the recommended one
    outcome: Literal["one is cheapest", "some are tied", "all are tied"]


@dataclass(frozen=True)
class BacktestReport:
    """Policies replayed over a job's own history, compared on the same rows."""

    job: str
    start: datetime  # the first moment as of which the pipeline was run
    end: datetime  # the last
    step: timedelta  # between two
    moments: tuple[datetime, ...]
    rows: int  # that were compared: scored under every policy, with a label by now
    left_out: int  # labelled rows that were not
    block_days: int  # that a block of the intervals has
    prices: Prices
    labels_at_once: bool  # nothing says when labels came: each counts as known at the time of its event
    of_values: bool  # whether values are predicted: then the cost is how far off they are
    policies: tuple[PolicyResult, ...]  # the simplest first
    hindsight: float  # cost per 1,000 rows, had each week had the policy that was cheapest in it
    verdict: Verdict
    folder: Path  # where the replays are kept

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON takes it, under the same names."""
        found = {**vars(self), "prices": asdict(self.prices), "step": format_duration(self.step)}
        found |= {"policies": [each.to_dict() for each in self.policies], "folder": str(self.folder)}
        return found | {"verdict": asdict(self.verdict)}
