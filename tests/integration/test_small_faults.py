"""What is too long, too large or no file at all, and a disk without room: refused or shown, and never waited for."""

import os
import resource
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from rowcast import report
from rowcast.database import connect
from rowcast.errors import ModelError, UsageError
from rowcast.models.imported import check_file
from rowcast.training import import_file


@pytest.mark.parametrize("kind", ["fifo", "folder", "absent", "large"])
def test_what_is_no_model_file_is_refused_without_being_read(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.txt"
    if kind == "fifo":
        os.mkfifo(path)  # nobody writes: reading would wait for ever
    elif kind == "folder":
        path.mkdir()
    elif kind == "large":
        with path.open("wb") as file:
            file.truncate(300 << 20)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("it was read"))
    with pytest.raises(UsageError, match=r"is no plain file|cannot be read|has 300 MiB"):
        import_file.read(path)


@pytest.mark.parametrize("data", [b"tree\n" + b"x" * 100, b"nonsense"])
def test_a_file_that_holds_no_model_is_refused_before_anything_is_recorded(data: bytes) -> None:
    with pytest.raises(ModelError):
        check_file("model.txt", data)


@pytest.mark.parametrize("begins", [b"tree\n", b"tree\r\n", b"\xef\xbb\xbftree\n", b"tree\n\xff"])
def test_a_models_file_that_was_changed_is_to_be_written_anew_and_no_version_is_blamed(begins: bytes) -> None:
    with pytest.raises(ModelError, match=r"^model\.txt: ") as refused:
        check_file("model.txt", begins + b"version=v4\n")
    assert "write it anew where the model was fitted" in refused.value.hint
    assert "promote" not in refused.value.hint


def test_a_long_value_is_shown_by_its_beginning() -> None:
    cell = "x" * 50_000_000
    rows = [{"column": "note", "value": cell}, *[{"column": f"s{place}", "value": 1} for place in range(15)]]
    for shown in (report.table(rows, ["column", "value"]), report.facts({"note": cell})):
        assert len(shown) < 50_000
        assert "(50,000,000 characters)" in shown


_READ = """
import sys
import sqlalchemy as sa
from rowcast.database import connect
from rowcast.errors import DatabaseError
db = connect(sys.argv[1])
print(db.scalar(sa.select(sa.func.count()).select_from(sa.table("wafers"))))
staged = db.create_temporary("staged", sa.Column("id", sa.Integer))
db.execute(staged.insert().values(id=1))
print(db.scalar(sa.select(staged.c.id)))
try:
    db.run_sql("INSERT INTO wafers VALUES (9)")
except DatabaseError as error:
    print(error.reason)
"""


def _leave_no_room() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def test_a_sqlite_file_on_a_full_disk_can_be_read(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/fab.db"
    with closing(connect(url, create=True)) as db:
        db.query("PRAGMA journal_mode = WAL")  # as the store's: even a reader needs a file beside it
        db.run_sql("CREATE TABLE wafers (id INTEGER PRIMARY KEY)")
        db.execute(sa.table("wafers", sa.column("id")).insert().values(id=1))
    assert not (tmp_path / "fab.db-wal").exists()
    done = subprocess.run(
        [sys.executable, "-c", _READ, url], preexec_fn=_leave_no_room, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["1", "1", "full"], done.stderr
