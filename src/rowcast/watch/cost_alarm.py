"""Whether the champion costs what was expected: by the labels that came, once a day, under the alarm budget."""

from typing import Literal

from rowcast.job.run import Run
from rowcast.job.step_record import StepReport
from rowcast.messages.events import COST_TOPIC, CostExceeded, cost_key
from rowcast.monitor.track_record import CostExcess
from rowcast.watch import quality
from rowcast.watch.quality import Quality

SHARE = 0.2  # of the false alarms allowed; the others are for drift
_LOOKS = 12  # that a month's are worth, both tests together: those of one day and the next are much alike
GOES_ON = 0.5  # level: what was told is over once it is as likely as not to be luck

_Kind = Literal["realised", "contradicted"]
_KINDS: tuple[_Kind, ...] = ("realised", "contradicted")


def watch(run: Run, about: StepReport) -> list[CostExceeded] | None:
    """Return what labels say of the champion as of now; None where the day has been looked at, or a later one."""
    job, now, champion = run.job, run.now, run.job.registry.champion()
    before = job.profiles.find_last_look(run.run_id, "watched")
    if champion is None:
        return None
    if before is not None and not job.is_ahead(before[0], now):
        day, version = before[0].date(), int(before[1])
        if now.date() < day or (now.date(), champion) == (day, version):
            return None
    standing = {alert.dedup_key for alert in job.alerts.list_standing() if alert.topic == COST_TOPIC}
    told = tuple(kind for kind in _KINDS if cost_key(champion, kind) in standing)
    allowed = level(job.settings.monitor.false_alarms_per_month)
    found = quality.champion(job, now, GOES_ON if told else allowed)
    about.metrics["watched"] = champion
    if found is None:
        return []
    about.metrics |= quality.figures(found)
    excesses = [excess for kind in told or _KINDS if (excess := _excess(found, kind))]
    return [CostExceeded(found.version, excess, run.run_id) for excess in excesses[:1]]


def level(false_alarms_per_month: float) -> float:
    """Return the level of each of two tests a day, by `python -m studies promises`."""
    return min(false_alarms_per_month * SHARE / _LOOKS, GOES_ON)


def _excess(found: Quality, kind: _Kind) -> CostExcess | None:
    """Who costs less than was said does no harm."""
    excess = found.realised_loss if kind == "realised" else found.track.contradicted
    return excess if excess is not None and excess.beyond > 0 else None
