"""The command `rowcast serve` on a port: what only a process and a socket can show."""

import http.client
import json
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from jobs import LABELLED, SENSORS, Job, wafers

pytest_plugins = ("job_fixtures",)

ROW = {name: value for name, value in wafers(LABELLED + 1, 1, False)[0].items() if name in (*SENSORS, "tool")}


class Service:
    """A running service."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.log: list[dict[str, Any]] = []
        while not self.log or self.log[-1].get("event") != "serving":
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line, self.log
            self.log.append(json.loads(line))
        self.port = int(self.log[-1]["url"].rpartition(":")[2])

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        connection = self.connect()
        named = {"content-type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
        connection.request(method, path, None if body is None else json.dumps(body), named)
        reply = connection.getresponse()
        found = reply.read()
        connection.close()
        return reply.status, json.loads(found) if found.startswith(b"{") else found.decode()

    def score(self, **headers: str) -> tuple[int, Any]:
        return self.ask("POST", "/invocations", {"instances": [ROW]}, **headers)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        _, err = self.process.communicate(timeout=30)
        self.log += [json.loads(line) for line in err.splitlines()]
        return self.process.returncode


@pytest.fixture
def serve(start: Callable[..., Any]) -> Callable[..., Any]:
    @contextmanager
    def serving(job: Job, *arguments: str, **options: Any) -> Iterator[Service]:
        yield Service(start(job, "serve", "--port", "0", *arguments, **options))

    return serving


def test_the_command_answers_until_it_is_told_to_end(lite: Job, serve: Callable[..., Any]) -> None:
    with serve(lite) as service:
        assert service.ask("GET", "/ping") == (200, {"ready": True, "live": True})
        status, found = service.score()
        assert (status, found["model_version"]) == (200, 1)
        assert 0 < found["predictions"][0]["score"] < 1
        assert service.end() == 0
        assert service.log[-1]["event"] == "the service has ended"


def test_two_services_do_not_share_a_port(lite: Job) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        error = lite.refused("serve", "--port", str(port), code=2)
    assert f"127.0.0.1:{port} cannot be listened on" in error
    assert "--port" in error


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--host", "0.0.0.0"], 2, "without TLS the service does not listen on 0.0.0.0"),
        (["--tls-cert", "here.pem"], 2, "--tls-cert and --tls-key go together"),
        (["--port", "99999"], 2, "99999 is no port"),
        (["rowcast.toml", "rowcast.toml"], 2, "two jobs have the name 'wafers'"),
        (["nowhere.toml"], 1, "no config at nowhere.toml"),
    ],
    ids=str,
)
def test_a_service_that_cannot_be_begins_with_a_reason(lite: Job, arguments: list[str], code: int, says: str) -> None:
    assert says in lite.refused("serve", *arguments, code=code)
