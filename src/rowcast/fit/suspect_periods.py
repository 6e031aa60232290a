"""Periods whose labels, or columns, contradict all other rows: most often they were written wrongly.

Labels that were shuffled, joined to the wrong rows, or all set to one value have nothing to do with what models from
before predict; a column that was filled in after the outcome tells it nearly without error for a while. A model that
learned from such a period would be worse on every later row. So the period is set aside, and a person is told.

Two things are no fault, and such a period is kept. Where the relation itself has changed, what came since then can be
predicted from its own first half. And rows unlike all others, as of another product, are none that models from before
could know.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rowcast.fit.candidates.boosted_trees import train_booster
from rowcast.fit.out_of_fold import OutOfFold
from rowcast.fit.periods import SuspectPeriod, fit_ends, list_runs
from rowcast.fit.selection import AVERAGE, add_average
from rowcast.fit.training_data import TrainingData
from rowcast.models import calibration
from rowcast.models.target import Target
from rowcast.store.records import PeriodFault

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

_ROWS, _RARER = 100, 30  # of a period, at least; the rarer class as often as it comes on average
_PERIODS = 6  # fewest that can be held against one another
_ERRORS = 4.5  # standard errors, beyond which is no luck among all periods of a year
_LITTLE = 0.25  # of the usual ranking above chance: less is as good as none
_NEIGHBOUR_ERRORS, _NEIGHBOUR_LITTLE = 3.0, 0.6  # of a period beside one: it may be touched at its edge
_EXPECTED = 30.0  # rows of a class, of which none came
_AS_USUAL = 0.9  # of the chance of that class in all rows: less, and the models say that the period is another one
_KNOWS, _KNEW = 0.995, 0.93  # area under the ROC curve of one column: in the period, and usually at most
_FEW = 15  # rows of the rarer class, that ranking all of them first be no luck
_TELLS, _SURER = 0.995, 4.0  # what models from before reach in the period at most; how many times their error is larger
_UNLIKE = 0.95  # area under the ROC curve by which rows are told from all others: more is another population
_OTHERS = 5_000  # rows that they are told from, at most about
_QUICK = {"num_leaves": 8, "learning_rate": 0.1, "min_data_in_leaf": 10, "lambda_l2": 1.0, "seed": 0}
_DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True)
class _Periods:
    """m scored rows in time order, cut into p periods."""

    place: Places  # (m,), among the training rows
    outcome: Bools  # (m,)
    score: Floats  # (m,), by models from before
    chance: Floats  # (m,), of the outcome
    bounds: Places  # (p + 1,)

    def slices(self) -> Iterator[slice]:
        for first, last in zip(self.bounds[:-1].tolist(), self.bounds[1:].tolist(), strict=True):
            yield slice(first, last)

    def of(self, part: slice) -> tuple[Bools, Floats]:
        """Outcome (k,) and score (k, 1) of a period."""
        return self.outcome[part], self.score[part][:, None]


def find_suspect_periods(training: TrainingData, scores: OutOfFold, place: Places) -> tuple[SuspectPeriod, ...]:
    """Return the periods to set aside, in time order; none of a regression, of several classes, or without times.

    `scores` are out of fold, `place` (m,) their rows among the training rows. A period is whole days with at least 100
    rows and 30 of the rarer class as it comes on average. The ranking is the area under the ROC curve, its error that
    of rows without any relation (Mann and Whitney 1947, Annals of Mathematical Statistics 18(1)).
    """
    if not training.is_dated or training.target.kind != "binary":
        return ()
    known = add_average(scores)
    raw = known.raw[AVERAGE if AVERAGE in known.raw else next(iter(known.raw))]
    order = np.argsort(place, kind="stable")
    scores, place, raw = scores.take(order), place[order], raw[order]
    outcome = scores.target.values
    chance = calibration.fit(raw, scores.target)(raw)
    periods = _Periods(place, outcome, raw, chance, _cut(training.time[place], outcome))
    if len(periods.bounds) <= _PERIODS:
        return ()
    found = [*_contradicting(training, periods), *_knowing(training, periods)]
    return tuple(sorted(found, key=lambda each: each.first))


def _cut(time: Places, outcome: Bools) -> Places:
    share = min(outcome.mean(), 1 - outcome.mean())
    least = max(_ROWS, _RARER / max(share, 1e-9))
    bounds = [0]
    for day in (np.flatnonzero(np.diff(time // _DAY)) + 1).tolist():
        if day - bounds[-1] >= least and len(time) - day >= least:
            bounds.append(day)
    return np.array([*bounds, len(time)])


def _contradicting(training: TrainingData, periods: _Periods) -> Iterator[SuspectPeriod]:
    ranked = [_rank(*periods.of(part)) for part in periods.slices()]
    auc, error = np.array([each[0][0] for each in ranked]), np.array([each[1] for each in ranked])
    usual = float(np.nanmedian(auc))
    with np.errstate(invalid="ignore"):
        off, left = (usual - auc) / error, (auc - 0.5) / (usual - 0.5)
        wrong = (off > _ERRORS) & (left < _LITTLE)
        touched = (off > _NEIGHBOUR_ERRORS) & (left < _NEIGHBOUR_LITTLE)
    constant = _constant(periods)
    wrong |= constant
    wrong |= touched & (np.append(wrong[1:], False) | np.append(False, wrong[:-1]))
    for first, last in list_runs(wrong):
        rows = periods.place[periods.bounds[first] : periods.bounds[last]]
        if not _is_new_relation(training, rows, usual) and not _is_another_population(training, rows):
            is_constant = bool(constant[first:last].any())
            fault = PeriodFault.LABELS_CONSTANT if is_constant else PeriodFault.LABELS_CONTRADICT
            shown = None if is_constant else float(np.nanmean(auc[first:last]))
            yield SuspectPeriod(int(rows[0]), int(rows[-1]), fault, shown, usual)


def _constant(periods: _Periods) -> Bools:
    """Which periods belong to a time in which none of a class came, of which as many were to come as ever, (p,)."""
    wrong = np.zeros(len(periods.bounds) - 1, dtype=bool)
    for outcome, chance in ((periods.outcome, periods.chance), (~periods.outcome, 1 - periods.chance)):
        for first, last in list_runs(np.array([not outcome[part].any() for part in periods.slices()])):
            expected = chance[periods.bounds[first] : periods.bounds[last]]
            if expected.sum() > _EXPECTED and expected.mean() > _AS_USUAL * chance.mean():
                wrong[first:last] = True
    return wrong


def _is_new_relation(training: TrainingData, rows: Places, usual: float) -> bool:
    """Whether the second half of the rows can be predicted from the first half."""
    early, late = np.array_split(rows, 2)
    counts = [training.target.take(part).counts.min() for part in (early, late)]
    if min(counts) < 5:
        return False
    booster = train_booster(training.matrix.take(early), training.target.take(early), _QUICK, 50)
    said = np.asarray(booster.predict(training.matrix.values[late], raw_score=True, num_threads=1))
    auc, error = _rank(training.target.values[late], said[:, None])
    return bool(auc[0] - 0.5 > max(3 * error, (usual - 0.5) / 2))


def _is_another_population(training: TrainingData, rows: Places) -> bool:
    """Whether the rows can be told from all others by their values alone, on days that were not learned from."""
    others = np.setdiff1d(np.arange(len(training.target)), rows)
    sample = np.sort(np.concatenate([rows, others[:: max(1, len(others) // _OTHERS)]]))
    here, day = np.isin(sample, rows), training.time[sample] // _DAY
    matrix, found = training.matrix.take(sample), []
    for even in (0, 1):
        learned, judged = np.flatnonzero(day % 2 == even), np.flatnonzero(day % 2 != even)
        target = Target("binary", here[learned], (0, 1))
        if not 0 < here[learned].sum() < len(learned):
            return False
        booster = train_booster(matrix.take(learned), target, _QUICK, 50)
        said = np.asarray(booster.predict(matrix.values[judged], raw_score=True, num_threads=1))
        found.append(_rank(here[judged], said[:, None])[0][0])
    return bool(np.mean(found) > _UNLIKE)


def _knowing(training: TrainingData, periods: _Periods) -> Iterator[SuspectPeriod]:
    matrix = training.matrix
    numbers = [place for place, name in enumerate(matrix.names) if name not in matrix.categories]
    ranked, models = [], np.array([_rank(*periods.of(part))[0] for part in periods.slices()])
    for part in periods.slices():
        values = matrix.values[periods.place[part]][:, numbers]
        auc = _rank(periods.outcome[part], np.nan_to_num(values, nan=-np.inf))[0]
        varies = np.fmax.reduce(values, axis=0) > np.fmin.reduce(values, axis=0)
        ranked.append(np.where(varies, auc, np.nan))
    strength = 0.5 + np.abs(np.array(ranked) - 0.5)  # (p, columns)
    strength[:, np.isnan(strength).mean(axis=0) > 0.5] = np.nan  # one that is new has no usual strength
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of columns without any
        usual = np.nanmedian(strength, axis=0)
        surprise = _surprise(strength, usual, [periods.outcome[part] for part in periods.slices()])
        rarer = np.array(
            [min(periods.outcome[part].sum(), (~periods.outcome[part]).sum()) for part in periods.slices()]
        )
        knows = (strength > _KNOWS) & (usual < _KNEW) & (surprise > _ERRORS) & (rarer >= _FEW)[:, None]
        knows &= (models < _TELLS) & (1 - models > _SURER * (1 - strength))
    for column in np.flatnonzero(knows.any(axis=0)).tolist():
        after = -1
        for first, last in list_runs(knows[:, column]):
            rows = periods.place[periods.bounds[first] : periods.bounds[last]]
            if rows[-1] <= after:
                continue
            begin, after = _extend(matrix.values[:, numbers[column]], training.target.values, rows)
            shown, name = float(strength[first:last, column].mean()), matrix.names[numbers[column]]
            yield SuspectPeriod(begin, after, PeriodFault.COLUMN_KNOWS, shown, float(usual[column]), name)


def _extend(values: npt.NDArray[np.floating], outcome: Bools, rows: Places) -> tuple[int, int]:
    """The first and the last row up to which a column that knows the outcome of `rows` knows it without a break."""
    here, there = values[rows][~outcome[rows]], values[rows][outcome[rows]]
    rises = np.nanmedian(there) > np.nanmedian(here)
    border = np.nanmean([np.nanmax(here), np.nanmin(there)] if rises else [np.nanmin(here), np.nanmax(there)])
    wrong = ((values > border) == rises) != outcome

    return fit_ends(wrong, int(rows[0]), int(rows[-1]))


def _surprise(strength: Floats, usual: Floats, outcomes: list[Bools]) -> Floats:
    """By how many standard errors columns rank better than usual, in log odds, (p, columns).

    The error is that of the usual area under the ROC curve in as many rows (Hanley and McNeil 1982, Radiology 143(1)).
    """
    positives = np.array([outcome.sum() for outcome in outcomes])[:, None]
    negatives = np.array([len(outcome) for outcome in outcomes])[:, None] - positives
    pairs = np.maximum(positives * negatives, 1)
    both, above = usual / (2 - usual), 2 * usual**2 / (1 + usual)
    spread = (positives - 1) * (both - usual**2) + (negatives - 1) * (above - usual**2)
    error = np.sqrt(np.maximum(usual * (1 - usual) + spread, 0) / pairs) / (usual * (1 - usual))
    shown = np.minimum(strength, 1 - 0.5 / pairs)
    return np.asarray((np.log(shown / (1 - shown)) - np.log(usual / (1 - usual))) / error)


def _rank(outcome: Bools, values: npt.NDArray[np.floating]) -> tuple[Floats, float]:
    """Areas under the ROC curve of columns (n, c), shape (c,), and their standard error without any relation."""
    from scipy.stats import rankdata

    positives, negatives = int(outcome.sum()), int((~outcome).sum())
    if not positives or not negatives:
        return np.full(values.shape[1], np.nan), np.nan
    ranks = rankdata(values, axis=0)
    above = ranks[outcome].sum(axis=0) - positives * (positives + 1) / 2
    error = np.sqrt((positives + negatives + 1) / (12 * positives * negatives))
    return np.asarray(above / positives / negatives, dtype=np.float64), float(error)
