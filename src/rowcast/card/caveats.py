"""The caveats of a version: everything on record that should make one careful, in whole sentences."""

import math
from collections.abc import Iterator, Sequence

from rowcast.card.figures import format_interval
from rowcast.card.record import Card
from rowcast.formatting import number, percent
from rowcast.store.records import DecisionOutcome, PeriodFault

FEW = 50  # rows of the rarer class out of fold, below which an interval says little
_Z = 1.959964  # of a two-sided 95 % interval


def list_caveats(card: Card) -> list[str]:
    """Return everything on record that should make one careful, in whole sentences."""
    checks = (
        *(_damage, _unmeasured, _first, _by_hand, _few, _chance, _trivial, _idle),
        *(_drift, _calibration, _coverage, _suspects, _set_aside),
    )
    return [sentence for check in checks for sentence in check(card)]


def _damage(card: Card) -> Iterator[str]:
    if card.part.fault:
        yield f"Its bytes cannot be loaded, so it cannot score: {card.part.fault}."


def _unmeasured(card: Card) -> Iterator[str]:
    if card.metrics.get("rows_out_of_fold") is None:
        yield "Nothing was measured out of fold: how good it is on later rows is not on record."


def _first(card: Card) -> Iterator[str]:
    made = [each for each in card.decisions if each.outcome is DecisionOutcome.PROMOTED]
    if made and made[0].previous is None and made[0].is_by_gate:
        yield "It was promoted as the first version: no gate has compared it with another."


def _by_hand(card: Card) -> Iterator[str]:
    last = next((each for each in reversed(card.decisions) if each.outcome is DecisionOutcome.PROMOTED), None)
    if last is not None and not last.is_by_gate:
        yield f"It was put in service by {last.decided_by}, not by the gate: {last.reason}."


def _few(card: Card) -> Iterator[str]:
    positives, rows = card.metrics.get("positives_out_of_fold"), card.metrics.get("rows_out_of_fold")
    if positives is not None and rows and min(positives, rows - positives) < FEW:
        yield (
            f"It was judged on only {min(positives, rows - positives)} {'positive' if positives < FEW else 'other'} "
            "rows: the intervals are wide, and small differences do not show."
        )


def _chance(card: Card) -> Iterator[str]:
    low = card.metrics.get("auc_low")
    if low is not None and low <= 0.5:
        interval = format_interval(low, card.metrics["auc_high"])
        yield f"The interval of its AUC, {interval}, includes 0.5: it may rank no better than chance."


def _trivial(card: Card) -> Iterator[str]:
    metrics = card.metrics
    trivial = {
        word: metrics[f"cost_per_row_flag_{word}"]
        for word in ("none", "all")
        if metrics.get(f"cost_per_row_flag_{word}") is not None
    }
    cost, high = metrics.get("cost_per_row"), metrics.get("cost_per_row_high")
    if not trivial or cost is None:
        return
    word = min(trivial, key=lambda name: trivial[name])
    if cost >= trivial[word]:
        yield f"A row cost {number(cost)} with it and {number(trivial[word])} with {word} flagged: it did not pay."
    elif high is not None and high >= trivial[word]:
        yield (
            f"The interval of its cost, {format_interval(metrics.get('cost_per_row_low'), high)}, includes "
            f"{number(trivial[word])}, the cost of flagging {word}: it may not pay."
        )


def _idle(card: Card) -> Iterator[str]:
    if card.metrics.get("flagged_share") in (0, 1):
        yield f"At its threshold it flagged {'every' if card.metrics['flagged_share'] else 'no'} row."


def _drift(card: Card) -> Iterator[str]:
    periods = card.metrics.get("over_time") or []
    for key, name in (("auc", "AUC"), ("mae", "mean absolute error"), ("cost_per_row", "cost per row")):
        short = key.removesuffix("_per_row")
        spans = [(each.get(f"{short}_low"), each.get(key), each.get(f"{short}_high")) for each in periods]
        if apart := _apart(spans):
            yield f"Its {name} changed over time, from {number(apart[0])} to {number(apart[1])} between two periods."
    counted = [each for each in periods if each.get("positives") is not None and each["rows"]]
    rates = [wilson(each["positives"], each["rows"]) for each in counted]
    if apart := _apart(rates):
        ends = f"from {percent(apart[0])} to {percent(apart[1])}"
        yield f"The share of positives changed over time, {ends} between two periods."


def _apart(spans: Sequence[tuple[float | None, float | None, float | None]]) -> tuple[float, float] | None:
    """The values, in time order, of the two periods furthest apart, if their 95 % intervals do not overlap.

    For one pair that errs in 0.6 % (Schenker and Gentleman 2001, The American Statistician 55(3)), for the furthest of
    five periods with intervals of one length in 4.4 %: the studentised range of five normals passes 2 x 1.96 so often.
    """
    known = [(place, low, value, high) for place, (low, value, high) in enumerate(spans) if None not in (low, high)]
    if not known:
        return None
    below, above = min(known, key=lambda span: span[3] or 0), max(known, key=lambda span: span[1] or 0)
    if below[3] is None or above[1] is None or below[3] >= above[1]:
        return None
    first, second = sorted((below, above))
    return (first[2] or 0.0, second[2] or 0.0)


def wilson(hits: int, rows: int) -> tuple[float, float, float]:
    """Return a share with its 95 % interval: low, share, high. Wilson 1927, JASA 22(158), for independent rows."""
    share = hits / rows
    centre = (share + _Z**2 / (2 * rows)) / (1 + _Z**2 / rows)
    reach = _Z * math.sqrt(share * (1 - share) / rows + _Z**2 / (4 * rows**2)) / (1 + _Z**2 / rows)
    return centre - reach, share, centre + reach


def _calibration(card: Card) -> Iterator[str]:
    bins = card.metrics.get("reliability") or []
    off = [each for each in bins if not each["observed_low"] <= each["predicted"] <= each["observed_high"]]
    if len(off) > 1:
        where = f"In {len(off)} of {len(bins)} score ranges"
        yield f"{where} the prediction is outside the 95 % interval of what was observed."


def _coverage(card: Card) -> Iterator[str]:
    for each in card.metrics.get("coverage") or []:
        if each["high"] is not None and each["high"] < each["promised"]:
            yield (
                f"For {each['of']}, the prediction set or interval held the true value in "
                f"{percent(each['covered'])} of the rows; it should in {percent(each['promised'])}."
            )


def _suspects(card: Card) -> Iterator[str]:
    for each in card.metrics.get("suspects") or []:
        yield f"Column {each['column']} is suspect: {each['why']}."


def _set_aside(card: Card) -> Iterator[str]:
    for each in card.metrics.get("set_aside") or []:
        why = {
            PeriodFault.LABELS_CONTRADICT: "their labels contradict what every model from before predicts",
            PeriodFault.LABELS_CONSTANT: "they hold one outcome alone",
            PeriodFault.COLUMN_KNOWS: f"column {each['column']} tells the outcome by itself, as if written after it",
            PeriodFault.SCALE_CHANGED: f"column {each['column']} was on another scale than before and after",
        }[PeriodFault(each["fault"])]
        rows = f"{each['rows']:,} labelled rows of {each['from'][:10]} to {each['to'][:10]}"
        what = rows if each["column"] is None else f"The values of {each['column']} in {rows}"
        yield f"{what} were set aside: {why}."
