"""Source rows that the store holds something about, walked in key order beside what it holds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from rowcast.database import Column, RawType
from rowcast.fetch.pending import Pending, taken
from rowcast.fetch.source import Fetched, key_values, store_key
from rowcast.ledger import Job

_CHUNK = 50_000  # source rows that are looked at together


@dataclass(frozen=True)
class Stored:
    """Some source rows, keys included, and for each what the store holds about it."""

    fetched: Fetched
    rendered: pa.RecordBatch  # the keys as text that the source rendered
    held: list[dict[str, Any]]


def walk(
    pending: Pending,
    own: sa.Table,
    batch: sa.Table,
    wanted: Sequence[sa.ColumnElement[Any]],
    columns: Sequence[Column],
    job: Job,
    of_own: Sequence[sa.ColumnElement[bool]] = (),
    of_source: Sequence[sa.ColumnElement[bool]] = (),
) -> Iterator[Stored]:
    """Rows in scope that `own` holds, with these `columns` of the source, and the `wanted` ones of `own` and `batch`.

    `of_own` and `of_source` are conditions on either side.
    """
    source, last = pending.source, None
    if not job.has_scope:
        return
    while True:
        table = source.table()
        parts = [source.own_key(table, of_source), source.in_scope(job), *of_source]
        if last is not None:
            parts.append(source.after_key(last))
        if pending.together:
            same = [table.c[c.name] == own.c[c.name] for c in source.key]
            parts.append(sa.exists(sa.select(sa.literal(1)).select_from(own).where(*same, *of_own)))
        features = [source.db.feature(c).label(c.name) for c in columns]
        chosen = [*key_values(source, pending.store), *features, *source.rendered_keys()]
        statement = source.select(*chosen, table=table).where(*parts).order_by(*source.keys(table))
        fetched = Fetched(*source.db.read(statement, {c.name: c.kind for c in columns}, _CHUNK))
        rendered = fetched.rows.select([f"rendered_{place}" for place in range(len(source.key))])
        held = _held(pending, own, batch, wanted, fetched.rows, of_own)
        places = np.array([row.pop("place") for row in held], dtype=np.int64)
        if held:
            yield Stored(taken(fetched, places), rendered.take(pa.array(places)), held)
        if fetched.rows.num_rows < _CHUNK:
            return
        last = tuple(str(value) for value in rendered.slice(rendered.num_rows - 1).to_pylist()[0].values())


def _held(
    pending: Pending,
    own: sa.Table,
    batch: sa.Table,
    wanted: Sequence[sa.ColumnElement[Any]],
    rows: pa.RecordBatch,
    of_own: Sequence[sa.ColumnElement[bool]],
) -> list[dict[str, Any]]:
    """What the store holds about these rows, with their places, in their order."""
    keys = [sa.Column(c.name, RawType(c.type)) for c in store_key(pending.source, pending.store)]
    staged = pending.store.temporary("rowcast_walked", *keys, sa.Column("place", sa.BigInteger))
    chosen = rows.select([c.name for c in keys])
    pending.store.ingest(staged, chosen.append_column("place", pa.array(np.arange(rows.num_rows))))
    joined = staged.join(own, sa.and_(*[staged.c[c.name] == own.c[c.name] for c in keys]))
    joined = joined.join(batch, batch.c.batch_id == own.c.batch_id)
    statement = sa.select(staged.c.place, *wanted).select_from(joined).where(*of_own)
    return pending.store.rows(statement.order_by(staged.c.place))
