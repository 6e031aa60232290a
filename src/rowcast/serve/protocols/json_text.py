"""JSON that means one thing: decoded by msgspec, refused with the place of the fault."""

import json
import re
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from rowcast.serve.refusal import Refusal, bad_request

Decoded = TypeVar("Decoded")

_KEY = re.compile(rb'"\s*:')
_BYTE = re.compile(r"\(byte (\d+)\)")


def decode(decoder: "msgspec.json.Decoder[Decoded]", body: bytes) -> Decoded:
    """Return what a decoder makes of a body. Raise Refusal, 400, where it is no JSON or not what the decoder wants."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise bad_request(f"the body does not fit: {error}", "see /openapi.json") from None
    except msgspec.DecodeError as error:
        raise _malformed(body, str(error)) from None
    except RecursionError:
        raise bad_request("the body is nested too deeply", "a row is a flat object or list") from None
    except UnicodeDecodeError:
        raise bad_request("the body is not UTF-8", "send JSON as UTF-8") from None


def require_unique_keys(body: bytes, counted: int) -> None:
    """Raise Refusal, 400, where an object of the body has a key twice.

    `counted` is how many keys the decoded body has, or fewer: only where the text may have more is it read again.
    The decoder passes over fields that nobody asked for without looking into them, so text that is not UTF-8, or not
    JSON, may be found here first.
    """
    if body.count(b":") <= counted or len(_KEY.findall(body)) <= counted:
        return
    try:
        json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_int=len, parse_float=len)
    except RecursionError:
        raise bad_request("the body is nested too deeply", "a row is a flat object or list") from None
    except json.JSONDecodeError as error:
        raise bad_request(f"broken JSON at byte {len(error.doc[: error.pos].encode())}") from None
    except UnicodeDecodeError as error:
        raise bad_request(f"the body is not UTF-8 at byte {error.start}", "send JSON as UTF-8") from None


def _unique(pairs: Sequence[tuple[str, Any]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise bad_request("an object of the body has a key twice", "which of its values is meant?")


def _malformed(body: bytes, said: str) -> Refusal:
    found = _BYTE.search(said)
    place = int(found[1]) if found else len(body)
    hint = "JSON has no NaN or Infinity: send null" if body[place : place + 1] in (b"N", b"I") else ""
    what = "broken JSON" if found else "the JSON ends too early,"
    return bad_request(f"{what} at byte {place}", hint)
