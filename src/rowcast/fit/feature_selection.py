"""Which columns a model is trained on. Always of training rows only: a fold makes its own choice."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rowcast.fit.candidates.boosted_trees import measure_gains
from rowcast.models.matrix import Matrix
from rowcast.models.target import Target

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MAX_MISSING = 0.95
RANK_MISSING = 0.01  # a value that is constant where measured still tells, if this share is missing and not missing
MAX_CORRELATION = 0.999
STABLE = 0.6  # of the resamples, at least, in which a column must be chosen
LEAST = 30  # columns that are kept in any case, where there are as many
CHOSEN = 20  # columns that a ranking chooses in a resample
BLOCKS, PAIRS, GAINED = 10, 5, 4  # of time; of halves; halves in which boosted trees rank too
SAMPLE = 20_000  # rows that decide; more of them change the choice little and its time much


@dataclass(frozen=True)
class SelectedFeatures:
    """The columns to train on, and why the others are not among them."""

    kept: tuple[str, ...]  # in the matrix's order
    dropped: dict[str, str]  # column -> reason
    relevance: dict[str, float]  # of each column that is neither empty, constant nor a duplicate: see `_relevance`


def select_features(matrix: Matrix, target: Target, max_features: int, seed: int) -> SelectedFeatures:
    """Drop near-empty, constant and near-duplicate columns, then keep those that are chosen in most resamples.

    At most `max_features`, and fewer where only fewer are chosen often enough. Rows come in time order.
    """
    share = np.isnan(matrix.values).mean(axis=0)
    dropped = _unusable(matrix, share)
    sample = _sample(target)
    usable = tuple(name for name in matrix.names if name not in dropped)
    rows = Matrix(matrix.values[sample], matrix.names, matrix.categories).select(usable)
    target = target.take(sample)
    share = dict(zip(matrix.names, share, strict=True))
    ranks = _ranks(rows.values)
    duplicates = _duplicates(rows, ranks, np.array([share[name] for name in usable]))
    dropped |= duplicates
    own = _relevance(rows, ranks, target)
    single = np.array([name not in duplicates for name in usable], dtype=bool)
    usable = tuple(name for name in usable if name not in duplicates)
    rows, ranks, own = rows.select(usable), ranks[:, single], own[single]
    relevance = dict(zip(usable, own.tolist(), strict=True))
    if len(usable) <= max_features:
        return SelectedFeatures(usable, dropped, relevance)
    often = _often(rows, ranks, target, seed)
    order = np.lexsort((-own, -often))
    stable = int((often[order] >= STABLE).sum())
    count = min(max_features, max(stable, min(LEAST, len(usable))))
    for place in order[count:]:
        dropped[usable[place]] = f"chosen in {often[place]:.0%} of resamples: {_why(count, stable, max_features)}"
    kept = set(order[:count].tolist())
    return SelectedFeatures(tuple(name for place, name in enumerate(usable) if place in kept), dropped, relevance)


def _why(count: int, stable: int, max_features: int) -> str:
    if count == max_features < stable:
        return f"not among the {max_features} chosen most often"
    return f"{STABLE:.0%} are asked for" if count == stable else f"not among the first {count}"


def _often(rows: Matrix, ranks: Floats, target: Target, seed: int) -> Floats:
    """How often each column is chosen, shape (f,): stability selection (Meinshausen and Bühlmann 2010, Journal of the
    Royal Statistical Society B 72(4)) by complementary halves (Shah and Samworth 2013, B 75(1)).

    The halves are of whole blocks of time, so that what tells in one block alone is not chosen. In each half two
    rankings choose: the column on its own, and the gain that it brings to boosted trees, which see interactions that no
    column shows alone. What counts is the ranking that chooses the column more often.
    """
    by_own, by_gain = list[Bools](), list[Bools]()
    for number, half in enumerate(_halves(target, seed)):
        part, known = rows.take(half), target.take(half)
        by_own.append(_first(_relevance(part, ranks[half], known)))
        if number < GAINED:
            by_gain.append(_first(measure_gains(part, known, seed + number)))
    none = np.zeros(len(rows.names))
    return np.fmax(np.mean(by_own, axis=0) if by_own else none, np.mean(by_gain, axis=0) if by_gain else none)


def _first(value: Floats) -> Bools:
    """The `CHOSEN` columns that tell most, of those that tell anything."""
    return np.asarray((_place(value) < CHOSEN) & (value > 0))


def _halves(target: Target, seed: int) -> list[npt.NDArray[np.int64]]:
    """Row numbers of halves of the blocks of time, drawn at random, and of the other halves."""
    random = np.random.default_rng(seed)
    block = np.arange(len(target)) * BLOCKS // len(target)
    halves = []
    for _ in range(PAIRS):
        chosen = np.isin(block, random.permutation(BLOCKS)[: BLOCKS // 2])
        halves += [np.flatnonzero(chosen), np.flatnonzero(~chosen)]
    return [half for half in halves if not target.classes or np.sort(target.take(half).counts)[-2] >= 3]


def _unusable(matrix: Matrix, share: npt.NDArray[np.floating]) -> dict[str, str]:
    low, high = np.fmin.reduce(matrix.values, axis=0), np.fmax.reduce(matrix.values, axis=0)
    reasons = {}
    for place, name in enumerate(matrix.names):
        if share[place] > MAX_MISSING:
            reasons[name] = f"missing in {share[place]:.1%} of the rows"
        elif low[place] == high[place] and share[place] < RANK_MISSING:
            reasons[name] = "constant"
    return reasons


def _sample(target: Target) -> npt.NDArray[np.int64]:
    """Rows that decide, in order: all of them, or up to half of them of the rarer class and the rest evenly spread."""
    if len(target) <= SAMPLE:
        return np.arange(len(target))
    if not target.classes:
        return _evenly(np.arange(len(target)), SAMPLE)
    positive, negative = np.flatnonzero(target.values > 0), np.flatnonzero(target.values == 0)
    rarer, other = sorted((positive, negative), key=len)
    rarer = _evenly(rarer, SAMPLE // 2)
    return np.sort(np.concatenate([rarer, _evenly(other, SAMPLE - len(rarer))]))


def _evenly(rows: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    if len(rows) <= count:
        return rows
    return rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)]


def _ranks(values: npt.NDArray[np.float32]) -> Floats:
    """Average rank of each value among the measured ones of its column; NaN where missing. Shape as `values`."""
    from scipy.stats import rankdata

    # The missing come last: the others keep their ranks.
    ranks = rankdata(np.where(np.isnan(values), np.inf, values), axis=0)
    ranks[np.isnan(values)] = np.nan
    return np.asarray(ranks, dtype=np.float64)


def _duplicates(rows: Matrix, ranks: Floats, share: Floats) -> dict[str, str]:
    """Columns whose ranks nearly equal another's, which is less often missing. Ranks, so that no outlier decides."""
    centred = (ranks - (np.fmax.reduce(ranks, axis=0) + np.fmin.reduce(ranks, axis=0)) / 2).astype(np.float32)
    centred -= np.nan_to_num(np.nansum(centred, axis=0) / np.maximum((~np.isnan(centred)).sum(axis=0), 1))
    np.nan_to_num(centred, copy=False)
    norm = np.sqrt((centred**2).sum(axis=0))
    centred /= np.where(norm > 0, norm, 1)
    near = np.abs(centred.T @ centred) > MAX_CORRELATION
    for place in rows.categorical:  # codes have no order
        near[place] = near[:, place] = False
    found: dict[str, str] = {}
    for place in np.argsort(share, kind="stable"):
        if rows.names[place] not in found:
            for other in np.flatnonzero(near[place]):
                if other != place:
                    found.setdefault(rows.names[other], f"near-duplicate of {rows.names[place]}")
    return found


