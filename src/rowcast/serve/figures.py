"""The page of figures: what the service counted, beside what `rowcast metrics` prints of its jobs."""

import threading
import time
from collections.abc import Iterator, Sequence

import structlog

from rowcast.errors import as_rowcast_error
from rowcast.job.opening import open_job
from rowcast.metrics import FAMILIES, Family, Sample, collect_samples, format_samples
from rowcast.serve import observed
from rowcast.serve.limits import Gate
from rowcast.serve.observed import Observer
from rowcast.serve.served_job import ServedJob

log = structlog.get_logger("rowcast")

_OLDEST = 60.0  # seconds for which a job's figures are kept: counting them reads the keys of its whole table
_OWN: dict[str, Family] = {
    "rowcast_serve_champion_version": ("gauge", "The model version that this process serves."),
    "rowcast_serve_store_up": ("gauge", "Whether the job's store answered at the last look: 1, else 0."),
    "rowcast_serve_waiting": ("gauge", "Requests that wait for the scoring thread, or are in it."),
    "rowcast_serve_waiting_bytes": ("gauge", "Bytes of bodies that are being read, or wait."),
}


class Figures:
    """What /metrics shows."""

    def __init__(self, jobs: Sequence[ServedJob], observer: Observer, gate: Gate) -> None:
        self.jobs = jobs
        self.observer = observer
        self.gate = gate
        self._kept: dict[str, tuple[float, list[Sample]]] = {}
        self._lock = threading.Lock()

    def format(self, jobs: Sequence[ServedJob]) -> str:
        """Return the page for these jobs. It reads from their stores, and takes as long as that does."""
        samples = [*self.observer.samples(), *self._own(jobs)]
        for job in jobs:
            samples += self._of_job(job)
        return format_samples(samples, observed.FAMILIES | _OWN | FAMILIES)

    def _own(self, jobs: Sequence[ServedJob]) -> Iterator[Sample]:
        for job in jobs:
            version = None if job.current is None else job.current.version
            yield "rowcast_serve_champion_version", {"job": job.name}, version
            yield "rowcast_serve_store_up", {"job": job.name}, int(not job.is_store_away)
        yield "rowcast_serve_waiting", {}, self.gate.waiting
        yield "rowcast_serve_waiting_bytes", {}, self.gate.bytes

    def _of_job(self, job: ServedJob) -> list[Sample]:
        """The job's own figures, at most a minute old; none where its store does not answer."""
        with self._lock:
            kept = self._kept.get(job.name)
            if kept is not None and time.monotonic() < kept[0] + _OLDEST:
                return kept[1]
            try:
                with open_job(job.settings, prepare=False) as opened:
                    found = collect_samples(opened)
            except Exception as error:
                log.warning("a job's figures were left out", job=job.name, error=as_rowcast_error(error))
                return []
            self._kept[job.name] = (time.monotonic(), found)
            return found
