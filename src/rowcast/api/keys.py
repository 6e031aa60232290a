"""Calls about the keys of the HTTP service."""

from datetime import timedelta
from typing import TYPE_CHECKING

from rowcast.account import name_account
from rowcast.api.connections import Connections

if TYPE_CHECKING:
    from rowcast.store.api_keys import ApiKey

_LONGEST = 128  # characters of a name


class Keys(Connections):
    """Calls that say who may ask `rowcast serve`."""

    def create_key(
        self,
        name: str,
        *,
        scope: str = "score",
        expires: timedelta | None = timedelta(days=90),
        per_second: float | None = None,
        by: str | None = None,
    ) -> str:
        """Make a key for the HTTP service and return it, as `rowcast keys create`. Nobody can read it again.

        Parameters
        ----------
        name
            Of whoever uses it; it stands in logs. Several keys may have it, so that a new one can follow an old one.
        scope
            `score`, `read` (metadata and figures), or `operate`, which may do everything.
        expires
            After which time it is worth nothing; None: never.
        per_second
            Requests that it may make in a second; None: any number.
        by
            Who made it; by default this computer's user.
        """
        from rowcast.errors import UsageError
        from rowcast.store.api_keys import KeyScope

        if not name.strip() or len(name) > _LONGEST or not name.isprintable():
            raise UsageError(f"a key's name has 1 to {_LONGEST} printable characters", hint="name who uses it")
        if expires is not None and expires <= timedelta(0):
            raise UsageError("a key must be worth something for longer than 0", hint="give it 90 days, or None")
        with self.connection() as job:
            until = None if expires is None else job.store.now() + expires
            given = {"by": by or name_account(), "expires_at": until, "per_second": per_second}
            return job.api_keys.create(name, KeyScope(scope), **given)  # type: ignore[arg-type]

    def keys(self) -> "tuple[ApiKey, ...]":
        """Return the keys of the HTTP service, the newest first: all but the keys themselves."""
        with self.connection() as job:
            return tuple(job.api_keys.list())

    def revoke_key(self, which: str, *, by: str | None = None) -> int:
        """Revoke the keys of a name, or the one of a prefix, and return how many. Raise UsageError where there is none.

        A running service takes them no longer within seconds.
        """
        with self.connection() as job:
            return job.api_keys.revoke(which, by=by or name_account())
