"""Who asks, by the headers of a proxy that the service trusts: a name, and groups that rowcast.toml maps to scopes."""

from collections.abc import Sequence

from rowcast.config.sections import Serve
from rowcast.serve.http import Request
from rowcast.serve.refusal import Refusal, bad_request
from rowcast.serve.request import Person
from rowcast.store.api_keys import KeyScope

_EVERYBODY = "*"


def find_proxied(request: Request, about: Serve) -> Person | None:
    """Return whoever the proxy names; None where a job expects no such header, or where it is not there.

    Raise Refusal, 403, for a person of no group that may do anything; 400 for a header that comes twice: one of them
    may be the client's.
    """
    name = _read(request, about.user_header)
    if not name:
        return None
    groups = {group.strip() for group in _read(request, about.groups_header).split(",")}
    if _is_one_of(groups, about.operate_groups):
        return Person(name, KeyScope.OPERATE)
    if _is_one_of(groups, about.read_groups):
        return Person(name, KeyScope.READ)
    raise Refusal(403, f"'{name}' is in no group that may see this", hint="[serve] read_groups and operate_groups")


def _read(request: Request, header: str | None) -> str:
    if header is None:
        return ""
    name = header.lower().encode("ascii")
    if name in request.repeated:
        raise bad_request(f"the header {header} comes twice", "the proxy must remove what a client sends")
    return request.headers.get(name, b"").decode("latin-1").strip()


def _is_one_of(groups: set[str], named: Sequence[str]) -> bool:
    return _EVERYBODY in named or not groups.isdisjoint(named)
