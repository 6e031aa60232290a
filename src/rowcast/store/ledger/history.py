"""Published rows that are to be scored once more are moved to the history."""

from typing import Any

import sqlalchemy as sa

from rowcast.store.ledger.part import have_key_of
from rowcast.store.ledger.shadow import ShadowRows
from rowcast.store.tables import Instant


class History(ShadowRows):
    """Earlier rows of the prediction and the quarantine table."""

    def move_to_history(self, own: sa.Table, keys: sa.Table) -> int:
        """Take rows out of the prediction or the quarantine table, so that they are pending again; return how many."""
        history = self.own.history
        self._index(keys)
        theirs = have_key_of(own, keys)
        count: int = self.db.scalar(sa.select(sa.func.count()).select_from(own).where(theirs))
        was, at = ("scored", "scored_at") if own is self.own.prediction else ("quarantined", "quarantined_at")
        values: dict[str, Any] = {column.name: column for column in own.c if column.name in history.c}
        values |= {"was": sa.literal(was, sa.Text), "since": own.c[at], "until": sa.literal(self.db.now(), Instant)}
        moved = sa.select(*[value.label(name) for name, value in values.items()]).where(theirs)
        self.db.execute(history.insert().from_select(list(values), moved))
        self.db.execute(own.delete().where(theirs))
        if own is self.own.prediction:  # what versions in the shadow scored goes with it
            self._remove_shadow(have_key_of(self.own.shadow, keys))
        return count
