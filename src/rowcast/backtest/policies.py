"""The policies that a backtest compares, as a person names them: when a model is built, how, and who lets it serve.

Two of them are there to compare with, whatever is asked for: `never`, and `always`, which asks no gate.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal, get_args

from rowcast.config import Retrain, Settings, parse_duration
from rowcast.config.values import check_factory
from rowcast.errors import UsageError

Kind = Literal["never", "every", "on-drift", "on-loss"]
Rule = Literal["fresh", "better", "proven", "always"]
DEFAULT = "never,every:7d,every:28d,on-drift,on-loss"
ALL: Literal["all"] = "all"  # the window that reaches back to the first row
_KINDS: tuple[Kind, ...] = get_args(Kind)  # the simplest first
_RULES: tuple[Rule, ...] = get_args(Rule)
_ANY_GAIN = -1e12  # per row: what is enough for a model that always serves
_UNITS = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1)), ("s", timedelta(seconds=1)))


@dataclass(frozen=True)
class Policy:
    """When a model is built, on which rows and by what, and by which rule the gate lets it serve."""

    kind: Kind
    every: timedelta  # between two builds, at least; 0 where there is but one
    rule: Rule | None = None  # of the gate; None, here and below: that of the config
    window: timedelta | Literal["all"] | None = None  # how far back training rows go
    estimator: str | None = None

    @property
    def name(self) -> str:
        """How a person names it, such as `every:7d`, or `every:7d proven` with a rule that is not the config's."""
        when = f"every:{format_duration(self.every)}" if self.kind == "every" else self.kind
        if self.rule == "always" and self.kind == "every":
            when = f"always:{format_duration(self.every)}"
        elif self.rule is not None:
            when = f"{when} {self.rule}"
        return " ".join(part for part in (when, *self._how()) if part)

    def _how(self) -> tuple[str, str]:
        window = "" if self.window is None else f"window:{_format_window(self.window)}"
        return window, self.estimator or ""

    @property
    def is_yardstick(self) -> bool:
        """Whether it is there to compare with alone: no config asks for it."""
        return self.rule == "always"

    @property
    def simplicity(self) -> tuple[Any, ...]:
        """By which policies are ordered, the simplest first: that which builds least, looks at least, changes least."""
        changes = (self.rule or "", *self._how())
        return _KINDS.index(self.kind), -self.every, sum(map(bool, changes)), changes

    @property
    def lines(self) -> str:
        """The lines of rowcast.toml that ask for it."""
        every = "" if self.kind == "never" else f'\nevery = "{format_duration(self.every)}"'
        gate = "" if self.rule is None or self.is_yardstick else f'\n\n[gate]\nrule = "{self.rule}"'
        window = "" if self.window is None else f'window = "{_format_window(self.window)}"\n'
        if self.window == ALL:
            window = "# without 'window'\n"
        estimator = "" if self.estimator is None else f'estimator = "{self.estimator}"\n'
        model = f"\n\n[model]\n{window}{estimator}".rstrip() if window or estimator else ""
        return f'[retrain]\npolicy = "{self.kind}"{every}{gate}{model}'

    def apply(self, settings: Settings) -> Settings:
        """Return the settings with this policy in place of their own."""
        every = self.every or settings.retrain.every
        retrain = settings.retrain.model_copy(update={"policy": self.kind, "every": every})
        gate = settings.gate.model_copy(update={"rule": self.rule or settings.gate.rule})
        if self.is_yardstick:
            gate = gate.model_copy(update={"rule": "better", "min_gain": _ANY_GAIN, "watch_days": 0})
        window = settings.model.window if self.window is None else None if self.window == ALL else self.window
        about = {"window": window, "estimator": self.estimator or settings.model.estimator}
        return settings.model_copy(
            update={"retrain": retrain, "gate": gate, "model": settings.model.model_copy(update=about)}
        )


NEVER = Policy("never", timedelta(0))


@dataclass(frozen=True)
class Variations:
    """What each policy is also tried with, one at a time: names, parted by commas."""

    rules: str = ""
    windows: str = ""
    estimators: str = ""


def find_own(retrain: Retrain) -> Policy:
    """Return the policy of a config."""
    return Policy(retrain.policy, timedelta(0) if retrain.policy == "never" else retrain.every)


def parse_policies(text: str, retrain: Retrain) -> tuple[Policy, ...]:
    """Return the policies of a list such as 'never,every:28d', each once, the simplest first.

    Among them always are the config's own, `never` and `always`. Raise UsageError for one that is not known.
    """
    found = {_parse(name, retrain) for name in _split(text)}
    return _in_order(found | {find_own(retrain), NEVER, _parse("always", retrain)})


def vary_policies(policies: Sequence[Policy], variations: Variations, settings: Settings) -> tuple[Policy, ...]:
    """Return these policies also with each rule of the gate, each window and each estimator that is named.

    `never`, whose gate never rules, is tried with no other rule, and `always` with no other. Raise UsageError for what
    is not known.
    """
    rules = {_parse_rule(name) for name in _split(variations.rules)} - {settings.gate.rule}
    windows = {_parse_window(name) for name in _split(variations.windows)} - {settings.model.window or ALL}
    estimators = {_parse_estimator(name) for name in _split(variations.estimators)} - {settings.model.estimator}
    changes: list[dict[str, Any]] = [{"rule": each} for each in rules]
    changes += [*({"window": each} for each in windows), *({"estimator": each} for each in estimators)]
    made = {
        replace(policy, **change)
        for policy in policies
        for change in changes
        if not policy.is_yardstick and (policy.kind != "never" or "rule" not in change)
    }
    return _in_order({*policies, *made})


def _in_order(policies: Iterable[Policy]) -> tuple[Policy, ...]:
    return tuple(sorted(policies, key=lambda policy: policy.simplicity))


def _split(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _parse(name: str, retrain: Retrain) -> Policy:
    named, _, given = name.partition(":")
    rule: Rule | None = "always" if named == "always" else None
    known = next((each for each in _KINDS if each == ("every" if rule else named)), None)
    if known is None or (given and known != "every"):
        raise UsageError(
            f"there is no policy '{name}'",
            hint="known are never, every, every:28d (or any other duration), always, always:28d, on-drift, on-loss",
        )
    try:
        every = parse_duration(given) if given else retrain.every
    except ValueError as error:
        raise UsageError(f"'{name}': {error}") from None
    if not every:
        raise UsageError(f"'{name}' leaves no time between two builds", hint="every:7d, for example")
    return Policy(known, timedelta(0) if known == "never" else every, rule)


def _parse_rule(name: str) -> Rule:
    for rule in _RULES:
        if rule == name:
            return rule
    raise UsageError(f"there is no rule '{name}'", hint=f"known are {', '.join(_RULES)}")


def _parse_window(name: str) -> timedelta | Literal["all"]:
    if name == ALL:
        return ALL
    try:
        window = parse_duration(name)
    except ValueError as error:
        raise UsageError(f"--windows '{name}': {error}") from None
    if not window:
        raise UsageError(f"--windows '{name}' holds no row", hint="90d, for example, or all")
    return window


def _parse_estimator(name: str) -> str:
    try:
        return check_factory(name)
    except ValueError as error:
        raise UsageError(f"--estimators '{name}': {error}") from None


def _format_window(window: timedelta | Literal["all"]) -> str:
    return ALL if window == ALL else format_duration(window)


def format_duration(duration: timedelta) -> str:
    """Return a duration as rowcast.toml writes it, such as 7d or 36h."""
    unit, length = next(((unit, length) for unit, length in _UNITS if not duration % length), _UNITS[-1])
    return f"{duration / length:g}{unit}"
