"""Dagster: a champion each week, predictions each day. `dagster dev -f definitions.py` shows and schedules them."""

import dagster as dg

import rowcast

WEEKS = dg.WeeklyPartitionsDefinition(start_date="2026-01-04")
DAYS = dg.DailyPartitionsDefinition(start_date="2026-01-04")


class RowcastJob(dg.ConfigurableResource):
    """The job's rowcast.toml."""

    config: str = "rowcast.toml"

    def open(self) -> rowcast.Job:
        return rowcast.open(self.config)


@dg.asset(partitions_def=WEEKS)
def champion(context: dg.AssetExecutionContext, job: RowcastJob) -> dg.MaterializeResult:
    """A challenger trained as of the week's end; the gate decides whether it serves."""
    result = job.open().retrain(as_of=context.partition_time_window.end)
    result.raise_for_status()
    return dg.MaterializeResult(metadata={"champion": result.champion or 0, "decision": result.retrain})


@dg.asset(partitions_def=DAYS, deps=[champion], retry_policy=dg.RetryPolicy(max_retries=2, delay=60))
def predictions(context: dg.AssetExecutionContext, job: RowcastJob) -> dg.MaterializeResult:
    """A score for each row that came by the day's end, each exactly once."""
    result = job.open().infer(as_of=context.partition_time_window.end)
    result.raise_for_status()
    return dg.MaterializeResult(metadata={"scored": result.scored, "quarantined": result.quarantined})


defs = dg.Definitions(
    assets=[champion, predictions],
    schedules=[
        dg.build_schedule_from_partitioned_job(dg.define_asset_job("retrain_weekly", selection=[champion])),
        dg.build_schedule_from_partitioned_job(dg.define_asset_job("infer_daily", selection=[predictions])),
    ],
    resources={"job": RowcastJob()},
)
