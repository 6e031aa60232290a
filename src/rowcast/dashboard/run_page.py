"""The pages of a run and of charts."""

from collections.abc import Mapping, Sequence
from functools import partial
from urllib.parse import urlencode

from rowcast.charts.page import leaf
from rowcast.charts_report import ChartsReport
from rowcast.dashboard import words
from rowcast.dashboard.act_page import progress
from rowcast.dashboard.cache import BeingRead
from rowcast.dashboard.chart_page import link_chart
from rowcast.dashboard.frame import Viewer, badge, link, moment, page, section, tile
from rowcast.dashboard.looks import RunLook
from rowcast.drawing.markup import Markup, element
from rowcast.drawing.parts import compact_table, table
from rowcast.formatting import number, percent
from rowcast.store.records import PipelineName, RunStatus

_CHARTS = 40  # on a page
_LEVELS = {"warning": "warn", "error": "bad"}


def run_page(found: RunLook, viewer: Viewer) -> str:
    """Return a run's page."""
    run = found.run
    rows = [
        [
            step.name,
            step.row_set,
            badge(str(step.status), words.state_of_status(step.status)),
            *("-" if value is None else f"{value:,}" for value in (step.rows_in, step.rows_out, step.columns)),
            "-" if step.duration_s is None else number(step.duration_s),
            "-" if step.peak_rss_mb is None else number(step.peak_rss_mb),
            step.error or "",
        ]
        for step in found.steps
    ]
    headings = ["step", "of", "state", "rows in", "rows out", "columns", "seconds", "memory, MB", "error"]
    by = f", for {run.options.by}" if run.options.by else ""
    return page(
        f"Run {run.run_id}, {run.job}",
        viewer,
        element(
            "header",
            element("p", str(run.pipeline), class_="kicker"),
            element("h1", f"Run {run.run_id} ", badge(str(run.status), words.state_of_status(run.status))),
            element("p", "Started ", moment(run.started_at), ", as of ", moment(run.as_of), by, "."),
            element("p", f"{run.seconds:,.1f} seconds on {(run.host or 'an unknown host').partition(':')[0]}, rowcast "
                         f"{run.rowcast_version}.", class_="soft") if run.seconds is not None else None,
            progress(found) if run.status is RunStatus.RUNNING else None,
            element("p", run.error, class_="alert bad") if run.error else None,
            _published(found) if found.counts.batches else None,
            element("p", "Nothing was new to score.") if _found_nothing(found) else None,
        ),
        section("steps", "Steps", compact_table(headings, rows, range(3, 8)) if rows else element("p", "None.")),
        section("log", "What it said", *_log(found)),
        crumbs=[(run.job, link(run.job)), (f"Run {run.run_id}", None)],
    )  # fmt: skip


def _found_nothing(found: RunLook) -> bool:
    """Whether a run that was to score, and did all of it, had no row to score."""
    scores = found.run.pipeline in (PipelineName.INFER, PipelineName.FULL)
    return scores and found.run.status is RunStatus.DONE and not found.counts.batches


def _published(found: RunLook) -> Markup:
    counts = found.counts
    flagged = next((each.value for each in found.figures if (each.step, each.name) == ("inference", "flagged")), None)
    return element(
        "div",
        tile("Scored", f"{counts.scored:,}", f"in {words.count(counts.batches, 'batch', 'batches')}"),
        tile("Flagged", "–" if flagged is None else f"{flagged:,.0f}",
             "" if flagged is None or not counts.scored else f"{percent(flagged / counts.scored)} of them"),
        tile("Quarantined", f"{counts.quarantined:,}", state="warn" if counts.quarantined else ""),
        class_="tiles",
    )  # fmt: skip


def _log(found: RunLook) -> list[Markup]:
    if not found.log:
        said = "Its lines are not in pipeline.log here: it ran elsewhere, or the file was begun anew since."
        return [element("p", said, class_="soft")]
    rows = [
        [
            element("time", f"{line.at:%H:%M:%S}", datetime=line.at.isoformat(timespec="seconds"), class_="seconds"),
            badge(line.level, _LEVELS.get(line.level, "quiet")),
            line.event,
            ", ".join(f"{name} {words.describe_value(value)}" for name, value in line.about.items()),
        ]
        for line in found.log
    ]
    return [table(["time", "", "what", ""], rows)]


def charts_page(job: str, found: ChartsReport | BeingRead, query: Mapping[str, Sequence[str]], viewer: Viewer) -> str:
    """Return one page of the control charts that a query asks for."""
    if isinstance(found, BeingRead):
        content: Sequence[Markup | None] = [
            element("h1", "Control charts"),
            element("p", words.describe_reading(found)),
        ]
    else:
        asked = urlencode([("column", each) for each in query.get("column", ())])
        content = leaf(found, _read_place(query), _CHARTS, f"{link(job, 'charts')}?{f'{asked}&' if asked else ''}",
                       partial(link_chart, job))  # fmt: skip
    return page(f"Control charts, {job}", viewer, *content, crumbs=[(job, link(job)), ("Charts", None)])


def _read_place(query: Mapping[str, Sequence[str]]) -> int:
    text = next(iter(query.get("page", ())), "1")
    return max(1, int(text)) if text.isdecimal() and len(text) < 7 else 1
