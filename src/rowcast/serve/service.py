"""A service from its jobs: where it listens, who may ask, and which paths a platform names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rowcast.config import Settings
from rowcast.errors import ConfigError, UsageError
from rowcast.serve.application import Application, PlatformRoutes
from rowcast.serve.guard import Guard
from rowcast.serve.served_job import ServedJob
from rowcast.serve.server import LOOPBACK, Address, bind, check_certificate, run

PORT = 8080  # SageMaker's too


@dataclass(frozen=True)
class Plan:
    """What the command was told."""

    host: str | None = None
    port: int | None = None
    behind: str | None = None  # proxy, sagemaker or vertex: who authenticates
    certificate: Path | None = None
    key: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)  # of which Vertex AI's variables count

    @property
    def is_open(self) -> bool:
        """Whether somebody else says who may ask."""
        return self.behind is not None


def start(settings: Sequence[Settings], plan: Plan) -> None:
    """Serve the jobs until a signal ends it. Raise UsageError or ConfigError where that cannot be."""
    names = [each.name for each in settings]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two jobs have the name '{twice}'", hint="set another 'name' in one rowcast.toml")
    address = find_address(plan)
    check_certificate(address)
    bound = bind(address)
    jobs = [ServedJob(each) for each in settings]
    try:
        for job in jobs:
            job.start()
        is_local = address.host in LOOPBACK and not plan.is_open
        application = Application(jobs, Guard(is_local), platform=list_platform_routes(plan.environment))
        run(application, address, bound)
    finally:
        bound.close()
        for job in jobs:
            job.stop()


def find_address(plan: Plan) -> Address:
    """Return where to listen. Raise UsageError where others could ask, and nobody would check who they are."""
    host = plan.host or ("0.0.0.0" if plan.is_open else LOOPBACK[0])  # noqa: S104 - somebody else authenticates
    if host not in LOOPBACK and not plan.is_open:
        raise UsageError(
            f"without keys and TLS the service does not listen on {host}",
            hint="'rowcast keys create', --tls-cert and --tls-key; or --behind, where somebody else authenticates",
        )
    return Address(host, _find_port(plan), plan.certificate, plan.key)


def _find_port(plan: Plan) -> int:
    if plan.port is not None:
        return plan.port
    named = plan.environment.get("AIP_HTTP_PORT")
    if named is None:
        return PORT
    if not named.isdigit() or not 0 < int(named) < 65536:
        raise ConfigError("AIP_HTTP_PORT is no port", hint="Vertex AI sets it; elsewhere unset it, or name --port")
    return int(named)


def list_platform_routes(environment: Mapping[str, str]) -> list[PlatformRoutes]:
    """Return the paths of SageMaker, and those that Vertex AI names. Raise ConfigError for one that is no path."""
    usual = PlatformRoutes()
    health, predict = environment.get("AIP_HEALTH_ROUTE"), environment.get("AIP_PREDICT_ROUTE")
    for name, path in (("AIP_HEALTH_ROUTE", health), ("AIP_PREDICT_ROUTE", predict)):
        if path is not None and not path.startswith("/"):
            raise ConfigError(f"{name} is no path: it begins with /", hint="Vertex AI sets it; elsewhere unset it")
    if health is None and predict is None:
        return [usual]
    return [usual, PlatformRoutes(health or usual.health, predict or usual.predict)]
