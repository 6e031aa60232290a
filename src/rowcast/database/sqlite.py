"""SQLite through ADBC: the embedded default.

The driver brings its own SQLite. A second SQLite library in the same process (Python's sqlite3) would drop this one's
file locks, so every statement on the file goes through here. Times are text (ISO 8601) or Unix seconds, compared to
the millisecond.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo

import adbc_driver_sqlite.dbapi as driver
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from rowcast.contract import Misfit
from rowcast.database import LARGEST, Column, ColumnKind, RawType, Relation, bracketed
from rowcast.database.adbc import Adbc, first_line
from rowcast.database.connection import Result, as_batch
from rowcast.database.mixed import Mixed, parts_of, refusal
from rowcast.database.sqlite_keys import Key, assembled, in_parts, is_bare, keys_of, mixed_in, told, with_classes
from rowcast.errors import ConfigError, DatabaseError
from rowcast.signals import is_stopping

_BATCH_ROWS = "adbc.sqlite.query.batch_rows"
_RENDERED = re.compile(
    r"-?\d+(\.\d+)?(e[+-]?\d+)?|'([^']|'')*'|X'[0-9A-F]*'|CAST\(X'[0-9A-F]*' AS TEXT\)", re.DOTALL | re.IGNORECASE
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST, _LAST = -62135510400, 253402214400  # Unix seconds that Python can hold, and a day at each end for time zones
_WAIT, _PATIENCE = 1.0, 30.0  # seconds that SQLite waits for a lock, and that are waited in all
_SAMPLE = 1000  # rows looked at where a column declares no type
_OTHER_TYPE = "Type mismatch in column"  # what the driver says where later rows are not of the first ones' type


class SQLite(Adbc):
    """One SQLite file."""

    temporary_schema = "temp"
    # The driver takes a column's type from the first batch: what is NULL there may be a text further on.
    cursor_options: ClassVar[dict[str, str] | None] = {_BATCH_ROWS: "1000000"}

    def __init__(self, url: sa.URL, *, create: bool = False) -> None:
        if not url.database or url.database == ":memory:":
            raise ConfigError("an in-memory SQLite database keeps nothing", hint="name a file: sqlite:///fab.db")
        path = Path(url.database)
        self.shown = f"sqlite:///{path}"
        self.dialect = sqlite.dialect(paramstyle="qmark")
        preparer = self.dialect.identifier_preparer
        preparer.reserved_words = preparer.reserved_words | {"nothing", "returning"}  # SQLAlchemy does not know them
        if create:
            _make_folder(path.parent)
        elif not path.is_file():
            raise DatabaseError(
                f"there is no SQLite file {path}",
                hint="relative paths start at the folder of rowcast.toml",
                reason="missing",
            )
        quoted = str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
        self._file = f"file:{quoted}?mode={'rwc' if create else 'rw'}"
        self.open()

    def _connect(self) -> driver.Connection:
        try:
            return driver.connect(self._file, autocommit=True)
        except driver.Error as error:
            raise DatabaseError(
                f"{self.shown} cannot be opened",
                hint="the file or its folder may not be read by this user",
                reason="unreachable",
            ) from error

    def _prepare(self) -> None:
        self.arrow(f"PRAGMA busy_timeout = {int(_WAIT * 1000)}")
        self.arrow("PRAGMA schema_version")  # reads the file: it may not be SQLite

    def _patiently(self, call: Callable[[], Result]) -> Result:
        # SQLite's own waiting cannot be interrupted, so it is kept short and repeated.
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return call()
            except DatabaseError as error:
                if error.reason != "locked" or time.monotonic() > deadline or is_stopping():
                    raise
                time.sleep(0.02)

    def _run(self, cursor: driver.Cursor, statement: sa.Executable) -> None:
        try:
            super()._run(cursor, statement)
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
        options, keys = {_BATCH_ROWS: str(most + 1)}, keys_of(statement)
        table, classes = told(self.arrow(self.literal(with_classes(statement, keys).limit(most)), options), keys)
        if found := mixed_in(statement, classes):
            if not is_bare(statement, found):
                raise refusal(found)
            table = assembled(self.arrow(self.literal(in_parts(statement, keys).limit(most)), options))
        misfits: list[Misfit] = []
        torn = {name: kind for name, kind in columns.items() if _is_torn(kind, table.schema.field(name).type)}
        if torn and len(table):
            table = self._mended(statement.limit(most), table, torn, misfits)
        for place, field in enumerate(table.schema):
            wanted = _wanted(columns.get(field.name), field.type)
            if wanted is not None:
                table = table.set_column(place, field.name, table.column(place).cast(wanted))
        for name, kind in columns.items():
            if kind == "category":
                table = _decoded(table, name, misfits)
        return as_batch(table), misfits

    def _mended(
        self, statement: sa.Select[Any], table: pa.Table, torn: Mapping[str, ColumnKind], misfits: list[Misfit]
    ) -> pa.Table:
        """Read columns with misfits once more: the values that fit, and apart the misfits' originals."""
        by_name = {column.name: column for column in statement.selected_columns}
        fitting, originals = [], []
        for place, (name, kind) in enumerate(torn.items()):
            fits = ("text", "integer", "real") if kind == "category" else ("integer", "real")
            found, spelled = sa.func.typeof(by_name[name]), sa.Text() if kind == "category" else sa.REAL()
            fitting.append(sa.case((found.in_(fits), sa.cast(by_name[name], spelled))).label(f"fitting_{place}"))
            original = sa.case((found.not_in((*fits, "null")), sa.func.quote(by_name[name])))
            originals.append(original.label(f"original_{place}"))
        again = self.arrow(
            self.literal(statement.with_only_columns(*fitting, *originals)), {_BATCH_ROWS: str(len(table) + 1)}
        )
        for place, (name, kind) in enumerate(torn.items()):
            wanted = pa.string() if kind == "category" else pa.float64()
            values = again[f"fitting_{place}"].cast(wanted)
            table = table.set_column(table.schema.get_field_index(name), name, values)
            original = again[f"original_{place}"]
            rows = pc.indices_nonzero(pc.is_valid(original)).to_pylist()
            misfits.extend(Misfit(row, name, _unquoted(str(original[row].as_py()))) for row in rows)
        return table

    def stream(self, statement: sa.Select[Any], chunk: int, *, exact: bool = False) -> Iterator[pa.RecordBatch]:
        keys = keys_of(statement)
        if exact:
            for rows in self._streamed(in_parts(statement, keys), chunk):
                yield as_batch(assembled(pa.Table.from_batches([rows])))
            return
        seen: dict[str, set[int]] = {name: set() for name in keys}
        try:
            for rows in self._streamed(with_classes(statement, keys), chunk):
                table, classes = told(pa.Table.from_batches([rows]), keys)
                for name in keys:
                    seen[name] |= classes[name]
                if found := mixed_in(statement, seen):
                    raise refusal(found)
                yield as_batch(table)
        except DatabaseError as error:
            if keys and _OTHER_TYPE in error.what:
                raise refusal(next(iter(keys))) from error
            raise

    def _streamed(self, statement: sa.Select[Any], chunk: int) -> Iterator[pa.RecordBatch]:
        sql = self.literal(statement)
        cursor = self._guard(lambda: self._connection.cursor(adbc_stmt_kwargs={_BATCH_ROWS: str(chunk)}))
        try:
            self._guard(lambda: cursor.execute(sql))
            reader = self._guard(cursor.fetch_record_batch)
            while (batch := self._next(reader)) is not None:
                yield batch
        finally:
            self._guard(cursor.close)

    def ingest(self, table: sa.Table, rows: pa.RecordBatch | pa.Table) -> None:
        if not rows.num_rows:
            return
        if any(isinstance(field.type, Mixed) for field in rows.schema):
            self._ingest_mixed(table, rows)
            return
        data = pa.table(
            {
                name: _as_text(column) if pa.types.is_timestamp(column.type) else column
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
            if isinstance(column.type, Mixed):
                whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
                parts = {f"c{place}_{part}": values for part, values in parts_of(whole).items()}
            else:
                parts = {f"c{place}": column}
            plain |= parts
            columns: list[sa.ColumnElement[Any]] = [sa.column(part) for part in parts]
            chosen.append(columns[0] if len(columns) == 1 else sa.func.coalesce(*columns))
        between = self.temporary("rowcast_mixed", *[sa.Column(name, RawType("")) for name in plain])
        self.ingest(between, pa.table(plain))
        schema = "temp" if "temporary" in table.info else None
        into = sa.Table(table.name, sa.MetaData(), *[sa.Column(name) for name in rows.schema.names], schema=schema)
        self.execute(into.insert().from_select(rows.schema.names, sa.select(*chosen).select_from(between)))

    # Describing

    def has_table(self, table: sa.Table) -> bool:
        return bool(self._declared(table.name))

    def named(self, table: str) -> tuple[str | None, str]:
        return None, table

    def describe(self, table: str | None, query: str | None) -> Relation | None:
        if table is None:
            return Relation(tuple(self._sampled(bracketed(str(query))).values()))
        declared = self._declared(table)
        if not declared:
            return None
        sampled = {} if all(type_ for type_, _ in declared.values()) else self._sampled(self._quote(table))
        columns = tuple(
            Column(name, _kind(type_), type_, "INT" in type_.upper()) if type_ else sampled[name]
            for name, (type_, _) in declared.items()
        )
        primary = tuple(name for _, name in sorted((place, name) for name, (_, place) in declared.items() if place))
        indexes = self._indexes(table)
        unique = [frozenset(names) for names, is_unique in indexes if is_unique]
        if primary:
            unique.append(frozenset(primary))
        return Relation(columns, tuple(unique), (primary, *(names for names, _ in indexes)))

    def _declared(self, table: str) -> dict[str, tuple[str, int]]:
        """Each column's declared type and its place in the primary key, 0 for none."""
        found = self.arrow(f"SELECT name, type, pk FROM pragma_table_xinfo({_text(table)}) WHERE hidden <> 1")  # noqa: S608
        return {row["name"]: (row["type"], row["pk"]) for row in found.to_pylist()}

    def _indexes(self, table: str) -> list[tuple[tuple[str, ...], bool]]:
        """The columns of each whole-table index, and whether it is unique."""
        found: list[tuple[tuple[str, ...], bool]] = []
        listed = self.arrow(
            f'SELECT name, "unique" AS is_unique FROM pragma_index_list({_text(table)}) WHERE NOT partial'  # noqa: S608
        )
        for index in listed.to_pylist():
            members = self.arrow(
                f"SELECT name FROM pragma_index_info({_text(index['name'])}) ORDER BY seqno"  # noqa: S608
            ).to_pylist()
            if all(member["name"] for member in members):
                found.append((tuple(member["name"] for member in members), bool(index["is_unique"])))
        return found

    def _sampled(self, relation: str) -> dict[str, Column]:
        """Columns without a declared type, judged by the values of some rows."""
        names = self.arrow(f"SELECT * FROM {relation} LIMIT 0").schema.names  # noqa: S608
        kinds = ", ".join(f"typeof({self._quote(name)})" for name in names)
        rows = self.arrow(f"SELECT {kinds} FROM {relation} LIMIT {_SAMPLE}")  # noqa: S608
        found = {}
        for place, name in enumerate(names):
            seen = [kind for kind in rows.column(place).to_pylist() if kind != "null"]
            numbers = sum(kind in ("integer", "real") for kind in seen)
            kind: ColumnKind = "other" if "blob" in seen else "number" if 2 * numbers >= len(seen) else "category"
            found[name] = Column(name, kind, "", bool(seen) and set(seen) == {"integer"})
        return found

    def _quote(self, name: str) -> str:
        return self.dialect.identifier_preparer.quote_identifier(name)

    # Expressions

    def feature(self, column: Column) -> sa.ColumnElement[Any]:
        return sa.column(column.name)

    def number(self, column: Column) -> sa.ColumnElement[Any]:
        value = sa.cast(sa.column(column.name), sa.Double)
        is_number = sa.func.typeof(sa.column(column.name)).in_(("integer", "real"))
        return sa.case((sa.and_(is_number, sa.func.abs(value) <= LARGEST), value))

    def has_event_time(self, column: Column) -> sa.ColumnElement[bool]:
        return self.event_time(column, "UTC").is_not(None)

    def event_time(self, column: Column, timezone: str) -> sa.ColumnElement[Any]:
        value: sa.ColumnElement[Any] = sa.column(column.name)
        dated: sa.ColumnElement[bool] = value.op("GLOB")("[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*")
        of_text: sa.ColumnElement[Any] = sa.func.unixepoch(value, "subsec")
        if timezone != "UTC":
            of_text = of_text - _offset(value, timezone)
        counted = sa.and_(sa.func.typeof(value).in_(("integer", "real")), value.between(_FIRST, _LAST))
        dated = sa.and_(sa.func.typeof(value) == "text", dated, value.between("0001-01-02", "9999-12-31"))
        seconds = sa.case((counted, value), (dated, of_text))
        return sa.cast(sa.func.round(seconds * 1000.0), sa.Integer) * 1000

    def instant(self, moment: datetime) -> sa.ColumnElement[Any]:
        return sa.literal((moment - _EPOCH) // _MICROSECOND, sa.Integer)

    def later(self, event_time: sa.ColumnElement[Any], by: timedelta) -> sa.ColumnElement[Any]:
        return event_time + sa.literal(by // _MICROSECOND, sa.Integer)

    def hours(self, since: sa.ColumnElement[Any], until: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        return (until - since) / sa.literal(3.6e9, sa.Double)

    def not_before(
        self, column: Column, timezone: str, moment: datetime, until: datetime | None = None
    ) -> sa.ColumnElement[bool]:
        time = self.event_time(column, timezone)
        if until is None:
            return time >= self.instant(moment)
        return time.between(self.instant(moment), self.instant(until))  # reads the text once for both

    def rendered(self, value: sa.ColumnElement[Any], column: Column) -> sa.ColumnElement[Any]:
        # quote() ends a text at its first NUL.
        with_nul = sa.and_(sa.func.typeof(value) == "text", sa.func.instr(value, sa.func.char(0)) > 0)
        spelled = sa.literal("CAST(X'", sa.Text) + sa.func.hex(value) + sa.literal("' AS TEXT)", sa.Text)
        return sa.case((with_nul, spelled), else_=sa.func.quote(value))

    def parsed(self, text: str, column: Column) -> sa.ColumnElement[Any]:
        if not _RENDERED.fullmatch(text):  # it becomes part of a statement
            raise DatabaseError(f"a stored key bound of {column.name} is damaged: {text[:60]}")
        return sa.literal_column(text)

    def typed(self, text: str, column: Column) -> list[str]:
        if column.integer and re.fullmatch(r"-?\d+", text):
            return [text]
        # A column may hold 5, '5' and X'35' side by side; 007 and 1.50 are no way in which a number is rendered.
        integer = [text] if re.fullmatch(r"0|-?[1-9]\d*", text) else []
        spelled = [text] if _RENDERED.fullmatch(text) and (text[-1] in "')" or repr(float(text)) == text) else []
        return [*integer, _text(text), *spelled]

    def key_value(self, column: Column) -> sa.ColumnElement[Any]:
        return sa.column(column.name, Key(integer=column.integer))

    def now(self) -> datetime:
        text = self.arrow("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now') AS now").column(0)[0].as_py()
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    def prepare_store(self, schema: str) -> None:
        # Write-ahead logging: reading a batch never blocks publishing one. The file keeps the setting.
        self.arrow("PRAGMA journal_mode = WAL")

    def schema_ddl(self, schema: str) -> list[str]:
        return []

    def version(self) -> str:
        return f"SQLite {self.scalar(sa.select(sa.func.sqlite_version().label('v')))}, journal mode {self._journal()}"

    def advice(self) -> list[tuple[str, str]]:
        if self._journal() == "wal":
            return []
        return [
            ("SQLite's write-ahead log is off: readers and writers wait for each other", "PRAGMA journal_mode = WAL")
        ]

    def _journal(self) -> str:
        return str(self.arrow("PRAGMA journal_mode").column(0)[0].as_py()).lower()

    def ungranted(self, schema: str | None, table: str, rights: Sequence[str]) -> list[str]:
        return []  # the file's own rights are all there are

    def rights(self, schema: str) -> list[str]:
        try:
            with self.transaction("write"):
                self._statement("CREATE TABLE rowcast_rights_probe (x)")
                self._statement("DROP TABLE rowcast_rights_probe")
        except DatabaseError as error:
            return [error.what]
        return []

    def explained(self, error: Exception) -> DatabaseError:
        said = first_line(error)
        for words, reason, hint in _EXPLAINED:
            if words in str(error):
                return DatabaseError(f"{self.shown}: {said}", hint=hint, reason=reason)
        return DatabaseError(f"{self.shown}: {said}")


_EXPLAINED = (
    ("readonly database", "rights", "the file or its folder is read-only for this user"),
    ("unable to open", "unreachable", "the file or its folder may not be opened by this user"),
    ("disk is full", "full", "free some space; nothing of the unfinished batch was kept"),
    ("disk I/O error", "full", "the disk is full, a limit was reached, or it fails; the unfinished batch was not kept"),
    ("database is locked", "locked", "another program holds the file; try again when it is done"),
    ("UNIQUE constraint", "duplicate", ""),
    ("no such table", "missing", ""),
    ("no such column", "missing", ""),
    ("has no column named", "missing", "a column is gone from one of rowcast's own tables"),
    ("not a database", "other", "the file is not SQLite, or it is encrypted"),
)


def _as_text(moments: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Times as ISO 8601; a batch's rows share most of them, and each is spelled once."""
    whole = moments.combine_chunks() if isinstance(moments, pa.ChunkedArray) else moments
    encoded = whole.dictionary_encode()
    return pc.strftime(encoded.dictionary, "%Y-%m-%d %H:%M:%SZ").take(encoded.indices)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(
            f"the folder {folder} cannot be made: {error.strerror}",
            hint="name another place in the url",
            reason="unreachable",
        ) from error


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _unquoted(rendered: str) -> str:
    return rendered[1:-1].replace("''", "'") if rendered.startswith("'") else rendered


def _is_torn(kind: ColumnKind, found: pa.DataType) -> bool:
    """Whether a column holds values that its kind cannot: texts and blobs among numbers, blobs among texts."""
    return not _is_number(found) if kind in ("number", "boolean") else kind == "category" and pa.types.is_binary(found)


def _decoded(table: pa.Table, name: str, misfits: list[Misfit]) -> pa.Table:
    """Texts that are not UTF-8, which SQLite does not check, become misfits."""
    column = table[name]
    try:
        column.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        texts: list[str | None] = []
        for row, value in enumerate(column.cast(pa.binary()).to_pylist()):
            try:
                texts.append(None if value is None else value.decode())
            except UnicodeDecodeError:
                texts.append(None)
                misfits.append(Misfit(row, name, value.decode(errors="backslashreplace")))
        return table.set_column(table.schema.get_field_index(name), name, pa.array(texts, pa.string()))
    return table


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _wanted(kind: ColumnKind | None, found: pa.DataType) -> pa.DataType | None:
    """The Arrow type to cast to; an all-NULL column comes as integers."""
    if kind in ("category", "other") and not pa.types.is_string(found) and not pa.types.is_binary(found):
        return pa.string()
    return pa.float64() if kind in ("number", "boolean") and not _is_number(found) else None


def _kind(declared: str) -> ColumnKind:
    """SQLite's rules of affinity (sqlite.org/datatype3.html), with dates told apart."""
    name = declared.upper()
    if "INT" in name:
        return "number"
    if any(word in name for word in ("CHAR", "CLOB", "TEXT")):
        return "category"
    if "BLOB" in name:
        return "other"
    return "time" if "DATE" in name or "TIME" in name else "number"


def _offset(value: sa.ColumnElement[Any], timezone: str) -> sa.ColumnElement[Any]:
    """Seconds by which a text without a zone is ahead of UTC; 0 for one that carries its zone."""
    trimmed = sa.func.rtrim(value)
    zoned = sa.or_(trimmed.op("GLOB")("*[Zz]"), trimmed.op("GLOB")("*[+-][0-9][0-9]:[0-9][0-9]"))
    wall = sa.func.unixepoch(value)
    return sa.case((zoned, 0), else_=_branch(wall, _transitions(timezone)))


def _branch(wall: sa.ColumnElement[Any], steps: tuple[tuple[int, int], ...]) -> sa.ColumnElement[Any]:
    """A binary search over (wall-clock second from which it holds, offset) as nested CASE."""
    if len(steps) == 1:
        return sa.literal(steps[0][1], sa.Integer)
    middle = len(steps) // 2
    return sa.case((wall < steps[middle][0], _branch(wall, steps[:middle])), else_=_branch(wall, steps[middle:]))


@lru_cache(maxsize=8)
def _transitions(timezone: str) -> tuple[tuple[int, int], ...]:
    """The offsets of a zone by wall-clock time, 1970 to 2050, found by bisection since zoneinfo does not tell.

    As PostgreSQL reads them: a time that the clock skips is before the change, one that it shows twice is after it.
    """
    zone = ZoneInfo(timezone)

    def offset(wall: int) -> int:
        local = (_EPOCH + timedelta(seconds=wall)).replace(tzinfo=zone)
        found = [local.replace(fold=fold).utcoffset() for fold in (0, 1)]
        return min(int(each.total_seconds()) for each in found if each is not None)

    day = 86400
    steps = [(0, offset(0))]
    for start in range(0, 80 * 366 * day, day):
        if offset(start + day) != steps[-1][1]:
            low, high = start, start + day
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle) == steps[-1][1] else (low, middle)
            steps.append((high, offset(high)))
    return tuple(steps)
