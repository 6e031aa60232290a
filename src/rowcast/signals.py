"""How a command is stopped: at once in code of Python, after the call where a database driver is at work.

An interruption inside a driver can leave statements behind that no connection can be closed with.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _State(threading.local):
    """Signals are handled in the main thread; other threads have a state of their own, in which nothing is asked."""

    shielded = 0
    asked = False
    told = False


_state = _State()


def stop() -> None:
    """Raise KeyboardInterrupt as soon as may be; for a signal's handler."""
    _state.asked = True
    _raise_if_due()


def is_stopping() -> bool:
    """Whether what remains is to put things in order: no long waits any more."""
    return _state.asked


def begin() -> None:
    """Forget what an earlier command of this process was asked."""
    _state.asked = _state.told = False


@contextmanager
def shield() -> Iterator[None]:
    """Let the work in it come to its end first."""
    _state.shielded += 1
    try:
        yield
    finally:
        _state.shielded -= 1
        _raise_if_due()


def _raise_if_due() -> None:
    if _state.asked and not _state.told and not _state.shielded:
        _state.told = True
        raise KeyboardInterrupt
