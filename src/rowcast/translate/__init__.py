"""A model as SQL: one SELECT over the source that gives the same score and the same decision as the model itself.

dialects.py     how each system writes numbers, texts and functions
columns.py      a row's values as the model sees them, and whether they keep the contract
trees.py        a member made of trees
linear.py       a linear member
members.py      their average
calibration.py  raw scores to score and decision
statement.py    the whole SELECT
"""

from rowcast.translate.dialects import DIALECTS, DialectName
from rowcast.translate.statement import SourceColumns, translate_model

__all__ = ["DIALECTS", "DialectName", "SourceColumns", "translate_model"]
