"""The card of a version, as the command writes it from the store."""

import json
from xml.etree import ElementTree

from conftest import quoted
from jobs import Job

from rowcast.drawing.markup import escape

pytest_plugins = ("job_fixtures",)


def page(job: Job, *arguments: str) -> ElementTree.Element:
    """The HTML file that the command writes."""
    done = job.call("models", "show", *arguments, "--html", "card.html")
    assert (done.code, done.out) == (0, "wrote card.html\n"), done.err
    text = (job.folder / "card.html").read_text(encoding="utf-8")
    job.shows_no_secret(done)
    assert "//" not in text
    return ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))


def test_the_card_of_a_first_version_is_told_written_and_given_as_json(trained: Job) -> None:
    said = trained.call("models", "show", "1")
    assert said.code == 0, said.err
    assert said.out.startswith("wafers v1 (champion)\n")
    assert "It was promoted as the first version: no gate has compared it with another." in said.out
    found = trained.ok("models", "show", "1", "--json")
    [service] = found["service"]
    assert service["until"] is None
    assert found["reference_ranges"]["s01"][0] < 0 < found["reference_ranges"]["s01"][1]
    assert set(found["reference_ranges"]) == set(found["features"])
    assert found["metrics"]["versions"]["lightgbm"]
    text = "".join(page(trained).itertext())
    assert "There was no champion before it." in text
    assert found["origin"]["SHA-256 of the config"] in text
    assert all(sentence in text for sentence in found["caveats"])


def test_models_still_lists_the_versions_and_their_decisions(lite: Job) -> None:
    found = lite.ok("models", "--json")
    assert [model["version"] for model in found["models"]] == [1]
    assert "v1       champion" in lite.call("models").out
    assert lite.call("models", "--config", str(lite.folder / "rowcast.toml")).code == 0
    assert lite.call("models", "shwo").code == 2


def test_a_second_version_is_held_against_the_champion_before(lite: Job) -> None:
    model = lite.table("model")
    [columns] = [list(row) for row in lite.sql(f"SELECT * FROM {model}")]
    names = ", ".join(map(quoted, columns))
    values = names.replace('"version"', "2").replace('"status"', "'challenger'")
    lite.sql(f"INSERT INTO {model} ({names}) SELECT {values} FROM {model} WHERE version = 1")
    assert "waits as the challenger" in lite.call("models", "show", "2").out
    lite.call("promote", "2", "--by", "Ada", "--reason", "fewer <misses>")
    found = lite.ok("models", "show", "--json")
    assert (found["version"], found["against"]["version"]) == (2, 1)
    assert found["against"]["columns_in"] == found["against"]["columns_out"] == []
    assert "It was put in service by Ada, not by the gate: fewer <misses>." in found["caveats"]
    text = "".join(page(lite, "2").itertext())
    assert "promoted by Ada (champion then: v1)" in text
    before = lite.call("models", "show", "1").out
    assert "Out of service since" in before
    assert "v2 was promoted in its place by Ada: fewer <misses>." in " ".join(before.split())
    lite.call("rollback", "--by", "Eve", "--reason", "it flags twice as many")
    after = " ".join(lite.call("models", "show", "2").out.split())
    assert "v1 was promoted in its place by Eve: it flags twice as many." in after


def test_a_card_is_written_of_a_record_of_before_and_of_bytes_that_were_changed(lite: Job) -> None:
    metrics = json.dumps({"candidate": "lightgbm", "auc": 0.7})
    lite.sql(f"UPDATE {lite.table('model')} SET metrics = '{metrics}', artifact = x'00'")
    assert "Its bytes cannot be loaded" in lite.call("models", "show", "1").out
    assert "Not on record for this version" in "".join(page(lite, "1").itertext())


def test_names_from_the_database_are_escaped(plain: Job) -> None:
    name = '<script>s & "01"</script>'
    plain.sql(f"ALTER TABLE wafers RENAME COLUMN s01 TO {quoted(name)}")
    plain.ok("retrain")
    root = page(plain)
    text = (plain.folder / "card.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert escape(name) in text
    assert name in [each.text for each in root.iter("code")]


def test_what_cannot_be_shown_or_written_is_said(plain: Job, lite: Job) -> None:
    assert "no model is in service yet" in plain.refused("models", "show")
    assert "no model v9" in lite.refused("models", "show", "9")
    said = lite.refused("models", "show", "1", "--html", "no/such/folder/card.html", code=2)
    assert "no/such/folder/card.html cannot be written" in said


def test_a_users_own_estimator_has_a_card_too(plain: Job) -> None:
    plain.estimator("quick")
    plain.ok("retrain")
    found = plain.ok("models", "show", "--json")
    assert found["origin"]["estimator"] == "mine:quick"
    assert "s01" in "".join(page(plain).itertext())
