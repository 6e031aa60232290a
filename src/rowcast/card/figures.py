"""The measured numbers of a version: by name, with interval and meaning, and beside those of the champion before."""

import math
from dataclasses import dataclass, replace
from typing import Any

from rowcast.card.record import Card, day, threshold_of
from rowcast.formatting import number, percent


@dataclass(frozen=True)
class Figure:
    """A measured number and what it means."""

    key: str
    name: str
    value: float
    low: float | None
    high: float | None
    meaning: str
    is_share: bool = False

    @property
    def shown(self) -> str:
        return self.text(self.value)

    @property
    def interval(self) -> str:
        """Its 95 % interval; empty where none is on record."""
        return format_interval(self.low, self.high, self.is_share)

    def text(self, value: float) -> str:
        """Return a value of this figure's kind as text."""
        return percent(value) if self.is_share else number(value)


def format_interval(low: float | None, high: float | None, is_share: bool = False) -> str:
    """Return an interval as text, such as '0.56 to 0.78' or, of a share, '56 to 78 %'; empty where there is none."""
    if low is None or high is None:
        return ""
    if is_share:
        return f"{percent(low).removesuffix(' %')} to {percent(high)}"
    return f"{number(low)} to {number(high)}"


# What the record holds under which key: name, meaning, whether it is a share of rows.
_KNOWN = {
    "auc": ("AUC", "how often a positive row is ranked above one that is not; 0.5 is chance", False),
    "average_precision": ("average precision", "precision over all recalls; chance is the share of positives", False),
    "mae": ("mean absolute error", "how far off a prediction is on average", False),
    "rmse": ("root mean squared error", "how far off, large errors counting more", False),
    "r2": ("R²", "share of the label's variance that is explained", False),
    "spearman": ("rank correlation", "of predicted and true values", False),
    "accuracy": ("accuracy", "how many are predicted right", True),
    "balanced_accuracy": ("balanced accuracy", "the same, each class counting alike", True),
    "cost_per_row_median": ("cost per row, the median", "what saying the same of every row costs", False),
    "brier": ("Brier score", "mean squared error of the probability; lower is better", False),
    "log_loss": ("log loss", "of the probability, in nats; lower is better", False),
    "cost_per_row": ("cost per row", "at the threshold, in the units of the config", False),
    "cost_per_row_flag_none": ("cost per row, flagging none", "what doing nothing costs", False),
    "cost_per_row_flag_all": ("cost per row, flagging all", "what looking at every row costs", False),
    "flagged_share": ("flagged", "of all rows", True),
    "recall": ("recall", "of the positives, how many are flagged", True),
    "precision": ("precision", "of the flagged, how many are positive", True),
}
_COUNTS = {"rows", "positives", "features", "rows_out_of_fold", "positives_out_of_fold", "labels_known", "threshold"}
_COUNTS |= {"ran", "interval_rows"}


def list_figures(metrics: dict[str, Any]) -> list[Figure]:
    """Return every measured number of the record, the known ones first; a regression's cost is its error."""
    names = [*_KNOWN, *(key for key in metrics if key not in _KNOWN and not _is_about_another(key))]
    found = []
    for key in names:
        value = metrics.get(key) if key != "cost_per_row" or "mae" not in metrics else None
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            name, meaning, is_share = _KNOWN.get(key, (key.replace("_", " "), "", False))
            low, high = metrics.get(f"{key}_low"), metrics.get(f"{key}_high")
            found.append(Figure(key, name, float(value), low, high, meaning, is_share))
    return found


def _is_about_another(key: str) -> bool:
    return key in _COUNTS or key.endswith(("_low", "_high"))


def list_headlines(card: Card) -> list[Figure]:
    """Return the few figures that say how good a version is, each with its meaning in plain words."""
    metrics = card.metrics
    plain = {
        "auc": ("ranking (AUC)", "How often a positive row ranks above one that is not; 50 % is chance."),
        "mae": ("error (mean absolute)", "So far off is a prediction on average."),
        "cost_per_row": ("cost per row", _against_trivial(metrics)),
        "recall": ("found (recall)", "This share of the positive rows is flagged."),
        "precision": ("right (precision)", f"This share of the flagged rows is positive{_base_rate(metrics)}."),
    }
    known = {figure.key: figure for figure in list_figures(metrics)}
    return [
        replace(known[key], name=name, meaning=meaning, is_share=known[key].is_share or key == "auc")
        for key, (name, meaning) in plain.items()
        if key in known
    ]


def _against_trivial(metrics: dict[str, Any]) -> str:
    none, all_ = metrics.get("cost_per_row_flag_none"), metrics.get("cost_per_row_flag_all")
    if none is None or all_ is None:
        return "What a row costs on average."
    cost, least = metrics["cost_per_row"], min(none, all_)
    cheaper = "none" if none <= all_ else "all"
    change = f"{percent(abs(1 - cost / least))} {'less' if cost <= least else 'more'} than flagging {cheaper}"
    return f"{change}. Flagging none costs {number(none)}, flagging all {number(all_)}."


def _base_rate(metrics: dict[str, Any]) -> str:
    rows, positives = metrics.get("rows_out_of_fold"), metrics.get("positives_out_of_fold")
    return f"; of all rows {percent(positives / rows)} are" if rows and positives is not None else ""


@dataclass(frozen=True)
class Change:
    """One thing, at the champion before and now."""

    what: str
    before: str
    now: str


def columns_changed(card: Card) -> tuple[list[str], list[str]]:
    """Return the columns that came in and those that went out, against the champion before."""
    assert card.before is not None
    now, then = card.version.features, card.before.features
    return [name for name in now if name not in then], [name for name in then if name not in now]


def list_changes(card: Card) -> list[Change]:
    """Return what differs from the champion before, figure by figure."""
    assert card.before is not None
    now, then = card.version, card.before
    found = [
        Change("candidate", *(str(of.metrics.get("candidate", of.estimator)) for of in (then, now))),
        Change("rows", f"{then.rows:,}", f"{now.rows:,}"),
        Change("columns", f"{len(then.features)}", f"{len(now.features)}"),
    ]
    if now.trained_to and then.trained_to:
        found.append(Change("trained to", day(then.trained_to), day(now.trained_to)))
    old_threshold, threshold = threshold_of(then, card.part_before), card.threshold
    if old_threshold is not None and threshold is not None:
        found.append(Change("threshold", number(old_threshold), number(threshold)))
    before = {figure.key: figure for figure in list_figures(then.metrics)}
    after = [figure for figure in list_figures(now.metrics) if figure.key in before]
    return found + [Change(each.name, _with_interval(before[each.key]), _with_interval(each)) for each in after]


def _with_interval(figure: Figure) -> str:
    return figure.shown + (f" ({figure.interval})" if figure.interval else "")
