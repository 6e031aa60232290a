"""One bad column never stops good work: it is read or left out, named, and never blamed on the label."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from conftest import Place
from odd import LABELLED, ROWS, Odd, empty_odd  # noqa: F401 (a fixture)

from rowcast import config, features, fetch, init
from rowcast.doctor import examine
from rowcast.errors import SourceError, TrainingError
from rowcast.source import open_source


def every(*values: Any) -> list[Any]:
    """The values by turns, one for each row."""
    return [values[n % len(values)] for n in range(ROWS)]


COMMAS = [f"{n * 37 % 101 // 10},{n * 37 % 101 % 10}" for n in range(1, ROWS + 1)]
NUMBER = '[check.columns."{}"]\ntype = "number"\n'

# What a column is called, its type on SQLite and elsewhere, its values, and what it becomes, or why it is left out.
AS_IT_IS = [
    ("words", "boolean", "text", every("True", "False"), "boolean", "category"),
    ("words and digits", "boolean", None, every("True", "False", 1, 0), "boolean", ""),
    ("commas", "REAL", None, COMMAS, "with [source] decimal = ',' they are", ""),
    ("called a number", "TEXT", "text", COMMAS, "100.0% of its values are no numbers", "100.0% of its values are no"),
    ("codes", "REAL", None, every("A", "B"), "100.0% of its values are no numbers", ""),
    ("blobs", "REAL", None, every(b"\x00"), "100.0% of its values are no numbers", ""),
    ("huge", "REAL", "double precision", every(1e300, -1e300), "are no numbers", "are no numbers"),
    ("a fifth", "REAL", "text", every("x", 1, 2, 3, 4), "20.0% of its values", "20.0% of its values are no numbers"),
]
TOLD = [
    ("commas", "REAL", "text", COMMAS, "number", "number"),
    ("called missing", "REAL", "text", every("3,5", "N/A", "1,0", " "), "number", "number"),
    ("missing words", "TEXT", "text", every("a", "N/A", "b", ""), "category", "category"),
]


@pytest.mark.parametrize(("columns", "source"), [(AS_IT_IS, {}), (TOLD, {"decimal": ",", "missing": ["N/A", ""]})])
def test_each_odd_column_is_read_or_left_out_and_the_rows_are_all_there(
    columns: list[tuple[Any, ...]], source: dict[str, Any], odd: Odd
) -> None:
    sqlite = odd.place.is_sqlite
    mine = [each for each in columns if sqlite or each[2] is not None]
    values = {
        name: [str(value) for value in values] if not sqlite and kind == "text" else values
        for name, _, kind, values, *_ in mine
    }
    blobs = [name for name, values in values.items() if isinstance(values[0], bytes)]
    for name in blobs:
        values[name] = [None] * ROWS
    odd.make({name: here if sqlite else there for name, here, there, *_ in mine}, values)
    for name in blobs:
        odd.place.run(f"UPDATE wafers SET \"{name}\" = X'00FF'")
    text = "".join(NUMBER.format(name) for name in values if name in ("called a number", "a fifth", "called missing"))
    if not sqlite and source:
        text += NUMBER.format("commas")
    result = odd.run(text, **source)
    assert (result.outcome.scored, result.outcome.quarantined) == (ROWS - LABELLED, 0)
    findings = [finding.what for finding in examine(odd.settings(text, **source))]

    def look(job: Any) -> tuple[dict[str, Any], dict[str, str]]:
        contract, about = job.registry.load(1).contract, job.registry.version(1)
        assert about.rows == LABELLED
        return {rule.name: rule for rule in contract.rules}, about.metrics["dropped"]

    rules, dropped = odd.with_job(look, text, **source)
    assert rules["s0"].kind == "number"
    for name, _, _, _, here, there in mine:
        becomes = here if sqlite else there
        if becomes in ("number", "boolean", "category"):
            assert rules[name].kind == becomes, name
        else:
            assert name not in rules
            assert becomes in dropped[name]
            assert any(
                f"column {name} would be left out of training: " in told and becomes in told for told in findings
            )
    if "missing words" in rules:
        assert rules["missing words"].categories == ("a", "b")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # the others let no number's column hold a text
@pytest.mark.parametrize("bad", [1, 12, 40])
def test_columns_that_each_lack_a_few_values_do_not_cost_the_rows_together(bad: int, odd: Odd) -> None:
    names = [f"c{place:02d}" for place in range(20)]
    values: dict[str, list[Any]] = {name: [float(n) for n in range(ROWS)] for name in names}
    for place, name in enumerate(names):
        for row in range(bad):
            values[name][(place * 7 + row) % LABELLED] = "bad"
    odd.make(dict.fromkeys(names, "REAL"), values)
    odd.run("", "retrain")
    assert odd.with_job(lambda job: job.registry.version(1).rows) >= 0.9 * LABELLED


def test_rows_that_all_break_what_the_config_says_are_not_blamed_on_the_label(odd: Odd) -> None:
    odd.make()
    with pytest.raises(TrainingError, match="none of 120 labelled rows keeps the contract; most often broken: s0: min"):
        odd.run("[check.columns.s0]\nmin = 1000.0\nmax = 2000.0", "retrain")


@pytest.mark.parametrize("name", ["rowcast.time", "rowcast.label", "rowcast.part", "rowcast.class_id", ""])
def test_a_column_whose_name_rowcast_gives_to_its_own_is_no_feature(name: str, odd: Odd) -> None:
    if not name and not odd.place.is_sqlite:
        name = "rowcast.x"  # only SQLite has columns without a name
    odd.make({name: "double precision"}, {name: [float(n) for n in range(ROWS)]})
    assert [c.name for c in open_source(odd.place.connect(), odd.settings().source).features] == ["s0"]
    assert name not in init.inspect(odd.place.url, "wafers").exclude
    assert any(f"begin with rowcast.: {name!r}" in finding.what for finding in examine(odd.settings()))


def test_columns_are_called_as_people_like(odd: Odd) -> None:
    names = [
        "rendered_0",
        "gap",
        "n",
        "total",
        "place",
        "s",
        "q",
        "d",
        "t.x",
        "score",
        "run_id",
        "model_version",
        "label",
    ]
    if not odd.place.is_sqlite:
        names.append(" ")
    odd.make(dict.fromkeys(names, "double precision"), {name: [float(n) for n in range(ROWS)] for name in names})
    result = odd.run()
    assert (result.outcome.scored, result.outcome.quarantined) == (ROWS - LABELLED, 0)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_wide_table_with_a_text_in_every_number(odd: Odd) -> None:
    names = [f"c{place:04d}" for place in range(1_500)]
    odd.make(dict.fromkeys(names, "REAL"))
    odd.place.run(f"UPDATE wafers SET {', '.join(f'{name} = id' for name in names)}")
    odd.place.run(f"UPDATE wafers SET {', '.join(f'{name} = {chr(39)}N/A{chr(39)}' for name in names)} WHERE id = 7")
    source = open_source(odd.place.connect(), odd.settings().source)
    found = fetch.fetch_training_rows(source, source.db.now(), ROWS, None)
    assert (found.rows.num_rows, len(found.fetched.misfits)) == (LABELLED, len(names))


BEYOND = 2**53 + 1


def test_integers_beyond_what_a_float_tells_apart_are_numbers(odd: Odd) -> None:
    odd.make({"big": "bigint"}, {"big": [BEYOND + n for n in range(ROWS)]})
    assert init.inspect(odd.place.url, "wafers").features == 2
    labels = pa.array([BEYOND, 1, BEYOND])
    assert features.make_target(labels, config.Task(kind="regression")).values.tolist() == [2.0**53, 1.0, 2.0**53]


@pytest.mark.parametrize("kind", ["jsonb", "json", "point"])
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_key_that_cannot_be_ordered_or_copied_is_refused_with_the_way_out(kind: str, odd: Odd) -> None:
    value = "'(1,2)'" if kind == "point" else "'{}'"
    odd.make()
    odd.place.run(f"ALTER TABLE wafers ADD k {kind} DEFAULT {value}")
    with pytest.raises(SourceError, match=f"the key column 'k' is {kind}, whose values") as raised:
        open_source(odd.place.connect(), odd.settings(key=["k"]).source)
    assert "CAST(k AS TEXT) AS k_text" in raised.value.hint
    assert any(f"the key column 'k' is {kind}" in finding.what for finding in examine(odd.settings(key=["k"])))
    assert init.inspect(odd.place.url, "wafers").key.columns == ("id",)


def test_a_config_may_begin_with_a_byte_order_mark(sqlite: Place, tmp_path: Path) -> None:
    path = tmp_path / "rowcast.toml"
    text = f'[source]\nurl = "{sqlite.url}"\ntable = "t"\nkey = ["id"]\nlabel = "ä"\n'
    path.write_text(text, encoding="utf-8-sig")
    assert config.load(path).source.label == "ä"
