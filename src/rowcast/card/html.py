"""The card as one HTML file: no script, no link to outside, readable in light, dark and on paper."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from rowcast.card import charts, words
from rowcast.card.caveats import list_caveats
from rowcast.card.charts import Span
from rowcast.card.figures import Figure, columns_changed, format_interval, list_changes, list_figures, list_headlines
from rowcast.card.record import Card, day
from rowcast.drawing.document import document
from rowcast.drawing.markup import Markup, element, join
from rowcast.drawing.parts import compact_table, fold, or_dash, picture, scroll_box, table, tag
from rowcast.formatting import number, percent
from rowcast.messages.decisions import name_outcome
from rowcast.models import reference_range
from rowcast.store.records import DecisionRecord

FIRST_COLUMNS = 15  # shown at once; the others unfold
_MOST_NAMED = 40  # columns that came in or went out


def page(card: Card) -> str:
    """Return the whole file."""
    return document(f"{words.title(card)}: model card", *content(card), origin="the record in the store")


def content(card: Card) -> list[Markup]:
    """Return the header and the sections, for a file or for a page that has others too."""
    sections: list[tuple[str, str, Sequence[Markup | None]]] = [
        ("quality", "Quality", _quality(card)),
        ("observed", "Predicted and observed", _calibration(card)),
        ("cost", "Cost and threshold", _cost(card)),
        ("sure", "How sure", _coverage(card)),
        ("columns", "Columns", _columns(card)),
        ("change", "Against the champion before", _change(card)),
        ("decisions", "Decisions", _decisions(card)),
        ("repeat", "How to repeat it", _origin(card)),
    ]
    there = [(name, heading, join(parts)) for name, heading, parts in sections if parts]
    links = [element("a", heading, href=f"#{name}") for name, heading, _ in there]
    return [
        _first_screen(card),
        element("nav", *links, aria_label="Sections"),
        *(element("section", element("h2", heading), parts, id=name) for name, heading, parts in there),
    ]


def _first_screen(card: Card) -> Markup:
    status = element("span", card.version.status, class_=f"status {card.version.status}")
    sentences = [
        words.predicts(card),
        words.in_service(card),
        words.describe_training_rows(card),
        words.describe_measured_rows(card),
    ]
    warnings = [element("li", sentence) for sentence in list_caveats(card)]
    lacking = words.describe_lacking(card)
    return element(
        "header",
        element("p", "Model card", class_="kicker"),
        element("h1", card.job, " ", element("span", f"v{card.version.version}"), " ", status),
        *(element("p", sentence) for sentence in sentences if sentence),
        element("div", *map(_tile, list_headlines(card)), class_="tiles"),
        element(
            "div",
            _trivial(card),
            element("aside", element("h2", "Caveats"), element("ul", *warnings), class_="caveats")
            if warnings
            else element("aside", element("h2", "Caveats"), element("p", "Nothing on record.")),
            class_="pair",
        ),
        element("p", lacking, class_="soft") if lacking else None,
    )


def _tile(figure: Figure) -> Markup:
    return element(
        "div",
        element("p", figure.name, class_="tile-name"),
        element("p", figure.shown, class_="tile-value"),
        element("p", figure.interval, class_="tile-interval") if figure.interval else None,
        element("p", figure.meaning, class_="soft"),
        class_="tile",
    )


def _trivial(card: Card) -> Markup | None:
    """The model's cost beside what it costs to do nothing, and to look at everything."""
    metrics = card.metrics
    names = {"cost_per_row": "this model", "cost_per_row_flag_none": "flag none", "cost_per_row_flag_all": "flag all"}
    rows = [
        Span(name, metrics[key], metrics.get(f"{key}_low"), metrics.get(f"{key}_high"), key == "cost_per_row")
        for key, name in names.items()
        if metrics.get(key) is not None
    ]
    if len(rows) < 2:
        return None
    task = card.task
    price = f"A missed positive costs {number(task.cost_missed)}, a false alarm {number(task.cost_false_alarm)}."
    return picture(charts.spans(rows, "Cost per row", "cost per row", "cost-beside", zero=True), price)


