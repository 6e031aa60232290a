"""A model told in SQL gives each row the score and the decision that the model itself gives it."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import sqlalchemy as sa
from conftest import Place
from told_models import KINDS, NAMES, TOOLS, make_model

from rowcast import check, config, features, monitor
from rowcast.database import Database
from rowcast.models.artifact import Model
from rowcast.models.conformal import Bands, Sets
from rowcast.models.lightgbm_text import parse_trees
from rowcast.predict import certainty_columns
from rowcast.source import RowHash, Source, hash_rows, open_source
from rowcast.translate import (
    DIALECTS,
    KEPT,
    SLOT,
    Counted,
    HashedColumn,
    SourceColumns,
    translate_model,
    translate_scoring,
)
from rowcast.translate.dialects import Dialect

MISSING = (-999.0, "n/a")
CREATE = {
    "sqlite": "CREATE TABLE wafers (wafer INTEGER PRIMARY KEY, failed INTEGER, flow REAL, gauge REAL, steps INTEGER,"
    " single REAL, is_hot BOOLEAN, tool TEXT COLLATE NOCASE)",
    "postgresql": "CREATE TABLE wafers (wafer integer PRIMARY KEY, failed integer, flow double precision,"
    " gauge numeric, steps bigint, single real, is_hot boolean, tool text)",
}


def borders(model: Model) -> np.ndarray:
    """Numbers right on the bounds of trees, and half way between the float32 beside them, with their neighbours."""
    found = [0.0, -0.0, 1e-36, -1e-36, 0.1]
    for member in model.members:
        if member.engine == "lightgbm":
            trees = parse_trees(member.estimator.model_to_string()).trees
            found += [float(bound) for tree in trees for bound in tree.threshold[(tree.decision & 1) == 0]]
    bounds = np.array([bound for bound in found if np.isfinite(bound)])
    single = bounds.astype(np.float32)
    above, below = (np.nextafter(single, np.float32(side)) for side in (np.inf, -np.inf))
    middle = [(single.astype(float) + other.astype(float)) / 2 for other in (above, below)]
    near = [np.nextafter(each, side) for each in (*middle, bounds) for side in (np.inf, -np.inf)]
    return np.concatenate([bounds, single, above, below, *middle, *near])


def fill(db: Database, model: Model, rows: int, seed: int) -> None:
    """Random rows with NULLs, unseen categories, marks of missing values, breaches, and numbers right on bounds."""
    random = np.random.default_rng(seed)

    def pick(values: np.ndarray, odd: list[Any]) -> np.ndarray:
        at_border = random.random(rows) < 0.3
        found = np.where(at_border, random.choice(borders(model), rows), values).astype(object)
        for value in (None, *odd):
            found[random.random(rows) < 0.04] = value
        return found

    tools = random.choice(np.array([*TOOLS, "A", "b", " a", "unseen", "", "n/a", " n/a ", None], dtype=object), rows)
    columns = {
        "flow": pick(random.normal(size=rows) * 1e4, [-999.0, 1e39, 16777217.0]),
        "gauge": pick(random.normal(size=rows), [-999.0, 50.5]),
        "steps": random.choice(np.array([*range(10), 2**53 + 1, 16777217, -999, None], dtype=object), rows),
        "single": pick(random.normal(size=rows), [-999.0]),
        "is_hot": random.choice(np.array([True, False, None], dtype=object), rows),
    }
    limit = 3.4e38
    columns["single"] = np.array(
        [None if x is None else float(np.float32(np.clip(x, -limit, limit))) for x in columns["single"]], object
    )
    table = pa.table(
        {
            "wafer": pa.array(np.arange(rows)),
            "failed": pa.nulls(rows, pa.int64()),
            **{name: pa.array(columns[name].tolist(), pa.float64()) for name in ("flow", "gauge", "single")},
            "steps": pa.array(columns["steps"].tolist(), pa.int64()),
            "is_hot": pa.array(columns["is_hot"].tolist(), pa.bool_()),
            "tool": pa.array(tools.tolist(), pa.string()),
        }
    )
    write(db, table)


def write(db: Database, table: pa.Table) -> None:
    types: dict[str, Any] = {"flow": sa.Double, "gauge": sa.Double, "steps": sa.BigInteger, "single": sa.REAL}
    types |= {"wafer": sa.Integer, "failed": sa.Integer, "is_hot": sa.Boolean, "tool": sa.Text}
    target = sa.Table("loaded", sa.MetaData(), *[sa.Column(name, kind) for name, kind in types.items()])
    db.execute(sa.schema.CreateTable(target))
    db.load(target, table)
    names = ", ".join(types)
    db.query(f"INSERT INTO wafers ({names}) SELECT {names} FROM loaded")


def opened(db: Database, **more: Any) -> Source:
    return open_source(
        db,
        config.Source(
            url="sqlite:///unused.db", table="wafers", key=["wafer"], label="failed", missing=list(MISSING), **more
        ),
    )


def told(model: Model, source: Source, dialect: Dialect) -> str:
    """The model in SQL."""
    columns = {column.name: column for column in source.relation.columns if column.name in NAMES}
    from_table = f"FROM {dialect.quote('wafers')} AS s"
    about = SourceColumns(("wafer",), columns, from_table, True, {})
    return translate_model(model, model.contract, about, source.settings.reading, dialect)


def own_scores(model: Model, source: Source) -> dict[int, tuple[float, Any, int]]:
    """Key to score, decision and flag, by the model itself; rows that break the contract are left out."""
    columns = [column for column in source.relation.columns if column.name in NAMES]
    statement = source.select(sa.column("wafer"), *source.values(columns)).order_by(sa.column("wafer"))
    rows, misfits = source.db.read(statement, source.kinds(columns), 10_000_000)
    checked = check.check(rows, model.contract, misfits, source.settings.reading)
    matrix = features.process(checked.good, model.contract, model.features)
    scored = model.score(matrix)
    keys = checked.good.column(0).to_pylist()
    decisions = scored.score.tolist() if scored.place is None else [model.classes[place] for place in scored.place]
    found = zip(keys, scored.score.tolist(), decisions, scored.flagged.astype(int).tolist(), strict=True)
    return {key: (score, decision, flagged) for key, score, decision, flagged in found}


def hold(model: Model, db: Database, dialect: Dialect | None = None) -> None:
    """Assert that SQL and model agree on each row of the table."""
    source = opened(db)
    expected = own_scores(model, source)
    told_rows = db.query(told(model, source, dialect or DIALECTS[db.dialect.name])).to_pydict()  # type: ignore[index]
    found = {
        key: (score, decision, flagged)
        for key, score, decision, flagged in zip(*told_rows.values(), strict=True)
        if score is not None
    }
    assert len(expected) > len(told_rows["wafer"]) / 3
    assert found.keys() == expected.keys()
    keys = list(expected)
    assert np.allclose([found[key][0] for key in keys], [expected[key][0] for key in keys], rtol=0, atol=1e-9)
    regression = model.kind == "regression"
    differ = [key for key in keys if found[key][2 if regression else 1 :] != expected[key][2 if regression else 1 :]]
    assert differ == []


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, make_place: Callable[[str], Place]) -> Place:
    made = make_place(request.param)
    made.run(CREATE[request.param])
    return made


SHORT = [(kind, "binary") for kind in KINDS] + [("average", "multiclass"), ("average", "regression")]
LONG = [(kind, task) for kind in KINDS for task in ("multiclass", "regression") if (kind, task) not in SHORT]


@pytest.mark.everywhere
@pytest.mark.parametrize(("kind", "task"), [*SHORT, *[pytest.param(*each, marks=pytest.mark.long) for each in LONG]])
def test_the_select_scores_as_the_model_does(place: Place, kind: str, task: str) -> None:
    model, db = make_model(kind, task), place.connect()
    fill(db, model, 600, 11)
    hold(model, db)


def test_leaf_by_leaf_is_the_same_as_case_in_case(place: Place) -> None:
    model, db = make_model("deep trees", "binary"), place.connect()
    fill(db, model, 500, 12)
    for nesting in (1, 3):
        own: Any = db.dialect.name
        hold(model, db, replace(DIALECTS[own], nesting=nesting, trees_together=1))


def test_texts_and_blobs_among_numbers_count_as_they_do_when_they_are_read(sqlite: Place) -> None:
    sqlite.run(CREATE["sqlite"])
    model, db = make_model("boosted trees", "binary"), sqlite.connect()
    good = "0.5, 0.5, 3, 0.5, 1, 'a'"
    odd = ("'n/a'", "' '", "'nan'", "x''", "'broken'", "X'3031'", "'-999'", "'yes'", "2")
    rows = [(name, value) for name in ("flow", "single", "is_hot", "tool") for value in odd]
    for number, (name, value) in enumerate(rows):
        names = "flow, gauge, steps, single, is_hot, tool"
        values = dict(zip(names.split(", "), good.split(", "), strict=True)) | {name: value}
        sqlite.run(f"INSERT INTO wafers (wafer, {names}) VALUES ({number}, {', '.join(values.values())})")
    hold(model, db)


SURE = {
    "binary": Sets((0.6, 0.25)),
    "multiclass": Sets((0.5, 0.2, 0.3)),
    "regression": Bands((-20.0, 0.0, 25.0), (3.0, math.inf, 5.0, 8.0), 5.0),
}


@pytest.mark.parametrize("task", list(SURE))
def test_what_the_ledger_publishes_is_what_python_would_make_of_the_row(postgresql: Place, task: str) -> None:
    """Hash, how sure the model is, and where each value is counted, of rows with values right on the bounds."""
    postgresql.run(CREATE["postgresql"])
    db, model = postgresql.connect(), replace(make_model("boosted trees", task), conformal=SURE[task])
    fill(db, model, 800, 21)
    source = opened(db)
    columns = [column for column in source.relation.columns if column.name in NAMES]
    chosen = [sa.column("wafer"), *source.values(columns)]
    rows, misfits = db.read(source.select(*chosen).order_by(sa.column("wafer")), source.kinds(columns), 10_000)
    checked = check.check(rows, model.contract, misfits, source.settings.reading)
    matrix = features.process(checked.good, model.contract, model.features)
    edges = monitor.compute_edges(replace(matrix, values=matrix.values[::3]))
    scored = model.score(matrix)
    sure = certainty_columns(model, scored)

    kinds: dict[str, Any] = {"is_hot": "boolean", "tool": "text"}
    hashed = [HashedColumn(column.name, kinds.get(column.name, "number")) for column in columns]
    counted = [Counted(tuple(c.bounds) if isinstance(c, monitor.Numbers) else None) for c in edges.columns]
    about = SourceColumns(("wafer",), {c.name: c for c in columns}, "FROM wafers AS s", True, {})
    dialect = DIALECTS["postgresql"]
    sql = translate_scoring(model, model.contract, about, source.settings.reading, dialect, hashed, counted)
    found = db.query(f"SELECT * FROM ({sql}) AS told ORDER BY wafer")

    assert (
        found.column("row_hash").to_pylist() == hash_rows(rows, misfits, rows.schema.names[1:], RowHash.SHA256).tolist()
    )
    kept = found.filter(pc.equal(found.column(KEPT), 1))
    assert kept.column("wafer").to_pylist() == checked.good.column("wafer").to_pylist()
    assert np.allclose(kept.column("score").to_numpy(), scored.score, rtol=0, atol=1e-9)
    for name in ("uncertain", "possible"):
        assert kept.column(name).to_pylist() == sure[name].to_pylist()
    for name in ("low", "high"):
        expected, told_ends = (each.cast(pa.float64()).to_pylist() for each in (sure[name], kept.column(name)))
        assert told_ends == [None if end is None else pytest.approx(end, rel=0, abs=1e-9) for end in expected]
    slots = [
        (place, *pair.values())
        for place in range(len(counted))
        for pair in kept.column(f"{SLOT}{place}").value_counts().to_pylist()
    ]
    nulls = {name: checked.good.column(name).null_count for name in matrix.categories}
    in_python = monitor.count_profile(edges, matrix, nulls=nulls)
    assert monitor.count_slots(edges, slots, scored.score).to_bytes() == in_python.to_bytes()


@pytest.mark.long
@pytest.mark.everywhere
@pytest.mark.parametrize("kind", ["average", "boosted trees", "linear"])
def test_a_million_rows_are_scored_as_the_model_does(place: Place, kind: str) -> None:
    model, db = make_model(kind, "binary"), place.connect()
    fill(db, model, 1_000_000, 13)
    hold(model, db)
