"""A request and a response, in the least that the service needs of them; ASGI's messages around them."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import msgspec

from rowcast.serve.refusal import Refusal, bad_request
from rowcast.serve.request import Options, Person

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]

JSON = b"application/json"
_ONCE = {b"authorization", b"x-api-key", b"content-type", b"content-length", b"idempotency-key", b"host"}
_ONCE |= {b"inference-header-content-length"}
_TRUE = {"true": True, "1": True, "false": False, "0": False}
_OPTIONS = ("explain", "partial", "record")


@dataclass
class Request:
    """What came, but for its body."""

    method: str
    path: str
    query: bytes
    headers: dict[bytes, bytes]
    receive: Receive
    begun: float  # by time.perf_counter
    client: str = ""
    person: Person | None = None  # in place of a key
    repeated: frozenset[bytes] = frozenset()  # headers that came more than once
    # What is found out about it, for the log.
    key: str = ""
    job: str = ""
    version: int | None = None
    rows: int | None = None
    jobs: Sequence[Any] = ()  # those that it may ask about
    scored: int = 0
    refused: int = 0  # rows
    rules: Sequence[str] = ()  # that rows, or the request itself, broke

    @classmethod
    def of(cls, scope: Message, receive: Receive, begun: float) -> "Request":
        """Return the request of an ASGI scope. Raise Refusal where a header that may come once comes twice."""
        found = dict(scope["headers"])
        client = scope.get("client")
        who = client[0] if client else ""
        request = cls(scope["method"], scope["path"], scope["query_string"], found, receive, begun, who)
        if len(found) != len(scope["headers"]):
            names = [name for name, _ in scope["headers"]]
            request.repeated = frozenset(name for name in names if names.count(name) > 1)
            twice = [name for name in _ONCE if name in request.repeated]
            if twice:
                request.headers = {}
                raise bad_request(f"the header {twice[0].decode()} comes twice")
        return request


@dataclass(frozen=True)
class Response:
    """What goes back."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Sequence[Header] = field(default=())


def as_json(value: Any, status: int = 200, headers: Sequence[Header] = ()) -> Response:
    """Return a response of JSON."""
    return Response(status, msgspec.json.encode(value), headers=headers)


def refuse(refusal: Refusal) -> Response:
    """Return the response of a refusal."""
    return as_json(refusal.to_dict(), refusal.status, refusal.headers)


def read_options(request: Request) -> Options:
    """Return what the query and the headers say of how to answer. Raise Refusal for what is no option."""
    request_id = request.headers.get(b"idempotency-key")
    given: dict[str, bool] = {}
    if request.query:
        try:
            pairs = parse_qsl(request.query.decode("ascii"), keep_blank_values=True, max_num_fields=20)
        except ValueError:
            raise bad_request("the query cannot be read") from None
        for name, value in pairs:
            if name not in _OPTIONS or name in given:
                raise bad_request("the query has an unknown option, or one twice", f"known: {', '.join(_OPTIONS)}")
            if value not in _TRUE:
                raise bad_request(f"the option {name} is true or false")
            given[name] = _TRUE[value]
    return Options(**given, request_id=None if request_id is None else request_id.decode("latin-1"))


async def read_body(request: Request, most: int, seconds: float, take: Callable[[int], None]) -> bytes:
    """Return the body. Raise Refusal where it is larger than `most` bytes, or takes longer.

    `take` is told of each part as it comes, and may refuse it.
    """
    length = request.headers.get(b"content-length")
    if length is not None and length.isdigit() and int(length) > most:
        raise too_large(most)
    message = await request.receive()  # a client that sends nothing is ended with its connection
    if message["type"] == "http.disconnect":
        raise _ended_early()
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return _accept(body, most, take)
    _accept(body, most, take)
    parts, size = [body], len(body)
    try:
        async with asyncio.timeout(seconds):
            while message.get("more_body", False):
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise _ended_early()
                part: bytes = message.get("body", b"")
                size += len(part)
                if size > most:
                    raise too_large(most)
                take(len(part))
                parts.append(part)
    except TimeoutError:
        raise Refusal(408, f"the body took longer than {seconds:g} s", headers=[(b"connection", b"close")]) from None
    return b"".join(parts)


def _accept(body: bytes, most: int, take: Callable[[int], None]) -> bytes:
    if len(body) > most:
        raise too_large(most)
    take(len(body))
    return body


def too_large(most: int) -> Refusal:
    """Return the refusal of a body; the connection ends with it, so that the rest is not read."""
    return Refusal(
        413,
        f"the body is larger than {most:,} bytes",
        hint="send the rows in parts, or raise [serve] max_body_mb",
        headers=[(b"connection", b"close")],
    )


def _ended_early() -> Refusal:
    return Refusal(400, "the body ended early", headers=[(b"connection", b"close")])


async def respond(send: Send, response: Response) -> None:
    """Send a response."""
    body = response.body
    headers = [(b"content-type", response.content_type), (b"content-length", b"%d" % len(body)), *response.headers]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
