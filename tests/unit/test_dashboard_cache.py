"""What the dashboard has read is shown again for a while; sessions end; failed logins are bounded."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future

import pytest

from rowcast.dashboard.cache import BeingRead, Cache, Part
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
    cache, (times, read) = Cache(clock=clock), reading(clock, took)
    assert cache.get("job", read) == 1
    clock.now += lasts - 0.01
    assert cache.get("job", read) == 1
    clock.now += 0.02
    assert cache.get("job", read) == 2
    assert len(times) == 2


def test_what_was_done_to_one_job_is_read_anew_even_where_reading_was_under_way() -> None:
    clock = Clock()
    cache = Cache(clock=clock)

    def read_while_something_is_done() -> int:
        cache.forget("job")
        return 1

    assert cache.get(("job", "look"), read_while_something_is_done) == 1
    assert cache.get(("job", "look"), lambda: 2) == 2
    assert cache.get(("other", "look"), lambda: 3) == 3
    cache.forget("job")
    assert cache.get(("job", "look"), lambda: 4) == 4
    assert cache.get(("other", "look"), lambda: 5) == 3


def test_an_error_is_not_kept() -> None:
    cache = Cache()

    def fail() -> int:
        raise OSError("away")

    with pytest.raises(OSError, match="away"):
        cache.get("job", fail)
    assert cache.get("job", lambda: 1) == 1


@pytest.fixture
def cache() -> Iterator[Cache]:
    cache = Cache()
    yield cache
    cache.close()


class Slow:
    """Something that is read, or fails to be, once it may go on."""

    def __init__(self, *found: int | Exception) -> None:
        self.found = list(found)
        self.may_go_on = threading.Semaphore(0)

    def __call__(self) -> int:
        self.may_go_on.acquire()
        found = self.found.pop(0)
        if isinstance(found, Exception):
            raise found
        return found


def test_what_is_not_there_yet_is_being_read_and_read_once_for_all_who_ask(cache: Cache) -> None:
    slow = Slow(1)
    for _ in range(3):
        found = cache.begin("rows", slow).take(0.0)
        assert isinstance(found, BeingRead)
        assert found.seconds >= 0.0
    part = cache.begin("rows", slow)
    slow.may_go_on.release()
    assert part.take(60.0) == 1
    assert cache.begin("rows", slow).take(0.0) == 1
    assert cache.look("rows") == 1


def test_what_is_too_old_is_shown_while_it_is_read_anew(cache: Cache) -> None:
    cache.seconds = 0.0
    assert cache.begin("rows", lambda: 1).take(60.0) == 1
    slow = Slow(2)
    assert cache.begin("rows", slow).take(0.0) == 1
    part = cache.begin("rows", slow)
    slow.may_go_on.release()
    assert part.take(60.0) == 2


def test_what_cannot_be_read_is_told_once_to_who_was_kept_waiting_and_then_tried_again(cache: Cache) -> None:
    slow = Slow(OSError("away"), 2)
    assert isinstance(cache.begin("rows", slow).take(0.0), BeingRead)
    part = cache.begin("rows", slow)
    slow.may_go_on.release()
    assert isinstance(part.reading.exception(60.0), OSError)
    with pytest.raises(OSError, match="away"):
        cache.begin("rows", slow).take(0.0)
    slow.may_go_on.release()
    assert cache.begin("rows", slow).take(60.0) == 2


def test_what_has_been_read_just_when_the_waiting_ended_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    reading: Future[int] = Future()
    real = reading.result

    def result(timeout: float | None = None) -> int:
        if timeout is None:
            return real()
        reading.set_result(1)
        raise TimeoutError

    monkeypatch.setattr(reading, "result", result)
    assert Part(None, 0.0, Clock(), reading).take(0.5) == 1


def test_what_could_not_be_read_is_not_told_to_who_did_not_wait_for_it(cache: Cache) -> None:
    slow = Slow(OSError("away"), 2)
    part = cache.begin("rows", slow)
    slow.may_go_on.release(2)
    assert isinstance(part.reading.exception(60.0), OSError)
    assert cache.begin("rows", slow).take(60.0) == 2


def test_what_is_being_read_while_something_is_done_to_the_job_is_read_anew(cache: Cache) -> None:
    slow = Slow(1, 2)
    assert isinstance(cache.begin(("job", "rows"), slow).take(0.0), BeingRead)
    cache.forget("job")
    part = cache.begin(("job", "rows"), slow)
    slow.may_go_on.release(2)
    assert part.take(60.0) == 2


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
