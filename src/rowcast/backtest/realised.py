"""What each replay came to: the cost of every row that all of them scored, and what they built and told."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import sqlalchemy as sa

from rowcast.backtest.history import History
from rowcast.backtest.replay import Replay
from rowcast.database import equal
from rowcast.errors import DatabaseError, TrainingError
from rowcast.job.opening import Job, open_job
from rowcast.messages.events import COST_TOPIC, DRIFT_TOPIC
from rowcast.models.decision import Costs, decision_costs
from rowcast.models.target import canonical_label
from rowcast.source import KNOWN, LABEL, TIME, select_key, to_microseconds
from rowcast.store.alert_record import is_topic_of
from rowcast.store.records import DecisionOutcome
from rowcast.watch.quality import normal

_CHUNK = 50_000  # rows that travel together
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Outcome:
    """What a policy did, moment by moment; arrays are (m,), a place for each moment."""

    built: Integers  # model versions
    promoted: Integers  # by the gate, the first one apart
    alarms: Integers  # of drift and of cost that began
    failed: int  # runs that failed, or in which something did
    seconds: float  # that its runs took


@dataclass(frozen=True)
class Realised:
    """Costs of p policies at m moments: of rows that every policy scored, and none could have been trained on."""

    rows: Integers  # (m,): whose event lies after the moment before, and not after this one
    cost: Floats  # (p, m): of the decisions about them
    outcomes: tuple[Outcome, ...]  # (p,)
    left_out: int  # labelled rows that some policy had not scored, or could have been trained on


@dataclass(frozen=True)
class _Labelled:
    """Labelled rows of the source."""

    batches: list[pa.RecordBatch]  # with the key as the stores hold it
    label: list[Any]
    time: Integers  # microseconds
    known: Integers  # the same: when the label was


def read_realised(replays: Sequence[Replay], history: History) -> Realised:
    """Return what replays came to, by labels that are known today. Raise TrainingError where no model ever served."""
    labelled: _Labelled | None = None
    outcomes: list[Outcome] = []
    costs: list[Floats] = []
    for each in replays:
        with open_job(each.settings) as job:
            labelled = labelled or _read_labelled(job, history)
            outcomes.append(_read_outcome(job, history))
            costs.append(_read_costs(job, history, labelled))
    assert labelled is not None
    cost = np.stack(costs)  # (p, n), NaN where a row does not count
    counts = ~np.isnan(cost).any(axis=0)
    if not counts.any():
        raise TrainingError(
            "no row can be compared: none was scored by every policy and has its label by now",
            hint="--from and --to name another span; pipeline.log beside each policy's store says what its runs did",
        )
    moments = len(history.moments)
    place = _places(labelled.time[counts], history)
    return Realised(
        np.bincount(place, minlength=moments),
        np.stack([np.bincount(place, weights=each[counts], minlength=moments) for each in cost]),
        tuple(outcomes),
        int((~counts).sum()),
    )


def _places(time: Integers, history: History) -> Integers:
    """Return which moment is the first that is not before each time."""
    step = history.step // timedelta(microseconds=1)
    return np.asarray(-((_microseconds(history.start) - time) // step), dtype=np.int64).clip(0)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _read_labelled(job: Job, history: History) -> _Labelled:
    """Return the rows of the span whose label is known today."""
    source = job.source
    table = source.table()
    now = max(job.store.now(), history.end)
    columns = [*select_key(source, job.store), source.db.sql.feature(source.label).label(LABEL)]
    columns.append(source.event_time().label(TIME))
    if source.settings.label_time:
        arrived = source.db.sql.event_time(source.relation[source.settings.label_time], source.settings.timezone)
        columns.append(arrived.label(KNOWN))
    first, last = (source.db.sql.instant(moment) for moment in (history.start, history.moments[-1]))
    span = (source.event_time() >= first, source.event_time() <= last)
    statement = source.select(*columns, table=table).where(source.usable(table), source.has_known_label(now), *span)
    batches = [to_microseconds(batch, TIME) for batch in _stream(job, statement)]
    time = _join([batch.column(TIME).to_numpy() for batch in batches])
    known = time + source.settings.label_delay // timedelta(microseconds=1)
    if source.settings.label_time:
        known = _join([to_microseconds(batch, KNOWN).column(KNOWN).to_numpy() for batch in batches])
    return _Labelled(batches, [value for batch in batches for value in batch.column(LABEL).to_pylist()], time, known)


def _join(parts: list[Integers]) -> Integers:
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _stream(job: Job, statement: sa.Select[Any]) -> list[pa.RecordBatch]:
    try:
        return list(job.source.db.stream(statement, _CHUNK))
    except DatabaseError as error:
        if error.reason != "mixed":
            raise
        return list(job.source.db.stream(statement, _CHUNK, exact=True))


def _read_costs(job: Job, history: History, labelled: _Labelled) -> Floats:
    """Return the cost of each labelled row, shape (n,), NaN where it was not scored or could have been learned from."""
    found = np.full(len(labelled.label), np.nan)
    runs = job.runs.as_of(history.start - history.step, history.moments[-1])
    versions = {version.version: version for version in job.registry.versions()}
    if not versions or not runs:
        return found
    first = 0
    for batch in labelled.batches:
        rows = _read_predicted(job, batch, runs)
        at = first + np.array([row["place"] for row in rows], dtype=np.int64)
        first += batch.num_rows
        if rows:
            found[at] = _price(job, [labelled.label[place] for place in at], [row["predicted"] for row in rows])
            made = np.array([_microseconds(versions[row["model_version"]].created_at) for row in rows])
            until = [versions[row["model_version"]].trained_to for row in rows]
            trained = np.array([0 if moment is None else _microseconds(moment) for moment in until])
            found[at[(labelled.time[at] <= trained) & (labelled.known[at] <= made)]] = np.nan
    return found


def _read_predicted(job: Job, keys: pa.RecordBatch, runs: dict[int, datetime]) -> list[dict[str, Any]]:
    """Return `place`, `predicted` and `model_version` of those of these rows that these runs scored."""
    own = job.own.prediction
    staged = job.rows.stage_rows("rowcast_backtest", keys)
    joined = staged.join(own, sa.and_(*[equal(staged.c[c.name], own.c[c.name]) for c in job.source.key]))
    chosen = sa.select(staged.c.place, own.c.predicted, own.c.model_version).select_from(joined)
    return job.store.rows(chosen.where(own.c.run_id.between(min(runs), max(runs))))


def _price(job: Job, labels: Sequence[Any], predicted: Sequence[Any]) -> Floats:
    """Return what each decision cost, in the units of [task]; for values, how far off each is."""
    task = job.settings.task
    if task.kind == "regression":
        return decision_costs(np.array(labels, dtype=np.float64), np.array(predicted, dtype=np.float64), None)
    is_normal = normal(job, job.registry.versions()[-1])
    places = {"": 0}  # of classes; those that need no action are one where two classes are all there are

    def place(value: Any) -> int:
        if is_normal(value):
            return 0
        return places.setdefault("action" if task.kind == "binary" else canonical_label(value), len(places))

    truth, decided = (np.array([place(value) for value in values]) for values in (labels, predicted))
    return decision_costs(truth, decided, Costs.of(task))


def _read_outcome(job: Job, history: History) -> Outcome:
    """Return what a policy did until the last moment."""
    moments = history.moments
    runs = [run for run in job.runs.newest(10 * len(moments) + 100) if run.as_of <= moments[-1]]
    by_run = {run.run_id: run.as_of for run in runs}
    versions = [version.created_at for version in job.registry.versions() if version.created_at <= moments[-1]]
    promoted = [
        made.decided_at
        for made in job.registry.decisions()
        if made.outcome is DecisionOutcome.PROMOTED and made.previous is not None and made.decided_at <= moments[-1]
    ]
    alarms = [
        by_run[alert.run_id]
        for alert in job.alerts.all()
        if alert.state == "begins" and alert.run_id in by_run and _is_alarm(alert.topic)
    ]
    built, serving, told = (_count(found, history) for found in (versions, promoted, alarms))
    failed = sum(run.error is not None for run in runs)
    return Outcome(built, serving, told, failed, sum(run.seconds or 0.0 for run in runs))


def _is_alarm(topic: str) -> bool:
    return any(is_topic_of(topic, main) for main in (DRIFT_TOPIC, COST_TOPIC))


def _count(found: Sequence[datetime], history: History) -> Integers:
    """Return how many of them came at each moment."""
    at = _places(np.array([_microseconds(moment) for moment in found], dtype=np.int64), history)
    return np.bincount(at, minlength=len(history.moments))
