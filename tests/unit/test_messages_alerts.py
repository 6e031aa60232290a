"""What an alert says: no value of a row, no secret, no address of a database."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from pydantic import SecretStr

from rowcast import config, features
from rowcast.alerts import raising
from rowcast.errors import DatabaseError, EstimatorError, QuarantineError, RowcastError, RunError, TrainingError
from rowcast.messages.alerts import redact, render_alert
from rowcast.messages.events import RunFailed, VersionDecided
from rowcast.models.estimators import one_line
from rowcast.store.alert_record import Alert
from rowcast.store.records import DecisionOutcome, PipelineName

NOW = datetime(2026, 5, 1, 6, 0, tzinfo=UTC)
PRIVATE = "Miller"


def settings(**sections: Any) -> config.Settings:
    source = {"url": "postgresql://me:s3cret@fab:5432/line", "table": "wafers", "key": ["id"], "label": "failed"}
    return config.Settings.model_validate({"source": source, **sections})


def event(error: Exception, **about: Any) -> RunFailed:
    given: dict[str, Any] = {"topic": "infer", "pipeline": PipelineName.INFER, "run_id": 7, "is_done": False}
    given |= {"error": error, "batches_left": 0, "at": NOW, "severity": "error"}
    return RunFailed(**(given | about))


def alert(error: Exception, *, values: bool = False, **about: Any) -> Alert:
    return redact(render_alert(event(error, **about), "wafers", values=values), settings().secrets)


def refused(labels: list[Any], **task: Any) -> TrainingError:
    """The error of labels that no model can learn from."""
    with pytest.raises(TrainingError) as caught:
        features.make_target(pa.array(labels), config.Task.model_validate(task))
    return caught.value


QUOTING = [
    RuntimeError(f"could not convert {PRIVATE}"),
    EstimatorError("estimator 'p2:build' raised in fit", detail=one_line(ValueError(PRIVATE))),
    DatabaseError.of_driver("postgresql://fab:5432/line", f'invalid input syntax for type integer: "{PRIVATE}"'),
    DatabaseError.of_driver("mssql://fab/line", f"the duplicate key value is ({PRIVATE})", reason="duplicate"),
    refused([PRIVATE, PRIVATE]),
    refused([PRIVATE, "a", "b"], positive="a"),
    refused([PRIVATE, "x"], positive="y"),
    refused([PRIVATE, PRIVATE], kind="multiclass"),
    refused([PRIVATE, "x"], kind="multiclass", normal="y"),
    refused([PRIVATE, *map(str, range(200))], kind="multiclass"),
]


@pytest.mark.parametrize("error", QUOTING, ids=[f"{n}: {type(error).__name__}" for n, error in enumerate(QUOTING)])
def test_what_may_quote_a_row_is_left_to_the_log(error: Exception) -> None:
    assert PRIVATE not in alert(error).what
    assert alert(error).what.endswith("'rowcast runs 7' says more")
    assert PRIVATE in alert(error, values=True).what


@pytest.mark.parametrize(
    "error",
    [
        QuarantineError("40 of 400 rows break the contract; most often s001: max (40)"),
        TrainingError("only 3 of 40 labelled rows are positive: 20 are needed of each class"),
        RunError("the source no longer has column 's001', which the model needs"),
        DatabaseError("the server is away: connection refused", reason="unreachable"),
        DatabaseError('permission denied for table "wafers"', reason="rights"),
    ],
)
def test_what_quotes_no_row_is_told_whole(error: RowcastError) -> None:
    assert alert(error).what == error.what


def test_neither_an_address_nor_a_secret_is_told() -> None:
    error = DatabaseError("postgresql://fab:5432/line: login failed for s3cret", reason="login", hint="not s3cret")
    found = alert(error)
    assert found.what == "the database: login failed for ***"
    assert found.hint == "not ***"
    assert alert(RunError("no table wafers in sqlite:////data/fab 1.db")).what.startswith(
        "no table wafers in the database"
    )


def test_a_token_of_a_sink_is_not_told() -> None:
    given = settings(notify={"urls": (SecretStr("slack://xoxb-1234-1234-4ddbc191/#fab"),)})
    found = render_alert(event(RunError("bad xoxb-1234-1234-4ddbc191")), "wafers", values=True)
    assert redact(found, given.secrets).what == "bad ***"


def test_the_next_thing_to_do_is_the_errors_hint() -> None:
    found = alert(RunError("no champion", hint="train the first\nmodel"))
    assert (found.title, found.hint, found.command) == ("infer failed", "train the first model", "rowcast resume 7")
    assert alert(RunError("no champion")).hint == "mend what it names; the log has the rest"


@pytest.mark.parametrize(
    ("result", "command"),
    [
        ({"pipeline": PipelineName.FULL, "run_id": None}, "rowcast run"),
        ({"pipeline": PipelineName.RETRAIN, "run_id": None}, "rowcast retrain"),
        ({"pipeline": PipelineName.FULL}, "rowcast resume 7"),
        ({"pipeline": PipelineName.STEP}, "rowcast runs 7"),
        ({"pipeline": PipelineName.REQUEUE}, "rowcast runs 7"),
        ({"pipeline": PipelineName.IMPORT}, "rowcast runs 7"),
        ({"is_done": True}, "rowcast runs 7"),
    ],
)
def test_the_command_goes_on_or_looks_at_the_run(result: dict[str, Any], command: str) -> None:
    assert alert(RunError("x"), **result).command == command


def test_batches_that_are_left_are_counted() -> None:
    found = alert(DatabaseError.of_driver("the server", "nothing to see"), batches_left=2)
    assert found.title == "infer partial"
    assert found.what.startswith("2 batches could not be scored and stay pending: the server: the database refused")


# version, champion before, decision, evidence, severity, what is said, the card to look at
DECIDED: list[tuple[int, int | None, str, dict[str, Any], str, str, int]] = [
    (1, None, "promoted", {}, "info", "v1 promoted", 1),
    (2, 1, "promoted", {}, "info", "v2 promoted in place of v1", 2),
    (2, 1, "promoted", {"shadow": "waiting"}, "info", "v2 promoted in place of v1", 2),
    (2, 1, "kept", {}, "info", "v2 not promoted, v1 stays in service", 2),
    (
        2,
        1,
        "kept",
        {"shadow": "waiting"},
        "info",
        "v2 not promoted, v1 stays in service",
        2,
    ),
    (
        1,
        2,
        "kept",
        {"shadow": "watched"},
        "info",
        "v2 stays in service, v1 before it is not proven better",
        2,
    ),
    (1, 2, "rolled back", {"shadow": "watched"}, "warning", "v2 rolled back to v1", 2),
    (2, 1, "undecided", {}, "info", "v2 waits for more labels", 2),
]


@pytest.mark.parametrize(("version", "previous", "decision", "evidence", "severity", "title", "card"), DECIDED)
def test_a_decision_is_told_as_what_it_means_for_the_one_in_service(
    version: int, previous: int | None, decision: str, evidence: dict[str, Any], severity: str, title: str, card: int
) -> None:
    outcome = DecisionOutcome(decision)
    made = VersionDecided(5, version, previous, outcome, "gate", "it won", evidence.get("shadow"), NOW)
    found = render_alert(made, "wafers", values=False)
    assert (found.topic, found.state, found.severity) == ("decision 5", "once", severity)
    assert (found.title, found.what) == (title, f"{title} (decided by the gate): it won")
    assert found.command == f"rowcast models show {card}"
    assert found.digest is (decision in ("kept", "undecided"))  # nobody has to do anything
    assert ("'rowcast rollback'" in found.hint) is (decision == "promoted" and previous is not None)


def test_what_was_tried_is_noted_with_how_it_went() -> None:
    failures: raising.Failures = {}
    error = RunError("x")
    with raising.note_failure(failures, "infer"):
        pass
    with pytest.raises(RunError), raising.note_failure(failures, "retrain"):
        raise error
    with pytest.raises(KeyboardInterrupt), raising.note_failure(failures, "drift"):
        raise KeyboardInterrupt
    assert failures == {"infer": None, "retrain": error}
