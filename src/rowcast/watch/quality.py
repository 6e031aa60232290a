"""The quality of what was scored in a window of days, version by version: estimated, and realised by known labels."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from rowcast.job.meaning import require_same_task
from rowcast.job.opening import Job
from rowcast.models.target import canonical_label
from rowcast.monitor.quality import Basis, Figure, Tally, TallyBuilder, cost_trivial, estimate, make_basis, realise
from rowcast.monitor.track_record import (
    LEVEL,
    CostExcess,
    ExpectedCost,
    TrackRecord,
    find_daily_loss,
    find_estimated_loss,
    find_realised_loss,
    interval_coverage,
    measure_track_record,
)
from rowcast.source import Days, days_until
from rowcast.store.reading import prediction_sums
from rowcast.store.registry import Version

DAYS = 30
_EVENTS = 400  # days of events before now that have their own time of day; older ones may be an hour off
_Days = Mapping[int, np.datetime64]  # of runs


@dataclass(frozen=True)
class Part:
    """Some rows of a version: those of one day of scoring, or of the window."""

    day: date | None  # None: all of them
    rows: int
    labelled: int
    flagged: Figure | None  # share of the rows; None for a regression
    estimated: dict[str, Figure]
    realised: dict[str, Figure]
    trivial: dict[str, float] = field(default_factory=dict)  # cost per labelled row if none, or all, had been flagged


@dataclass(frozen=True)
class Quality:
    """One version in a window."""

    version: int
    kind: str
    expected_cost: ExpectedCost | None
    whole: Part
    days: list[Part]  # none where only the whole was asked for
    track: TrackRecord
    held: dict[str, float]  # share of the days on which a figure's interval held, where both sides are known; as `days`
    realised_loss: CostExcess | None  # that it costs more than was expected, by labels
    estimated_loss: CostExcess | None  # the same without, unless labels contradict the estimate

    @property
    def loss(self) -> CostExcess | None:
        """The figure that shows that it costs more than was expected, or by labels than its scores say."""
        contradicted = self.track.contradicted
        dearer = contradicted if contradicted and contradicted.beyond > 0 else None
        return self.realised_loss or dearer or self.estimated_loss


def quality(job: Job, now: datetime, days: int = DAYS) -> list[Quality]:
    """Each version that scored rows in the last days before `now`, the newest first.

    The day of a row is that as of which it was scored, UTC.
    """
    when = _when(job, now, days)
    found = [_quality(job, now, version, when) for version in _versions(job, when)]
    return [each for each in found if each.days]


def champion(job: Job, now: datetime, level: float = LEVEL) -> Quality | None:
    """The champion's in the last 30 days as a whole, None where it scored nothing; what it shows is wrong at `level`.

    Each run asks: what single days were like takes as long again, and is left out.
    """
    serving, when = job.registry.champion(), _when(job, now, DAYS)
    if serving is None or not when:
        return None
    found = _quality(job, now, job.registry.version(serving), when, level, by_day=False)
    return found if found.whole.rows else None


def figures(found: Quality) -> dict[str, Any]:
    """Return what a run keeps of a quality: the labelled rows, and each estimated and realised figure by its name."""
    kept: dict[str, Any] = {"labelled": found.whole.labelled}
    kept |= {f"estimated_{name}": figure.value for name, figure in found.whole.estimated.items()}
    kept |= {f"realised_{name}": figure.value for name, figure in found.whole.realised.items()}
    return kept if found.expected_cost is None else kept | {"promised_cost_per_row": found.expected_cost.cost}


def _when(job: Job, now: datetime, days: int) -> _Days:
    runs = job.runs.as_of(now - timedelta(days=days), now)
    return {run: np.datetime64(as_of.date()) for run, as_of in runs.items()}


def _versions(job: Job, when: _Days) -> list[Version]:
    """Those that these runs may have scored with."""
    if not when:
        return []
    own = job.own.prediction
    versions = sa.select(own.c.model_version.label("version")).where(own.c.run_id.between(min(when), max(when)))
    there = {row["version"] for row in job.store.rows(versions.distinct())}
    return [version for version in job.registry.versions() if version.version in there]


def _quality(
    job: Job, now: datetime, version: Version, when: _Days, level: float = LEVEL, *, by_day: bool = True
) -> Quality:
    require_same_task(version, job.source, job.settings.task)
    task, kind = job.settings.task, version.metrics.get("kind", job.settings.task.kind)
    rests = make_basis(kind, task.cost_missed, task.cost_false_alarm, version.metrics)
    runs, of_values = (min(when), max(when)), kind == "regression"
    days = days_until(now, _EVENTS, job.settings.monitor.timezone or job.settings.source.timezone)
    asked = prediction_sums.PredictionQuery(
        version.version, version.created_at, version.trained_until, runs, rests.edges, of_values, days
    )
    with job.store.transaction("snapshot"):  # what is summed twice must be the same rows
        if kind == "regression":
            return _of_values(job, now, version, asked, when, level)
        scored, judged, by_event = _tallies(job, now, version, asked, when)
    record, expected_cost = measure_track_record(by_event, rests, level), ExpectedCost.of(version.metrics)
    is_shown = not record.is_withheld
    shown = scored.days if by_day else ()
    parts = [_part(scored.of(day), judged.of(day), rests, day.astype(date), is_shown=is_shown) for day in shown]
    return Quality(
        version.version,
        kind,
        expected_cost,
        _part(scored, judged, rests, None, is_shown=is_shown),
        parts,
        record,
        interval_coverage(judged, rests) if by_day else {},
        find_realised_loss(by_event, rests, expected_cost, level) if expected_cost else None,
        find_estimated_loss(scored, rests, expected_cost, level) if expected_cost and is_shown else None,
    )


def _part(scored: Tally, judged: Tally, rests: Basis, day: date | None, *, is_shown: bool) -> Part:
    told = estimate(scored, rests) if is_shown else {}
    realised, trivial = realise(judged, rests), cost_trivial(judged, rests)
    return Part(day, scored.count, judged.count, scored.flagged_share, told, realised, trivial)


def _tallies(
    job: Job, now: datetime, version: Version, asked: prediction_sums.PredictionQuery, when: _Days
) -> tuple[Tally, Tally, Tally]:
    """All predictions but those of rows that the version was trained on, and those whose label is known.

    The latter both by the day of scoring and by the day of the event: a run may score rows of many days.
    """
    is_normal = normal(job, version)

    def is_wrong(row: Mapping[str, Any]) -> bool:
        if job.settings.task.kind == "binary":
            return is_normal(row["label"]) != is_normal(row["predicted"])
        return canonical_label(row["label"]) != canonical_label(row["predicted"])

    scored, judged, by_event = TallyBuilder(), TallyBuilder(), TallyBuilder()
    for row in _rows(prediction_sums.sum_predictions(job.rows, asked), when):
        sums = (row["rows"], row["score"], row["variance"], row["third"], 0)
        scored.add(when[row["run_id"]], not is_normal(row["predicted"]), row["band"], sums)
    for row in _rows(prediction_sums.sum_labelled(job.rows, asked, job.ledger.state().scope, now), when):
        day, flagged = when[row["run_id"]], not is_normal(row["predicted"])
        sums = tuple(row[name] for name in ("rows", "score", "variance", "third"))
        if row["unseen"]:
            counted = (*sums, row["rows"] if is_wrong(row) else 0)
            judged.add(day, flagged, row["band"], counted)
            by_event.add(_event_day(row, asked.days, day), flagged, row["band"], counted)
        else:
            scored.add(day, flagged, row["band"], (*[-each for each in sums], 0))
    return scored.tally(), judged.tally(), by_event.tally()


def _event_day(row: Mapping[str, Any], days: Days, scored: np.datetime64) -> np.datetime64:
    """The day of a row's event; without a time that of scoring."""
    return scored if row["day"] is None else np.datetime64(days.date(row["day"]))