def _quality(card: Card) -> list[Markup | None]:
    periods = card.metrics.get("over_time") or []
    kinds = [
        ("auc", "auc", "AUC", (0.5, "chance")),
        ("mae", "mae", "mean absolute error", None),
        ("cost_per_row", "cost", "cost per row", None),
    ]
    pictures = [
        picture(
            charts.over_time(periods, key, bounds, title, f"time-{bounds}", level),
            f"{title[0].upper()}{title[1:]} in each period, by models that had seen only what came before it.",
        )
        for key, bounds, title, level in kinds
        if any(each.get(key) is not None for each in periods)
    ]
    rows = [[each.name, each.shown, each.interval, each.meaning] for each in list_figures(card.metrics)]
    parts: list[Markup | None] = []
    if pictures:
        parts += [element("div", *pictures, class_="pair"), fold("Numbers over time", _periods(periods))]
    if rows:
        parts.append(table(["figure", "value", "95 % interval", "what it is"], rows, numbers=(1, 2)))
    return [*parts, *_candidates(card)]


def _periods(periods: Sequence[Mapping[str, Any]]) -> Markup:
    def row(each: Mapping[str, Any]) -> list[str]:
        shown = [str(each.get(key) or "-")[:10] for key in ("from", "to")]
        for key, bounds in (("auc", "auc"), ("mae", "mae"), ("cost_per_row", "cost")):
            interval = format_interval(each.get(f"{bounds}_low"), each.get(f"{bounds}_high"))
            shown.append(or_dash(each.get(key)) + (f" ({interval})" if interval else ""))
        counts = [f"{each[key]:,}" if each.get(key) is not None else "-" for key in ("rows", "positives")]
        return shown[:2] + counts + shown[2:]

    headings = ["from", "to", "rows", "positives", "AUC", "mean absolute error", "cost per row"]
    return compact_table(headings, [row(each) for each in periods], numbers=(2, 3, 4, 5, 6))


def _candidates(card: Card) -> list[Markup | None]:
    tried = card.metrics.get("candidates") or []
    if not tried:
        return []
    rows = [
        Span(each["name"], each["auc"], each.get("auc_low"), each.get("auc_high"), bool(each.get("chosen")))
        for each in tried
        if each.get("auc") is not None
    ]
    choice, price = words.describe_choice(card), words.describe_price(card)
    keys = [key for key in tried[0] if key not in ("name", "chosen") and not key.endswith(("_low", "_high"))]
    shown = [
        [element("b", each["name"], " (chosen)") if each.get("chosen") else each["name"]]
        + [or_dash(each.get(key)) for key in keys]
        for each in tried
    ]
    numbers = compact_table(["candidate", *(key.replace("_", " ") for key in keys)], shown, range(1, len(keys) + 1))
    chart = None
    if rows:
        lines = [(0.5, "chance")] if min(row.low or row.value for row in rows) < 0.55 else []
        chart = charts.spans(rows, "AUC of each candidate", "AUC, 95 % interval", "candidates", lines=lines)
    return [
        element("h3", "What was tried"),
        element("p", choice) if choice else None,
        element("p", price) if price else None,
        picture(chart, None) if chart else None,
        numbers,  # below the chart: beside it there is no room for every column
    ]


def _calibration(card: Card) -> list[Markup]:
    bins = card.metrics.get("reliability") or []
    if not bins:
        return []
    if card.kind == "regression":
        chart, caption = (
            charts.residuals(bins, "residuals"),
            ("Points on the dashed line are right on average; above it the model says too little."),
        )
    else:
        chart, caption = (
            charts.reliability(bins, "reliability"),
            ("Scores on the dashed line are calibrated: of rows given 10\u00a0%, 10\u00a0% turn out positive."),
        )
    is_share = card.kind != "regression"
    text = percent if is_share else number
    rows = [
        [
            format_interval(each["low"], each["high"], is_share),
            f"{each['rows']:,}",
            text(each["predicted"]),
            text(each["observed"]),
            format_interval(each["observed_low"], each["observed_high"], is_share),
        ]
        for each in bins
    ]
    numbers = compact_table(["predicted", "rows", "on average", "observed", "95 % interval"], rows, (1, 2, 3, 4))
    return [element("div", picture(chart, caption), element("div", numbers), class_="pair")]


