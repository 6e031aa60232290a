"""The page of drift: which figures of which columns have shifted."""

from collections.abc import Sequence

from rowcast.dashboard import words
from rowcast.dashboard.cache import BeingRead
from rowcast.dashboard.frame import Viewer, badge, link, moment, page, section
from rowcast.drawing.markup import Markup, element
from rowcast.drawing.parts import compact_table, fold
from rowcast.drift_report import DriftReport
from rowcast.messages.drift import ALL_ROWS, tabulate_state
from rowcast.monitor import MATTERS, State

_MOST = 100  # series


def drift_page(job: str, found: DriftReport | BeingRead, viewer: Viewer) -> str:
    """Return the page of drift by column."""
    heading = element("h1", job, " ", badge("drifts", "warn") if _is_drifting(found) else None)
    content = [element("p", words.describe_reading(found))] if isinstance(found, BeingRead) else _content(found)
    return page(
        f"Drift, {job}",
        viewer,
        element("header", element("p", "Drift by column", class_="kicker"), heading),
        *content,
        crumbs=[(job, link(job)), ("Drift", None)],
    )


def _is_drifting(found: DriftReport | BeingRead) -> bool:
    return not isinstance(found, BeingRead) and found.is_drifting


def _content(found: DriftReport) -> list[Markup]:
    about = found.facts()
    history = [element("li", moment(made.at), f" {made.what}: {made.sentence}") for made in found.history]
    looked = [element("p", f"Looked at {about['looked_at']}.", class_="soft")] if "looked_at" in about else []
    return [
        element("p", f"Drift: {about['drift']}."),
        *looked,
        section("columns", "Columns", *_drifts(found)),
        section("history", "What drifted before", element("ul", *history) if history else element("p", "Nothing.")),
    ]


def _drifts(found: DriftReport) -> list[Markup]:
    if not found.series:
        return [element("p", "Nothing is counted yet.")]
    shifted = len(found.shifted)
    parts = [element("p", "No figure of any column has shifted beyond what is usual.")]
    if shifted:
        said = f"{words.count(shifted, 'figure has', 'figures have')} shifted, the largest first."
        parts = [element("p", said), drift_table(found.job, found.shifted[:_MOST])]
    rest = [state for state in found.series if state.since is None][:_MOST]
    if rest:
        parts.append(fold(f"Those that have not, {len(rest):,} of {len(found.series) - shifted:,}",
                          drift_table(found.job, rest)))  # fmt: skip
    legend = (
        f"Usual is what it was before. A shift of size 1 moves the score by {MATTERS:g} of its standard deviation; "
        "smaller ones raise no alarm. Weight is by how many standard deviations the score moves when the column moves "
        "by one."
    )
    return [*parts, element("p", legend, class_="soft")]


def drift_table(job: str, states: Sequence[State]) -> Markup:
    """Return what series of columns were and are."""
    rows = [tabulate_state(state) for state in states]
    names = list(rows[0])
    cells = [[_cell(job, name, each[name]) for name in names] for each in rows]
    return compact_table(names, cells, range(2, len(names)))


def _cell(job: str, name: str, value: object) -> object:
    if name == "column" and value != ALL_ROWS:
        return element("a", element("code", value), href=link(job, "column", name=str(value)))
    if name == "since run" and value is not None:
        return element("a", value, href=link(job, "runs", str(value)))
    return "-" if value is None else words.describe_value(value)
