"""One execution of a pipeline, as its steps see it."""

from dataclasses import dataclass
from datetime import datetime

from rowcast.job.opening import Job
from rowcast.job.workdir import WorkDir


@dataclass(frozen=True)
class Run:
    """What every step is given."""

    job: Job
    run_id: int
    now: datetime  # rows and labels later than it are invisible
    work: WorkDir
