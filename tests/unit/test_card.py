"""The card: what it says of each kind of version, and that its page is one sound file."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import cards
import numpy as np
import pytest
from cards import NASTY, binary, card, decision, first, of_every_kind, old, over_time, version
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import is_sound

from rowcast import report
from rowcast.card import Card, words
from rowcast.card.caveats import list_caveats, wilson
from rowcast.card.figures import columns_changed, list_changes, list_figures, list_headlines
from rowcast.card.html import page
from rowcast.card.record import Part, list_spells
from rowcast.card.text import as_dict, summary
from rowcast.drawing.document import style
from rowcast.drawing.markup import element, escape
from rowcast.fit.selection import AVERAGE
from rowcast.store.records import PeriodFault

CARDS = of_every_kind()


def parsed(of: Card) -> ElementTree.Element:
    """The page as XML; its style sheet holds nothing that XML would read otherwise."""
    text = page(of)
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    return ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))


def headings(of: Card) -> list[str]:
    return [each.text or "" for each in parsed(of).iter("h2")]


def said(of: Card) -> str:
    return " ".join(parsed(of).itertext())


def test_a_card_says_what_it_costs_to_keep_to_little_sql() -> None:
    price = {"candidate": "extra trees", "cost_per_row": 0.125, "low": -0.05, "high": 0.3}
    text = said(card(binary(translatable=price)))
    assert "The best of all candidates out of fold is extra trees" in text
    assert "cost per row changes by 0.125 (95 % interval -0.05 to 0.3)" in text
    unknown = words.describe_price(card(binary(translatable={**price, "low": None, "high": None})))
    assert "how far that varies is not known" in unknown
    assert words.describe_price(card()) == ""


# The page


@pytest.mark.parametrize("name", CARDS)
def test_a_page_is_well_formed_and_every_picture_in_it_is_sound(name: str) -> None:
    root = parsed(CARDS[name])
    for svg in root.iter("svg"):
        is_sound(svg)
    ids = [each.attrib["id"] for each in root.iter() if "id" in each.attrib]
    assert len(ids) == len(set(ids))
    assert {each.attrib["href"].removeprefix("#") for each in root.iter("a")} <= set(ids)


@pytest.mark.parametrize("name", CARDS)
def test_a_page_loads_nothing_and_runs_nothing(name: str) -> None:
    text = page(CARDS[name])
    assert not re.search(r"https?:|//|url\(|@import|<script|<link|<img|\bsrc=|\bon\w+=\"", text.replace("&lt;", ""))


def test_a_columns_name_is_shown_and_is_never_markup() -> None:
    text = page(card())
    assert escape(NASTY) in text
    assert "</style><script>" not in text
    assert text.count("</style>") == 1
    assert "\x00" not in text
    assert "\u202e" not in text


def test_names_and_reasons_from_the_store_are_escaped_wherever_they_stand() -> None:
    nasty = card(
        multiclass_of(NASTY),
        job=NASTY,
        source=NASTY,
        label=NASTY,
        decisions=(decision(2, 1, decided_by=NASTY, reason=NASTY, evidence={NASTY: NASTY}),),
        version=version(metrics=multiclass_of(NASTY), status=NASTY, estimator=NASTY),
        part=Part(fault=NASTY),
    )
    assert "<script" not in page(nasty)
    parsed(nasty)


def multiclass_of(name: str) -> dict[str, Any]:
    names = ("ok", name)
    record = cards.multiclass(classes=list(names), confusion=cards.confusion([names], [[9, 1], [2, 3]]), choice=name)
    return {**record, "coverage": [{**record["coverage"][0], "of": name}], "candidate": name, "suspects": [
        {"column": name, "why": name}
    ]}  # fmt: skip


def test_a_complete_record_has_every_section_and_an_old_one_says_what_it_lacks() -> None:
    sections = ["Quality", "Predicted and observed", "Cost and threshold", "How sure", "Columns"]
    sections += ["Against the champion before", "Decisions", "How to repeat it"]
    assert headings(card()) == ["Caveats", *sections]
    assert "Not on record" not in said(card())
    assert headings(card(old())) == ["Caveats", "Quality", *sections[4:]]
    assert (
        "Not on record for this version: quality over time, reliability, cost curve, confusion, conformal coverage."
        in said(card(old()))
    )


def test_a_regression_has_its_error_over_time_and_its_residuals_and_no_classes() -> None:
    of = CARDS["regression"]
    pictures = [each.find("title").text for each in parsed(of).iter("svg") if each.find("title") is not None]
    assert pictures[:2] == ["mean absolute error over time", "What was observed, less what was predicted"]
    assert [figure.name for figure in list_headlines(of)] == ["error (mean absolute)"]
    assert words.describe_lacking(of) == ""
    assert "Truth and prediction" not in said(of)
    assert {figure.name for figure in list_figures(of.metrics)} == {"mean absolute error", "root mean squared error"}


def test_the_confusion_of_three_classes_is_three_by_three() -> None:
    [table] = [each for each in parsed(CARDS["multiclass"]).iter("table") if each.get("class") == "confusion"]
    rows = [[cell.find("b").text for cell in row.findall("td")] for row in table.find("tbody")]
    assert rows == [["900", "30", "20"], ["12", "40", "3"], ["9", "4", "27"]]
    assert [cell.text for cell in table.iter("th")][1:4] == [
        "predicted ok",
        "predicted scratch",
        "predicted void & crack",
    ]


def test_columns_come_by_weight_with_bar_and_usual_range_and_the_dropped_ones_unfold() -> None:
    root = parsed(card())
    table = next(each for each in root.iter("table") if [th.text for th in each.iter("th")][:1] == ["column"])
    found = [["".join(cell.itertext()) for cell in row] for row in table.find("tbody")]
    assert found[0] == ["s060", "", "0.64", "145,052 to 161,144"]
    assert found[1][0] == "s038suspect"
    assert found[2] == ["tool", "", "0.2133", "ETCH-01 50 %, B 25 %"]
    folded = [each.find("summary").text for each in root.iter("details")]
    assert "9 more columns" in folded
    assert "2 columns not used, and why" in folded


def test_a_users_estimator_without_weights_lists_its_columns_all_the_same() -> None:
    text = said(CARDS["theirs"])
    assert "How much each column weighs is not on record." in text
    assert "s060" in text


def contrast(first: str, second: str) -> float:
    """Of two colours, by WCAG 2.2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted([luminance(first), luminance(second)])
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1, 2], ids=["light", "dark", "print"])
def test_text_stands_out_from_its_ground_in_every_theme(theme: int) -> None:
    block = re.findall(r":root \{(.*?)\}", style(), re.DOTALL)[theme]
    colours = dict(re.findall(r"--(\w[\w-]*): (#\w{6})", block))
    for name in ("ink", "soft", "blue", "orange", "green", "red"):
        assert contrast(colours[name], colours["paper"]) >= 4.5, name
    for name in ("ink", "soft", "blue"):
        assert contrast(colours[name], colours["page"]) >= 4.5, name
    assert contrast(colours["ink"], colours["warm"]) >= 7


