"""A member made of trees as SQL: the value of one leaf of each, added up."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rowcast.models.lightgbm_text import Tree, Trees
from rowcast.translate.dialects import Dialect
from rowcast.translate.rounding import find_reach

_ZERO = float(np.float32(1e-35))  # LightGBM takes numbers up to it, and down to minus it, for 0
_BELOW_ZERO = float(np.nextafter(np.float32(-1e-35), np.float32(-np.inf)))
_CATEGORY, _LEFT, _ZERO_IS_MISSING, _NAN_IS_MISSING = 1, 2, 4, 8


@dataclass(frozen=True)
class TreeWriter:
    """Writes trees whose column `place` is called `names[place]`; a category is its code."""

    dialect: Dialect
    names: Sequence[str]
    categories: Mapping[int, int]  # how many codes a categorical column has

    def write_sums(self, trees: Trees, score: int) -> list[str]:
        """Return the sum of the trees of one raw score, in as many parts as the dialect needs, in the trees' order."""
        written = [self.write(tree) for tree in trees.trees[score :: trees.scores]]
        together = self.dialect.trees_together
        return [" + ".join(written[start : start + together]) for start in range(0, len(written), together)]

    def write(self, tree: Tree) -> str:
        """Return the value of the leaf that a row falls into."""
        if not len(tree.feature):
            return self.dialect.number(float(tree.leaf_value[0]))
        return self._nested(tree, 0, self.dialect.nesting)

    def _nested(self, tree: Tree, node: int, room: int) -> str:
        """CASE in CASE, which looks at few conditions of a row; below the last level that nests, leaf by leaf."""
        if node < 0:
            return self.dialect.number(float(tree.leaf_value[-node - 1]))
        if room == 1:
            pairs = list(self._flat(tree, node, ()))
            return self.dialect.case(pairs[:-1], pairs[-1][1])
        left, right = (self._nested(tree, int(child), room - 1) for child in (tree.left[node], tree.right[node]))
        return f"CASE WHEN {self._goes_left(tree, node)} THEN {left} ELSE {right} END"

    def _flat(self, tree: Tree, node: int, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        """Leaves from left to right, each with the conditions under which rows turn left on the way to it.

        Those of the right turns hold by then: the leaves to the left have taken every other row.
        """
        if node < 0:
            yield " AND ".join(path) or "1 = 1", self.dialect.number(float(tree.leaf_value[-node - 1]))
            return
        yield from self._flat(tree, int(tree.left[node]), (*path, self._goes_left(tree, node)))
        yield from self._flat(tree, int(tree.right[node]), path)

    def _goes_left(self, tree: Tree, node: int) -> str:
        """The condition of going left; one that is NULL counts as not met."""
        place, how, bound = int(tree.feature[node]), int(tree.decision[node]), float(tree.threshold[node])
        name = self.names[place]
        if how & _CATEGORY:
            codes = [code for code in _codes(tree, int(bound)) if code < self.categories.get(place, 0)]
            return f"{name} IN ({', '.join(map(str, codes))})" if codes else "1 = 0"
        below = self._is_at_most(name, bound)
        if how & _ZERO_IS_MISSING:
            zero = f"{self._is_at_most(name, _ZERO)} AND NOT {self._is_at_most(name, _BELOW_ZERO)}"
            return f"({below} OR {name} IS NULL OR {zero})" if how & _LEFT else f"({below} AND NOT ({zero}))"
        missing_goes_left = bool(how & _LEFT) if how & _NAN_IS_MISSING else bound >= 0
        return f"({below} OR {name} IS NULL)" if missing_goes_left else below

    def _is_at_most(self, name: str, bound: float) -> str:
        if -_ZERO <= bound <= _ZERO:
            bound = _ZERO if bound >= 0 else _BELOW_ZERO
        reach = find_reach(bound)
        if isinstance(reach, bool):
            return f"{name} IS NOT NULL" if reach else "1 = 0"
        operator, border = reach
        return f"{name} {operator} {self.dialect.number(border)}"


def _codes(tree: Tree, place: int) -> Iterator[int]:
    """The codes of a set of categories."""
    words = tree.bits[int(tree.bounds[place]) : int(tree.bounds[place + 1])]
    for number, word in enumerate(words.tolist()):
        yield from (32 * number + bit for bit in range(32) if word >> bit & 1)
