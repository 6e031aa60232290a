"""A service from its jobs: where it listens, who may ask, and which paths a platform names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rowcast.config import Settings
from rowcast.errors import ConfigError, UsageError
from rowcast.serve.application import Application, Pages, PlatformRoutes
from rowcast.serve.guard import Asks, Guard
from rowcast.serve.limits import Limits
from rowcast.serve.observed import Observer, open_access_log
from rowcast.serve.served_job import ServedJob
from rowcast.serve.server import LOOPBACK, Address, bind, check_certificate, describe_place, run
from rowcast.serve.tracing import open_spans

PORT = 8080  # SageMaker's too
_STRIPS_HEADERS = ("sagemaker", "vertex")  # no key arrives there: the platform authenticates


@dataclass(frozen=True)
class Plan:
    """What the command was told."""

    host: str | None = None
    port: int | None = None
    behind: str | None = None  # proxy, sagemaker or vertex: who authenticates
    certificate: Path | None = None
    key: Path | None = None
    logs_access: bool = True  # a line for each request
    asks_always: bool = False  # for a login or a key, also on this computer
    environment: Mapping[str, str] = field(default_factory=dict)  # of which Vertex AI's variables count


def start(
    settings: Sequence[Settings],
    plan: Plan,
    make_pages: Callable[[Sequence[ServedJob]], Pages] | None = None,
    announce: Callable[[str], None] = lambda _url: None,
) -> None:
    """Serve the jobs until a signal ends it. Raise UsageError or ConfigError where that cannot be.

    `make_pages` gives the pages for people; where a platform strips headers there are none, since no session arrives.
    `announce` is told the service's URL once it can be asked.
    """
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
        require_guarded(jobs, plan, address)
        application = Application(
            jobs,
            choose_guard(plan, address),
            limits=find_limits(settings),
            observer=Observer(open_access_log() if plan.logs_access else None, open_spans(plan.environment)),
            platform=list_platform_routes(plan.environment),
            pages=None if make_pages is None or plan.behind in _STRIPS_HEADERS else make_pages(jobs),
        )
        announce(describe_place(address, bound))
        run(application, address, bound)
    finally:
        bound.close()
        for job in jobs:
            job.stop()


def find_limits(settings: Sequence[Settings]) -> Limits:
    """Return the bounds of a service of these jobs: of each the widest that a job sets."""
    body = int(max(each.serve.max_body_mb for each in settings) * 1_000_000)
    usual = Limits()
    return Limits(body=body, bodies=max(usual.bodies, 4 * body), rows=max(each.serve.max_rows for each in settings))


def choose_guard(plan: Plan, address: Address) -> Guard:
    """Return who is asked for a key."""
    if plan.behind in _STRIPS_HEADERS:
        return Guard(Asks.NEVER, is_local=False)
    if plan.asks_always:
        return Guard(Asks.ALWAYS, is_local=address.is_local)
    if plan.behind is not None or address.is_local:
        return Guard(
            Asks.WHERE_THERE_ARE,
            is_local=address.is_local and plan.behind is None,
            trusts_proxy=plan.behind is not None,
        )
    return Guard(Asks.ALWAYS, is_local=False)


def require_guarded(jobs: Sequence[ServedJob], plan: Plan, address: Address) -> None:
    """Raise UsageError where others could ask for a job that has no keys, and nobody would check who they are."""
    bare = next((job.name for job in jobs if not job.has_keys), None)
    if bare is not None and plan.behind is None and not address.is_local:
        raise UsageError(
            f"job '{bare}' has no keys: the service does not listen on {address.host}",
            hint="'rowcast keys create NAME' makes one; or --behind, where somebody else authenticates",
        )


def find_address(plan: Plan) -> Address:
    """Return where to listen. Raise UsageError where others could ask, and nobody would check who they are."""
    everywhere = "0.0.0.0"  # noqa: S104 - somebody else authenticates
    host = plan.host or (LOOPBACK[0] if plan.behind is None else everywhere)
    address = Address(host, _find_port(plan), plan.certificate, plan.key)
    if not address.is_local and plan.behind is None and plan.certificate is None:
        raise UsageError(
            f"without TLS the service does not listen on {host}: keys would travel in the clear",
            hint="--tls-cert and --tls-key; or --behind, where somebody else encrypts and authenticates",
        )
    return address


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
