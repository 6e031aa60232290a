"""A model fitted elsewhere comes in by its file, and nothing that could run code does."""

import pickle
import re
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

from rowcast.errors import ModelError
from rowcast.models.estimators import raw_scores
from rowcast.models.imported import ImportedEstimator, read_estimator
from rowcast.models.matrix import Matrix

RANDOM = np.random.default_rng(0)
VALUES = RANDOM.normal(size=(300, 3)).astype(np.float32)
FRAME = pd.DataFrame(VALUES, columns=["s1", "s2", "s3"], dtype=np.float64)
ROWS = Matrix(VALUES, ("s1", "s2", "s3"), {})
FAILED = VALUES[:, 0] > 0.5
SPELLED = np.where(FAILED, "fail", "pass")


def file(tmp_path: Path, estimator: Any) -> Path:
    path = tmp_path / "model.skops"
    skops.io.dump(estimator, path)
    return path


def booster(path: Path, objective: str, label: np.ndarray, **more: Any) -> Path:
    parameters = {"objective": objective, "verbosity": -1, "num_threads": 1, **more}
    names: Any = more.pop("names", ["s1", "s2", "s3"])
    data = lightgbm.Dataset(
        VALUES, np.ascontiguousarray(label), feature_name=names, categorical_feature=more.pop("categories", [])
    )
    lightgbm.train(parameters, data, num_boost_round=5).save_model(path)
    return path


def imported(path: Path, kind: Any = "binary", classes: tuple[Any, ...] = ("pass", "fail")) -> ImportedEstimator:
    return read_estimator(path.name, path.read_bytes(), kind, classes)


def scores(found: ImportedEstimator, kind: Any = "binary", classes: int = 2) -> np.ndarray:
    return raw_scores(found.engine, found.estimator, ROWS, 1, kind, classes, found.order)


@pytest.mark.parametrize("classes", [("pass", "fail"), ("fail", "pass")])
def test_a_classifiers_own_labels_say_which_is_which(tmp_path: Path, classes: tuple[str, str]) -> None:
    estimator = LogisticRegression().fit(FRAME, SPELLED)
    found = imported(file(tmp_path, estimator), classes=classes)
    assert found.features == ("s1", "s2", "s3")
    positive = estimator.predict_proba(FRAME)[:, list(estimator.classes_).index(classes[1])]
    np.testing.assert_allclose(1 / (1 + np.exp(-scores(found))), positive, atol=1e-5)


def test_several_classes_come_in_their_own_order(tmp_path: Path) -> None:
    label = np.array(["void", "ok", "edge"])[(VALUES[:, 0] > 0).astype(int) + (VALUES[:, 1] > 0.5)]
    estimator = RandomForestClassifier(20, random_state=0).fit(FRAME, label)
    classes = ("ok", "edge", "void")
    found = imported(file(tmp_path, estimator), "multiclass", classes)
    likely = np.array(classes)[scores(found, "multiclass", 3).argmax(axis=1)]
    assert (likely == estimator.predict(FRAME)).mean() > 0.99  # but for ties
    coded = np.array([sorted(classes).index(name) for name in label])
    found = imported(booster(tmp_path / "m.txt", "multiclass", coded, num_class=3), "multiclass", classes)
    likely = np.array(classes)[scores(found, "multiclass", 3).argmax(axis=1)]
    assert (likely == label).mean() > 0.9


def test_lightgbm_comes_in_by_its_text(tmp_path: Path) -> None:
    found = imported(booster(tmp_path / "model.txt", "binary", FAILED.astype(float)))
    assert (found.engine, found.features) == ("lightgbm", ("s1", "s2", "s3"))
    assert ((scores(found) > 0) == FAILED).mean() > 0.95
    found = imported(booster(tmp_path / "model.txt", "regression", VALUES[:, 0]), "regression", ())
    assert np.corrcoef(scores(found, "regression"), VALUES[:, 0])[0, 1] > 0.7


def test_a_pickle_is_refused_with_the_way_to_convert_it(tmp_path: Path) -> None:
    estimator = LogisticRegression().fit(FRAME, SPELLED)
    ways: list[tuple[str, Any]] = [(str(protocol), protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for name, protocol in ways:
        path = tmp_path / f"{name}.pkl"
        path.write_bytes(pickle.dumps(estimator, protocol))
        with pytest.raises(ModelError, match="is a pickle") as caught:
            imported(path)
        assert "skops.io.dump" in caught.value.hint
    for compress in (0, ("zlib", 3), ("gzip", 3), ("bz2", 3), ("xz", 3)):
        joblib.dump(estimator, tmp_path / "model.joblib", compress=compress)
        with pytest.raises(ModelError, match="is a pickle"):
            imported(tmp_path / "model.joblib")


class Mine(LogisticRegression):
    """A class of a user's own."""


def test_what_is_not_on_the_allow_list_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"test_imported\.Mine, which is not on the allow-list"):
        imported(file(tmp_path, Mine().fit(FRAME, SPELLED)))


def test_lightgbm_text_that_leaves_its_arrays_is_refused(tmp_path: Path) -> None:
    path = booster(tmp_path / "model.txt", "binary", FAILED.astype(float))
    path.write_text(re.sub(r"^split_feature=\d+", "split_feature=9", path.read_text(), count=1, flags=re.MULTILINE))
    with pytest.raises(ModelError, match="a column that there is not"):
        imported(path)


def test_a_model_of_something_else_is_refused_by_what_it_is(tmp_path: Path) -> None:
    wrong = LogisticRegression().fit(FRAME, np.where(FAILED, "bad", "good"))
    with pytest.raises(ModelError, match="tells other classes apart"):
        imported(file(tmp_path, wrong))
    with pytest.raises(ModelError, match="holds a LinearRegression, and \\[task\\] kind is binary"):
        imported(file(tmp_path, LinearRegression().fit(FRAME, FAILED)))
    with pytest.raises(ModelError, match="trained for 'regression', and \\[task\\] kind is binary"):
        imported(booster(tmp_path / "model.txt", "regression", FAILED.astype(float)))


def test_a_model_that_does_not_name_its_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not name its columns"):
        imported(file(tmp_path, LogisticRegression().fit(VALUES, SPELLED)))
    with pytest.raises(ModelError, match="does not name its columns"):
        imported(booster(tmp_path / "model.txt", "binary", FAILED.astype(float), names="auto"))


def test_something_else_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("hello")
    with pytest.raises(ModelError, match="neither LightGBM's text nor a skops file"):
        imported(tmp_path / "readme.txt")
