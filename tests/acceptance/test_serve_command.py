"""The command `rowcast serve` on a port: what only a process and a socket can show."""

import http.client
import json
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
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


def certificate(folder: Path, name: str) -> tuple[str, str]:
    """A self-signed certificate for localhost, and its key."""
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return str(cert), str(key)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_with_a_certificate_and_keys_it_answers_others_too(lite: Job, serve: Callable[..., Any]) -> None:
    cert, key = certificate(lite.folder, "mine")
    other, _ = certificate(lite.folder, "other")
    given = ["--host", "0.0.0.0", "--tls-cert", cert, "--tls-key", key]
    assert "cannot be used" in lite.refused("serve", "--port", "0", "--tls-cert", other, "--tls-key", key)
    assert "has no keys" in lite.refused("serve", "--port", "0", *given, code=2)
    token = lite.call("keys", "create", "line-3").out.strip()
    with serve(lite, *given) as service:
        context = ssl.create_default_context(cafile=cert)
        for headers, status in (({"x-api-key": token}, 200), ({}, 401)):
            connection = http.client.HTTPSConnection("127.0.0.1", service.port, timeout=30, context=context)
            sent = {"content-type": "application/json", **headers}
            connection.request("POST", "/invocations", json.dumps({"instances": [ROW]}), sent)
            assert connection.getresponse().status == status
            connection.close()
        assert service.end() == 0
    [first, *_] = [event for event in service.log if event.get("event") == "request"]
    assert (first["key"], first["status"], first["rows"], first["route"]) == ("line-3", 200, 1, "/invocations")
    assert token not in str(service.log)
    assert not any(str(value) in str(service.log) for value in ROW.values() if isinstance(value, float))


def test_told_to_end_it_is_not_ready_first_and_answers_what_is_under_way(lite: Job, serve: Callable[..., Any]) -> None:
    trace = f"00-{'4b' * 16}-{'0a' * 8}-01"
    with serve(lite) as service, socket.create_connection(("127.0.0.1", service.port)) as slow:
        body = json.dumps({"instances": [ROW]}).encode()
        head = f"POST /invocations HTTP/1.1\r\nhost: localhost\r\ntraceparent: {trace}\r\n"
        head += "content-type: application/json\r\n"
        slow.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body[:20])
        assert service.ask("GET", "/ping")[0] == 200
        service.process.send_signal(signal.SIGTERM)
        status = 200
        while status == 200:  # the signal is on its way
            status = service.ask("GET", "/v2/health/ready")[0]
        assert status == 503
        slow.sendall(body[20:])
        slow.settimeout(30)
        assert slow.recv(65536).startswith(b"HTTP/1.1 200")
        assert service.end() == 0
    [logged] = [event for event in service.log if event.get("trace_id")]
    assert (logged["trace_id"], logged["parent_id"]) == ("4b" * 16, "0a" * 8)


def test_vertex_ai_names_port_and_paths(lite: Job, start: Callable[..., Any]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    named = {"AIP_HTTP_PORT": str(port), "AIP_HEALTH_ROUTE": "/health", "AIP_PREDICT_ROUTE": "/predict"}
    lite_environment = lite.environment
    lite.environment = lambda *arguments, **more: lite_environment(*arguments, **more, **named)  # type: ignore[method-assign]
    service = Service(start(lite, "serve", "--behind", "vertex", "--host", "127.0.0.1"))
    assert service.port == port
    assert service.ask("GET", "/health", host="model.internal")[0] == 200
    status, found = service.ask("POST", "/predict", {"instances": [ROW]}, host="model.internal")
    assert (status, len(found["predictions"])) == (200, 1)
    assert service.end() == 0
