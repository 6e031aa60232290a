"""Airflow: score every hour, retrain every Sunday.

Airflow and rowcast want different versions of SQLAlchemy, so that rowcast has an environment of its own, whose Python
ROWCAST_PYTHON names. The tasks get plain text and return plain numbers.
"""

import os
from datetime import UTC, datetime

from airflow.sdk import dag, task

PYTHON = os.environ.get("ROWCAST_PYTHON", "/opt/rowcast/bin/python")
CONFIG = os.environ.get("ROWCAST_CONFIG", "/opt/rowcast/rowcast.toml")
AS_OF = "{{ logical_date.isoformat() }}"
START = datetime(2026, 1, 1, tzinfo=UTC)


@dag(schedule="@hourly", start_date=START, catchup=False, max_active_runs=1, tags=["rowcast"])
def rowcast_infer() -> None:
    """Score each pending row once; a retry goes on where the first try stopped."""

    @task.external_python(python=PYTHON, expect_airflow=False, retries=2)
    def infer(config: str, as_of: str) -> int:
        import rowcast

        result = rowcast.open(config).infer(as_of=as_of)
        result.raise_for_status()
        return result.scored

    infer(CONFIG, AS_OF)


@dag(schedule="30 3 * * 0", start_date=START, catchup=False, max_active_runs=1, tags=["rowcast"])
def rowcast_retrain() -> None:
    """Train a challenger; the gate decides whether it serves."""

    @task.external_python(python=PYTHON, expect_airflow=False)
    def retrain(config: str, as_of: str) -> str:
        import rowcast

        result = rowcast.open(config).retrain(as_of=as_of)
        result.raise_for_status()
        return result.retrain

    retrain(CONFIG, AS_OF)


rowcast_infer()
rowcast_retrain()
