"""Commands in processes of their own that begin where everything is imported already.

Most of a short command is imports, and taking the interpreter apart at its end. `Popen` is `subprocess.Popen` for
`python -m MODULE …` and `python FILE …`, but for two things: the process is forked from another that has done its
imports, and waits; and it leaves its memory to the system. It becomes a child of this process all the same, by Linux's
subreapers. Worker processes that `multiprocessing` spawns, here and in such commands, begin in the same way. With
`--long`, and on other systems, commands and workers begin and end as they do for users.
"""

import atexit
import contextlib
import ctypes
import fcntl
import inspect
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from multiprocessing import util
from pathlib import Path
from typing import Any

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of <sys/prctl.h>
_MOST = 1 << 20  # bytes of a request
_HIGH = 200  # file descriptors from here on are in nobody's way
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
        about = _about(argv, str(asked["cwd"] or Path.cwd()), env, asked["start_new_session"])
        streams = [asked[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        with Path(os.devnull).open("r+b", buffering=0) as nothing:
            streams = [nothing.fileno() if fd == -1 else fd for fd in streams]
            self.pid = _fork(_nursery(_early(env)), about, dict(enumerate(streams)))
        self._child_created = True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*[asked[name] for name in pipes])  # type: ignore[attr-defined]


def _about(argv: list[str], cwd: str, env: dict[str, str], session: bool = False) -> dict[str, Any]:
    return {"argv": argv, "cwd": cwd, "env": env, "session": session}


def _early(env: Mapping[str, str]) -> Early:
    return tuple(sorted(item for item in env.items() if item[0].startswith(_EARLY)))


_spawn: Callable[[Any, Any, Any], int] = util.spawnv_passfds


@contextlib.contextmanager
def fork_workers() -> Iterator[None]:
    """Let workers that `multiprocessing` spawns from this process be forked where everything is imported."""
    _fork_workers(lambda: _nursery(_early(os.environ)))
    yield
    util.spawnv_passfds = _spawn  # type: ignore[assignment]


def _fork_workers(nursery: Callable[[], socket.socket]) -> None:
    def spawn(path: Any, command: Any, fds: Any) -> int:
        argv = [os.fsdecode(part) for part in command[1:]]
        if "--multiprocessing-fork" not in argv:
            return _spawn(path, command, fds)
        about = _about(argv[argv.index("-c") :], str(Path.cwd()), dict(os.environ))
        about["blocked"] = [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())]
        return _fork(nursery(), about, {fd: fd for fd in (0, 1, 2, *fds)})

    util.spawnv_passfds = spawn  # type: ignore[assignment]


def close() -> None:
    """End the processes from which others were forked."""
    while _nurseries:
        _, (process, ours) = _nurseries.popitem()
        ours.close()
        process.wait(timeout=600)


def _nursery(early: Early) -> socket.socket:
    """The way to the process from which others are forked."""
    if early not in _nurseries:
        _adopt_orphans()
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


def _adopt_orphans() -> None:
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def _fork(nursery: socket.socket, about: dict[str, Any], fds: Mapping[int, int]) -> int:
    """Let a process begin in which the files have these numbers, and be a child of this one; its process id."""
    socket.send_fds(nursery, [json.dumps({**about, "fds": list(fds)}).encode()], list(fds.values()))
    return int(nursery.recv(32))


# In the nursery


def _nurse(own: socket.socket) -> None:
    """Fork whenever that is asked for; returns in the forked process, which is then to begin."""
    while True:
        asked, fds, _, _ = socket.recv_fds(own, _MOST, 16)
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
            _begin(json.loads(asked), fds)
            return
        os.waitpid(between, 0)  # from now on the child is the other's own
        own.send(os.read(reading, 32))
        for fd in (reading, writing, *fds):
            os.close(fd)


def _begin(asked: dict[str, Any], received: list[int]) -> None:
    if asked["session"]:
        os.setsid()
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD, _HIGH) for fd in received]
    for fd in received:
        os.close(fd)
    for fd, wanted in zip(moved, asked["fds"], strict=True):
        os.dup2(fd, wanted)
        os.close(fd)
    os.environ.clear()
    os.environ.update(asked["env"])
    os.chdir(asked["cwd"])
    sys.argv = asked["argv"]
    for number, default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        signal.signal(number, default)
    signal.pthread_sigmask(signal.SIG_SETMASK, asked.get("blocked", ()))


def _nurse_for_command() -> None:
    """Begin a nursery for the workers of the command that begins here; in a worker this returns as well."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    _adopt_orphans()
    nurse = os.fork()
    if nurse == 0:
        for number in (signal.SIGINT, signal.SIGTERM):  # what reaches its group is for the others in it
            signal.signal(number, signal.SIG_IGN)
        ours.close()
        _nurse(its)
        return
    its.close()
    _fork_workers(lambda: ours)
    atexit.register(_end_nurse, ours, nurse)


def _end_nurse(ours: socket.socket, nurse: int) -> None:
    ours.close()
    os.waitpid(nurse, 0)


def _main() -> None:
    import_module("warm")
    _nurse(socket.socket(fileno=int(sys.argv[1])))
    code = 1
    try:
        if sys.argv[0] != "-c":
            _nurse_for_command()
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
    if sys.argv[0] == "-c":
        exec(sys.argv.pop(1), {"__name__": "__main__"})
    elif sys.argv[0] == "-m":
        del sys.argv[0]
        sys.path[0] = str(Path.cwd())
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(sys.argv[0]).parent)
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    _main()
