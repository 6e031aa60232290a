"""A type on the allow-list, and what the checks of several types share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rowcast.models.validation import MOST_COLUMNS, are_labels, are_texts, is_whole

_MOST_JOBS = 64
_COMMON = ("n_features_in_", "feature_names_in_", "_sklearn_output_config")
_NUMBERWISE = ("absolute", "cbrt", "exp", "expm1", "log", "log10", "log1p", "log2", "sign", "sqrt", "square")
ELEMENTWISE: dict[str, Any] = {f"numpy.{name}": getattr(np, name) for name in ("clip", *_NUMBERWISE)}


@dataclass(frozen=True)
class Known:
    """A type on the allow-list."""

    of: Any
    needed: tuple[str, ...]  # attributes that predicting reads: all of them are there, or none before it is fitted
    is_sound: Callable[[Any], bool]  # whether those of a fitted one fit together
    optional: tuple[str, ...] = ()
    finish: Callable[[Any], object] | None = None  # makes what is not read from files
    parameters: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        names = self.of._get_param_names() if hasattr(self.of, "_get_param_names") else ()
        object.__setattr__(self, "parameters", frozenset(names))

    @property
    def name(self) -> str:
        """The type's module and name."""
        return f"{self.of.__module__}.{self.of.__qualname__}"

    @property
    def kept(self) -> frozenset[str]:
        """The attributes that are read from a file; no other is."""
        return frozenset({*self.parameters, *self.needed, *self.optional, *_COMMON})

    def build(self, values: dict[str, Any]) -> Any:
        """Return an object with these attributes; None where they do not fit together."""
        if not self.parameters <= set(values):
            return None
        made = (
            self.of(**{name: values[name] for name in self.parameters}) if self.parameters else self.of.__new__(self.of)
        )
        found = [attribute in values for attribute in self.needed]
        if not all(found):  # fitting checks the parameters of one that is not fitted yet
            return None if any(found) or not self.parameters else made
        if not self._parameters_are_sound(made):
            return None
        fitted = (*self.needed, *self.optional, *_COMMON)
        vars(made).update({name: values[name] for name in fitted if name in values})
        if not _columns_are_sound(values) or not self.is_sound(made):
            return None
        if self.finish is not None:
            self.finish(made)
        return made

    def _parameters_are_sound(self, made: Any) -> bool:
        """By scikit-learn's own rules for them; a number of threads and a cache on disk would be used."""
        if not hasattr(made, "_parameter_constraints"):
            return True
        jobs = getattr(made, "n_jobs", None)
        if jobs is not None and not (is_whole(jobs, -_MOST_JOBS, _MOST_JOBS) and jobs != 0):
            return False
        if getattr(made, "memory", None) is not None:
            return False
        try:
            made._validate_params()
        except (TypeError, ValueError):
            return False
        return True


def _columns_are_sound(values: dict[str, Any]) -> bool:
    count, names = values.get("n_features_in_"), values.get("feature_names_in_")
    if count is None:
        return names is None or are_texts(names, len(names))
    return is_whole(count, 1, MOST_COLUMNS) and (names is None or are_texts(names, int(count)))


def is_fitted(item: Any, *names: str) -> bool:
    """Whether an object is of one of these types and was fitted; whatever was built and fitted is sound."""
    attributes = set(vars(item)) - set(_COMMON) if hasattr(item, "__dict__") else set()
    fitted = not hasattr(item, "get_params") or any(name.endswith("_") for name in attributes)
    return type(item).__name__ in names and fitted


def are_fitted(items: Any, *names: str) -> bool:
    """Whether these are objects of such types in a list, one at least, that were fitted."""
    return isinstance(items, list) and len(items) > 0 and all(is_fitted(item, *names) for item in items)


def classes_are_counted(item: Any) -> bool:
    """Whether a classifier has labels, and as many as it says."""
    return are_labels(item.classes_) and is_whole(item.n_classes_, len(item.classes_), len(item.classes_))
