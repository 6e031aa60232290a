"""The card on a terminal, and as JSON."""

from collections.abc import Iterable
from textwrap import fill
from typing import Any

from rowcast import report
from rowcast.card import words
from rowcast.card.caveats import list_caveats
from rowcast.card.figures import columns_changed, list_changes, list_figures
from rowcast.card.record import Card, day
from rowcast.messages.decisions import describe_record
from rowcast.models import reference_range

_WIDTH = 100
_COLUMNS = 10  # shown; the HTML file has all


def summary(card: Card) -> str:
    """Return the card as text: what the first screen of the HTML file says, and the most important tables."""
    sentences = [
        words.predicts(card),
        words.in_service(card),
        words.describe_training_rows(card),
        words.describe_measured_rows(card),
    ]
    parts = [f"{words.title(card)} ({card.version.status})", _wrap(sentence for sentence in sentences if sentence)]
    if found := list_caveats(card):
        parts.append("caveats\n" + _wrap(found, "- "))
    if rows := [
        {"figure": each.name, "value": each.shown, "95 % interval": each.interval or "-", "what it is": each.meaning}
        for each in list_figures(card.metrics)
    ]:
        parts.append(report.table(rows, list(rows[0])))
    parts.append(_columns(card))
    if tried := card.metrics.get("history"):
        rows = [
            {
                "last outcomes": each["name"],
                "loss saved per row": each["gain"],
                "standard error": each["error"],
                "kept": "yes" if each["is_kept"] else "no",
            }
            for each in tried
        ]
        parts.append(report.table(rows, list(rows[0])))
    if card.before is not None:
        came, went = columns_changed(card)
        then, now = f"v{card.before.version}", f"v{card.version.version}"
        changed = [{"": each.what, then: each.before, now: each.now} for each in list_changes(card)]
        parts.append(report.table(changed, ["", then, now]))
        parts.append(f"columns in: {', '.join(came) or 'none'}\ncolumns out: {', '.join(went) or 'none'}")
    decided = [f"{day(each.decided_at)} {each.decided_by}: {describe_record(each)}" for each in card.decisions]
    if decided:
        parts.append("decisions\n" + _wrap(decided, "- "))
    parts.append(report.facts(dict(words.origin(card))))
    return "\n\n".join(parts)


def as_dict(card: Card) -> dict[str, Any]:
    """Return everything on the card, JSON-safe but for moments."""
    version = card.version
    about: dict[str, Any] = {
        "job": card.job,
        "version": version.version,
        "status": version.status,
        "kind": card.kind,
        "classes": list(card.classes),
        "threshold": card.threshold,
        "predicts": words.predicts(card),
        "service": [{"from": since, "until": until} for since, until in card.service],
        "created_at": version.created_at,
        "trained_from": version.trained_from,
        "trained_to": version.trained_until,
        "caveats": list_caveats(card),
        "reference_ranges": card.part.reference_ranges,
        "features": list(version.features),
        "metrics": version.metrics,
        "decisions": [
            {key: value for key, value in each.to_dict().items() if key not in ("promotion_id", "job", "version")}
            for each in card.decisions
        ],
        "origin": dict(words.origin(card)),
    }
    if card.before is not None:
        came, went = columns_changed(card)
        about["against"] = {
            "version": card.before.version,
            "columns_in": came,
            "columns_out": went,
            "changes": [vars(each) for each in list_changes(card)],
        }
    return about


def _columns(card: Card) -> str:
    weights, ranges = dict(card.metrics.get("importance") or []), card.part.reference_ranges or {}
    ranked = sorted(card.version.features, key=lambda name: -weights.get(name, 0.0))
    rows = [
        {"column": name, "weight": weights.get(name), "reference range": reference_range.format_range(ranges.get(name))}
        for name in ranked[:_COLUMNS]
    ]
    dropped = len(card.metrics.get("dropped") or {})
    rest = f"\n{max(0, len(ranked) - _COLUMNS)} more columns; {dropped} not used: --html or --json has all"
    return report.table(rows, ["column", "weight", "reference range"]) + rest


def _wrap(sentences: Iterable[str], bullet: str = "") -> str:
    return "\n".join(
        fill(sentence, _WIDTH, initial_indent=bullet, subsequent_indent=" " * len(bullet), break_long_words=False)
        for sentence in sentences
    )
