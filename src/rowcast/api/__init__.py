"""rowcast from Python, for notebooks, services and orchestrators. The command line is a thin user of it.

Example
-------
>>> import rowcast
>>> job = rowcast.open("rowcast.toml")
>>> job.run().raise_for_status()  # retrain when due, then score what is pending
>>> job.status().rows.pending
0
>>> job.predictions(since="2026-05-01").to_pandas()
"""

import os
from pathlib import Path

from rowcast import logs
from rowcast.api.alerting import Alerting
from rowcast.api.backtests import Backtests
from rowcast.api.keys import Keys
from rowcast.api.moments import Moment
from rowcast.api.reports import Reports
from rowcast.api.runs import Runs
from rowcast.api.stores import Stores
from rowcast.config import DEFAULT_PATH, load

__all__ = ["Job", "Moment", "open"]


def open(
    config: str | os.PathLike[str] = DEFAULT_PATH, *, workers: int | None = None, log_level: str = "warning"
) -> "Job":
    """Return the job of a rowcast.toml. Nothing is connected to before it is needed.

    Parameters
    ----------
    config
        The job's rowcast.toml. Secrets come from environment variables, as on the command line.
    workers
        Processes to score with; by default `[infer] workers`. With more than one, a script must stand under
        `if __name__ == "__main__":`, since each process imports it.
    log_level
        What is logged to standard error: debug, info, warning or error. Where the process has configured structlog
        itself, rowcast logs through that instead.

    Raises
    ------
    ConfigError
        Where the file is missing, or something in it is wrong; the error names the key and the way out.

    Example
    -------
    >>> with rowcast.open("rowcast.toml") as job:  # its looks share one connection
    ...     print(job.status())
    """
    from structlog import is_configured

    settings = load(Path(config), **({} if workers is None else {"infer": {"workers": workers}}))
    if not is_configured():
        logs.configure(log_level, secrets=settings.secrets, values=settings.notify.values)
    return Job(settings)


class Job(Runs, Reports, Alerting, Backtests, Keys, Stores):
    """One rowcast.toml: a source, a task, a champion.

    Each call connects to the databases and lets go of them again, so that a job may be kept for as long as a process
    lives, and several jobs side by side. Within `with`, the calls that only look share one set of connections, until
    `close`. Runs always have their own. One process executes one run at a time: another thread's waits.
    """
