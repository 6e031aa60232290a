"""Spans of scoring requests for OpenTelemetry: they continue the caller's trace, and hold no value of a row."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from rowcast import __version__
from rowcast.serve.http import Request

log = structlog.get_logger("rowcast")

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN = "http/protobuf"
_CARRIED = (b"traceparent", b"tracestate")
_PATIENCE = 3.0  # seconds for what is left when the service ends
_OPTIONAL = {"rowcast.model_version": "version", "rowcast.rows": "rows", "rowcast.job": "job"}


def open_spans(environment: Mapping[str, str]) -> "Spans | None":
    """Return where spans go, None where the environment names no collector, or it cannot be spoken to.

    A service never fails for its traces: why there are none is said in the log.
    """
    is_off = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if is_off or not any(environment.get(name) for name in _ENDPOINTS):
        return None
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), _SPOKEN)
    if protocol != _SPOKEN:
        log.warning("no spans are exported: this protocol is not spoken", protocol=protocol, spoken=_SPOKEN)
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ModuleNotFoundError as error:
        log.warning("no spans are exported", missing=error.name, hint="pip install 'rowcast[otel]'")
        return None
    library = logging.getLogger("opentelemetry")  # what it says of each try is said once, by `_note`
    library.addHandler(logging.NullHandler())
    library.propagate = False
    return Spans(OTLPSpanExporter())


class Spans:
    """Exports a span for each scoring request, from a thread of its own."""

    def __init__(self, exporter: Any) -> None:
        from opentelemetry.sdk.resources import SERVICE_NAME, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace import SpanKind, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        resource = Resource.create({"service.version": __version__})
        if str(resource.attributes.get(SERVICE_NAME, "unknown_service")).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: "rowcast"}))
        self._exporter = _TellingExporter(exporter)
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("rowcast.serve", __version__)
        self._read_context = TraceContextTextMapPropagator().extract
        self._server, self._error = SpanKind.SERVER, StatusCode.ERROR

    def note(self, request: Request, route: str, status: int, seconds: float) -> None:
        """Hand over the span of a request that has just been answered."""
        ended = time.time_ns()
        sent = {name.decode(): request.headers[name].decode("latin-1") for name in _CARRIED if name in request.headers}
        about: dict[str, Any] = {"http.request.method": request.method, "http.route": route}
        about["http.response.status_code"] = status
        for name, of in _OPTIONAL.items():
            value = getattr(request, of)
            if value not in ("", None):
                about[name] = value
        if request.refused:
            about["rowcast.rows_refused"] = request.refused
        span = self._tracer.start_span(
            f"{request.method} {route}",
            context=self._read_context(sent),
            kind=self._server,
            attributes=about,
            start_time=ended - int(seconds * 1e9),
        )
        if status >= 500:
            span.set_status(self._error)
            span.set_attribute("error.type", str(status))
        span.end(end_time=ended)

    def close(self) -> None:
        """Export what is left, as far as the collector takes it in time."""
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(_PATIENCE)
        self._exporter.shutdown()


class _TellingExporter:
    """Passes spans on, and says once that they are not taken, and once that they are again."""

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter
        self._is_away = False
        self._is_closed = False

    def export(self, spans: Sequence[Any]) -> Any:
        """Return whether they were taken."""
        result = self._exporter.export(spans)
        is_away = result.name != "SUCCESS"
        if is_away and not self._is_away:
            log.warning("spans are not taken", hint="does the collector answer at OTEL_EXPORTER_OTLP_ENDPOINT?")
        elif self._is_away and not is_away:
            log.info("spans are taken again")
        self._is_away = is_away
        return result

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Return whether nothing is kept back."""
        return bool(self._exporter.force_flush(timeout_millis))

    def shutdown(self) -> None:
        """Give up what is under way."""
        if not self._is_closed:
            self._is_closed = True
            self._exporter.shutdown()
