"""The members of a model as SQL, and their average: a row's raw scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rowcast.errors import ModelError
from rowcast.models.artifact import Member, Model
from rowcast.models.estimators import SURE
from rowcast.models.lightgbm_text import parse_trees
from rowcast.translate.dialects import Dialect
from rowcast.translate.linear import LinearWriter
from rowcast.translate.trees import TreeWriter


@dataclass(frozen=True)
class RawScores:
    """Columns of three derived tables, one on top of the other; a name of each stands for its SQL."""

    parts: Mapping[str, str]  # of a row's columns
    own: Mapping[str, str]  # of the parts: each member's own scores
    raw: Mapping[str, str]  # of the own scores: those of the model


def write_raw_scores(
    model: Model, dialect: Dialect, names: Sequence[str], categories: Mapping[int, tuple[str, ...]]
) -> RawScores:
    """Return a model's raw scores, whose features are called `names`, with the known categories of some by place.

    Raise ModelError for an estimator that cannot be told in SQL.
    """
    parts: dict[str, str] = {}
    own: dict[str, str] = {}
    of_members: list[list[str]] = []
    for place, member in enumerate(model.members):
        found: list[str] = []
        for score, sums in enumerate(_write_member(model, member, dialect, names, categories)):
            own_parts = {f"m{place}_{score}_{part}": sum_ for part, sum_ in enumerate(sums)}
            parts |= own_parts
            found.append(f"m{place}_{score}")
            own[found[-1]] = " + ".join(own_parts)
        of_members.append(_of_all_classes(model, member, dialect, found))
    return RawScores(parts, own, _average(model, dialect, of_members))


def _write_member(
    model: Model,
    member: Member,
    dialect: Dialect,
    names: Sequence[str],
    categories: Mapping[int, tuple[str, ...]],
) -> list[list[str]]:
    """The parts of each score that the member's estimator gives."""
    if member.engine == "sklearn":
        kind = type(member.estimator).__name__
        raise ModelError(
            f"the model has an estimator of your own ({kind}), which cannot be told in SQL",
            hint="'rowcast retrain' without [model] estimator makes one that can",
            about=kind,
        )
    if member.engine == "linear":
        writer = LinearWriter(dialect, member.estimator, model.features, names, categories)
        return [[sum_] for sum_ in writer.write_sums()]
    trees = parse_trees(member.estimator.model_to_string())
    of_trees = TreeWriter(dialect, names, {place: len(known) for place, known in categories.items()})
    return [of_trees.write_sums(trees, score) for score in range(trees.scores)]


def _of_all_classes(model: Model, member: Member, dialect: Dialect, found: list[str]) -> list[str]:
    """A score of each class, from those of the classes that an estimator has seen."""
    if model.kind != "multiclass":
        turned = model.kind == "binary" and member.order and member.order[1] != 1
        return [f"(-{found[0]})" if turned else found[0]]
    classes = len(model.classes)
    seen = list(member.order) or list(range(classes))
    if member.engine == "linear":
        seen = np.asarray(member.estimator[-1].classes_).tolist()
    if len(found) == 1 and len(seen) == 2:  # one log-odds stands for both
        found = [dialect.number(0.0), found[0]]
    unseen = f"({dialect.least(found)} + {dialect.number(float(np.log(SURE)))})"
    return [found[seen.index(place)] if place in seen else unseen for place in range(classes)]


def _average(model: Model, dialect: Dialect, of_members: list[list[str]]) -> dict[str, str]:
    if len(of_members) == 1:
        return {f"raw{score}": sql for score, sql in enumerate(of_members[0])}
    found: dict[str, str] = {}
    for score in range(len(of_members[0])):
        lines = [
            f"({dialect.number(member.slope)} * {own[score]} + "
            f"{dialect.number(member.intercept[score if model.kind == 'multiclass' else 0])})"
            for member, own in zip(model.members, of_members, strict=True)
        ]
        found[f"raw{score}"] = f"({' + '.join(lines)}) / {dialect.number(float(len(lines)))}"
    return found
