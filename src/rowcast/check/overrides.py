"""What the config says of columns today, over what a model's contract learned of them."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from rowcast.check.values import to_text
from rowcast.config import ColumnCheck
from rowcast.contract import ColumnRule, Contract
from rowcast.errors import ConfigError


def apply_overrides(contract: Contract, overrides: Mapping[str, ColumnCheck]) -> Contract:
    """A model's contract with what the config says today: bounds and nullability hold at once, without a retrain."""

    def rule(known: ColumnRule) -> ColumnRule:
        override = overrides.get(known.name, ColumnCheck())
        if override.nullable is not None:
            known = replace(known, nullable=override.nullable)
        if known.kind == "number" and override.min is not None:
            known = replace(known, min=None if override.min == -math.inf else override.min)
        if known.kind == "number" and override.max is not None:
            known = replace(known, max=None if override.max == math.inf else override.max)
        return known

    return Contract(tuple(map(rule, contract.rules)))


def require_applicable(
    contract: Contract, overrides: Mapping[str, ColumnCheck], unreadable: Collection[str] = ()
) -> None:
    """Raise ConfigError where `apply_overrides` would leave out what the config says, since a model learned otherwise.

    Columns that training left out as `unreadable` have no rule, and need none: no model uses them.
    """
    known, in_force_now = {rule.name: rule for rule in contract.rules}, apply_overrides(contract, overrides)
    for name, override in overrides.items():
        if name in unreadable and name not in known:
            continue
        if name not in known:
            raise _not_learned(name, "the model has no rule for this column")
        kind = known[name].kind
        if override.type not in (None, kind):
            raise _not_learned(name, f"type = {override.type!r}, and the model learned a {kind}")
        if override.values is not None and not _is_closed_to(known[name], override.values):
            raise _not_learned(name, "the model learned other 'values'")
        if kind != "number" and (override.min is not None or override.max is not None):
            raise _not_learned(name, f"'min' and 'max' need a number, and the model learned a {kind}")
    for rule in in_force_now.rules:
        if rule.min is not None and rule.max is not None and rule.min > rule.max:
            raise ConfigError(
                f"[check.columns] '{rule.name}': with what was learned, 'min' and 'max' leave no number",
                hint="give both 'min' and 'max'",
                detail=f"they are {rule.min:g} and {rule.max:g}",
                about=rule.name,
            )


def _not_learned(name: str, what: str) -> ConfigError:
    return ConfigError(
        f"[check.columns] '{name}' cannot be applied when scoring: {what}",
        hint="'rowcast retrain' learns it, for the model that is promoted then; or take it out of rowcast.toml",
    )


def _is_closed_to(rule: ColumnRule, values: Iterable[object]) -> bool:
    return rule.closed and rule.categories == tuple(sorted(set(map(to_text, values))))
