"""What the service did: counted for /metrics, and a line for each request in the access log, without values."""

import asyncio
import re
import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import Any, BinaryIO

import msgspec

from rowcast.metrics import Family, Sample
from rowcast.serve.clock import clock
from rowcast.serve.http import Request
from rowcast.serve.tracing import Spans

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)  # seconds
FAMILIES: dict[str, Family] = {
    "rowcast_serve_requests_total": ("counter", "Requests by route and status."),
    "rowcast_serve_request_seconds": ("histogram", "How long a request took, from its headers to its answer."),
    "rowcast_serve_rows_total": ("counter", "Rows that were asked about, scored or refused."),
    "rowcast_serve_refusals_total": ("counter", "Why rows were refused, by rule."),
    "rowcast_serve_log_lines_dropped_total": ("counter", "Lines of the access log that nobody took in time."),
}
_MOST_LINES = 20_000  # of the access log that wait to be written
_EVERY = 0.2  # seconds between two writes
# w3.org/TR/trace-context: version, trace id, parent id, flags.
_TRACE = re.compile(rb"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")


class Observer:
    """Counts requests, and logs them."""

    def __init__(self, log_to: BinaryIO | None = None, spans: Spans | None = None) -> None:
        self.spans = spans
        self._log_to = log_to
        self._requests: Counter[tuple[str, str, int]] = Counter()  # job, route, status
        self._seconds: dict[str, list[int]] = {}  # by route, in each bucket
        self._sums: Counter[str] = Counter()
        self._rows: Counter[tuple[str, str]] = Counter()  # job, scored or refused
        self._rules: Counter[tuple[str, str]] = Counter()  # job, rule
        self._lines: list[bytes] = []
        self._dropped = 0
        self._is_writing = False

    def note(self, request: Request | None, route: str, status: int, begun: float, seconds: float) -> None:
        """Count one request that was answered."""
        job = "" if request is None else request.job
        self._requests[job, route, status] += 1
        counts = self._seconds.get(route)
        if counts is None:
            counts = self._seconds[route] = [0] * (len(BUCKETS) + 1)
        counts[bisect_left(BUCKETS, seconds)] += 1
        self._sums[route] += seconds  # type: ignore[assignment]
        if request is not None:
            if request.scored:
                self._rows[job, "scored"] += request.scored
            if request.refused:
                self._rows[job, "refused"] += request.refused
            for rule in request.rules:
                self._rules[job, rule] += 1
        if self._log_to is not None:
            self._log(request, route, status, begun, seconds)

    def _log(self, request: Request | None, route: str, status: int, begun: float, seconds: float) -> None:
        if len(self._lines) >= _MOST_LINES:
            self._dropped += 1
            return
        about: dict[str, Any] = {"event": "request", "level": "info", "timestamp": clock.at(begun)}
        about |= {"route": route, "status": status, "ms": round(seconds * 1000, 3)}
        if request is not None:
            about["method"] = request.method if len(request.method) < 20 else "?"
            for name in ("job", "version", "rows", "key", "client"):
                value = getattr(request, name)
                if value not in ("", None):
                    about[name] = value
            trace = _TRACE.fullmatch(request.headers.get(b"traceparent", b""))
            if trace is not None:
                about |= {"trace_id": trace[1].decode(), "parent_id": trace[2].decode()}
        self._lines.append(msgspec.json.encode(about))
        if not self._is_writing:
            self._is_writing = True
            asyncio.get_running_loop().call_later(_EVERY, self._begin_write)

    def _begin_write(self) -> None:
        lines, self._lines = self._lines, []
        written = asyncio.get_running_loop().run_in_executor(None, self._write, lines)
        written.add_done_callback(lambda _: self._end_write())

    def _end_write(self) -> None:
        self._is_writing = bool(self._lines)
        if self._lines:
            asyncio.get_running_loop().call_later(_EVERY, self._begin_write)

    def _write(self, lines: list[bytes]) -> None:
        assert self._log_to is not None
        self._log_to.write(b"\n".join(lines) + b"\n")
        self._log_to.flush()

    def close(self) -> None:
        """Write what waits to be written, and send what waits to be sent."""
        lines, self._lines = self._lines, []
        if lines:
            self._write(lines)
        if self.spans is not None:
            self.spans.close()

    def samples(self) -> Iterator[Sample]:
        """Yield what was counted."""
        for (job, route, status), count in sorted(self._requests.items()):
            yield "rowcast_serve_requests_total", {"job": job, "route": route, "status": status}, count
        for route, counts in sorted(self._seconds.items()):
            name, so_far = "rowcast_serve_request_seconds", 0
            for bound, count in zip((*map(str, BUCKETS), "+Inf"), counts, strict=True):
                so_far += count
                yield f"{name}_bucket", {"route": route, "le": bound}, so_far
            yield f"{name}_sum", {"route": route}, self._sums[route]
            yield f"{name}_count", {"route": route}, so_far
        for (job, what), count in sorted(self._rows.items()):
            yield "rowcast_serve_rows_total", {"job": job, "outcome": what}, count
        for (job, rule), count in sorted(self._rules.items()):
            yield "rowcast_serve_refusals_total", {"job": job, "rule": rule}, count
        yield "rowcast_serve_log_lines_dropped_total", {}, self._dropped


def open_access_log() -> BinaryIO:
    """Return where the access log goes: standard error, beside the other events."""
    return sys.stderr.buffer
