"""LightGBM's text format, read strictly into records, and written anew from them.

LightGBM's own reader skips what it does not expect and follows a tree's indices unchecked, so that a file can make it
read and write anywhere. It is therefore given only what this module wrote itself.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rowcast.errors import ModelError
from rowcast.models.validation import RETRAIN

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MAX_DEPTH = 512  # the time that contributions take grows with the square of it
LARGEST = 1e100  # of a leaf: a sum of many stays finite

_FLOAT = r"-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_FLOATS = re.compile(rf"{_FLOAT}(?: {_FLOAT})*")
_BOUND = rf"(?:{_FLOAT}|-?inf)"  # LightGBM writes an infinite bound where only missing values part from the others
_BOUNDS = re.compile(rf"{_BOUND}(?: {_BOUND})*")
_INTEGERS = re.compile(r"-?[0-9]{1,10}(?: -?[0-9]{1,10})*")
# What each objective that has a raw score of rowcast's kinds is written with.
_VALUES = ("regression", "regression_l1", "regression_l2", "huber", "fair", "quantile", "mape")
_OBJECTIVES = {
    "binary": rf" sigmoid:{_FLOAT}",
    "cross_entropy": "",
    "multiclass": " num_class:[0-9]{1,4}",
    "multiclassova": rf" num_class:[0-9]{{1,4}} sigmoid:{_FLOAT}",
    **dict.fromkeys(_VALUES, ""),
}
_HEADER = (
    "version",
    "num_class",
    "num_tree_per_iteration",
    "label_index",
    "max_feature_idx",
    "objective",
    "feature_names",
    "feature_infos",
    "tree_sizes",
)
_SPLIT_FIELDS = ("split_feature", "threshold", "decision_type", "left_child", "right_child", "internal_count")
_TREE = ("num_leaves", "num_cat", "leaf_value", "leaf_count", *_SPLIT_FIELDS)
_UNUSED = ("split_gain", "leaf_weight", "internal_value", "internal_weight", "is_linear", "shrinkage")
_CATEGORIES = ("cat_boundaries", "cat_threshold")
_TAIL = re.compile(
    r"\n?(?:feature_importances:\n(?:[^\n]*=[0-9.e+]+\n)*)?\n?"
    r"(?:parameters:\n(?:\[[^\n]*\]\n)*\n?end of parameters\n)?\n?(?:pandas_categorical:[^\n]*\n?)?\n*"
)


@dataclass(frozen=True)
class Tree:
    """One tree: s splits, numbered from 0, each above its parent, and s + 1 leaves."""

    feature: Integers  # (s,), the column that a split looks at
    threshold: Floats  # (s,), a bound, which may be infinite; of a split on categories its place in `bounds`
    decision: Integers  # (s,), bits: 1 on categories, 2 missing goes left, 4 zero is missing, 8 NaN is
    left: Integers  # (s,), a split by its number, leaf k as -k - 1
    right: Integers  # (s,)
    count: Integers  # (s,), training rows that came by, above 0
    leaf_value: Floats  # (s + 1,)
    leaf_count: Integers  # (s + 1,), above 0
    bounds: Integers  # (c + 1,), where the bits of each of c splits on categories begin in `bits`
    bits: Integers  # sets of categories, 32 in each


@dataclass(frozen=True)
class Trees:
    """A model of LightGBM's."""

    objective: str  # its name alone
    scores: int  # raw scores of a row: trees are of each in turn
    names: tuple[str, ...]  # of the columns, as the file has them
    trees: tuple[Tree, ...]

    @property
    def splits_on_categories(self) -> bool:
        """Whether any split looks at a column's codes as at categories."""
        return any(len(tree.bounds) > 1 for tree in self.trees)


