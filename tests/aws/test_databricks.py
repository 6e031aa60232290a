"""deploy/databricks/job.json, as Databricks' own client reads it. `make test-aws` runs this."""

import json
from pathlib import Path

import pytest

jobs = pytest.importorskip("databricks.sdk.service.jobs")

JOB = Path(__file__).parents[2] / "deploy" / "databricks" / "job.json"


def test_databricks_knows_each_setting_of_the_job() -> None:
    job = json.loads(JOB.read_text())
    assert jobs.JobSettings.from_dict(job).as_dict() == job  # what it does not know, it leaves out
