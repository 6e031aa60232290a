"""What a card says in words: what the model predicts, since when it serves, who decided so, how to repeat it."""

from collections.abc import Mapping
from typing import Any

from rowcast.card.record import Card, Spell, day
from rowcast.fit.selection import AVERAGE
from rowcast.formatting import number
from rowcast.store.records import DecisionOutcome, DecisionRecord


def title(card: Card) -> str:
    """Return the card's title."""
    return f"{card.job} v{card.version.version}"


def predicts(card: Card) -> str:
    """Return a sentence that says what the model predicts, and from how many columns."""
    columns = f"from {len(card.version.features)} columns"
    if card.kind == "regression":
        return f"Predicts the number {card.label} of each row of {card.source}, {columns}."
    classes = card.classes
    if card.kind == "multiclass" or not classes:
        among = f": {', '.join(map(str, classes))}" if classes else ""
        return f"Predicts the class {card.label} of each row of {card.source}, {columns}{among}."
    at = f" It flags a row from a probability of {number(card.threshold)} on." if card.threshold is not None else ""
    return (
        f"Predicts for each row of {card.source} how probable it is that {card.label} will be {classes[1]} "
        f"(positive) and not {classes[0]}, {columns}.{at}"
    )


def in_service(card: Card) -> str:
    """Return a sentence that says since when a version serves, until when, or why not."""
    if card.service:
        since, until = card.service[-1]
        earlier = f", and {len(card.service) - 1} times before" if len(card.service) > 1 else ""
        if until is None:
            return f"In service since {day(since)}{earlier}."
        return (
            f"Out of service since {day(until)}; it served from {day(since)} on{earlier}. {describe_end(card)}".strip()
        )
    waits = {
        "challenger": "it waits as the challenger",
        "refused": "the gate did not promote it",
        "replaced": "a newer challenger took its place",
    }
    return f"Not in service: {waits.get(card.version.status, card.version.status)}."


def describe_end(card: Card) -> str:
    """Return a sentence that says what took a version's place, by whom and, of a rollback, why; else the empty text."""
    made = card.ended
    if made is None:
        return ""
    how = "put back" if made.outcome is DecisionOutcome.ROLLED_BACK else str(made.outcome)
    is_usual = made.is_by_gate and made.outcome is DecisionOutcome.PROMOTED
    why = "" if is_usual else f": {made.reason.rstrip('.')}"
    return f"v{made.version} was {how} in its place by {_who(made)}{why}."


def _who(made: DecisionRecord) -> str:
    return "the gate" if made.is_by_gate else made.decided_by


def describe_training_rows(card: Card) -> str:
    """Return a sentence that says which rows a version was trained on."""
    metrics, version = card.metrics, card.version
    if not version.rows:
        return "It was fitted elsewhere; on which rows is not on record."
    positives = f", {metrics['positives']:,} of them positive" if metrics.get("positives") is not None else ""
    window = ""
    if version.trained_from and version.trained_to:
        window = f", {day(version.trained_from)} to {day(version.trained_to)}"
    elif version.trained_to_key:
        window = f", up to key {', '.join(version.trained_to_key)}"
    return f"Trained on {version.rows:,} rows{positives}{window}."


def describe_measured_rows(card: Card) -> str:
    """Return a sentence that says which rows the figures are of; empty where there are no figures."""
    metrics = card.metrics
    if metrics.get("rows_out_of_fold") is None:
        return ""
    positives = metrics.get("positives_out_of_fold")
    among = f", {positives:,} of them positive" if positives is not None else ""
    return (
        f"Every figure is out of fold: of {metrics['rows_out_of_fold']:,} rows{among}, "
        "each predicted by a model that was trained on earlier rows alone. A 95 % interval says where the figure of as "
        "many later rows will lie, in 95 of 100 cases."
    )


def describe_choice(card: Card) -> str:
    """Return why this candidate was taken, with the figures of the table of what was tried; empty if not on record."""
    choice = card.metrics.get("choice")
    if not isinstance(choice, Mapping):
        return choice or ""  # of a version that an older rowcast made: a sentence
    tried = {each["name"]: each for each in card.metrics.get("candidates") or []}
    taken = next((name for name, each in tried.items() if each.get("chosen")), "")
    if not taken or choice["rule"] == "given":
        return ""
    best, is_value = choice["against"] or taken, card.kind == "regression"
    loss, key = ("squared error", "r2") if is_value else ("log loss", "log_loss")
    figures = {name: each[key] for name, each in tried.items() if each.get(key) is not None}

    def with_figure(name: str) -> str:
        return f"{name} ({'R²' if is_value else loss} {number(figures[name])})" if name in figures else name

    why = {
        "least": f"it has the lowest {loss}, and no simpler candidate is within one standard error of it",
        "simplest": f"it is the simplest within one standard error of the lowest {loss}, that of {with_figure(best)}",
        "average": f"its {loss} is more than one standard error below that of the best alone, {with_figure(best)}",
    }[choice["rule"]]
    said = f"{with_figure(taken)} was taken: {why}."
    better = taken if choice["rule"] == "average" else best
    rivals = [figures[name] for name in figures if name != better and name != AVERAGE]
    if better in figures and any(rival > figures[better] if is_value else rival < figures[better] for rival in rivals):
        said += (
            " These figures calibrate each row by the others. Candidates were compared after calibration on all rows, "
            "so that their order can differ."
        )
    return said


