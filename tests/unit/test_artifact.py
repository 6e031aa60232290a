"""A model's bytes bring back the same model, and nothing else."""

import hashlib
import io
import json
import os
import pickle
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import lightgbm
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from rowcast.contract import ColumnRule, Contract
from rowcast.errors import ModelError
from rowcast.fit.candidates.boosted_trees import fit_boosted_trees
from rowcast.fit.candidates.linear import fit_linear
from rowcast.models import storage
from rowcast.models.artifact import Member, Model
from rowcast.models.calibration import Identity, Isotonic, Sigmoid, Softmax
from rowcast.models.decision import Costs
from rowcast.models.estimators import Engine, raw_contributions, raw_scores, to_frame
from rowcast.models.lightgbm_text import parse_trees, write_trees
from rowcast.models.matrix import Matrix
from rowcast.models.storage import check_storable
from rowcast.models.target import Target
from rowcast.past import HistoryColumn, LabelMeaning

RANDOM = np.random.default_rng(0)
KNOWN = ("a", "b", 'ä "quoted"', "d", "e")


def rows(count: int = 300) -> Matrix:
    values = RANDOM.normal(size=(count, 5))
    values[RANDOM.random(values.shape) < 0.1] = np.nan
    values[:, 3] = np.where(RANDOM.random(count) < 0.1, np.nan, RANDOM.integers(0, 5, count))
    return Matrix(values.astype(np.float32), ("s1", "s2", "s3", "tool", "s4"), {"tool": KNOWN})


ROWS = rows()
OUTCOME = (np.nan_to_num(ROWS.values[:, 0]) > 0.3) ^ (ROWS.values[:, 3] == 2)
CONTRACT = Contract(
    tuple(
        ColumnRule(name, "category" if name == "tool" else "number", categories=KNOWN if name == "tool" else ())
        for name in ("unused", "s4", *ROWS.names[:4])
    )
)


def binary(outcome: np.ndarray) -> Target:
    return Target("binary", outcome, (-1, 1))


def model(engine: Engine, estimator: Any, features: tuple[str, ...] = ROWS.names, **other: Any) -> Model:
    usual = {"s1": [-1.5, 1.5], "tool": {"ä": 0.2}}
    given = {"calibration": Sigmoid(0.7, -1.2), "threshold": 0.1 + 0.2, "classes": (-1, 1), "kind": "binary"}
    given |= {"members": (Member(engine, estimator),), "reference_ranges": usual, **other}
    return Model(features=features, contract=CONTRACT, **given)


def linear() -> Model:
    return model("linear", fit_linear(ROWS, binary(OUTCOME), 10).estimator)


def trees() -> Model:
    return model("lightgbm", fit_boosted_trees(ROWS, binary(OUTCOME), 0).estimator)


def theirs(estimator: Any, numbers: bool = True) -> Model:
    """A user's estimator, fitted on the numbers without missing values, or on all there is."""
    names = ("s1", "s2", "s3") if numbers else ROWS.names
    frame = to_frame(ROWS.select(names))
    return model("sklearn", estimator.fit(frame.fillna(0) if numbers else frame, OUTCOME.astype(int)), names)


def filled(of: Matrix) -> Matrix:
    return Matrix(np.nan_to_num(of.values), of.names, of.categories)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def load(data: bytes) -> Model:
    return Model.from_bytes(data, sha(data))


