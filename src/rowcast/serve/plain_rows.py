"""A few rows with nothing odd about them, on a short way: what is odd takes the way that a batch takes.

A row is plain where each value is of its column's kind, and within its bounds. Of such rows data-check changes nothing,
so that both ways give the same scores; a test holds them against each other.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from rowcast.check import FLOAT32_MAX
from rowcast.models.artifact import ModelOutput
from rowcast.models.conformal import Sets
from rowcast.models.single_row import SingleRows
from rowcast.scoring.served_model import ServedModel
from rowcast.serve.columns import KnownColumns
from rowcast.serve.request import SentRows

MOST = 16  # rows: of more, columns at a time are faster


_NUMBERS = frozenset({int, float})


@dataclass(frozen=True)
class PlainRows:
    """What the short way needs of a version."""

    served: ServedModel
    scorer: SingleRows
    names: frozenset[str]
    numbers: tuple[str, ...]
    number_places: npt.NDArray[np.int64]  # of the numbers among the features
    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    categories: tuple[tuple[int, str, Mapping[str | None, int]], ...]  # place, name, codes
    booleans: tuple[tuple[int, str], ...]  # place, name
    ignored: frozenset[str]  # columns that may be there and are not looked at

    @classmethod
    def of(cls, served: ServedModel, known: KnownColumns) -> Self | None:
        """Return it; None for a version that has no short way."""
        rules = {rule.name: rule for rule in served.checked.rules}
        own = [rules[name] for name in served.features]
        scorer = SingleRows.of(served.model)
        if scorer is None or known.times or known.past or served.reading.missing:
            return None
        if any(rule.closed or not rule.nullable for rule in own):
            return None
        numbers = [place for place, rule in enumerate(own) if rule.kind == "number"]
        return cls(
            served=served,
            scorer=scorer,
            names=frozenset(served.features),
            numbers=tuple(own[place].name for place in numbers),
            number_places=np.array(numbers, np.int64),
            low=np.array([max(_or(own[place].min, -math.inf), -FLOAT32_MAX) for place in numbers]),
            high=np.array([min(_or(own[place].max, math.inf), FLOAT32_MAX) for place in numbers]),
            categories=tuple(
                (place, rule.name, {category: code for code, category in enumerate(rule.categories)})
                for place, rule in enumerate(own)
                if rule.kind == "category"
            ),
            booleans=tuple((place, rule.name) for place, rule in enumerate(own) if rule.kind == "boolean"),
            ignored=known.others,
        )

    def score(self, sent: SentRows) -> ModelOutput | None:
        """Return what the model makes of the rows; None where one of them is not plain."""
        values = self._read(sent)
        return None if values is None else self.served.model.decide(self.scorer.raw(values))

    def _read(self, sent: SentRows) -> npt.NDArray[np.float32] | None:
        columns = sent.columns
        if sent.faults or (columns.keys() != self.names and not self._are_named(columns)):
            return None
        found = np.empty((sent.count, len(self.served.features)), np.float32)
        for row in range(sent.count):
            numbers = [columns[name][row] for name in self.numbers]
            if not _NUMBERS.issuperset(map(type, numbers)):
                numbers = [math.nan if value is None else value for value in numbers]
                if not _NUMBERS.issuperset(map(type, numbers)):
                    return None
            try:
                exact = np.array(numbers, np.float64)
            except OverflowError:
                return None
            if ((exact < self.low) | (exact > self.high)).any():
                return None
            found[row, self.number_places] = exact
            for place, name, codes in self.categories:
                value = columns[name][row]
                if type(value) is not str and value is not None:
                    return None
                found[row, place] = codes.get(value, math.nan)  # unknown is as missing
            for place, name in self.booleans:
                value = columns[name][row]
                if type(value) is not bool and value is not None:
                    return None
                found[row, place] = math.nan if value is None else value
        return found

    def _are_named(self, columns: Mapping[str, Any]) -> bool:
        return self.names <= columns.keys() and (columns.keys() - self.names) <= self.ignored


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


class SetTexts:
    """The sets of classes as texts: few are different."""

    def __init__(self, classes: Sequence[Any], how: Sets) -> None:
        self.how = how
        self._classes = classes
        self._known: dict[tuple[bool, ...], tuple[bool, str]] = {}

    def describe(self, found: ModelOutput) -> tuple[list[bool], list[str]]:
        """Return of each row whether it is uncertain, and which classes cannot be ruled out."""
        told = [self._describe(tuple(row)) for row in self.how.sets(found.probability).tolist()]
        return [uncertain for uncertain, _ in told], [text for _, text in told]

    def _describe(self, row: tuple[bool, ...]) -> tuple[bool, str]:
        known = self._known.get(row)
        if known is None:
            labels = [label for label, there in zip(self._classes, row, strict=True) if there]
            known = self._known[row] = (len(labels) != 1, json.dumps(labels, ensure_ascii=False))
        return known
