"""Prefect: score every hour, retrain every Sunday. `python flows.py` serves both deployments."""

from prefect import flow, serve
from prefect.runtime import flow_run

import rowcast


@flow(retries=2, retry_delay_seconds=60)
def infer(config: str = "rowcast.toml") -> int:
    """Score each pending row once; a retry goes on where the first try stopped."""
    result = rowcast.open(config).infer(as_of=flow_run.scheduled_start_time)
    result.raise_for_status()
    return result.scored


@flow
def retrain(config: str = "rowcast.toml") -> str:
    """Train a challenger; the gate decides whether it serves."""
    result = rowcast.open(config).retrain(as_of=flow_run.scheduled_start_time)
    result.raise_for_status()
    return result.retrain


if __name__ == "__main__":
    serve(
        infer.to_deployment("infer", cron="0 * * * *", concurrency_limit=1),
        retrain.to_deployment("retrain", cron="30 3 * * 0", concurrency_limit=1),
    )
