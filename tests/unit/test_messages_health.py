"""What needs a person, in words that quote no row."""

from dataclasses import replace
from datetime import UTC, datetime

from rowcast.messages.health import (
    AlertsUndelivered,
    NothingInService,
    RunNotDone,
    TroubleStands,
    Unusual,
    describe_need,
    describe_unusual,
)
from rowcast.store.alert_record import Acknowledgement, Alert
from rowcast.store.records import EndCause, PipelineName, RunOptions, RunRecord, RunStatus

AT = datetime(2026, 5, 1, 6, 0, tzinfo=UTC)


def test_each_need_is_a_sentence_with_what_to_do() -> None:
    alert = Alert("wafers", "infer", "infer failed", "3 rows", "error", AT, "mend them", "rowcast runs", "key", 7)
    assert describe_need(TroubleStands(alert)) == "infer failed since 2026-05-01 06:00: mend them"
    seen = replace(alert, acknowledged=Acknowledgement("mia", AT, "'SCRAP' was known"))
    text = "infer failed since 2026-05-01 06:00 (acknowledged by mia): mend them"
    assert describe_need(TroubleStands(seen)) == text
    assert describe_need(NothingInService()) == "nothing is scored yet: 'rowcast retrain' trains the first model"
    undelivered = describe_need(AlertsUndelivered(2, ("sns", "mailto")))
    assert undelivered == "2 alerts do not reach sns, mailto: 'rowcast notify' tries again"


def test_a_run_that_failed_is_named_and_its_error_which_may_quote_a_row_is_not() -> None:
    about = (AT, AT, AT, "'SCRAP'", EndCause.ERROR, None, None, None, None, RunOptions())
    run = RunRecord(7, "wafers", PipelineName.INFER, RunStatus.FAILED, *about)
    assert describe_need(RunNotDone(run)) == "run 7 (infer) is failed: 'rowcast runs 7' says why"


def test_what_is_unusual_is_said_in_a_few_words() -> None:
    assert describe_unusual([]) == ""
    assert describe_unusual([Unusual.SLOWER, Unusual.MORE_MEMORY]) == "slower and more memory than usual"
