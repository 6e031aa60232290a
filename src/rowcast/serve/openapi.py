"""The service's OpenAPI document: every path, what it takes, and each status that it answers with."""

from collections.abc import Mapping, Sequence
from typing import Any

import rowcast

_REFUSALS = {
    "400": "The body, the query or a header cannot be read.",
    "401": "A key is needed, or it is not known, has expired or was revoked.",
    "403": "The key may not do this; or, without keys, the request was not sent to this computer.",
    "404": "There is no such path, job or version.",
    "405": "The path does not take this method.",
    "408": "The body took too long.",
    "413": "The body, or the number of rows, is too large.",
    "415": "The content type is not one that is read here.",
    "422": "Rows break the contract, or a column is missing or unknown.",
    "429": "Too much waits, or the key has asked too often.",
    "500": "A fault in rowcast itself.",
    "503": "The job has no champion, or what was asked for needs its store, which is away.",
}
_OF_READING = ("400", "401", "403", "404", "405", "429", "500", "503")
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {"type": "string"},
        "hint": {"type": "string"},
        "refused": {"type": "array", "items": {"$ref": "#/components/schemas/Fault"}},
        "refused_rows": {"type": "integer"},
    },
}
_FAULT = {
    "type": "object",
    "required": ["column", "rule"],
    "properties": {"row": {"type": "integer"}, "column": {"type": "string"}, "rule": {"type": "string"}},
}
_ROWS = {"type": "array", "items": {"anyOf": [{"type": "object"}, {"type": "array"}]}, "minItems": 1}
_INVOCATION = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "instances": {"anyOf": [_ROWS, {"type": "object"}]},
        "inputs": {"anyOf": [_ROWS, {"type": "object"}]},
        "dataframe_records": {"type": "array", "items": {"type": "object"}, "minItems": 1},
        "dataframe_split": {
            "type": "object",
            "additionalProperties": False,
            "required": ["columns", "data"],
            "properties": {
                "columns": {"type": "array", "items": {"type": "string"}},
                "data": {"type": "array", "items": {"type": "array"}},
                "index": {"type": "array"},
            },
        },
        "parameters": {"$ref": "#/components/schemas/Options"},
        "params": {"$ref": "#/components/schemas/Options"},
        "signature_name": {"type": "string"},
    },
}
_FLAGS = {name: {"type": "boolean"} for name in ("explain", "partial", "record")}
_OPTIONS = {"type": "object", "additionalProperties": False, "properties": {**_FLAGS, "id": {"type": "string"}}}
_PREDICTION = {
    "type": "object",
    "required": ["score", "model_version"],
    "properties": {
        "score": {"type": ["number", "null"]},
        "predicted": {},
        "flagged": {"type": "boolean"},
        "model_version": {"type": "integer"},
        "uncertain": {"type": ["boolean", "null"]},
        "possible": {"type": "array"},
        "low": {"type": ["number", "null"]},
        "high": {"type": ["number", "null"]},
        "contributions": {"type": ["object", "null"]},
        "refused": {"type": "array", "items": {"$ref": "#/components/schemas/Fault"}},
    },
}
_PREDICTIONS = {
    "type": "object",
    "required": ["predictions", "model_version", "job"],
    "properties": {
        "predictions": {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}},
        "model_version": {"type": "integer"},
        "job": {"type": "string"},
        "refused": {"type": "array", "items": {"$ref": "#/components/schemas/Fault"}},
        "refused_rows": {"type": "integer"},
    },
}
_TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "datatype": {"type": "string"},
        "parameters": {"type": "object"},
        "data": {"type": "array"},
    },
}
_INFERENCE = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "parameters": {"type": "object", "properties": _FLAGS},
        "inputs": {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}, "minItems": 1},
        "outputs": {
            "type": "array",
            "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
        },
    },
}
_INFERRED = {
    "type": "object",
    "required": ["model_name", "model_version", "outputs"],
    "properties": {
        "model_name": {"type": "string"},
        "model_version": {"type": "string"},
        "id": {"type": "string"},
        "outputs": {"type": "array", "items": {"$ref": "#/components/schemas/Tensor"}},
    },
}
_SCHEMAS = {
    "Error": _ERROR,
    "Fault": _FAULT,
    "Invocation": _INVOCATION,
    "Options": _OPTIONS,
    "Prediction": _PREDICTION,
    "Predictions": _PREDICTIONS,
    "Tensor": _TENSOR,
    "Inference": _INFERENCE,
    "Inferred": _INFERRED,
}
_OBJECT = {"type": "object"}


