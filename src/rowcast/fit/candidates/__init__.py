"""What is tried: regularised linear models, extra trees and boosted trees, or a user's own estimator in their place."""

from functools import partial

from rowcast.fit.candidates.boosted_trees import (
    fit_boosted_trees,
    fit_few_boosted_trees,
    fit_large_boosted_trees,
)
from rowcast.fit.candidates.candidate import Candidate, FittedCandidate
from rowcast.fit.candidates.extra_trees import fit_extra_trees
from rowcast.fit.candidates.linear import fit_linear
from rowcast.fit.candidates.user import user_candidate
from rowcast.models.target import Kind

__all__ = ["Candidate", "FittedCandidate", "default_candidates", "small_candidates", "user_candidate"]

_STRENGTHS = (1000.0, 10.0)  # of the penalty on squared weights, strongest first


def default_candidates(kind: Kind, seed: int) -> list[Candidate]:
    """Return rowcast's own candidates, simplest first."""
    linear = "ridge" if kind == "regression" else "logistic"
    return [
        *[Candidate(f"{linear}, penalty {of:g}", partial(fit_linear, penalty=of)) for of in _STRENGTHS],
        Candidate("extra trees", partial(fit_extra_trees, seed=seed)),
        Candidate("boosted trees", partial(fit_boosted_trees, seed=seed)),
        Candidate("boosted trees, large", partial(fit_large_boosted_trees, seed=seed)),
    ]


def small_candidates(kind: Kind, seed: int) -> list[Candidate]:
    """Return those that are told in little SQL, simplest first: linear models, and 30 trees of 15 leaves."""
    few = Candidate("boosted trees, few", partial(fit_few_boosted_trees, seed=seed))
    return [*default_candidates(kind, seed)[: len(_STRENGTHS)], few]