def describe_price(card: Card) -> str:
    """Return what it costs that only candidates that translate small were tried; empty where all were."""
    price = card.metrics.get("translatable")
    if not price:
        return ""
    unit = "absolute error" if card.kind == "regression" else "cost"
    more, best = price["cost_per_row"], price["candidate"]
    if price["low"] is None:
        interval = "how far that varies is not known"
    else:
        interval = f"95 % interval {number(price['low'])} to {number(price['high'])}"
    return (
        "[model] translatable kept the choice to what is told in little SQL. The best of all candidates out of fold is "
        f"{best}: without it, {unit} per row changes by {number(more)} ({interval})."
    )


_SECTIONS = {
    "over_time": "quality over time",
    "reliability": "reliability",
    "cost_curve": "cost curve",
    "confusion": "confusion",
    "coverage": "conformal coverage",
}


def describe_lacking(card: Card) -> str:
    """Return a sentence that names the parts of a card this version has no record for; empty if there are none."""
    binary_only = {"cost_curve", "confusion"}
    absent = [
        name
        for key, name in _SECTIONS.items()
        if not card.metrics.get(key) and not (card.kind == "regression" and key in binary_only)
    ]
    if not absent:
        return ""
    return f"Not on record for this version: {', '.join(absent)}."


_EVIDENCE = {
    "rows": "rows that both scored",
    "positives": "of them positive",
    "blocks": "days or groups of these rows",
    "differing": "rows on which they differ",
    "cost_champion": "the champion's cost per row",
    "cost_challenger": "this version's cost per row",
    "gain": "saved per row",
    "gain_low": "its 90 % interval",
    "auc_champion": "the champion's AUC",
    "auc_challenger": "this version's AUC",
    "gain_bound": "saved per row, at least",
    "min_gain": "must save more than",
    "relative_gain": "saved, share of the champion's cost",
    "relative_error": "its standard error",
    "growth": "rows it learned from, over the champion's",
    "growth_judged": "the same of the fits that were judged",
    "prior_gain": "share that more rows are taken to save",
    "prior_error": "its standard deviation",
    "expected_gain": "share expected to be saved, both together",
    "needed_gain": "saving on these rows at which the decision turns",
    "max_harm": "share of cost more that counts as harm",
    "harm": "chance of harm",
    "level": "chance that this is wrong",
    "left": "left for further decisions of the year",
    "yearly_error": "allowed chance of a wrong promotion in a year",
}


def evidence(decision: DecisionRecord) -> list[tuple[str, str]]:
    """Return the evidence of a decision as names and texts for people; a figure without a name keeps its key."""
    held = decision.evidence
    known = [*(key for key in _EVIDENCE if key in held), *(key for key in held if key not in _EVIDENCE)]
    keys = [key for key in known if held[key] is not None and not (key.endswith("_high") and _lower(key) in held)]
    return [(_EVIDENCE.get(key, key.replace("_", " ")), _format_bounds(held, key)) for key in keys]


def _lower(key: str) -> str:
    return f"{key.removesuffix('_high')}_low"


def _format_bounds(held: Mapping[str, Any], key: str) -> str:
    """A value; a lower bound with the upper one."""
    high = held.get(f"{key.removesuffix('_low')}_high") if key.endswith("_low") else None
    return _plain(held[key]) + (f" to {_plain(high)}" if high is not None else "")


def _plain(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else number(value)


def origin(card: Card) -> list[tuple[str, str]]:
    """Return names and texts of what must be the same for a training run to give the same model again."""
    version, run = card.version, card.run
    versions = card.metrics.get("versions") or {}
    repeated = {
        "repeat it": f"rowcast retrain --as-of {version.created_at.isoformat()}",
        "while champion was": f"v{card.before.version}" if card.before else "none",
    }
    known = {
        **(repeated if version.rows else {}),  # one that was fitted elsewhere cannot be
        "run": str(version.run_id),
        "estimator": version.estimator,
        "rowcast": (run.rowcast_version if run else None) or versions.get("rowcast"),
        "libraries": ", ".join(f"{name} {of}" for name, of in versions.items() if name != "rowcast"),
        "SHA-256 of the model": version.artifact_sha256,
        "SHA-256 of its contract": card.part.contract_sha256,
        "SHA-256 of the config": run.config_sha256 if run else None,
    }
    return [(name, str(value)) for name, value in known.items() if value]


def spells(card: Card) -> list[str]:
    """Return a text for each time in service."""
    return [_spell(each) for each in card.service]


def _spell(spell: Spell) -> str:
    since, until = spell
    return f"{day(since)} to {day(until)}" if until else f"since {day(since)}"
