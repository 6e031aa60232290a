"""Why the gate decided as it did, in a sentence with the numbers."""

from dataclasses import dataclass
from datetime import datetime

from rowcast.formatting import count, number, significant
from rowcast.gate import CONFIDENCE, LIKELY, Cause, Decision, Evidence, FirstEvidence
from rowcast.messages.held_back import describe_held_back
from rowcast.store.records import DecisionOutcome, DecisionRecord

_SIMPLE = (
    ("cost_per_row_flag_none", "flagging none"),
    ("cost_per_row_flag_all", "flagging all"),
    ("cost_per_row_median", "saying the median"),
)
_TINY = 1e-4  # a chance that is not worth its digits
_LITTLE = 0.1  # below, rows count for little in a decision


def describe_record(made: DecisionRecord) -> str:
    """Return the outcome of a decision on record and why; why alone of the first version, which wins against nobody."""
    is_first = made.is_by_gate and made.previous is None and made.outcome is DecisionOutcome.PROMOTED
    return made.reason if is_first else describe_outcome(made.outcome, made.previous, made.reason)


def describe_outcome(outcome: DecisionOutcome, champion: int | None, reason: str) -> str:
    """Return what becomes of a version, which serves beside it, and why."""
    stays = "" if champion is None or outcome.changes_champion else f", v{champion} stays in service"
    if outcome is DecisionOutcome.ROLLED_BACK and champion is not None:
        return f"put back in service in place of v{champion}: {reason}"
    return f"{name_outcome(outcome)}{stays}: {reason}"


def name_outcome(outcome: DecisionOutcome) -> str:
    """Return the word for what becomes of a version."""
    return "refused" if outcome is DecisionOutcome.KEPT else outcome.value


def explain_decision(decision: Decision) -> str:
    """Return why, without the outcome, as it is kept with the decision."""
    if isinstance(decision.evidence, FirstEvidence):
        return _first(decision.evidence)
    if decision.is_of_shadow and decision.cause is Cause.OVERTAKEN:
        return f"another version was decided on while v{decision.challenger} was judged"
    why = _why(decision, decision.evidence)
    if decision.is_of_shadow:
        who = f"v{decision.challenger} as challenger of v{decision.champion}, on rows that it scored in the shadow"
        return f"{who}: {why}"
    return why


@dataclass(frozen=True)
class ShadowProgress:
    """How far the evidence about a version is that scores in the shadow."""

    version: int
    role: str  # watched (the champion before), waiting (the challenger)
    until: datetime | None  # when the watch ends
    labelled: int  # rows that both it and the champion scored, and whose label is known

    def __str__(self) -> str:
        who = "the challenger" if self.until is None else "the champion before"
        until = "" if self.until is None else f" until {self.until:%Y-%m-%d}"
        return f"v{self.version}{until} ({who}), {count(self.labelled, 'labelled row')} so far"


def _first(evidence: FirstEvidence) -> str:
    costs = [(what, getattr(evidence, name)) for name, what in _SIMPLE]
    others = "".join(f", {what} {number(cost)}" for what, cost in costs if cost is not None)
    rows = f"{count(evidence.rows_out_of_fold or 0, 'row')}{_positive(evidence.positives_out_of_fold)}"
    return f"first, unproven: out of fold it costs {number(evidence.cost_per_row)} per row{others} ({rows})"


def _why(decision: Decision, evidence: Evidence) -> str:
    unit = "rows" if evidence.blocks is None else "blocks"
    error = decision.error.what if decision.error else ""
    match decision.cause:
        case Cause.ALIKE:
            return f"both decide alike on all {evidence.rows} rows"
        case Cause.FEW_POSITIVES if not evidence.rows:
            return "no labelled row is new to both: each is among those that one of them learned or was calibrated by"
        case Cause.FEW_POSITIVES:
            return f"{evidence.positives} of {evidence.rows} rows are positive, {decision.needed} are needed"
        case Cause.FEW_BLOCKS:
            return f"the {evidence.rows} rows are of {evidence.blocks} days or lots, {decision.needed} are needed"
        case Cause.FEW_DIFFERENCES:
            return f"the two decide differently in only {decision.units} of {decision.of_units} {unit}"
        case Cause.TOO_FEW_TO_TELL:
            chance = f"where the chance of a wrong promotion may be {_percent(decision.level)}"
            return f"{decision.units} {unit} on which the two decide differently are too few to tell {chance}"
        case Cause.NOTHING_LEFT:
            return f"the chance of a wrong promotion allowed for a year, {_percent(evidence.yearly_error)}, is used up"
        case Cause.NOTHING_NEW:
            return "no label has come since the champion was trained: nothing can tell the two apart yet"
        case Cause.NO_LABELS:
            return "no row that both scored has its label yet"
        case Cause.NOT_COMPARABLE if decision.is_of_shadow:
            return error
        case Cause.NOT_COMPARABLE:
            return f"v{decision.champion} cannot be compared with: {error}; 'rowcast promote' can decide"
        case Cause.CHAMPION_CHANGED:
            changed = f"from {_name(decision.champion)} to {_name(decision.challenger)}"
            return f"the champion changed since data-fetch, {changed}; 'rowcast retrain' judges anew"
        case Cause.OVERTAKEN:
            return "another version was decided on while this one was judged; 'rowcast retrain' judges anew"
        case Cause.HELD_BACK if evidence.held_back is not None:
            return f"held back: {describe_held_back(evidence.held_back)}; 'rowcast promote' can decide"
        case Cause.REGRET:
            return _describe_regret(evidence)
        case Cause.EXPECTED | Cause.RISKY:
            return _describe_expectation(decision, evidence)
        case _:
            return _describe_test(decision, evidence)


