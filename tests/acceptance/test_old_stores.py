"""Stores as released versions left them: today's rowcast upgrades them, proves what they hold, and scores on.

`stores/VERSION.sql.xz` is a dump of a small fab in SQLite after that version's `rowcast run`. Beside the source it has
a table `later`, of rows that had not arrived by then.
"""

import contextlib
import json
import lzma
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from jobs import environment

from rowcast.store import migrations

STORES = sorted((Path(__file__).parent / "stores").glob("*.sql.xz"))
CONFIG = """
[source]
url = "sqlite:///fab.db"
table = "wafers"
key = ["wafer_id"]
time = "measured_at"
label = "failed"
label_time = "labelled_at"
group = "lot_id"
[model]
budget = "0s"
"""


@pytest.fixture(params=STORES, ids=lambda path: path.name.removesuffix(".sql.xz"))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    (tmp_path / "rowcast.toml").write_text(CONFIG)
    run_sql(tmp_path, lzma.decompress(request.param.read_bytes()).decode())
    return tmp_path


def run_sql(folder: Path, script: str) -> None:
    with contextlib.closing(sqlite3.connect(folder / "fab.db")) as db:
        db.executescript(script)


def ask(folder: Path, *command: str) -> dict[str, object]:
    whole = [sys.executable, "-m", "rowcast", *command]
    done = subprocess.run(whole, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_what_it_holds_is_upgraded_and_every_score_computed_again_is_the_same(folder: Path) -> None:
    counts = ask(folder, "audit", "--full", "--all", "--json")
    assert counts["holds"] is True
    assert counts["recomputed"] == counts["scored"] == 39
    assert (counts["results_wrong"], counts["changed"], counts["models_changed"]) == (0, 0, 0)
    with contextlib.closing(sqlite3.connect(folder / "fab.db")) as db:
        assert db.execute("SELECT max(version) FROM rowcast_version").fetchall() == [(migrations.VERSION,)]


def test_its_champion_scores_rows_that_came_later(folder: Path) -> None:
    run_sql(folder, "INSERT INTO wafers SELECT * FROM later")
    done = ask(folder, "run")
    assert (done["champion"], done["scored"]) == ("v1", 20)
    assert ask(folder, "audit", "--full", "--json")["holds"] is True
