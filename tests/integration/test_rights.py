"""The rights that 'rowcast ddl' prints are enough, and the doctor names each that is missing and leads to it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import Place, literal
from odd import QUICK
from test_database import bound_by_file_modes

from rowcast import config, pipeline, retention
from rowcast.audit import audit
from rowcast.database import Grant, connect
from rowcast.database.sqlite import access
from rowcast.doctor import Finding, examine
from rowcast.errors import DatabaseError, StoreError
from rowcast.init import inspect, quote
from rowcast.job.opening import open_job
from rowcast.job.rights import write_grants
from rowcast.store import migrations

MONITOR = '[monitor]\nevents = "mes.cleaned"\nevent_time = "t"\n'


class Plant:
    """A table of wafers that an administrator owns, and a role that may do nothing yet."""

    def __init__(self, place: Place, folder: Path) -> None:
        assert place.server is not None
        self.place, self.folder = place, folder
        self.database = place.url.rpartition("/")[2]
        self.role = f"Clärk {self.database}"
        self.url = place.server.url(self.database, self.role.replace(" ", "%20"), "s3cret")
        place.run(
            f"CREATE ROLE \"{self.role}\" LOGIN PASSWORD 's3cret'",
            f"REVOKE ALL ON DATABASE {self.database} FROM PUBLIC",
            "REVOKE ALL ON SCHEMA public FROM PUBLIC",
            "CREATE SCHEMA mes",
            "CREATE TABLE mes.wafers (id integer PRIMARY KEY, t timestamptz, s0 real, failed integer)",
            "CREATE TABLE mes.cleaned (t timestamptz)",
        )
        moments = [f"2026-03-{1 + n // 24:02d} {n % 24:02d}:00:00Z" for n in range(160)]
        rows = [(n, moments[n], n * 37 % 101 / 10, int(n * 37 % 101 > 80) if n < 120 else None) for n in range(160)]
        values = ", ".join("(" + ", ".join(map(literal, row)) + ")" for row in rows)
        place.run(f"INSERT INTO mes.wafers VALUES {values}")

    def settings(self, url: str | None = None, more: str = "", **source: Any) -> config.Settings:
        named = {"url": url or self.url, "table": "mes.wafers", "key": ["id"], "time": "t", "label": "failed", **source}
        lines = [f"{name} = {quote(value)}" for name, value in named.items() if value is not None]
        path = self.folder / "rowcast.toml"
        path.write_text("\n".join(['name = "wafers"', "[source]", *lines, QUICK, MONITOR, more]), encoding="utf-8")
        return config.load(path)

    def administer(self, *, grant: bool = True) -> list[str]:
        """Run what 'rowcast ddl' prints as the administrator; return the statements that grant."""
        with open_job(self.settings(self.place.url), prepare=False) as job:
            made = migrations.ddl(job.store, job.tables, job.own, "rowcast")
            [block] = write_grants(job, self.role)
        self.place.run(*made, *(block.statements if grant else ()))
        return list(block.statements)

    def problems(self, **source: Any) -> list[Finding]:
        return [finding for finding in examine(self.settings(**source)) if finding.level == "problem"]


def revoking(statement: str) -> str:
    return statement.replace("GRANT", "REVOKE", 1).replace(" TO ", " FROM ")


@pytest.fixture
def plant(postgresql: Place, tmp_path: Path) -> Iterator[Plant]:
    made = Plant(postgresql, tmp_path)
    yield made
    postgresql.clear()
    postgresql.run(f'DROP OWNED BY "{made.role}"', f'DROP ROLE "{made.role}"')
    postgresql.run(f"GRANT CONNECT, TEMPORARY ON DATABASE {made.database} TO PUBLIC")


def test_what_ddl_prints_is_enough_and_the_doctor_names_each_grant_that_is_missing(plant: Plant) -> None:
    grants = plant.administer()
    for name in ("retrain", "infer", "full-pipeline"):
        assert pipeline.run(plant.settings(), name).status == "done"  # type: ignore[arg-type]
    with open_job(plant.settings()) as job:
        assert audit(job).holds
    assert plant.problems() == []
    assert retention.forget(plant.settings(), datetime.now(UTC).isoformat(), "the role").rows.scored == 40
    for grant in grants:
        plant.place.run(revoking(grant))
        problems = plant.problems()
        plant.place.run(grant)
        assert grant in [finding.statement for finding in problems], (grant, problems)
        assert all(finding.what.count("\n") == 0 for finding in problems)
    assert plant.problems() == []


@pytest.mark.parametrize("begin", ["nothing", "tables without grants", "nothing to read"])
def test_whoever_runs_what_the_doctor_says_ends_with_a_job_that_runs(begin: str, plant: Plant) -> None:
    if begin != "nothing":
        grants = plant.administer(grant=begin == "nothing to read")
        if begin == "nothing to read":
            plant.place.run(*[revoking(grant) for grant in grants if "SELECT" in grant])
    run: set[str] = set()
    while problems := plant.problems():
        told = {finding.statement for finding in problems} - run - {""}
        assert told, problems  # no circle: each look names what no look before has named
        plant.place.run(*sorted(told))
        run |= told
    assert pipeline.run(plant.settings(), "retrain").status == "done"


def test_init_names_each_grant_that_is_missing_since_there_is_no_file_yet_for_the_doctor(plant: Plant) -> None:
    told: list[str] = []
    for _ in range(3):
        with pytest.raises(DatabaseError) as caught:
            inspect(plant.url, "mes.wafers")
        assert "doctor" not in caught.value.hint
        told.append(caught.value.hint.partition(": ")[2].rstrip(";"))
        plant.place.run(told[-1])
    assert [" ".join(grant.split()[:2]) for grant in told] == ["GRANT CONNECT", "GRANT USAGE", "GRANT SELECT"]
    assert inspect(plant.url, "mes.wafers").key.columns == ("id",)


def test_a_run_without_rights_on_tables_that_are_there_is_not_told_to_create_them(plant: Plant) -> None:
    for grant in plant.administer(grant=False):
        if "CONNECT" in grant or " mes" in grant:
            plant.place.run(grant)
    with pytest.raises(StoreError, match="may not use its tables") as caught:
        pipeline.run(plant.settings(), "retrain")
    assert "doctor" in caught.value.hint
    assert "ddl" not in caught.value.hint


def test_who_may_not_upgrade_the_tables_is_led_to_ddl_and_nowhere_else(plant: Plant) -> None:
    plant.administer()
    plant.place.run(f"UPDATE rowcast.version SET version = {migrations.VERSION - 1}")
    with pytest.raises(StoreError, match=f"may not upgrade its tables from version {migrations.VERSION - 1}") as caught:
        pipeline.run(plant.settings(), "retrain")
    assert caught.value.hint.startswith("'rowcast ddl'")
    [problem] = plant.problems()
    assert "may not upgrade the store's tables" in problem.what
    assert (problem.statement, problem.hint.startswith("'rowcast ddl'")) == ("", True)


def test_a_query_that_reads_what_may_not_be_read_names_the_table(plant: Plant) -> None:
    plant.administer()
    plant.place.run("CREATE TABLE mes.lots (id integer)")
    problems = plant.problems(table=None, query="SELECT w.* FROM mes.wafers w LEFT JOIN mes.lots l ON l.id = w.id")
    assert any(finding.statement.startswith("GRANT SELECT ON mes.lots TO") for finding in problems)


def test_ddl_printed_by_who_may_not_look_at_the_tables_has_the_grants_alone(plant: Plant) -> None:
    grants = plant.administer(grant=False)
    plant.place.run(grants[0], *[grant for grant in grants if " mes" in grant])
    with open_job(plant.settings(), prepare=False) as job:
        assert migrations.ddl(job.store, job.tables, job.own, "rowcast") == []
        [block] = write_grants(job, None)
    assert list(block.statements) == grants


def test_source_and_store_apart_need_what_is_done_in_each(plant: Plant, sqlite: Place) -> None:
    apart = plant.settings(plant.place.url, f'[store]\nurl = "{sqlite.url}"')
    with open_job(apart, prepare=False) as job:
        in_store, in_source = write_grants(job, plant.role)
    assert (in_store.statements, len(in_store.commands)) == ((), 2)
    given = {statement.split(" ON ")[0] for statement in in_source.statements}
    assert given == {"GRANT CONNECT", "GRANT USAGE", "GRANT SELECT"}


_EXAMINE = """
import sys
from rowcast import config
from pathlib import Path
from rowcast.doctor import examine
for finding in examine(config.load(Path(sys.argv[1]))):
    if finding.level == "problem":
        print(finding.what, "->", finding.statement)
