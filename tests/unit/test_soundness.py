"""What a file says of a fitted transformer fits together, or the file is refused: nothing reads beyond its arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from rowcast.errors import ModelError
from rowcast.models.storage import check_storable
from rowcast.models.validation import are_labels, are_texts, is_any_array, is_array, is_finite, is_whole, stay_inside

NUMBERS = np.random.default_rng(1).normal(size=(60, 3))
CODES = np.random.default_rng(2).integers(0, 4, (60, 2)).astype(float)
OUTCOME = NUMBERS[:, 0] > 0


def encoder(**given: Any) -> Any:
    return OneHotEncoder(handle_unknown="ignore", **given).fit(CODES)


def boosted() -> Any:
    return HistGradientBoostingClassifier(max_iter=2).fit(NUMBERS, OUTCOME)


def put(item: Any, name: str, change: Callable[[Any], Any]) -> Any:
    """The item with an attribute changed."""
    setattr(item, name, change(getattr(item, name)))
    return item


SOUND: dict[str, Callable[[], Any]] = {
    "encoder": encoder,
    "encoder of rare categories": lambda: encoder(min_frequency=20),
    "imputer": lambda: SimpleImputer().fit(NUMBERS),
    "components": lambda: PCA(2).fit(NUMBERS),
    "function": lambda: FunctionTransformer(np.clip, kw_args={"a_min": 0.0, "a_max": None}).fit(NUMBERS),
    "histograms": boosted,
}


@pytest.mark.parametrize("name", SOUND)
def test_what_was_fitted_is_sound(name: str) -> None:
    check_storable(SOUND[name]())


BENT: dict[str, Callable[[], Any]] = {
    "a column without categories": lambda: put(encoder(), "categories_", lambda found: found[:1]),
    "a column of no category": lambda: put(encoder(), "categories_", lambda found: [found[0][:0], found[1]]),
    "categories in another order": lambda: put(encoder(), "categories_", lambda found: [found[0][::-1], found[1]]),
    "a category twice": lambda: put(encoder(), "categories_", lambda found: [np.repeat(found[0], 2), found[1]]),
    "missing values before others": lambda: put(
        encoder(), "categories_", lambda found: [np.array([np.nan, 1.0]), found[1]]
    ),
    "rare categories beyond the last": lambda: put(
        encoder(min_frequency=20), "_infrequent_indices", lambda found: [np.array([99]), None]
    ),
    "rare categories of fewer columns": lambda: put(
        encoder(min_frequency=20), "_infrequent_indices", lambda found: found[:1]
    ),
    "rare categories that were not asked for": lambda: put(encoder(), "_infrequent_enabled", lambda found: True),
    "fewer statistics than columns": lambda: put(SimpleImputer().fit(NUMBERS), "statistics_", lambda found: found[:2]),
    "fewer components than counted": lambda: put(PCA(2).fit(NUMBERS), "components_", lambda found: found[:1]),
    "more components than columns": lambda: put(PCA(2).fit(NUMBERS), "n_components_", lambda found: 4),
    "a negative variance": lambda: put(PCA(2).fit(NUMBERS), "explained_variance_", lambda found: -found),
    "a function's other argument": lambda: FunctionTransformer(np.clip, kw_args={"out": NUMBERS}).fit(NUMBERS),
    "no predictors": lambda: put(boosted(), "_predictors", tuple),
    "a stage of more trees": lambda: put(boosted(), "_predictors", lambda found: [[*found[0], *found[1]]]),
    "a score too many": lambda: put(boosted(), "_baseline_prediction", lambda found: np.repeat(found, 2, axis=1)),
    "classes that repeat": lambda: put(boosted(), "classes_", lambda found: found[[0, 0]]),
}


@pytest.mark.parametrize("name", BENT)
def test_what_does_not_fit_together_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="does not fit together"):
        check_storable(BENT[name]())


def test_numbers_have_a_kind_and_bounds() -> None:
    assert is_whole(3, 0, 3)
    assert not any(is_whole(wrong, 0, 3) for wrong in (4, -1, True, 1.0, "1", None))
    assert is_finite(np.float32(1.5))
    assert not any(is_finite(wrong) for wrong in (np.nan, np.inf, "1", None))


def test_arrays_have_a_shape_a_kind_and_bounds() -> None:
    assert is_array(np.zeros((2, 3)), 2, 3, low=0, high=0)
    assert not is_array([0.0, 0.0], 2)
    assert not is_array(np.zeros(2), 3)
    assert not is_array(np.zeros(2, int), 2)
    assert not is_array(np.array([0.0, np.inf]), 2)
    assert not is_array(np.array([0.0, 2.0]), 2, high=1)
    assert is_any_array(1.0, (2,), ())
    assert not is_any_array(np.zeros(3), (2,), ())


def test_labels_are_several_and_none_is_missing_or_there_twice() -> None:
    assert are_labels(np.array(["a", "b"], dtype=object))
    for wrong in (["a"], ["a", "a"], ["a", None], [1.0, np.nan]):
        assert not are_labels(np.array(wrong, dtype=object))
    assert not are_labels(["a", "b"])
    assert not are_labels(np.array([["a", "b"]]))
    assert are_texts(np.array(["a", "b"]), 2)
    assert not are_texts(np.array(["a", 1], dtype=object), 2)
    assert not are_texts(np.array(["a"]), 2)


def test_children_come_after_their_node_and_exist() -> None:
    leaf = np.array([False, True, True])
    right = np.array([2, 0, 0])
    assert stay_inside(np.array([1, 0, 0]), right, leaf)
    for wrong in (0, -1, 3):  # itself, before it, beyond the last
        assert not stay_inside(np.array([wrong, 0, 0]), right, leaf)
