"""Broken model files, by the thousand: run as a program, in a process that may die.

    python mutations.py FORMAT FIRST COUNT

loads and scores the mutations numbered from FIRST on, and prints the number of each before it begins, so that whoever
watches knows which one killed it. At the end it prints how many were refused, not scored and scored.
A model that is accepted must score as its own records say, and the same again after it was saved.
"""

import hashlib
import io
import json
import random
import re
import signal
import sys
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from rowcast.contract import ColumnRule, Contract
from rowcast.errors import RowcastError
from rowcast.fit.candidates.boosted_trees import train_booster
from rowcast.fit.candidates.linear import fit_linear
from rowcast.models.artifact import Member, Model
from rowcast.models.calibration import Sigmoid
from rowcast.models.lightgbm_text import Tree, Trees, parse_trees
from rowcast.models.matrix import Matrix
from rowcast.models.target import Target

FORMATS = ("lightgbm", "skops", "json")
SECONDS = 20.0  # of a processor's time that one mutation may take before it counts as a hang
_KNOWN = ("a", "b", "c", "d")
_ODD_NUMBERS = (
    *("nan", "inf", "-inf", "1e999", "-1", "0", "1", "2", "99999999999", "2147483648", "-2147483649", "4294967296"),
    *("", " ", "abc", "0x10", "1_0", "\u0663", "1e5", "1.5", "-0", "5000000", "1e-320", "--1", "1 1", "+1", "1\x0b"),
)
_ODD_LINES = (
    *("=num_tree_per_iteration=5000000", "=tree_sizes=99999999999 945", "=", "x", "", "\x0b", "\r", "\x00", "Tree=7"),
    *("num_leaves=1", "num_cat=3", "leaf_value=abc", "tree", "end of trees", "average_output", "is_linear=1", "\x1c=1"),
    *("num_class=3", "max_feature_idx=400", "left_child=0", "cat_boundaries=0 5000", "pandas_categorical:[]"),
)
_ODD_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        -1,
        0,
        1,
        2,
        10**9,
        10**30,
        1.5,
        -1e308,
        1e308,
        float("nan"),
        float("inf"),
        "",
        "x",
        [],
        {},
        [1],
        "rbf",
    ),
)
_ODD_CLASSES = (
    *(("sklearn.neighbors._classification", "KNeighborsClassifier"), ("sklearn.svm._classes", "SVC")),
    *(("sklearn.tree._tree", "Tree"), ("sklearn.ensemble._forest", "RandomForestClassifier"), ("builtins", "list")),
    *(
        ("sklearn.linear_model._ridge", "Ridge"),
        ("sklearn.preprocessing._encoders", "OneHotEncoder"),
        ("numpy", "clip"),
    ),
    *(
        ("numpy", "clip"),
        ("numpy", "float64"),
        ("os", "system"),
        ("builtins", "eval"),
        ("sklearn.pipeline", "Pipeline"),
    ),
)


def _rows() -> tuple[Matrix, Target]:
    source = np.random.default_rng(0)
    values = source.normal(size=(200, 4))
    values[source.random(values.shape) < 0.1] = np.nan
    values[:, 3] = source.integers(0, 4, 200)
    matrix = Matrix(values.astype(np.float32), ("s1", "s2", "s3", "tool"), {"tool": _KNOWN})
    return matrix, Target("binary", (np.nan_to_num(values[:, 0]) > 0.3) ^ (values[:, 3] == 2), (0, 1))


ROWS, TARGET = _rows()
PLAIN = Matrix(np.nan_to_num(ROWS.values), ROWS.names, {})


def _model(engine: Any, estimator: Any, coded: bool) -> Model:
    rules = [
        ColumnRule(name, "category" if name == "tool" and coded else "number", categories=_KNOWN * (name == "tool"))
        for name in ROWS.names
    ]
    if not coded:
        rules = [ColumnRule(name, "number") for name in ROWS.names]
    member = Member(engine, estimator)
    return Model("binary", ROWS.names, Contract(tuple(rules)), (member,), Sigmoid(0.7, -1.2), (0, 1), 0.3)


@cache
def originals(of: str) -> list[tuple[dict[str, bytes], Matrix]]:
    """Parts of sound models of a format, and rows that they score."""
    from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.neural_network import MLPClassifier

    if of == "skops":
        frame, label = PLAIN.to_pandas(), TARGET.values.astype(int)
        theirs = [
            RandomForestClassifier(2, max_depth=3, random_state=0),
            GradientBoostingClassifier(n_estimators=2, max_depth=2, random_state=0),
            HistGradientBoostingClassifier(max_iter=2, max_leaf_nodes=4),
            MLPClassifier((3,), max_iter=20, random_state=0),
        ]
        made = [(_model("sklearn", each.fit(frame, label), False), PLAIN) for each in theirs]
        made.append((_model("linear", fit_linear(ROWS, TARGET, 1.0).estimator, True), ROWS))
    else:
        few = {"num_leaves": 5, "min_data_in_leaf": 5}
        booster = train_booster(ROWS, TARGET, few, 3)
        other = train_booster(ROWS, TARGET, {**few, "num_leaves": 2}, 2)
        made = [(_model("lightgbm", each, True), ROWS) for each in (booster, other)]
    return [(_unzip(model.to_bytes()), rows) for model, rows in made]


