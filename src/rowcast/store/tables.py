"""The store's tables, in SQLAlchemy Core: those that all jobs share, and a job's own, which carry its source's key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects.mssql import DATETIMEOFFSET
from sqlalchemy.sql import quoted_name

from rowcast.database import Column, Database, RawType
from rowcast.store.records import BatchStatus, EndCause, PipelineName, RunStatus, StepStatus


class Instant(sa.types.TypeDecorator[datetime]):
    """A UTC instant: a timestamp with time zone, or ISO 8601 text where the database has no such type."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        kinds: dict[str, Any] = {"sqlite": sa.Text(), "mssql": DATETIMEOFFSET(6)}  # type: ignore[no-untyped-call]
        return dialect.type_descriptor(kinds.get(dialect.name, sa.DateTime(timezone=True)))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value
        return value.astimezone(UTC).isoformat(" ", "microseconds").replace("+00:00", "Z")

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)


class Choice(sa.types.TypeDecorator[StrEnum]):
    """One value of an enum, as its text."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__()
        self.kind = kind

    def load_dialect_impl(self, dialect: sa.Dialect) -> Any:
        return dialect.type_descriptor(sa.Unicode(128) if dialect.name == "mssql" else sa.Text())

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> Any:
        return None if value is None else self.kind(value).value

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> StrEnum | None:
        return None if value is None else self.kind(value)


@dataclass(frozen=True)
class Tables:
    """Every table of one store, as one job sees it."""

    metadata: sa.MetaData
    version: sa.Table
    job: sa.Table
    run: sa.Table
    step: sa.Table
    batch: sa.Table
    metric: sa.Table
    model: sa.Table
    profile: sa.Table
    drift: sa.Table
    promotion: sa.Table
    alert: sa.Table
    api_key: sa.Table
    shadow_batch: sa.Table
    mirror: sa.Table

    @property
    def shared(self) -> tuple[sa.Table, ...]:
        about_runs = (self.version, self.job, self.run, self.step, self.batch, self.metric)
        about_models = (self.model, self.profile, self.drift, self.promotion, self.shadow_batch)
        return (*about_runs, *about_models, self.alert, self.api_key, self.mirror)


@dataclass(frozen=True)
class JobTables:
    """What one job writes about its rows."""

    key: tuple[Column, ...]  # the source's, as the store declares it
    prediction: sa.Table
    quarantine: sa.Table
    history: sa.Table  # earlier rows of both, moved there when a row is scored again or given another chance
    shadow: sa.Table  # what versions that are not in service make of the rows that the champion scored
    forgotten: sa.Table  # keys of rows whose results were deleted: they are not scored again
    online: sa.Table  # what the HTTP service answered and was asked to record
    staging: tuple[sa.Table, ...] = ()  # through which bulk copies come, where the database needs it

    @property
    def kept(self) -> tuple[sa.Table, ...]:
        return (self.prediction, self.quarantine, self.history)

    @property
    def all(self) -> tuple[sa.Table, ...]:
        return (*self.kept, self.shadow, self.forgotten, self.online, *self.staging)


def tables(db: Database, schema: str) -> Tables:
    """The shared tables; SQLite has no schemas, so there the schema's name becomes a prefix."""
    names = {"ix": "ix_%(column_0_label)s"} | ({"pk": "pk_%(table_name)s"} if db.dialect.name == "mssql" else {})
    metadata = sa.MetaData(None if db.dialect.name == "sqlite" else quoted_name(schema, True), naming_convention=names)
    prefix = f"{schema}_" if db.dialect.name == "sqlite" else ""

    def table(name: str, *columns: Any) -> sa.Table:
        return sa.Table(f"{prefix}{name}", metadata, *columns)

    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

    def number(name: str) -> sa.Column[Any]:
        return sa.Column(name, big, sa.Identity(), primary_key=True)

    text, integer, real = sa.Text, sa.Integer, sa.Double
    name = sa.Text().with_variant(sa.Unicode(128), "mssql")  # of what is short, and may stand in a key or an index
    return Tables(
        metadata,
        version=table(
            "version",
            sa.Column("version", integer, primary_key=True, autoincrement=False),
            sa.Column("created_at", Instant),
        ),
        job=table(
            "job",
            sa.Column("job", name, primary_key=True),
            sa.Column("source", text, nullable=False),  # which source owns the name
            sa.Column("created_at", Instant, nullable=False),
            sa.Column("scope_from", Instant),  # scoring begins at this event time …
            sa.Column("scope_after", text),  # … or, without a time column, after this key
            sa.Column("with_learned", integer),  # 1 where rows that the champion could learn from are scored too
            sa.Column("complete_to", Instant),  # newest event time of the last run that left nothing pending
            sa.Column("champion", integer),
            sa.Column("training_run", big),  # the run that trains; another waits
            sa.Column("scope_record", text),  # JSON: where scoring begins, once more, with its signature
        ),
        run=table(
            "run",
            number("run_id"),
            sa.Column("job", name, nullable=False, index=True),
            sa.Column("pipeline", Choice(PipelineName), nullable=False),
            sa.Column("status", Choice(RunStatus), nullable=False),
            sa.Column("started_at", Instant, nullable=False),
            sa.Column("finished_at", Instant),
            sa.Column("as_of", Instant, nullable=False),
            sa.Column("error", text),
            sa.Column("host", text),
            sa.Column("rowcast_version", name),
            sa.Column("config_sha256", name),
            sa.Column("lease_until", Instant),  # a running run whose lease has passed is dead
            sa.Column("options", text),  # JSON: what it was asked for beside its pipeline, for whoever resumes it
            sa.Column("end_cause", Choice(EndCause)),
        ),
        step=table(
            "step",
            sa.Column("run_id", big, primary_key=True, autoincrement=False),
            sa.Column("name", name, primary_key=True),
            sa.Column("row_set", name, primary_key=True),  # train, score, or - where a step has one set only
            sa.Column("job", name, nullable=False),
            sa.Column("status", Choice(StepStatus), nullable=False),
            sa.Column("started_at", Instant, nullable=False),
            sa.Column("duration_s", real),
            sa.Column("rows_in", big),
            sa.Column("rows_out", big),
            sa.Column("columns", integer),
            sa.Column("peak_rss_mb", real),
            sa.Column("error", text),
        ),
        batch=table(
            "batch",
            number("batch_id"),
            sa.Column("job", name, nullable=False, index=True),
            sa.Column("run_id", big, nullable=False),
            sa.Column("model_version", integer),
            sa.Column("status", Choice(BatchStatus), nullable=False, index=True),
            sa.Column("key_from", text, nullable=False),  # JSON list of key values as the source rendered them
            sa.Column("key_to", text, nullable=False),
            sa.Column("worker", text),
            sa.Column("lease_until", Instant),
            sa.Column("attempts", integer, nullable=False),
            sa.Column("row_count", big),
            sa.Column("scored", big),
            sa.Column("quarantined", big),
            sa.Column("started_at", Instant),
            sa.Column("finished_at", Instant),
            sa.Column("plan", big),  # batches planned together, in key order
            sa.Column("accepted", integer),  # 1 where a person let any share of bad rows pass
            sa.Column("also_read", text),  # JSON list: columns in the rows' hashes that are no features
            sa.Column("deaths", integer),  # how often the process that had claimed it ended without a word
            sa.Column("checksum", name),  # of its published rows; NULL in one of an older store
            sa.Column("signature", text),  # over its checksum, by a key that is not in the store
            sa.Column("forgotten", big),  # how many keys are kept of it, whose results were deleted …
            sa.Column("forgotten_run", big),  # … by this run
            sa.Column("hashed_by", name),  # how its rows' hashes are made; NULL: as in an older store
        ),
        metric=table(
            "metric",
            sa.Column("run_id", big, nullable=False, index=True),
            sa.Column("job", name, nullable=False),
            sa.Column("step", name, nullable=False),
            sa.Column("name", name, nullable=False),
            sa.Column("value", real),
            sa.Column("recorded_at", Instant, nullable=False),
        ),
        model=table(
            "model",
            sa.Column("job", name, primary_key=True),
            sa.Column("version", integer, primary_key=True, autoincrement=False),
            sa.Column("status", name, nullable=False),
            sa.Column("created_at", Instant, nullable=False),
            sa.Column("run_id", big, nullable=False),
            sa.Column("estimator", text, nullable=False),
            sa.Column("features", text, nullable=False),
            sa.Column("trained_from", Instant),
            sa.Column("trained_to", Instant),
            sa.Column("trained_to_key", text),  # JSON, where there is no time column
            sa.Column("rows", big, nullable=False),
            sa.Column("metrics", text, nullable=False),
            sa.Column("artifact_sha256", name, nullable=False),
            sa.Column("artifact", sa.LargeBinary, nullable=False),
            sa.Column("edges", sa.LargeBinary),  # between which its rows are counted …
            sa.Column("reference", sa.LargeBinary),  # … and how the training rows were, block by block
            sa.Column("weights", text),  # JSON: by how many SDs its score moves with each feature
            sa.Column("meaning", text),  # JSON: what it predicts, and as what it read its columns
            sa.Column("signature", text),  # over its job, number and digest, by a key that is not in the store
        ),
        profile=table(
            "profile",
            sa.Column("batch_id", big, nullable=False),
            sa.Column("job", name, nullable=False, index=True),
            sa.Column("run_id", big, nullable=False),
            sa.Column("model_version", integer, nullable=False),
            sa.Column("counts", sa.LargeBinary, nullable=False),  # of the rows scored, between the version's edges
            sa.Column("unused", sa.LargeBinary),  # of a sample of them, in columns that the version does not use
        ),
        drift=table(
            "drift",
            number("drift_id"),
            sa.Column("job", name, nullable=False, index=True),
            sa.Column("run_id", big, nullable=False),  # that showed it
            sa.Column("begun_run", big),  # that showed the beginning of the same drift
            sa.Column("model_version", integer, nullable=False),
            sa.Column("what", name, nullable=False),  # started or ended; changed, before version 14
            sa.Column("at", Instant, nullable=False),
            sa.Column("size", real, nullable=False),  # 1 is what matters
            sa.Column("told", text, nullable=False),  # in a sentence
            sa.Column("findings", text, nullable=False),  # JSON list, the largest first
        ),
        promotion=table(
            "promotion",
            number("promotion_id"),
            sa.Column("job", name, nullable=False, index=True),
            sa.Column("version", integer, nullable=False),
            sa.Column("previous", integer),
            sa.Column("decided_at", Instant, nullable=False),
            sa.Column("decided_by", text, nullable=False),
            sa.Column("decision", name, nullable=False),
            sa.Column("reason", text, nullable=False),
            sa.Column("evidence", text, nullable=False),
            sa.Column("told", integer, key="alerted"),  # 0 until it is an alert; NULL where older than alerts
        ),
        alert=table(
            "alert",
            number("alert_id"),
            sa.Column("job", name, nullable=False, index=True),
            sa.Column("topic", name, nullable=False),  # by which the same trouble is recognised
            sa.Column("state", name, nullable=False),  # once, or of what lasts: begins, changed, ended
            sa.Column("severity", name, nullable=False),
            sa.Column("what", text, nullable=False),
            sa.Column("detail", text, nullable=False),  # JSON: the rest of the message
            sa.Column("since", Instant, nullable=False),
            sa.Column("run_id", big),
            sa.Column("created_at", Instant, nullable=False),
            sa.Column("waiting", text, nullable=False),  # JSON list: sinks that have not been told yet
            sa.Column("attempts", integer, nullable=False),
            sa.Column("next_try", Instant),  # NULL where nobody waits for it
            sa.Column("worker", text),  # the process that is delivering it just now …
            sa.Column("lease_until", Instant),  # … unless this has passed
            sa.Column("delivered_at", Instant),
            sa.Column("dedup_key", text),  # equal for the same trouble of a topic
        ),
        api_key=table(
            "api_key",
            number("key_id"),
            sa.Column("job", name, nullable=False, index=True),
            sa.Column("name", name, nullable=False),  # of whoever uses it
            sa.Column("prefix", name, nullable=False),  # by which it is found
            sa.Column("sha256", name, nullable=False),  # of the whole key, which nobody keeps
            sa.Column("scope", name, nullable=False),  # score, read or operate
            sa.Column("per_second", real),  # requests that it may make; NULL: any number
            sa.Column("created_at", Instant, nullable=False),
            sa.Column("created_by", text, nullable=False),
            sa.Column("expires_at", Instant),
            sa.Column("revoked_at", Instant),
            sa.Column("revoked_by", text),
        ),
        shadow_batch=table(
            "shadow_batch",
            sa.Column("batch_id", big, primary_key=True, autoincrement=False),
            sa.Column("model_version", integer, primary_key=True, autoincrement=False),
            sa.Column("job", name, nullable=False, index=True),
            sa.Column("row_count", big, nullable=False),
            sa.Column("checksum", name, nullable=False),  # of what the version scored of the batch in the shadow
            sa.Column("signature", text),  # over its checksum, by a key that is not in the store
            sa.Column("removed", text),  # digests, one after the other, of those of its rows that are not kept
        ),
        mirror=table(
            "mirror",
            sa.Column("job", name, primary_key=True),
            sa.Column("store_id", name, nullable=False),  # by which a tracking server knows this store
            sa.Column("run_id", big, nullable=False),  # the last run that the server was sent
            sa.Column("promotion_id", big, nullable=False),  # the last decision that it was
            sa.Column("attempts", integer, nullable=False),  # in vain, since it last took something
            sa.Column("next_try", Instant),
            sa.Column("worker", text),  # the process that is sending just now …
            sa.Column("lease_until", Instant),  # … unless this has passed
        ),
    )


