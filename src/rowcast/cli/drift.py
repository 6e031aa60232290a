"""The command that shows whether rows have changed: drift."""

from typing import Annotated

from cyclopts import Parameter

from rowcast import report
from rowcast.cli.app import COMMON, Common, Json, app, quiet_job

_COLUMNS = ("column", "what", "trained", "baseline", "now", "since_run", "size", "weight")
_BLOCKS = (
    "a block is a stretch of the training rows in time order, no longer than runs are apart: with the first runs\n"
    "after it, blocks say how much each column varies by itself, which is no drift."
)
_HISTORY = ("at", "run_id", "version", "what", "sentence")


@app.command
def drift(
    *,
    every: Annotated[bool, Parameter(name="--all", negative="", help="Also show what has not changed.")] = False,
    json: Json = False,
    common: Common = COMMON,
) -> int:
    """Whether the champion's rows have changed, in which columns, since when and by how much."""
    found = quiet_job(common).drift().to_dict(every=every)
    if json:
        report.show(report.as_json(found))
        return 0
    states, history = found.pop("columns"), found.pop("history")
    parts = [report.facts(found), *([_BLOCKS] if "looked_at" in found else [])]
    if states:
        parts.append(f"{report.table(states, _COLUMNS)}\n\n{_legend()}")
    if history:
        parts.append(f"history\n{report.table(history, _HISTORY)}")
    report.show("\n\n".join(parts))
    return 0


def _legend() -> str:
    from rowcast.monitor.events import MATTERS

    return (
        f"size 1 is what matters: it moves the score by {MATTERS:g} of its SD. weight is by how many SDs the score\n"
        "moves when the column moves by one; 0 for what the model does not use, which raises no alarm."
    )
