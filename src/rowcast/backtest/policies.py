"""The retraining policies that a backtest compares, as a person names them."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, get_args

from rowcast.config import Retrain, parse_duration
from rowcast.errors import UsageError

Kind = Literal["never", "every", "on-drift", "on-loss"]
DEFAULT = "never,every:7d,every:28d,on-drift,on-loss"
_KINDS: tuple[Kind, ...] = get_args(Kind)  # the simplest first
_UNITS = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1)), ("s", timedelta(seconds=1)))


@dataclass(frozen=True)
class Policy:
    """When a model is built."""

    kind: Kind
    every: timedelta  # between two builds, at least; 0 where there is but one

    @property
    def name(self) -> str:
        """How a person names it, such as `every:7d`."""
        return f"every:{format_duration(self.every)}" if self.kind == "every" else self.kind

    @property
    def simplicity(self) -> tuple[int, timedelta]:
        """By which policies are ordered, the simplest first: that which builds least, and looks at least."""
        return _KINDS.index(self.kind), -self.every

    @property
    def lines(self) -> str:
        """The lines of rowcast.toml that ask for it."""
        every = "" if self.kind == "never" else f'\nevery = "{format_duration(self.every)}"'
        return f'[retrain]\npolicy = "{self.kind}"{every}'

    def apply(self, retrain: Retrain) -> Retrain:
        """Return the section with this policy in place of its own."""
        return retrain.model_copy(update={"policy": self.kind, "every": self.every or retrain.every})


def find_own(retrain: Retrain) -> Policy:
    """Return the policy of a config."""
    return Policy(retrain.policy, timedelta(0) if retrain.policy == "never" else retrain.every)


def parse_policies(text: str, retrain: Retrain) -> tuple[Policy, ...]:
    """Return the policies of a list such as 'never,every:28d', each once, the simplest first, the config's among them.

    Raise UsageError for one that is not known.
    """
    found = {_parse(name.strip(), retrain) for name in text.split(",") if name.strip()}
    return tuple(sorted(found | {find_own(retrain)}, key=lambda policy: policy.simplicity))


def _parse(name: str, retrain: Retrain) -> Policy:
    kind, _, given = name.partition(":")
    known = next((each for each in _KINDS if each == kind), None)
    if known is None or (given and known != "every"):
        raise UsageError(
            f"there is no policy '{name}'",
            hint="known are never, every, every:28d (or any other duration), on-drift, on-loss",
        )
    try:
        every = parse_duration(given) if given else retrain.every
    except ValueError as error:
        raise UsageError(f"'{name}': {error}") from None
    if not every:
        raise UsageError(f"'{name}' leaves no time between two builds", hint="every:7d, for example")
    return Policy(known, timedelta(0) if known == "never" else every)


def format_duration(duration: timedelta) -> str:
    """Return a duration as rowcast.toml writes it, such as 7d or 36h."""
    unit, length = next(((unit, length) for unit, length in _UNITS if not duration % length), _UNITS[-1])
    return f"{duration / length:g}{unit}"