def job_tables(db: Database, shared: Tables, schema: str, job: str, key: Sequence[Column], predicted: Any) -> JobTables:
    """A job's own tables; `key` are the source's key columns as this store declares them."""
    prefix = f"{schema}_" if db.dialect.name == "sqlite" else ""

    def table(name: str, *columns: sa.Column[Any] | sa.PrimaryKeyConstraint | sa.Index) -> sa.Table:
        keys = [sa.Column(column.name, RawType(column.type), primary_key=True, autoincrement=False) for column in key]
        # With a rowid, SQLite would let nothing but integers into a key that the source declares INTEGER.
        options: dict[str, Any] = {"extend_existing": True, "sqlite_with_rowid": False, "info": {"many_rows": True}}
        return sa.Table(f"{prefix}{job}_{name}", shared.metadata, *keys, *columns, **options)

    big = sa.BigInteger
    lineage = {"run_id": big, "batch_id": big}
    scored = {"score": sa.Double, "predicted": predicted, "threshold": sa.Double}
    # Whether the model could tell; the classes that the row may have, as a JSON list; or between what its value lies.
    sure = {"uncertain": sa.Boolean, "possible": sa.Text, "low": sa.Double, "high": sa.Double}
    explained = {"contributions": sa.Text, **sure}
    set_aside = {"reasons": sa.Text, "row_values": sa.Text}

    def columns(types: Mapping[str, Any], nullable: Sequence[str] = ()) -> list[sa.Column[Any]]:
        return [sa.Column(name, type_, nullable=name in nullable) for name, type_ in types.items()]

    own = JobTables(
        key=tuple(key),
        prediction=table(
            "prediction",
            *columns(
                {"model_version": sa.Integer, **lineage, "scored_at": Instant, "row_hash": big, **scored, **explained},
                nullable=["threshold", *explained],
            ),
            sa.Index(None, "run_id"),  # what the newest runs scored is found without reading all of it
        ),
        quarantine=table("quarantine", *columns({**lineage, "quarantined_at": Instant, "row_hash": big, **set_aside})),
        history=table(
            "history",
            sa.Column("batch_id", big, primary_key=True, autoincrement=False),
            *columns({"run_id": big, "was": sa.Text, "since": Instant, "until": Instant, "row_hash": big}),
            *columns(
                {"model_version": sa.Integer, **scored, **explained, **set_aside},
                nullable=["model_version", *scored, *explained, *set_aside],
            ),
        ),
        shadow=table(
            "shadow",
            sa.Column("model_version", sa.Integer, primary_key=True, autoincrement=False),
            *columns({**lineage, "scored_at": Instant, "row_hash": big, **scored}, nullable=["threshold"]),
            # By version first: a version's rows are written, read and thrown away together.
            sa.PrimaryKeyConstraint("model_version", *[column.name for column in key]),
        ),
        forgotten=table("forgotten", sa.Column("batch_id", big, nullable=False)),
        online=_declare_online(f"{prefix}{job}_online", shared.metadata, key, {**scored, **explained}),
    )
    staging = [db.admin.declare_staging(into, key) for into in (own.prediction, own.quarantine, own.shadow)]
    return replace(own, staging=tuple(made for made in staging if made is not None))


