"""Whether the champion costs what it promised: by the labels that came, once a day, told under the alarm budget."""

from datetime import UTC, date, datetime
from typing import Literal

from rowcast.job.run import Run
from rowcast.job.step_record import StepReport
from rowcast.monitor.track_record import Shown
from rowcast.store.event import Event
from rowcast.watch import quality
from rowcast.watch.quality import Quality

TOPIC = "cost"
SHARE = 0.2  # of the false alarms allowed; the others are for drift
_LOOKS = 30.44  # a month
GOES_ON = 0.5  # level: what was told is over once it is as likely as not to be luck

_Kind = Literal["realised", "contradicted"]
_KINDS: tuple[_Kind, ...] = ("realised", "contradicted")


def watch(run: Run, about: StepReport) -> list[Event] | None:
    """What labels say of the champion as of now. None where the day has been looked at already, or a later one."""
    job, now, champion = run.job, run.now, run.job.registry.champion()
    before = job.profiles.looked_at(run.run_id, "watched")
    if champion is None:
        return None
    if before is not None:
        day, version = before[0].date(), int(before[1])
        if now.date() < day or (now.date(), champion) == (day, version):
            return None
    standing = {event.title for event in job.alerts.standing() if event.topic == TOPIC}
    told = tuple(kind for kind in _KINDS if _title(champion, kind) in standing)
    allowed = level(job.settings.monitor.false_alarms_per_month)
    found = quality.champion(job, now, GOES_ON if told else allowed)
    about.metrics["watched"] = champion
    if found is None:
        return []
    about.metrics |= quality.figures(found)
    return [_event(run, found, kind, shown) for kind in told or _KINDS if (shown := _shown(found, kind))][:1]


def level(false_alarms_per_month: float) -> float:
    """Of each of two tests a day: expectations add up, whatever the tests have in common."""
    return min(false_alarms_per_month * SHARE / _LOOKS / 2, GOES_ON)


def _shown(found: Quality, kind: _Kind) -> Shown | None:
    """Who costs less than was said does no harm."""
    shown = found.realised_loss if kind == "realised" else found.track.contradicted
    return shown if shown is not None and shown.beyond > 0 else None


def _title(version: int, kind: _Kind) -> str:
    return f"v{version} costs more than {'it promised' if kind == 'realised' else 'its scores say'}"


def _event(run: Run, found: Quality, kind: _Kind, shown: Shown) -> Event:
    return Event(
        job=run.job.settings.name,
        topic=TOPIC,
        title=_title(found.version, kind),
        what=f"{shown.what[0].upper()}{shown.what[1:]}.",
        severity="warning",
        since=datetime.combine(shown.since.astype(date), datetime.min.time(), UTC),
        todo="'rowcast drift' says whether the rows have changed with it. 'rowcast retrain' learns what is different"
        " once labels of enough days since then are known, for the newest of them serve the gate",
        command="rowcast quality",
        run_id=run.run_id,
        alike=kind,
    )
