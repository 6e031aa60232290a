"""Where scoring begins, recorded a second time: so it is found where somebody has moved it since."""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from rowcast.store.signing import SignatureState, Signed, SigningKeys


class ScopeState(StrEnum):
    """Whether scoring begins where it was fixed to begin; the value is what people read."""

    UNCHANGED = "as recorded"
    MOVED = "moved"
    FORGED = "the record's signature does not fit"
    UNRECORDED = "not recorded"  # there is none yet, or an older store has lost it

    @property
    def is_sound(self) -> bool:
        """Whether nothing speaks against it."""
        return self in (ScopeState.UNCHANGED, ScopeState.UNRECORDED)


@dataclass(frozen=True)
class ScopeRecord:
    """A job's scope, as the columns of its row hold it."""

    since: datetime | None
    after: str | None  # JSON
    with_learned: int | None

    @property
    def is_fixed(self) -> bool:
        return self.since is not None or self.after is not None

    def to_json(self, job: str, keys: SigningKeys) -> str:
        """Return the record, signed where there is a key."""
        signature = keys.sign(job, 0, self._digest(), Signed.SCOPE)
        return json.dumps({**self._plain(), "signature": signature}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> tuple[Self, str | None]:
        """Return the record that `to_json` wrote, and its signature."""
        found = json.loads(text)
        since = found["since"]
        record = cls(None if since is None else datetime.fromisoformat(since), found["after"], found["with_learned"])
        return record, found["signature"]

    def compare(self, text: str | None, job: str, keys: SigningKeys) -> ScopeState:
        """Return whether this, the present scope, is the one of a record; None where there is no record."""
        if text is None:
            return ScopeState.UNRECORDED
        was, signature = self.from_json(text)
        if signature is not None or keys:
            state = keys.check(signature, job, 0, was._digest(), Signed.SCOPE)
            if state in (SignatureState.FORGED, SignatureState.UNKNOWN_KEY):
                return ScopeState.FORGED
        return ScopeState.UNCHANGED if was == self else ScopeState.MOVED

    def _plain(self) -> dict[str, object]:
        return {**asdict(self), "since": None if self.since is None else self.since.isoformat()}

    def _digest(self) -> str:
        return hashlib.sha256(json.dumps(self._plain(), ensure_ascii=False).encode()).hexdigest()
