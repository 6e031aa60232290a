"""Which of the known names somebody meant who wrote another."""

import difflib
from collections import defaultdict
from collections.abc import Collection, Iterable

_SURE, _LIKELY = 2.0, 0.15  # what a swap of letters, and being looked for, count beside likeness, which is 1 at most


def find_nearest(name: str, known: Iterable[str], *, cutoff: float = 0.6, wanted: Collection[str] = ()) -> str | None:
    """Return the known name that looks most like `name`; None where none is alike by `cutoff`, from 0 to 1.

    Capital letters, spaces and signs do not count. The same letters in another order are a slip of the keyboard, and
    come first; names that are `wanted`, since they are missing, come before others that look about as much alike.
    """
    spelled, letters = defaultdict[str, list[str]](list), _spell(name)
    for each in known:
        spelled[_spell(each)].append(each)
    alike = difflib.get_close_matches(letters, spelled, n=max(1, len(spelled)), cutoff=cutoff)
    found = [(each, likeness) for likeness in alike for each in spelled[likeness]]
    ranked = [
        difflib.SequenceMatcher(None, spelling, letters).ratio()
        + _SURE * (sorted(spelling) == sorted(letters))
        + _LIKELY * (each in wanted)
        for each, spelling in found
    ]
    return found[ranked.index(max(ranked))][0] if ranked else None


def _spell(name: str) -> str:
    return "".join(sign for sign in name.casefold() if sign.isalnum()) or name
