"""Why a request is not answered as it asked."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

MOST_NAMED = 100  # faults of rows that one answer lists


@dataclass(frozen=True)
class RowFault:
    """One reason why a row is not scored. It never holds the value."""

    row: int  # index in the request
    column: str
    rule: str  # of the contract: type, finite, min, max, null, category; or: missing


class Refusal(Exception):
    """An answer other than the one that was asked for: its status, what is wrong, and the way out."""

    def __init__(
        self,
        status: int,
        what: str,
        *,
        hint: str = "",
        headers: Sequence[tuple[bytes, bytes]] = (),
        rules: Sequence[str] = (),
        **more: Any,
    ) -> None:
        super().__init__(what)
        self.status = status
        self.what = what
        self.hint = hint
        self.headers = tuple(headers)
        self.rules = rules  # for the figures
        self.more = more

    def to_dict(self) -> Mapping[str, Any]:
        """Return the body of the answer."""
        return {"error": self.what} | ({"hint": self.hint} if self.hint else {}) | self.more


def bad_request(what: str, hint: str = "") -> Refusal:
    """Return the refusal of a body or an option that cannot be read."""
    return Refusal(400, what, hint=hint)


def refuse_rows(faults: Sequence[RowFault], rows: int) -> Refusal:
    """Return the refusal of rows that break the contract, each with column, rule and index."""
    refused = len({fault.row for fault in faults})
    return Refusal(
        422,
        f"{refused} of {rows} rows {'breaks' if refused == 1 else 'break'} the contract",
        hint="partial=true answers the others",
        rules=[fault.rule for fault in faults],
        refused=describe_faults(faults),
        refused_rows=refused,
    )


def refuse_columns(what: str, rule: str, columns: Sequence[str], hint: str = "") -> Refusal:
    """Return the refusal of whole columns: every row of the request breaks the rule."""
    named = [{"column": name, "rule": rule} for name in columns[:MOST_NAMED]]
    return Refusal(422, what, hint=hint, rules=[rule], refused=named)


def describe_faults(faults: Sequence[RowFault]) -> list[dict[str, Any]]:
    """Return the faults as JSON takes them, at most MOST_NAMED."""
    return [asdict(fault) for fault in faults[:MOST_NAMED]]
