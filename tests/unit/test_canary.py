"""No value of a row leaves in a message: a canary is planted in every kind of value, and looked for wherever one goes.

Errors and events are those of the program, found by walking them: a new one without a case here fails the test.
"""

import io
import json
import pickle
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
import structlog

from rowcast import cli, config, features, logs, notify
from rowcast.database.mssql.known_errors import translate_error
from rowcast.errors import (
    REASONS,
    BusyError,
    ConfigError,
    DatabaseError,
    DeadWorkerError,
    EstimatorError,
    ModelError,
    NotifyError,
    QuarantineError,
    RowcastError,
    RunError,
    SourceError,
    StoreError,
    TrainingError,
    UsageError,
    as_rowcast_error,
    describe,
)
from rowcast.fit.candidates.user import user_candidate
from rowcast.gate import Guard, HeldBack
from rowcast.messages.alerts import render_alert
from rowcast.messages.events import (
    EVENT_TYPES,
    CostExceeded,
    Event,
    RowsChanged,
    RowsDrifted,
    RowsGone,
    RowsOverdue,
    RowsSetAside,
    RowsSkewed,
    RowsUnusable,
    RunDied,
    RunFailed,
    SinkTested,
    VersionDecided,
    VersionHeldBack,
)
from rowcast.messages.retraining import Due, DueCause, describe_due
from rowcast.models.artifact import Model
from rowcast.monitor import Event as DriftAlarm
from rowcast.monitor import Finding, Series
from rowcast.monitor.skew import Skew
from rowcast.monitor.statistics import Kind
from rowcast.monitor.track_record import CostExcess, CostKind
from rowcast.store.records import DecisionOutcome, DriftRecord, EndCause, PeriodFault, PipelineName

AT = datetime(2026, 5, 1, 6, 0, tzinfo=UTC)
CANARIES = {
    "label value": "RECIPE-X77-SCRAP",
    "category": "ETCHER-0815",
    "key": "WAFER-4711-A",
    "free text": "Miller says so",
    "time": "1987-06-05T04:03:02",
    "number": "31415.9265",
}


@pytest.fixture(params=CANARIES)
def canary(request: pytest.FixtureRequest) -> str:
    return CANARIES[request.param]


@pytest.fixture(autouse=True)
def _logs_restored() -> Iterator[None]:
    yield
    logs.configure("error")


# ---- every error


def caught(work: Callable[[], Any]) -> Exception:
    with pytest.raises(Exception) as found:
        work()
    return found.value


def bad_labels(canary: str) -> list[Exception]:
    """What labels with a canary among them raise that no model can learn from."""
    many = [canary, *map(str, range(200))]
    given: list[tuple[list[str], dict[str, Any]]] = [
        ([canary, canary], {}),
        ([canary, "b"], {"positive": "y"}),
        (["a", "b"], {"positive": canary}),
        ([canary, "a", "b"], {"positive": "a"}),
        ([canary, canary], {"kind": "multiclass"}),
        ([canary, "b"], {"kind": "multiclass", "normal": "y"}),
        (["a", "b"], {"kind": "multiclass", "normal": canary}),
        (many, {"kind": "multiclass"}),
        ([canary, "x"], {"kind": "regression"}),
    ]
    return [caught(partial(features.make_target, pa.array(of), config.Task.model_validate(task))) for of, task in given]


def bad_estimator(canary: str) -> list[Exception]:
    """What a user's own code raises, which may have been given rows."""
    import sys
    import types

    def build() -> None:
        raise ValueError(f"could not convert string to float: {canary!r}")

    sys.modules["canary_models"] = module = types.ModuleType("canary_models")
    module.build = build  # type: ignore[attr-defined]
    return [caught(lambda: user_candidate("canary_models:build", seed=0))]


