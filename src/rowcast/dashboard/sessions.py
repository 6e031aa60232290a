"""Who is logged in: a browser has a random token in a cookie, and the service keeps which API key it stands for.

A session is worth as much as its key: the guard looks at the key again with every page. A restart ends all sessions.
"""

import hashlib
import secrets
import time
from collections import deque
from dataclasses import dataclass, field

from rowcast.serve.request import Person

HOURS = 12.0
_LINK = 900.0  # seconds
_MOST = 1000  # sessions; the oldest makes room
_FAILED, _WITHIN = 10, 60.0  # logins that may fail within so many seconds, client by client


@dataclass
class Sessions:
    """Sessions in this process."""

    _logins: dict[bytes, tuple[str | Person, float]] = field(default_factory=dict)  # by a digest of the token, to when
    _links: dict[bytes, tuple[Person, float]] = field(default_factory=dict)  # by a digest of the token, to when
    _failed: dict[str, deque[float]] = field(default_factory=dict)

    def begin(self, login: str | Person) -> str:
        """Return the token of a new session, which stands for a key or for a person."""
        now = time.monotonic()
        self._logins = {each: kept for each, kept in self._logins.items() if kept[1] > now}
        while len(self._logins) >= _MOST:
            del self._logins[next(iter(self._logins))]
        token = secrets.token_urlsafe(32)
        self._logins[_digest(token)] = (login, now + HOURS * 3600)
        return token

    def find(self, token: str) -> str | Person | None:
        """Return the key or the person that a token stands for; None where its session has ended."""
        login, end = self._logins.get(_digest(token), (None, 0.0))
        return login if end > time.monotonic() else None

    def make_link(self, person: Person) -> str:
        """Return a token by which whoever comes first is logged in as this person, within a quarter of an hour."""
        token = secrets.token_urlsafe(32)
        self._links[_digest(token)] = (person, time.monotonic() + _LINK)
        return token

    def use_link(self, token: str) -> Person | None:
        """Return whom a link logs in; None where it was used, is too old or never was."""
        person, end = self._links.pop(_digest(token), (None, 0.0))
        return person if end > time.monotonic() else None

    def end(self, token: str) -> None:
        """End a session."""
        self._logins.pop(_digest(token), None)

    def note_failure(self, client: str) -> None:
        """Remember that a login failed."""
        if len(self._failed) >= _MOST:
            self._failed.clear()
        self._failed.setdefault(client, deque(maxlen=_FAILED)).append(time.monotonic())

    def seconds_to_wait(self, client: str) -> float:
        """Return after how many seconds a client may try again; 0 where it may now."""
        failed = self._failed.get(client, deque())
        return max(0.0, failed[0] + _WITHIN - time.monotonic()) if len(failed) == _FAILED else 0.0


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
