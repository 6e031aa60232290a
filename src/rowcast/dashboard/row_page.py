"""A row's page: its score, and each column's part in it."""

from collections.abc import Mapping
from typing import Any

from rowcast.card.charts import share_bar
from rowcast.dashboard import words
from rowcast.dashboard.frame import Viewer, badge, link, link_version, moment, page, section, tile
from rowcast.drawing.markup import Markup, element
from rowcast.drawing.parts import compact_table, fold, table
from rowcast.explain import Explanation, QuarantinedRow, ScoredRow

_FIRST = 15


def row_page(found: Explanation, viewer: Viewer) -> str:
    """Return the page."""
    name = ", ".join(found.key.values())
    parts: list[Markup | None] = []
    if found.scored is not None:
        parts += _scored(found.job, found.scored)
    if found.quarantined is not None:
        parts.append(_quarantined(found.quarantined))
    if found.earlier:
        rows = [[_text(each.get(column)) for column in _EARLIER] for each in found.earlier]
        parts.append(section("before", "Before that", compact_table(_EARLIER, rows)))
    said, state = _state(found)
    return page(
        f"{name}, {found.job}",
        viewer,
        element(
            "header",
            element("p", ", ".join(found.key), class_="kicker"),
            element("h1", name, " ", badge(said, state)),
            element("p", f"{found.why}.") if found.why else None,
            _verdict(found.scored) if found.scored else None,
            _whereabouts(found),
            _tiles(found.job, found.scored) if found.scored else None,
        ),
        *parts,
        crumbs=[(found.job, link(found.job)), (name, None)],
    )


def _state(found: Explanation) -> tuple[str, str]:
    """How the row is in a word, and as good, warn or quiet."""
    row = found.scored
    if row is not None and row.threshold is not None and row.score >= row.threshold:
        return "flagged", "warn"
    return str(found.state), {"scored": "good", "quarantined": "warn"}.get(str(found.state), "quiet")


def _verdict(row: ScoredRow) -> Markup | None:
    """What the score means, in a sentence; None where there is no threshold that decides."""
    if row.threshold is None:
        return None
    score, limit = (words.describe_score(each, row.threshold) for each in (row.score, row.threshold))
    is_flagged = row.score >= row.threshold
    said = f"{'Flagged' if is_flagged else 'Not flagged'}: a probability of {score}, and {limit} or more is flagged."
    unsure = " The model says too little about this row to rely on that." if row.uncertain else ""
    return element("p", said + unsure)


def _whereabouts(found: Explanation) -> Markup | None:
    """When it was measured, and on which tool or whatever rows are grouped by."""
    of = [f"{name} {value}" for name, value in found.groups.items()]
    when = [] if found.event_time is None else ["Of ", moment(found.event_time), ", " if of else ""]
    return element("p", *when, ", ".join(of), class_="soft") if when or of else None


_EARLIER = ("was", "since", "until", "model_version", "score", "reasons")


def _text(value: Any) -> str:
    return "-" if value is None else words.describe_value(value)


def _tiles(job: str, row: ScoredRow) -> Markup:
    again = (
        "the score comes out again"
        if row.reproduced
        else "its values have changed since"
        if row.changed
        else "the score does not come out again"
    )
    about = "" if row.threshold is None else f"flagged from {words.describe_score(row.threshold, row.threshold)} on"
    return element(
        "div",
        tile("Score", words.describe_score(row.score, row.threshold), about),
        tile("Predicted", str(row.predicted), "the model says too little about it" if row.uncertain else ""),
        tile("Version", link_version(job, row.model_version), element("span", "scored ", moment(row.scored_at))),
        tile("Computed again", "same" if row.reproduced else "other", again, state="" if row.reproduced else "warn"),
        class_="tiles",
    )


def _scored(job: str, row: ScoredRow) -> list[Markup | None]:
    if not row.contributions:
        return [section("why", "Why", element("p", "This model does not say what its score is made of."))]
    is_odds = row.contributions_in is not None and row.contributions_in.is_odds
    largest = max((abs(each["contribution"]) for each in row.contributions.values()), default=0.0) or 1.0
    rows = [
        [*_column(job, name, each, (row.values or {}).get(name), largest),
         words.describe_push(each["contribution"], is_odds=is_odds)]
        for name, each in row.contributions.items()
    ]  # fmt: skip
    headings = ["column", "value", "usual", "", "moves the score by"]
    unit = words.ODDS if is_odds else f"In {row.contributions_in}."
    return [
        section(
            "why",
            "Why",
            element("p", f"By how much each column moved the score from that of an average row. {unit} Usual is where "
                         "nine in ten training rows lie.", class_="soft"),
            table(headings, rows[:_FIRST], (4,)),
            fold(f"{len(rows) - _FIRST} more columns", table(headings, rows[_FIRST:], (4,)))
            if rows[_FIRST:]
            else None,
        )
    ]  # fmt: skip


def _column(job: str, name: str, each: Mapping[str, Any], value: Any, largest: float) -> list[object]:
    moved = each["contribution"]
    usual = each.get("reference_range")
    is_odd = isinstance(usual, list) and isinstance(value, int | float) and not usual[0] <= value <= usual[1]
    return [
        element("a", element("code", name), href=_link_column(job, name, value)),
        element("strong", words.describe_value(value)) if is_odd else words.describe_value(value),
        words.describe_usual(usual),
        element("span", share_bar(abs(moved) / largest), class_="up" if moved > 0 else "down"),
    ]


def _link_column(job: str, name: str, value: Any) -> str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return link(job, "column", name=name, value=str(value)) if is_number else link(job, "column", name=name)


def _quarantined(row: QuarantinedRow) -> Markup:
    names = ["column", "rule", "value", "limit"]
    rows = [[_text(each.get(name)) for name in names] for each in row.reasons]
    return section(
        "aside",
        "Why it was set aside",
        element("p", "On ", moment(row.quarantined_at), f", by run {row.run_id}."),
        table(names, rows),
        element("p", "Once the value is right at the source, or the rule: ", element("code", "rowcast requeue KEY")),
    )
