"""Comparisons of keys as the database itself orders them.

Not every system compares row values, so composite keys are expanded; the outer comparison lets an index serve.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import operators

Values = Sequence[sa.ColumnElement[Any]]


def equal(one: sa.ColumnElement[Any], other: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Return one = other, in this order: SQLite uses the collation of the first, and `==` may turn them round."""
    return one.operate(operators.eq, other)


def at_least(keys: Values, low: Values) -> sa.ColumnElement[bool]:
    """Return keys >= low in key order."""
    if len(keys) == 1:
        return keys[0] >= low[0]
    return sa.and_(keys[0] >= low[0], sa.or_(keys[0] > low[0], at_least(keys[1:], low[1:])))


def at_most(keys: Values, high: Values) -> sa.ColumnElement[bool]:
    """Return keys <= high in key order."""
    if len(keys) == 1:
        return keys[0] <= high[0]
    return sa.and_(keys[0] <= high[0], sa.or_(keys[0] < high[0], at_most(keys[1:], high[1:])))


def after(keys: Values, bound: Values) -> sa.ColumnElement[bool]:
    """Return keys > bound in key order."""
    if len(keys) == 1:
        return keys[0] > bound[0]
    return sa.and_(keys[0] >= bound[0], sa.or_(keys[0] > bound[0], after(keys[1:], bound[1:])))
