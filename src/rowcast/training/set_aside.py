"""What a person should know of periods whose rows, or values of a column, were not learned from."""

from datetime import datetime

from rowcast.job.run import Run
from rowcast.messages.events import RowsSetAside
from rowcast.store.records import PeriodFault


def list_set_aside(run: Run, version: int) -> list[RowsSetAside]:
    """Return an event for each period of which a version was trained without rows, or without values."""
    periods = run.job.registry.version(version).metrics.get("set_aside") or []
    return [
        RowsSetAside(
            fault=PeriodFault(each["fault"]),
            column=each["column"],
            rows=each["rows"],
            begin=datetime.fromisoformat(each["from"]),
            end=datetime.fromisoformat(each["to"]),
            auc=each["auc"],
            usual_auc=each["usual_auc"],
            version=version,
            at=run.now,
            run_id=run.run_id,
        )
        for each in periods
    ]
