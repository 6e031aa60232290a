"""The routes that score: a body to rows, rows to an answer, an answer to a body."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from rowcast.predict import MOST_EXPLAINED
from rowcast.serve.http import JSON, Request, Response, read_body, read_options
from rowcast.serve.limits import Gate, Limits
from rowcast.serve.protocols import arrow_stream, delimited, instances, open_inference
from rowcast.serve.refusal import Refusal, bad_request
from rowcast.serve.request import Options, SentRows
from rowcast.serve.scoring import Answer, Serving, score
from rowcast.serve.served_job import ServedJob

CSV, ARROW = b"text/csv", b"application/vnd.apache.arrow.stream"
_BINARY = b"application/octet-stream"
_LENGTH = b"inference-header-content-length"

Write: TypeAlias = Callable[[Answer], Response]


@dataclass(frozen=True)
class Asked:
    """A body that was read: its rows, how they are to be answered, and in which form."""

    rows: SentRows
    options: Options
    write: Write


Read: TypeAlias = Callable[[bytes, Serving], Asked]


@dataclass(frozen=True)
class ScoringRoutes:
    """Scores rows in any of the forms."""

    gate: Gate

    async def infer(self, job: ServedJob, request: Request) -> Response:
        """Answer an inference request of the Open Inference Protocol."""
        kind, length = _content_type(request)[0], request.headers.get(_LENGTH)
        if length is not None and not length.isdigit():
            raise bad_request("Inference-Header-Content-Length is no number")
        if kind not in (JSON, b"") and not (kind == _BINARY and length is not None):
            raise _wrong_type(b"application/json, or application/octet-stream with Inference-Header-Content-Length")
        options = read_options(request)
        size = None if length is None else int(length)

        def read(body: bytes, serving: Serving) -> Asked:
            rows, chosen, wanted = open_inference.read_tensors(body, size, options, serving.columns)
            return Asked(rows, chosen, lambda answer: _write_tensors(answer, wanted))

        return await self._answer(job, request, read)

    async def invoke(self, job: ServedJob, request: Request) -> Response:
        """Answer rows as JSON, CSV or Arrow: what MLflow, SageMaker and Vertex AI send."""
        kind, has_header = _content_type(request)
        if kind not in (JSON, CSV, ARROW):
            raise _wrong_type(b", ".join((JSON, CSV, ARROW)))
        options, write = read_options(request), _choose_writer(request.headers.get(b"accept", b""))

        def read(body: bytes, serving: Serving) -> Asked:
            if kind == JSON:
                rows, chosen = instances.read_instances(body, options, serving.columns)
                return Asked(rows, chosen, write)
            if kind == CSV:
                return Asked(delimited.read_csv(body, serving.columns, has_header=has_header), options, write)
            return Asked(arrow_stream.read_arrow(body, self.gate.limits.rows), options, write)

        return await self._answer(job, request, read)

    async def _answer(self, job: ServedJob, request: Request, read: Read) -> Response:
        limits = self.gate.limits
        with self.gate.hold() as take:
            body = await read_body(request, limits.body, limits.body_seconds, take)
            serving = job.require_serving()  # the same one from the first row to the last
            request.version = serving.version
            if len(body) > limits.inline:
                return await self.gate.run(
                    job.name, lambda: _finish(job, request, serving, limits, read(body, serving))
                )
            asked = read(body, serving)
            if not _is_recorded(job, asked.options) and not serving.columns.past:
                return _finish(job, request, serving, limits, asked)
            return await self.gate.run(job.name, lambda: _finish(job, request, serving, limits, asked))


def _is_recorded(job: ServedJob, options: Options) -> bool:
    return job.settings.serve.record if options.record is None else options.record


def _finish(job: ServedJob, request: Request, serving: Serving, limits: Limits, asked: Asked) -> Response:
    request.rows = asked.rows.count
    if asked.rows.count > limits.rows:
        raise Refusal(413, f"more than {limits.rows:,} rows in a request", hint="send them in parts")
    if asked.options.explain and asked.rows.count > MOST_EXPLAINED:
        raise Refusal(413, f"explain=true is for at most {MOST_EXPLAINED} rows", hint="send them in parts")
    try:
        completed = job.past.complete(asked.rows, serving.columns) if serving.columns.past else None
        if _is_recorded(job, asked.options):
            answer = job.recorder.answer(serving, asked.rows, asked.options, request.key, completed)
        else:
            answer = score(serving, asked.rows, asked.options, completed)
    except Refusal as refusal:
        request.refused = asked.rows.count if refusal.rules else 0
        raise
    request.scored, request.refused = len(answer.places), answer.rows - len(answer.places)
    request.rules = [fault.rule for fault in answer.faults]
    return asked.write(answer)


def _content_type(request: Request) -> tuple[bytes, bool]:
    """The type of the body, and whether a CSV has a line of names."""
    kind, _, parameters = request.headers.get(b"content-type", b"").partition(b";")
    return kind.strip().lower(), b"header=absent" not in parameters.replace(b" ", b"").lower()


def _wrong_type(known: bytes) -> Refusal:
    return Refusal(415, "the content type is not one that is read here", hint=f"send {known.decode()}")


def _choose_writer(accept: bytes) -> Write:
    if CSV in accept:
        return lambda answer: Response(200, delimited.write_csv(answer), CSV)
    if ARROW in accept:
        return lambda answer: Response(200, arrow_stream.write_arrow(answer), ARROW)
    return lambda answer: Response(200, instances.write_predictions(answer))


def _write_tensors(answer: Answer, wanted: open_inference.Wanted) -> Response:
    body, length = open_inference.write_tensors(answer, wanted)
    if length is None:
        return Response(200, body)
    return Response(200, body, _BINARY, [(_LENGTH, b"%d" % length)])