# Words


def test_the_first_screen_says_what_it_predicts_and_since_when_it_serves() -> None:
    of = card()
    assert words.predicts(of) == (
        "Predicts for each row of wafers how probable it is that failed will be 1 (positive) and not 0, "
        "from 24 columns. It flags a row from a probability of 0.0498 on."
    )
    assert words.in_service(of) == "In service since 2026-07-04."
    assert words.describe_training_rows(of) == "Trained on 6,378 rows, 398 of them positive, 2026-01-05 to 2026-05-02."
    assert words.describe_measured_rows(of).startswith(
        "Every figure is out of fold: of 4,130 rows, 249 of them positive,"
    )
    assert words.describe_training_rows(CARDS["imported"]) == "It was fitted elsewhere; on which rows is not on record."
    assert "up to key L7, 12" in words.describe_training_rows(CARDS["by key"])
    assert words.predicts(CARDS["multiclass"]).endswith(": ok, scratch, void & crack.")
    assert words.predicts(CARDS["regression"]) == "Predicts the number failed of each row of wafers, from 24 columns."


def test_the_headlines_tell_the_cost_against_doing_nothing_and_looking_at_all() -> None:
    found = {figure.name: (figure.shown, figure.interval, figure.meaning) for figure in list_headlines(card())}
    assert found["ranking (AUC)"][:2] == ("88 %", "86 to 90 %")
    assert found["cost per row"] == (
        "0.4",
        "0.35 to 0.46",
        "57 % less than flagging all. Flagging none costs 1.206, flagging all 0.9397.",
    )
    assert found["right (precision)"][2] == "This share of the flagged rows is positive; of all rows 6.0 % are."


