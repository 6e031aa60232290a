"""How many rows a scope holds, and how many it leaves out."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from rowcast.source import Scope, Source


@dataclass(frozen=True)
class ScopeCounts:
    """The visible rows of a source by what a scope makes of them."""

    scope: Scope
    rows: int
    older: int  # from before scoring begins
    learned: int  # later ones that are left to training, since their label is known

    @property
    def scored(self) -> int:
        """Rows that are scored, or would be but for their key or a value."""
        return self.rows - self.older - self.learned


def count_scope(source: Source, now: datetime, scope: Scope) -> ScopeCounts:
    """Return how many visible rows lie in a scope that is fixed, or could be."""
    begun = sa.case((source.has_begun(scope), 1), else_=0)
    learned = sa.false() if scope.learned is None else source.could_be_learned(scope.learned)
    left = sa.case((sa.and_(source.has_begun(scope), learned), 1), else_=0)
    counts = {"rows": sa.func.count(), "begun": sa.func.sum(begun), "learned": sa.func.sum(left)}
    visible = [source.visible(now)] if source.time else []
    if source.time:
        visible.append(source.db.sql.has_event_time(source.time))
    found = source.db.rows(source.select(*[count.label(name) for name, count in counts.items()]).where(*visible))[0]
    rows, begun_rows, learned_rows = (int(found[name] or 0) for name in ("rows", "begun", "learned"))
    return ScopeCounts(scope, rows, rows - begun_rows, learned_rows)
