"""What `rowcast models export --mlflow` wrote, loaded by MLflow itself. `make test-mlflow` installs it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pyfunc = pytest.importorskip("mlflow.pyfunc")
pandas = pytest.importorskip("pandas")

MORE = '\n[model]\nbudget = "0s"\n[infer]\nsince = "2026-01-01"\n'


def called(folder: Path, *command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "rowcast", *command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small job with a champion that has scored, and the champion exported."""
    from rowcast.demo import build

    found = tmp_path_factory.mktemp("job")
    config = build(found, rows=800, sensors=20).config
    config.write_text(config.read_text() + MORE)
    called(found, "retrain")
    called(found, "infer")
    called(found, "models", "export", "--mlflow", "exported")
    return found


@pytest.fixture(scope="module")
def explained(folder: Path) -> list[dict[str, Any]]:
    """Five scored rows, as `rowcast explain` tells of them."""
    import rowcast

    job = rowcast.open(folder / "rowcast.toml")
    keys = job.predictions(columns=["wafer_id"]).column("wafer_id").to_pylist()[::100][:5]
    return [json.loads(called(folder, "explain", key, "--json")) for key in keys]


def test_mlflow_scores_as_explain_does(folder: Path, explained: list[dict[str, Any]]) -> None:
    model = pyfunc.load_model(str(folder / "exported"))
    rows = pandas.DataFrame([one["values"] for one in explained])
    found = model.predict(rows[model.metadata.get_input_schema().input_names()])
    assert found["score"].tolist() == pytest.approx([one["score"] for one in explained], abs=1e-9)
    assert found["predicted"].tolist() == [one["predicted"] for one in explained]
    assert found["reasons"].isna().all()


def test_the_signature_names_the_columns_that_the_model_needs(folder: Path) -> None:
    import rowcast

    model = pyfunc.load_model(str(folder / "exported"))
    champion = rowcast.open(folder / "rowcast.toml").champion()
    assert model.metadata.get_input_schema().input_names() == list(champion.features)
    assert model.metadata.get_output_schema().input_names() == ["score", "predicted", "reasons"]
    assert model.metadata.metadata["sha256"] == champion.version.artifact_sha256


def test_a_row_that_breaks_the_contract_has_reasons_and_no_score(folder: Path, explained: list[dict[str, Any]]) -> None:
    model = pyfunc.load_model(str(folder / "exported"))
    names = model.metadata.get_input_schema().input_names()
    rows = pandas.DataFrame([explained[0]["values"]])[names]
    [number] = [name for name in names if rows[name].dtype == float][:1]
    rows[number] = 1e30
    found = model.predict(rows)
    assert found["score"].isna().all()
    assert json.loads(found["reasons"][0])[0]["column"] == number


def test_a_changed_byte_is_refused(folder: Path, tmp_path: Path) -> None:
    called(folder, "models", "export", "v1", "--mlflow", str(tmp_path / "changed"))
    file = tmp_path / "changed" / "data" / "model.bin"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(Exception, match="were changed"):
        pyfunc.load_model(str(tmp_path / "changed"))


def test_with_a_key_an_export_that_is_not_signed_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROWCAST_SIGNING_KEY", "a key that is long enough to be one, here")
    with pytest.raises(Exception, match="not signed"):
        pyfunc.load_model(str(folder / "exported"))


def test_nothing_in_it_is_a_pickle(folder: Path) -> None:
    files = [path for path in (folder / "exported").rglob("*") if path.is_file()]
    assert len(files) == 5
    assert not [path for path in files if path.read_bytes().startswith(b"\x80")]
