"""What is asked: rows as they were sent, and how they are to be answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from rowcast.serve.refusal import RowFault
from rowcast.store.api_keys import KeyScope

# Of one column: values as JSON has them, or an Arrow array.
Values: TypeAlias = Sequence[Any]


@dataclass(frozen=True)
class Options:
    """How rows are to be answered."""

    explain: bool = False  # with the columns that moved each score most
    partial: bool = False  # answer the good rows where others break the contract
    record: bool | None = None  # write the answer to the job's table of online predictions; None: as [serve] says
    request_id: str | None = None  # a repeat of it returns the first answer


@dataclass(frozen=True)
class SentRows:
    """Rows as a protocol decoded them."""

    count: int
    columns: Mapping[str, Values]  # `count` values each, by name
    faults: Sequence[RowFault] = ()  # rows that lack a column which others have


@dataclass(frozen=True)
class Person:
    """Whoever asks without a key of their own, as somebody vouches for whom the service trusts."""

    name: str
    scope: KeyScope
