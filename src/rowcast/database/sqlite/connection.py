"""SQLite through ADBC: the embedded default.

The driver brings its own SQLite. A second SQLite library in the same process (Python's sqlite3) would drop this one's
file locks, so every statement on the file goes through here.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal

import adbc_driver_sqlite.dbapi as driver
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from rowcast.contract import Misfit
from rowcast.database.adbc import AdbcConnection, first_line
from rowcast.database.driver import Result, to_batch
from rowcast.database.known_errors import match_error
from rowcast.database.mixed_keys import MixedType, make_mixed_keys_error, split_mixed
from rowcast.database.protocols import Admin
from rowcast.database.relation import ColumnKind, RawType
from rowcast.database.sqlite.access import describe_lacking
from rowcast.database.sqlite.admin import SQLiteAdmin
from rowcast.database.sqlite.expressions import SQLiteExpressions
from rowcast.database.sqlite.known_errors import KNOWN_ERRORS
from rowcast.database.sqlite.misfits import cast_columns, decode_texts, find_torn, replace_torn, select_fitting
from rowcast.database.sqlite.mixed import (
    add_classes,
    assemble,
    find_keys,
    find_mixed,
    is_bare,
    select_parts,
    take_classes,
)
from rowcast.database.sqlite.nulls import fill_nulls, restore_nulls
from rowcast.errors import ConfigError, DatabaseError
from rowcast.signals import is_stopping

_BATCH_ROWS = "adbc.sqlite.query.batch_rows"
_WAIT, _PATIENCE = 1.0, 30.0  # seconds that SQLite waits for a lock, and that are waited in all
_TORN_TOGETHER = 500  # columns that are read twice over: SQLite gives no more than 2,000 in a result
_MAY_NOT = "readonly database"
_OTHER_TYPE = "Type mismatch in column"  # what the driver says where later rows are not of the first ones' type


class SQLiteConnection(AdbcConnection):
    """One SQLite file."""

    temporary_schema = "temp"
    # The driver takes a column's type from the first batch: what is NULL there may be a text further on.
    cursor_options: ClassVar[dict[str, str] | None] = {_BATCH_ROWS: "1000000"}

    def __init__(self, url: sa.URL, *, create: bool = False) -> None:
        if not url.database or url.database == ":memory:":
            raise ConfigError("an in-memory SQLite database keeps nothing", hint="name a file: sqlite:///fab.db")
        path = self._path = Path(url.database)
        self.safe_url = self.recorded_url = f"sqlite:///{path}"
        self.sql = SQLiteExpressions()
        if create:
            _make_folder(path.parent)
            _make_file(path)
        elif not path.is_file():
            raise DatabaseError(
                f"there is no SQLite file {path}",
                hint="relative paths start at the folder of rowcast.toml",
                reason="missing",
            )
        quoted = str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
        self._file = f"file:{quoted}?mode={'rwc' if create else 'rw'}"
        self._is_frozen = False
        try:
            self.open()
        except DatabaseError as error:
            log = Path(f"{path}-wal")
            if error.reason != "full" or (log.exists() and log.stat().st_size):
                raise
            # Even a reader needs room beside the file, for an index of its log. Without a log the file is whole, and
            # nobody who could change it can begin to: it is read as it is, so that people can see how things stand.
            self._is_frozen = True
            self._file = f"file:{quoted}?mode=ro&immutable=1"
            self.open()

    def _make_admin(self) -> Admin:
        return SQLiteAdmin(self, self._path)

    def _connect(self) -> driver.Connection:
        try:
            return driver.connect(self._file, autocommit=True)
        except driver.Error as error:
            raise DatabaseError(
                f"{self.safe_url} cannot be opened",
                hint=describe_lacking(self._path) or "the file or its folder may not be read by this user",
                reason="unreachable",
            ) from error

    def _prepare(self) -> None:
        self.query(f"PRAGMA busy_timeout = {int(_WAIT * 1000)}")
        self.query("PRAGMA schema_version")  # reads the file: it may not be SQLite
        if self._is_frozen:
            self.query("PRAGMA temp_store = MEMORY")

    def _retry_locked(self, call: Callable[[], Result]) -> Result:
        # SQLite's own waiting cannot be interrupted, so it is kept short and repeated.
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return call()
            except DatabaseError as error:
                if error.reason != "locked" or time.monotonic() > deadline or is_stopping():
                    raise
                time.sleep(0.02)

    def _execute(self, cursor: driver.Cursor, statement: sa.Executable) -> None:
        try:
            super()._execute(cursor, statement)
        except DatabaseError:
            if cursor is self._cursor:  # it keeps the values bound to it, and would not take even a ROLLBACK
                self._cursor = self._running = self._new_cursor()
                cursor.close()
            raise

    def _begin(self, kind: Literal["write", "snapshot"]) -> list[str]:
        return ["BEGIN IMMEDIATE" if kind == "write" else "BEGIN"]

    # Reading and writing

    def read(
        self, statement: sa.Select[Any], columns: Mapping[str, ColumnKind], most: int
    ) -> tuple[pa.RecordBatch, list[Misfit]]:
        # All rows in one driver batch: the driver takes a column's type from the first batch.
        options, keys = {_BATCH_ROWS: str(most + 1)}, find_keys(statement)
        sql = self.compile_literal(add_classes(statement, keys).limit(most))
        table, classes = take_classes(self.query(sql, options), keys)
        if found := find_mixed(statement, classes):
            if not is_bare(statement, found):
                raise make_mixed_keys_error(found)
            table = assemble(self.query(self.compile_literal(select_parts(statement, keys).limit(most)), options))
        misfits: list[Misfit] = []
        torn = find_torn(table, columns)
        names = list(torn) if len(table) else []
        for start in range(0, len(names), _TORN_TOGETHER):
            some = {name: torn[name] for name in names[start : start + _TORN_TOGETHER]}
            sql = self.compile_literal(select_fitting(statement.limit(most), some))
            fitting = self.query(sql, {_BATCH_ROWS: str(len(table) + 1)})
            table = replace_torn(table, fitting, some, misfits)
        table = cast_columns(table, columns)
        for name, kind in columns.items():
            if kind == "category":
                table = decode_texts(table, name, misfits)
        return to_batch(table), misfits

    def stream(self, statement: sa.Select[Any], chunk: int, *, exact: bool = False) -> Iterator[pa.RecordBatch]:
        keys = find_keys(statement)
        if exact:
            for rows in self._read_batches(select_parts(statement, keys), chunk):
                yield to_batch(assemble(pa.Table.from_batches([rows])))
            return
        seen: dict[str, set[int]] = {name: set() for name in keys}
        try:
            for rows in self._read_batches(add_classes(statement, keys), chunk):
                table, classes = take_classes(pa.Table.from_batches([rows]), keys)
                for name in keys:
                    seen[name] |= classes[name]
                if found := find_mixed(statement, seen):
                    raise make_mixed_keys_error(found)
                yield to_batch(table)
        except DatabaseError as error:
            if keys and _OTHER_TYPE in error.detail:
                raise make_mixed_keys_error(next(iter(keys))) from error
            raise

    def _read_batches(self, statement: sa.Select[Any], chunk: int) -> Iterator[pa.RecordBatch]:
        sql = self.compile_literal(fill_nulls(statement, self.dialect))
        cursor = self._guard(lambda: self._connection.cursor(adbc_stmt_kwargs={_BATCH_ROWS: str(chunk)}))
        try:
            self._guard(lambda: cursor.execute(sql))
            reader = self._guard(cursor.fetch_record_batch)
            while (batch := self._next(reader)) is not None:
                yield to_batch(restore_nulls(pa.Table.from_batches([batch])))
        finally:
            self._guard(cursor.close)

    def ingest(self, table: sa.Table, rows: pa.RecordBatch | pa.Table) -> None:
        if not rows.num_rows:
            return
        if any(isinstance(field.type, MixedType) for field in rows.schema):
            self._ingest_mixed(table, rows)
            return
        data = pa.table(
            {
                name: _format_times(column) if pa.types.is_timestamp(column.type) else column
                for name, column in zip(rows.schema.names, rows.columns, strict=True)
            }
        )
        temporary = "temporary" in table.info
        self._guard(lambda: self._cursor.adbc_ingest(table.name, data, mode="append", temporary=temporary))

    def _ingest_mixed(self, table: sa.Table, rows: pa.RecordBatch | pa.Table) -> None:
        """By way of a table whose columns declare no type, since such a column changes no value."""
        plain: dict[str, Any] = {}
        chosen: list[sa.ColumnElement[Any]] = []
        for place, name in enumerate(rows.schema.names):
            column = rows.column(name)
            if isinstance(column.type, MixedType):
                whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
                parts = {f"c{place}_{part}": values for part, values in split_mixed(whole).items()}
            else:
                parts = {f"c{place}": column}
            plain |= parts
            columns: list[sa.ColumnElement[Any]] = [sa.column(part) for part in parts]
            chosen.append(columns[0] if len(columns) == 1 else sa.func.coalesce(*columns))
        between = self.create_temporary("rowcast_mixed", *[sa.Column(name, RawType("")) for name in plain])
        self.ingest(between, pa.table(plain))
        schema = "temp" if "temporary" in table.info else None
        into = sa.Table(table.name, sa.MetaData(), *[sa.Column(name) for name in rows.schema.names], schema=schema)
        self.execute(into.insert().from_select(rows.schema.names, sa.select(*chosen).select_from(between)))

    def now(self) -> datetime:
        text = self.query("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now') AS now").column(0)[0].as_py()
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    def translate_error(self, error: Exception) -> DatabaseError:
        known = match_error(KNOWN_ERRORS, "disk is full" if self._is_frozen and _MAY_NOT in str(error) else str(error))
        lacking = describe_lacking(self._path) if known.reason in ("rights", "unreachable") else ""
        return DatabaseError.of_driver(
            self.safe_url, first_line(error), hint=lacking or known.hint, reason=known.reason
        )


def _format_times(moments: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return times as ISO 8601; a batch's rows share most of them, and each is spelled once."""
    whole = moments.combine_chunks() if isinstance(moments, pa.ChunkedArray) else moments
    encoded = whole.dictionary_encode()
    return pc.strftime(encoded.dictionary, "%Y-%m-%d %H:%M:%SZ").take(encoded.indices)


def _make_file(path: Path) -> None:
    """Make an empty file, which is an empty database, for its owner alone; one that is there stays as it is."""
    with contextlib.suppress(OSError):  # opening it says more
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(
            f"the folder {folder} cannot be made: {error.strerror}",
            hint="name another place in the url",
            reason="unreachable",
        ) from error
