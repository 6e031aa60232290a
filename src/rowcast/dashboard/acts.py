"""What a person can do to a job: what it would do as things are now, whether it was done already, and doing it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from rowcast import promotion
from rowcast.config import Settings
from rowcast.dashboard.looks import open_looking
from rowcast.errors import RunError, UsageError
from rowcast.job.opening import Job, open_job
from rowcast.store.alert_record import Alert
from rowcast.store.reading.leading_rows import count_set_aside
from rowcast.store.records import DecisionRecord, PipelineName, RunRecord, RunStatus


class Kind(StrEnum):
    """What is done; the value is its place in a path."""

    PROMOTE = "promote"
    ROLL_BACK = "rollback"
    REQUEUE = "requeue"
    ACKNOWLEDGE = "acknowledge"
    RUN = "run"

    @property
    def takes_long(self) -> bool:
        """Whether it is a run, which has a process of its own."""
        return self in (Kind.REQUEUE, Kind.RUN)

    @property
    def needs_words(self) -> bool:
        """Whether the person says why, for the record."""
        return not self.takes_long


STARTED: dict[str, str] = {"full-pipeline": "run", "infer": "infer", "retrain": "retrain"}  # pipeline: its command


@dataclass(frozen=True)
class Act:
    """Something that a person does: to a version, to rows with a reason, to an alert, or with a pipeline."""

    kind: Kind
    about: str  # a version, "column: rule", an alert's number, or a pipeline


@dataclass(frozen=True)
class Done:
    """That an act is done, by whom and when."""

    by: str | None  # None where nobody is on record
    at: datetime
    run_id: int | None = None


@dataclass(frozen=True)
class Outlook:
    """What an act would do as things are now."""

    act: Act
    seen: str  # what it depends on: where that is another when it is confirmed, it has to be looked at again
    done: Done | None = None
    champion: int | None = None
    decision: DecisionRecord | None = None  # the newest about the version
    rows: int | None = None  # that it concerns
    alert: Alert | None = None
    seconds: tuple[float, ...] = ()  # that the last runs of the pipeline took
    running: RunRecord | None = None


def look_ahead(settings: Settings, act: Act) -> Outlook:
    """Read what an act would do. Raise RowcastError where it cannot be done at all."""
    with open_looking(settings) as job:
        match act.kind:
            case Kind.PROMOTE:
                return _look_at_version(job, act, _number(act.about))
            case Kind.ROLL_BACK:
                champion = job.registry.champion()
                to = _number(act.about) if act.about else promotion.find_previous(job)
                if to != champion and promotion.find_previous(job) != to:
                    raise RunError(f"v{to} is no longer the champion before this one", hint="the job's page has it")
                return _look_at_version(job, Act(act.kind, str(to)), to)
            case Kind.REQUEUE:
                return _look_at_rows(job, act)
            case Kind.ACKNOWLEDGE:
                return _look_at_alert(job, act)
            case Kind.RUN:
                return _look_at_run(job, act)


def do_now(settings: Settings, act: Act, *, by: str, words: str) -> None:
    """Do what does not take long, and what no process of its own is begun for."""
    if act.kind is Kind.PROMOTE:
        promotion.promote(settings, _number(act.about), by=by, reason=words)
    elif act.kind is Kind.ROLL_BACK:
        promotion.rollback(settings, by=by, reason=words)
    elif act.kind is Kind.ACKNOWLEDGE:
        with open_job(settings) as job:
            job.alerts.acknowledge(_number(act.about), by=by, note=words)


def list_arguments(settings: Settings, act: Act, *, by: str) -> list[str]:
    """Return the command of `rowcast` that does what takes long."""
    about = [f"--reason={act.about}"] if act.kind is Kind.REQUEUE else []
    command = "requeue" if act.kind is Kind.REQUEUE else STARTED[act.about]
    return [command, f"--config={settings.path.resolve()}", f"--by={by}", *about]


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 17:
        raise UsageError("that is no number of a version or an alert")
    return int(text)


def _look_at_version(job: Job, act: Act, version: int) -> Outlook:
    job.registry.version(version)  # which raises where there is none
    champion = job.registry.champion()
    about = next((made for made in job.registry.decisions() if made.version == version), None)
    served = job.registry.find_promotion() if champion == version else None
    done = None if served is None else Done(served.decided_by, served.decided_at)
    return Outlook(act, str(champion), done, champion, about)


def _look_at_rows(job: Job, act: Act) -> Outlook:
    rows = sum(each.rows for each in count_set_aside(job.store, job.own) if f"{each.column}: {each.rule}" == act.about)
    done = None if rows else _find_requeue(job.runs.newest())
    if not rows and done is None:
        raise RunError("no quarantined row broke that rule", hint="the job's page lists the rules that rows broke")
    return Outlook(act, str(rows), done, rows=rows)


def _find_requeue(runs: Sequence[RunRecord]) -> Done | None:
    return next((_began(run) for run in runs if run.pipeline is PipelineName.REQUEUE), None)


def _look_at_alert(job: Job, act: Act) -> Outlook:
    number = _number(act.about)
    found = next((alert for alert in job.alerts.list_standing() if alert.alert_id == number), None)
    if found is None:
        raise RunError("the alert is over, or has changed", hint="the job's page has those that stand")
    made = found.acknowledged
    return Outlook(act, act.about, None if made is None else Done(made.by, made.at), alert=found)


def _look_at_run(job: Job, act: Act) -> Outlook:
    if act.about not in STARTED:
        raise UsageError("that is no pipeline", hint=f"known: {', '.join(STARTED)}")
    runs = job.runs.newest()
    same = [run for run in runs if run.pipeline == act.about]
    return Outlook(
        act,
        str(same[0].run_id if same else 0),
        seconds=tuple(run.seconds for run in same[:5] if run.status is RunStatus.DONE and run.seconds is not None),
        running=next((run for run in runs if run.status is RunStatus.RUNNING), None),
    )


def find_begun(settings: Settings, outlook: Outlook) -> Done | None:
    """Return the run by which what was to be started is done: it began since the person looked."""
    if outlook.seen == "0":
        return None
    with open_looking(settings) as job:
        return _began(job.runs.get(int(outlook.seen)))


def _began(run: RunRecord) -> Done:
    return Done(run.options.by, run.started_at, run.run_id)