def at(day: int) -> datetime:
    return datetime(2026, 7, day, tzinfo=UTC)


def test_service_is_read_from_who_served_after_each_decision() -> None:
    made = [
        decision(1, None, decided_at=at(1)),
        decision(2, 1, "kept", decided_at=at(2)),
        decision(3, 1, decided_at=at(3)),
        decision(1, 3, decided_at=at(4), decided_by="Ada"),
    ]
    assert list_spells(1, made, 1) == ((at(1), at(3)), (at(4), None))
    assert list_spells(2, made, 1) == ()
    assert list_spells(3, made, 1) == ((at(3), at(4)),)
    assert list_spells(1, [], None) == ()


def test_a_version_out_of_service_says_from_when_to_when_or_why_not() -> None:
    of = replace(card(), service=((at(1), at(3)),))
    assert words.in_service(of) == "Out of service since 2026-07-03; it served from 2026-07-01 on."
    newer = decision(3, 2, reason="ten times the usual savings")
    assert words.in_service(replace(of, ended=newer)).endswith("on. v3 was promoted in its place by the gate.")
    back = decision(1, 2, "rolled back", decided_by="Ada", reason="too many false alarms")
    said = "on. v1 was put back in its place by Ada: too many false alarms."
    assert words.in_service(replace(of, ended=back)).endswith(said)
    waits = {status: words.in_service(replace(card(), service=(), version=version(status=status))) for status in
             ("challenger", "refused", "replaced")}  # fmt: skip
    assert waits["challenger"] == "Not in service: it waits as the challenger."
    assert waits["refused"] == "Not in service: the gate did not promote it."
    assert "newer" in waits["replaced"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"positives_out_of_fold": 28}, "It was judged on only 28 positive rows"),
        ({"auc_low": 0.48}, "The interval of its AUC, 0.48 to 0.902, includes 0.5"),
        ({"cost_per_row": 0.99}, "A row cost 0.99 with it and 0.9397 with all flagged: it did not pay."),
        ({"cost_per_row_high": 1.0}, "The interval of its cost, 0.35 to 1, includes 0.9397, the cost of flagging all"),
        ({"flagged_share": 0.0}, "At its threshold it flagged no row."),
        ({"suspects": [{"column": "s9", "why": "it knows the future"}]}, "Column s9 is suspect: it knows the future."),
        ({"over_time": over_time(0.9, 0.2) + over_time(0.7, 0.2)}, "Its AUC changed over time, from 0.9 to 0.66"),
        ({"over_time": over_time(0.9, 0.2) + over_time(0.9, 0.6)}, "Its cost per row changed over time, from 0.2 to"),
        ({"rows_out_of_fold": None}, "Nothing was measured out of fold"),
    ],
)
def test_caveats_are_listed(changes: dict[str, Any], says: str) -> None:
    quiet = binary(suspects=[])
    assert list_caveats(card(quiet)) == []
    [sentence] = list_caveats(card({**quiet, **changes}))
    assert says in sentence


def test_a_share_of_positives_that_fell_is_said_with_both_ends() -> None:
    periods = over_time(0.9, 0.4)
    periods[0]["positives"] = 176
    [sentence] = list_caveats(card(binary(suspects=[], over_time=periods)))
    assert sentence == "The share of positives changed over time, from 22 % to 6.1 % between two periods."


