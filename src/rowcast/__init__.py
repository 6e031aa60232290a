"""rowcast puts a model to work on a SQL table and keeps it working."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rowcast.api import Job as Job
    from rowcast.api import open as open
    from rowcast.errors import RowcastError as RowcastError

__version__ = "0.2.0"
__all__ = ["Job", "RowcastError", "__version__", "open"]

_WHERE = {"Job": "rowcast.api", "open": "rowcast.api", "RowcastError": "rowcast.errors"}  # imported when asked for


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _WHERE:
        raise AttributeError(f"module 'rowcast' has no attribute '{name}'")
    return getattr(import_module(_WHERE[name]), name)