def _cost(card: Card) -> list[Markup]:
    curve, confusion = card.metrics.get("cost_curve") or [], card.metrics.get("confusion") or []
    parts: list[Markup] = []
    if curve:
        rows = [
            [
                number(each["threshold"]),
                percent(each["flagged_share"]),
                percent(each["recall"]) if each.get("recall") is not None else "-",
                number(each["cost_per_row"]),
                format_interval(each.get("cost_low"), each.get("cost_high")),
            ]
            for each in curve
        ]
        caption = (
            "What a row costs by how many rows are flagged: none at the left, all at the right. The curve is of the "
            "rows that the threshold was chosen on; the cost per row above is not."
        )
        numbers = compact_table(["threshold", "flagged", "recall", "cost per row", "95 % interval"], rows, range(5))
        chart = charts.cost_curve(curve, card.threshold, "cost-curve")
        parts.append(picture(chart, caption, numbers))
    if confusion:
        parts.append(element("div", element("h3", "Truth and prediction"), _confusion(confusion)))
    return [element("div", *parts, class_="pair")] if parts else []


def _confusion(cells: Sequence[Mapping[str, Any]]) -> Markup:
    """Truth by prediction; a cell is the darker the larger its share of the rows with that truth."""
    classes = list(dict.fromkeys(str(each["truth"]) for each in cells))
    predicted = list(dict.fromkeys(chain(classes, (str(each["predicted"]) for each in cells))))
    at = {(str(each["truth"]), str(each["predicted"])): each for each in cells}

    def cell(truth: str, said: str) -> Markup:
        each = at.get((truth, said))
        if each is None:
            return element("td", "0", class_="num")
        interval = format_interval(each.get("low"), each.get("high"), is_share=True)
        return element(
            "td",
            element("b", f"{each['rows']:,}"),
            element("br"),
            percent(each["share"]),
            element("small", element("br"), interval) if interval else None,
            class_=f"cell{' right' if truth == said else ''} share-{round(10 * float(each['share']))}",
        )

    head = element(
        "tr", element("th", "truth"), *(element("th", f"predicted {name}", scope="col") for name in predicted)
    )
    rows = [
        element("tr", element("th", name, scope="row"), *(cell(name, said) for said in predicted)) for name in classes
    ]
    caption = element("caption", "Rows, and their share of all rows with that truth (95 % interval).")
    return scroll_box(element("table", caption, element("thead", head), element("tbody", *rows), class_="confusion"))


def _coverage(card: Card) -> list[Markup]:
    kept = card.metrics.get("coverage") or []
    if not kept:
        return []
    spans = [
        Span(str(each["of"]), each["covered"], each.get("low"), each.get("high"), True, each["promised"])
        for each in kept
    ]
    rows = [
        [
            str(each["of"]),
            f"{each['rows']:,}",
            percent(each["promised"]),
            percent(each["covered"]),
            format_interval(each.get("low"), each.get("high"), is_share=True),
            percent(each["uncertain"]) if each.get("uncertain") is not None else "-",
        ]
        for each in kept
    ]
    axis = "rows whose set or interval held the truth, 95 % interval"
    chart = charts.spans(spans, "Coverage held and promised", axis, "coverage", is_share=True)
    numbers = compact_table(["of", "rows", "promised", "held", "95 % interval", "uncertain"], rows, range(1, 6))
    caption = "The vertical line marks the promised coverage. Uncertain are rows whose set or interval says too little."
    return [element("div", picture(chart, caption), element("div", numbers), class_="pair")]


