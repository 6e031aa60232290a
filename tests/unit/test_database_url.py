"""Passwords in database URLs: none is shown, however the URL is broken, and any can be used."""

import os
import re
import stat
from pathlib import Path

import pytest

from rowcast import logs
from rowcast.config import load
from rowcast.config.database_url import find_fault, find_passwords
from rowcast.database import connect, is_same_database, parse_url
from rowcast.database.postgresql.address import read_address
from rowcast.database.postgresql.connection import make_uri
from rowcast.database.sqlite.connection import SQLiteConnection
from rowcast.errors import ConfigError, RowcastError
from rowcast.init import inspect, written_url
from rowcast.job.workdir import WorkDir

PASSWORDS = (
    "hunt@zeb/w0nd",
    "S3crhunt2:5432",
    "hunt?zeb",
    "hunt#zeb",
    "hunt zeb",
    "50%hunt",
    "hunt@zeb",
    "hunt/zeb",
    "[hunt",
)
BROKEN = (
    "postgresql://postgres:{}@host:5432/db",
    "postgresql+psycopg://postgres:{}@host/db",
    "mssql://sa:{}@host/db",
    "postgresql://postgres:{}:5432/db",
    "postgresql://postgres:{}/db",
    "postgresql:/postgres:{}@host/db",
    "postgres:{}@host/db",
    "mysql://root:{}@host/db",
    "{}://postgres@host/db",
    "{}",
)
TOML = """
[source]
url = {source!r}
table = "wafers"
key = ["id"]
label = "failed"
[store]
url = {store!r}
"""


@pytest.mark.parametrize("url", ["", "  "])
def test_a_url_that_is_empty_is_called_so_and_hides_nothing_else(url: str) -> None:
    assert find_fault(url) == "the database URL is empty"
    assert not {""} & find_passwords(url)


@pytest.mark.parametrize("url", BROKEN)
@pytest.mark.parametrize("password", PASSWORDS)
def test_no_part_of_a_password_is_told_of_a_url_that_is_broken(password: str, url: str, tmp_path: Path) -> None:
    broken, path = url.format(password), tmp_path / "rowcast.toml"
    if find_fault(broken) == "":
        pytest.skip("with a host in place of the password's end, nobody could tell")

    def told(source: str, store: str) -> None:
        path.write_text(TOML.format(source=source, store=store))
        load(path)

    for use in (
        lambda: connect(broken),
        lambda: is_same_database("sqlite:///a.db", broken),
        lambda: inspect(broken, "wafers"),
        lambda: written_url(broken, tmp_path),
        lambda: told(broken, "sqlite:///fab.db"),
        lambda: told("sqlite:///fab.db", broken),
    ):
        with pytest.raises(ConfigError) as caught:
            use()
        error = caught.value
        shown = f"{error.what} {error.hint} {error.detail}"
        assert not [part for part in re.findall(r"\w{3,}", password) if part != "5432" and part in shown]
        assert "mysql" in shown or "%40" in shown


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///fab.db",
        "sqlite:////tmp/a b@c.db?mode=ro",
        "postgresql://host",
        "postgresql://user@host:5432/db",
        "postgresql://user:p%40ss%2Fw0rd@[::1]:5432/my%20db?sslmode=require&options=-c%20search_path%3Dmes",
        "mssql://sa:pa%20ss@host/db?Encrypt=yes&TrustServerCertificate=no",
        "postgresql:///db?host=/var/run/postgresql",
    ],
)
def test_a_sound_url_is_one(url: str) -> None:
    assert find_fault(url) == ""
    parse_url(url)


@pytest.mark.parametrize(
    ("url", "leads_to"),
    [
        ("postgresql://me:pw@db.fab/mes?sslmode=require", "postgresql://db.fab:5432/mes"),
        ("postgresql://db.fab:6432/mes", "postgresql://db.fab:6432/mes"),
        ("postgresql:///mes?host=/run/postgresql", "postgresql:///mes?host=/run/postgresql"),
        ("postgresql://me:pw@/mes?host=/tmp/my%20db&port=5433", "postgresql:///mes?host=/tmp/my%20db&port=5433"),
        ("postgresql://one/mes?host=other", "postgresql://other:5432/mes"),
        ("postgresql://me@/?dbname=mes&host=/run", "postgresql:///mes?host=/run"),
        ("postgresql:///mes", "postgresql:///mes"),
    ],
)
def test_a_url_of_postgresql_is_named_by_where_it_leads_to(url: str, leads_to: str) -> None:
    assert str(read_address(parse_url(url))) == leads_to


