"""What a process keeps open between batches: a job, and the model versions that score its rows."""

from rowcast import history
from rowcast.job.meaning import require_same_meaning
from rowcast.job.opening import Job
from rowcast.models.artifact import Model
from rowcast.scoring.as_sql import write_scoring
from rowcast.scoring.profiler import Profiler, make_profiler
from rowcast.scoring.request import ScoringRequest
from rowcast.scoring.shadow import Shadows


class Scorer:
    """A job and its model versions, each loaded once."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._models: dict[int, Model] = {}
        self._profilers: dict[int, Profiler | None] = {}
        self._statements: dict[tuple[int, int | None], str] = {}
        self.shadows = Shadows(job, self.model)
        self._reader: tuple[int, history.Reader] | None = None

    def past(self, request: ScoringRequest) -> history.Reader:
        """Return what reads the past for the batches of a run: each stretch of it once."""
        if self._reader is None or self._reader[0] != request.run_id:
            self._reader = (request.run_id, history.Reader(self.job.source, request.now))
        return self._reader[1]

    def model(self, version: int) -> Model:
        """Return a version's model.

        Raise ModelError where it is missing, was changed, or holds what is not allowed; ConfigError or RunError where
        it means something else than rowcast.toml says, or the source's columns are of another kind.
        """
        if version not in self._models:
            known = self.job.registry.version(version)
            require_same_meaning(known, self.job.source, self.job.settings.task)
            self._models[version] = self.job.registry.load(version)
        return self._models[version]

    def statement(self, version: int, in_shadow_of: int | None = None) -> str:
        """Return the SELECT by which the database scores rows by a version. Raise ModelError where there can be none.

        One in another's shadow counts nothing, and its rows have the other's hash.
        """
        about = (version, in_shadow_of)
        if about not in self._statements:
            profiler = self.profiler(version) if in_shadow_of is None else None
            edges = None if profiler is None else profiler.edges
            hashed_for = self.model(version if in_shadow_of is None else in_shadow_of)
            self._statements[about] = write_scoring(self.job, self.model(version), edges, hashed_for)
        return self._statements[about]

    def profiler(self, version: int) -> Profiler | None:
        """Return how a version's rows are counted; None where that is not known."""
        if version not in self._profilers:
            self._profilers[version] = make_profiler(self.job, version, self.model(version))
        return self._profilers[version]