def _estimators() -> dict[str, Callable[[], Any]]:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.decomposition import PCA
    from sklearn.ensemble import (
        BaggingClassifier,
        ExtraTreesClassifier,
        GradientBoostingClassifier,
        HistGradientBoostingClassifier,
        RandomForestClassifier,
        VotingClassifier,
    )
    from sklearn.feature_selection import SelectKBest, chi2, f_classif, mutual_info_classif
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    text = OneHotEncoder(handle_unknown="ignore")
    clip = FunctionTransformer(np.clip, kw_args={"a_min": -1.0, "a_max": 1.0})
    logistic = LogisticRegression()
    return {
        "columns": lambda: make_pipeline(
            make_column_transformer(
                (numbers, make_column_selector(dtype_include="number")), (text, make_column_selector("tool"))
            ),
            logistic,
        ),
        "named columns": lambda: make_pipeline(
            make_column_transformer((numbers, ["s1", "s4"]), (text, ["tool"])), logistic
        ),
        "forest": lambda: RandomForestClassifier(10, random_state=0),
        "extra trees": lambda: ExtraTreesClassifier(10, random_state=0),
        "histogram": lambda: HistGradientBoostingClassifier(max_iter=10),
        "boosting": lambda: GradientBoostingClassifier(n_estimators=10),
        "bagging": lambda: BaggingClassifier(n_estimators=5, max_features=2, random_state=0),
        "voting": lambda: VotingClassifier([("a", logistic), ("b", RandomForestClassifier(3))], voting="soft"),
        "calibrated": lambda: CalibratedClassifierCV(RandomForestClassifier(3)),
        "isotonic": lambda: CalibratedClassifierCV(logistic, method="isotonic"),
        "best of F": lambda: make_pipeline(clip, SelectKBest(f_classif, k=2), PCA(1), logistic),
        "best of chi2": lambda: make_pipeline(MinMaxScaler(), SelectKBest(chi2, k=2), logistic),
        "best of information": lambda: make_pipeline(SelectKBest(mutual_info_classif, k=2), logistic),
        "perceptron": lambda: MLPClassifier((3,), max_iter=1000, tol=1e-2, random_state=0),
    }


ESTIMATORS = list(_estimators())


def built(name: str) -> Model:
    return theirs(_estimators()[name](), numbers=name not in ("columns", "named columns"))


# The same model


@pytest.mark.parametrize("make", [linear, trees], ids=["linear", "lightgbm"])
def test_the_bytes_bring_back_the_same_model(make: Callable[[], Model]) -> None:
    before = make()
    after = load(before.to_bytes())
    for name in ("kind", "features", "contract", "calibration", "threshold", "classes", "reference_ranges"):
        assert getattr(after, name) == getattr(before, name)
    new = rows(100)
    np.testing.assert_allclose(after.score(new).score, before.score(new).score, rtol=0, atol=1e-12)
    np.testing.assert_allclose(after.contributions(new), before.contributions(new), rtol=0, atol=1e-12)
    assert after.to_bytes() == before.to_bytes()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_of_scikit_learn_come_back_the_same(name: str) -> None:
    before = built(name)
    after = load(before.to_bytes())
    new = rows(50) if "columns" in name else filled(rows(50))
    np.testing.assert_allclose(after.score(new).score, before.score(new).score, rtol=0, atol=1e-12)
    assert after.contributions(new) is None


def test_equal_models_have_equal_bytes_in_every_process() -> None:
    code = (
        "import sys; sys.path.insert(0, 'tests/unit')\n"
        "import test_artifact as t\n"
        "print(t.sha(t.linear().to_bytes()), t.sha(t.trees().to_bytes()))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    folder = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    printed = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=folder, capture_output=True, text=True, check=True
    )
    assert printed.stdout.split() == [sha(linear().to_bytes()), sha(trees().to_bytes())]


def test_isotonic_calibration_text_classes_and_odd_names_survive() -> None:
    before = model(
        "lightgbm",
        trees().members[0].estimator,
        calibration=Isotonic((-1.5, 0.1 + 0.2), (0.01, 0.7)),
        classes=("gut", "Ausschuß"),
    )
    after = load(before.to_bytes())
    assert (after.calibration, after.classes) == (before.calibration, before.classes)


# Scores


@pytest.mark.parametrize("make", [linear, trees, lambda: built("columns")], ids=["linear", "lightgbm", "sklearn"])
def test_neither_batch_size_nor_threads_nor_column_order_change_a_score(make: Callable[[], Model]) -> None:
    of, new = make(), rows(200)
    whole = of.score(new).score
    single = np.concatenate([of.score(new.take(np.array([row]))).score for row in range(200)])
    assert np.abs(single - whole).max() < 1e-9
    assert np.abs(of.score(new, num_threads=2).score - whole).max() < 1e-9
    turned = new.select(new.names[::-1])
    np.testing.assert_array_equal(of.score(turned).score, whole)
    if of.members[0].engine != "sklearn":
        np.testing.assert_array_equal(of.contributions(turned), of.contributions(new))
    assert of.score(new.take(np.array([], dtype=int))).score.shape == (0,)


