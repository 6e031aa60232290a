"""The command that shows control charts: charts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter, validators

from rowcast import report
from rowcast.cli.app import COMMON, AsOf, Common, Json, app, describe_newest, quiet_job, write_page

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
        tuple[str, ...],
        Parameter(help="A column to chart; default: those that drift, and those that matter most.", negative=""),
    ] = (),
    as_of: AsOf = None,
    html: Annotated[Path | None, Parameter(help="Write the charts as one HTML file, with pictures.")] = None,
    json: Json = False,
    common: Common = COMMON,
) -> int:
    """Control charts: EWMA and Western Electric rules on scores, outcomes and sensors, day by day and by group.

    They show, and notify nobody.
    """
    from rowcast.charts import words
    from rowcast.messages.forgotten import describe_forgotten

    found = quiet_job(common).charts(days=days, columns=column, as_of=as_of)
    if html is not None:
        from rowcast.charts.page import page

        write_page(html, page(found))
    if found.is_newest and not json:
        report.show(describe_newest(found.as_of, days))
    if json:
        report.show(report.as_json(found.to_dict()))
    elif html is not None:
        report.show(f"wrote {html}")
    elif not found.charts:
        report.show(f"no row of the {days} days before {found.as_of:%Y-%m-%d %H:%M} UTC has been scored")
    else:
        shown = _COLUMNS if found.group_by else [each for each in _COLUMNS if each != "group"]
        report.show(report.table([_row(each) for each in found.charts], shown))
        for line in words.list_learning(found.charts):
            report.show(line)
    if found.forgotten_until is not None and not json:
        report.show(f"\n{describe_forgotten(found.forgotten_until)}")
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
