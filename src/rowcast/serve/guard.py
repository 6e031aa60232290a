"""Who may do what: every route but health needs a key with the right scope, where keys are asked for."""

from dataclasses import dataclass
from enum import StrEnum

from rowcast.serve.http import Request
from rowcast.serve.refusal import Refusal

_LOCAL = {b"localhost", b"127.0.0.1", b"[::1]"}


class Scope(StrEnum):
    """What a key is good for; HEALTH needs none."""

    HEALTH = "health"
    SCORE = "score"
    READ = "read"
    OPERATE = "operate"


@dataclass(frozen=True)
class Guard:
    """Admits requests."""

    is_local: bool = True  # bound to loopback, and nobody else authenticates

    def admit(self, request: Request, scope: Scope) -> None:
        """Raise Refusal unless the request may do what needs this scope."""
        if scope is Scope.HEALTH:
            return
        if self.is_local:
            require_local_host(request)


def require_local_host(request: Request) -> None:
    """Raise Refusal, 403, for a page of another site that found its way to this computer by its own name for it."""
    host = request.headers.get(b"host", b"")
    name = host if host.endswith(b"]") else host.rpartition(b":")[0] or host
    if host and name.lower() not in _LOCAL:
        raise Refusal(
            403, "without keys the service answers to localhost alone", hint="'rowcast keys create' makes one"
        )