def test_scores_are_probabilities_of_the_calibration() -> None:
    of = linear()
    raw = of.members[0].estimator.decision_function(ROWS.values)
    np.testing.assert_allclose(of.score(ROWS).score, 1 / (1 + np.exp(-(0.7 * raw - 1.2))), rtol=0, atol=1e-12)


@pytest.mark.parametrize("make", [linear, trees], ids=["linear", "lightgbm"])
def test_contributions_add_up_to_the_raw_score(make: Callable[[], Model]) -> None:
    of = make()
    contributions = of.contributions(ROWS)
    assert contributions is not None
    assert contributions.shape == (300, 5)
    raw = of.raw(ROWS)
    rest = raw - contributions.sum(axis=1)
    assert np.abs(rest - rest[0]).max() < 1e-9
    assert np.abs(contributions).mean(axis=0).argmax() == 0


def test_linear_contributions_are_coefficient_times_distance_from_the_mean() -> None:
    values = RANDOM.normal(size=(500, 2)).astype(np.float32)
    of = Matrix(values, ("s1", "s2"), {})
    fitted = fit_linear(of, binary(values[:, 0] > 0), 10).estimator
    shares = raw_contributions("linear", fitted, of)
    low, high = np.nanquantile(values.astype(float), (0.005, 0.995), axis=0)
    clipped = np.clip(values, low, high)
    scaled = (clipped - clipped.mean(axis=0)) / clipped.std(axis=0)
    np.testing.assert_allclose(shares, scaled * fitted[-1].coef_[0], atol=1e-6)


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ModelError, match="needs column 's2', which the rows lack") as caught:
        linear().score(ROWS.select(("s1", "s3", "tool", "s4")))
    assert "retrain" in caught.value.hint


def test_categories_in_another_order_are_refused_instead_of_scored_wrongly() -> None:
    turned = Matrix(ROWS.values, ROWS.names, {"tool": KNOWN[::-1]})
    for other in (turned, Matrix(ROWS.values, ROWS.names, {})):
        with pytest.raises(ModelError, match="'tool' is coded differently"):
            trees().score(other)


# Bytes that were changed


@pytest.mark.parametrize("place", [0, 100, -1])
def test_a_changed_byte_is_refused(place: int) -> None:
    data = linear().to_bytes()
    changed = bytearray(data)
    changed[place] ^= 1
    with pytest.raises(ModelError, match="bytes were changed") as caught:
        Model.from_bytes(bytes(changed), sha(data))
    assert "rowcast promote V" in caught.value.hint
    assert Model.from_bytes(data, sha(data).upper()).kind == "binary"


def parts_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    "broken",
    [
        lambda parts: b"",
        lambda parts: b"no zip at all",
        lambda parts: zipped({}),
        lambda parts: zipped({**parts, "model.json": b"{"}),
        lambda parts: zipped({**parts, "model.json": b"[]"}),
        lambda parts: zipped({**parts, "model.json": b"[" * 100_000}),
        lambda parts: zipped({**parts, "model.json": parts["model.json"].replace(b'"linear"', b'"pickle"')}),
        lambda parts: zipped({**parts, "model.json": parts["model.json"].replace(b'"linear"', b'"lightgbm"')}),
        lambda parts: zipped({**parts, "model.json": parts["model.json"].replace(b'"s1"', b'"nowhere"', 1)}),
        lambda parts: zipped({**parts, "model.json": parts["model.json"].replace(b'"slope": 0.7', b'"slope": -1')}),
        lambda parts: zipped({**parts, "0.skops": b"PK"}),
        lambda parts: zipped({**parts, "0.skops": zipped({"schema.json": b"{}"})}),
        lambda parts: zipped({**parts, "more.pkl": b""}),
    ],
)
def test_malformed_bytes_are_refused(broken: Callable[[dict[str, bytes]], bytes]) -> None:
    with pytest.raises(ModelError) as caught:
        load(broken(parts_of(linear().to_bytes())))
    assert "\n" not in caught.value.what
    assert caught.value.hint


def test_columns_of_the_past_are_stored_with_the_model_that_uses_them() -> None:
    model = trees()
    name = model.features[0]
    past = HistoryColumn("failed", ("tool",), "last", 5, "mean", 7, LabelMeaning("is", "1"))
    renamed = replace(
        model,
        features=(past.name, *model.features[1:]),
        contract=Contract(tuple(replace(r, name=past.name) if r.name == name else r for r in model.contract.rules)),
        past=(past,),
        reference_ranges={},
    )
    assert load(renamed.to_bytes()).past == (past,)
    with pytest.raises(ModelError, match="do not fit"):
        load(replace(model, past=(past,)).to_bytes())


