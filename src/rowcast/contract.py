"""What a row must look like: one rule per column, kept with the model version that it was learned for."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["number", "category", "boolean"]


@dataclass(frozen=True)
class ColumnRule:
    """The rule for one column. A bound or list that is None is not checked."""

    name: str
    kind: Kind
    nullable: bool = True  # False only where the config says so
    min: float | None = None
    max: float | None = None
    categories: tuple[str, ...] = ()  # known ones, sorted; the position is the code that the model sees
    closed: bool = False  # True only where the config lists values: then an unknown category breaks the contract


@dataclass(frozen=True)
class Contract:
    """The rules of all candidate columns, in the source's column order."""

    rules: tuple[ColumnRule, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(rule.name for rule in self.rules)

    def select(self, names: Iterable[str]) -> "Contract":
        """The rules of just these columns, in the order asked for. Raises KeyError for an unknown name."""
        by_name = {rule.name: rule for rule in self.rules}
        return Contract(tuple(by_name[name] for name in names))

    def to_json(self) -> str:
        return json.dumps([asdict(rule) for rule in self.rules], ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Contract":
        def rule(values: dict[str, Any]) -> ColumnRule:
            return ColumnRule(**{**values, "categories": tuple(values["categories"])})

        return cls(tuple(rule(values) for values in json.loads(text)))

    def sha256(self) -> str:
        return hashlib.sha256(self.to_json().encode()).hexdigest()


@dataclass(frozen=True)
class Misfit:
    """A value that does not fit its column's type: the batch holds NULL in its place."""

    row: int  # index in the batch
    column: str
    value: str  # the original, as text


@dataclass(frozen=True)
class Failure:
    """One reason why a row breaks the contract."""

    row: int  # index in the batch
    column: str
    rule: str  # type, finite, min, max, null or category
    value: object  # as the source holds it
    limit: object = None  # what the rule allows, where it can be said
