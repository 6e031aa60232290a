"""Events: JSON where nobody watches, and never a secret."""

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from rowcast import logs
from rowcast.errors import RunError


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    logs.configure("error")


def events(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_of_json_on_a_stream_and_in_the_file(tmp_path: Path) -> None:
    stream, file = io.StringIO(), tmp_path / "pipeline.log"
    logs.configure("info", file=logs.LogFile(file), stream=stream)
    structlog.get_logger("rowcast").info("gate done", rows=12, reason="ein\nÜberblick")
    (event,) = events(stream)
    assert (event["event"], event["rows"], event["reason"], event["level"]) == (
        "gate done",
        12,
        "ein\nÜberblick",
        "info",
    )
    assert json.loads(file.read_text(encoding="utf-8")) == event


def test_the_file_is_rotated_and_only_so_many_old_ones_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rowcast.logs._BYTES", 500)
    logs.configure("info", file=logs.LogFile(tmp_path / "pipeline.log"), stream=io.StringIO())
    for number in range(100):
        structlog.get_logger("rowcast").info("data-fetch done", run=number)
    files = [tmp_path / name for name in ("pipeline.log", *(f"pipeline.log.{old}" for old in range(1, 6)))]
    assert sorted(tmp_path.iterdir()) == files
    assert all(file.stat().st_size <= 500 for file in files)
    kept = [json.loads(line)["run"] for file in reversed(files) for line in file.read_text().splitlines()]
    assert kept == list(range(100 - len(kept), 100))


def test_events_below_the_level_are_not_told() -> None:
    stream = io.StringIO()
    logs.configure("warning", stream=stream)
    structlog.get_logger("rowcast").info("nobody hears this")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("text", ["login failed for s3cret!", "postgresql://me:s3cret!@host:5432/fab is away"])
def test_secrets_are_taken_out_of_every_value(text: str) -> None:
    stream = io.StringIO()
    logs.configure("info", stream=stream, secrets=["s3cret!"])
    structlog.get_logger("rowcast").error(text, error=text)
    assert "s3cret" not in stream.getvalue()


def test_user_and_password_of_any_url_are_taken_out_without_being_told_of() -> None:
    stream = io.StringIO()
    logs.configure("info", stream=stream)
    structlog.get_logger("rowcast").error("postgresql://me:other@host/fab is away")
    assert "other" not in stream.getvalue()
    assert "host/fab" in stream.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("values", [False, True])
def test_what_may_quote_a_row_goes_to_the_file_and_the_terminal_and_elsewhere_only_where_allowed(
    tmp_path: Path, values: bool
) -> None:
    quoted = "Miller"  # which is no part of the lines of code that a traceback shows

    def tell() -> None:
        log = structlog.get_logger("rowcast")
        log.error("infer failed", error=RunError("2 rows are bad", detail="'Miller'"))
        log.info("data-process done", note="not learned from", detail="'Miller' (3)")
        try:
            raise ValueError(quoted) from OSError(quoted)
        except ValueError as error:
            log.warning("a batch failed", error=error)
            log.error("where it failed", exc_info=True)

    stream, file, terminal = io.StringIO(), tmp_path / "pipeline.log", Terminal()
    logs.configure("info", file=logs.LogFile(file), stream=stream, values=values)
    tell()
    assert ("Miller" in stream.getvalue()) is values
    first, _, third, fourth = events(stream)
    assert (first["error"], third["error"]) == (
        ("2 rows are bad: 'Miller'", "ValueError: Miller") if values else ("2 rows are bad", "unexpected ValueError")
    )
    assert "in tell" in str(fourth["exception"])
    assert "OSError" in str(fourth["exception"])
    assert file.read_text().count("Miller") == 5
    logs.configure("info", stream=terminal)
    tell()
    assert terminal.getvalue().count("Miller") == 5


def test_a_log_file_that_cannot_be_written_is_said_and_stops_nothing(tmp_path: Path) -> None:
    stream = io.StringIO()
    logs.configure("info", file=logs.LogFile(tmp_path / "missing" / "pipeline.log"), stream=stream)
    structlog.get_logger("rowcast").info("goes on")
    said, went_on = events(stream)
    assert "pipeline.log cannot be written" in str(said["event"])
    assert went_on["event"] == "goes on"


def measured(stream: io.StringIO, *, cloudwatch: bool = True, job: str = "wafers", **values: tuple[float | None, str]):
    logs.configure("warning", stream=stream, cloudwatch=cloudwatch)
    logs.figures({"job": job, "step": "inference"}, values, run=12)


def test_figures_are_a_line_of_cloudwatchs_embedded_metric_format() -> None:
    stream = io.StringIO()
    before = time.time()
    measured(stream, duration_s=(1.5, "Seconds"), rows_out=(100, "Count"))
    [line] = events(stream)
    embedded: Any = line.pop("_aws")
    assert line == {"job": "wafers", "step": "inference", "run": 12, "duration_s": 1.5, "rows_out": 100}
    units = [{"Name": "duration_s", "Unit": "Seconds"}, {"Name": "rows_out", "Unit": "Count"}]
    [directive] = embedded["CloudWatchMetrics"]
    assert directive == {"Namespace": "rowcast", "Dimensions": [["job", "step"]], "Metrics": units}
    assert int(before * 1000) <= embedded["Timestamp"] <= time.time() * 1000


def test_figures_that_are_no_finite_number_are_left_out() -> None:
    stream = io.StringIO()
    measured(stream, a=(float("nan"), "None"), b=(None, "Count"), c=(float("inf"), "None"), d=(1, "Count"))
    assert [name for name in events(stream)[0] if len(name) == 1] == ["d"]
    measured(empty := io.StringIO(), a=(None, "Count"))
    assert empty.getvalue() == ""


def test_a_line_has_a_hundred_figures_at_most_and_dimensions_in_ascii() -> None:
    stream = io.StringIO()
    measured(stream, job="Größe", **{f"n{place}": (place, "Count") for place in range(120)})
    [line] = events(stream)
    assert len(line["_aws"]["CloudWatchMetrics"][0]["Metrics"]) == 100  # type: ignore[index]
    assert line["job"] == "Grosse"


def test_nobody_gets_figures_who_did_not_ask_for_them() -> None:
    stream = io.StringIO()
    measured(stream, cloudwatch=False, rows=(1, "Count"))
    assert stream.getvalue() == ""
