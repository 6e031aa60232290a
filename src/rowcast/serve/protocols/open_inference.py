"""The Open Inference Protocol v2, also called KServe's v2: a tensor for each column, or one for all features.

github.com/kserve/open-inference-protocol, and its extension for binary tensors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from rowcast.serve.columns import KnownColumns, shorten
from rowcast.serve.protocols.json_text import decode, require_unique_keys
from rowcast.serve.protocols.tensors import TYPES, count_elements, flatten, pack, unpack
from rowcast.serve.refusal import bad_request, describe_faults
from rowcast.serve.request import Options, SentRows
from rowcast.serve.scoring import Answer, Serving

_DATATYPES = {"number": "FP64", "category": "BYTES", "boolean": "BOOL"}
_MOST_ELEMENTS = 10_000_000
_OPTIONS = ("explain", "partial", "record")


class _Tensor(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[Any] | msgspec.UnsetType = msgspec.UNSET
    parameters: dict[str, Any] = {}


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class _Body(msgspec.Struct):
    inputs: list[_Tensor]
    id: str = ""
    parameters: dict[str, Any] = {}
    outputs: list[_Output] = []


_decoder = msgspec.json.Decoder(_Body)


@dataclass(frozen=True)
class Wanted:
    """Which output tensors are asked for, and in which form."""

    id: str = ""
    names: tuple[str, ...] = ()  # (): all of them
    binary: frozenset[str] = frozenset()  # those that are to come as bytes
    all_binary: bool = False

    def is_binary(self, name: str) -> bool:
        """Return whether a tensor is to come as bytes."""
        return name in self.binary or self.all_binary


def read_tensors(
    body: bytes, json_length: int | None, options: Options, known: KnownColumns
) -> tuple[SentRows, Options, Wanted]:
    """Return the rows of an inference request, its options, and what is wanted of the answer.

    `json_length` is the header `Inference-Header-Content-Length`: what follows so many bytes of JSON is binary.
    """
    if json_length is not None and not 0 < json_length <= len(body):
        raise bad_request("Inference-Header-Content-Length is longer than the body")
    text = body if json_length is None else body[:json_length]
    raw = memoryview(b"" if json_length is None else body)[json_length or 0 :]
    asked = decode(_decoder, text)
    require_unique_keys(text, _count_keys(asked))
    if not asked.inputs:
        raise bad_request("there are no inputs", "send a tensor for each column")
    columns, used = _read_inputs(asked.inputs, raw)
    if used != len(raw):
        raise bad_request(f"{len(raw) - used} bytes follow the last binary tensor")
    rows = _to_rows(asked.inputs, columns, known)
    return rows, _override(options, asked), _find_wanted(asked)


def _count_keys(asked: _Body) -> int:
    """At least how many keys the body has, each once."""
    tensors = sum(3 + (tensor.data is not msgspec.UNSET) + _size(tensor.parameters) for tensor in asked.inputs)
    outputs = sum(1 + _size(output.parameters) for output in asked.outputs)
    return 1 + bool(asked.id) + _size(asked.parameters) + tensors + bool(asked.outputs) + outputs


def _size(parameters: Mapping[str, Any]) -> int:
    return 1 + len(parameters) if parameters else 0


def _read_inputs(tensors: Sequence[_Tensor], raw: memoryview) -> tuple[list[list[Any]], int]:
    """The elements of each tensor, and how many of the binary bytes they took."""
    found, used = [], 0
    for tensor in tensors:
        if tensor.datatype not in TYPES:
            raise bad_request(f"tensor '{shorten(tensor.name)}' has an unknown datatype", f"known: {', '.join(TYPES)}")
        name, count = shorten(tensor.name), count_elements(tensor.shape, shorten(tensor.name), _MOST_ELEMENTS)
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            if tensor.data is msgspec.UNSET:
                raise bad_request(f"tensor '{name}' has no data", "send 'data', or 'binary_data_size' and the bytes")
            found.append(_typed(flatten(tensor.data, name, count), tensor.datatype))
        else:
            if type(size) is not int or not 0 <= size <= len(raw) - used:
                raise bad_request(
                    f"tensor '{name}' says how many bytes it has, and they are not there",
                    "the header Inference-Header-Content-Length says where the JSON ends",
                )
            found.append(unpack(raw[used : used + size], tensor.datatype, name, count))
            used += size
    return found, used


def _typed(values: list[Any], datatype: str) -> list[Any]:
    """JSON's values as their datatype has them: what does not fit is left for data-check to refuse."""
    if datatype == "BOOL":
        return [bool(value) if value in (0, 1) and not isinstance(value, str) else value for value in values]
    return values


def _to_rows(tensors: Sequence[_Tensor], elements: Sequence[list[Any]], known: KnownColumns) -> SentRows:
    if len(tensors) == 1 and len(tensors[0].shape) == 2 and not _is_column(tensors[0].name, known):
        rows, width = tensors[0].shape
        if width != len(known.features):
            raise bad_request(
                f"tensor '{shorten(tensors[0].name)}' has {width} columns, where the model needs {len(known.features)}",
                "one tensor of all rows holds the features in the order of GET /v2/models/{job}",
            )
        every = elements[0]
        columns = {name: every[place::width] for place, name in enumerate(known.features)}
        return SentRows(_at_least_one(rows), columns)
    counts = set()
    for tensor in tensors:
        if len(tensor.shape) not in (1, 2) or (len(tensor.shape) == 2 and tensor.shape[1] != 1):
            raise bad_request(
                f"tensor '{shorten(tensor.name)}' is not of shape [rows] or [rows, 1]",
                "send a tensor for each column, or one of shape [rows, features]",
            )
        counts.add(tensor.shape[0])
    if len(counts) > 1:
        raise bad_request("the tensors have different numbers of rows", "each needs one element for each row")
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise bad_request("two tensors have the same name", "which of their values is meant?")
    columns = {tensor.name: values for tensor, values in zip(tensors, elements, strict=True)}
    return SentRows(_at_least_one(counts.pop()), columns)


