"""What is said where there is no table of the name that somebody wrote: which one they may have meant."""

from collections import defaultdict
from collections.abc import Sequence

from rowcast.database import Database
from rowcast.errors import SourceError
from rowcast.nearest import find_nearest

_OWN = ("rowcast_", "rowcast.")  # how the tables of a store begin, unless it has another name
_FEW = 8  # tables that are named where none is alike
_AS_SPELLED = "its name is taken as it is written, without quotes: capital letters and spaces count"


def make_missing_table_error(db: Database, table: str, setting: str = "") -> SourceError:
    """Return the error about a table that is not there, or that this user may not see; `setting` says who names it."""
    told = f"there is no table {table} in {db.safe_url}" + (f" ({setting})" if setting else "")
    names = [name for name in db.admin.list_tables() if not name.startswith(_OWN)]
    return SourceError(told, hint=_name_meant(table, names) or _say_what_to_do(db, table, names))


def _name_meant(table: str, names: Sequence[str]) -> str:
    """Return a question that names the tables that may be meant: of one name in several schemas all."""
    by_name = defaultdict[str, list[str]](list)
    for each in names:
        by_name[each.rpartition(".")[2]].append(each)
    whole = find_nearest(table, names) if "." in table else None
    near = find_nearest(table.rpartition(".")[2], by_name)
    meant = [whole] if whole else by_name[near] if near else []
    return f"did you mean {' or '.join(repr(each) for each in meant[:_FEW])}?" if meant else ""


def _say_what_to_do(db: Database, table: str, names: Sequence[str]) -> str:
    if db.dialect.name == "sqlite":
        more = f" and {len(names) - _FEW:,} more" if len(names) > _FEW else ""
        return (
            f"its tables are {', '.join(names[:_FEW])}{more}" if names else "it holds no table: is it the right file?"
        )
    if "." in table:
        return f"{_AS_SPELLED}; or this user may not see it: GRANT SELECT"
    return "it may need its schema: schema.table; or this user may not see it: GRANT SELECT"