def bad_statement(canary: str) -> list[Exception]:
    """What drivers say, whatever it is; of values, in words that stand for other things."""
    said = f"the value '{canary}' is not a number; deadlock, timed out, disk is full"
    found: list[Exception] = [
        translate_error("mssql://fab/line", RuntimeError(said), number) for number in (245, 2627, 2628, 8114)
    ]
    quoting = [reason for reason in REASONS if reason in ("duplicate", "conflict", "other")]
    return found + [DatabaseError.of_driver("sqlite:///fab.db", said, reason=reason) for reason in quoting]


def foreign(canary: str) -> list[Exception]:
    """Another library's, as it is and as rowcast passes it on."""
    error = caught(lambda: float(f"no {canary}"))
    return [error, as_rowcast_error(error)]


def parted(kind: type[RowcastError]) -> Callable[[str], list[Exception]]:
    """An error of a class whose raise sites quote no value; if one does, it is by its detail."""
    return lambda canary: [kind("3 rows are bad", hint="mend them", detail=canary, about="s001")]


ERRORS: dict[type[Exception], Callable[[str], list[Exception]]] = {
    TrainingError: bad_labels,
    EstimatorError: bad_estimator,
    DatabaseError: bad_statement,
    RunError: foreign,
    ModelError: lambda canary: [caught(lambda: Model.from_bytes(canary.encode())), *parted(ModelError)(canary)],
    **{
        kind: parted(kind)
        for kind in (
            UsageError,
            ConfigError,
            SourceError,
            StoreError,
            QuarantineError,
            DeadWorkerError,
            NotifyError,
            BusyError,
        )
    },
}


def tree(kind: type[RowcastError]) -> Iterator[type[RowcastError]]:
    for each in kind.__subclasses__():
        yield each
        yield from tree(each)


def test_every_error_that_there_is_has_a_case() -> None:
    assert set(tree(RowcastError)) == set(ERRORS)


def leaving(error: Exception, folder: Path, monkeypatch: pytest.MonkeyPatch, *, values: bool) -> Iterator[str]:
    """Everything that may leave the process when an error is raised in it."""
    yield str(error) if isinstance(error, RowcastError) else ""
    yield str(pickle.loads(pickle.dumps(error))) if isinstance(error, RowcastError) else ""
    if isinstance(error, RowcastError):
        yield "".join(traceback.format_exception_only(error))
    stream = io.StringIO()
    logs.configure("debug", stream=stream, file=logs.LogFile(folder / "pipeline.log"), values=values)
    try:
        raise RunError("a step failed") from error
    except RunError as outer:
        structlog.get_logger("rowcast").error(
            "infer failed", error=error, note="rows", detail=describe(error, details=True)
        )
        structlog.get_logger("rowcast").debug("where it failed", exc_info=True)
        structlog.get_logger("rowcast").warning("again", error=outer)
    yield stream.getvalue()
    for arguments in (["status"], ["status", "--log-level", "debug"]):
        printed = io.StringIO()
        monkeypatch.setattr("rowcast.cli.app", lambda *_, error=error, **__: (_ for _ in ()).throw(error))
        monkeypatch.setattr("sys.stderr", printed)
        cli.main(arguments)
        monkeypatch.undo()
        yield printed.getvalue()
    yield from alerts_of(failed(error), values=values)
    yield describe_due(Due(DueCause.UNMEASURED, error=as_rowcast_error(error)), values=values)


def failed(error: BaseException, batches_left: int = 0) -> RunFailed:
    return RunFailed("infer", PipelineName.INFER, 7, False, error, batches_left, AT, "error")