def _unzip(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zip(parts: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return out.getvalue()


def mutation(of: str, number: int) -> tuple[bytes, Matrix]:
    """The mutation of that number: the same each time."""
    chance = random.Random(f"{of} {number}")
    parts, rows = chance.choice(originals(of))
    parts = dict(parts)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        _MUTATE[of](chance, parts)
    return _zip(parts), rows


def _flip(chance: random.Random, data: bytes) -> bytes:
    """Bytes changed, dropped, doubled or cut off anywhere."""
    changed = bytearray(data)
    start = chance.randrange(len(changed) or 1)
    how = chance.randrange(4)
    if how == 0:
        changed[start : start + 1] = bytes([chance.randrange(256)])
    elif how == 1:
        del changed[start : start + chance.randrange(1, 20)]
    elif how == 2:
        changed[start:start] = changed[start : start + chance.randrange(1, 40)]
    else:
        del changed[start:]
    return bytes(changed)


def _mutate_lightgbm(chance: random.Random, parts: dict[str, bytes]) -> None:
    name = "0.lightgbm.txt"
    if chance.random() < 0.15:
        parts[name] = _flip(chance, parts[name])
        return
    lines = parts[name].decode(errors="replace").split("\n")
    place, how = chance.randrange(len(lines)), chance.randrange(6)
    fields = [at for at, line in enumerate(lines) if "=" in line]
    if how == 0:
        lines.insert(place, chance.choice(_ODD_LINES))
    elif how == 1:
        del lines[place]
    elif how == 2:
        lines.insert(place, chance.choice(lines))
    elif how == 3:
        other = chance.randrange(len(lines))
        lines[place], lines[other] = lines[other], lines[place]
    elif fields:
        at = chance.choice(fields)
        key, _, value = lines[at].partition("=")
        numbers = value.split(" ")
        numbers[chance.randrange(len(numbers))] = chance.choice((*_ODD_NUMBERS, str(chance.randrange(-9, 9))))
        lines[at] = f"{key}={' '.join(numbers)}"
    text = "\n".join(lines)
    if chance.random() < 0.7:  # so that it is not refused for that alone
        trees = re.split(r"^(?=Tree=)", text.split("end of trees")[0], flags=re.MULTILINE)[1:]
        sizes = " ".join(str(len(tree.encode())) for tree in trees)
        text = re.sub(r"^tree_sizes=.*$", f"tree_sizes={sizes}", text, count=1, flags=re.MULTILINE)
    parts[name] = text.encode()


def _nodes(item: Any) -> list[Any]:
    below = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
    return [item, *(node for each in below for node in _nodes(each))]


def _bend(chance: random.Random, item: Any) -> None:
    """Change something anywhere in what JSON holds."""
    nodes = [node for node in _nodes(item) if isinstance(node, dict | list) and node]
    node = chance.choice(nodes)
    key = chance.choice(list(node) if isinstance(node, dict) else range(len(node)))
    how = chance.randrange(4)
    if how == 0:
        node[key] = chance.choice(_ODD_VALUES)
    elif how == 1:
        del node[key]
    elif how == 2:
        other = chance.choice(nodes)
        if not any(inner is node for inner in _nodes(other)):
            node[key] = other
    elif isinstance(node[key], int | float) and not isinstance(node[key], bool):
        node[key] = chance.choice((-node[key], node[key] + 1, node[key] * 1000, node[key] - 1))
    elif isinstance(node[key], str):
        node[key] = json.dumps(chance.choice(_ODD_VALUES))
    else:
        node[key] = chance.choice(_ODD_VALUES)


def _mutate_json(chance: random.Random, parts: dict[str, bytes]) -> None:
    if chance.random() < 0.15:
        parts["model.json"] = _flip(chance, parts["model.json"])
        return
    try:
        described = json.loads(parts["model.json"])
        _bend(chance, described)
    except (ValueError, IndexError):  # broken before
        return
    parts["model.json"] = json.dumps(described).encode()


def _mutate_skops(chance: random.Random, parts: dict[str, bytes]) -> None:
    if chance.random() < 0.05:
        parts["0.skops"] = _flip(chance, parts["0.skops"])
        return
    try:
        inner = _unzip(parts["0.skops"])
        arrays = [name for name in inner if name.endswith(".npy")]
        if arrays and chance.random() < 0.5:
            name = chance.choice(arrays)
            inner[name] = _bent_array(chance, inner[name])
        else:
            schema = json.loads(inner["schema.json"])
            _bend_schema(chance, schema)
            inner["schema.json"] = json.dumps(schema).encode()
    except Exception:  # broken before, in whatever way, or not of its kind
        return
    parts["0.skops"] = _zip(inner)


def _bend_schema(chance: random.Random, schema: Any) -> None:
    nodes = [node for node in _nodes(schema) if isinstance(node, dict) and "__loader__" in node]
    how = chance.randrange(5)
    if how == 0 or not nodes:
        _bend(chance, schema)
        return
    node = chance.choice(nodes)
    if how == 1:
        scalars = [each for each in nodes if each["__loader__"] == "JsonNode"]
        chance.choice(scalars or nodes)["content"] = json.dumps(chance.choice(_ODD_VALUES))
    elif how == 2:
        node["__module__"], node["__class__"] = chance.choice(_ODD_CLASSES)
    elif how == 3:
        other = chance.choice(nodes)
        if not any(inner is node for inner in _nodes(other)):
            node.clear()
            node.update(other)
    else:
        node["__loader__"] = chance.choice(nodes)["__loader__"]


def _bent_array(chance: random.Random, data: bytes) -> bytes:
    if chance.random() < 0.1:
        return _flip(chance, data)
    array = np.load(io.BytesIO(data)).copy()
    how = chance.randrange(5)
    if how == 0 and array.size and array.dtype.names:
        field = chance.choice(array.dtype.names)
        array[field][chance.randrange(len(array))] = chance.choice((0, 1, 2, 5, 77, 10**6))
    elif how <= 1 and array.size and array.dtype.kind in "iuf":
        odd: tuple[Any, ...] = (0, 1, 2, 7, 100, 10**6, *((-1, -(10**9)) if array.dtype.kind != "u" else ()))
        flat = array.reshape(-1)
        flat[chance.randrange(len(flat))] = chance.choice(
            (*odd, *((np.nan, np.inf, 1e308) if array.dtype.kind == "f" else ()))
        )
    elif how == 2 and array.ndim:
        array = array[: chance.randrange(len(array) + 1)] if chance.random() < 0.5 else np.concatenate([array, array])
    elif how == 3:
        array = array.reshape(chance.choice(((-1,), (1, -1), (-1, 1), array.shape[::-1])))
    elif array.dtype.kind in "iuf":
        array = array.astype(chance.choice(("f4", "f8", "i4", "i8", "u1", "U5", ">f8", "?")))
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    return out.getvalue()


_MUTATE: dict[str, Callable[[random.Random, dict[str, bytes]], None]] = {
    "lightgbm": _mutate_lightgbm,
    "skops": _mutate_skops,
    "json": _mutate_json,
}


def told(trees: Trees, matrix: Matrix) -> np.ndarray:
    """Raw scores as the records say, one tree and one row at a time."""
    return np.array([sum(_leaf(tree, row) for tree in trees.trees) for row in matrix.values.astype(np.float64)])


def _leaf(tree: Tree, row: np.ndarray) -> float:
    at = 0 if len(tree.feature) else -1
    while at >= 0:
        value, kind = float(row[tree.feature[at]]), int(tree.decision[at])
        missing = kind >> 2 & 3
        if kind & 1:
            place = int(tree.threshold[at])
            code = -1 if np.isnan(value) else int(value)
            bits = tree.bits[tree.bounds[place] : tree.bounds[place + 1]]
            left = 0 <= code < 32 * len(bits) and bool(int(bits[code // 32]) >> code % 32 & 1)
        else:
            value = 0.0 if np.isnan(value) and missing != 2 else value
            gone = np.isnan(value) if missing == 2 else missing == 1 and abs(value) <= 1e-35
            left = bool(kind & 2) if gone else value <= tree.threshold[at]
        at = int(tree.left[at] if left else tree.right[at])
    return float(tree.leaf_value[-at - 1])


def try_out(of: str, number: int) -> str:
    """What becomes of a mutation: refused, not scored, or scored. Raises AssertionError for a silent difference."""
    data, rows = mutation(of, number)
    try:
        model = Model.from_bytes(data, hashlib.sha256(data).hexdigest())
    except RowcastError:
        return "refused"
    try:
        scored = model.score(rows)
        model.contributions(rows.take(np.arange(20)))
    except RowcastError:
        return "not scored"
    assert np.isfinite(scored.score).all()
    if of == "lightgbm":
        found = model.raw(rows)
        said = told(parse_trees(_unzip(data)["0.lightgbm.txt"].decode()), rows)
        assert np.allclose(found, said, rtol=1e-9, atol=1e-12 * max(1.0, float(np.abs(said).max()))), "other scores"
    saved = model.to_bytes()
    again = Model.from_bytes(saved, hashlib.sha256(saved).hexdigest())
    assert np.array_equal(again.score(rows).score, scored.score), "other scores after saving"
    return "scored"


def run(of: str, first: int, count: int) -> Counter[str]:
    """Try out so many mutations, each within its time."""
    found: Counter[str] = Counter()
    originals(of)
    for number in range(first, first + count):
        print(of, number, flush=True)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found[try_out(of, number)] += 1
        signal.setitimer(signal.ITIMER_PROF, 0)
    return found


if __name__ == "__main__":
    for each in sys.argv[1].split(","):
        print(json.dumps({each: run(each, int(sys.argv[2]), int(sys.argv[3]))}), flush=True)
