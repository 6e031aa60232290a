"""Errors: each says what and the way out, and crosses from one process to another whole."""

import errno
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


def test_the_reasons_that_are_given_are_those_of_the_type():
    from rowcast.database.postgresql import known_errors as postgresql
    from rowcast.database.sqlite import known_errors as sqlite

    given = {known.reason for known in (*postgresql.KNOWN_ERRORS, *sqlite.KNOWN_ERRORS)}
    assert given <= set(errors.REASONS)
    assert errors.DatabaseError("what").reason in errors.REASONS


def test_what_may_quote_a_row_is_no_part_of_the_message_that_an_exception_leaves():
    error = errors.TrainingError("only 5 of 280 labelled rows are of one class", hint="wait", detail="'SCRAP'")
    assert (error.quotes_values, "SCRAP" in str(error), "SCRAP" in repr(error)) == (True, False, False)
    assert str(error) == f"{error.what} ({errors.MORE})\n  wait"
    assert errors.describe(error, details=False) == error.what
    assert errors.describe(error, details=True) == f"{error.what}: 'SCRAP'"


def test_another_librarys_error_may_always_quote_a_row():
    error = ValueError("could not convert\nMiller")
    assert (errors.quotes_values(error), errors.describe(error, details=False)) == (True, "unexpected ValueError")
    assert errors.describe(error, details=True) == "ValueError: could not convert Miller"
    known = errors.as_rowcast_error(error)
    assert (type(known), known.what, known.detail) == (
        errors.RunError,
        "unexpected ValueError",
        "could not convert Miller",
    )
    assert errors.as_rowcast_error(known) is known


@pytest.mark.parametrize("reason", errors.REASONS)
def test_a_drivers_words_are_a_detail_unless_no_value_can_be_behind_them(reason):
    error = errors.DatabaseError.of_driver("sqlite:///fab.db", "Miller", reason=reason)
    assert ("Miller" in error.what) is (reason not in ("duplicate", "conflict", "other"))
    assert "Miller" in errors.describe(error, details=True)


def raised(what="3 rows are bad", **parts):
    return errors.RunError(what, **parts)


def raised_elsewhere():
    return errors.RunError("3 rows are bad")


def test_two_errors_are_the_same_trouble_by_class_place_and_subject_and_not_by_wording():
    assert raised().dedup_key == raised("7 of 9 rows are bad", hint="now", detail="'x'").dedup_key
    assert raised().dedup_key != raised_elsewhere().dedup_key
    assert raised(about="s001").dedup_key != raised(about="s002").dedup_key
    locked, full = (errors.DatabaseError("what", reason=reason) for reason in ("locked", "full"))
    assert locked.dedup_key != full.dedup_key
    assert errors.dedup_key(ValueError("a")) == errors.dedup_key(ValueError("b")) != errors.dedup_key(OSError("a"))


@pytest.mark.parametrize(
    ("number", "says"), [(errno.ENOSPC, "no space"), (errno.EDQUOT, "quota"), (errno.EROFS, "read")]
)
def test_a_disk_that_takes_nothing_is_named(number, says):
    known = errors.as_rowcast_error(OSError(number, "what the system says", "/a/path"))
    assert says in known.what
    assert known.hint
    assert "/a/path" not in f"{known.what} {known.detail}"
