"""Commands in processes of their own that begin where everything is imported already.

Most of a short command is imports, and taking the interpreter apart at its end. `Popen` is `subprocess.Popen` for
`python -m MODULE …` and `python FILE …`, but for two things: the process is forked from another that has done its
imports, and waits; and it leaves its memory to the system. It becomes a child of this process all the same, by Linux's
subreapers. With `--long`, and on other systems, commands begin and end as they do for users.
"""

import atexit
import contextlib
import ctypes
import inspect
import json
import os
import runpy
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of <sys/prctl.h>
_MOST = 1 << 20  # bytes of a request
# What a process reads as it begins: with other ones it is forked from another.
_EARLY = ("PYTHON", "LC_", "LANG", "OMP_")


Early = tuple[tuple[str, str], ...]

is_used = sys.platform == "linux"
_nurseries: dict[Early, tuple[subprocess.Popen[bytes], socket.socket]] = {}
_START = inspect.signature(subprocess.Popen._execute_child)  # type: ignore[attr-defined]


class Popen(subprocess.Popen[Any]):
    """`cwd`, `env`, `start_new_session` and the streams are heeded; a stream that is not given is nothing."""

    def _execute_child(self, *given: Any) -> None:
        asked = _START.bind(self, *given).arguments
        if not is_used or asked["preexec_fn"] is not None:
            super()._execute_child(*given)  # type: ignore[misc]
            return
        python, *argv = asked["args"]
        assert python == sys.executable
        env = dict(os.environ if asked["env"] is None else asked["env"])
        about = {"argv": argv, "cwd": str(asked["cwd"] or Path.cwd()), "env": env}
        about["session"] = asked["start_new_session"]
        early = tuple(sorted(item for item in env.items() if item[0].startswith(_EARLY)))
        streams = [asked[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        with Path(os.devnull).open("r+b", buffering=0) as nothing:
            streams = [nothing.fileno() if fd == -1 else fd for fd in streams]
            self.pid = _forked(_nursery(early), json.dumps(about).encode(), streams)
        self._child_created = True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*[asked[name] for name in pipes])  # type: ignore[attr-defined]


def close() -> None:
    """End the processes from which others were forked."""
    while _nurseries:
        _, (process, ours) = _nurseries.popitem()
        ours.close()
        process.wait(timeout=60)


def _nursery(early: Early) -> socket.socket:
    """The way to the process from which others are forked."""
    if early not in _nurseries:
        ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_EARLY)}
        with its:
            process = subprocess.Popen(
                [sys.executable, __file__, str(its.fileno())],
                pass_fds=[its.fileno()],
                env={**kept, **dict(early)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        _nurseries[early] = process, ours
    return _nurseries[early][1]


def _forked(nursery: socket.socket, asked: bytes, streams: list[int]) -> int:
    socket.send_fds(nursery, [asked], streams)
    return int(nursery.recv(32))


# In the nursery


def _nurse(own: socket.socket) -> None:
    """Fork whenever that is asked for; returns in the forked process, which is then to begin."""
    import_module("warm")
    while True:
        asked, streams, _, _ = socket.recv_fds(own, _MOST, 3)
        if not asked:
            os._exit(0)
        reading, writing = os.pipe()
        between = os.fork()
        if between == 0:
            child = os.fork()
            if child:
                os.write(writing, str(child).encode())
                os._exit(0)
            for fd in (reading, writing, own.detach()):
                os.close(fd)
            _begin(json.loads(asked), streams)
            return
        os.waitpid(between, 0)  # from now on the child is the tests' own
        own.send(os.read(reading, 32))
        for fd in (reading, writing, *streams):
            os.close(fd)


def _begin(asked: dict[str, Any], streams: list[int]) -> None:
    if asked["session"]:
        os.setsid()
    for fd, stream in enumerate(streams):
        os.dup2(stream, fd)
        os.close(stream)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    sys.argv = asked["argv"]


def _main() -> None:
    _nurse(socket.socket(fileno=int(sys.argv[1])))
    code = 1
    try:
        code = _ended(_run)
    finally:
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _ended(work: Callable[[], None]) -> int:
    """The exit code of what was done, after all that the interpreter does at its end but for freeing its memory."""
    try:
        work()
        code: object = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    return code or 0


def _run() -> None:
    if sys.argv[0] == "-m":
        del sys.argv[0]
        sys.path[0] = str(Path.cwd())
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(sys.argv[0]).parent)
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    _main()