def test_coverage_and_calibration_that_miss_are_said() -> None:
    record = binary(suspects=[])
    record["coverage"][1] |= {"covered": 0.8, "low": 0.75, "high": 0.85}
    for each in record["reliability"][2:4]:
        each["observed_low"] = each["predicted"] + 0.01
    assert list_caveats(card(record)) == [
        "In 2 of 8 score ranges the prediction is outside the 95 % interval of what was observed.",
        "For 1, the prediction set or interval held the true value in 80 % of the rows; it should in 90 %.",
    ]


def test_a_first_version_a_persons_choice_and_damage_are_said() -> None:
    assert list_caveats(first())[0] == "It was promoted as the first version: no gate has compared it with another."
    by_ada = card(binary(suspects=[]), decisions=(decision(2, 1, decided_by="Ada", reason="fewer misses"),))
    assert list_caveats(by_ada) == ["It was put in service by Ada, not by the gate: fewer misses."]
    assert "cannot be loaded" in list_caveats(CARDS["damaged"])[0]
    assert "Against the champion before There was no champion before it." in re.sub(r"\s+", " ", said(first()))


def test_periods_that_do_not_differ_are_rarely_said_to() -> None:
    from scipy.stats import studentized_range

    assert studentized_range.sf(2 * 1.96, 2, np.inf) == pytest.approx(0.0056, abs=1e-4)
    assert studentized_range.sf(2 * 1.96, 5, np.inf) == pytest.approx(0.044, abs=1e-3)
    random = np.random.default_rng(0)
    said = 0
    for _ in range(2_000):
        periods = [
            {"rows": 9, "auc": auc, "auc_low": auc - 0.0196, "auc_high": auc + 0.0196}
            for auc in (0.7 + 0.01 * random.normal(size=5)).tolist()
        ]
        said += any("AUC changed" in sentence for sentence in list_caveats(card(binary(over_time=periods))))
    assert 60 <= said <= 120


def test_wilsons_interval_is_that_of_scipy() -> None:
    from scipy.stats import binomtest

    for hits, rows in ((0, 12), (3, 40), (28, 498), (40, 40)):
        expected = binomtest(hits, rows).proportion_ci(method="wilson")
        low, share, high = wilson(hits, rows)
        assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-6)
        assert share == hits / rows


# What changed, who decided, how to repeat it


def test_what_changed_is_told_column_by_column_and_figure_by_figure() -> None:
    of = card()
    assert columns_changed(of) == (["s060", "s038", "tool"], ["s090", "s091"])
    found = {change.what: (change.before, change.now) for change in list_changes(of)}
    assert found["threshold"] == ("0.0408", "0.0498")
    assert found["columns"] == ("23", "24")
    assert found["cost per row"] == ("0.4", "0.4 (0.35 to 0.46)")


def test_evidence_is_named_for_people_and_what_is_new_keeps_its_name() -> None:
    made = decision(2, 1)
    more = {"lots_seen": 12, "p_low": 0.1, "p_high": 0.2, "none": None, "of_many": 12345}
    made = replace(made, evidence={**made.evidence, **more})
    found = dict(words.evidence(made))
    assert found["rows that both scored"] == "3,395"
    assert found["its 90 % interval"] == "0.0285 to 0.0965"
    assert (found["lots seen"], found["p low"], found["of many"]) == ("12", "0.1 to 0.2", "12,345")
    assert "none" not in found
    assert words.evidence(replace(made, evidence={})) == []


def test_the_gates_evidence_has_its_picture_and_every_decision_its_reason() -> None:
    of = card(decisions=(decision(2, 1, "undecided"), decision(2, 1)))
    text = said(of)
    assert "2026-07-04: undecided by gate (champion then: v1)" in text
    assert "2026-07-04: promoted by gate (champion then: v1)" in text
    assert text.count("saved per row, at least") == 2
    assert said(CARDS["waiting"]).count("Nobody has decided about it yet.") == 1


