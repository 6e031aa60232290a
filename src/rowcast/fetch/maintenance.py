"""Maintenance of the tools, as a table or view of the source database tells it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import pyarrow as pa
import sqlalchemy as sa

from rowcast import config
from rowcast.database import Column
from rowcast.errors import SourceError
from rowcast.source import Days, Source, find_column, make_missing_table_error
from rowcast.store.reading.daily_sums import CHUNK, select_day, select_text


@dataclass(frozen=True)
class Maintenance:
    """The table or view of the source database that tells when something was done to the tools."""

    source: Source
    settings: config.Monitor

    @cached_property
    def _columns(self) -> dict[str, Column]:
        """The columns that the config names. Raises SourceError."""
        db, table = self.source.db, str(self.settings.events)
        relation = db.admin.describe(table, None)
        if relation is None:
            raise make_missing_table_error(db, table, "monitor.events")
        found = {}
        for setting in ("event_time", "event_group", "event_what"):
            name = getattr(self.settings, setting)
            if name is not None:
                found[setting] = find_column(relation, name, f"{table} in {db.safe_url}", f"monitor.{setting}")
        if found["event_time"].kind == "category" and db.dialect.name != "sqlite":
            raise SourceError(
                f"the time column '{found['event_time'].name}' of {table} is text", hint="use a view that casts it"
            )
        return found

    @cached_property
    def _table(self) -> sa.TableClause:
        schema, name = self.source.db.admin.split_name(str(self.settings.events))
        return sa.table(name, *[sa.column(column.name) for column in self._columns.values()], schema=schema)

    def count_timeless(self) -> int:
        """Return how many events have no time that can be read: no chart shows them."""
        dated = self.source.db.sql.has_event_time(self._columns["event_time"])
        counted = sa.select(sa.func.count().label("n")).select_from(self._table).where(sa.not_(dated))
        return int(self.source.db.scalar(counted))

    def fetch_by_day(self, days: Days, until: datetime) -> Iterator[pa.RecordBatch]:
        """Yield what was done by `day`, its number, and by `part`, the group: `rows` events, one of them `what`."""
        db, zone, columns = self.source.db, self.source.settings.timezone, self._columns
        time, group, what = (columns.get(f"event_{name}") for name in ("time", "group", "what"))
        assert time is not None
        day = select_day(self.source, db.sql.event_time(time, zone), days, until).label("day")
        said = select_text(self.source, what).label("what")
        chosen = sa.select(day, select_text(self.source, group).label("part"), said).select_from(self._table)
        each = chosen.where(db.sql.event_time_between(time, zone, days.start, until)).subquery("each")
        sums = [sa.func.count().label("rows"), sa.func.min(each.c.what).label("what")]
        return db.stream(sa.select(each.c.day, each.c.part, *sums).group_by(each.c.day, each.c.part), CHUNK)
