"""The service as a callable: requests without a socket, which tell all but what a socket does."""

import asyncio
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from jobs import Job

from rowcast.config import load
from rowcast.serve.application import Application
from rowcast.serve.connections import Patience
from rowcast.serve.limits import Limits
from rowcast.serve.served_job import ServedJob
from rowcast.serve.server import Address, bind, make_server


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Asked:
    """A service of one or more jobs, in this process."""

    def __init__(self, *jobs: Job, **options: Any) -> None:
        self.jobs = [ServedJob(load(job.folder / "rowcast.toml")) for job in jobs]
        for job in self.jobs:
            job.refresh()
        self.application = Application(self.jobs, **options)

    def ask(
        self,
        method: str,
        path: str,
        body: Any = b"",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    ) -> Reply:
        """Send a request; a body that is no bytes goes as JSON."""
        given = dict(headers).items() if isinstance(headers, Mapping) else headers
        sent = [(name.lower().encode(), value.encode("latin-1")) for name, value in given]
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
            if not any(name == b"content-type" for name, _ in sent):
                sent.append((b"content-type", b"application/json"))
        if not any(name == b"host" for name, _ in sent):
            sent.append((b"host", b"127.0.0.1:8080"))
        if body:
            sent.append((b"content-length", str(len(body)).encode()))
        return asyncio.run(self._ask(method, path, body, sent))

    async def _ask(self, method: str, path: str, body: bytes, headers: list[tuple[bytes, bytes]]) -> Reply:
        path, _, query = path.partition("?")
        scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": headers}
        messages: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            messages.append(message)

        await self.application({**scope, "client": ("127.0.0.1", 1)}, receive, send)
        start, end = messages
        found = {name.decode(): value.decode("latin-1") for name, value in start["headers"]}
        assert int(found["content-length"]) == len(end["body"])
        return Reply(start["status"], found, end["body"])

    def post(self, path: str, body: Any, **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", path, body, named)

    def score(self, body: Any, query: str = "", **headers: str) -> Reply:
        """Send rows in one of MLflow's forms."""
        return self.post(f"/invocations{query}", body, **headers)

    def close(self) -> None:
        for job in self.jobs:
            job.stop()
            job._close()
        self.application.close()


def small(**changes: int) -> Limits:
    """Limits, some of them smaller."""
    return Limits(**changes)  # type: ignore[arg-type]


@contextmanager
def listening(asked: Asked, **patience: float) -> Iterator[int]:
    """The application on a port of its own, in a thread."""
    address = Address("127.0.0.1", 0)
    bound = bind(address)
    port: int = bound.getsockname()[1]
    server = make_server(asked.application, address, drain=0.0, patience=Patience(**patience))  # type: ignore[arg-type]
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[bound])))
    thread.start()
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join()
