"""Who may do what: every route but health needs a key with the right scope, where keys are asked for."""

import hmac
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from rowcast.serve.clock import clock
from rowcast.serve.http import Request
from rowcast.serve.proxied import find_proxied
from rowcast.serve.refusal import Refusal
from rowcast.serve.request import Person
from rowcast.serve.served_job import ServedJob
from rowcast.store.api_keys import ApiKey, KeyScope, digest, find_prefix

_LOCAL = {b"localhost", b"127.0.0.1", b"[::1]"}


class Scope(StrEnum):
    """What a route needs of a key; HEALTH needs none."""

    HEALTH = "health"
    ANY = "any"  # of any live key
    SCORE = "score"
    READ = "read"
    OPERATE = "operate"


class Asks(StrEnum):
    """Of whom the service asks a key."""

    WHERE_THERE_ARE = "where there are keys"  # and else it answers to this computer alone, or to the proxy's users
    ALWAYS = "always"
    NEVER = "never"  # a platform authenticates, and strips headers


_MAY = {
    KeyScope.SCORE: {Scope.ANY, Scope.SCORE},
    KeyScope.READ: {Scope.ANY, Scope.READ},
    KeyScope.OPERATE: set(Scope),
}


@dataclass(frozen=True)
class Guard:
    """Admits requests."""

    asks: Asks = Asks.WHERE_THERE_ARE
    is_local: bool = True  # without keys, whoever asks must have asked for this computer by its own name
    trusts_proxy: bool = False  # whether headers of [serve] say who asks
    _spent: dict[tuple[str, int], "_Bucket"] = field(default_factory=dict)

    def admit(self, request: Request, scope: Scope, jobs: Sequence[ServedJob]) -> list[ServedJob]:
        """Return which of these jobs the request may ask for what needs this scope. Raise Refusal where none.

        401 without a key that is live, 403 with one of another scope, 429 with one that has asked too often.
        """
        if scope is Scope.HEALTH or self.asks is Asks.NEVER:
            return list(jobs)
        key = _find_key(request)
        admitted, other_scope, stranger = [], False, None
        for job in jobs:
            try:
                person = self._find_person(request, job)
            except Refusal as refusal:
                stranger = refusal
                continue
            if person is not None:
                request.key = person.name
                if scope in _MAY[person.scope]:
                    admitted.append(job)
                else:
                    other_scope = True
                continue
            is_named = self.trusts_proxy and job.settings.serve.user_header is not None
            if self.asks is Asks.WHERE_THERE_ARE and not job.has_keys and not is_named:
                if self.is_local:
                    require_local_host(request)
                admitted.append(job)
                continue
            found = None if key is None else _match(job.keys, key, request.begun)
            if found is None:
                continue
            request.key = found.name
            if scope in _MAY[found.scope]:
                self._spend(job, found)
                admitted.append(job)
            else:
                other_scope = True
        if not admitted and stranger is not None:
            raise stranger
        if not admitted and jobs:
            raise _too_small(scope) if other_scope else _unknown(key)
        return admitted

    def names(self, request: Request, scope: Scope, job: ServedJob) -> bool:
        """Return whether it is known who asks, and that they may do what needs this scope."""
        person = self._find_person(request, job)
        if person is not None:
            return scope in _MAY[person.scope]
        key = _find_key(request)
        found = None if key is None else _match(job.keys, key, request.begun)
        return found is not None and scope in _MAY[found.scope]

    def _find_person(self, request: Request, job: ServedJob) -> Person | None:
        if request.person is not None or not self.trusts_proxy:
            return request.person
        return find_proxied(request, job.settings.serve)

    def _spend(self, job: ServedJob, key: ApiKey) -> None:
        if key.per_second is None:
            return
        bucket = self._spent.setdefault((job.name, key.key_id), _Bucket(max(key.per_second, 1.0)))
        wait = bucket.take(key.per_second)
        if wait > 0:
            retry = b"%d" % max(1, round(wait + 0.5))
            raise Refusal(429, "this key has asked too often", headers=[(b"retry-after", retry)])


@dataclass
class _Bucket:
    """What a key may still spend: it fills as time goes by."""

    left: float
    at: float = field(default_factory=time.monotonic)

    def take(self, per_second: float) -> float:
        """Take one; return the seconds to wait where none is left."""
        now = time.monotonic()
        self.left = min(max(per_second, 1.0), self.left + (now - self.at) * per_second)
        self.at = now
        if self.left < 1:
            return (1 - self.left) / per_second
        self.left -= 1
        return 0.0


def require_local_host(request: Request) -> None:
    """Raise Refusal, 403, for a page of another site that found its way to this computer by its own name for it."""
    host = request.headers.get(b"host", b"")
    name = host if host.endswith(b"]") else host.rpartition(b":")[0] or host
    if host and name.lower() not in _LOCAL:
        what = "without keys the service answers to localhost alone"
        raise Refusal(403, what, hint="'rowcast keys create' makes a key")


def _find_key(request: Request) -> str | None:
    """The key that was sent. Raise Refusal, 400, where two ways to send one are used at once."""
    bearer, own = request.headers.get(b"authorization"), request.headers.get(b"x-api-key")
    if bearer is not None and own is not None:
        raise Refusal(400, "the key comes twice", hint="send Authorization: Bearer KEY, or X-API-Key: KEY")
    if own is not None:
        return own.decode("latin-1")
    if bearer is None:
        return None
    kind, _, key = bearer.partition(b" ")
    return key.strip().decode("latin-1") if kind.lower() == b"bearer" else None


def _match(keys: Sequence[ApiKey], sent: str, begun: float) -> ApiKey | None:
    """The live key that was sent; digests are compared in constant time."""
    prefix, sha256, now = find_prefix(sent), digest(sent), clock.at(begun)
    found = None
    for key in keys:
        if key.prefix == prefix and hmac.compare_digest(key.sha256, sha256) and key.is_live(now):
            found = key
    return found


def _unknown(key: str | None) -> Refusal:
    what = "a key is needed" if key is None else "the key is not known, has expired or was revoked"
    hint = "send Authorization: Bearer KEY; 'rowcast keys create' makes one"
    return Refusal(401, what, hint=hint, headers=[(b"www-authenticate", b"Bearer")])


def _too_small(scope: Scope) -> Refusal:
    return Refusal(403, f"the key may not do what needs '{scope}'", hint=f"'rowcast keys create NAME --scope {scope}'")