def _relevance(rows: Matrix, ranks: Floats, target: Target) -> Floats:
    """How far each column is from telling nothing of the target, in standard errors, shape (f,).

    Of several classes, the most that it tells of any one; of values, what it tells of their ranks.
    """
    if target.kind == "binary":
        return _of_class(rows, ranks, target.values)
    if target.kind == "multiclass":
        each = [_of_class(rows, ranks, target.values == place) for place in range(len(target.classes))]
        return np.asarray(np.max(each, axis=0), dtype=np.float64)
    return _of_values(rows, ranks, target.values)


def _of_values(rows: Matrix, ranks: Floats, values: Floats) -> Floats:
    """Numbers: the larger of two rank correlations (Spearman 1904), of the values and of being missing, over their
    standard error. Categories: the rank analysis of variance of Kruskal and Wallis 1952, brought to the normal scale.
    """
    from scipy.stats import rankdata

    order = rankdata(values)
    missing = np.isnan(ranks)
    relevance = np.fmax(_correlation(ranks, order), _correlation(missing.astype(np.float64), order))
    for place in rows.categorical:
        codes = np.nan_to_num(rows.values[:, place], nan=len(rows.categories[rows.names[place]])).astype(np.int64)
        count = np.bincount(codes)
        mean = np.bincount(codes, weights=order)[count > 0] / count[count > 0]
        between = float((count[count > 0] * (mean - order.mean()) ** 2).sum()) / float(order.var() or 1.0)
        relevance[place] = _normal(between, len(mean) - 1)
    return relevance