def parse_trees(text: str) -> Trees:
    """Return what a text in LightGBM's format says.

    Raises ModelError for anything that LightGBM does not write, for a tree that leaves its arrays or its columns, and
    for one that could not be scored or explained in finite numbers and time.
    """
    head, mark, rest = text.partition("\n\nTree=")
    lines = head.split("\n")
    _require(bool(mark) and lines[0] == "tree", "it does not begin as LightGBM's text does")
    header = _fields([line for line in lines[1:] if line != "average_output"], "its head")
    header.pop("monotone_constraints", None)
    _require(sorted(header) == sorted(_HEADER), "its head has other fields")
    _require(lines.count("average_output") <= 1, "its head has a field twice")
    body, mark, tail = f"Tree={rest}".partition("end of trees\n")
    _require(bool(mark) and _TAIL.fullmatch(tail) is not None, "something follows its trees")
    names = tuple(header["feature_names"].split(" "))
    scores, columns = _integer(header["num_class"]), _integer(header["max_feature_idx"]) + 1
    _require(header["version"] in ("v3", "v4") and header["label_index"] == "0", "its version is not v3 or v4")
    _require(columns == len(names) == len(header["feature_infos"].split(" ")), "its columns are not as many as named")
    _require(0 < scores <= 1000 and header["num_tree_per_iteration"] == str(scores), "its classes are not as many")
    blocks = [f"Tree={block}" for block in f"\n{body}".split("\nTree=")[1:]]
    # The line's end that the next block begins after belongs to the block before.
    blocks = [f"{block}\n" if place < len(blocks) - 1 else block for place, block in enumerate(blocks)]
    sizes = " ".join(str(len(block.encode())) for block in blocks)
    _require(header["tree_sizes"] == sizes and len(blocks) % scores == 0, "its trees are not as long as stated")
    trees = tuple(_tree(place, block, columns) for place, block in enumerate(blocks))
    objective = _objective(header["objective"], scores)
    if objective in _VALUES and "average_output" in lines:  # of classes the calibration brings a sum to its scale
        raise ModelError(
            "a LightGBM model with boosting=rf predicts values by an average that its raw score is not",
            hint="train it with boosting=gbdt, or a forest of scikit-learn's",
        )
    return Trees(objective, scores, names, trees)


def write_trees(model: Trees) -> str:
    """Return the text that LightGBM reads for a model; columns are named by their place."""
    blocks = [_written(place, tree) for place, tree in enumerate(model.trees)]
    more = {"binary": " sigmoid:1", "multiclass": f" num_class:{model.scores}"}
    more["multiclassova"] = f"{more['multiclass']} sigmoid:1"
    width = len(model.names)
    head = {
        "version": "v4",
        "num_class": model.scores,
        "num_tree_per_iteration": model.scores,
        "label_index": 0,
        "max_feature_idx": width - 1,
        "objective": model.objective + more.get(model.objective, ""),
        "feature_names": " ".join(f"Column_{place}" for place in range(width)),
        "feature_infos": " ".join(["none"] * width),
        "tree_sizes": " ".join(str(len(block)) for block in blocks),
    }
    lines = "".join(f"{name}={value}\n" for name, value in head.items())
    return f"tree\n{lines}\n{''.join(blocks)}end of trees\n"


def _written(place: int, tree: Tree) -> str:
    splits = {
        "split_feature": tree.feature,
        "threshold": tree.threshold,
        "decision_type": tree.decision,
        "left_child": tree.left,
        "right_child": tree.right,
        "internal_count": tree.count,
    }
    fields: dict[str, Any] = {"num_leaves": len(tree.leaf_value), "num_cat": len(tree.bounds) - 1}
    fields |= splits if len(tree.feature) else {}
    fields |= {"leaf_value": tree.leaf_value, "leaf_count": tree.leaf_count}
    fields |= {"cat_boundaries": tree.bounds, "cat_threshold": tree.bits} if len(tree.bounds) > 1 else {}
    fields |= {"is_linear": 0, "shrinkage": 1}
    lines = "".join(
        f"{name}={' '.join(map(repr, value.tolist())) if isinstance(value, np.ndarray) else value}\n"
        for name, value in fields.items()
    )
    return f"Tree={place}\n{lines}\n\n"


def _objective(text: str, scores: int) -> str:
    name = text.split(" ")[0]
    _require(re.fullmatch("[a-z_0-9]{1,40}", name) is not None, "its objective is not a name")
    if name not in _OBJECTIVES:
        raise ModelError(
            f"the model's LightGBM objective is '{name}', whose raw score is none that rowcast knows",
            hint=f"it reads {', '.join(_OBJECTIVES)}",
        )
    _require(re.fullmatch(_OBJECTIVES[name], text[len(name) :]) is not None, "its objective has other parameters")
    stated = re.search("num_class:([0-9]+)", text)
    _require((1 if stated is None else int(stated[1])) == scores, "its classes are not as many")
    return name


