"""Where messages are sent: one file for each kind of sink, and a limit on how long one may take."""

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from rowcast.config import Notify
from rowcast.errors import NotifyError
from rowcast.logs import without
from rowcast.notify.apprise import Apprise
from rowcast.notify.message import Message
from rowcast.notify.sns import SNS

PATIENCE = 10.0  # seconds for a sink to take a message


class Sink(Protocol):
    """Where messages go."""

    name: str  # by which an alert remembers that it waits for it

    def send(self, message: Message) -> None:
        """Raises NotifyError, or whatever its library raises, where the message was not taken."""
        ...


def open_sinks(notify: Notify) -> list[Sink]:
    """Return the sinks of the config: `sns`, and for each URL its service, numbered where a service comes again."""
    found: list[Sink] = [SNS(notify.sns_topic)] if notify.sns_topic else []
    seen: Counter[str] = Counter()
    for url in notify.urls:
        service = url.get_secret_value().partition("://")[0].lower()
        seen[service] += 1
        found.append(Apprise(service if seen[service] == 1 else f"{service}-{seen[service]}", url))
    return found


def send(sink: Sink, text: Message, secrets: Sequence[str]) -> str:
    """Send a message: empty, or why it was not taken. A sink that hangs is left to itself after a while."""
    said: list[str] = []

    def send() -> None:
        try:
            sink.send(text)
            said.append("")
        except NotifyError as error:
            said.append(without(secrets, f"{error.what}: {error.hint}" if error.hint else error.what))
        except Exception as error:  # libraries raise what they like
            said.append(without(secrets, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"))

    thread = threading.Thread(target=send, name=f"notify {sink.name}", daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return said[0] if said else f"no answer within {PATIENCE:g} s"