def _describe_test(decision: Decision, evidence: Evidence) -> str:
    """The test, in money and chance."""
    gain, bound, asked = evidence.gain or 0.0, evidence.gain_bound or 0.0, evidence.min_gain or 0.0
    saves = f"saves {significant(gain, 3)}" if gain >= 0 else f"costs {significant(-gain, 3)} more"
    low, high = (significant(value or 0.0, 3) for value in (evidence.gain_low, evidence.gain_high))
    risk = f"Allowing a chance of {_percent(decision.level)} to be wrong"
    if bound < 0:
        sure = f"{risk}, it may cost up to {significant(-bound, 3)} per row more, so that a saving is not proven"
    else:
        sure = f"{risk}, it saves at least {significant(bound, 3)} per row" + (
            f"; {significant(asked, 3)} must be exceeded" if asked else ""
        )
    return (
        f"on {evidence.rows:,} rows{_positive(evidence.positives)}, the challenger costs "
        f"{number(evidence.cost_challenger or 0.0)} per row, the champion {number(evidence.cost_champion or 0.0)}: it "
        f"{saves} ({CONFIDENCE:.0%} interval of the saving {low} to {high}). {sure}. "
        f"Of the {_percent(evidence.yearly_error)} chance of a wrong promotion allowed for a year, "
        f"{_percent(evidence.left)} is left"
    )


def _describe_expectation(decision: Decision, evidence: Evidence) -> str:
    """What was seen and weighed, and what would have changed it; differences are shares of the champion's cost."""
    prior, gain, error = evidence.prior_gain or 0.0, evidence.relative_gain, evidence.relative_error
    who = "the newer model"
    if gain is None or error is None:
        few = f"the {evidence.rows or 0:,} labelled rows to compare on are too few to tell"
        said = [few if evidence.rows else "there is no labelled row to compare the two on"]
    else:
        little = ": too few to tell much" if _weigh_rows(evidence) < _LITTLE else ""
        rows = f"on {count(evidence.rows or 0, 'labelled row')} new to both"
        said = [f"{rows} {who} cost {_compare(gain)} than the champion, give or take {_share(error)}{little}"]
        who = "it"
    who = f"{who[0].upper()}{who[1:]}"
    if evidence.growth is None:
        said.append(
            f"{who} is made by another recipe, which is taken to cost " + (_compare(prior) if prior else "as much")
        )
    elif evidence.growth > 1:
        more = f"{significant(evidence.growth, 2)} times as many rows, which is taken to save {_share(prior)}"
        said.append(f"{who} learned from {more}")
    said.append(f"Weighed together, it is expected to cost {_compare(evidence.expected_gain or 0.0)}")
    if evidence.harm is not None and evidence.yearly_error is not None and decision.level is not None:
        harm = "under 0.01 %" if evidence.harm < _TINY else _percent(evidence.harm)
        chance = f"The chance that it costs over {_share(evidence.max_harm or 0.0)} more is {harm}"
        if gain is None or _weigh_rows(evidence) < _LITTLE:  # then nearly all of it is the prior
            chance = f"Going by what retraining usually brings, the{chance[3:]}"
        allowed = _percent(decision.level)
        is_too_much = f", more than the {allowed} that may be risked by now"
        said.append(
            f"{chance}{is_too_much if decision.cause is Cause.RISKY else f'; up to {allowed} may be risked by now'}"
        )
    if evidence.needed_gain is not None and abs(evidence.needed_gain) < 1 and decision.cause is not Cause.RISKY:
        turned = "the champion would have stayed" if decision.promote else "it would serve"
        said.append(f"Had it cost {_compare(evidence.needed_gain)} on these rows, {turned}")
    return ". ".join(said)


def _weigh_rows(evidence: Evidence) -> float:
    """How much the rows counted beside what more rows are taken to save, between 0 and 1."""
    prior, rows = (evidence.prior_error or 0.0) ** 2, (evidence.relative_error or 0.0) ** 2
    return prior / (prior + rows) if prior + rows else 0.0


def _describe_regret(evidence: Evidence) -> str:
    """How likely the champion was a mistake, and what would be done from which chance on."""
    rows = f"{count(evidence.rows or 0, 'labelled row')}{_positive(evidence.positives)}"
    if evidence.regret is None or evidence.relative_gain is None or evidence.relative_error is None:
        return f"{rows}, are of too few days or lots to tell"
    chance = "under 0.01 %" if evidence.regret < _TINY else _percent(evidence.regret)
    return (
        f"on {rows}, it cost {_compare(evidence.relative_gain)} than the champion, give or take"
        f" {_share(evidence.relative_error)}. The chance that the champion costs over"
        f" {_share(evidence.max_harm or 0.0)} more than that is {chance}; from {LIKELY:.0%} on the version"
        " before serves again"
    )


def _compare(gain: float) -> str:
    """A gain as a comparison of costs."""
    return f"{_share(abs(gain))} {'less' if gain >= 0 else 'more'}"


def _share(share: float) -> str:
    return f"{significant(share * 100, 2)} %"


def _positive(positives: int | None) -> str:
    return "" if positives is None else f", {positives} positive"


def _percent(share: float | None) -> str:
    return f"{significant((share or 0.0) * 100, 3)} %"


def _name(version: int | None) -> str:
    return "none" if version is None else f"v{version}"
