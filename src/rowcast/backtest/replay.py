"""One policy operated over the past, moment by moment, in a store of its own: the code is that of production."""

import os
import shutil
import time
from contextlib import ExitStack, closing, redirect_stderr, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from pydantic import SecretStr

from rowcast import fit, logs, pipeline
from rowcast.backtest.history import History
from rowcast.backtest.policies import Policy
from rowcast.config import Logs, Notify, Settings
from rowcast.errors import QuarantineError, TrainingError
from rowcast.job.opening import Job, open_job
from rowcast.job.workdir import importable, make_private
from rowcast.scoring.batch import close_worker
from rowcast.store.records import RunStatus
from rowcast.training.policy import would_build

_ENDED = (RunStatus.DONE, RunStatus.PARTIAL)
_GOES_ON = (TrainingError, QuarantineError)  # what in production the next day's run tries again
_LOOK = 0.5  # seconds between two looks at whether a replay may begin
_PROGRESS = "moments"  # the file that says how many moments are done


@dataclass(frozen=True)
class Replay:
    """A policy, and the moments as of which its pipeline is run."""

    policy: Policy
    settings: Settings  # of the job, but isolated: they name a store, and a folder for its files, that it has alone
    history: History
    home: Path  # the folder of the job's own rowcast.toml, where a user's estimator is found
    is_prologue: bool = False  # whether it ends with the first version: so far all policies do the same
    followers: tuple["Replay", ...] = ()  # that do as it does until they would build: then each begins with a copy

    @property
    def waits(self) -> Path:
        """A file that is there while it follows another from the beginning."""
        folder = self.settings.folder
        return folder.with_name(f"{folder.name}.waits")

    @property
    def is_begun(self) -> bool:
        """Whether there is a store to go on with."""
        return (self.settings.folder / "store.db").exists()


def make_replay(settings: Settings, policy: Policy, history: History, folder: Path) -> Replay:
    """Return the replay of a policy of a job; the store, the logs and the files of its runs are in the folder.

    It tells nobody anything, and reads the source that the job reads.
    """
    store = SecretStr(f"sqlite:////{(folder / 'store.db').resolve().as_posix().lstrip('/')}")
    isolated = policy.apply(settings).model_copy(
        update={
            "path": folder / "rowcast.toml",
            "source": settings.source.model_copy(update={"url": SecretStr(settings.source_url)}),
            "store": settings.store.model_copy(update={"url": store}),
            "infer": settings.infer.model_copy(update={"workers": 1}),
            "notify": Notify(),
            "logs": Logs(),
        }
    )
    return Replay(policy, isolated, history, settings.folder)


def begin_with(task: Replay, first: Replay) -> None:
    """Begin a replay with a copy of another's store and files, as far as that one is."""
    folder = task.settings.folder
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(first.settings.folder, part)
    part.rename(folder)
    task.waits.unlink(missing_ok=True)


def run_apart(task: Replay) -> None:
    """Do as `run_replay`, in a process of its own, which logs to a file beside the store alone.

    What follows another replay waits until that one has given it its beginning.
    """
    while task.waits.exists():
        time.sleep(_LOOK)
    folder = task.settings.folder
    make_private(folder)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stderr(nowhere):  # scoring logs there too
        logs.configure(file=logs.LogFile(folder / "pipeline.log"), secrets=task.settings.secrets)
        run_replay(task)


def run_replay(task: Replay) -> None:
    """Run the pipeline as of each moment that has not had its run, or until there is a version where that is enough.

    What it fits it shares with the replays beside it.
    Until there is a first version each moment tries to build one, whatever the policy is: `never` begins with it.
    """
    folder = task.settings.folder
    make_private(folder)
    with importable(task.home), fit.share_fits(folder.parent / "fits"), closing(_OpenJob()) as opened:
        done, champion = _go_on(task)
        for place, moment in enumerate(task.history.moments):
            if task.is_prologue and champion is not None:
                return
            if done is None or moment > done:
                _part(task, moment, champion, opened)
                champion = _run(task, moment, champion, opened)
            (folder / _PROGRESS).write_text(str(place + 1), encoding="ascii")
    for each in _list_followers(task):
        begin_with(each, task)


class _OpenJob:
    """A replay's job, which stays open from one moment to the next."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._job: Job | None = None

    def get(self, settings: Settings) -> Job:
        """Return the job with these settings."""
        if self._job is None or self._job.settings != settings:
            self.close()
            self._job = self._stack.enter_context(open_job(settings))
        return self._job

    def close(self) -> None:
        """Let go of it, before anything else touches its files."""
        close_worker()
        self._stack.close()
        self._job = None


def _list_followers(task: Replay) -> list[Replay]:
    return [each for each in task.followers if not each.is_begun]


def _part(task: Replay, moment: datetime, champion: int | None, opened: _OpenJob) -> None:
    """Let those go their own way that would build a model now."""
    for each in _list_followers(task) if champion is not None else []:
        theirs = task.settings.model_copy(update={"retrain": each.settings.retrain})
        if would_build(replace(opened.get(task.settings), settings=theirs), moment):
            opened.close()
            begin_with(each, task)


def count_done(task: Replay) -> int:
    """Return how many moments have had their run, as a process that is at it says."""
    with suppress(OSError, ValueError):
        return int((task.settings.folder / _PROGRESS).read_text(encoding="ascii"))
    return 0


def is_done(task: Replay) -> bool:
    """Return whether every moment has had its run."""
    if not task.is_begun:
        return False
    with open_job(task.settings) as job:
        newest = job.runs.newest(1)
        if task.is_prologue and job.registry.champion() is not None and newest[0].status in _ENDED:
            return True
    return bool(newest) and newest[0].as_of >= task.history.moments[-1] and newest[0].status in _ENDED


def _go_on(task: Replay) -> tuple[datetime | None, int | None]:
    """Finish the run that an earlier call left unfinished; return the last moment that is done, and the champion."""
    if not task.is_begun:
        return None, None
    with open_job(task.settings) as job:
        newest, champion = job.runs.newest(1), job.registry.champion()
    if not newest:
        return None, champion
    if newest[0].status not in _ENDED:
        with suppress(*_GOES_ON):
            champion = pipeline.resume(_settings_at(task, newest[0].as_of, champion), newest[0].run_id).champion
    return newest[0].as_of, champion


def _run(task: Replay, moment: datetime, champion: int | None, opened: _OpenJob) -> int | None:
    """Run the pipeline as of a moment, and return the version that serves then."""
    with suppress(*_GOES_ON):
        return pipeline.replay(opened.get(_settings_at(task, moment, champion)), moment).champion
    return champion


def _settings_at(task: Replay, moment: datetime, champion: int | None) -> Settings:
    """Return the settings of a run: while there is no champion it builds one, with which scoring begins."""
    if champion is not None:
        return task.settings
    first = task.settings.retrain.model_copy(update={"policy": "every"})
    infer = task.settings.infer.model_copy(update={"since": moment.isoformat()})
    return task.settings.model_copy(update={"retrain": first, "infer": infer})
