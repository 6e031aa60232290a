"""How good the predictions of a window of days are: estimated without labels, and realised once labels are known."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rowcast.job.opening import Job
from rowcast.messages.cost import describe_excess, describe_withheld
from rowcast.monitor.quality import CANNOT_SEE
from rowcast.store.reading.online_pairs import OnlineSkew, compare_online
from rowcast.watch.forgotten import find_forgotten
from rowcast.watch.quality import Part, Quality, quality


@dataclass(frozen=True)
class QualityReport:
    """The quality of every version that scored rows in a window of days."""

    job: str
    as_of: datetime
    days: int  # how far the window reaches back
    versions: tuple[Quality, ...]  # the newest first
    forgotten_until: datetime | None = None  # results of the window that were published up to then were deleted
    online: OnlineSkew | None = None  # the HTTP service's recorded answers beside the batch; None where there are none
    is_newest: bool = False  # the days end with the newest rows, since nothing was scored in those before now

    def to_dict(self) -> dict[str, Any]:
        """Return what `rowcast quality --json` prints."""
        about = {"job": self.job, "as_of": self.as_of, "days": self.days, "cannot_see": CANNOT_SEE}
        about |= {} if self.forgotten_until is None else {"forgotten_until": self.forgotten_until}
        about |= {} if self.online is None else {"online": {**vars(self.online), "share": self.online.share}}
        return about | {"versions": [_version(each) for each in self.versions]}


def report_quality(job: Job, now: datetime, days: int) -> QualityReport:
    """Measure the quality of what was scored in the last days before `now`."""
    since = now - timedelta(days=days)
    online = compare_online(job.store, job.tables, job.own, since, now)
    return QualityReport(
        job.settings.name,
        now,
        days,
        tuple(quality(job, now, days)),
        find_forgotten(job, since),
        online if online.rows else None,
    )


def _version(found: Quality) -> dict[str, Any]:
    return {
        "version": found.version,
        "kind": found.kind,
        "promised": None if found.expected_cost is None else vars(found.expected_cost),
        **_part(found.whole),
        "track_record": _track(found),
        "loss": describe_excess(found.loss) if found.loss else None,
        "by_day": [{"day": str(part.day), **_part(part)} for part in found.days],
    }


def _track(found: Quality) -> dict[str, Any]:
    record = found.track
    about = {"days": record.days, "rows": record.rows, "difference": record.difference, "held": found.held}
    return {**about, "withheld": describe_withheld(record) or None}


def _part(part: Part) -> dict[str, Any]:
    sides = {"estimated": part.estimated, "realised": part.realised}
    shown = {side: {name: vars(figure) for name, figure in figures.items()} for side, figures in sides.items()}
    flagged = None if part.flagged is None else part.flagged.value
    return {"rows": part.rows, "labelled": part.labelled, "flagged_share": flagged, **shown}
