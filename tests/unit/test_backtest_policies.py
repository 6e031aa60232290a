"""Policies of a backtest: how they are named, in what order they come, and what they make of a config."""

import tomllib
from datetime import timedelta

import pytest

from rowcast.backtest.policies import DEFAULT, add_rules, find_own, format_duration, parse_policies
from rowcast.config import Gate, Retrain, parse_duration
from rowcast.errors import UsageError

WEEKLY = Retrain(policy="every", every=timedelta(days=7))


def names(text: str, retrain: Retrain = WEEKLY) -> list[str]:
    return [policy.name for policy in parse_policies(text, retrain)]


def test_policies_come_in_the_order_of_their_simplicity_each_once() -> None:
    assert names("on-loss, every:7d,never,every:168h,on-drift,every:4w") == [
        "never",
        "every:28d",
        "every:7d",
        "on-drift",
        "on-loss",
    ]
    assert names(DEFAULT) == ["never", "every:28d", "every:7d", "on-drift", "on-loss"]


@pytest.mark.parametrize("own", ["never", "every", "on-drift", "on-loss"])
def test_the_policy_of_the_config_is_always_among_them(own: str) -> None:
    retrain = Retrain(policy=own, every=timedelta(hours=36))
    assert find_own(retrain) in parse_policies("every:90d", retrain)
    assert names("", retrain) == ["every:36h" if own == "every" else own]


@pytest.mark.parametrize("text", ["weekly", "never:7d", "on-drift:7d", "EVERY:7d", "every7d"])
def test_an_unknown_policy_is_refused_by_name_with_those_that_are_known(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_policies(f"never,{text}", WEEKLY)
    assert text in refused.value.what
    assert all(known in refused.value.hint for known in ("never", "every", "on-drift", "on-loss"))


def test_each_policy_but_never_is_tried_with_each_other_rule_once() -> None:
    policies = parse_policies("never", WEEKLY)
    made = add_rules(policies, "proven,fresh,better,proven", Gate(rule="fresh"))
    assert [policy.name for policy in made] == ["never", "every:7d", "every:7d better", "every:7d proven"]
    assert add_rules(policies, "", Gate(rule="proven")) == policies
    assert tomllib.loads(made[-1].lines)["gate"] == {"rule": "proven"}
    with pytest.raises(UsageError, match="sure"):
        add_rules(policies, "sure", Gate())


@pytest.mark.parametrize("text", ["every:seven", "every:0d"])
def test_a_time_between_builds_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=text):
        parse_policies(text, WEEKLY)


def test_the_lines_of_a_policy_are_those_of_a_config_that_has_it() -> None:
    for policy in parse_policies(DEFAULT, WEEKLY):
        section = tomllib.loads(policy.lines)["retrain"]
        assert find_own(Retrain.model_validate(section)) == policy


@pytest.mark.parametrize("text", ["7d", "36h", "90m", "45s"])
def test_a_duration_is_written_as_it_is_read(text: str) -> None:
    assert format_duration(parse_duration(text)) == text
