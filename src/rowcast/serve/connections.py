"""Connections that cost others nothing: those that are slow, silent or endless are ended."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from rowcast.serve.clock import clock


@dataclass(frozen=True)
class Patience:
    """How much a connection is given."""

    headers: float = 10.0  # seconds from its beginning, or the request's first byte, to the end of the headers
    answer: float = 120.0  # seconds from there to the end of the answer
    closing: float = 5.0  # seconds in which what was answered is taken
    header_bytes: int = 65_536
    connections: int = 800  # at a time: most systems let a process open 1,024 files


class Connection(HttpToolsProtocol):
    """uvicorn's protocol, which also knows since when it waits and for what."""

    patience = Patience()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; where there are too many, the one ends that has waited longest for its headers."""
        self.waits_since: float | None = clock.seconds  # for headers
        self.answers_since: float | None = None
        self.closes_since: float | None = None
        self.header_bytes = 0
        super().connection_made(transport)
        if len(self.connections) > self.patience.connections:
            waiting = [each for each in self.connections if isinstance(each, Connection) and each.waits_since]
            if waiting:
                min(waiting, key=lambda each: each.waits_since or 0.0).transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what came; headers without an end are refused."""
        if self.waits_since is not None:
            self.header_bytes += len(data)
        super().data_received(data)
        if self.waits_since is not None and self.header_bytes > self.patience.header_bytes:
            self.send_400_response("Request headers are too large.")

    def on_message_begin(self) -> None:
        """A request begins: the time for its headers too."""
        self.waits_since = clock.seconds
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The headers are there: the time for the answer begins."""
        self.waits_since, self.answers_since, self.header_bytes = None, clock.seconds, 0
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """The answer is written."""
        self.answers_since = None
        super().on_response_complete()


def end_slow(connections: Iterable[Any], patience: Patience) -> int:
    """End the connections that have taken longer than they may, and return how many."""
    now, ended = clock.seconds, 0
    for each in list(connections):
        if not isinstance(each, Connection):
            continue
        if each.transport.is_closing() and each.closes_since is None:
            each.closes_since = now
        waits = ((each.waits_since, patience.headers), (each.answers_since, patience.answer))
        if any(
            since is not None and now - since > most for since, most in (*waits, (each.closes_since, patience.closing))
        ):
            each.transport.abort()
            ended += 1
    return ended
