"""A model that was fitted elsewhere comes through the same door: contract, calibration, gate, explanation, safety."""

import pickle
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import skops.io
from jobs import LABELLED, PENDING, SENSORS, Job, moment, wafers
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

pytest_plugins = ("job_fixtures",)

SEEN = 150  # wafers that the model was fitted on


@pytest.fixture
def table() -> pd.DataFrame:
    """The first wafers, as somebody else had them."""
    return pd.DataFrame(wafers(1, LABELLED, True)[:SEEN])


def boosted(table: pd.DataFrame, path: Path) -> Path:
    parameters: dict[str, Any] = {"objective": "binary", "verbosity": -1, "min_data_in_leaf": 5, "num_threads": 1}
    data = lightgbm.Dataset(table[SENSORS].to_numpy(), table["failed"].to_numpy(), feature_name=SENSORS)
    lightgbm.train(parameters, data, num_boost_round=20).save_model(path / "model.txt")
    return path / "model.txt"


def regressed(table: pd.DataFrame, path: Path) -> Path:
    skops.io.dump(LogisticRegression().fit(table[["s02", "s01"]], table["failed"]), path / "model.skops")
    return path / "model.skops"


@pytest.mark.parametrize("make", [boosted, regressed])
def test_an_imported_model_is_calibrated_on_rows_it_has_not_seen_and_scores(
    make: Any, untrained: Job, table: pd.DataFrame, tmp_path: Path
) -> None:
    file = make(table, tmp_path)
    done = untrained.ok("models", "import", str(file), "--trained-to", moment(SEEN))
    assert done["champion"] == "v1"
    assert "first, unproven" in done["retrain"]
    [model] = untrained.ok("models", "--json")["models"]
    assert (model["estimator"], model["rows"], model["metrics"]["rows"]) == (file.name, 0, LABELLED - SEEN)
    assert model["metrics"]["auc"] > 0.9
    assert untrained.ok("infer")["scored"] == PENDING
    truth = {row["wafer"]: row["s01"] + row["s02"] > 1 for row in untrained.sql("SELECT * FROM wafers")}
    scores = untrained.scores()
    high, low = ([scores[wafer] for wafer in scores if truth[wafer] == failed] for failed in (True, False))
    assert np.median(high) > 0.5 > np.median(low)
    why = untrained.ok("explain", str(max(scores, key=scores.__getitem__)), "--json")
    assert why["reproduced"]
    assert (why["contributions"] is None) == (make is regressed)
    assert untrained.call("models", "show").code == 0
    assert untrained.audit()["scored"] == PENDING


def test_an_imported_model_meets_the_champion_in_the_gate(plain: Job, table: pd.DataFrame, tmp_path: Path) -> None:
    plain.ok("retrain")
    plain.add(wafers(LABELLED + PENDING + 1, 2_000, True))
    done = plain.ok("models", "import", str(boosted(table, tmp_path)), "--trained-to", moment(SEEN))
    [decision, _] = plain.ok("models", "--json")["promotions"]
    assert decision["version"] == 2
    assert decision["evidence"]["rows"] == pytest.approx(1_000, abs=1)
    assert decision["reason"] in done["retrain"]


def test_what_is_refused_changes_nothing(plain: Job, table: pd.DataFrame, tmp_path: Path) -> None:
    forest = RandomForestClassifier(5).fit(table[SENSORS], table["failed"])
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(forest))
    said = plain.refused("models", "import", str(tmp_path / "model.pkl"), "--trained-to", moment(SEEN))
    assert "is a pickle" in said
    assert "skops.io.dump" in said
    assert plain.ok("runs", "--json") == []
    said = plain.refused("models", "import", str(tmp_path / "gone.txt"), "--trained-to", moment(SEEN), code=2)
    assert "cannot be read" in said
    file = boosted(table, tmp_path)
    assert "is not a moment" in plain.refused("models", "import", str(file), "--trained-to", "soon", code=2)
    late = plain.refused("models", "import", str(file), "--trained-to", moment(LABELLED - 5))
    assert "labelled rows later than --trained-to can calibrate the model" in late
    plain.sql("ALTER TABLE wafers RENAME COLUMN s05 TO other")
    lacking = plain.refused("models", "import", str(file), "--trained-to", moment(SEEN))
    assert "fitted on column 's05', which the rows lack" in lacking
    assert plain.ok("models", "--json")["models"] == []


def test_without_event_times_nobody_knows_what_it_has_not_seen(plain: Job, table: pd.DataFrame, tmp_path: Path) -> None:
    plain.configure({"source": {"time": None}})
    said = plain.refused("models", "import", str(boosted(table, tmp_path)), "--trained-to", moment(SEEN), code=2)
    assert "only where source.time is named" in said