def test_how_to_repeat_it_names_the_command_the_champion_then_and_the_sums() -> None:
    found = dict(words.origin(card()))
    assert found["repeat it"] == "rowcast retrain --as-of 2026-07-04T00:00:00+00:00"
    assert found["while champion was"] == "v1"
    assert found["libraries"] == "lightgbm 4.7.0, numpy 2.2.0"
    assert (found["SHA-256 of the model"], found["SHA-256 of the config"]) == ("ab" * 32, "12" * 32)
    assert "repeat it" not in dict(words.origin(CARDS["imported"]))
    assert "SHA-256 of the config" not in dict(words.origin(CARDS["imported"]))


# On a terminal, and as JSON


@pytest.mark.parametrize("name", CARDS)
def test_the_card_is_told_on_a_terminal_and_as_json(name: str) -> None:
    of = CARDS[name]
    text = summary(of)
    assert text.startswith(f"wafers v2 ({of.version.status})" if name != "first" else "wafers v2")
    assert words.predicts(of)[:60] in text
    for sentence in list_caveats(of):
        assert sentence[:60] in text
    read = json.loads(report.as_json(as_dict(of)))
    assert (read["job"], read["version"], read["kind"]) == ("wafers", 2, of.kind)
    assert read["caveats"] == list_caveats(of)
    assert ("against" in read) == (of.before is not None)


# Markup


def test_elements_escape_what_is_no_markup_and_leave_out_what_is_nothing() -> None:
    made = element("p", "a<b", None, element("b", 1), class_="x", aria_label='"', hidden=False, x=0.1 + 0.2)
    assert made == '<p class="x" aria-label="&quot;" x="0.3">a&lt;b<b>1</b></p>'
    assert element("br") == "<br/>"


def tried(rule: str, against: str | None, chosen: str, **losses: float) -> Card:
    names = [name.replace("_", " ") for name in losses]
    candidates = [
        {"name": name, "log_loss": loss, "chosen": name == chosen}
        for name, loss in zip(names, losses.values(), strict=True)
    ]
    return card(version=version(metrics=cards.binary(candidates=candidates, choice={"rule": rule, "against": against})))


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["least", "simplest", "average"]),
    st.floats(0.001, 2.0),
    st.floats(0.001, 2.0),
    st.floats(0.001, 2.0),
)
def test_why_a_candidate_was_taken_is_told_with_the_tables_own_figures(
    rule: str, one: float, other: float, mean: float
) -> None:
    """It quoted losses that were measured in another way: 0.1442 beside 0.1457 in the table."""
    chosen = {"least": "trees", "simplest": "line", "average": AVERAGE}[rule]
    found = tried(rule, None if rule == "least" else "trees", chosen, line=one, trees=other, average_of_all=mean)
    root = ElementTree.fromstring(page(found).removeprefix("<!DOCTYPE html>\n"))
    rows = [["".join(cell.itertext()) for cell in row] for row in root.iter("tr")]
    table = {row[0].removesuffix(" (chosen)"): row[1] for row in rows if row[0].removesuffix(" (chosen)") in
             ("line", "trees", AVERAGE)}  # fmt: skip
    sentence = next(text for text in map("".join, (each.itertext() for each in root.iter("p"))) if "was taken" in text)
    told = re.findall(r"(line|trees|average of all) \(log loss ([\d.,e-]+)\)", sentence)
    assert told[0][0] == chosen
    assert all(table[name] == figure for name, figure in told)
    contradicted = {"least": one < other, "simplest": one < other, "average": mean > other or mean > one}[rule]
    assert ("their order can differ" in sentence) == contradicted


@pytest.mark.parametrize(
    ("fault", "column", "said"),
    [
        (
            PeriodFault.LABELS_CONSTANT,
            None,
            "500 labelled rows of 2026-03-01 to 2026-03-31 were set aside: they hold one",
        ),
        (PeriodFault.SCALE_CHANGED, "s1", "The values of s1 in 500 labelled rows of 2026-03-01 to 2026-03-31 were set"),
    ],
)
def test_rows_or_values_that_were_not_learned_from_are_named(fault: PeriodFault, column: str | None, said: str) -> None:
    period = {"fault": fault, "column": column, "rows": 500, "from": "2026-03-01T00:00:00", "to": "2026-03-31T00:00:00"}
    assert any(each.startswith(said) for each in list_caveats(card({**binary(), "set_aside": [period]})))