def test_a_newer_format_says_to_upgrade() -> None:
    parts = parts_of(trees().to_bytes())
    with pytest.raises(ModelError, match="format 4") as caught:
        load(zipped({**parts, "model.json": parts["model.json"].replace(b'"format": 2', b'"format": 4')}))
    assert caught.value.hint == "upgrade rowcast"


@pytest.mark.parametrize("deep", [False, True], ids=["outer", "inner"])
def test_a_zip_bomb_is_refused_before_it_unpacks(deep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = parts_of(linear().to_bytes())
    monkeypatch.setattr(storage, "MAX_PART_BYTES", 4_000_000)
    bomb = b"\0" * 5_000_000
    inner = {**parts_of(parts["0.skops"]), "zeros.npy": bomb}
    data = zipped({**parts, "0.skops": zipped(inner)} if deep else {**parts, "zeros": bomb})
    assert len(data) < 500_000
    with pytest.raises(ModelError, match="unpack to more than"):
        load(data)


# A file that wants to run code


class Mine:
    """A class of a user's own."""

    def predict(self, frame: Any) -> Any:
        return np.zeros(len(frame))


class Bomb:
    """Runs code when unpickled."""

    def __reduce__(self) -> Any:
        return (os.system, ("touch /tmp/rowcast-was-here",))


def test_a_users_own_class_is_refused_when_it_is_saved() -> None:
    with pytest.raises(ModelError, match=r"test_artifact\.Mine, which is not on the allow-list") as caught:
        model("sklearn", Mine()).to_bytes()
    assert "scikit-learn's own classes" in caught.value.hint


@pytest.mark.parametrize(
    ("planted", "named"),
    [
        (lambda: Mine(), r"Mine"),
        (lambda: _transformer(os.system), r"system"),
        (lambda: _transformer(eval), r"eval"),
        (lambda: _transformer(subprocess.run), r"subprocess\.run"),
        (lambda: _transformer(np.load), r"numpy\.load"),
        (lambda: _transformer(Mine().predict), r"Mine"),
    ],
)
def test_a_forbidden_type_is_refused_by_name_when_it_is_loaded(planted: Callable[[], Any], named: str) -> None:
    import skops.io

    parts = parts_of(linear().to_bytes())
    with pytest.raises(ModelError, match=rf"{named}.* is not on the allow-list"):
        load(zipped({**parts, "0.skops": skops.io.dumps(planted())}))


def _transformer(function: Any) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    return make_pipeline(FunctionTransformer(function), LogisticRegression())


def test_a_pickle_is_never_unpickled() -> None:
    marker = "/tmp/rowcast-was-here"
    pickled = pickle.dumps(Bomb())
    objects = io.BytesIO()
    np.save(objects, np.array([Bomb()], dtype=object), allow_pickle=True)
    parts = parts_of(linear().to_bytes())
    inner = parts_of(parts["0.skops"])
    arrays = {name: objects.getvalue() if name.endswith(".npy") else content for name, content in inner.items()}
    for data in (
        pickled,
        zipped({**parts, "0.skops": pickled}),
        zipped({**parts, "model.json": pickled}),
        zipped({**parts, "0.skops": zipped(arrays)}),
        zipped({**parts, "estimator.pkl": pickled}),
    ):
        with pytest.raises(ModelError):
            load(data)
        assert not os.path.exists(marker)
    assert sum(name.endswith(".npy") for name in inner) > 3


def test_lightgbm_inside_a_pipeline_is_refused_with_the_way_out() -> None:
    import lightgbm
    from sklearn.pipeline import make_pipeline

    with pytest.raises(ModelError, match="lightgbm") as caught:
        theirs(make_pipeline(lightgbm.LGBMClassifier(n_estimators=2, verbose=-1))).to_bytes()
    assert "LGBMClassifier itself" in caught.value.hint


# Several classes, values, several estimators


def several(estimator: Any, engine: Engine = "sklearn") -> Model:
    costs = Costs(missed=20, false_alarm=1)
    return model(
        engine,
        estimator,
        kind="multiclass",
        calibration=Softmax(0.9, (0.0, 0.2, -0.1)),
        classes=("ok", "scratch", "void"),
        threshold=None,
        costs=costs,
    )


PLACE = (ROWS.values[:, 3] == 2) + 2 * (np.nan_to_num(ROWS.values[:, 0]) > 1)
PLACE = np.minimum(PLACE, 2).astype(int)


def _boosted(objective: str, label: np.ndarray, **more: Any) -> Any:
    parameters = {"objective": objective, "verbosity": -1, "num_threads": 1, "deterministic": True, **more}
    data = lightgbm.Dataset(ROWS.values, label, categorical_feature=[3], params=parameters)
    return lightgbm.train(parameters, data, num_boost_round=10)


def test_several_classes_are_decided_by_what_they_cost_and_come_back_the_same() -> None:
    before = several(_boosted("multiclass", PLACE, num_class=3), "lightgbm")
    after = load(before.to_bytes())
    scored, again = before.score(ROWS), after.score(ROWS)
    np.testing.assert_allclose(again.probability, scored.probability, rtol=0, atol=1e-12)
    np.testing.assert_allclose(scored.probability.sum(axis=1), 1)
    expected = scored.probability @ np.array([[0, 1, 1], [20, 0, 1], [20, 1, 0]])
    np.testing.assert_array_equal(scored.place, expected.argmin(axis=1))
    np.testing.assert_array_equal(scored.flagged, scored.place > 0)
    np.testing.assert_array_equal(scored.score, scored.probability[np.arange(len(ROWS)), scored.place])


def test_a_class_that_a_users_estimator_has_not_seen_is_all_but_impossible() -> None:
    seen = PLACE != 1
    frame = to_frame(ROWS.select(("s1", "s2", "s3"))).fillna(0)
    estimator = LogisticRegression().fit(frame[seen], PLACE[seen])
    raw = raw_scores("sklearn", estimator, filled(ROWS.select(("s1", "s2", "s3"))), kind="multiclass", classes=3)
    assert raw.shape == (len(ROWS), 3)
    assert (raw[:, 1] < raw[:, [0, 2]].min(axis=1) - 10).all()
    np.testing.assert_allclose(np.exp(raw[:, [0, 2]]), estimator.predict_proba(frame), atol=1e-6)


def test_contributions_of_several_classes_tell_the_one_decided_on_from_the_one_that_needs_no_action() -> None:
    of = several(_boosted("multiclass", PLACE, num_class=3), "lightgbm")
    scored, raw = of.score(ROWS), of.raw(ROWS)
    rows = np.flatnonzero(scored.place == 2)
    assert len(rows) > 5
    difference = raw[rows, 2] - raw[rows, 0]
    constant = difference - of.contributions(ROWS.take(rows)).sum(axis=1)
    np.testing.assert_allclose(constant, constant[0], atol=1e-9)


def test_values_come_back_the_same_and_are_flagged_outside_their_limits() -> None:
    booster = _boosted("regression", np.nan_to_num(ROWS.values[:, 0]))
    of = model(
        "lightgbm",
        booster,
        kind="regression",
        calibration=Identity(),
        classes=(),
        threshold=None,
        limits=(None, 0.5),
    )
    scored = load(of.to_bytes()).score(ROWS)
    np.testing.assert_allclose(scored.score, booster.predict(ROWS.values), atol=1e-12)
    np.testing.assert_array_equal(scored.flagged, scored.score > 0.5)
    assert 0 < scored.flagged.sum() < len(ROWS)
    assert scored.place is None


def test_the_average_of_several_estimators_adds_up_as_one() -> None:
    members = (
        Member("linear", linear().members[0].estimator, 0.5, (0.1,)),
        Member("lightgbm", trees().members[0].estimator, 1.5, (-0.3,)),
    )
    of = load(model("linear", None, members=members).to_bytes())
    expected = (0.5 * linear().raw(ROWS) + 0.1 + 1.5 * trees().raw(ROWS) - 0.3) / 2
    np.testing.assert_allclose(of.raw(ROWS), expected, atol=1e-12)
    constant = of.raw(ROWS) - of.contributions(ROWS).sum(axis=1)
    np.testing.assert_allclose(constant, constant[0], atol=1e-9)


def test_a_model_of_the_first_format_is_still_read() -> None:
    parts = parts_of(trees().to_bytes())
    described = json.loads(parts["model.json"])
    old = {key: described[key] for key in ("features", "contract", "calibration", "threshold", "classes")}
    first = {
        "model.json": json.dumps({"format": 1, "engine": "lightgbm", **old}).encode(),
        "lightgbm.txt": parts["0.lightgbm.txt"],
    }
    np.testing.assert_array_equal(load(zipped(first)).score(ROWS).score, trees().score(ROWS).score)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "regression"},
        {"kind": "multiclass"},
        {"threshold": None},
        {"members": []},
        {"classes": [0]},
        {"calibration": {"kind": "identity"}},
        {"calibration": {"kind": "softmax", "slope": 1, "intercept": [0, 0]}},
    ],
)
def test_parts_that_do_not_fit_one_another_are_refused(change: dict[str, Any]) -> None:
    parts = parts_of(linear().to_bytes())
    described = {**json.loads(parts["model.json"]), **change}
    if change == {"members": []}:
        del parts["0.skops"]
    with pytest.raises(ModelError, match="do not fit"):
        load(zipped({**parts, "model.json": json.dumps(described).encode()}))