"""


@pytest.mark.parametrize(
    ("of_file", "of_folder", "lacks"),
    [
        pytest.param(0o444, 0o755, "write on file", marks=pytest.mark.long),
        pytest.param(0o000, 0o755, "read on file", marks=pytest.mark.long),
        (0o644, 0o555, "write on folder"),
    ],
)
def test_a_sqlite_file_that_may_not_be_used_is_named_with_the_command_that_lets_it(
    of_file: int, of_folder: int, lacks: str, tmp_path: Path
) -> None:
    folder = tmp_path / "fab"
    folder.mkdir()
    db = connect(f"sqlite:///{folder}/x.db", create=True)
    db.run_sql("CREATE TABLE wafers (id INTEGER PRIMARY KEY, failed INTEGER)")
    db.run_sql("INSERT INTO wafers VALUES (1, 0)")
    db.close()
    path = tmp_path / "rowcast.toml"
    path.write_text(f'[source]\nurl = "sqlite:///{folder}/x.db"\ntable = "wafers"\nkey = ["id"]\nlabel = "failed"\n')
    (folder / "x.db").chmod(of_file)
    folder.chmod(of_folder)
    command = [sys.executable, "-c", _EXAMINE, str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, preexec_fn=bound_by_file_modes, check=False)
    finally:
        folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stdout.splitlines() if lacks in line]
    assert "-> setfacl -m u:" in line
    assert str(folder) in line.partition("->")[2]


def test_in_a_folder_that_may_not_be_written_each_command_names_the_permission(tmp_path: Path) -> None:
    folder = tmp_path / "fab"
    folder.mkdir()
    db = connect(f"sqlite:///{folder}/x.db", create=True)
    db.run_sql("CREATE TABLE wafers (id INTEGER PRIMARY KEY, failed INTEGER)")
    db.close()
    settings = 'url = "sqlite:///x.db"\ntable = "wafers"\nkey = ["id"]\nlabel = "failed"\n'
    (folder / "rowcast.toml").write_text(f"[source]\n{settings}")
    (folder / "x.db").chmod(0o444)
    folder.chmod(0o555)
    said = {}
    try:
        for command in ("run", "status", "audit"):
            done = subprocess.run(
                [sys.executable, "-m", "rowcast", command],
                **{"capture_output": True, "text": True, "preexec_fn": bound_by_file_modes, "cwd": folder},
            )
            assert (done.returncode, done.stdout) == (1, "")
            said[command] = done.stderr
    finally:
        folder.chmod(0o755)
    user = access.user_name()
    for command, text in said.items():
        what, hint = text.splitlines()[-2:]
        assert what.startswith(f"error: rowcast may not write to its store: sqlite:///{folder}/x.db: "), command
        assert hint == (
            f"  {user} lacks the right to write on folder {folder} and to write on file {folder}/x.db: "
            f"setfacl -m u:{user}:w {folder} && setfacl -m u:{user}:w {folder}/x.db"
        )
    log, kept = (json.loads(line) for line in said["run"].splitlines()[:2])
    assert log["event"] == f"{folder}/pipeline.log cannot be written: Permission denied"
    assert (kept["event"], kept["why"]) == ("an alert is kept nowhere for a later run", "Permission denied")


def test_who_has_a_number_and_no_name_is_named_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rowcast.database.sqlite.access.os.geteuid", lambda: 54_321)
    assert access.user_name() == "54321"


def test_on_a_file_system_that_can_only_be_read_no_right_is_advised_but_how_to_write_to_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "x.db"
    path.touch()
    grant = Grant(("write",), "file", str(path))
    assert access.write_access(grant, "ada") == f"setfacl -m u:ada:w {path}"
    found = os.statvfs(path)
    flags = SimpleNamespace(f_flag=found.f_flag | os.ST_RDONLY)
    monkeypatch.setattr("rowcast.database.sqlite.access.os.statvfs", lambda _: flags)
    command, _, place = access.write_access(grant, "ada").rpartition(" ")
    assert command == "mount -o remount,rw"
    assert os.path.ismount(place)
    assert str(path).startswith(place)


def test_a_denied_statement_is_told_with_its_grant(postgresql: Place) -> None:
    admin = postgresql.connect().admin
    for said, statement in {
        "permission denied for table wafers": "GRANT SELECT ON wafers TO reader",
        "permission denied for materialized view Messwerte": 'GRANT SELECT ON "Messwerte" TO reader',
        "permission denied for schema mes": "GRANT USAGE ON SCHEMA mes TO reader",
    }.items():
        grant = admin.name_denied(f"postgresql://h:5432/db: {said}")
        assert grant is not None
        assert admin.write_grant(grant, "reader") == statement
    assert admin.name_denied("permission denied for function pg_read_file") is None
