"""Who may read and write a SQLite file: the system's own permissions are all the rights that there are."""

import os
import pwd
import shlex
from dataclasses import replace
from pathlib import Path

from rowcast.database.rights import Grant

_MODES = {"read": os.R_OK, "write": os.W_OK, "enter": os.X_OK}


def list_file_grants(path: Path, *, write: bool) -> list[Grant]:
    """Return what is needed to use a file. Whoever writes makes files beside it, in its folder."""
    rights = ("read", "write") if write else ("read",)
    of_folder = ("read", "write", "enter") if write else ("enter",)
    return [Grant(of_folder, "folder", str(path.parent)), Grant(rights, "file", str(path))]


def find_lacking_access(grant: Grant) -> tuple[str, ...]:
    """Return which of these rights this process lacks; none where the file or folder is not there."""
    by_effective = {"effective_ids": True} if os.access in os.supports_effective_ids else {}
    if not os.path.exists(grant.name):
        return ()
    return tuple(right for right in grant.rights if not os.access(grant.name, _MODES[right], **by_effective))


def find_lacking_grants(path: Path) -> list[Grant]:
    """Return which rights this process lacks of those that writing to a file needs."""
    found = [replace(grant, rights=find_lacking_access(grant)) for grant in list_file_grants(path, write=True)]
    return [grant for grant in found if grant.rights]


def describe_lacking(path: Path) -> str:
    """Return what this process lacks that would write to a file, with the commands that give it; '' for nothing."""
    lacking, user = find_lacking_grants(path), user_name()
    if not lacking:
        return ""
    rights = " and to ".join(f"{', '.join(grant.rights)} on {grant.where}" for grant in lacking)
    commands = dict.fromkeys(write_access(grant, user) for grant in lacking)
    return f"{user} lacks the right to {rights}: {' && '.join(commands)}"


def user_name() -> str:
    """Return as whom this process opens files: a name, or a number where it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def write_access(grant: Grant, user: str) -> str:
    """Return the command by which the owner of a file or folder gives a user these rights.

    Where the file system itself can only be read, no right helps: the command mounts it anew.
    """
    if _is_read_only(grant.name):
        return f"mount -o remount,rw {shlex.quote(_find_mount(grant.name))}"
    letters = "".join({"read": "r", "write": "w", "enter": "x"}[right] for right in grant.rights)
    return f"setfacl -m {shlex.quote(f'u:{user}:{letters}')} {shlex.quote(grant.name)}"


def _is_read_only(name: str) -> bool:
    return os.path.exists(name) and bool(os.statvfs(name).f_flag & os.ST_RDONLY)


def _find_mount(name: str) -> str:
    """Return the place at which the file system of a file is mounted."""
    place = os.path.realpath(name)
    while not os.path.ismount(place):
        place = os.path.dirname(place)
    return place
