"""Who uses this process, for records of what people did."""

import getpass
import os


def name_account() -> str:
    """Return the user's name by the environment or the system, or a number where it has none, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