def _is_column(name: str, known: KnownColumns) -> bool:
    return name in known.kinds or name in known.others


def _at_least_one(rows: int) -> int:
    if rows < 1:
        raise bad_request("there are no rows", "send at least one")
    return rows


def _override(options: Options, asked: _Body) -> Options:
    given = {name: asked.parameters[name] for name in _OPTIONS if name in asked.parameters}
    if not all(isinstance(value, bool) for value in given.values()):
        raise bad_request(f"the parameters {', '.join(_OPTIONS)} are true or false")
    chosen = {name: getattr(options, name) for name in _OPTIONS} | given
    return Options(**chosen, request_id=options.request_id or asked.id or None)


def _find_wanted(asked: _Body) -> Wanted:
    binary = {output.name for output in asked.outputs if output.parameters.get("binary_data") is True}
    return Wanted(
        asked.id,
        tuple(output.name for output in asked.outputs),
        frozenset(binary),
        asked.parameters.get("binary_data_output") is True and not asked.outputs,
    )


def write_tensors(answer: Answer, wanted: Wanted) -> tuple[bytes, int | None]:
    """Return an answer as JSON, or as JSON and bytes, and then how long the JSON is.

    Raise Refusal where an output is asked for that there is not.
    """
    tensors = _list_outputs(answer)
    unknown = [name for name in wanted.names if name not in tensors]
    if unknown:
        raise bad_request(f"there is no output '{shorten(unknown[0])}'", f"there are {', '.join(tensors)}")
    outputs, binary = [], []
    for name in wanted.names or tensors:
        datatype, values = tensors[name]
        output: dict[str, Any] = {"name": name, "datatype": datatype, "shape": [len(answer.places)]}
        if wanted.is_binary(name):
            binary.append(pack(values, datatype))
            output["parameters"] = {"binary_data_size": len(binary[-1])}
        else:
            output["data"] = values
        outputs.append(output)
    about: dict[str, Any] = {"model_name": answer.job, "model_version": str(answer.version)}
    about |= {"id": wanted.id} if wanted.id else {}
    if answer.faults:
        refused = describe_faults(answer.faults)
        about["parameters"] = {"refused": refused, "refused_rows": answer.rows - len(answer.places)}
    text = msgspec.json.encode(about | {"outputs": outputs})
    return (text + b"".join(binary), len(text)) if binary else (text, None)


def _list_outputs(answer: Answer) -> dict[str, tuple[str, Sequence[Any]]]:
    """Datatype and elements of each output, one for each row that was scored."""
    found: dict[str, tuple[str, Sequence[Any]]] = {
        "score": ("FP64", answer.score),
        "predicted": (_datatype_of(answer.predicted), answer.predicted),
        "flagged": ("BOOL", answer.flagged),
    }
    if answer.uncertain[:1] != [None]:
        found["uncertain"] = ("BOOL", answer.uncertain)
        if answer.possible[:1] == [None]:
            found |= {"low": ("FP64", answer.low), "high": ("FP64", answer.high)}
        else:
            found["possible"] = ("BYTES", answer.possible)
    if answer.contributions is not None:
        texts = [None if one is None else msgspec.json.encode(one).decode() for one in answer.contributions]
        found["contributions"] = ("BYTES", ["" if text is None else text for text in texts])
    if answer.faults:
        found["row"] = ("INT64", answer.places)
    return found


def _datatype_of(values: Sequence[Any]) -> str:
    kinds = {bool: "BOOL", int: "INT64", float: "FP64"}
    return kinds.get(type(values[0]), "BYTES") if values else "BYTES"


def describe_model(serving: Serving) -> dict[str, Any]:
    """Return the metadata of a version: its inputs are the features in their order."""
    model = serving.served.model
    inputs = [
        {"name": name, "datatype": _datatype(name, serving.columns), "shape": [-1]} for name in serving.columns.features
    ]
    predicted = "FP64" if model.kind == "regression" else _datatype_of(model.classes)
    outputs = [("score", "FP64"), ("predicted", predicted), ("flagged", "BOOL")]
    if model.conformal is not None:
        outputs.append(("uncertain", "BOOL"))
        outputs += [("low", "FP64"), ("high", "FP64")] if model.kind == "regression" else [("possible", "BYTES")]
    return {
        "name": serving.job,
        "versions": [str(serving.version)],
        "platform": "rowcast",
        "inputs": inputs,
        "outputs": [{"name": name, "datatype": datatype, "shape": [-1]} for name, datatype in outputs],
    }


def _datatype(name: str, known: KnownColumns) -> str:
    return "BYTES" if name in known.times or name not in known.kinds else _DATATYPES[known.kinds[name]]
