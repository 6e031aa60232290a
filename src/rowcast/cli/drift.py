"""The command that shows whether rows have changed: drift."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from rowcast.cli.app import COMMON, Common, Json, app, opened_job

if TYPE_CHECKING:
    from rowcast.monitor import Looked, State

_COLUMNS = ("column", "what", "trained", "usual", "now", "since_run", "size", "weight")
_HISTORY = ("at", "run_id", "version", "what", "told")


@app.command
def drift(
    *,
    every: Annotated[bool, Parameter(name="--all", negative="", help="Also show what has not changed.")] = False,
    json: Json = False,
    common: Common = COMMON,
) -> int:
    """Whether the champion's rows have changed, in which columns, since when and by how much."""
    from rowcast import report

    with opened_job(common) as job:
        from rowcast.watch import drift as watched

        champion = job.registry.champion()
        looked = None if champion is None else watched.look(job, champion)
        told = [{**row, "version": f"v{row['model_version']}"} for row in job.profiles.drift()]
        others = () if champion is None else watched.unused(job, champion)
        states = [] if looked is None else _states([*looked.table, *others], every=every)
        about = {"job": job.settings.name, "champion": None if champion is None else f"v{champion}", **_about(looked)}
        if json:
            print(report.as_json({**about, "columns": states, "told": told}))
            return 0
        parts = [report.facts(about)]
        if states:
            parts.append(f"{report.table(states, _COLUMNS)}\n\n{_legend()}")
        if told:
            parts.append(f"what was told\n{report.table(told, _HISTORY)}")
        print("\n\n".join(parts))
    return 0


def _legend() -> str:
    from rowcast.monitor.events import MATTERS

    return (
        f"size 1 is what matters: it moves the score by {MATTERS:g} of its SD. weight is by how many SDs the score\n"
        "moves when the column moves by one; 0 for what the model does not use, which is told to nobody."
    )


def _about(looked: "Looked | None") -> dict[str, Any]:
    from rowcast.messages.drift import describe_alarm

    if looked is None:
        return {"drift": "unknown: rows are counted from the next retrain on"}
    found = "none" if looked.alarm is None else describe_alarm(looked.alarm, values=True)
    if looked.provisional:
        found += f" (provisional: {looked.runs} of {looked.needed} runs that tell what is usual)"
    return {"drift": found, "looked_at": f"{looked.runs} blocks of training rows and runs"}


def _states(table: "Sequence[State]", *, every: bool) -> list[dict[str, Any]]:
    """Those that have shifted, the largest first, or all."""
    shown = [state for state in table if every or state.since is not None]
    return [_state(state) for state in sorted(shown, key=lambda state: (-state.size, -state.weight))]


def _state(state: "State") -> dict[str, Any]:
    series = state.series
    what = series.kind if series.category is None else f"{series.kind} {series.category}"
    return {
        "column": series.column or "(all)",
        "what": what,
        "trained": state.trained,
        "usual": state.was,
        "now": state.now,
        "since_run": state.since or None,
        "size": state.size,
        "weight": state.weight,
    }
