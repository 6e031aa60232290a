"""What requests for pages are answered with, and what is read from them."""

from collections.abc import Sequence
from urllib.parse import parse_qs, quote

from rowcast.serve.http import Header, Request, Response, read_body
from rowcast.serve.refusal import Refusal

HTML, CSS, SCRIPT = b"text/html; charset=utf-8", b"text/css; charset=utf-8", b"text/javascript; charset=utf-8"
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    b"base-uri 'none'; frame-ancestors 'none'"
)
SAFE: Sequence[Header] = (
    (b"content-security-policy", _POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
)
RENEWED: Header = (b"refresh", b"2")  # in seconds; without a script
_KEPT_NOWHERE: Header = (b"cache-control", b"no-store")
_LONGEST = 8192  # bytes of a form


def as_html(text: str, status: int = 200, headers: Sequence[Header] = ()) -> Response:
    """Return a page."""
    return Response(status, text.encode(), HTML, [*SAFE, _KEPT_NOWHERE, *headers])


def redirect(where: str, headers: Sequence[Header] = ()) -> Response:
    """Return an answer that leads to another page."""
    return Response(303, b"", HTML, [(b"location", where.encode()), *SAFE, _KEPT_NOWHERE, *headers])


def read_query(request: Request) -> dict[str, list[str]]:
    """Return what the query says. Raise Refusal where it cannot be read."""
    try:
        return parse_qs(request.query.decode("ascii"), keep_blank_values=True, max_num_fields=50)
    except ValueError:
        raise Refusal(400, "the query cannot be read") from None


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form that a page of this site sends. Raise Refusal for one from elsewhere."""
    _require_own_origin(request)
    body = await read_body(request, _LONGEST, 10, lambda _: None)
    try:
        found = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=10)
    except ValueError:
        raise Refusal(400, "the form cannot be read") from None
    return {name: values[0].strip() for name, values in found.items()}


def name_page(request: Request) -> str:
    """Return the path and query of the page that is asked for."""
    query = f"?{request.query.decode('latin-1')}" if request.query else ""
    return quote(request.path, safe="/") + query


def _require_own_origin(request: Request) -> None:
    """Raise Refusal, 403, for a form that another site sends."""
    origin, host = request.headers.get(b"origin"), request.headers.get(b"host", b"")
    if origin is not None and origin.partition(b"://")[2].lower() != host.lower():
        raise Refusal(403, "the form comes from another site")
    if request.headers.get(b"sec-fetch-site", b"same-origin") not in (b"same-origin", b"none"):
        raise Refusal(403, "the form comes from another site")