def _correlation(ranks: Floats, order: Floats) -> Floats:
    known = ~np.isnan(ranks)
    rows = np.maximum(known.sum(axis=0), 1)
    own = np.where(known, ranks - np.nansum(ranks, axis=0) / rows, 0.0)
    other = np.where(known, order[:, None] - (known * order[:, None]).sum(axis=0) / rows, 0.0)
    spread = np.sqrt((own**2).sum(axis=0) * (other**2).sum(axis=0))
    rho = (own * other).sum(axis=0) / np.where(spread > 0, spread, np.inf)
    return np.asarray(np.abs(rho) * np.sqrt(np.maximum(rows - 1, 0)), dtype=np.float64)


def _normal(chi: float, freedom: int) -> float:
    """A chi-squared value on the normal scale (Wilson and Hilferty 1931)."""
    if freedom <= 0:
        return 0.0
    spread = 2 / (9 * freedom)
    return float(max(0.0, ((chi / freedom) ** (1 / 3) - 1 + spread) / np.sqrt(spread)))


def _of_class(rows: Matrix, ranks: Floats, outcome: Bools) -> Floats:
    """Numbers: the larger of two rank tests (Mann and Whitney 1947, ties accounted for), of the values and of being
    missing. Categories, missing being one of them: chi-squared brought to the normal scale (Wilson and Hilferty 1931).
    """
    missing = np.isnan(ranks)
    relevance = np.fmax(_rank_test(ranks, outcome), _rank_test(missing.astype(np.float64), outcome))
    for place in rows.categorical:
        codes = np.nan_to_num(rows.values[:, place], nan=len(rows.categories[rows.names[place]])).astype(np.int64)
        count = np.bincount(codes)
        seen = np.bincount(codes, weights=outcome)[count > 0]
        expected = count[count > 0] * outcome.mean()
        chi = float(((seen - expected) ** 2 / expected).sum() / (1 - outcome.mean()))
        relevance[place] = _normal(chi, len(expected) - 1)
    return relevance


def _rank_test(ranks: Floats, outcome: Bools) -> Floats:
    known = ~np.isnan(ranks)
    rows = known.sum(axis=0)
    positives = known[outcome].sum(axis=0)
    mean = np.nansum(ranks, axis=0) / np.maximum(rows, 1)
    spread = np.nansum((ranks - mean) ** 2, axis=0)
    excess = np.nansum(ranks[outcome], axis=0) - positives * mean
    variance = positives * (rows - positives) / np.maximum(rows * (rows - 1.0), 1) * spread
    return np.asarray(np.abs(excess) / np.sqrt(np.where(variance > 0, variance, np.inf)), dtype=np.float64)


def _place(value: Floats) -> npt.NDArray[np.int64]:
    """Place of each value in descending order, from 0; equal values share the last of their places."""
    return np.asarray(len(value) - np.searchsorted(np.sort(value), value, side="left") - 1, dtype=np.int64)
