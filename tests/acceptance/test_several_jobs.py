"""`rowcast run a.toml b.toml …`: a run for each job, a line for each, and none stops the others."""

import json
import signal
import time

import pytest
from jobs import Job

pytest_plugins = ("job_fixtures",)


def as_file(job: Job, file: str, name: str | None = None, **changes: dict[str, object]) -> str:
    """Write the job's config, changed, to another file of its folder."""
    job.configure(changes, name)
    (job.folder / "rowcast.toml").rename(job.folder / file)
    return file


def lines(out: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines()]


def test_each_job_has_a_run_and_a_line_and_a_failing_one_stops_none(lite: Job) -> None:
    broken = as_file(lite, "broken.toml", source={"table": "gone"})
    (lite.folder / "unread.toml").write_text("[source\n")
    other = as_file(lite, "other.toml", "other")
    first = as_file(lite, "first.toml")
    done = lite.call("run", broken, "unread.toml", first, other)
    assert done.code == 1
    found = lines(done.out)
    assert [(line["config"], line["job"], line["status"]) for line in found] == [
        ("broken.toml", "gone", "failed"),
        ("unread.toml", None, "failed"),
        ("first.toml", "wafers", "done"),
        ("other.toml", "other", "done"),
    ]
    assert "there is no table gone" in str(found[0]["error"])
    assert "not valid TOML" in str(found[1]["error"])
    scored = [lite.sql(f"SELECT COUNT(*) AS n FROM {lite.table(f'{name}_prediction')}") for name in ("wafers", "other")]
    assert [rows[0]["n"] for rows in scored] == [found[2]["scored"], found[3]["scored"]]
    assert lite.call("run", first, other).code == 0
    lite.shows_no_secret(done)


@pytest.mark.parametrize("arguments", [("first.toml", "./first.toml"), ("first.toml", "--config", "other.toml")])
def test_a_job_that_is_meant_twice_is_refused_before_anything_runs(lite: Job, arguments: tuple[str, ...]) -> None:
    as_file(lite, "first.toml")
    done = lite.call("run", *arguments)
    assert (done.code, done.out) == (2, "")


def test_watching_several_jobs_goes_on_until_it_is_stopped(lite: Job) -> None:
    first, other = as_file(lite, "first.toml"), as_file(lite, "other.toml", "other")
    process = lite.start("watch", first, other, "--every", "0.1s")
    deadline = time.monotonic() + 120
    run = lite.table("run")
    while time.monotonic() < deadline:
        jobs = lite.sql(f"SELECT job FROM {run} WHERE status = 'done' AND pipeline = 'full-pipeline'")
        if min(sum(row["job"] == name for row in jobs) for name in ("wafers", "other")) >= 2:
            break
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert {line["job"] for line in lines(out)} == {"wafers", "other"}
