"""scikit-learn estimators from skops' format: read into plain values, and built from those that are checked.

skops itself builds what a file says and trusts each type of scikit-learn's; native code then follows what is in it. So
skops only writes here. What is read are its plain nodes (numbers, texts, containers, arrays) and objects of the types
on the allow-list, of which each keeps the attributes that predicting needs, every one of them checked, and no other.
"""

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from rowcast.errors import ModelError
from rowcast.models.allow_list import PLAIN_TYPES, TREE, build_tree, known_functions, known_types
from rowcast.models.validation import RETRAIN

_MOST_ARRAY_DIMENSIONS = 3
ONLY_SKLEARN = (
    "a model file must be able neither to run code nor to reach outside its own arrays: build the estimator from "
    "scikit-learn's own classes that the page 'Models and the gate' lists (Pipeline, ColumnTransformer, ...), or "
    "return a lightgbm.LGBMClassifier itself"
)
_LOST = ("RandomStateNode", "RandomGeneratorNode")  # nothing is drawn while predicting


class SklearnFile:
    """A skops file that is being read."""

    def __init__(self, parts: dict[str, bytes]) -> None:
        self.parts = parts
        self._known: dict[Any, Any] = {}  # what was read of nodes that others refer to
        self._readers: dict[str, Callable[[dict[str, Any]], Any]] = {
            "JsonNode": _read_scalar,
            "ListNode": lambda node: [self.read(each) for each in node["content"]],
            "TupleNode": lambda node: tuple(self.read(each) for each in node["content"]),
            "DictNode": self._dictionary,
            "SliceNode": _read_slice,
            "TypeNode": lambda node: _named(node, PLAIN_TYPES),
            "DTypeNode": lambda node: self.read(node["content"]).dtype,
            "FunctionNode": lambda node: _named(node, known_functions()),
            "NdArrayNode": self._array,
            "ObjectNode": self._object,
            "TreeNode": self._tree,
        }

    def read(self, node: Any) -> Any:
        """Return what a node stands for. Raises ModelError for a type that is not on the allow-list."""
        loader = node["__loader__"]
        if loader == "CachedNode":
            return self._known[node["__id__"]]
        if loader in _LOST:
            return None
        if loader not in self._readers:
            raise refused_type(_name(node))
        found = self._readers[loader](node)
        if node.get("__id__") is not None:
            self._known[node["__id__"]] = found
        return found

    def _dictionary(self, node: dict[str, Any]) -> dict[Any, Any]:
        if _name(node) != "builtins.dict":
            raise refused_type(_name(node))
        kinds = [_named(kind, PLAIN_TYPES) for kind in node["key_types"]["content"]]
        if len(kinds) != len(node["content"]) or not set(kinds) <= {str, int, float, bool, np.int64, np.float64}:
            raise unsound("a dictionary")
        return {kind(key): self.read(value) for kind, (key, value) in zip(kinds, node["content"].items(), strict=True)}

    def _array(self, node: dict[str, Any]) -> Any:
        if node["type"] == "json":
            return self._objects(node)
        array = _read_array(self.parts[node["file"]])
        return array if _name(node) == "numpy.ndarray" else array[()]

    def _objects(self, node: dict[str, Any]) -> Any:
        """Return an array of objects of one dimension, or of two."""
        shape = self.read(node["shape"])
        items = [self.read(item) for item in node["content"]]
        rows = items if len(shape) == 2 else [items]
        if len(shape) not in (1, 2) or any(not isinstance(row, list) or len(row) != shape[-1] for row in rows):
            raise unsound("an array")
        if len(shape) == 2 and len(rows) != shape[0]:
            raise unsound("an array")
        found = np.empty((len(rows), shape[-1]), dtype=object)
        for place, row in enumerate(rows):
            for column, item in enumerate(row):
                found[place, column] = item
        return found if len(shape) == 2 else found[0]

    def _object(self, node: dict[str, Any]) -> Any:
        name = _name(node)
        if name not in known_types():
            raise refused_type(name)
        known = known_types()[name]
        attributes = {} if node.get("content") is None else node["content"]["content"]
        values = {key: self.read(value) for key, value in attributes.items() if key in known.kept}
        found = known.build(values)
        if found is None:
            raise unsound(f"a {name.rpartition('.')[2]}")
        return found

    def _tree(self, node: dict[str, Any]) -> Any:
        if _name(node) != TREE:
            raise refused_type(_name(node))
        found = build_tree(self.read(node["__reduce__"]["args"]), self.read(node["content"]))
        if found is None:
            raise unsound("a Tree")
        return found


def read_sklearn(parts: dict[str, bytes]) -> Any:
    """Return the estimator that a skops file's parts hold.

    Raises ModelError for a type that is not on the allow-list and for one whose attributes could not have come from a
    fit; whatever else a malformed file provokes is raised as it is.
    """
    return SklearnFile(parts).read(json.loads(parts["schema.json"]))


def refused_type(name: str) -> ModelError:
    """Return the error for a type that is not on the allow-list."""
    return ModelError(f"the model holds type {name}, which is not on the allow-list", hint=ONLY_SKLEARN, about=name)


def unsound(what: str) -> ModelError:
    """Return the error for an object whose attributes do not fit one another."""
    return ModelError(f"{what} in the model does not fit together, or points outside of itself", hint=RETRAIN)


def _name(node: dict[str, Any]) -> str:
    return f"{node['__module__']}.{node['__class__']}"


def _named(node: dict[str, Any], known: dict[str, Any]) -> Any:
    if _name(node) not in known:
        raise refused_type(_name(node))
    return known[_name(node)]


def _read_scalar(node: dict[str, Any]) -> bool | int | float | str | None:
    found = json.loads(node["content"])
    if not (found is None or isinstance(found, bool | int | float | str)):
        raise unsound("a value")
    return found


def _read_slice(node: dict[str, Any]) -> slice:
    bounds = [node["content"][name] for name in ("start", "stop", "step")]
    if not all(bound is None or (isinstance(bound, int) and 0 <= bound < 1 << 31) for bound in bounds):
        raise unsound("a slice")
    return slice(*bounds)


def _read_array(data: bytes) -> Any:
    """Return an array of numbers, texts or nodes of trees that is exactly as long as its head says."""
    stream = io.BytesIO(data)
    major, _ = np.lib.format.read_magic(stream)
    read_head = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape, _, kind = read_head(stream)
    size = kind.itemsize
    for length in shape:
        size *= length
    sound = not kind.hasobject and kind.isnative and kind.kind in "biufUV" and len(shape) <= _MOST_ARRAY_DIMENSIONS
    if not sound or size != len(data) - stream.tell():
        raise unsound("an array")
    stream.seek(0)
    found = np.load(stream, allow_pickle=False)
    if kind.names is None:
        return found
    clean = np.zeros(found.shape, dtype=kind)  # what lies between the fields is no part of the model
    for name in kind.names:
        clean[name] = found[name]
    return clean
