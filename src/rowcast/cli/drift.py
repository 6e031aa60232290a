"""The command that shows whether rows have changed: drift."""

from typing import Annotated

from cyclopts import Parameter

from rowcast import report
from rowcast.cli.app import COMMON, Common, Json, app, quiet_job

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
    from rowcast.messages.drift import tabulate_state

    found = quiet_job(common).drift()
    if json:
        report.show(report.as_json(found.to_dict(every=every)))
        return 0
    about = found.facts()
    parts = [report.facts(about), *([_BLOCKS] if "looked_at" in about else [])]
    if states := found.series if every else found.shifted:
        rows = [tabulate_state(state) for state in states]
        parts.append(f"{report.table(rows, list(rows[0]))}\n\n{_legend()}")
    if found.history:
        made = [{**vars(each), "version": f"v{each.model_version}"} for each in found.history]
        parts.append(f"history\n{report.table(made, _HISTORY)}")
    report.show("\n\n".join(parts))
    return 0


def _legend() -> str:
    from rowcast.monitor import MATTERS

    return (
        f"usual is what it was before it shifted. A shift of size 1 moves the score by {MATTERS:g} of its standard\n"
        "deviation (SD); smaller ones raise no alarm. weight is by how many SDs the score moves when the column moves\n"
        "by one; 0 for what the model does not use, which raises no alarm."
    )