# Trees that point outside of themselves


@pytest.mark.parametrize(
    ("find", "put"),
    [
        (r"^left_child=-?\d+", "left_child=99999"),
        (r"^left_child=-?\d+", "left_child=0"),
        (r"^right_child=-?\d+", "right_child=-99999"),
        (r"^split_feature=\d+", "split_feature=77"),
        (r"^split_feature=\d+ ", "split_feature="),
        (r"^leaf_value=\S+ ", "leaf_value="),
        (r"^num_leaves=\d+", "num_leaves=1000"),
        (r"^num_cat=\d+", "num_cat=1000"),
        (r"^cat_boundaries=0 \d+", "cat_boundaries=0 5000"),
        (r"^cat_threshold=\d+", "cat_threshold="),
        (r"^is_linear=0", "is_linear=1"),
        (r"^shrinkage=", "shrinkage"),
        (r"^num_class=1", "num_class=3"),
        (r"^tree_sizes=\d+", "tree_sizes=123456789"),
        (r"^max_feature_idx=4", "max_feature_idx=400"),
        (r"^end of trees", "Tree=150\n"),
    ],
)
def test_lightgbm_text_that_leaves_its_arrays_is_refused(find: str, put: str) -> None:
    parts = parts_of(trees().to_bytes())
    text = parts["0.lightgbm.txt"].decode()
    changed = re.sub(find, put, text, count=1, flags=re.MULTILINE)
    assert changed != text
    sizes = [len(tree) for tree in re.split(r"^(?=Tree=)", changed.split("end of trees")[0], flags=re.MULTILINE)[1:]]
    if "tree_sizes" not in put:
        changed = re.sub(r"^tree_sizes=.*$", f"tree_sizes={' '.join(map(str, sizes))}", changed, flags=re.MULTILINE)
    with pytest.raises(ModelError, match="LightGBM text"):
        load(zipped({**parts, "0.lightgbm.txt": changed.encode()}))


