"""A job's figures where others look for them: Prometheus' text format, and lines for CloudWatch in the log."""

import json
import re
from collections import Counter
from typing import Any

import pytest
from jobs import LABELLED, PENDING, Job, wafers

pytest_plugins = ("job_fixtures",)

# The grammar of prometheus.io/docs/instrumenting/exposition_formats, for gauges and counters without timestamps.
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
SAMPLE = re.compile(rf"({NAME})\{{({LABEL}(?:,{LABEL})*)\}} (\S+)")
HELP = re.compile(rf"# HELP ({NAME}) \S.*")
TYPE = re.compile(rf"# TYPE ({NAME}) (counter|gauge)")

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> Samples:
    """Samples by name and labels; every line must be of the format, and every family in one piece."""
    found: Samples = {}
    family, order = "", []
    lines = text.split("\n")
    assert lines.pop() == "", "the last line ends too"
    for line in lines:
        if said := HELP.fullmatch(line):
            order.append(said[1])
            family = ""
        elif kind := TYPE.fullmatch(line):
            assert kind[1] == order[-1]
            assert (kind[2] == "counter") is kind[1].endswith("_total")
            family = kind[1]
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            assert sample[1] == family
            labels = frozenset(tuple(label.split("=", 1)) for label in re.findall(LABEL, sample[2]))
            assert (family, labels) not in found
            found[family, labels] = float(sample[3])
    assert max(Counter(order).values()) == 1
    return found


def value(samples: Samples, family: str, /, **labels: str) -> float:
    """The one sample of this name that has these labels."""
    wanted = {(key, json.dumps(text, ensure_ascii=False)) for key, text in labels.items()}
    [found] = [number for (name, has), number in samples.items() if name == family and wanted <= has]
    return found


def metrics(job: Job) -> Samples:
    done = job.call("metrics")
    assert done.code == 0, done.err
    return parsed(done.out)


def test_the_newest_runs_and_what_waits_are_in_the_figures(trained: Job) -> None:
    trained.sql("UPDATE wafers SET s01 = 1e30, s02 = 1e30 WHERE wafer = 310")
    before = metrics(trained)
    assert value(before, "rowcast_rows", place="pending") == PENDING
    assert value(before, "rowcast_rows", place="out_of_scope") == LABELLED
    assert value(before, "rowcast_runs_total", pipeline="retrain", status="done") == 1
    trained.ok("infer")
    after = metrics(trained)
    for place, rows in {"scored": PENDING - 1, "quarantined": 1, "pending": 0, "unusable": 0}.items():
        assert value(after, "rowcast_rows", place=place, job="wafers") == rows
    assert value(after, "rowcast_run_ok", pipeline="infer") == 1
    inference = {"pipeline": "infer", "step": "inference", "row_set": "score"}
    [run] = trained.ok("runs", "2", "--json")
    [recorded] = [step for step in run["steps"] if step["name"] == "inference"]
    assert value(after, "rowcast_step_rows_out", **inference) == PENDING - 1 == recorded["rows_out"]
    assert value(after, "rowcast_step_duration_seconds", **inference) == recorded["duration_s"]
    assert value(after, "rowcast_step_peak_memory_bytes", **inference) == round(recorded["peak_rss_mb"] * 1024**2)
    assert value(after, "rowcast_step_figure", pipeline="infer", step="data-check", name="quarantined") == 1
    assert value(after, "rowcast_step_figure", pipeline="infer", step="inference", name="retries") == 0
    assert value(after, "rowcast_step_figure", pipeline="retrain", step="model-build", name="auc") > 0.8
    assert value(after, "rowcast_champion_version") == 1
    assert value(after, "rowcast_champion_age_seconds") > 0
    assert value(after, "rowcast_training_age_seconds") > 0
    assert (value(after, "rowcast_alerts_waiting"), value(after, "rowcast_troubles")) == (0, 0)


def test_a_run_that_failed_is_in_the_figures(lite: Job) -> None:
    lite.sql("ALTER TABLE wafers RENAME COLUMN s01 TO gone")
    assert lite.call("infer").code == 1
    found = metrics(lite)
    assert value(found, "rowcast_runs_total", pipeline="infer", status="failed") == 1
    assert (value(found, "rowcast_run_ok", pipeline="infer"), value(found, "rowcast_troubles")) == (0, 1)


