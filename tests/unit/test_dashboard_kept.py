"""What the dashboard has read is shown again for a while; sessions end; failed logins are bounded."""

from collections.abc import Callable

import pytest

from rowcast.dashboard.kept import Kept
from rowcast.dashboard.sessions import Sessions
from rowcast.serve.request import Person
from rowcast.store.api_keys import KeyScope


class Clock:
    """A clock that goes on when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def reading(clock: Clock, took: float) -> tuple[list[int], Callable[[], int]]:
    """Something to read that takes a while, and a list of the times that it was read."""
    times: list[int] = []

    def read() -> int:
        clock.now += took
        times.append(len(times))
        return len(times)

    return times, read


@pytest.mark.parametrize(("took", "lasts"), [(0.2, 30.0), (1.0, 30.0), (10.0, 300.0)])
def test_what_was_read_lasts_the_longer_the_longer_it_took(took: float, lasts: float) -> None:
    clock = Clock()
    kept, (times, read) = Kept(clock=clock), reading(clock, took)
    assert kept.get("job", read) == 1
    clock.now += lasts - 0.01
    assert kept.get("job", read) == 1
    clock.now += 0.02
    assert kept.get("job", read) == 2
    assert len(times) == 2


def test_what_was_done_to_one_job_is_read_anew_even_where_reading_was_under_way() -> None:
    clock = Clock()
    kept = Kept(clock=clock)

    def read_while_something_is_done() -> int:
        kept.forget("job")
        return 1

    assert kept.get(("job", "look"), read_while_something_is_done) == 1
    assert kept.get(("job", "look"), lambda: 2) == 2
    assert kept.get(("other", "look"), lambda: 3) == 3
    kept.forget("job")
    assert kept.get(("job", "look"), lambda: 4) == 4
    assert kept.get(("other", "look"), lambda: 5) == 3


def test_an_error_is_not_kept() -> None:
    kept = Kept()

    def fail() -> int:
        raise OSError("away")

    with pytest.raises(OSError, match="away"):
        kept.get("job", fail)
    assert kept.get("job", lambda: 1) == 1


def test_a_session_stands_for_its_key_until_it_ends_and_the_token_says_nothing_of_it() -> None:
    sessions = Sessions()
    token, other = sessions.begin("rc_key"), sessions.begin("rc_key")
    assert token != other
    assert "rc_key" not in token
    assert sessions.find(token) == "rc_key"
    assert sessions.find("guess") is None
    person = Person("mia", KeyScope.OPERATE)
    assert sessions.find(sessions.begin(person)) == person
    sessions.end(token)
    assert sessions.find(token) is None
    assert sessions.find(other) == "rc_key"


def test_ten_failed_logins_make_one_client_wait_and_no_other() -> None:
    sessions = Sessions()
    for _ in range(10):
        assert sessions.seconds_to_wait("10.0.0.1") == 0
        sessions.note_failure("10.0.0.1")
    assert 0 < sessions.seconds_to_wait("10.0.0.1") <= 60
    assert sessions.seconds_to_wait("10.0.0.2") == 0
