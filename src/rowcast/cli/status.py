"""Commands that only look: status, runs, audit, explain."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators

from rowcast import logs, report
from rowcast.cli.app import COMMON, Common, Json, app, quiet_job
from rowcast.formatting import visible

if TYPE_CHECKING:
    from rowcast.store.records import RunRecord, StepRecord


@app.command
def status(*, json: Json = False, common: Common = COMMON) -> int:
    """Show what is in service, what is pending, and how the last run went; exit 1 where something needs a person."""
    found = quiet_job(common).status()
    if json:
        report.show(report.as_json(found.to_dict(details=logs.shows_details(sys.stdout))))
    else:
        steps = [vars(step) for step in found.steps]
        beside = f"\n\nits steps, beside those of the runs before\n{report.table(steps, _BESIDE)}" if steps else ""
        report.show(report.facts(found.facts(details=logs.shows_details(sys.stdout))) + beside)
    return 0 if found.ok else 1


_BESIDE = (
    "name",
    "row_set",
    "status",
    "duration_s",
    "usual_s",
    "rows_in",
    "usual_rows",
    "peak_mb",
    "usual_mb",
    "unusual",
)


@app.command
def runs(
    run_id: int | None = None,
    /,
    *,
    last: Annotated[int, Parameter(help="How many runs.", validator=validators.Number(gte=1))] = 20,
    json: Json = False,
    common: Common = COMMON,
) -> int:
    """The latest runs and the newest one's steps, or one run and its steps."""
    with quiet_job(common) as job:
        found = job.runs(last) if run_id is None else (job.find_run(run_id),)
        if json:
            report.show(report.as_json([_run(run, job.steps(run.run_id)) for run in found]))
            return 0
        report.show(report.table([{**vars(run), "seconds": run.seconds} for run in found], _RUN))
        if found:
            report.show(f"\nsteps of run {found[0].run_id}")
            report.show(report.table([vars(step) for step in job.steps(found[0].run_id)], _STEP))
    return 0


_RUN = ("run_id", "pipeline", "status", "started_at", "seconds", "error")
_STEP = ("name", "row_set", "status", "duration_s", "rows_in", "rows_out", "columns", "peak_rss_mb", "error")


def _run(run: "RunRecord", steps: "Sequence[StepRecord]") -> dict[str, Any]:
    """A run as JSON shows it."""
    shown = [{**vars(step), "job": run.job} for step in steps]
    return {**vars(run), "options": run.options.to_json(), "steps": shown}


@app.command
def audit(
    *,
    full: Annotated[
        bool,
        Parameter(negative="", help="Also hold what is stored against checksums, the source and the models."),
    ] = False,
    every: Annotated[
        bool, Parameter(name="--all", negative="", help="Do so, and score every row again, not a sample of 1,000.")
    ] = False,
    json: Json = False,
    common: Common = COMMON,
) -> int:
    """Prove with SQL that every source row is in just one place; exit 1 where it does not hold."""
    from rowcast.audit.faults import list_faults
    from rowcast.messages.audit import describe_fault

    found = quiet_job(common).audit(full=full, all=every)
    if json:
        report.show(report.as_json(found.to_dict()))
    else:
        report.show(f"{report.facts(found.to_dict())}\n\n{report.equation(found.to_dict())}")
        for fault in list_faults(found):
            report.show(f"  {describe_fault(fault)}")
    return 0 if found.holds else 1


@app.command
def explain(*key: str, json: Json = False, common: Common = COMMON) -> int:
    """Why the row with this key got its score, and the score computed again; one value for each key column."""
    found = quiet_job(common).explain(*key)
    report.show(report.as_json(found.to_dict()) if json else _describe(found.to_dict()))
    return 0 if found.is_proven else 1


_FEW = 5  # earlier rows that are named


def _list_rows(values: list[dict[str, Any]]) -> str:
    """Earlier rows by their keys, with the value of each."""
    said = [f"{', '.join(one['key'].values())}: {one['value']:g}" for one in values[:_FEW]]
    return "; ".join(said) + (f"; and {len(values) - _FEW} more" if len(values) > _FEW else "")


def _describe(found: dict[str, Any]) -> str:
    """What is known about a row, for people."""
    from rowcast.models import reference_range

    shown = {name: value for name, value in found.items() if not isinstance(value, dict | list)}
    unit = shown.pop("contributions_in", None)
    named = {name: ", ".join(found[name].values()) for name in ("key", "groups") if name in found}
    shown = dict[str, Any](job=found["job"]) | named | shown
    parts = [report.facts(shown)]
    if reasons := found.get("reasons"):
        parts.append(f"why it was set aside\n{report.table(reasons, ['column', 'rule', 'value', 'limit'])}")
    if contributions := found.get("contributions"):
        top = list(contributions.items())[:15]
        rows = [
            {
                **one,
                "column": name,
                "value": visible(value) if isinstance(value := found["values"][name], str) else value,
                "reference range": reference_range.format_range(one["reference_range"]),
            }
            for name, one in top
        ]
        heading = f"the leading contributions to the score, in {unit}"
        parts.append(f"{heading}\n{report.table(rows, ['column', 'value', 'reference range', 'contribution'])}")
        if came_from := found.get("came_from"):
            rows = [{"column": name, "from": _list_rows(came_from[name])} for name, _ in top if came_from.get(name)]
            parts.append(
                f"the earlier rows that these came from, the newest first\n{report.table(rows, ['column', 'from'])}"
            )
    if earlier := found.get("earlier"):
        columns = ["was", "since", "until", "model_version", "score"]
        parts.append(f"before that\n{report.table(earlier, columns)}")
    if found.get("changed"):
        way_out = "'rowcast infer --rescore'" if found["state"] == "scored" else "'rowcast requeue KEY'"
        parts.append(f"The row has changed at the source since then: {way_out} scores it again.")
    return "\n\n".join(parts)