def _resized(text: str) -> str:
    """The text with the sizes that its trees have."""
    sizes = [len(tree) for tree in re.split(r"^(?=Tree=)", text.split("end of trees")[0], flags=re.MULTILINE)[1:]]
    return re.sub(r"^tree_sizes=.*$", f"tree_sizes={' '.join(map(str, sizes))}", text, flags=re.MULTILINE)


def _chain(splits: int) -> str:
    """A tree of which each split has a leaf and the next split."""
    fields = {
        "num_leaves": splits + 1,
        "num_cat": 0,
        "split_feature": " ".join(["0"] * splits),
        "threshold": " ".join(["0.5"] * splits),
        "decision_type": " ".join(["8"] * splits),
        "left_child": " ".join([*map(str, range(1, splits)), "-1"]),
        "right_child": " ".join(str(-at - 2) for at in range(splits)),
        "leaf_value": " ".join(["0.1"] * (splits + 1)),
        "leaf_count": " ".join(["1"] * (splits + 1)),
        "internal_count": " ".join(["2"] * splits),
    }
    return "".join(f"{name}={value}\n" for name, value in fields.items())


def _both_children_alike(text: str) -> str:
    """A split whose children are one: as many ways to a leaf as two to the power of such splits."""
    return re.sub(
        r"^right_child=\S+", f"right_child={re.search('^left_child=(.*?) ', text, re.M)[1]}", text, count=1, flags=re.M
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("label_index=0", "=num_tree_per_iteration=5000000\nlabel_index=0"),
        lambda text: text.replace("label_index=0", "=tree_sizes=99999999999 945\nlabel_index=0"),
        lambda text: text.replace("num_class=1\n", "num_class=5000000\x0bnum_class=1\n"),
        lambda text: text.replace("num_leaves=", "num_leaves=9999999\x1cnum_leaves=", 1),
        lambda text: f"{text}Tree=0\nnum_leaves=99999\n",
        lambda text: re.sub(r"^leaf_value=\S+", "leaf_value=abc", text, count=1, flags=re.MULTILINE),
        lambda text: re.sub(r"^leaf_value=\S+", "leaf_value=nan", text, count=1, flags=re.MULTILINE),
        lambda text: re.sub(r"^leaf_value=\S+", "leaf_value=1e300", text, count=1, flags=re.MULTILINE),
        lambda text: re.sub(r"^leaf_count=\d+", "leaf_count=0", text, count=1, flags=re.MULTILINE),
        lambda text: re.sub(r"^decision_type=\d+", "decision_type=12", text, count=1, flags=re.MULTILINE),
        lambda text: re.sub(r"^(num_leaves=\d+)$", r"\1\n\1", text, count=1, flags=re.MULTILINE),
        lambda text: re.sub(r"(?s)^Tree=0\n.*?\n(?=is_linear)", f"Tree=0\n{_chain(20_000)}", text, count=1, flags=re.M),
        _both_children_alike,
        lambda text: text.replace("objective=binary sigmoid:1", "objective=poisson"),
    ],
)
def test_lightgbm_is_given_no_text_but_rowcasts_own(change: Callable[[str], str]) -> None:
    parts = parts_of(trees().to_bytes())
    text = parts["0.lightgbm.txt"].decode()
    changed = _resized(change(text))
    assert changed != text
    with pytest.raises(ModelError, match="LightGBM"):
        load(zipped({**parts, "0.lightgbm.txt": changed.encode()}))


