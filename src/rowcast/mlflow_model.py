"""A model version as an MLflow model: a folder that `mlflow.pyfunc.load_model` reads, without pickle or a database.

MLflow's format: mlflow.org/docs, "MLflow Models", storage format and the python_function flavor. Writing it needs no
MLflow. Reading it runs `_load_pyfunc` below, which checks the model's SHA-256 and, where there is a key, its signature.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from platform import python_version
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pydantic import SecretStr

import rowcast
from rowcast.config import Reading
from rowcast.config.values import split_keys
from rowcast.contract import Contract
from rowcast.errors import ModelError, UsageError
from rowcast.models.artifact import Model
from rowcast.scoring.served_model import ServedModel
from rowcast.store.records import VersionStatus
from rowcast.store.registry import Stored, Version
from rowcast.store.signing import SigningKeys

if TYPE_CHECKING:
    import pandas as pd

_BYTES, _ABOUT, _BATCH_ROWS = "model.bin", "about.json", 10_000
_TYPES = {"number": "double", "boolean": "boolean", "category": "string"}  # of MLflow's signature, by kind of column


@dataclass(frozen=True)
class Exported:
    """What is written beside the model's bytes."""

    job: str
    version: int
    sha256: str  # of the bytes
    signature: str | None  # over job, version and digest
    created_at: str
    estimator: str
    rows: int  # that it learned from
    checked: str  # the contract as JSON, with what the job's config adds to it
    missing: tuple[float | str, ...]  # what means "not measured"
    decimal: str  # of numbers in texts


def export_model(served: ServedModel, stored: Stored, job: str, folder: Path) -> None:
    """Write a version into a folder that is not there yet. Raise UsageError where it is, or cannot be written."""
    version, reading = served.version, served.reading
    about = Exported(
        job=job,
        version=version.version,
        sha256=stored.sha256,
        signature=stored.signature,
        created_at=version.created_at.isoformat(),
        estimator=version.estimator,
        rows=version.rows,
        checked=served.checked.to_json(),
        missing=reading.missing,
        decimal=reading.decimal,
    )
    texts = {
        f"data/{_ABOUT}": json.dumps(asdict(about), ensure_ascii=False, indent=1),
        "requirements.txt": f"rowcast=={rowcast.__version__}\npandas\n",
        "python_env.yaml": f'python: "{python_version()}"\ndependencies:\n- -r requirements.txt\n',
        "MLmodel": json.dumps(_describe(served, about), indent=1),
    }
    try:
        (folder / "data").mkdir(parents=True)
        (folder / "data" / _BYTES).write_bytes(stored.artifact)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except FileExistsError:
        raise UsageError(f"{folder} holds a model already", hint="name a folder that is not there yet") from None
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}", hint="name another folder") from None


def _describe(served: ServedModel, about: Exported) -> dict[str, Any]:
    """Return what the file MLmodel says: it is YAML, of which JSON is a part."""
    rules = {rule.name: rule for rule in served.checked.rules}
    inputs = [{"name": name, "type": _TYPES[rules[name].kind], "required": True} for name in served.model.features]
    kind = "double" if served.model.kind == "regression" else _name_type(served.model.classes[0])
    outputs = [
        {"name": "score", "type": "double"},
        {"name": "predicted", "type": kind},
        {"name": "reasons", "type": "string"},
    ]
    return {
        "artifact_path": "model",
        "flavors": {
            "python_function": {
                "loader_module": "rowcast.mlflow_model",
                "data": "data",
                "python_version": python_version(),
                "env": {"virtualenv": "python_env.yaml"},
            }
        },
        "metadata": {"source": f"rowcast://{about.job}/v{about.version}", "sha256": about.sha256},
        "model_uuid": uuid4().hex,
        "signature": {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs), "params": None},
        "utc_time_created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
    }


def _name_type(label: Any) -> str:
    return {bool: "boolean", int: "long", float: "double"}.get(type(label), "string")


class LoadedModel:
    """What MLflow calls."""

    def __init__(self, served: ServedModel) -> None:
        self.served = served

    def predict(self, model_input: "pd.DataFrame", params: Mapping[str, Any] | None = None) -> "pd.DataFrame":
        """Return score, predicted and the reasons why there is none: a row for each given one."""
        if params:
            raise UsageError("this model takes no parameters", hint="leave them out")
        return self.served.score(model_input).select(["score", "predicted", "reasons"]).to_pandas()


def _load_pyfunc(path: str) -> LoadedModel:
    """Return what MLflow wraps. Raise ModelError where the bytes were changed, or are not signed as they must be."""
    folder = Path(path)
    try:
        about = Exported(**json.loads((folder / _ABOUT).read_text(encoding="utf-8")))
        artifact = (folder / _BYTES).read_bytes()
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"{folder} holds no model of rowcast", hint="'rowcast models export' writes one") from error
    text = os.environ.get("ROWCAST_SIGNING_KEY", "")
    keys = SigningKeys.of(split_keys(SecretStr(text)) if text else ())
    state = keys.check(about.signature, about.job, about.version, about.sha256)
    if not state.is_trusted:
        raise ModelError(
            f"model v{about.version} of job '{about.job}' is refused: {state}",
            hint="sign it in its store, 'rowcast models sign V', and export it again",
        )
    model = Model.from_bytes(artifact, about.sha256)
    version = Version(
        version=about.version,
        status=VersionStatus.CHALLENGER,
        created_at=datetime.fromisoformat(about.created_at),
        run_id=0,
        estimator=about.estimator,
        features=model.features,
        trained_from=None,
        trained_to=None,
        trained_to_key=None,
        rows=about.rows,
        metrics={},
        artifact_sha256=about.sha256,
    )
    reading = Reading(tuple(about.missing), about.decimal)
    return LoadedModel(ServedModel(version, model, (), Contract.from_json(about.checked), reading, _BATCH_ROWS))
