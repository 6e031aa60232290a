"""Batches mapped over an engine's workers, and what is done where worker processes die."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

import structlog

from rowcast.engines import Engine
from rowcast.errors import DeadWorkerError, RowcastError
from rowcast.job.opening import Job
from rowcast.scoring.batch import close_worker, score_batch
from rowcast.scoring.remote import make_order, score_remotely
from rowcast.scoring.request import Outcome, ScoringRequest

log = structlog.get_logger("rowcast")

_DEADLY = 3  # processes that die over a batch before it counts as failing; from the first on it is worked on apart

Failed = dict[int, RowcastError]  # batches, each with what its rows raise


def _ignore() -> None:
    """Progress that nobody watches."""


class Workers:
    """An engine's workers, which score batches of one request; `total` adds up what became of them."""

    def __init__(self, job: Job, request: ScoringRequest, engine: Engine, total: Outcome) -> None:
        self.job = job
        self.request = request
        self.engine = engine
        self.total = total
        self._before = job.retry(lambda: job.ledger.count_published(request.run_id))  # by the run that is resumed

    def score(self, batches: Sequence[int], progress: Callable[[], None] = _ignore, *, apart: bool = False) -> Failed:
        """Score batches and return those that fail, given back.

        Where a worker process dies, the others go on. The batch over which it died is worked on apart from then on:
        in a process of its own, so that it takes no other batch and not the run itself with it.
        """
        failed: Failed = {}
        died = set(batches) if apart else self._find_deadly(batches, 1)
        enough = 1 if apart else _DEADLY
        for is_apart in (False, True):
            left, idle = [b for b in batches if (b in died) == is_apart and b not in failed], 0
            while left:
                try:
                    failed |= self._map(left, progress, apart=is_apart)
                    break
                except DeadWorkerError as error:
                    self._leave_the_shadow()
                    dead = self._give_back_of_dead(progress, error)
                    error = self._name_versions(error, dead)
                    idle += not dead
                    if idle == _DEADLY:  # whatever kills them, it is no batch
                        raise error from None
                    died |= set(dead)
                    failed |= dict.fromkeys(self._find_deadly(dead, enough), error)
                left = [b for b in self._still_open(left) if b not in failed and (is_apart or b not in died)]
                if not is_apart and len(left) <= self.request.settings.infer.workers:
                    died |= set(left)  # so few would be worked on in this process
                    left = []
        return failed

    def _map(self, batches: Sequence[int], progress: Callable[[], None], *, apart: bool) -> Failed:
        failed: Failed = {}
        work: Callable[[int], Outcome] = partial(score_batch, self.request)
        if self.engine.is_remote:
            work = partial(score_remotely, make_order(self.request))
        try:
            # Closed here and now: workers must have ended before what they held is given back.
            with closing(self.engine.map(work, batches, apart=apart)) as outcomes:
                for outcome in outcomes:
                    self.total.add(outcome)
                    failed |= outcome.failed
                    progress()
            if self.engine.is_remote:  # a task may be done twice, and be heard only where it found nothing to do
                self._count_unheard()
                progress()
        finally:
            if not self.request.is_replay:
                close_worker()
        return failed

    def _find_deadly(self, batches: Sequence[int], least: int) -> set[int]:
        return set(batches) & self.job.retry(lambda: self.job.ledger.find_deadly(least))

    def _still_open(self, batches: Sequence[int]) -> list[int]:
        still_open = set(self.job.retry(self.job.ledger.open_batches))
        return [batch_id for batch_id in batches if batch_id in still_open]

    def _leave_the_shadow(self) -> None:
        """Go on without versions that score in the shadow: they may be what a worker died of."""
        if self.request.shadows:
            log.warning("nobody scores in the shadow any more in this run", versions=list(self.request.shadows))
            self.request = replace(self.request, shadows=())

    def _name_versions(self, error: DeadWorkerError, dead: Sequence[int]) -> DeadWorkerError:
        """Name the model that a worker was at work with: it may be what ended it."""
        job = self.job
        versions = [f"v{version}" for version in job.retry(lambda: job.ledger.find_versions(dead))]
        if not versions:
            return error
        named = " and ".join(versions)
        way_out = "; where it happens again, 'rowcast promote V' puts another version in service"
        return DeadWorkerError(
            f"{error.what}, at work with model {named}", hint=error.hint + way_out, detail=error.detail, about=named
        )

    def _give_back_of_dead(self, progress: Callable[[], None], error: DeadWorkerError) -> list[int]:
        """Give back the batches over which workers have just died; count what others published without being heard."""
        job, run_id = self.job, self.request.run_id
        dead = job.retry(lambda: job.ledger.give_back(run_id))
        log.warning(error.what, batches=dead or None)
        self._count_unheard()
        progress()
        return dead

    def _count_unheard(self) -> None:
        """Count what workers of this run published without being heard."""
        job, run_id = self.job, self.request.run_id
        now, before, heard = job.retry(lambda: job.ledger.count_published(run_id)), self._before, self.total
        scored = now.scored - before.scored - heard.scored
        quarantined = now.quarantined - before.quarantined - heard.quarantined
        batches = now.batches - before.batches - heard.batches
        self.total.add(Outcome(batches, fetched=scored + quarantined, scored=scored, quarantined=quarantined))
