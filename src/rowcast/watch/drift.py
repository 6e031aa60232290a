"""The monitor's step: what the rows of runs looked like, held against the training rows and the runs before."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
import structlog

from rowcast import monitor
from rowcast.job.opening import Job
from rowcast.job.run import Run
from rowcast.job.step_record import StepReport
from rowcast.messages.drift import describe_alarm, describe_learning, quotes_values, read_finding
from rowcast.messages.events import RowsDrifted
from rowcast.messages.retraining import describe_standing_drift
from rowcast.source import Source
from rowcast.store.profiles import find_standing
from rowcast.store.records import DriftRecord
from rowcast.store.registry import Reference
from rowcast.watch import cost_alarm, skew_alarm
from rowcast.watch.drifting_groups import find_groups

log = structlog.get_logger("rowcast")

_REACH = timedelta(days=180)  # runs before that are not looked at any more
_MONTH = timedelta(days=30)
_APART = timedelta(hours=1)  # between two looks: what is new comes to little before
_NAMES = 3  # of categories that training had not seen
_UNUSED = b"unused"  # under which the edges of columns stand that the model does not use
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def cadence(job: Job, now: datetime) -> timedelta:
    """How far apart runs are that are looked at, by those of the last month; the least, where there are none yet."""
    moments = sorted(job.runs.as_of(now - _MONTH, now).values())
    apart = [later - earlier for earlier, later in pairwise(moments)]
    return max(monitor.APART, sorted(apart)[len(apart) // 2]) if apart else monitor.APART


def watch(run: Run, about: StepReport) -> list[RowsDrifted] | None:
    """Look at all runs of the champion, and keep what is new. What a person should know of it as of now.

    None where nothing can be said: there is nothing to hold the rows against.
    """
    job, version = run.job, run.job.registry.champion()
    before = job.profiles.find_last_look(run.run_id, "runs")
    if before is not None and timedelta(0) <= run.now - before[0] < _APART:
        about.note = f"looked at {before[0]:%Y-%m-%d %H:%M} UTC"
        return None
    found = None if version is None else job.registry.reference(version)
    if found is None or version is None:
        about.note = "rows are counted from the next retrain on"
        return None
    on_record = job.profiles.list_drift(version)
    looked = _look(job, version, found)
    last = max((row.run_id for row in on_record), default=0)
    new = [_look_up(job, found, event) for event in looked.events if int(event.run_id) > last]
    if not job.profiles.record_drift(version, [_make_record(version, event) for event in new], len(on_record)):
        about.note = "another run has looked meanwhile, and may have seen more"
        return None
    about.metrics["drift_size"] = 0.0 if looked.alarm is None else looked.alarm.size
    about.metrics |= {"runs": looked.runs, "needed": looked.needed, "provisional": int(looked.provisional)}
    if looked.alarm is None:
        learning = f"drift is {describe_learning(looked.runs, looked.needed)}"
        about.note = learning if looked.provisional else f"nothing drifts in {looked.runs} blocks of rows and runs"
        return []
    about.note = describe_alarm(looked.alarm, values=False)
    if quotes_values(looked.alarm):
        about.detail = describe_alarm(looked.alarm, values=True)
    named = {(event.run_id, event.what): event for event in new}
    return [RowsDrifted(named.get((event.run_id, event.what), event), version) for event in looked.standing]


def state(job: Job, version: int | None) -> str | None:
    """Return what is known of drift in the champion's rows, in a few words; None without a champion."""
    if version is None:
        return None
    found = job.profiles.last_look()
    if "needed" not in found:
        return "not looked at yet"
    if drifts := find_standing(job.profiles.list_drift(version)):
        return describe_standing_drift(drifts, values=job.settings.notify.values)
    return describe_learning(int(found["runs"]), int(found["needed"])) if found["provisional"] else "none"


def list_drifting(job: Job, version: int) -> tuple[str, ...]:
    """Return the columns that drift in a version's rows, those of the newest drift and of its largest shift first."""
    standing = find_standing(job.profiles.list_drift(version))
    names = [each.get("column") for record in standing for each in record.findings]
    return tuple(dict.fromkeys(name for name in names if name is not None))


def look(job: Job, version: int) -> monitor.DriftResult | None:
    """All that can be said of a version's runs; None where there is nothing to hold them against."""
    found = job.registry.reference(version)
    if found is None:
        return None
    looked = _look(job, version, found)
    return looked if looked.alarm is None else replace(looked, alarm=_recall(job, version, looked.alarm))


def _recall(job: Job, version: int, alarm: monitor.Event) -> monitor.Event:
    """An alarm with what was found of it in the source when it was told."""
    made = [read_finding(each) for record in job.profiles.list_drift(version) for each in record.findings]
    known = {(one.series, one.since): one for one in reversed(made)}
    found = [(one, known.get((one.series, one.since), one)) for one in alarm.findings]
    return replace(alarm, findings=tuple(replace(one, unseen=told.unseen, within=told.within) for one, told in found))


def measure_unused(job: Job, version: int) -> tuple[monitor.State, ...]:
    """Return the state of drift of each column that the version does not use, as of the last run."""
    found = job.registry.reference(version)
    edges = None if found is None else monitor.find_unused_edges(found)
    if found is None or edges is None:
        return ()
    counts = job.profiles.of(version, _REACH, unused=True)
    runs = [
        monitor.Run(each.run_id, each.at, each.profile)  # nothing but the columns
        for each in _runs(job, edges, counts)
        if int(each.run_id) in counts
    ]
    looked = _compare(job, replace(found, weights={}), edges, runs, "unused")
    return tuple(state for state in looked.table if state.series.column is not None)


