"""Errors: each says what and the way out, and crosses from one process to another whole."""

import inspect
import pickle
import re

import pytest

from rowcast import errors

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]


def made(kind):
    extra = {"reason": "locked"} if kind is errors.DatabaseError else {}
    return kind("the file is held", hint="try again", **extra)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_keeps_every_part_when_it_crosses_processes(kind):
    error = made(kind)
    error.batch_id = 7
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert vars(back) == vars(error)
    assert (str(back), back.args) == (str(error), error.args)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_being_pickled_more_than_once(kind):
    error = made(kind)
    pickle.dumps(error)
    assert vars(pickle.loads(pickle.dumps(error))) == vars(error)


def test_an_error_says_what_and_then_the_way_out():
    assert str(errors.ConfigError("what", hint="the way out")) == "what\n  the way out"
    assert str(errors.ConfigError("what")) == "what"


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_a_rowcast_error_and_says_when_it_is_raised(kind):
    assert issubclass(kind, errors.RowcastError)
    assert kind.__doc__
    assert inspect.getmro(kind).index(errors.RowcastError) <= 2  # no deeper


def test_the_tree_in_the_docstring_is_the_one_in_the_code():
    drawn = re.findall(r"^(?:[├└]── )?(\w+Error)\s+\S", errors.__doc__, re.MULTILINE)
    assert drawn == [name for name, kind in vars(errors).items() if kind in KINDS]
    assert all(kind.__base__ is errors.RowcastError for kind in KINDS if kind is not errors.RowcastError)


def test_the_reasons_that_are_given_are_the_ones_documented():
    from rowcast.database.postgresql import known_errors as postgresql
    from rowcast.database.sqlite import known_errors as sqlite

    documented = set(re.findall(r"\w+", errors.DatabaseError.__doc__.partition("one of: ")[2]))
    given = {known.reason for known in (*postgresql.KNOWN_ERRORS, *sqlite.KNOWN_ERRORS)}
    assert given <= documented
    assert errors.DatabaseError("what").reason in documented