def normal(job: Job, version: Version) -> Callable[[Any], bool]:
    """Whether a class needs no action; of several classes it is the first of the version's own."""
    if job.settings.task.kind == "binary":
        positive = canonical_label(job.settings.task.positive)
        return lambda label: canonical_label(label) != positive
    normal = canonical_label(version.metrics["confusion"][0]["truth"])
    return lambda label: canonical_label(label) == normal


def _rows(batches: Iterable[pa.RecordBatch], when: _Days) -> Iterator[dict[str, Any]]:
    """Sums of the runs that are meant."""
    for batch in batches:
        yield from (row for row in batch.to_pylist() if row["run_id"] in when)


def _of_values(
    job: Job, now: datetime, version: Version, asked: prediction_sums.PredictionQuery, when: _Days, level: float
) -> Quality:
    """A regression's values have no probability: nothing is estimated, and what is realised is how far off they are."""
    rows: dict[np.datetime64, int] = defaultdict(int)
    labelled: dict[np.datetime64, int] = defaultdict(int)
    off: dict[np.datetime64, float] = defaultdict(float)
    events: dict[np.datetime64, list[float]] = defaultdict(lambda: [0.0, 0])
    for row in _rows(prediction_sums.sum_predictions(job.rows, asked), when):
        rows[when[row["run_id"]]] += row["rows"]
    for row in _rows(prediction_sums.sum_labelled(job.rows, asked, job.ledger.state().scope, now), when):
        day = when[row["run_id"]]
        if row["unseen"]:
            labelled[day] += row["rows"]
            off[day] += row["off"]
            event = events[_event_day(row, asked.days, day)]
            event[0] += row["off"]
            event[1] += row["rows"]
        else:
            rows[day] -= row["rows"]

    def part(day: date | None, among: Iterable[np.datetime64]) -> Part:
        known = sum(labelled[each] for each in among)
        found = {"cost_per_row": Figure(sum(off[each] for each in among) / known)} if known else {}
        return Part(day, sum(rows[each] for each in among), known, None, {}, found)

    days = [day for day in sorted(rows) if rows[day]]
    expected_cost, known = ExpectedCost.of(version.metrics), sorted(events)
    came, count = (np.array([events[day][place] for day in known]) for place in (0, 1))
    return Quality(
        version.version,
        "regression",
        expected_cost,
        part(None, days),
        [part(day.astype(date), [day]) for day in days],
        TrackRecord(0, sum(labelled.values())),
        {},
        find_daily_loss(np.array(known), came, count, expected_cost, level) if expected_cost else None,
        None,
    )
