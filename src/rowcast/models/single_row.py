"""One row at a time by LightGBM's own call for that: a tenth of what its Python interface takes."""

import ctypes
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from rowcast.errors import ModelError
from rowcast.models.artifact import Model
from rowcast.models.calibration import Floats
from rowcast.models.validation import RETRAIN

_FLOAT32, _RAW_SCORE = 0, 1  # of LightGBM's C interface


class _Fast:
    """One booster, made ready for single rows; it may be used from several threads."""

    def __init__(self, booster: Any, columns: int, scores: int) -> None:
        from lightgbm.basic import _LIB  # type: ignore[attr-defined]

        self._library = _LIB
        self._booster = booster  # which must live as long as this
        self._config = ctypes.c_void_p()
        self._scores = scores
        iterations = booster.best_iteration if booster.best_iteration > 0 else -1
        made = _LIB.LGBM_BoosterPredictForMatSingleRowFastInit(
            booster._handle,
            _RAW_SCORE,
            0,
            iterations,
            _FLOAT32,
            ctypes.c_int32(columns),
            ctypes.c_char_p(b"num_threads=1"),
            ctypes.byref(self._config),
        )
        if made != 0:
            raise ModelError("the model cannot score", hint=RETRAIN)

    def __call__(self, rows: npt.NDArray[np.float32]) -> Floats:
        """Return the scores, (n, k), of rows (n, f) in C order."""
        found, count = np.empty((len(rows), self._scores)), ctypes.c_int64()
        row, score, counted = rows.ctypes.data, found.ctypes.data, ctypes.byref(count)
        for _ in range(len(rows)):
            done = self._library.LGBM_BoosterPredictForMatSingleRowFast(
                self._config, ctypes.c_void_p(row), counted, ctypes.c_void_p(score)
            )
            if done != 0 or count.value != self._scores:
                raise ModelError("the model cannot score", hint=RETRAIN)
            row, score = row + rows.strides[0], score + found.strides[0]
        return found

    def __del__(self) -> None:
        if self._config:
            self._library.LGBM_FastConfigFree(self._config)


@dataclass(frozen=True)
class SingleRows:
    """The members of a model that are all LightGBM's."""

    model: Model
    members: tuple[_Fast, ...]

    @classmethod
    def of(cls, model: Model) -> Self | None:
        """Return it; None for a model that has others, or classes that were not all seen."""
        if any(member.engine != "lightgbm" or member.order for member in model.members):
            return None
        scores = len(model.classes) if model.kind == "multiclass" else 1
        if any(member.estimator.num_model_per_iteration() != scores for member in model.members):
            return None
        return cls(model, tuple(_Fast(member.estimator, len(model.features), scores) for member in model.members))

    def raw(self, rows: npt.NDArray[np.float32]) -> Floats:
        """Return the same as `Model.raw`, of rows (n, f) with the model's features in their order, C order."""
        several = len(self.members) > 1
        total: Any = 0.0
        for member, fast in zip(self.model.members, self.members, strict=True):
            own = fast(rows)
            own = own if self.model.kind == "multiclass" else own[:, 0]
            total = total + (member.slope * own + self.model.offset(member) if several else own)
        return np.asarray(total / len(self.members), dtype=np.float64)