def test_two_sockets_lead_to_two_databases() -> None:
    one, other = (f"postgresql://me@/mes?host=/run/{name}" for name in ("one", "other"))
    assert is_same_database(one, f"{one}&sslmode=disable")
    assert not is_same_database(one, other)
    assert not is_same_database(one, "postgresql:///mes")


def test_passwords_are_found_as_written_and_as_meant() -> None:
    assert {"p%40ss%20w", "p@ss w"} <= find_passwords("postgresql://user:p%40ss%20w@host/db")
    assert find_passwords("postgresql://host/db?password=hunter2&sslmode=require") == {"hunter2"}
    assert find_passwords("sqlite:///fab.db") == set()


def test_a_password_and_options_reach_postgresql_as_they_are_meant() -> None:
    url = "postgresql://us%20er:pa%20ss%2B1%40@host/d%20b?options=-c%20search_path%3Dmes"
    made = make_uri(parse_url(url))
    assert made.startswith("postgresql://us%20er:pa%20ss%2B1%40@host/d%20b?")
    assert "options=-c%20search_path%3Dmes" in made
    assert "+" not in made


@pytest.mark.parametrize("secret", ["a", "run", "rows"])
def test_a_short_password_garbles_no_log(secret: str) -> None:
    text = "a run of many narrows: 12 rowset rows_in=3 at postgresql://u:a@host/db"
    shown = logs.without([secret], text)
    assert shown.startswith("a run of many narrows: 12 rowset rows_in=3 at postgresql://***@host")
    assert logs.without(["hunter22"], "xhunter22y") == "x***y"
    assert logs.without(["rows"], "login rows failed") == "login *** failed"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_that_hold_rows_are_their_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        SQLiteConnection(parse_url(f"sqlite:///{tmp_path}/fab.db"), create=True).close()
        WorkDir(tmp_path / ".rowcast" / "wafers", 1).save_json("train/rows.json", [])
        log = logs._open_file(logs.LogFile(tmp_path / "pipeline.log"))
        log.close()
    finally:
        os.umask(before)
    assert mode(tmp_path / "fab.db") == 0o600
    assert mode(tmp_path / "pipeline.log") == 0o600
    folder = tmp_path / ".rowcast"
    assert [mode(path) for path in (folder, folder / "wafers", folder / "wafers" / "1" / "train")] == [0o700] * 3
    assert mode(folder / "wafers" / "1" / "train" / "rows.json") == 0o600


def test_a_log_that_others_may_read_stays_so_when_it_is_rotated(tmp_path: Path) -> None:
    log = logs._open_file(logs.LogFile(tmp_path / "pipeline.log"))
    (tmp_path / "pipeline.log").chmod(0o640)
    log.doRollover()  # type: ignore[attr-defined]
    log.close()
    assert mode(tmp_path / "pipeline.log") == 0o640


def test_a_url_may_be_a_variable_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rowcast.cli import setup
    from rowcast.cli.app import Common

    db = connect(f"sqlite:///{tmp_path}/fab.db", create=True)
    db.run_sql("CREATE TABLE wafers (id INTEGER PRIMARY KEY, t TEXT, s0 REAL, failed INTEGER)")
    db.close()
    monkeypatch.setenv("FAB", f"sqlite:///{tmp_path}/fab.db")
    common = Common(config=tmp_path / "rowcast.toml")
    setup.init(url="${FAB}", table="wafers", common=common)
    assert 'url = "${FAB}"' in common.config.read_text()
    monkeypatch.setenv("ROWCAST_SOURCE_URL", f"sqlite:///{tmp_path}/fab.db")
    setup.init(table="wafers", force=True, common=common)
    assert 'url = "${ROWCAST_SOURCE_URL}"' in common.config.read_text()
    monkeypatch.delenv("ROWCAST_SOURCE_URL")
    with pytest.raises(RowcastError, match="name the database"):
        setup.init(table="wafers", force=True, common=common)
    with pytest.raises(RowcastError, match="--url uses"):
        setup.init(url="${NOWHERE}", table="wafers", force=True, common=common)
