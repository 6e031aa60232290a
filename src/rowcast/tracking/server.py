"""An MLflow tracking server: each call looks first whether it was made before, so that nothing is there twice."""

import os
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from rowcast.config import Settings
from rowcast.errors import NotifyError, shorten
from rowcast.logs import without
from rowcast.tracking.facts import RunFacts, VersionFacts

Result = TypeVar("Result")

ALIAS = "champion"
_TOGETHER = 500  # figures of one request; the server takes 1,000
# One try, which keeps nobody waiting for long; nothing is told to anybody but the server that the config names.
_MANNERS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class Server:
    """The experiment and the registered model of one job. Every method raises NotifyError where it does not answer."""

    def __init__(self, settings: Settings, store_id: str) -> None:
        uri = settings.mlflow.tracking_uri
        assert uri is not None
        for name, value in _MANNERS.items():
            os.environ.setdefault(name, value)
        try:
            from mlflow.tracking import MlflowClient
        except ModuleNotFoundError:
            raise NotifyError(
                "runs are not mirrored: mlflow-skinny is not installed", hint="pip install 'rowcast[mlflow]'"
            ) from None
        self._client: Any = MlflowClient(tracking_uri=uri.get_secret_value(), registry_uri=uri.get_secret_value())
        self._secrets = settings.secrets
        self._store_id = store_id
        self._model = settings.mlflow.model or settings.name
        self._experiment = self._ask("the experiment", lambda: self._find_experiment(settings))

    def send_run(self, run: RunFacts) -> str:
        """Send a run with its figures, and return the server's name of it."""
        return self._ask(f"run {run.run_id}", lambda: self._send_run(run))

    def send_version(self, version: VersionFacts, run: str) -> None:
        """Send a version that a run made, as an external model and as a version of the registered one."""
        self._ask(f"v{version.version}", lambda: self._send_version(version, run))

    def send_decision(self, version: int, tags: Mapping[str, str], *, serves: bool) -> None:
        """Send a decision about a version; one that serves from then on gets the alias."""
        self._ask(f"the decision about v{version}", lambda: self._send_decision(version, tags, serves))

    def _ask(self, what: str, call: Callable[[], Result]) -> Result:
        try:
            return call()
        except Exception as error:  # of MLflow, of requests, of what stands between
            said = without(self._secrets, f"{type(error).__name__}: {error}")
            hint = "the next run sends it, or 'rowcast mlflow' at once"
            raise NotifyError(f"the MLflow server did not take {what}", hint=hint, detail=shorten(said)) from None

    def _find_experiment(self, settings: Settings) -> str:
        name = settings.mlflow.experiment or settings.name
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name))

    def _send_run(self, run: RunFacts) -> str:
        from mlflow.entities import Metric, Param, RunTag

        mine = {"rowcast.run": f"{self._store_id}/{run.run_id}"}
        found = self._client.search_runs([self._experiment], f"tags.`rowcast.run` = '{mine['rowcast.run']}'")
        name = found[0].info.run_id if found else None
        if name is None:
            began = _milliseconds(run.started_at)
            name = self._client.create_run(self._experiment, began, mine, run.name).info.run_id
        ended = _milliseconds(run.finished_at)
        figures = [Metric(key, value, ended, 0) for key, value in run.figures.items()]
        for start in range(0, len(figures), _TOGETHER):
            self._client.log_batch(name, metrics=figures[start : start + _TOGETHER])
        self._client.log_batch(
            name,
            params=[Param(*each) for each in run.params.items()],
            tags=[RunTag(*each) for each in run.tags.items()],
        )
        self._client.set_terminated(name, run.state, ended)
        return str(name)

    def _send_version(self, version: VersionFacts, run: str) -> None:
        from mlflow.entities import Metric

        if self._find_version(version.version) is not None:
            return
        tags = {**version.tags, "rowcast.store": self._store_id}
        model = self._find_external(version.version) or self._client.create_logged_model(
            self._experiment, f"v{version.version}", run, tags, dict(version.params), "rowcast"
        )
        at = _milliseconds(version.created_at)
        figures = [Metric(key, value, at, 0, model_id=model.model_id) for key, value in version.figures.items()]
        if figures:
            self._client.log_batch(run, metrics=figures)
        if version.card is not None:
            self._client.log_text(run, version.card, f"card-v{version.version}.html")
        self._client.finalize_logged_model(model.model_id, "READY")
        if not self._client.search_registered_models(f"name = '{self._model}'"):
            self._client.create_registered_model(self._model)
        self._client.create_model_version(
            self._model, version.source, run_id=run, tags=tags, await_creation_for=0, model_id=model.model_id
        )

    def _send_decision(self, version: int, tags: Mapping[str, str], serves: bool) -> None:
        number = self._find_version(version)
        if number is None:  # of a run before it was mirrored, and deleted on the server since
            return
        for key, value in tags.items():
            self._client.set_model_version_tag(self._model, number, key, value)
        if serves:
            self._client.set_registered_model_alias(self._model, ALIAS, number)

    def _find_version(self, version: int) -> str | None:
        """Return the server's number of a version; None where it does not have it."""
        found = self._client.search_model_versions(f"name = '{self._model}'", max_results=10_000)
        return next((str(each.version) for each in found if self._is_mine(each.tags, version)), None)

    def _find_external(self, version: int) -> Any:
        found = self._client.search_logged_models([self._experiment], f"name = 'v{version}'")
        return next((each for each in found if self._is_mine(each.tags, version)), None)

    def _is_mine(self, tags: Mapping[str, str], version: int) -> bool:
        return (tags.get("rowcast.store"), tags.get("rowcast.version")) == (self._store_id, str(version))


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
