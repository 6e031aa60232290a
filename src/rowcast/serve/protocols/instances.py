"""Rows as MLflow's scoring server and Vertex AI take them, which SageMaker's clients send too; answers as objects.

mlflow.org/docs/latest/deployment/deploy-model-locally, cloud.google.com/vertex-ai/docs/predictions
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from rowcast.serve.columns import KnownColumns, shorten
from rowcast.serve.protocols.json_text import decode, require_unique_keys
from rowcast.serve.refusal import RowFault, bad_request, describe_faults
from rowcast.serve.request import Options, SentRows
from rowcast.serve.scoring import Answer

_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")


class _Split(msgspec.Struct, forbid_unknown_fields=True):
    columns: list[str]
    data: list[list[Any]]
    index: list[Any] | None = None


class _Parameters(msgspec.Struct, forbid_unknown_fields=True):
    explain: bool | None = None
    partial: bool | None = None
    record: bool | None = None
    id: str | None = None


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    dataframe_split: _Split | msgspec.UnsetType = msgspec.UNSET
    dataframe_records: list[dict[str, Any]] | msgspec.UnsetType = msgspec.UNSET
    instances: list[Any] | dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    inputs: list[Any] | dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    parameters: _Parameters | msgspec.UnsetType = msgspec.UNSET
    params: _Parameters | msgspec.UnsetType = msgspec.UNSET
    signature_name: str | msgspec.UnsetType = msgspec.UNSET  # TensorFlow Serving's clients name one


_decoder = msgspec.json.Decoder(_Body)


def read_instances(body: bytes, options: Options, known: KnownColumns) -> tuple[SentRows, Options]:
    """Return the rows of a JSON body, and the options with those that it names."""
    asked = decode(_decoder, body)
    given = [form for form in _FORMS if getattr(asked, form) is not msgspec.UNSET]
    if len(given) != 1:
        raise bad_request(f"the body needs one of {', '.join(_FORMS)}", "see /openapi.json")
    form = getattr(asked, given[0])
    if isinstance(form, _Split):
        counted, rows = 3, _from_split(form)
    else:
        counted, rows = _from_rows(form, given[0], known)
    require_unique_keys(body, counted)
    for parameters in (asked.parameters, asked.params):
        if isinstance(parameters, _Parameters):
            options = _override(options, parameters)
    return rows, options


def _override(options: Options, parameters: _Parameters) -> Options:
    def choose(given: bool | None, before: bool) -> bool:
        return before if given is None else given

    return Options(
        explain=choose(parameters.explain, options.explain),
        partial=choose(parameters.partial, options.partial),
        record=options.record if parameters.record is None else parameters.record,
        request_id=options.request_id if parameters.id is None else parameters.id,
    )


def _from_rows(form: Any, name: str, known: KnownColumns) -> tuple[int, SentRows]:
    """Rows as objects, as lists in the order of the features, or one list for each column; and how many keys."""
    if isinstance(form, dict):
        return 1 + len(form), from_columns(form)
    types = set(map(type, form))
    if types == {dict}:
        return 1 + sum(map(len, form)), from_records(form)
    if types == {list}:
        return 1, from_lists(form, known.features)
    if not form:
        raise bad_request(f"'{name}' has no rows", "send at least one")
    raise bad_request(f"'{name}' needs rows that are all objects or all lists", "see /openapi.json")


def from_records(records: Sequence[Mapping[str, Any]]) -> SentRows:
    """Return rows from objects. One that lacks a column which others have is at fault."""
    if not records:
        raise bad_request("there are no rows", "send at least one")
    first = records[0]
    if len(records) == 1:
        return SentRows(1, {name: (value,) for name, value in first.items()})
    try:
        if all(len(record) == len(first) for record in records):
            return SentRows(len(records), {name: [record[name] for record in records] for name in first})
    except KeyError:
        pass
    names = list(dict.fromkeys(name for record in records for name in record))
    faults = [
        RowFault(row, shorten(name), "missing")
        for row, record in enumerate(records)
        if len(record) < len(names)
        for name in names
        if name not in record
    ]
    return SentRows(len(records), {name: [record.get(name) for record in records] for name in names}, faults)


def from_lists(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> SentRows:
    """Return rows from lists of values in the order of `names`."""
    wrong = next((place for place, row in enumerate(rows) if len(row) != len(names)), None)
    if wrong is not None:
        raise bad_request(
            f"row {wrong} has {len(rows[wrong])} values, where {len(names)} columns are named",
            "rows that are lists hold the model's features in their order: GET /v2/models/{job} lists them",
        )
    if not rows:
        raise bad_request("there are no rows", "send at least one")
    return SentRows(len(rows), dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def from_columns(columns: Mapping[str, Any]) -> SentRows:
    """Return rows from one list of values for each column; a single value is a row of one."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in columns.items()}
    lengths = {len(values) for values in lists.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise bad_request("the columns hold different numbers of values, or none", "each needs one for each row")
    return SentRows(lengths.pop(), lists)


def _from_split(split: _Split) -> SentRows:
    if len(set(split.columns)) != len(split.columns):
        raise bad_request("dataframe_split names a column twice", "which of its values is meant?")
    return from_lists(split.data, split.columns)


def write_predictions(answer: Answer) -> bytes:
    """Return an answer as JSON: an object for each row, in the order of the request."""
    predictions = describe_rows(answer)
    about = {"predictions": predictions, "model_version": answer.version, "job": answer.job}
    if answer.faults:
        about |= {"refused": describe_faults(answer.faults), "refused_rows": answer.rows - len(answer.places)}
    return msgspec.json.encode(about)


def describe_rows(answer: Answer) -> list[dict[str, Any]]:
    """Return what is said of each row of the request; a row that was refused has its reasons."""
    rows: list[dict[str, Any]] = []
    certain = answer.uncertain[:1] != [None]
    intervals = certain and answer.possible[:1] == [None]
    for place, score in enumerate(answer.score):
        row = {
            "score": score,
            "predicted": answer.predicted[place],
            "flagged": answer.flagged[place],
            "model_version": answer.version,
        }
        if certain:
            row["uncertain"] = answer.uncertain[place]
            if intervals:
                row |= {"low": answer.low[place], "high": answer.high[place]}
            else:
                row["possible"] = msgspec.Raw((answer.possible[place] or "[]").encode())
        if answer.contributions is not None:
            row["contributions"] = answer.contributions[place]
        rows.append(row)
    if not answer.faults:
        return rows
    every: list[dict[str, Any]] = [
        {"score": None, "model_version": answer.version, "refused": []} for _ in range(answer.rows)
    ]
    for place, row in zip(answer.places, rows, strict=True):
        every[place] = row
    for fault in answer.faults:
        every[fault.row]["refused"].append({"column": fault.column, "rule": fault.rule})
    return every
