"""A linear member as SQL: for each column its share in the raw score, added up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rowcast.models.calibration import Floats
from rowcast.models.estimators import read_weights, scale_inputs
from rowcast.models.matrix import Matrix
from rowcast.translate.dialects import Dialect
from rowcast.translate.rounding import FACTOR, FLOAT32_MAX, Reach, find_least, find_reach, round_to_float32


@dataclass(frozen=True)
class _Scaled:
    """How the regression sees a number that lies within its bounds."""

    low: float  # values below it count as it
    high: float
    mean: float
    scale: float
    input: int  # its place among the inputs of the regression


@dataclass(frozen=True)
class LinearWriter:
    """Writes a linear member whose column `place` is called `names[place]`; a category is its code."""

    dialect: Dialect
    pipeline: Any
    features: tuple[str, ...]
    names: Sequence[str]
    categories: Mapping[int, tuple[str, ...]]  # of the categorical columns, by place

    def write_sums(self) -> list[str]:
        """Return the raw score of each class that the regression tells apart, or the one that it has."""
        weights, intercept = read_weights(self.pipeline)
        columns = [self._write_column(place, weights) for place in range(len(self.features))]
        return [
            " + ".join([*(column[score] for column in columns), self.dialect.number(float(intercept[score]))])
            for score in range(len(weights))
        ]

    def _write_column(self, place: int, weights: Floats) -> list[str]:
        number = self.dialect.number
        if place in self.categories:
            codes = range(len(self.categories[place]))
            shares = self._shares(place, [*map(float, codes), np.nan], weights)
            return [
                self.dialect.case(
                    [(f"{self.names[place]} = {code}", number(share)) for code, share in zip(codes, of, strict=False)],
                    number(of[-1]),
                )
                for of in shares
            ]
        missing, lowest, highest = (self._shares(place, [at], weights)[:, 0] for at in (np.nan, -_FAR, _FAR))
        scaled, name = self._scaled(place), self.names[place]
        if scaled is None:
            return [number(float(share)) for share in missing]
        return [
            self.dialect.case(
                [
                    (f"{name} IS NULL", number(float(missing[score]))),
                    (_compare(self.dialect, name, find_reach(scaled.low)), number(float(lowest[score]))),
                    (
                        f"NOT {_compare(self.dialect, name, find_reach(find_least(scaled.high)))}",
                        number(float(highest[score])),
                    ),
                ],
                self._within(name, scaled, float(own[scaled.input]), float(highest[score])),
            )
            for score, own in enumerate(weights)
        ]

    def _within(self, name: str, scaled: _Scaled, weight: float, highest: float) -> str:
        """The share of a number within its bounds, with what its other inputs add, such as that it is not missing."""
        number = self.dialect.number
        rounded = round_to_float32(name, number(FACTOR))
        more = highest - (scaled.high - scaled.mean) / scaled.scale * weight
        share = f"({rounded} - {number(scaled.mean)}) / {number(scaled.scale)} * {number(weight)}"
        has_more = abs(more) > 1e-12 * max(1.0, abs(highest))
        return f"{share} + {number(more)}" if has_more else share

    def _shares(self, place: int, at: Sequence[float], weights: Floats) -> Floats:
        """Shares (scores, values) of a column in the raw score, where it has these values."""
        values = np.zeros((len(at), len(self.features)), np.float32)
        values[:, place] = at
        known = {self.features[each]: categories for each, categories in self.categories.items()}
        scaled, origin = scale_inputs(self.pipeline, Matrix(values, self.features, known))
        of_column = np.array(origin) == place
        return np.asarray([(scaled[:, of_column] * own[of_column]).sum(axis=1) for own in weights])

    def _scaled(self, place: int) -> _Scaled | None:
        """How a number column is clipped and scaled; None for one that was missing in every row."""
        prepare, scale, _ = (step for _, step in self.pipeline.steps)
        columns = next(list(columns) for name, _, columns in prepare.transformers_ if name == "numbers")
        bounds = prepare.named_transformers_["numbers"][0].kw_args
        of = columns.index(place)
        low, high = float(np.asarray(bounds["a_min"])[of]), float(np.asarray(bounds["a_max"])[of])
        if not (np.isfinite(low) and np.isfinite(high)):
            return None
        of += prepare.output_indices_["numbers"].start
        return _Scaled(low, high, float(scale.mean_[of]), float(scale.scale_[of]), of)


_FAR = FLOAT32_MAX


def _compare(dialect: Dialect, name: str, reach: Reach) -> str:
    if isinstance(reach, bool):
        return "1 = 1" if reach else "1 = 0"
    return f"{name} {reach[0]} {dialect.number(reach[1])}"