def _declare_online(name: str, metadata: sa.MetaData, key: Sequence[Column], answered: Mapping[str, Any]) -> sa.Table:
    """Rows of requests, by request: a row may be asked about many times."""
    short = sa.Text().with_variant(sa.Unicode(128), "mssql")
    columns: list[sa.Column[Any]] = [sa.Column(each.name, RawType(each.type), nullable=False) for each in key]
    index = sa.Index(None, *[each.name for each in key])
    columns += [
        sa.Column("online_request", short, primary_key=True),
        sa.Column("online_client", short, primary_key=True),  # the name of its key, or empty
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),  # of the row in the request
        sa.Column("model_version", sa.Integer, nullable=False),
        sa.Column("online_at", Instant, nullable=False),
        sa.Column("row_hash", sa.BigInteger, nullable=False),
        sa.Column("hashed_by", short),  # how it is made; NULL: as in an older store
    ]
    # A row that was refused has reasons in place of a score.
    columns += [
        sa.Column(column, kind) for column, kind in {**answered, "flagged": sa.Boolean, "reasons": sa.Text}.items()
    ]
    options: dict[str, Any] = {"extend_existing": True, "sqlite_with_rowid": False, "info": {"many_rows": True}}
    return sa.Table(name, metadata, *columns, index, **options)


def with_constants(rows: pa.RecordBatch | pa.Table, **values: int | str | datetime) -> pa.Table:
    """Rows for one of these tables, with a constant column for each value."""
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])
    for name, value in values.items():
        kind = {int: pa.int64(), str: pa.string()}.get(type(value), pa.timestamp("us", "UTC"))
        table = table.append_column(name, pa.repeat(pa.scalar(value, kind), rows.num_rows))
    return table