@pytest.mark.parametrize(
    "parameters",
    [
        {"objective": "binary", "zero_as_missing": True},
        {"objective": "binary", "use_missing": False},
        {"objective": "multiclassova", "num_class": 3},
        {"objective": "cross_entropy", "boosting": "dart"},
        {"objective": "quantile", "min_data_in_leaf": 1, "num_leaves": 100},
        {"objective": "binary", "min_data_in_leaf": 5_000},
    ],
    ids=str,
)
def test_the_text_that_is_written_scores_and_explains_as_the_one_that_was_read(parameters: dict[str, Any]) -> None:
    booster = _boosted(label=PLACE if "num_class" in parameters else (PLACE > 0).astype(float), **parameters)
    written = write_trees(parse_trees(booster.model_to_string()))
    again = lightgbm.Booster(model_str=written)
    for asked in ({"raw_score": True}, {"pred_contrib": True}):
        np.testing.assert_array_equal(again.predict(ROWS.values, **asked), booster.predict(ROWS.values, **asked))
    assert write_trees(parse_trees(again.model_to_string())) == written


@pytest.mark.parametrize(
    "change",
    [
        {"threshold": float("nan")},
        {"threshold": float("inf")},
        {"threshold": 2.0},
        {"calibration": {"kind": "sigmoid", "slope": float("nan"), "intercept": 0.0}},
        {"features": ["s1", "s1", "s2", "tool", "s4"]},
        {"classes": [0, 0]},
        {"classes": [0, {}]},
        {"limits": ["0", None]},
        {"costs": [-1.0, 1.0]},
    ],
    ids=str,
)
def test_numbers_that_would_decide_nothing_are_refused(change: dict[str, Any]) -> None:
    parts = parts_of(trees().to_bytes())
    described = {**json.loads(parts["model.json"]), **change}
    with pytest.raises(ModelError):
        load(zipped({**parts, "model.json": json.dumps(described).encode()}))


