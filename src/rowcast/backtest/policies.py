"""The policies that a backtest compares, as a person names them: when a model is built, and by which rule it serves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal, get_args

from rowcast.config import Gate, Retrain, Settings, parse_duration
from rowcast.errors import UsageError

Kind = Literal["never", "every", "on-drift", "on-loss"]
Rule = Literal["fresh", "better", "proven"]
DEFAULT = "never,every:7d,every:28d,on-drift,on-loss"
_KINDS: tuple[Kind, ...] = get_args(Kind)  # the simplest first
_RULES: tuple[Rule, ...] = get_args(Rule)
_UNITS = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1)), ("s", timedelta(seconds=1)))


@dataclass(frozen=True)
class Policy:
    """When a model is built, and by which rule the gate lets it serve."""

    kind: Kind
    every: timedelta  # between two builds, at least; 0 where there is but one
    rule: Rule | None = None  # of the gate; None: that of the config

    @property
    def name(self) -> str:
        """How a person names it, such as `every:7d`, or `every:7d proven` with a rule that is not the config's."""
        when = f"every:{format_duration(self.every)}" if self.kind == "every" else self.kind
        return when if self.rule is None else f"{when} {self.rule}"

    @property
    def simplicity(self) -> tuple[int, timedelta, str]:
        """By which policies are ordered, the simplest first: that which builds least, looks at least, changes least."""
        return _KINDS.index(self.kind), -self.every, self.rule or ""

    @property
    def lines(self) -> str:
        """The lines of rowcast.toml that ask for it."""
        every = "" if self.kind == "never" else f'\nevery = "{format_duration(self.every)}"'
        gate = "" if self.rule is None else f'\n\n[gate]\nrule = "{self.rule}"'
        return f'[retrain]\npolicy = "{self.kind}"{every}{gate}'

    def apply(self, settings: Settings) -> Settings:
        """Return the settings with this policy in place of their own."""
        retrain = settings.retrain.model_copy(
            update={"policy": self.kind, "every": self.every or settings.retrain.every}
        )
        gate = settings.gate.model_copy(update={"rule": self.rule or settings.gate.rule})
        return settings.model_copy(update={"retrain": retrain, "gate": gate})


def find_own(retrain: Retrain) -> Policy:
    """Return the policy of a config."""
    return Policy(retrain.policy, timedelta(0) if retrain.policy == "never" else retrain.every)


def parse_policies(text: str, retrain: Retrain) -> tuple[Policy, ...]:
    """Return the policies of a list such as 'never,every:28d', each once, the simplest first, the config's among them.

    Raise UsageError for one that is not known.
    """
    found = {_parse(name, retrain) for name in _split(text)}
    return tuple(sorted(found | {find_own(retrain)}, key=lambda policy: policy.simplicity))


def add_rules(policies: Sequence[Policy], text: str, gate: Gate) -> tuple[Policy, ...]:
    """Return these policies also with each rule of a list such as 'better,proven', but `never`, whose gate never rules.

    Raise UsageError for a rule that is not known.
    """
    rules: list[Rule | None] = [None]
    for name in _split(text):
        known = next((rule for rule in _RULES if rule == name), None)
        if known is None:
            raise UsageError(f"there is no rule '{name}'", hint=f"known are {', '.join(_RULES)}")
        if known != gate.rule and known not in rules:
            rules.append(known)
    made = {replace(policy, rule=rule) for policy in policies for rule in rules if policy.kind != "never" or not rule}
    return tuple(sorted(made, key=lambda policy: policy.simplicity))


def _split(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


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