def _tree(place: int, block: str, columns: int) -> Tree:
    where = f"tree {place}"
    _require(block.startswith(f"Tree={place}\n") and block.endswith("\n\n"), f"{where} has no beginning or end")
    fields = _fields(block.rstrip("\n").split("\n")[1:], where)
    leaves, sets = _integer(fields.get("num_leaves", "")), _integer(fields.get("num_cat", ""))
    expected = {*_TREE, *(_CATEGORIES if sets else ())}
    if leaves == 1:
        expected -= set(_SPLIT_FIELDS)
        fields = {name: value for name, value in fields.items() if name not in _SPLIT_FIELDS or value}
    known = {name for name in fields if name not in _UNUSED}
    _require(known == expected, f"{where} has other fields")
    _require(fields.get("is_linear", "0") == "0", f"{where} has a linear model in its leaves")
    splits = leaves - 1
    tree = Tree(
        feature=_integers(fields.get("split_feature", "")),
        threshold=_floats(fields.get("threshold", ""), _BOUNDS),
        decision=_integers(fields.get("decision_type", "")),
        left=_integers(fields.get("left_child", "")),
        right=_integers(fields.get("right_child", "")),
        count=_integers(fields.get("internal_count", "")),
        leaf_value=_floats(fields["leaf_value"]),
        leaf_count=_integers(fields["leaf_count"]),
        bounds=_integers(fields.get("cat_boundaries", "0")),
        bits=_integers(fields.get("cat_threshold", "")),
    )
    each = (tree.feature, tree.threshold, tree.decision, tree.left, tree.right, tree.count)
    sound = leaves >= 1 and all(len(array) == splits for array in each)
    _require(sound and len(tree.leaf_value) == len(tree.leaf_count) == leaves, f"{where} has arrays of other lengths")
    _require(len(tree.bounds) == sets + 1, f"{where} has another number of splits on categories")
    _check_walk(tree, where)
    _check_values(tree, columns, where)
    return tree


def _check_walk(tree: Tree, where: str) -> None:
    """Each split and each leaf hangs on one parent, a split on one before it: every walk ends, at a leaf."""
    splits = len(tree.feature)
    children = np.concatenate([tree.left, tree.right])
    wanted = np.concatenate([np.arange(-splits - 1, 0), np.arange(1, splits)]) if splits else np.empty(0, np.int64)
    _require(np.array_equal(np.sort(children), wanted), f"{where} does not stay inside its own arrays")
    depth = [0] * splits
    for parent, pair in enumerate(zip(tree.left.tolist(), tree.right.tolist(), strict=True)):
        for child in pair:
            if child >= 0:
                _require(child > parent, f"{where} does not stay inside its own arrays")
                depth[child] = depth[parent] + 1
    _require(max(depth, default=0) < MAX_DEPTH, f"{where} is deeper than {MAX_DEPTH} splits")


def _check_values(tree: Tree, columns: int, where: str) -> None:
    sound = bool(((tree.feature >= 0) & (tree.feature < columns)).all())
    _require(sound, f"{where} looks at a column that there is not")
    _require(bool(((tree.decision >= 0) & (tree.decision < 12)).all()), f"{where} decides in an unknown way")
    _require(bool((np.abs(tree.leaf_value) <= LARGEST).all()), f"{where} has a leaf that is too large")
    counts = np.concatenate([tree.count, tree.leaf_count])
    _require(bool(((counts > 0) & (counts < 1 << 31)).all()), f"{where} has a node without training rows")
    sets = len(tree.bounds) - 1
    place = tree.threshold[(tree.decision & 1) == 1]
    _require(
        bool(((place >= 0) & (place < sets) & (place == np.floor(place))).all()), f"{where} has no such categories"
    )
    sound = tree.bounds[0] == 0 and bool((np.diff(tree.bounds) > 0).all()) and int(tree.bounds[-1]) == len(tree.bits)
    _require(sound and bool(((tree.bits >= 0) & (tree.bits < 1 << 32)).all()), f"{where} has no such categories")


def _fields(lines: list[str], where: str) -> dict[str, str]:
    pairs = [line.split("=", 1) for line in lines]
    _require(all(len(pair) == 2 for pair in pairs), f"{where} has a line that is no field")
    fields = {pair[0]: pair[-1] for pair in pairs}
    _require(len(fields) == len(pairs), f"{where} has a field twice")
    return fields


def _integer(text: str) -> int:
    _require(re.fullmatch("[0-9]{1,9}", text) is not None, "a number is not a whole one")
    return int(text)


def _integers(text: str) -> Integers:
    """Numbers parted by one space each."""
    _require(text == "" or _INTEGERS.fullmatch(text) is not None, "a number is not a whole one")
    return np.array(text.split(" ") if text else [], dtype=np.int64)


def _floats(text: str, pattern: re.Pattern[str] = _FLOATS) -> Floats:
    _require(text == "" or pattern.fullmatch(text) is not None, "a number is none")
    return np.array([float(number) for number in text.split(" ")] if text else [], dtype=np.float64)


def _require(sound: bool, why: str) -> None:
    if not sound:
        raise ModelError(f"the model's LightGBM text is not as LightGBM writes it: {why}", hint=RETRAIN)