def _look(job: Job, version: int, found: Reference) -> monitor.DriftResult:
    edges = monitor.Edges.from_bytes(found.edges)
    runs = _runs(job, edges, job.profiles.of(version, _REACH))
    looked = _compare(job, found, edges, runs, "counts", _costs(job, version, edges.score))
    return monitor.date_back(looked, _find_earlier(job, version))


def _find_earlier(job: Job, version: int) -> list[monitor.Finding]:
    """What drifted in the rows of the version before while this one took its place."""
    made = job.registry.find_promotion()
    if made is None or made.version != version or made.previous is None:
        return []
    standing = find_standing(job.profiles.list_drift(made.previous))
    return [read_finding(each) for record in standing for each in record.findings]


def _costs(job: Job, version: int, score: monitor.Numbers | None) -> npt.NDArray[np.float64] | None:
    """Of a row by its score; None where it is no probability of one of two classes."""
    task = job.settings.task
    threshold = job.registry.load(version).threshold if task.kind == "binary" else None
    if score is None or threshold is None:
        return None
    return monitor.compute_costs(score, threshold, task.cost_missed, task.cost_false_alarm)


def _compare(
    job: Job,
    found: Reference,
    edges: monitor.Edges,
    runs: Sequence[monitor.Run],
    counts: str,
    costs: npt.NDArray[np.float64] | None = None,
) -> monitor.DriftResult:
    blocks = monitor.list_training_profiles(found).to_pylist()
    whole, *parts = (monitor.Profile.from_bytes(row[counts], edges) for row in blocks)
    times = [row["at"] or _EPOCH for row in blocks[1:]]
    clean = [monitor.Run("", at, part) for at, part in zip(times, parts, strict=True)]
    share = 1 - cost_alarm.SHARE - (skew_alarm.SHARE if job.online.is_used() else 0)
    allowed = job.settings.monitor.false_alarms_per_month * share
    frame = monitor.Frame(edges, whole, monitor.list_calendar_columns(found))
    return monitor.detect_drift([*clean, *runs], frame, found.weights, allowed, len(clean), costs)


def _runs(job: Job, edges: monitor.Edges, counts: Mapping[int, Sequence[bytes]]) -> list[monitor.Run]:
    """Those since the version's first, in the order of the moments that counted."""
    found = list[monitor.Run]()
    for row in job.profiles.runs(min(counts)) if counts else []:
        if row.run_id not in counts and row.scored is not None:
            continue  # another version's
        if found and row.as_of <= found[-1].at:
            continue  # as of the past: its rows were there before
        profile = monitor.empty_profile(edges)
        for each in counts.get(row.run_id, []):
            profile = monitor.add_profiles(profile, monitor.Profile.from_bytes(each, edges))
        quarantined, flagged, age = row.quarantined or 0, row.flagged, row.age_h
        found.append(
            monitor.Run(
                str(row.run_id),
                row.as_of,
                profile,
                (row.scored or 0) + quarantined,
                quarantined,
                None if flagged is None else int(flagged),
                None if age is None else timedelta(hours=age),
            )
        )
    return found


def _look_up(job: Job, found: Reference, event: monitor.Event) -> monitor.Event:
    """Give an event what the source's rows say of it: categories that training had not seen, groups that moved."""
    if event.what == "ended" or job.source.time is None:
        return event
    known = {
        c.name: c.known for c in monitor.Edges.from_bytes(found.edges).columns if isinstance(c, monitor.Categories)
    }
    grouped = job.settings.monitor.group_by
    by = job.source.relation[grouped] if grouped in job.source.relation.names else None
    findings = []
    for one in event.findings:
        if one.series.kind == "unseen" and one.series.column in known:
            findings.append(replace(one, unseen=find_unseen(job.source, one, known[one.series.column])))
        elif by is not None and one.series.column != by.name:
            findings.append(replace(one, within=find_groups(job.source, by, one, event.at)))
        else:
            findings.append(one)
    return replace(event, findings=tuple(findings))


def find_unseen(source: Source, one: monitor.Finding, known: Sequence[str]) -> tuple[str, ...]:
    """Return the most frequent categories of a column since it shifted that are none of those known, at most three."""
    assert source.time is not None
    [value] = source.values([source.relation[str(one.series.column)]])
    since = source.db.sql.event_time_between(source.time, source.settings.timezone, one.since_at)
    counted = source.select(value.label("category"), sa.func.count().label("n")).where(since, value.is_not(None))
    statement = counted.where(value.not_in(list(known))).group_by(value).order_by(sa.func.count().desc())
    return tuple(str(row["category"]) for row in source.db.rows(statement.limit(_NAMES)))


def _finite(value: float) -> float | None:
    """JSON has no other numbers."""
    return value if np.isfinite(value) else None


def _make_record(version: int, event: monitor.Event) -> DriftRecord:
    findings = [
        {
            "kind": one.series.kind,
            "column": one.series.column,
            "category": one.series.category,
            "unseen": list(one.unseen),
            "is_first": one.is_first,
            "within": None if one.within is None else asdict(one.within),
            "since_run": int(one.since),
            "since": one.since_at.isoformat(),
            **{name: _finite(getattr(one, name)) for name in ("was", "now", "change", "size")},
        }
        for one in event.findings
    ]
    return DriftRecord(
        run_id=int(event.run_id),
        begun_run=int(event.begun),
        model_version=version,
        what=event.what,
        at=event.at,
        size=event.size,
        sentence=describe_alarm(event, values=True),
        findings=tuple(findings),
    )
