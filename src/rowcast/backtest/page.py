"""A backtest as one HTML file: no script, no link to outside, readable in light, dark and on paper."""

from rowcast.backtest import words
from rowcast.backtest.picture import draw_cost, draw_intervals, draw_saving
from rowcast.backtest.record import HINDSIGHT, BacktestReport
from rowcast.drawing import parts
from rowcast.drawing.document import document
from rowcast.drawing.markup import Markup, element


def page(found: BacktestReport) -> str:
    """Return the whole file."""
    return document(
        f"{found.job}: backtest",
        _header(found),
        _pictures(found),
        element("section", element("h2", "Policies"), _table(found)),
        _notes(found),
        origin="replays of the job's own history",
    )


def _header(found: BacktestReport) -> Markup:
    return element(
        "header",
        element("p", "Backtest", class_="kicker"),
        element("h1", found.job),
        element("p", words.describe_span(found)),
        element("p", element("strong", words.describe_verdict(found))),
        element("pre", element("code", found.verdict.lines)),
    )


def _pictures(found: BacktestReport) -> Markup:
    own, cheapest = found.verdict.own, found.verdict.cheapest
    each = f"Lines: how much more than {cheapest} it may be, with 95 % confidence. Where they cross the dashed line,"
    each += " nobody can tell."
    pictures = (
        parts.picture(draw_intervals(found), each),
        parts.picture(draw_saving(found), f"Beside {own}, the policy of rowcast.toml: above 0 is cheaper so far."),
        parts.picture(draw_cost(found), "What it has cost since the beginning, under each policy."),
    )
    shown = element("div", *(element("div", picture) for picture in pictures), class_="pair")
    return element("section", element("h2", "What each would have cost"), shown)


def _notes(found: BacktestReport) -> Markup:
    notes = (element("p", note) for note in words.list_notes(found))
    return element("section", element("h2", "About the figures"), *notes)


def _table(found: BacktestReport) -> Markup:
    names = (*words.COLUMNS, *words.COUNTS)
    rows = [[words.row(found, each)[name] for name in names] for each in found.policies]
    rows.append([HINDSIGHT, words.write_cost(found, found.hindsight), *[""] * (len(names) - 2)])
    return parts.table(names, rows, numbers=range(1, len(names)))
