"""Signatures of model versions, of batches and of scopes, by keys that are not in the store."""

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

_ALGORITHM = "hmac-sha256"


class Signed(StrEnum):
    """What a signature is over: one of a batch is worth nothing beside a version of the same number."""

    MODEL = "rowcast model"
    BATCH = "rowcast batch"
    SCOPE = "rowcast scope"
    SHADOW = "rowcast shadow"


class SignatureState(StrEnum):
    """What a signature is worth; the value is what people read."""

    VALID = "signed"
    OLD_KEY = "signed by an older key"
    MISSING = "not signed"
    UNKNOWN_KEY = "signed by a key that is not known here"
    FORGED = "signature does not fit"
    NOT_CHECKED = "not checked: ROWCAST_SIGNING_KEY is not set"

    @property
    def is_trusted(self) -> bool:
        """Whether what is signed may be used."""
        return self in (SignatureState.VALID, SignatureState.OLD_KEY, SignatureState.NOT_CHECKED)


@dataclass(frozen=True, repr=False)
class SigningKeys:
    """The keys of ROWCAST_SIGNING_KEY: the first signs, each verifies; none: nothing is signed and nothing refused."""

    keys: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, texts: Sequence[str]) -> "SigningKeys":
        """Return the keys that these texts are."""
        return cls(tuple(text.encode() for text in texts))

    def __bool__(self) -> bool:
        return bool(self.keys)

    def sign(self, job: str, number: int, sha256: str, what: Signed = Signed.MODEL) -> str | None:
        """Return a signature over a job, a number in it, such as a version, and a digest; None without a key."""
        if not self.keys:
            return None
        key = self.keys[0]
        return f"{_ALGORITHM}:{_name(key)}:{_digest(key, what, job, number, sha256)}"

    def check(
        self, signature: str | None, job: str, number: int, sha256: str, what: Signed = Signed.MODEL
    ) -> SignatureState:
        """Return what a signature over the same is worth."""
        if not self.keys:
            return SignatureState.NOT_CHECKED
        if signature is None:
            return SignatureState.MISSING
        algorithm, _, rest = signature.partition(":")
        name, _, digest = rest.partition(":")
        for place, key in enumerate(self.keys):
            if algorithm == _ALGORITHM and hmac.compare_digest(name.encode(), _name(key).encode()):
                fits = hmac.compare_digest(digest.encode(), _digest(key, what, job, number, sha256).encode())
                if not fits:
                    return SignatureState.FORGED
                return SignatureState.OLD_KEY if place else SignatureState.VALID
        return SignatureState.UNKNOWN_KEY


NO_KEYS = SigningKeys()


def _name(key: bytes) -> str:
    """Return by what a key is recognised; the key does not follow from it."""
    return hmac.new(key, b"rowcast key", hashlib.sha256).hexdigest()[:16]


def _digest(key: bytes, what: Signed, job: str, number: int, sha256: str) -> str:
    signed = json.dumps([what.value, job, number, sha256], ensure_ascii=False)
    return hmac.new(key, signed.encode(), hashlib.sha256).hexdigest()
