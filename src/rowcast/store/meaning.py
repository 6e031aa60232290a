"""What a version's predictions mean, kept with it: nothing of it may change while the version serves."""

import json
from dataclasses import asdict, dataclass
from typing import Self

from rowcast.database import ColumnKind


@dataclass(frozen=True)
class Meaning:
    """What a version was trained to predict, and as what it read the columns that it uses."""

    label: str  # the column
    label_kind: ColumnKind
    kind: str  # of the task: binary, multiclass or regression
    positive: str | None = None  # of two classes, the one to find, in its canonical spelling
    normal: str | None = None  # of several classes, the one that needs no action
    flags: tuple[str, ...] = ()  # of values, which ends need action: low, high
    columns: tuple[tuple[str, ColumnKind], ...] = ()  # each feature, and its kind at the source

    def to_json(self) -> str:
        """Return the record as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the record that `to_json` wrote."""
        found = json.loads(text)
        found["flags"] = tuple(found["flags"])
        found["columns"] = tuple((name, kind) for name, kind in found["columns"])
        return cls(**found)
