"""A model as SQL: one SELECT over the source that gives the same score and the same decision as the model itself.

dialects.py     how each system writes numbers, texts and functions
columns.py      a row's values as the model sees them, and whether they keep the contract
trees.py        a member made of trees
linear.py       a linear member
members.py      their average
calibration.py  raw scores to score and decision
certainty.py    how sure it is
statement.py    the whole SELECT
scoring.py      the SELECT whose rows the ledger publishes
"""

from rowcast.translate.dialects import DIALECTS, DialectName
from rowcast.translate.scoring import DECIDED, FLAGGED, KEPT, SLOT, Counted, HashedColumn, translate_scoring
from rowcast.translate.statement import SourceColumns, translate_model

__all__ = [
    "DECIDED",
    "DIALECTS",
    "FLAGGED",
    "KEPT",
    "SLOT",
    "Counted",
    "DialectName",
    "HashedColumn",
    "SourceColumns",
    "translate_model",
    "translate_scoring",
]
