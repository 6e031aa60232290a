"""A batch on a worker of another machine: the same work as everywhere, from a request that carries no secret.

The worker opens the job by its own environment, claims the batch, and publishes it; what returns are counts.
"""

import platform
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.metadata import version
from os import getpid
from typing import TypeVar

from rowcast import __version__, logs
from rowcast.config import Settings, Template, fingerprint, make_template
from rowcast.errors import ConfigError, RowcastError, RunError
from rowcast.job.opening import Job
from rowcast.scoring.batch import open_scorer, score_batch
from rowcast.scoring.request import Outcome, ScoringRequest
from rowcast.store.process import place_name
from rowcast.store.records import RunStatus

Result = TypeVar("Result")

LOOK = 1.0  # seconds between two looks at a batch that another worker has

_one_at_a_time = threading.Lock()  # a worker's process has one set of connections, whatever its threads
_filled: list[tuple[Template, Settings]] = []  # at most one


@dataclass(frozen=True)
class Order:
    """What a worker must know to score a batch of a run; it travels to other machines."""

    template: Template
    meaning: str  # the fingerprint of the settings that the run has
    versions: tuple[tuple[str, str], ...]  # that the run has
    place: str | None  # the only machine that can read the databases; None for any
    level: str  # from which on events are logged
    run_id: int
    now: datetime
    champion: int
    shadows: tuple[int, ...]
    accept_quarantine: bool
    sampled: float
    since: datetime | None


def make_order(request: ScoringRequest) -> Order:
    """Return a request as it may travel. Raise ConfigError where the config holds a secret as plain text."""
    settings = request.settings
    is_file = any(url.startswith("sqlite") for url in (settings.source_url, settings.store_url))
    return Order(
        template=make_template(settings),
        meaning=fingerprint(settings),
        versions=list_versions(),
        place=place_name() if is_file else None,
        level="warning" if request.logging is None else request.logging.level,
        run_id=request.run_id,
        now=request.now,
        champion=request.champion,
        shadows=request.shadows,
        accept_quarantine=request.accept_quarantine,
        sampled=request.sampled,
        since=request.since,
    )


def score_remotely(order: Order, batch_id: int) -> Outcome:
    """Score one batch in this process, a worker's. Raise ConfigError or RunError where it is not fit for the run."""
    with _one_at_a_time:
        return _named(lambda: _score(order, batch_id))


@cache
def list_versions() -> tuple[tuple[str, str], ...]:
    """Return what must be the same on all workers, with its version."""
    python = ".".join(platform.python_version_tuple()[:2])
    return ("rowcast", __version__), ("Python", python), ("lightgbm", version("lightgbm"))


def _score(order: Order, batch_id: int) -> Outcome:
    """Score a batch. Where another worker of the run has it, wait: a cluster may believe this one, and end that one."""
    request = _prepare(order)
    while True:
        outcome = score_batch(request, batch_id)
        if outcome.batches or outcome.failed:
            return outcome
        if not _wait_for_other(open_scorer(request).job, order, batch_id):
            return outcome


def _wait_for_other(job: Job, order: Order, batch_id: int) -> bool:
    """Wait while another worker of the run holds a batch; return whether it was given back, or is free again.

    Raise RunError where this worker's store does not know the run: then it is another one.
    """
    while True:
        run = job.retry(lambda: job.runs.get(order.run_id))
        if run.as_of != order.now:
            raise RunError("it works on another store than the run", hint="set the same database URL for all workers")
        if run.status is not RunStatus.RUNNING:
            return False
        if not job.retry(lambda: job.ledger.is_held(batch_id, order.run_id)):
            return batch_id in job.retry(lambda: job.ledger.open_batches(order.run_id))
        time.sleep(LOOK)


def _prepare(order: Order) -> ScoringRequest:
    for (name, wanted), (_, own) in zip(order.versions, list_versions(), strict=True):
        if own != wanted:
            raise RunError(
                f"it has {name} {own}, and the run has {wanted}", hint="install the same versions on all workers"
            )
    if order.place not in (None, place_name()):
        raise ConfigError(
            "it is on another machine than the SQLite file, which is not shared",
            hint="use PostgreSQL or SQL Server with a cluster of several machines",
        )
    if not _filled or _filled[0][0] != order.template:
        settings = order.template.fill()
        if fingerprint(settings) != order.meaning:
            raise ConfigError(
                "its environment sets other things than that of the run", hint="unset its variables ROWCAST_…"
            )
        logs.configure(order.level, secrets=settings.secrets)
        _filled.clear()
        _filled.append((order.template, settings))
    return ScoringRequest(
        settings=_filled[0][1],
        run_id=order.run_id,
        now=order.now,
        champion=order.champion,
        shadows=order.shadows,
        accept_quarantine=order.accept_quarantine,
        sampled=order.sampled,
        since=order.since,
        logging=None,
    )


def _named(work: Callable[[], Result]) -> Result:
    """Return what `work` returns; what it raises names this worker."""
    try:
        return work()
    except RowcastError as error:
        error.what = f"worker {socket.gethostname()}:{getpid()}: {error.what}"
        raise
