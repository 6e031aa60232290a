"""What a user must be allowed to do, object by object: printed for an administrator, and looked at by the doctor."""

from dataclasses import dataclass
from typing import Literal

ON = Literal["database", "schema", "table", "file", "folder"]


@dataclass(frozen=True)
class Grant:
    """Rights that a user needs on one object."""

    rights: tuple[str, ...]  # as the system spells them
    on: ON
    name: str
    schema: str | None = None  # of a table

    @property
    def where(self) -> str:
        """The object as people read it: table rowcast.run."""
        return f"{self.on} {self.schema}.{self.name}" if self.schema else f"{self.on} {self.name}"

    def is_within(self, other: "Grant") -> bool:
        """Return whether another grant gives all of these rights on the same object."""
        same = (self.on, self.name, self.schema) == (other.on, other.name, other.schema)
        return same and set(self.rights) <= set(other.rights)