def _columns(card: Card) -> list[Markup]:
    weights = dict(card.metrics.get("importance") or [])
    most = max(weights.values(), default=0.0)
    suspects = {each["column"]: each["why"] for each in card.metrics.get("suspects") or []}
    ranges = card.part.reference_ranges or {}
    ranked = sorted(card.version.features, key=lambda name: -weights.get(name, 0.0))

    def row(name: str) -> list[object]:
        shown: list[object] = [
            join([element("code", name), tag("suspect", suspects[name]) if name in suspects else ""])
        ]
        if weights:
            weight = weights.get(name)
            bar = charts.share_bar(weight / most) if weight is not None and most > 0 else ""
            shown += [bar, or_dash(weight)]
        return [*shown, reference_range.format_range(ranges.get(name))] if ranges else shown

    headings = ["column", *(["", "weight"] if weights else []), *(["reference range"] if ranges else [])]
    numbers = (2,) if weights else ()
    parts = [element("p", _about_columns(bool(weights), bool(ranges)), class_="soft")]
    parts.append(compact_table(headings, map(row, ranked[:FIRST_COLUMNS]), numbers))
    if rest := ranked[FIRST_COLUMNS:]:
        parts.append(fold(f"{len(rest)} more columns", compact_table(headings, map(row, rest), numbers)))
    if dropped := card.metrics.get("dropped") or {}:
        rows = [[element("code", name), why] for name, why in dropped.items()]
        parts.append(fold(f"{len(dropped)} columns not used, and why", compact_table(["column", "why"], rows)))
    return parts


def _about_columns(weighted: bool, ranged: bool) -> str:
    said = []
    if weighted:
        said.append(
            "Weight: the mean size of a column's contribution to the score, or, where the estimator shows none, how "
            "much the column tells on its own."
        )
    else:
        said.append("How much each column weighs is not on record.")
    if ranged:
        said.append(
            "Reference range: between which values nine in ten training rows lie, or the most common categories."
        )
    return " ".join(said)


def _change(card: Card) -> list[Markup]:
    if card.before is None:
        return [element("p", "There was no champion before it.", class_="soft")]
    came, went = columns_changed(card)
    rows = [[change.what, change.before, change.now] for change in list_changes(card)]
    then, now = f"v{card.before.version}", f"v{card.version.version}"
    return [
        compact_table(["", then, now], rows, numbers=(1, 2)),
        element(
            "p",
            "Figures of two versions are each of their own out-of-fold rows; the gate compares both on the same.",
            class_="soft",
        ),
        _names(f"{len(came)} columns came in", came),
        _names(f"{len(went)} columns went out", went),
    ]


def _names(heading: str, names: Sequence[str]) -> Markup:
    if not names:
        return element("p", f"{heading}.")
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return element("p", f"{heading}: ", *chain(*((element("code", name), " ") for name in names[:_MOST_NAMED])), more)


def _decisions(card: Card) -> list[Markup]:
    if not card.decisions:
        return [element("p", "Nobody has decided about it yet.", class_="soft")]
    return [_decision(each, place) for place, each in enumerate(card.decisions)]


def _decision(decision: DecisionRecord, place: int) -> Markup:
    against = f" (champion then: v{decision.previous})" if decision.previous is not None else ""
    heading = f"{day(decision.decided_at)}: {name_outcome(decision.outcome)} by {decision.decided_by}{against}"
    rows = words.evidence(decision)
    held = decision.evidence
    chart = None
    if held.get("gain_low") is not None:
        spans = [Span("gain", held["gain"], held["gain_low"], held["gain_high"], True)]
        if held.get("gain_bound") is not None:
            spans.append(Span("lower bound", held["gain_bound"]))
        asked = held.get("min_gain") or 0.0
        lines = [(asked, "asked for" if asked else "no gain")]
        chart = charts.spans(spans, "Gain per row", "gain per row, 90 % interval", f"gain-{place}", lines=lines)
    return element(
        "article",
        element("h3", heading),
        element("p", decision.reason),
        element(
            "div",
            picture(chart, None) if chart else None,
            element("div", fold("Evidence", compact_table(["", ""], rows, numbers=(1,)), is_open=chart is not None)),
            class_="pair",
        )
        if rows
        else None,
    )


def _origin(card: Card) -> list[Markup]:
    pairs = [(element("dt", name), element("dd", element("code", value))) for name, value in words.origin(card)]
    return [element("dl", *chain(*pairs))]
