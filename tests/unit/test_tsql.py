"""What SQL Server is sent, statement by statement, kept in tsql/ to be read.

`pytest tests/unit/test_tsql.py --snapshot` writes it anew. Every statement is T-SQL to sqlglot's parser; whether a
server runs them is another test's matter.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa
import sqlglot
from recording import ANY, Server, recorded
from sqlglot import exp

from rowcast import config, fetch
from rowcast.audit import audit
from rowcast.audit.batches import check_batches, check_shadows
from rowcast.audit.references import find_broken
from rowcast.config import Settings
from rowcast.database import Column, Relation
from rowcast.database.mssql.connection import MSSQLConnection
from rowcast.database.mssql.expressions import MSSQLExpressions
from rowcast.database.postgresql.expressions import PostgreSQLExpressions
from rowcast.doctor.store import check_store
from rowcast.history.reading import Asked, read_events, read_joined, read_rows, read_values
from rowcast.job.opening import Job, describe_tables
from rowcast.job.rights import list_store_grants, list_table_rights, write_grants
from rowcast.past import HistoryColumn, JoinedColumn, LabelMeaning, SinceColumn
from rowcast.row_places import count_places
from rowcast.source import Days, KeyRange, Scope, Source, declare_key, meet_store, open_source
from rowcast.store import Batch, BatchProfile, BatchResult, JobState, Ledger, Runs, alerts, migrations, runs
from rowcast.store.alert_record import Alert
from rowcast.store.alerts import Alerts, Delivery
from rowcast.store.ledger import claims
from rowcast.store.reading import daily_sums, online_pairs, prediction_sums, version_pairs
from rowcast.store.records import (
    DecisionOutcome,
    DriftRecord,
    EndCause,
    NewDecision,
    PipelineName,
    RunStatus,
    StepRecord,
    StepStatus,
)
from rowcast.store.registry import Registry

KEPT = Path(__file__).parent / "tsql"
NOW = datetime(2026, 5, 1, 6, 0, tzinfo=UTC)
MORNING = datetime(2026, 4, 1, tzinfo=UTC)
DAYS = Days(date(2026, 3, 1), "Europe/Berlin")
DAY = 86_400_000_000  # microseconds
WORKER = "fab1:1f2e:4026531836:4711:12345/c0ffee00"
TABLE = "[Messwerte Anlage 3].[Wafer Ä]"
SETTINGS: dict[str, Any] = {
    "name": "wafers",
    "source": {
        "url": "mssql://fab/line",
        "table": TABLE,
        "key": ["lot", "slot"],
        "time": "measured_at",
        "timezone": "Europe/Berlin",
        "label": "failed",
        "label_time": "tested_at",
        "group": "lot",
    },
}
COLUMNS = [
    ("lot", "nvarchar", 40, 0, 0, "Latin1_General_CI_AS"),
    ("slot", "tinyint", 1, 3, 0, None),
    ("measured_at", "datetime2", 8, 27, 7, None),
    ("tested_at", "datetimeoffset", 10, 34, 7, None),
    ("failed", "bit", 1, 1, 0, None),
    ("tool", "varchar", 8, 0, 0, "Latin1_General_CI_AS"),
    ("temperature", "float", 8, 53, 0, None),
    ("pressure", "decimal", 9, 12, 4, None),
    ("cleaned_at", "datetime2", 8, 27, 7, None),
    ("row version", "timestamp", 8, 0, 0, None),
]
BATCH = {
    "batch_id": 7,
    "job": "wafers",
    "run_id": 3,
    "model_version": 2,
    "status": "planned",
    "key_from": '["L001", "1"]',
    "key_to": '["L040", "25"]',
    "worker": None,
    "lease_until": None,
    "attempts": 0,
    "deaths": 0,
    "row_count": 1000,
    "scored": None,
    "quarantined": None,
}
RANGE = KeyRange(("L001", "1"), ("L040", "25"), 1000)
PREDICTIONS = pa.RecordBatch.from_pydict(
    {
        "lot": ["L001", "L001"],
        "slot": pa.array([1, 2], pa.uint8()),
        "row_hash": [17, 18],
        "score": [0.25, 0.75],
        "predicted": [False, True],
        "threshold": [0.5, 0.5],
        "contributions": [None, '{"temperature": 1.5}'],
    }
)
NOTHING = pa.RecordBatch.from_pylist([], schema=pa.schema([]))


@dataclass
class Fab:
    """A job on the recorded server."""

    server: Server
    job: Job

    @property
    def ledger(self) -> Ledger:
        return self.job.ledger

    @property
    def state(self) -> JobState:
        return JobState(Scope(MORNING), NOW, 2)


def opened(server: Server, db: MSSQLConnection, settings: Settings) -> Job:
    source = open_source(db, settings.source)
    shared, own = describe_tables(settings, source, db)
    ledger = Ledger(db, shared, own, settings.name)
    runs_, registry = Runs(db, shared, settings.name), Registry(db, shared, settings.name)
    return Job(settings, source, db, shared, own, ledger, runs_, registry)


@pytest.fixture
def fab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fab]:
    names = ("name", "type", "length", "precision", "scale", "collation")
    for module in (runs, claims, alerts):
        monkeypatch.setattr(module, "process_name", lambda: WORKER.split("/")[0])
    monkeypatch.setattr("rowcast.__version__", "1.2.3")
    monkeypatch.setattr("rowcast.database.mssql.connection.secrets.token_hex", lambda _: "0123456789abcdef")
    with recorded() as (server, db):
        server.answers("SYSUTCDATETIME", {"now": NOW})
        server.answers("OBJECT_ID(N'[", {"id": 1})
        server.answers("sys.columns AS c JOIN", *[dict(zip(names, row, strict=True)) for row in COLUMNS])
        server.answers(
            "FROM sys.indexes",
            {"number": 1, "is_unique": 1, "name": "lot"},
            {"number": 1, "is_unique": 1, "name": "slot"},
            {"number": 2, "is_unique": 0, "name": "measured_at"},
        )
        server.answers("FROM sys.databases", {"snapshot": 1, "versions": 1})
        server.answers("sp_getapplock", {"held": 0})
        server.answers(") AS [v] \n", {"v": 2})
        server.answers(
            "FROM [rowcast].[job]",
            {
                "job": "wafers",
                "source": TABLE,
                "scope_from": MORNING,
                "scope_after": None,
                "complete_to": NOW,
                "champion": 2,
                "training_run": None,
            },
        )
        server.answers("OUTPUT [inserted]", {"id": 7, "run_id": 3})
        yield Fab(server, opened(server, db, Settings.model_validate(SETTINGS)))


def connect(fab: Fab) -> None:
    fab.server.answers("SERVERPROPERTY", {"number": "16.0", "edition": "Developer"})
    fab.server.answers("DB_NAME() AS n", {"n": "line"})
    fab.job.store.reconnect()
    fab.job.store.admin.version()
    fab.job.store.admin.advice()


def describe(fab: Fab) -> None:
    fab.server.answers("is_ms_shipped", {"schema": "mes", "name": "wafers"}, {"schema": None, "name": "lots"})
    assert fab.job.store.admin.list_tables() == ["mes.wafers", "lots"]
    fab.job.store.admin.describe(TABLE, None)
    fab.server.answers("OBJECT_ID(N'archive", {"id": 2})
    fab.job.store.admin.describe("archive.dbo.wafers", None)
    fab.server.answers(
        "sp_describe_first_result_set",
        {
            "name": "lot",
            "system_type_name": "nvarchar(20)",
            "max_length": 40,
            "precision": 0,
            "scale": 0,
            "collation_name": "Latin1_General_CI_AS",
            "is_hidden": False,
        },
    )
    fab.job.store.admin.describe(None, "SELECT lot FROM dbo.wafers -- finished")


def rights(fab: Fab) -> None:
    admin = fab.job.store.admin
    fab.server.answers("DB_NAME() AS n", {"n": "line"})
    fab.server.answers("USER_NAME()", {"me": "rowcast"})
    fab.server.answers("FROM sys.schemas", {"name": "rowcast"})
    fab.server.answers("HAS_PERMS_BY_NAME", {ANY: 0})
    fab.server.answers("OBJECT_ID(N'archive", {"id": 2})
    admin.user()
    grants = [*admin.list_creation_grants("rowcast"), *list_store_grants(fab.job.store, fab.job.settings, *_own(fab))]
    grants += admin.list_source_grants([TABLE, "archive.dbo.wafers"])
    for grant in grants:
        admin.find_lacking(grant)
    admin.may_alter(fab.job.tables.version)
    fab.server.sent += [block for part in write_grants(fab.job, "Clärk") for block in part.statements]


def _own(fab: Fab) -> tuple[Any, Any]:
    return fab.job.tables, fab.job.own


def create(fab: Fab) -> None:
    fab.server.answers("OBJECT_ID(N'[rowcast]", {"id": None})
    fab.server.sent += migrations.ddl(fab.job.store, fab.job.tables, fab.job.own, "rowcast")


def register(fab: Fab) -> None:
    fab.ledger.register(TABLE)
    fab.ledger.state()
    fab.ledger.fix_scope(Scope(MORNING))


def look(fab: Fab) -> None:
    """What is known before training, and where scoring begins."""
    fetch.find_newest_event(fab.job.source, NOW)
    fab.server.answers("AS [n]", {"n": 12})
    fetch.count_known_labels(fab.job.source, NOW)
    fetch.find_initial_scope(fab.job.source, NOW, None)


def train(fab: Fab) -> None:
    fetch.fetch_training_rows(fab.job.source, NOW, 100_000, MORNING)


def plan(fab: Fab) -> None:
    fab.server.answers("WHERE [rowcast].[batch]", BATCH)
    skip = KeyRange(("L050", "1"), ("L060", "25"), 500)
    fab.job.pending.plan(fab.state.scope, NOW, MORNING, 50_000, [skip])
    with fab.ledger.planning():
        fab.ledger.add_batches(3, [RANGE], 2)


def claim(fab: Fab) -> None:
    fab.server.answers("FROM [rowcast].[batch]", BATCH)
    fab.server.answers("OUTPUT [inserted].[batch_id]", {"batch_id": 7})
    fab.ledger.open_batches()
    fab.ledger.claim(7, 3, 2, WORKER)
    fab.job.store.execute(fab.ledger.renewal(7, WORKER, NOW))
    fab.ledger.release(7, WORKER)


def read(fab: Fab) -> None:
    features = [fab.job.source.relation[name] for name in ("tool", "temperature", "pressure")]
    fab.job.pending.read(RANGE, features, fab.state.scope, NOW, 50_001)
    keys = pa.RecordBatch.from_pydict({"rowcast.key_0": ["L001", "L002"], "rowcast.key_1": ["1", "25"]})
    fetch.fetch_by_key(fab.job.source, keys, features)


def remember(fab: Fab) -> None:
    """What became known before some rows: labels, values, events and rows of their groups."""
    fab.server.answers("OBJECT_ID(N'dbo", {"id": 3})
    asked = Asked(np.array([0, DAY]), {"tool": pa.array(["ETCH-02", "Ätz"])})
    label = LabelMeaning("is", "1")
    failed = HistoryColumn("failed", ("tool",), "last", 5, "mean", 90 * DAY, label)
    read_values(fab.job.source, failed, failed.by, failed.reach, asked, keyed=True)
    pressure = HistoryColumn("pressure", ("tool",), "within", DAY, "max", 90 * DAY)
    read_values(fab.job.source, pressure, pressure.by, pressure.reach, asked)
    cleaned = SinceColumn("dbo.cleaned", "cleaned_at", ("tool",), ("tool",), "rows", 90 * DAY)
    read_events(fab.job.source, cleaned, cleaned.reach, asked)
    read_rows(fab.job.source, ("tool",), cleaned.reach, asked)
    joined = JoinedColumn("dbo.cleaned", "cleaned_at", ("tool",), ("tool",), "pressure", DAY)
    read_joined(fab.job.source, [joined], joined.reach, asked)


def publish(fab: Fab) -> None:
    fab.ledger.publish(
        Batch(7, 3, 2, RANGE, WORKER),
        BatchResult(PREDICTIONS, NOTHING, ("tool",), profile=BatchProfile(b"counts", None)),
        0.1,
    )


def shadow(fab: Fab) -> None:
    """What a version that is not in service makes of a batch, and what goes when it no longer is of interest."""
    batch, rows = Batch(7, 3, 2, RANGE, WORKER), PREDICTIONS.drop_columns(["contributions"])
    fab.ledger.save_shadow(batch, 1, rows)
    fab.server.answers("TOP 1", {"model_version": 1})
    fab.ledger.forget_shadow([1, 3])


def judge(fab: Fab) -> None:
    """Rows whose labels are known, beside what two versions made of them."""
    version_pairs.read_matured(fab.job.rows, NOW, [MORNING, ("L001", "1")], 2, 1, 100_000)
    fab.job.runs.last_done("gate", "score", NOW)


def quality(fab: Fab) -> None:
    """Sums over predictions, of classes and of values, alone and by labels that are known."""
    fab.job.runs.as_of(MORNING, NOW)
    for edges, of_values in (([0.1, 0.5], False), ([], True)):
        asked = prediction_sums.PredictionQuery(2, NOW, MORNING, (3, 9), edges, of_values, DAYS)
        list(prediction_sums.sum_predictions(fab.job.rows, asked))
        list(prediction_sums.sum_labelled(fab.job.rows, asked, fab.state.scope, NOW))
    fab.server.answers("[values_differ]", {ANY: 0})
    online_pairs.compare_online(fab.job.store, fab.job.tables, fab.job.own, MORNING, NOW)
    online_pairs.sum_online(fab.job.store, fab.job.tables, fab.job.own, MORNING, NOW, timedelta(hours=4))


def chart(fab: Fab) -> None:
    """What charts are drawn of, and maintenance that resets them."""
    columns = [fab.job.source.relation[name] for name in ("temperature", "pressure")]
    tool = fab.job.source.relation["tool"]
    charted = daily_sums.ChartQuery(DAYS, NOW, fab.job.runs.between(MORNING, NOW), tool, columns, False)
    list(daily_sums.sum_by_day(fab.job.rows, charted))
    list(daily_sums.sum_outcomes(fab.job.rows, charted))
    fab.server.answers("OBJECT_ID(N'dbo", {"id": 3})
    monitor = config.Monitor(group_by="tool", events="dbo.cleaned", event_time="cleaned_at", event_group="tool")
    list(fetch.Maintenance(fab.job.source, monitor).fetch_by_day(DAYS, NOW))


def requeue(fab: Fab) -> None:
    moved = fab.job.store.create_temporary(
        "rowcast_moved", sa.Column("lot", sa.Unicode(20)), sa.Column("slot", sa.Integer)
    )
    fab.job.store.ingest(moved, PREDICTIONS.select(["lot", "slot"]))
    fab.ledger.move_to_history(fab.job.own.prediction, moved)


def count(fab: Fab) -> None:
    """The audit."""
    fab.server.answers("COUNT_BIG", {ANY: 0})
    audit(fab.job)
    fab.server.answers("[rowcast.age]", {"n": 3, "pending": 2, "oldest": 1.5})
    fab.server.answers(
        "GROUP BY [rowcast].[batch].[status]", {"status": "published", "scored": 2, "quarantined": 0, "forgotten": 0}
    )
    fab.server.answers("[was]", {"was": "scored", "n": 1})
    count_places(fab.job)


def contents(fab: Fab) -> None:
    """What a full audit reads of the store."""
    fab.server.answers("COUNT_BIG", {ANY: 0})
    find_broken(fab.job)
    found = {"batch_id": 7, "checksum": "5ha256", "signature": None, "row_count": 2}
    fab.server.answers("[rowcast].[batch].[checksum]", found)
    check_batches(fab.ledger)
    shadowed = {"batch_id": 7, "model_version": 1, "checksum": "5ha256", "removed": None, "signature": None}
    fab.server.answers("[rowcast].[shadow_batch].[checksum]", {**shadowed, "row_count": 2})
    fab.server.answers("SELECT count", {"n": 0})
    check_shadows(fab.ledger)


def forget(fab: Fab) -> None:
    """Old results that are deleted."""
    fab.server.answers("[rowcast].[batch].[quarantined]", {"batch_id": 7, "scored": 2, "quarantined": 0})
    fab.server.answers("COUNT_BIG", {"n": 2, "batch_id": 7})
    fab.server.answers("SELECT [rowcast].[batch].[batch_id]", {"batch_id": 7, "scored": 2, "quarantined": 0})
    fab.ledger.forget_batches([each.batch_id for each in fab.ledger.find_old(NOW)], 3)
    fab.server.answers("SELECT TOP 1 [rowcast].[batch].[finished_at]", {"finished_at": NOW})
    fab.ledger.forgotten_until()


def run(fab: Fab) -> None:
    fab.job.runs.start(PipelineName.INFER, NOW, "5ha256")
    figures = {"scored": 990, "flagged": 12}
    step = StepRecord(3, "inference", "score", StepStatus.DONE, NOW, duration_s=1.5, rows_in=1000, rows_out=990)
    fab.job.runs.record_step(step, figures)
    fab.job.runs.begin_training(3)
    fab.job.runs.finish(3, RunStatus.DONE, EndCause.COMPLETED)


def tell(fab: Fab) -> None:
    """Alerts: what is written, delivered and counted; and the figures of runs."""
    alert = Alert(
        "wafers", "infer", "infer failed", "no column", "error", NOW, "give it back", "rowcast resume 3", "s001", 3
    )
    alerts = Alerts(fab.job.store, fab.job.tables, "wafers", ["sns"], "info")
    alerts.write([alert], ["infer", "retrain"])
    alerts.write_once(alert, fab.job.registry.mark_alerted(9))
    fab.job.registry.decisions_to_alert()
    alerts.due()
    delivery = Delivery(5, alert, ("sns",), 0, NOW)
    alerts.claim(delivery)
    alerts.close(delivery, [])
    fab.server.answers("COUNT_BIG", {"n": 0})
    alerts.count_waiting()
    fab.job.runs.find_death_before(3)
    fab.job.runs.counts()
    fab.job.runs.newest_ended()
    fab.job.runs.figures(3)


def watch(fab: Fab) -> None:
    """What the rows of runs looked like, and what of it was told."""
    profiles = fab.job.profiles
    fab.job.registry.reference(2)
    fab.server.answers("TOP 1 [rowcast].[run].[as_of]", {"as_of": NOW})
    profiles.of(2, timedelta(days=180))
    profiles.runs(3)
    profiles.record_drift(2, [DriftRecord(3, 3, 2, "started", NOW, 1.5, "s012 is 1.5 SD higher", ())], 0)
    profiles.list_drift(2)
    profiles.find_last_look(3, "runs")
    profiles.last_look()
    fab.server.answers("TOP 50", {"run_id": 2})
    fab.job.runs.steps_before(3, PipelineName.INFER, 50)


def models(fab: Fab) -> None:
    fab.job.registry.versions()
    fab.job.registry.decisions()
    fab.server.answers(
        "FROM [rowcast].[model]",
        {
            "version": 2,
            "status": "challenger",
            "created_at": NOW,
            "run_id": 3,
            "estimator": "trees",
            "features": "[]",
            "trained_from": None,
            "trained_to": None,
            "trained_to_key": None,
            "rows": 1,
            "metrics": "{}",
            "artifact_sha256": "",
        },
    )
    decision = NewDecision(DecisionOutcome.PROMOTED, "it wins", {}, decided_at=NOW, decided_by="gate")
    fab.job.registry.promote(2, decision)


def number(fab: Fab) -> None:
    """Of a store that is copied here."""
    store, run = fab.job.store, fab.job.tables.run
    fab.server.answers("WITH (TABLOCKX", {"n": 7})
    with store.transaction("write"):
        first = store.admin.reserve_numbers(run, 5)
        with store.admin.take_numbers(run):
            store.ingest(run, pa.table({"run_id": [first + 1], "job": ["wafers"], "as_of": [NOW]}))


SECTIONS: dict[str, Callable[[Fab], None]] = {
    section.__name__: section
    for section in (
        connect,
        describe,
        rights,
        create,
        register,
        look,
        train,
        plan,
        claim,
        read,
        remember,
        publish,
        shadow,
        judge,
        quality,
        chart,
        requeue,
        count,
        contents,
        forget,
        run,
        tell,
        watch,
        models,
        number,
    )
}
# What sqlglot does not look into: settings, transactions, procedures.
OPAQUE = re.compile(
    r"SET |BEGIN TRANSACTION$|COMMIT$|ROLLBACK$|SAVE TRANSACTION |EXEC sp_describe_first_result_set |"
    r"DECLARE @held int; EXEC @held = sp_getapplock |IF SCHEMA_ID\(|-- bulk copy|"
    r"ALTER TABLE \S+ SET \(LOCK_ESCALATION = DISABLE\)$|GRANT |DBCC CHECKIDENT "
)


@pytest.mark.parametrize("section", SECTIONS)
def test_what_is_sent_is_what_was_read_before(fab: Fab, section: str, request: pytest.FixtureRequest) -> None:
    fab.server.sent.clear()
    SECTIONS[section](fab)
    found = ";\n\n".join(line.rstrip() for line in fab.server.sent) + ";\n"
    kept = KEPT / f"{section}.sql"
    if request.config.getoption("--snapshot"):
        kept.write_text(found, encoding="utf-8")
    assert found == kept.read_text(encoding="utf-8")


@pytest.mark.parametrize("section", SECTIONS)
def test_what_is_sent_is_t_sql(fab: Fab, section: str) -> None:
    fab.server.sent.clear()
    SECTIONS[section](fab)
    assert fab.server.sent
    for sent in fab.server.sent:
        if OPAQUE.match(sent):
            continue
        for parsed in sqlglot.parse(sent, dialect="tsql", error_level=sqlglot.ErrorLevel.RAISE):
            assert parsed is None or not isinstance(parsed, exp.Command), sent


@pytest.mark.parametrize("section", SECTIONS)
def test_texts_are_unicode_and_columns_are_not_named_in_three_parts(fab: Fab, section: str) -> None:
    fab.server.sent.clear()
    SECTIONS[section](fab)
    for sent in fab.server.sent:
        statement = sent.partition("\n--" if not sent.startswith("--") else "--")[0]
        assert not re.search("'", re.sub(r"N'(?:[^']|'')*'|'\$\[\d+\]'|'[\d :+-]+'", "", statement)), sent
        assert "[rowcast].[run].[run_id]" not in statement
        assert statement.count("?") <= MSSQLConnection.max_parameters


@pytest.mark.parametrize("time_format", ["%d.%m.%Y %H:%M", "%d/%m [%Y] 100_%H' %f", "%Y%m%d%H%M%S%z"])
@pytest.mark.parametrize("timezone", ["UTC", "Europe/Berlin"])
def test_times_in_texts_are_t_sql(time_format: str, timezone: str) -> None:
    sql, column = MSSQLExpressions(), Column("mess]zeit", "category", "nvarchar(40)", time_format=time_format)
    chosen = sa.select(sql.event_time(column, timezone)).where(
        sql.has_event_time(column), sql.event_time_between(column, timezone, MORNING)
    )
    sent = str(chosen.compile(dialect=sql.dialect, compile_kwargs={"literal_binds": True}))
    assert not re.search("'", re.sub(r"N'(?:[^']|'')*'", "", sent))
    assert isinstance(sqlglot.parse_one(sent, dialect="tsql", error_level=sqlglot.ErrorLevel.RAISE), exp.Select)


def test_rows_are_staged_before_the_transaction_that_publishes_them(fab: Fab) -> None:
    fab.server.answers("OUTPUT [inserted].[batch_id]", {"batch_id": 7})
    fab.server.sent.clear()
    assert fab.ledger.publish(Batch(7, 3, 2, RANGE, WORKER), BatchResult(PREDICTIONS, NOTHING), 0.1)
    steps = ("bulk copy", "BEGIN TRANSACTION", "UPDATE [rowcast].[batch]", "INSERT INTO [rowcast].[wafers_prediction]")
    steps += ("DELETE FROM [rowcast].[wafers_prediction_staging]", "COMMIT")
    places = [next(n for n, sent in enumerate(fab.server.sent) if step in sent) for step in steps]
    assert places == sorted(places)


def test_a_few_rows_without_floats_need_no_bulk_copy(fab: Fab) -> None:
    fab.server.answers("OUTPUT [inserted].[batch_id]", {"batch_id": 7})
    bad = PREDICTIONS.select(["lot", "slot", "row_hash"]).append_column("reasons", pa.array(["[]", "[]"]))
    bad = bad.append_column("row_values", pa.array(["{}", '{"tool": "\\\\ü"}']))
    fab.server.sent.clear()
    assert fab.ledger.publish(Batch(7, 3, 2, RANGE, WORKER), BatchResult(PREDICTIONS, bad), 0.9)
    copies = [sent for sent in fab.server.sent if sent.startswith("-- bulk copy")]
    assert ["_prediction_staging" in copy for copy in copies] == [True]
    inserted = [sent for sent in fab.server.sent if sent.startswith("INSERT INTO [rowcast].[wafers_quarantine] ")]
    assert len(inserted) == 1
    assert "OPENJSON(?)" in inserted[0]


def test_a_lost_claim_publishes_nothing(fab: Fab) -> None:
    fab.server.answers("OUTPUT [inserted].[batch_id]")
    fab.server.sent.clear()
    fab.ledger.publish(Batch(7, 3, 2, RANGE, WORKER), BatchResult(PREDICTIONS, NOTHING), 0.1)
    assert not [sent for sent in fab.server.sent if sent.startswith("INSERT INTO [rowcast].[wafers_prediction] ")]


def test_a_lock_that_is_not_given_is_an_error_that_is_tried_again(fab: Fab) -> None:
    fab.server.answers("sp_getapplock", {"held": -1})
    with pytest.raises(Exception, match="another session holds the lock") as caught, fab.ledger.planning():
        pass
    assert caught.value.is_transient


def test_texts_that_differ_in_spaces_at_the_end_are_one_key_to_a_store_here():
    key, other = Column("slot", "category", "text"), Column("n", "number", "bigint", True)
    named = config.Source(url="postgresql://x/y", table="t", key=["slot", "n"], label="y")
    db = SimpleNamespace(sql=PostgreSQLExpressions(), dialect=PostgreSQLExpressions().dialect)
    db.admin = SimpleNamespace(split_name=lambda name: (None, name))
    source = Source(db, Relation((key, other)), named, (key, other), None, other)
    store = SimpleNamespace(sql=MSSQLExpressions(), dialect=MSSQLExpressions().dialect)
    met = meet_store(source, store)
    sql = " ".join(str(met.select(*met.keys()).where(met.has_own_stored_key()).compile(dialect=db.dialect)).split())
    assert "GROUP BY rtrim(CAST(slot AS TEXT)), n HAVING count(*) > " in sql
    assert meet_store(source, SimpleNamespace(sql=PostgreSQLExpressions(), dialect=store.dialect)) == source
    assert [column.type for column in declare_key(source, store)] == [MSSQLExpressions.text_key, "BIGINT"]


def test_no_statement_does_to_a_table_what_its_grant_does_not_allow(fab: Fab) -> None:
    rights_ = list_table_rights(fab.job.tables, fab.job.own)
    assert set(rights_) == {*fab.job.tables.shared, *fab.job.own.all}
    allowed = {(right, table.name) for table, given in rights_.items() for right in given}
    done = re.compile(r"(INSERT INTO|UPDATE|DELETE FROM) \[rowcast\]\.\[(\w+)\]")
    kept = [part for path in KEPT.glob("*.sql") if path.stem != "create" for part in done.findall(path.read_text())]
    assert kept
    assert {(verb.split()[0], name) for verb, name in kept} <= allowed


def test_tables_that_this_user_may_not_see_are_told_from_those_that_are_not_there(fab: Fab) -> None:
    fab.server.answers("OBJECT_ID(N'[rowcast]", {"id": None})
    fab.server.answers("USER_NAME()", {"me": "rowcast"})
    fab.server.answers("DB_NAME() AS n", {"n": "line"})
    fab.server.answers("HAS_PERMS_BY_NAME", {ANY: 0})
    found = {}
    for name, schema in {"hidden": [{"name": "rowcast"}], "absent": []}.items():
        fab.server.answers("FROM sys.schemas WHERE", *schema)
        found[name] = [f for f in check_store(fab.job.source, fab.job.store, fab.job.settings) if f.level == "problem"]
    assert found["absent"][0].statement == "GRANT CREATE SCHEMA, CREATE TABLE TO [rowcast]"
    grant = "GRANT SELECT, INSERT, UPDATE, DELETE ON SCHEMA::[rowcast] TO [rowcast]"
    assert found["hidden"][0].statement == grant
    assert "tables that an administrator has made are not seen without it" in found["hidden"][0].hint
