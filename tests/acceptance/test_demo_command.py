"""The demo, held against the simulator's truth."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import Place
from jobs import called
from sklearn.metrics import roc_auc_score

from rowcast.cli import main
from rowcast.simulate import Fab, Truth, simulate

pytestmark = pytest.mark.longer
SHARE = 0.8  # of the way from 0.5 to the AUC of the true probability


@pytest.fixture(scope="module")
def fab(request: pytest.FixtureRequest) -> Fab:
    """With --long the usual one, else a smaller one."""
    return Fab() if request.config.getoption("--long") else Fab(rows=6_000, sensors=30)


@pytest.fixture(scope="module")
def folder(fab: Fab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo that has been built and run by its own command."""
    found = tmp_path_factory.mktemp("demo")
    size = ("--rows", str(fab.rows), "--sensors", str(fab.sensors))
    done = subprocess.run(
        [sys.executable, "-m", "rowcast", "demo", "--dir", str(found), *size],
        capture_output=True,
        text=True,
        env={},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "it holds" in done.stdout
    return found


@pytest.fixture(scope="module")
def truth(fab: Fab) -> Truth:
    return simulate(fab).truth


def scores(folder: Path) -> dict[str, float]:
    place = Place("sqlite", f"sqlite:///{folder}/fab.db")
    rows = place.run("SELECT wafer_id, score FROM rowcast_wafers_prediction")
    place.close()
    return {row["wafer_id"]: row["score"] for row in rows}


def share_of_the_way(keys: dict[str, float], fab: Fab, truth: Truth) -> float:
    """How far from 0.5 to the AUC of the true probability these scores come, on the rows that they are of."""
    row_of = {key: row for row, key in enumerate(wafers(fab)) if key is not None}
    rows = np.array([row_of[key] for key in keys])
    outcome, best = truth.outcome[rows], truth.probability[rows]
    reached = roc_auc_score(outcome, np.array(list(keys.values())))
    return float((reached - 0.5) / (roc_auc_score(outcome, best) - 0.5))


def wafers(fab: Fab) -> list[str | None]:
    return [key for batch in simulate(fab).batches() for key in batch.column("wafer_id").to_pylist()]


def test_its_scores_come_most_of_the_way_to_the_true_probability(folder: Path, fab: Fab, truth: Truth) -> None:
    found = scores(folder)
    assert len(found) > 0.3 * fab.rows
    assert share_of_the_way(found, fab, truth) >= SHARE


def test_a_constant_score_would_fail_there(folder: Path, fab: Fab, truth: Truth) -> None:
    assert share_of_the_way(dict.fromkeys(scores(folder), 0.066), fab, truth) < SHARE


def test_no_bad_row_is_scored_where_the_model_reads_what_is_bad_in_it(folder: Path, truth: Truth) -> None:
    found = scores(folder)
    unusable = {bad.wafer_id for bad in truth.bad if bad.kind in ("repeated_key", "null_time")}
    assert unusable
    assert not unusable & set(found)
    place = Place("sqlite", f"sqlite:///{folder}/fab.db")
    quarantined = {row["wafer_id"] for row in place.run("SELECT wafer_id FROM rowcast_wafers_quarantine")}
    place.close()
    wrong_values = {bad.wafer_id for bad in truth.bad if bad.kind in ("impossible_value", "infinite_value")}
    assert quarantined
    assert quarantined <= wrong_values


def test_its_challenger_has_a_card_that_shows_what_the_gate_saw(folder: Path) -> None:
    done = called(folder, "models", "show", "v2", "--html", str(folder / "card.html"))
    assert (done.code, done.out) == (0, f"wrote {folder / 'card.html'}\n")
    text = (folder / "card.html").read_text(encoding="utf-8")
    titles = [each.text for each in ElementTree.fromstring(text.partition("\n")[2]).iter("title")]
    assert titles[0] == "wafers v2: model card"
    assert {"Cost per row", "AUC of each candidate", "Gain per row"} <= set(titles)
    assert ": promoted by gate" in text
    assert "Weighed together, it is expected to cost" in text
    assert "columns came in" in text


@pytest.mark.parametrize(("command", "shows"), [("charts", "mean score"), ("quality", "labelled")])
def test_a_history_that_ended_long_ago_is_looked_at_as_of_its_newest_rows(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str, shows: str
) -> None:
    """They said that nothing was scored: the demo's history ends in July 2026."""
    config = ["--config", str(folder / "rowcast.toml")]
    assert main([command, *config]) == 0
    first, *others = capsys.readouterr().out.splitlines()
    days = {"charts": 60, "quality": 30}[command]
    assert first == f"as of the newest rows, 2026-07-04: nothing was scored in the {days} days before now"
    newest = "\n".join(others).strip()
    assert shows in newest
    assert main([command, "--as-of", "2026-07-04", *config]) == 0
    assert capsys.readouterr().out.strip() == newest
    assert main([command, "--as-of", "2027-07-04", *config]) == 0  # who names a moment gets that
    assert "scored" in (said := capsys.readouterr().out)
    assert shows not in said
    assert main(["drift", *config]) == 0
    assert "the newest as of 2026-07-04" in capsys.readouterr().out


def test_a_second_run_finds_nothing_new(folder: Path) -> None:
    before = scores(folder)
    done = called(folder, "run")
    assert done.code == 0, done.err
    summary = done.json
    assert summary["scored"] == 0
    assert summary["note"] == "nothing new to score"
    assert scores(folder) == before


def test_days_of_secom_cannot_be_simulated(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["demo", "--daily", "--secom", "secom.csv", "--dir", str(tmp_path / "demo")]) == 2
    assert "--daily runs the simulated history" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()
