"""Processes by name: whether the one that holds a claim is still there, on this machine at least."""

import os
import socket
from functools import cache
from pathlib import Path


@cache
def process_name() -> str:
    """This process as host:boot:pid namespace:pid:start."""
    return f"{place_name()}:{os.getpid()}:{_start_of(os.getpid())}"


def is_gone(name: str | None) -> bool:
    """Whether a process named by `process_name` ran on this machine and is no longer there."""
    if not name or not name.startswith(place_name() + ":"):
        return False
    pid, _, started = name.split("/")[0][len(place_name()) + 1 :].partition(":")
    return _start_of(int(pid)) != started


def is_alive(name: str | None) -> bool:
    """Whether a process named by `process_name` is known to run on this machine."""
    return bool(name) and str(name).startswith(place_name() + ":") and not is_gone(name)


def names_process(name: str | None, pid: int) -> bool:
    """Whether a name is that of the process of this number on this machine."""
    return str(name).startswith(f"{place_name()}:{pid}:")


def describe_process(name: str | None) -> str:
    """Return a process named by `process_name` in words."""
    parts = (name or "").partition("/")[0].split(":")
    return f"process {parts[3]} on {parts[0]}" if len(parts) == 5 else name or "a process that left no name"


def place_name() -> str:
    """Return this machine, since when it runs, and its name space of processes."""
    try:
        space = os.readlink("/proc/self/ns/pid")[5:-1]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    except OSError:
        space = boot = "-"
    return f"{socket.gethostname()}:{boot}:{space}"


def _start_of(pid: int) -> str:
    """When a process began, in clock ticks since boot; empty for one that is gone, and for one that only waits to be
    collected by its parent."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return ""
