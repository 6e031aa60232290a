"""How a running command is told to stop."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rowcast.cli.terminal import stoppable


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_between_a_context_manager_and_the_work_in_it_stops_the_work(number: signal.Signals) -> None:
    """There the work would never begin, and what was entered would be left behind without being put in order."""
    kill: Callable[..., Any] = signal.pthread_kill

    @contextlib.contextmanager
    def entered() -> Iterator[None]:
        return map(kill, [threading.get_ident()], [number])  # without a frame of its own: the signal comes in theirs

    begun = False
    with stoppable(), entered():
        begun = True
        with pytest.raises(KeyboardInterrupt):
            time.sleep(10)
    assert begun
