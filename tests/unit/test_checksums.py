"""The checksum of a batch: what changes it, and what does not."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from rowcast.database import RawType
from rowcast.database.mixed_keys import join_parts, to_mixed
from rowcast.store.checksums import digest_rows, seal
from rowcast.store.tables import Instant

AT = datetime(2026, 5, 1, tzinfo=UTC)
OWN = sa.Table(
    "prediction",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True),
    *[sa.Column(name, sa.BigInteger, nullable=False) for name in ("run_id", "batch_id", "row_hash")],
    sa.Column("scored_at", Instant, nullable=False),
    sa.Column("score", sa.Double, nullable=False),
    sa.Column("predicted", sa.Text, nullable=False),
    sa.Column("threshold", sa.Double),
    sa.Column("uncertain", sa.Boolean),
    sa.Column("possible", sa.Text),
)
ROWS: dict[str, list[Any]] = {
    "id": [1, 2],
    "run_id": [3, 3],
    "batch_id": [4, 4],
    "row_hash": [-(2**63), 5],
    "scored_at": [AT, AT],
    "score": [0.25, 0.75],
    "predicted": ["ok", "ö"],
    "threshold": [0.5, None],
    "uncertain": [True, False],
    "possible": [None, ""],
}
OTHER = {
    **{"id": [1, 3], "run_id": [3, 2], "batch_id": [4, 5], "row_hash": [-(2**63), 6], "score": [0.25, 0.75 + 2**-52]},
    **{"scored_at": [AT, AT + timedelta(microseconds=1)], "predicted": ["ok", "o"], "threshold": [0.5, 0.0]},
    **{"uncertain": [True, None], "possible": [None, None]},
}


def digests(own: sa.Table = OWN, **changed: Any) -> list[bytes]:
    return digest_rows(own, pa.table({**ROWS, **changed}))


@pytest.mark.parametrize("column", OTHER)
def test_every_value_of_a_row_counts(column: str) -> None:
    first, second = digests()
    assert first != second
    changed = digests(**{column: OTHER[column]})
    assert (changed[0], changed[1] != second) == (first, True)


def test_values_that_change_their_columns_or_rows_are_seen() -> None:
    assert seal(digests(threshold=[None, 0.5], uncertain=[False, True])) != seal(digests())
    texts = [sa.Column(name, sa.Text) for name in ("a", "b")]
    own = sa.Table("t", sa.MetaData(), sa.Column("id", sa.BigInteger, primary_key=True), *texts)
    rows = [{"a": "x", "b": "y"}, {"a": "xb=1:y", "b": None}, {"a": None, "b": "y"}, {"a": "y", "b": None}]
    found = digest_rows(own, pa.table({"id": [1] * 4, **{name: [row[name] for row in rows] for name in "ab"}}))
    assert len(set(found)) == 4


def test_the_order_of_rows_does_not_count_and_their_number_does() -> None:
    first, second = digests()
    assert seal([second, first]) == seal([first, second])
    assert len({seal([]), seal([first]), seal([first, first]), seal([first, second])}) == 4


def test_a_column_that_is_added_changes_nothing_while_it_is_empty() -> None:
    own = OWN.to_metadata(sa.MetaData())
    own.append_column(sa.Column("later", sa.Text))
    assert digests(own, later=pa.nulls(2, pa.string())) == digests()
    assert digests(own, later=["a", None])[1] == digests()[1]


def test_it_is_equal_however_a_database_gives_the_values_back() -> None:
    as_sqlite = {"scored_at": ["2026-05-01 00:00:00.000000Z"] * 2, "uncertain": [1, 0]}
    assert digests(**as_sqlite) == digests()
    as_others = {"id": pa.array([1, 2], pa.int16()), "predicted": pa.array(["ok", "ö"], pa.large_string())}
    assert digests(**as_others, scored_at=pa.array([AT, AT], pa.timestamp("ns", "Europe/Berlin"))) == digests()
    assert digests(score=[-0.0, 0.75]) == digests(score=[0.0, 0.75])  # SQLite drops the sign of zero


def test_keys_count_by_type_and_value_alone_or_among_others() -> None:
    keys = {"integer": pa.array([1]), "real": pa.array([1.0]), "text": pa.array(["1"]), "blob": pa.array([b"1"])}
    found = {name: _of_key(key) for name, key in keys.items()}
    assert len({tuple(each) for each in found.values()}) == 4
    for name, key in keys.items():
        assert _of_key(to_mixed(key)) == found[name]
    parts = {}
    for place, (name, key) in enumerate(keys.items()):
        parts[name] = pa.array([key[0].as_py() if place == row else None for row in range(4)], key.type)
    assert _of_key(join_parts(parts, 4)) == [each[0] for each in found.values()]


def test_decimals_count_by_their_value() -> None:
    own = sa.Table("t", sa.MetaData(), sa.Column("id", RawType("numeric(12,3)"), primary_key=True))
    texts = ["1.100", "1.1", "100", "100.000", "0.010", "-7.0", "10", "1"]
    found = digest_rows(own, pa.table({"id": texts}))
    assert (found[0], found[2]) == (found[1], found[3])
    assert len(set(found)) == 6
    decimals = pa.array([Decimal(text) for text in texts], pa.decimal128(12, 3))
    assert digest_rows(own, pa.table({"id": decimals})) == found


def _of_key(key: Any) -> list[bytes]:
    own = sa.Table("t", sa.MetaData(), sa.Column("id", sa.Text, primary_key=True))
    return digest_rows(own, pa.table({"id": key}))