def describe_service(jobs: Sequence[str], health: Sequence[str], predict: Sequence[str]) -> dict[str, Any]:
    """Return the document of a service of these jobs; `health` and `predict` are the paths of platforms."""
    paths: dict[str, Any] = {
        "/v2/health/live": _get("Whether the process answers.", is_open=True),
        "/v2/health/ready": _get("Whether every job can score.", is_open=True),
        "/v2": _get("The service and its extensions."),
        "/jobs": _get("The jobs, what is served of each and what is wrong."),
        "/metrics": _get("Figures in Prometheus' text format.", kind="text/plain"),
        "/openapi.json": _get("This document."),
    }
    paths |= {path: _get("Whether every job can score.", is_open=True) for path in health}
    paths |= {path: {"post": _score_rows()} for path in predict}
    job = {"name": "job", "in": "path", "required": True, "schema": {"type": "string", "enum": list(jobs)}}
    paths["/jobs/{job}/score"] = {"parameters": [job], "post": _score_rows()}
    paths["/jobs/{job}/example"] = {"parameters": [job], **_get("A body for /jobs/{job}/score: a usual row.")}
    paths["/jobs/{job}/refresh"] = {
        "parameters": [job],
        "post": _operation("Look for a new champion now.", {"202": _json(_OBJECT)}, _OF_READING),
    }
    version = {"name": "version", "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[0-9]+$"}}
    for path, parameters in (
        ("/v2/models/{job}", [job]),
        ("/v2/models/{job}/versions/{version}", [job, version]),
    ):
        paths[path] = {"parameters": parameters, **_get("The version in service: its inputs and outputs.")}
        paths[f"{path}/ready"] = {"parameters": parameters, **_get("Whether the job can score.")}
        paths[f"{path}/infer"] = {"parameters": parameters, "post": _infer()}
    keys = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "rowcast", "version": rowcast.__version__},
        "security": [{"bearer": []}, {"header": []}],
        "paths": paths,
        "components": {"schemas": _SCHEMAS, "securitySchemes": keys},
    }


def _get(summary: str, *, is_open: bool = False, kind: str = "application/json") -> dict[str, Any]:
    answer = _json(_OBJECT) if kind == "application/json" else {"description": "Done.", "content": {kind: {}}}
    operation = _operation(summary, {"200": answer}, _OF_READING)
    return {"get": operation | ({"security": []} if is_open else {})}


def _score_rows() -> dict[str, Any]:
    arrow = "application/vnd.apache.arrow.stream"
    body = {"application/json": {"schema": _reference("Invocation")}, "text/csv": {}, arrow: {}}
    answer = _json(_reference("Predictions"))
    answer["content"] |= {"text/csv": {}, arrow: {}}
    return _operation("Score rows.", {"200": answer}, tuple(_REFUSALS)) | _with_body(body)


def _infer() -> dict[str, Any]:
    body = {"application/json": {"schema": _reference("Inference")}, "application/octet-stream": {}}
    answer = _json(_reference("Inferred"))
    answer["content"] |= {"application/octet-stream": {}}
    return _operation("Score tensors.", {"200": answer}, tuple(_REFUSALS)) | _with_body(body)


def _with_body(content: Mapping[str, Any]) -> dict[str, Any]:
    flags = [{"name": name, "in": "query", "schema": {"type": "boolean"}} for name in _FLAGS]
    repeat = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "minLength": 1, "maxLength": 128}}
    return {"parameters": [*flags, repeat], "requestBody": {"required": True, "content": dict(content)}}


def _operation(summary: str, answers: Mapping[str, Any], refusals: Sequence[str]) -> dict[str, Any]:
    refused = {status: {**_json(_reference("Error")), "description": _REFUSALS[status]} for status in refusals}
    return {"summary": summary, "responses": {**answers, **refused}}


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": "Done.", "content": {"application/json": {"schema": schema}}}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