def alerts_of(event: Event, *, values: bool) -> Iterator[str]:
    """The text of an alert as the table, the job's folder and the sinks get it."""
    alert = render_alert(event, "wafers", values=values)
    message = notify.message(alert)
    yield from (alert.to_json(), str(alert), message.subject, message.text, json.dumps(dict(message.attributes)))


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_no_error_carries_a_value_out(
    kind: type[Exception], canary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in ERRORS[kind](canary):
        for text in leaving(error, tmp_path, monkeypatch, values=False):
            assert canary not in text, text
    # The person at the machine finds it in the local log.
    assert canary in (tmp_path / "pipeline.log").read_text()


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_where_values_are_allowed_an_error_is_told_whole(
    kind: type[Exception], canary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [
        text
        for error in ERRORS[kind](canary)
        if isinstance(error, RowcastError) and canary in error.detail
        for text in leaving(error, tmp_path, monkeypatch, values=True)
    ]
    assert sum(canary in text for text in told) >= 6


# ---- every event


def drifted(canary: str) -> list[Event]:
    """An alarm of every kind of series, as if its column's category were the canary."""
    found = []
    for kind in get_args(Kind):
        finding = Finding(Series(kind, "tool", canary), "7", AT, 0.25, 0.5, 2.0, 3.0, 1.0, (canary,))
        found.append(DriftAlarm("started", "7", "7", AT, 3.0, (finding,), 0, (0.1, 0.2), (1.0, 2.0)))
    return [RowsDrifted(alarm, 2) for alarm in found]


def exceeded(_: str) -> list[Event]:
    day = np.datetime64("2026-05-01")
    return [CostExceeded(2, CostExcess(kind, 2.0, 1.0, 300, 7, day), 7) for kind in get_args(CostKind)]


def decided(_: str) -> list[Event]:
    return [VersionDecided(5, 2, 1, outcome, "gate", "a gain of 0.1", None, AT) for outcome in DecisionOutcome]


EVENTS: dict[type, Callable[[str], list[Event]]] = {
    RunFailed: lambda canary: [
        failed(error, left) for make in ERRORS.values() for error in make(canary) for left in (0, 2)
    ],
    RunDied: lambda _: [RunDied(PipelineName.INFER, 7, cause, AT) for cause in EndCause],
    VersionDecided: decided,
    RowsDrifted: drifted,
    CostExceeded: exceeded,
    RowsGone: lambda _: [RowsGone(3, 40, AT, 7)],
    RowsUnusable: lambda _: [RowsUnusable(30, 40, 0.1, AT, 7)],
    RowsChanged: lambda _: [RowsChanged(30, 40, 0.0, AT, 7)],
    RowsSkewed: lambda _: [RowsSkewed(Skew(AT, 40, 30), 0.01, 7)],
    RowsOverdue: lambda _: [RowsOverdue(30, AT, AT, 7), RowsOverdue(30, None, AT, 7)],
    RowsSetAside: lambda _: [RowsSetAside(fault, "s1", 40, AT, AT, 0.5, 0.8, 2, AT, 7) for fault in PeriodFault],
    VersionHeldBack: lambda canary: [
        VersionHeldBack(3, 2, HeldBack(guard, 80, 20, 100, "tool", canary), AT, 7) for guard in Guard
    ],
    SinkTested: lambda _: [SinkTested(AT)],
}


def test_every_event_that_there_is_has_a_case() -> None:
    assert set(EVENT_TYPES) == set(EVENTS)


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_no_event_carries_a_value_out(kind: type, canary: str) -> None:
    for event in EVENTS[kind](canary):
        for text in alerts_of(event, values=False):
            assert canary not in text, text
        assert canary not in str(event.dedup_key)


def test_where_values_are_allowed_a_drift_names_the_category() -> None:
    canary = CANARIES["category"]
    assert any(canary in text for event in drifted(canary) for text in alerts_of(event, values=True))


@pytest.mark.parametrize("values", [False, True])
def test_why_a_retrain_is_due_names_a_category_only_where_values_are_allowed(values: bool) -> None:
    canary = CANARIES["category"]
    finding = {"kind": "category", "column": "tool", "category": canary, "since_run": 7, "since": AT.isoformat()}
    finding |= {"was": 0.1, "now": 0.5, "change": 0.4, "size": 3.0}
    row = DriftRecord(7, 7, 2, "started", AT, 2.0, f"since yesterday tool is {canary}", (finding,))
    assert (canary in describe_due(Due(DueCause.DRIFT, drift=(row,)), values=values)) is values
