"""The step `monitor`: what is looked at once rows are scored, and what of it a person should know."""

from collections.abc import Callable, Sequence
from functools import partial

from rowcast.alerts import raising
from rowcast.job.run import Run
from rowcast.job.step_record import StepReport, record_step
from rowcast.messages.events import (
    CHANGED_TOPIC,
    COST_TOPIC,
    DRIFT_TOPIC,
    GONE_TOPIC,
    OVERDUE_TOPIC,
    SKEW_TOPIC,
    UNUSABLE_TOPIC,
    Event,
)
from rowcast.recorded_run import Result, go_on_after
from rowcast.scoring import reloaded
from rowcast.watch import arrivals, cost_alarm, drift, skew_alarm

_WATCHERS: tuple[tuple[str, Callable[[Run, StepReport], Sequence[Event] | None]], ...] = (
    (UNUSABLE_TOPIC, arrivals.watch_unusable),
    (GONE_TOPIC, arrivals.watch_gone),
    (OVERDUE_TOPIC, arrivals.watch_overdue),
    (CHANGED_TOPIC, reloaded.watch_changed),
    (DRIFT_TOPIC, drift.watch),
    (COST_TOPIC, cost_alarm.watch),
    (SKEW_TOPIC, skew_alarm.watch),
)
_DECIDING = (DRIFT_TOPIC, COST_TOPIC)  # on which a retraining policy may act


def watch_rows(run: Run, result: Result, *, is_replay: bool) -> None:
    """Look whether the rows have changed, and write down what a person should know. They are scored in any case.

    A replay looks for that alone on which a retraining policy may act.
    """
    job = run.job
    try:
        with (
            raising.note_failure(result.failures, "monitor"),
            record_step(job.runs, run.run_id, "monitor", "score") as about,
        ):
            for topic, watch in _WATCHERS:
                if is_replay and topic not in _DECIDING:
                    continue
                found = job.retry(partial(watch, run, about))
                if found is not None:
                    raising.alert_watched(job, topic, found)
    except Exception as error:
        go_on_after(result, error, "the rows could not be watched")