def test_scores_that_are_not_finite_are_an_error_and_no_good_row() -> None:
    fitted = fit_linear(ROWS, binary(OUTCOME), 10).estimator
    fitted[-1].coef_[0, 0] = np.nan
    with pytest.raises(ModelError, match="not finite"):
        model("linear", fitted).score(ROWS)


def _neighbours() -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    made = KNeighborsClassifier(3).fit(np.nan_to_num(ROWS.values), OUTCOME.astype(int))
    made._y[:] = 10**9  # what is counted is written where this says
    return made


def _vectors() -> Any:
    from sklearn.svm import SVC

    made = SVC().fit(np.nan_to_num(ROWS.values), OUTCOME.astype(int))
    made._n_support[:] = 10**6
    return made


def _sparse() -> Any:
    made = LogisticRegression().fit(np.nan_to_num(ROWS.values), OUTCOME.astype(int)).sparsify()
    made.coef_.indices[:] = 10**6
    return made


@pytest.mark.parametrize("planted", [_neighbours, _vectors, _sparse])
def test_a_type_whose_arrays_nobody_checks_is_refused(planted: Callable[[], Any]) -> None:
    import skops.io

    parts = parts_of(linear().to_bytes())
    with pytest.raises(ModelError, match="not on the allow-list"):
        load(zipped({**parts, "0.skops": skops.io.dumps(planted())}))


def test_parameters_are_checked_of_what_was_fitted_and_left_to_fitting_before() -> None:
    wrong = LogisticRegression(C=-1.0)
    check_storable(wrong)
    sound = LogisticRegression().fit(np.nan_to_num(ROWS.values), OUTCOME.astype(int))
    with pytest.raises(ModelError, match="does not fit together"):
        check_storable(sound.set_params(C=-1.0))


def test_an_encoders_columns_are_counted_anew_whatever_the_file_says() -> None:
    before = linear()
    encoder = before.members[0].estimator["prepare"].named_transformers_["category 3"]
    whole = before.score(ROWS).score
    encoder._n_features_outs = [1]
    encoder._default_to_infrequent_mappings = [np.full(len(KNOWN), 10**6)]
    np.testing.assert_array_equal(load(before.to_bytes()).score(ROWS).score, whole)


@pytest.mark.parametrize("field", ["left_child", "right_child", "feature", "node_count"])
@pytest.mark.parametrize("name", ["forest", "boosting", "bagging"])
def test_a_tree_of_scikit_learn_that_leaves_its_arrays_is_refused(name: str, field: str) -> None:
    before = built(name)
    member = np.ravel(np.array(before.members[0].estimator.estimators_, dtype=object))[0]
    _bend(member.tree_, field)
    with pytest.raises(ModelError, match="does not fit together, or points outside of itself"):
        load(before.to_bytes())


def _bend(tree: Any, field: str) -> None:
    state = tree.__getstate__()
    state["nodes"] = state["nodes"].copy()
    if field == "node_count":
        state["node_count"] = len(state["nodes"]) + 1  # one more than there are
    else:
        state["nodes"][field][0] = 10_000
    tree.__setstate__(state)


@pytest.mark.parametrize("field", ["left", "right", "feature_idx", "is_categorical"])
def test_a_histogram_tree_that_leaves_its_arrays_is_refused(field: str) -> None:
    before = built("histogram")
    before.members[0].estimator._predictors[0][0].nodes[field][0] = 1 if field == "is_categorical" else 200
    with pytest.raises(ModelError, match="does not fit together, or points outside of itself"):
        load(before.to_bytes())


def test_trees_of_more_columns_than_their_forest_is_given_are_refused() -> None:
    wide = np.random.default_rng(1).normal(size=(300, 50))
    for name in ("forest", "boosting"):
        before = built(name)
        other = _estimators()[name]().fit(wide, OUTCOME)
        before.members[0].estimator.estimators_ = other.estimators_
        with pytest.raises(ModelError, match="does not fit together, or points outside of itself"):
            load(before.to_bytes())


def test_boosting_with_more_trees_a_stage_than_it_has_scores_is_refused() -> None:
    before = built("boosting")
    before.members[0].estimator.estimators_ = np.repeat(before.members[0].estimator.estimators_, 3, axis=1)
    with pytest.raises(ModelError, match="does not fit together, or points outside of itself"):
        load(before.to_bytes())
