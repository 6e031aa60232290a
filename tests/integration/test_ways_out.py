"""What cannot be used as it is says what can be done."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import skops.io
from lightgbm import LGBMClassifier
from odd import Odd, empty_odd  # noqa: F401 (a fixture)
from sklearn.neighbors import KNeighborsClassifier

from rowcast import config, init
from rowcast.database.sqlite.admin import SQLiteAdmin
from rowcast.doctor import examine
from rowcast.errors import ConfigError, DatabaseError, ModelError, SourceError, TrainingError
from rowcast.job.opening import open_job
from rowcast.models.imported import read_estimator
from rowcast.source import open_source
from rowcast.training.import_file import GATE, NEITHER, TRAIN, ImportedFile, find_border, require_enough


@pytest.mark.parametrize("source", [{"key": ["id", "t"]}, {"group": "t"}, {"label_time": "t"}, {"group": "failed"}])
def test_one_column_for_two_things_is_given_a_second_name_by_a_query(source: dict[str, Any], odd: Odd) -> None:
    with pytest.raises(ConfigError, match=r"a 'query' can give one of them a second name: SELECT \*, t AS event_time"):
        odd.settings(**source)


@pytest.mark.parametrize("name", ["run_id", "score", "n", "Threshold", "rowcast.x"])
def test_init_proposes_no_key_that_a_run_refuses(name: str, odd: Odd) -> None:
    odd.place.run(f'CREATE TABLE wafers ("{name}" INTEGER PRIMARY KEY, s0 REAL, failed INTEGER)')
    odd.place.run("INSERT INTO wafers VALUES (1, 0.5, 0)", "INSERT INTO wafers VALUES (2, 0.5, 1)")
    guess = init.inspect(odd.place.url, "wafers")
    assert guess.key.columns == ()
    assert f"{name} AS my_{name}" in guess.key.why
    with (
        pytest.raises(SourceError, match="has the name of a column that rowcast itself writes"),
        open_job(odd.settings(key=[name], time=None)),
    ):
        pass


def test_two_columns_of_one_name_in_a_query_are_named(odd: Odd) -> None:
    odd.make()
    query = "SELECT a.*, b.id, b.s0 AS other FROM wafers a JOIN wafers b ON a.id = b.id"
    found = odd.settings(table=None, query=query)
    with pytest.raises(SourceError, match="the query has two columns called 'id'") as raised:
        open_source(odd.place.connect(), found.source)
    assert "SELECT a.id, b.x" in raised.value.hint
    assert any("two columns called 'id'" in finding.what for finding in examine(found))


@pytest.mark.parametrize("where", ["s0 > '0", "(s0 > 0", "s0 >> > 0"])
def test_a_broken_where_is_told_where_to_look(where: str, odd: Odd) -> None:
    odd.make()
    with pytest.raises(DatabaseError) as raised:
        odd.run("", "retrain", where=where)
    assert raised.value.reason == "syntax"
    assert "check [source] where" in raised.value.hint


@pytest.mark.parametrize(
    ("estimator", "way"),
    [(LGBMClassifier(n_estimators=2, verbose=-1), "booster_.save_model("), (KNeighborsClassifier(), "training rows")],
    ids=["LightGBM", "neighbours"],
)
def test_a_model_of_a_type_on_no_list_says_what_can_be_done(estimator: Any, way: str) -> None:
    rows = pd.DataFrame({"a": np.arange(60.0) % 7, "b": np.arange(60.0)})
    data = skops.io.dumps(estimator.fit(rows, (rows.a > 3).astype(int)))
    with pytest.raises(ModelError, match="is not on the allow-list") as raised:
        read_estimator("m.skops", data, "binary", (0, 1))
    assert way in raised.value.hint


# ---- the doctor


def test_an_estimator_beside_the_config_can_be_imported(odd: Odd) -> None:
    text = "from sklearn.linear_model import LogisticRegression\n\ndef make():\n    return LogisticRegression()\n"
    (odd.folder / "odd_estimator.py").write_text(text)
    odd.make()
    path = odd.folder / "rowcast.toml"
    odd.settings()
    path.write_text(path.read_text().replace("[model]", '[model]\nestimator = "odd_estimator:make"'))
    findings = examine(config.load(path))
    assert "estimator odd_estimator:make can be imported and stored" in [finding.what for finding in findings]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_without_rights_no_ok_stands_beside_the_problem(odd: Odd, monkeypatch: pytest.MonkeyPatch) -> None:
    odd.make()
    monkeypatch.setattr(SQLiteAdmin, "find_lacking", lambda _, grant: ("write",) if grant.on == "file" else ())
    monkeypatch.setattr(SQLiteAdmin, "list_source_grants", lambda *_: [])
    problems = [finding.what for finding in examine(odd.settings()) if finding.level == "problem"]
    findings = examine(odd.settings())
    assert problems
    assert all("lacks the right to write on file" in what for what in problems)
    assert not [finding for finding in findings if "creates" in finding.what]


def test_a_first_run_that_fails_says_what_failed_and_nothing_of_the_store(
    odd: Odd, capsys: pytest.CaptureFixture[str]
) -> None:
    odd.make()
    with pytest.raises(SourceError):
        odd.run("", "retrain", label="nowhere")
    assert "not those of this version" not in capsys.readouterr().out


# ---- init


@pytest.mark.parametrize("name", ["operator_id", "operatorName", "EMPLOYEE", "Prüfer"])
def test_init_leaves_out_what_seems_to_name_a_person_and_asks(name: str, odd: Odd, tmp_path: Path) -> None:
    odd.make({name: "varchar(9)", "operating_hours": "double precision"})
    odd.place.run(f"UPDATE wafers SET \"{name}\" = 'x'")
    guess = init.inspect(odd.place.url, "wafers")
    assert guess.personal == (name,)
    assert "person" in guess.exclude[name]
    left = init.write(guess, tmp_path / "made" / "rowcast.toml")
    assert any(line.startswith(f"check {name}, which seems to name a person") for line in left)


# ---- models import

DAY = 86_400 * 10**6


@pytest.mark.parametrize("delay", [0, 1, 5, 10, 19])
def test_the_gate_of_an_imported_model_begins_where_both_sides_have_rows(delay: int) -> None:
    time = np.arange(200) * DAY // 10  # ten a day
    known, fresh = time + delay * DAY, np.flatnonzero(time > 0)
    border = fresh[find_border(time, known, fresh, 0)]
    calibrating = int(((time > 0) & (time < time[border]) & (known <= time[border])).sum())
    most = max(0, (199 - delay * 10) // 2)
    assert min(calibrating, 200 - border) >= (most - 2) // 2
    assert delay or border == 100


def test_rows_that_cannot_calibrate_are_counted_with_the_reason() -> None:
    rows = pa.RecordBatch.from_pydict({"rowcast.time": list(range(1, 201))})
    parts = np.array([TRAIN] * 3 + [NEITHER] * 97 + [GATE] * 100, dtype=np.int8)
    model = ImportedFile("m.txt", b"", datetime(1970, 1, 1, tzinfo=UTC))
    with pytest.raises(TrainingError) as raised:
        require_enough(rows, parts, model, 50)
    assert raised.value.what.startswith(
        "3 of 200 labelled rows later than --trained-to can calibrate the model, and 50 are needed:"
        " the newest 100 are kept apart for the gate, which compares it with the champion; 97 can be used for neither"
    )
    require_enough(rows, parts, model, 3)
