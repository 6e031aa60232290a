"""The command that shows control charts: charts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators

from rowcast import report
from rowcast.cli.app import COMMON, AsOf, Common, Json, app, quiet_job
from rowcast.errors import UsageError

if TYPE_CHECKING:
    from rowcast.watch.chart_data import Chart

_COLUMNS = ("chart", "group", "day", "rows", "value", "reference range", "ewma", "ewma range", "broken", "earlier")


@app.command
def charts(
    *,
    days: Annotated[
        int, Parameter(help="How many days to look at.", validator=validators.Number(gte=1, lte=3660))
    ] = 60,
    column: Annotated[
        tuple[str, ...], Parameter(help="A column to chart; default: those that matter most.", negative="")
    ] = (),
    as_of: AsOf = None,
    html: Annotated[Path | None, Parameter(help="Write the charts as one HTML file, with pictures.")] = None,
    json: Json = False,
    common: Common = COMMON,
) -> int:
    """Control charts: EWMA and Western Electric rules on scores, outcomes and sensors, day by day and by group.

    They show, and notify nobody.
    """
    with quiet_job(common).connection() as job:
        from rowcast.job.opening import resolve_now
        from rowcast.watch.chart_data import charts as drawn

        name, now = job.settings.name, resolve_now(job.settings, as_of, job.store)
        found = drawn(job, now, days, column)
        group_by = job.settings.monitor.group_by
    if html is not None:
        from rowcast.charts.page import page

        try:
            html.write_text(page(found, name, now, days, group_by), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{html} cannot be written: {error.strerror}", hint="name another with --html") from None
    if json:
        report.show(
            report.as_json({"job": name, "as_of": now, "days": days, "charts": [_to_dict(each) for each in found]})
        )
    elif html is not None:
        report.show(f"wrote {html}")
    elif not found:
        report.show(f"no row of the {days} days before {now:%Y-%m-%d %H:%M} UTC has been scored")
    else:
        shown = _COLUMNS if group_by else [each for each in _COLUMNS if each != "group"]
        report.show(report.table([_row(each) for each in found], shown))
    return 0


def _row(found: "Chart") -> dict[str, Any]:
    from rowcast.charts import words

    last = found.points[-1]
    return {
        "chart": found.what,
        "group": found.group,
        "day": str(last.subgroup.day),
        "rows": last.subgroup.rows,
        "value": words.value(found, last.subgroup.value),
        "reference range": words.reference_range(found),
        "ewma": "-" if last.smoothed is None else words.value(found, last.smoothed.value),
        "ewma range": words.ewma_range(found),
        "broken": words.describe_violations(found) or "-",
        "earlier": words.describe_past_violation(found) or "-",
    }


def _to_dict(found: "Chart") -> dict[str, Any]:
    from rowcast.monitor.control_charts import current_violations, past_violations

    return {
        "chart": found.what,
        "is_column": found.is_column,
        "group": found.group,
        "broken": current_violations(found.points),
        "earlier": past_violations(found.points),
        "marks": [vars(mark) for mark in found.marks],
        "days": [
            {
                **vars(point.subgroup),
                "role": point.role,
                "limits": None if point.limits is None else vars(point.limits),
                "ewma": None if point.smoothed is None else vars(point.smoothed),
                "broken": point.broken,
            }
            for point in found.points
        ],
    }
