"""Policies of a backtest: how they are named, in what order they come, and what they make of a config."""

import tomllib
from datetime import timedelta

import pytest

from rowcast.backtest.policies import (
    DEFAULT,
    Policy,
    Variations,
    find_own,
    format_duration,
    parse_policies,
    vary_policies,
)
from rowcast.config import Model, Retrain, Settings, parse_duration
from rowcast.errors import UsageError

WEEKLY = Retrain(policy="every", every=timedelta(days=7))
SETTINGS = Settings.model_validate(
    {
        "source": {"url": "sqlite:///fab.db", "table": "t", "key": ["id"], "time": "at", "label": "y"},
        "task": {"positive": 1},
    }
)


def names(text: str, retrain: Retrain = WEEKLY) -> list[str]:
    return [policy.name for policy in parse_policies(text, retrain)]


def test_policies_come_in_the_order_of_their_simplicity_each_once() -> None:
    expected = ["never", "every:28d", "every:7d", "always:7d", "on-drift", "on-loss"]
    assert names("on-loss, every:7d,never,every:168h,on-drift,every:4w") == expected
    assert names(DEFAULT) == expected


@pytest.mark.parametrize("own", ["never", "every", "on-drift", "on-loss"])
def test_the_policy_of_the_config_is_always_among_them(own: str) -> None:
    retrain = Retrain(policy=own, every=timedelta(hours=36))
    assert find_own(retrain) in parse_policies("every:90d", retrain)
    assert set(names("", retrain)) == {"never", "always:36h", "every:36h" if own == "every" else own}


@pytest.mark.parametrize("text", ["weekly", "never:7d", "on-drift:7d", "EVERY:7d", "every7d", "alwayss"])
def test_an_unknown_policy_is_refused_by_name_with_those_that_are_known(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_policies(f"never,{text}", WEEKLY)
    assert text in refused.value.what
    assert all(known in refused.value.hint for known in ("never", "every", "on-drift", "on-loss"))


def varied(policies: str, model: Model | None = None, **variations: str) -> list[Policy]:
    settings = SETTINGS if model is None else SETTINGS.model_copy(update={"model": model})
    return list(vary_policies(parse_policies(policies, WEEKLY), Variations(**variations), settings))


def test_each_policy_but_never_is_tried_with_each_other_rule_once() -> None:
    made = varied("never", rules="proven,fresh,better,proven")
    assert [each.name for each in made] == ["never", "every:7d", "always:7d", "every:7d better", "every:7d proven"]
    assert tomllib.loads(made[-1].lines)["gate"] == {"rule": "proven"}
    assert [each.name for each in varied("on-drift", rules="always")][-1] == "on-drift always"
    assert varied("never") == list(parse_policies("never", WEEKLY))


def test_each_policy_is_tried_with_each_other_window_and_estimator_one_at_a_time() -> None:
    made = varied("never", windows="90d,all,13w", estimators="default,mine:quick", rules="better")
    assert [each.name for each in made] == [
        "never",
        "never mine:quick",
        "never window:90d",
        "never window:91d",
        "every:7d",
        "every:7d mine:quick",
        "every:7d window:90d",
        "every:7d window:91d",
        "always:7d",
        "every:7d better",
    ]
    of_window = next(each for each in made if each.name == "every:7d window:90d")
    assert of_window.apply(SETTINGS).model.window == timedelta(days=90)
    assert tomllib.loads(of_window.lines)["model"] == {"window": "90d"}
    of_estimator = made[1]
    assert of_estimator.apply(SETTINGS).model.estimator == "mine:quick"
    assert tomllib.loads(of_estimator.lines)["model"] == {"estimator": "mine:quick"}


def test_a_job_with_a_window_can_be_tried_without() -> None:
    model = Model(window=timedelta(days=90))
    made = varied("", model, windows="90d,all")
    assert [each.name for each in made] == ["never", "never window:all", "every:7d", "every:7d window:all", "always:7d"]
    assert made[1].apply(SETTINGS.model_copy(update={"model": model})).model.window is None
    assert "window" not in tomllib.loads(made[1].lines).get("model", {})


def test_always_asks_no_gate_is_watched_by_none_and_asked_for_by_no_config() -> None:
    always = next(each for each in parse_policies("", WEEKLY) if each.is_yardstick)
    gate = always.apply(SETTINGS).gate
    assert (gate.rule, gate.watch_days) == ("better", 0)
    assert gate.min_gain < -1e9
    assert "gate" not in tomllib.loads(always.lines)


@pytest.mark.parametrize(
    ("of", "text"), [("rules", "sure"), ("windows", "long"), ("windows", "0d"), ("estimators", "forest")]
)
def test_what_no_policy_can_be_tried_with_is_refused_by_name(of: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        varied("never", **{of: text})


@pytest.mark.parametrize("text", ["every:seven", "every:0d"])
def test_a_time_between_builds_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=text):
        parse_policies(text, WEEKLY)


def test_the_lines_of_a_policy_are_those_of_a_config_that_has_it() -> None:
    for policy in [each for each in parse_policies(DEFAULT, WEEKLY) if not each.is_yardstick]:
        section = tomllib.loads(policy.lines)["retrain"]
        assert find_own(Retrain.model_validate(section)) == policy


@pytest.mark.parametrize("text", ["7d", "36h", "90m", "45s"])
def test_a_duration_is_written_as_it_is_read(text: str) -> None:
    assert format_duration(parse_duration(text)) == text
