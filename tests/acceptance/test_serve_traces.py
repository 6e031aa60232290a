"""Traces of scoring requests, as a collector gets them: real OTLP over HTTP, and a collector that is away."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from jobs import Job
from test_serve_command import ROW, Service

pytest.importorskip("opentelemetry.sdk")
pytest_plugins = ("job_fixtures",)

TRACE, PARENT = "4b" * 16, "0a" * 8


class Collector:
    """Takes spans over OTLP/HTTP, and decodes them; `status` is what it answers."""

    def __init__(self) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        self.status = 200
        self.taken: list[Any] = []  # resource, span
        self.tries = 0
        self.came = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with collector.came:
                    collector.tries += 1
                    if collector.status == 200:
                        assert self.path == "/v1/traces"
                        for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
                            for scope in sent.scope_spans:
                                collector.taken += [(sent.resource, span) for span in scope.spans]
                    collector.came.notify_all()
                self.send_response(collector.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def wait(self, is_there: Callable[[], bool]) -> None:
        with self.came:
            assert self.came.wait_for(is_there, timeout=60)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.close()


@pytest.fixture
def serve(lite: Job, start: Callable[..., Any]) -> Callable[..., Any]:
    """A service with these variables beside its own."""

    @contextmanager
    def serving(**variables: str) -> Iterator[Service]:
        usual = lite.environment
        lite.environment = lambda *given, **more: usual(*given, **more, **variables)  # type: ignore[method-assign]
        yield Service(start(lite, "serve", "--port", "0"))

    return serving


def describe(span: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


def list_warnings(service: Service) -> list[str]:
    return [event["event"] for event in service.log if event["level"] == "warning"]


def test_a_span_of_each_scoring_request_continues_the_callers_trace(collector: Collector, serve: Any) -> None:
    before = time.time_ns()
    with serve(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="50") as service:
        assert service.ask("GET", "/ping")[0] == 200  # which is no scoring request
        assert service.score(traceparent=f"00-{TRACE}-{PARENT}-01", tracestate="fab=7")[0] == 200
        assert service.score(traceparent="none of these")[0] == 200
        assert service.ask("POST", "/invocations", {"instances": [{**ROW, "s01": 1e30}]})[0] == 422
        collector.wait(lambda: len(collector.taken) == 3)
        assert service.end() == 0
    (resource, first), (_, second), (_, third) = sorted(collector.taken, key=lambda each: each[1].end_time_unix_nano)
    assert (first.trace_id.hex(), first.parent_span_id.hex(), first.trace_state) == (TRACE, PARENT, "fab=7")
    assert (first.name, first.kind) == ("POST /invocations", first.SPAN_KIND_SERVER)
    assert before < first.start_time_unix_nano < first.end_time_unix_nano < time.time_ns()
    about = {"http.request.method": "POST", "http.route": "/invocations", "http.response.status_code": 200}
    assert describe(first) == about | {"rowcast.job": "wafers", "rowcast.model_version": 1, "rowcast.rows": 1}
    assert second.parent_span_id == b""
    assert second.trace_id != first.trace_id
    assert describe(third)["http.response.status_code"] == 422
    assert describe(third)["rowcast.rows_refused"] == 1
    assert describe(resource)["service.name"] == "rowcast"
    assert not any(str(value) in str(collector.taken) for value in ROW.values() if isinstance(value, float))


def test_what_waits_is_sent_when_the_service_ends(collector: Collector, serve: Any) -> None:
    named = {"OTEL_SERVICE_NAME": "line-3", "OTEL_BSP_SCHEDULE_DELAY": "600000"}
    with serve(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/v1/traces", **named) as service:
        assert service.score()[0] == 200
        assert collector.taken == []
        assert service.end() == 0
    [(resource, _)] = collector.taken
    assert describe(resource)["service.name"] == "line-3"


def test_a_caller_that_does_not_sample_is_not_traced(collector: Collector, serve: Any) -> None:
    with serve(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as service:
        assert service.score(traceparent=f"00-{TRACE}-{PARENT}-00")[0] == 200
        assert service.end() == 0
    assert collector.tries == 0


def test_a_collector_that_is_away_costs_no_request_and_is_told_once(collector: Collector, serve: Any) -> None:
    collector.status = 400  # not taken, and not to be sent again
    with serve(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="50") as service:
        for tries in (1, 2, 3):
            assert service.score()[0] == 200
            collector.wait(lambda tries=tries: collector.tries >= tries)
        collector.status = 200
        assert service.score()[0] == 200
        collector.wait(lambda: len(collector.taken) == 1)
        assert service.end() == 0
    assert list_warnings(service) == ["spans are not taken"]
    assert [event["event"] for event in service.log].count("spans are taken again") == 1


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "http://collector.invalid:4318"])
def test_a_collector_that_was_never_there_keeps_no_request_and_not_the_end(serve: Any, address: str) -> None:
    with serve(OTEL_EXPORTER_OTLP_ENDPOINT=address) as service:
        for _ in range(20):
            assert service.score()[0] == 200
        assert service.end() == 0
    assert list_warnings(service) in ([], ["spans are not taken"])  # it ended before it was sure


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ["no spans are exported: this protocol is not spoken"]),
        ({"OTEL_SDK_DISABLED": "true"}, []),
    ],
    ids=["grpc", "disabled"],
)
def test_a_service_without_traces_is_served_all_the_same(
    collector: Collector, serve: Any, named: dict[str, str], says: list[str]
) -> None:
    with serve(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, **named) as service:
        assert service.score()[0] == 200
        assert service.end() == 0
    assert list_warnings(service) == says
    assert collector.tries == 0
