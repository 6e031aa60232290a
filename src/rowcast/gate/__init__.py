"""Champion against challenger on rows that neither was trained on: does the challenger cost less, beyond luck?

How much luck is allowed for is the budget's to say (`budget`), how sure one may be of a gain the bound's (`bound`).
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rowcast.gate.bound import Blocks, least_doubt, lower_bound
from rowcast.gate.budget import Allowance, allowance, allowance_of_watch
from rowcast.gate.watch import Watch, watching

__all__ = [
    "Allowance",
    "Decision",
    "Watch",
    "allowance",
    "allowance_of_watch",
    "auc",
    "decide",
    "first",
    "losses",
    "watching",
]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

RESAMPLES = 2_000
CONFIDENCE = 0.90  # of the two-sided interval that is shown
ONE_GATE = Allowance(yearly=0.05, level=0.05, left=0.05)
_CHUNK = 4_000_000  # numbers drawn at a time, so that memory does not grow with the rows


@dataclass(frozen=True)
class Decision:
    """What the gate decides, and on what."""

    promote: bool
    outcome: Literal["promoted", "rolled back", "kept", "undecided"]  # undecided: the rows do not suffice to tell
    reason: str  # one sentence with the numbers
    evidence: dict[str, Any]  # JSON-safe


def first(metrics: dict[str, Any]) -> Decision:
    """The first version has nobody to beat; `metrics` are those of its build."""
    against = {
        "cost_per_row_flag_none": "flagging none",
        "cost_per_row_flag_all": "flagging all",
        "cost_per_row_median": "saying the median",
    }
    others = "".join(f", {what} {metrics[name]:.4g}" for name, what in against.items() if metrics.get(name) is not None)
    positive = metrics.get("positives_out_of_fold")
    rows = f"{metrics['rows_out_of_fold']} rows" + ("" if positive is None else f", {positive} positive")
    reason = f"first, unproven: out of fold it costs {metrics['cost_per_row']:.4g} per row{others} ({rows})"
    names = ("cost_per_row", *against, "auc", "auc_low", "auc_high", "rows_out_of_fold", "positives_out_of_fold")
    return Decision(True, "promoted", reason, {name: metrics.get(name) for name in names})


def decide(
    champion: Floats,
    challenger: Floats,
    positive: Bools | None = None,
    worst: float | None = None,
    blocks: npt.NDArray[np.int64] | None = None,
    allowed: Allowance = ONE_GATE,
    min_gain: float = 0.0,
    seed: int = 0,
    min_positives: int = 5,
    min_blocks: int = 8,
    min_differing: int = 8,
) -> Decision:
    """Promote where the gain per row is above `min_gain`, with a chance of error of at most `allowed.level`.

    All arrays have shape (n,). `champion` and `challenger` are what each row cost, in the config's units; `positive`
    says which rows needed action (None for a regression), `worst` what a row can cost at most (None: the most seen),
    `blocks` which rows belong together. Rows are paired, and whole blocks are what may vary. The bound that decides is
    `lower_bound`; the interval shown is a paired bootstrap (Efron and Tibshirani 1993, An Introduction to the
    Bootstrap), whole blocks at a time (after Künsch 1989, Annals of Statistics 17(3)), widened as a t interval is
    (Hesterberg 2015, The American Statistician 69(4)), counting only rows or blocks on which the two differ: the others
    cannot tell them apart.

    Too few positives, blocks or differences, or nothing left to spend, leave it undecided. Nothing that does so
    depends on who is ahead: a gate that could not have promoted has used up none of the budget.
    """
    gain = champion - challenger
    differing = int((gain != 0).sum())
    place = np.arange(len(gain)) if blocks is None else np.unique(blocks, return_inverse=True)[1]
    gained = np.bincount(place, weights=gain).astype(np.float64)
    rows = np.bincount(place)
    units = int((np.bincount(place, weights=gain != 0) > 0).sum())
    evidence: dict[str, Any] = {
        "rows": len(gain),
        "positives": None if positive is None else int(positive.sum()),
        "blocks": None if blocks is None else len(rows),
        "differing": differing,
        "cost_champion": _mean(champion),
        "cost_challenger": _mean(challenger),
        "gain": _mean(gain),
        "gain_low": None,
        "gain_high": None,
        "yearly_error": allowed.yearly,
        "level": None,  # what the gate spent: nothing, unless it tests
        "left": allowed.left,
        "gain_bound": None,
        "min_gain": min_gain,
    }
    lacking = _lacking(evidence, min_positives, min_blocks)
    if lacking:
        return Decision(False, "undecided", f"undecided: {lacking}", evidence)
    if differing == 0:
        return Decision(False, "kept", f"kept: both decide alike on all {len(gain)} rows", evidence)
    if units < (min_differing if blocks is None else min_blocks):
        what = "rows" if blocks is None else "blocks"
        reason = f"undecided: the two decide differently in only {units} of {len(rows)} {what}"
        return Decision(False, "undecided", reason, evidence)
    beyond_doubt = None
    if least_doubt(units) <= allowed.level:
        most = float(max(champion.max(), challenger.max())) if worst is None else worst
        beyond_doubt = lower_bound(Blocks.of(gained, rows, units, most), allowed.level)
    if beyond_doubt is None:
        what = "rows" if blocks is None else "blocks"
        reason = f"undecided: {_budget(allowed)}, {units} {what} on which the two differ are too few to tell"
        if not allowed.level:
            reason = f"undecided: none of the year's error of {_percent(allowed.yearly)} is left for this gate"
        return Decision(False, "undecided", reason, evidence)
    low, high = _interval(gained, rows, units, seed)
    return _decision({**evidence, "gain_low": low, "gain_high": high, "gain_bound": beyond_doubt}, allowed)


def _lacking(evidence: dict[str, Any], min_positives: int, min_blocks: int) -> str:
    """What there is too little of, in words; empty if nothing."""
    rows, positives, blocks = evidence["rows"], evidence["positives"], evidence["blocks"]
    if positives is not None and positives < min_positives:
        return f"{positives} of {rows} rows are positive, {min_positives} are needed"
    if blocks is not None and blocks < min_blocks:
        return f"the {rows} rows are of {blocks} days or lots, {min_blocks} are needed"
    return ""


def _budget(allowed: Allowance) -> str:
    return f"at an allowed error of {_percent(allowed.level)}"


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"


def _decision(evidence: dict[str, Any], allowed: Allowance) -> Decision:
    """A gate that promotes gives its level back: see `budget`."""
    promote = evidence["gain_bound"] > evidence["min_gain"]
    word: Literal["promoted", "kept"] = "promoted" if promote else "kept"
    left = allowed.left if promote else allowed.left - allowed.level
    needed = f" where more than {evidence['min_gain']:.3g} is asked for" if evidence["min_gain"] else ""
    reason = (
        f"{word}: the challenger costs {evidence['cost_challenger']:.4g} per row, the champion "
        f"{evidence['cost_champion']:.4g}, a gain of {evidence['gain']:.3g} "
        f"({CONFIDENCE:.0%} interval {evidence['gain_low']:.3g} to {evidence['gain_high']:.3g}) "
        f"on {evidence['rows']} rows{_positive(evidence['positives'])}; {_budget(allowed)} it is above "
        f"{evidence['gain_bound']:.3g}{needed}; "
        f"{_percent(left)} of the year's error of {_percent(allowed.yearly)} is left"
    )
    return Decision(promote, word, reason, {**evidence, "level": allowed.level, "left": left})


def _positive(positives: int | None) -> str:
    return "" if positives is None else f", {positives} positive"


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def auc(outcome: Bools, score: Floats) -> float | None:
    """Area under the ROC curve, None where one class is missing."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(outcome, score)) if 0 < outcome.sum() < len(outcome) else None


def _interval(gained: Floats, rows: npt.NDArray[np.int64], units: int, seed: int) -> tuple[float, float]:
    """Bounds of the gain per row, from blocks of `rows` rows that gained `gained` in all.

    Blocks alike in both are drawn together: how often each kind comes up in a resample is multinomial, so that 100,000
    rows with five different gains cost no more than five.
    """
    from scipy.stats import norm, t

    kinds, count = np.unique(np.stack([gained, rows]), axis=1, return_counts=True)
    total = int(count.sum())
    random = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    step = max(1, _CHUNK // len(count))
    for start in range(0, RESAMPLES, step):
        drawn = random.multinomial(total, count / total, size=min(step, RESAMPLES - start))
        means[start : start + len(drawn)] = (drawn @ kinds[0]) / (drawn @ kinds[1])
    tail = (1 - CONFIDENCE) / 2
    wider = float(norm.cdf(np.sqrt(units / (units - 1)) * t.ppf(tail, units - 1)))
    low, high = np.quantile(means, [wider, 1 - wider])
    return float(low), float(high)