@pytest.mark.parametrize(
    "apart", [False, pytest.param(True, marks=pytest.mark.long)], ids=["one database", "two databases"]
)
def test_the_age_of_the_oldest_pending_row_is_that_of_its_event(
    system: str, make_job: Any, tmp_path: Any, apart: bool
) -> None:
    job = make_job(system, "untrained" if apart else "trained")
    if apart:
        job.store = make_job("sqlite", "empty").place
        job.configure()
        job.estimator("quick", retrain={"every": "7d"})
        job.ok("retrain")
    oldest, newer = "pending_oldest_age_seconds", {"measured_at": "2026-01-04 00:00:00Z"}
    ages = [value(metrics(job), f"rowcast_{oldest}")]
    job.sql("DELETE FROM wafers WHERE wafer BETWEEN 301 AND 350")
    ages.append(value(metrics(job), f"rowcast_{oldest}"))
    assert ages[0] - ages[1] == pytest.approx(50 * 600, abs=60)  # wafers come ten minutes apart
    job.ok("infer")
    assert value(metrics(job), f"rowcast_{oldest}") == 0
    job.add([{**wafers(401, 1, False)[0], **newer}, *wafers(402, 1, False)])
    assert value(metrics(job), f"rowcast_{oldest}") < ages[1]


def test_a_job_may_have_any_name_and_no_model_yet(plain: Job) -> None:
    plain.configure(name='Größe "3" \\ Ätz')
    found = metrics(plain)
    assert {labels for name, labels in found if name == "rowcast_alerts_waiting"} == {
        frozenset({("job", '"Größe \\"3\\" \\\\ Ätz"')})
    }
    assert not any(name.startswith("rowcast_champion") for name, _ in found)


# CloudWatch


def embedded(job: Job, *command: str, **logs: Any) -> list[dict[str, Any]]:
    job.configure({"logs": {"cloudwatch": True}} | logs)
    return [event for event in job.call(*command, "--log-level", "warning").events if "_aws" in event]


def test_the_log_has_each_steps_figures_and_the_runs_for_cloudwatch(lite: Job) -> None:
    lite.sql("UPDATE wafers SET s01 = 1e30, s02 = 1e30 WHERE wafer = 310")
    lines = embedded(lite, "infer")
    steps = [f"{name} (score)" for name in ("data-fetch", "data-check", "data-process", "inference", "monitor")]
    assert [(line["job"], line["step"]) for line in lines] == [("wafers", step) for step in (*steps, "run")]
    for line in lines:
        [directive] = line["_aws"]["CloudWatchMetrics"]
        assert (directive["Namespace"], directive["Dimensions"]) == ("rowcast", [["job", "step"]])
        for metric in directive["Metrics"]:
            assert isinstance(line[metric["Name"]], int | float), metric
    check, inference, run = lines[1], lines[3], lines[5]
    assert (check["rows_in"], check["rows_out"], check["quarantined"], check["failed"]) == (PENDING, PENDING - 1, 1, 0)
    assert (inference["scored"], inference["retries"]) == (PENDING - 1, 0)
    assert (run["scored"], run["quarantined"], run["failed"], run["pipeline"]) == (PENDING - 1, 1, 0, "infer")
    assert run["peak_rss_mb"] > 10
    assert lite.log() == []  # the file holds events alone


def test_a_failed_run_and_its_step_count_as_failed(lite: Job) -> None:
    lite.sql("UPDATE wafers SET s01 = 1e30, s02 = 1e30 WHERE wafer > 300")
    lines = embedded(lite, "infer")
    assert [(line["step"], line["failed"]) for line in lines if line["failed"]] == [
        *(("data-check (score)", 1), ("run", 1)),
    ]
    [told] = [event for event in lite.log() if event["event"] == "data-check (score) failed"]
    assert told["level"] == "error"
    assert "break the contract" in told["error"]


def test_without_the_setting_the_log_has_no_such_line(lite: Job) -> None:
    assert not [event for event in lite.call("infer").events if "_aws" in event]


def test_what_waits_is_a_line_for_cloudwatch_too(lite: Job) -> None:
    done = lite.call("metrics", "--cloudwatch")
    [text] = done.out.splitlines()
    line = json.loads(text)
    [directive] = line["_aws"]["CloudWatchMetrics"]
    units = {metric["Name"]: metric["Unit"] for metric in directive["Metrics"]}
    assert (line["job"], line["step"], line["pending"], line["scored"]) == ("wafers", "job", PENDING, 0)
    assert line["pending_oldest_age_seconds"] > 0
    assert units["pending_oldest_age_seconds"] == "Seconds"
    assert units["pending"] == "Count"
    assert {"alerts_waiting", "troubles", "champion_age_seconds", "training_age_seconds"} <= set(units)
