"""The page that proves that every row of the source is in just one place."""

from datetime import datetime

from rowcast.audit import Audit
from rowcast.audit.faults import list_faults
from rowcast.dashboard import words
from rowcast.dashboard.cache import BeingRead
from rowcast.dashboard.frame import Viewer, badge, link, moment, page
from rowcast.drawing.markup import Markup, element
from rowcast.drawing.parts import table
from rowcast.formatting import percent
from rowcast.messages.audit import describe_fault
from rowcast.report import equation

_PARTS = {
    "unusable": "key or time missing or repeated",
    "out_of_scope": "from before scoring began, or left to training",
    "scored": "with one prediction",
    "quarantined": "set aside, with reasons",
    "forgotten": "whose results were deleted by rowcast forget",
    "pending": "waiting to be scored",
}
_ABOUT = "Each part is counted by a query of its own, all in one snapshot, as 'rowcast audit' does."


def audit_page(job: str, found: tuple[datetime, Audit] | BeingRead, viewer: Viewer) -> str:
    """Return the page."""
    opening = element("header", element("h1", "Is every row in just one place?"), element("p", _ABOUT))
    proof = [element("p", words.describe_reading(found))] if isinstance(found, BeingRead) else _prove(*found)
    crumbs = [(job, link(job)), ("Audit", None)]
    return page(f"Audit, {job}", viewer, opening, element("section", *proof), crumbs=crumbs)


def _prove(at: datetime, found: Audit) -> list[Markup | None]:
    counted = found.to_dict()
    rows = [[name.replace("_", " "), about, f"{counted[name]:,}", percent(counted[name] / max(found.source, 1))]
            for name, about in _PARTS.items() if name != "forgotten" or found.forgotten]  # fmt: skip
    faults = [element("li", describe_fault(fault)) for fault in list_faults(found)]
    sign = badge("it holds", "good") if found.holds else badge("it does not hold", "bad")
    return [
        element("p", sign, " ", equation(counted).replace("_", " "), ". Counted ", moment(at), "."),
        *([element("ul", *faults, class_="needs")] if faults else []),
        table(["rows", "", "number", "share"], rows, (2, 3)),
        element("p", f"{found.batches:,} batches were published: each has as many rows as it said.", class_="soft")
        if not found.batches_wrong else None,
    ]  # fmt: skip
