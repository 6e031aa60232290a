"""The images of deploy/Dockerfile, run by runc with a read-only root file system. `make test-images` builds them.

The base that they stand on here comes from Debian's packages, not from the registry that the Dockerfile names.
"""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / ".images"
UID = 10001
pytestmark = pytest.mark.skipif(not (IMAGES / "storage").is_dir(), reason="make test-images builds the images")
TARGETS = ["job", "train", "serve"]
MOST_MB = {"job": 450, "train": 500, "serve": 445}  # above the base


def call(*command: str | Path, check: bool = True) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done.stdout.strip()


def buildah(*command: str) -> str:
    storage = ["--root", IMAGES / "storage", "--runroot", IMAGES / "run", "--storage-driver", "overlay"]
    return call("buildah", *storage, *command)


@dataclass
class Image:
    """One target: what its image says, and its files."""

    target: str
    root: Path
    config: dict[str, Any]
    layers: list[str]
    folder: Path
    begun: list[str] = field(default_factory=list)

    def prepare(
        self,
        *arguments: str,
        job: Path,
        environment: dict[str, str] | None = None,
        entry: bool = True,
        network: bool = False,
    ) -> str:
        """Write a container: the image's user, environment and entry point, no capabilities, nothing to write to but
        /tmp and /job, and no network but this machine's, where it is asked for."""
        name = f"rowcast-{uuid4().hex[:8]}"
        bundle = self.folder / name
        bundle.mkdir()
        call("runc", "spec", "--bundle", bundle)
        spec = json.loads((bundle / "config.json").read_text())
        said = self.config
        spec["root"] = {"path": str(self.root), "readonly": True}
        uid, gid = map(int, said["User"].split(":"))
        spec["process"] |= {
            "terminal": False,
            "user": {"uid": uid, "gid": gid},
            "args": [*(said["Entrypoint"] if entry else []), *(arguments or said["Cmd"])],
            "env": [*said["Env"], "HOME=/job", *(f"{key}={value}" for key, value in (environment or {}).items())],
            "cwd": said["WorkingDir"],
            "capabilities": {kind: [] for kind in spec["process"]["capabilities"]},
            "noNewPrivileges": True,
        }
        options = ["nosuid", "nodev", "noexec", "mode=1777", "size=64m"]
        spec["mounts"] += [
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": options},
            {"destination": "/job", "type": "bind", "source": str(job), "options": ["bind", "rw", "nosuid", "nodev"]},
        ]
        if network:
            spec["linux"]["namespaces"] = [kind for kind in spec["linux"]["namespaces"] if kind["type"] != "network"]
        (bundle / "config.json").write_text(json.dumps(spec))
        self.begun.append(name)
        return name

    def start(self, name: str) -> subprocess.Popen[str]:
        """Start what was prepared."""
        command = ["runc", "run", "--bundle", str(self.folder / name), name]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *arguments: str, job: Path, **how: Any) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        process = self.start(self.prepare(*arguments, job=job, **how))
        out, errors = process.communicate(timeout=600)
        return subprocess.CompletedProcess(arguments, process.returncode, out, errors)

    def python(self, code: str, job: Path) -> str:
        done = self.run("python", "-c", code, job=job, entry=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Image]]:
    found, containers = {}, []
    for target in TARGETS:
        about = json.loads(buildah("inspect", "--type", "image", f"localhost/rowcast:{target}"))
        containers.append(buildah("from", "--pull-never", f"localhost/rowcast:{target}"))
        root = Path(buildah("mount", containers[-1]))
        layers = about["Docker"]["rootfs"]["diff_ids"]
        found[target] = Image(target, root, about["Docker"]["config"], layers, tmp_path_factory.mktemp(target))
    yield found
    for image in found.values():
        for name in image.begun:
            call("runc", "delete", "--force", name, check=False)
    for container in containers:
        buildah("rm", container)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """An empty folder of the images' user."""
    os.chown(tmp_path, UID, UID)
    return tmp_path


@pytest.fixture(scope="module")
def demo(images: dict[str, Image], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a demo that the job image has run, and what it printed."""
    folder = tmp_path_factory.mktemp("demo-job")
    os.chown(folder, UID, UID)
    done = images["job"].run("demo", "--dir", ".", job=folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_demo_gives_the_figures_of_the_readme(demo: tuple[Path, str]) -> None:
    readme = (ROOT / "README.md").read_text()
    promised = readme[readme.index("$ make demo") : readme.index("it holds") + len("it holds")]
    lines = [line for line in promised.splitlines()[2:] if line]
    assert len(lines) > 25
    printed = demo[1].splitlines()
    assert [line for line in lines if line not in printed] == []


def test_what_it_wrote_belongs_to_its_user(demo: tuple[Path, str]) -> None:
    assert {path.stat().st_uid for path in demo[0].rglob("*")} == {UID}


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_nobody_that_may_write_anything(images: dict[str, Image], target: str, job: Path) -> None:
    code = """
import os
print(os.getuid(), os.getgid(), open('/proc/self/status').read().split('CapEff:')[1].split()[0])
for place in ('/', '/opt/rowcast', '/usr/local/bin', '/var/tmp', '/etc'):
    try:
        open(place + '/x', 'w'); print('wrote to', place)
    except OSError: pass
for place in ('/tmp', '/job'):
    open(place + '/x', 'w')
"""
    assert images[target].python(code, job) == f"{UID} {UID} 0000000000000000"


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_says_what_it_is_and_how_it_is_stopped(images: dict[str, Image], target: str) -> None:
    said = images[target].config
    assert said["User"] == f"{UID}:{UID}"
    assert said["StopSignal"] == "SIGTERM"
    assert said["Entrypoint"][0] == "/usr/bin/tini"
    assert said["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert said["Labels"]["org.opencontainers.image.version"] == "test"
    assert re.fullmatch("[0-9a-f]{40}", said["Labels"]["org.opencontainers.image.revision"])
    assert said["Healthcheck"]["Test"][0] == ("CMD" if target == "serve" else "NONE")


def test_the_images_share_all_layers_but_their_last(images: dict[str, Image]) -> None:
    shared = {tuple(images[target].layers[:-1]) for target in TARGETS}
    assert len(shared) == 1
    assert len({len(images[target].layers) for target in TARGETS}) == 1


def test_no_compiler_no_cache_and_no_installer_is_left_in_the_installation(images: dict[str, Image]) -> None:
    for image in images.values():
        for name in ("gcc", "cc", "g++", "make", "git"):
            assert not (image.root / "usr/bin" / name).exists()
        assert not (image.root / "src").exists()
        assert not (image.root / "root/.cache").exists()
        assert list((image.root / "opt/rowcast").rglob("pip")) == []
        assert list((image.root / "var/lib/apt/lists").glob("*")) == []


@pytest.mark.parametrize(
    ("target", "has", "lacks"),
    [
        ("job", ["boto3", "apprise", "mssql_python", "adbc_driver_postgresql"], ["uvicorn", "starlette", "pandas"]),
        ("train", ["boto3", "pandas", "mssql_python", "adbc_driver_postgresql"], ["uvicorn", "starlette"]),
        ("serve", ["uvicorn", "msgspec", "mssql_python", "adbc_driver_postgresql"], ["pandas", "boto3", "apprise"]),
    ],
)
def test_an_image_holds_what_its_work_needs_and_no_more(
    images: dict[str, Image], target: str, has: list[str], lacks: list[str], job: Path
) -> None:
    code = f"""
import importlib, importlib.util
for name in {has!r}: importlib.import_module(name)
print([name for name in {lacks!r} if importlib.util.find_spec(name)])
"""
    assert images[target].python(code, job) == "[]"


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def packages(image: Image) -> set[tuple[str, str]]:
    """Name and version of each package of an image's installation."""
    found = set()
    for path in image.root.glob("opt/rowcast/lib/python3*/site-packages/*.dist-info/METADATA"):
        text = path.read_text(errors="replace")
        name = re.search(r"^Name: (.*)$", text, re.MULTILINE)
        version = re.search(r"^Version: (.*)$", text, re.MULTILINE)
        assert name is not None
        assert version is not None
        found.add((plain(name[1]), version[1]))
    return found


@pytest.mark.parametrize("target", TARGETS)
def test_the_bill_of_materials_names_what_is_installed(images: dict[str, Image], target: str) -> None:
    place = images[target].root / "opt/rowcast"
    bill = json.loads((place / "share/rowcast/sbom.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert {(plain(part["name"]), part["version"]) for part in bill["components"]} == packages(images[target])
    assert "rowcast" in {part["name"] for part in bill["components"]}


def test_what_is_installed_is_what_the_locks_name(images: dict[str, Image]) -> None:
    for target, extras in {"job": ["notify"], "train": ["notify", "estimator"], "serve": ["serve"]}.items():
        locks = [(ROOT / "deploy" / f"requirements-{extra}.txt").read_text() for extra in ["core", *extras]]
        pins = [pin for text in locks for pin in re.findall(r"^([\w.-]+)==([\w.]+)", text, re.MULTILINE)]
        locked = {(plain(name), version) for name, version in pins}
        installed = {found for found in packages(images[target]) if found[0] != "rowcast"}
        assert installed
        assert installed - locked == set()


def test_microsofts_driver_loads_and_looks_for_the_server(images: dict[str, Image], job: Path) -> None:
    code = """
from rowcast.database import connect
try:
    connect('mssql://sa:Not-there-1@127.0.0.1:9/fab').close()
except Exception as error:
    print(error)
"""
    said = images["job"].python(code, job)
    assert "127.0.0.1" in said
    assert "librar" not in said
    assert "shared object" not in said


@pytest.mark.parametrize("names", [["ROWCAST_TOML"], ["ROWCAST_TOML_1", "ROWCAST_TOML_2", "ROWCAST_TOML_3"]])
def test_the_config_may_come_from_a_variable_or_in_parts(
    images: dict[str, Image], job: Path, demo: tuple[Path, str], names: list[str]
) -> None:
    toml = (demo[0] / "rowcast.toml").read_text().replace("fab.db", "/tmp/none.db")
    longest = -(-len(toml) // len(names))
    parts = {name: toml[part * longest : (part + 1) * longest] for part, name in enumerate(names)}
    done = images["job"].run("status", job=job, environment=parts)
    assert done.returncode == 1
    assert "none.db" in done.stderr
    assert (job / "rowcast.toml").read_text() == toml + "\n"
    assert (job / "rowcast.toml").stat().st_mode & 0o777 == 0o600


def wait_for(text: str, process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"it ended without saying {text}")


def stop(name: str, process: subprocess.Popen[str]) -> int:
    call("runc", "kill", name, "TERM")
    process.communicate(timeout=120)
    return process.returncode


def test_sigterm_ends_a_watch_in_order(images: dict[str, Image], demo: tuple[Path, str]) -> None:
    name = images["job"].prepare("watch", "--every", "1h", job=demo[0])
    process = images["job"].start(name)
    wait_for("full-pipeline done", process)
    assert stop(name, process) == 0


def test_sigterm_ends_a_command_that_has_not_begun_to_listen_to_signals(images: dict[str, Image], job: Path) -> None:
    name = images["job"].prepare("sh", "-c", "echo ready >&2; exec sleep 600", job=job, entry=False)
    bundle = images["job"].folder / name / "config.json"
    spec = json.loads(bundle.read_text())
    spec["process"]["args"] = ["/usr/bin/tini", "--", *spec["process"]["args"]]
    bundle.write_text(json.dumps(spec))
    process = images["job"].start(name)
    wait_for("ready", process)
    assert stop(name, process) == 128 + signal.SIGTERM


# Started twice, as by a scheduler that delivers at least once


@pytest.fixture
def url() -> Iterator[str]:
    """A PostgreSQL server of the test's own."""
    from postgres import Server

    server = Server()
    yield server.url("postgres")
    server.stop()


FAB = "import os, pathlib, rowcast.demo; rowcast.demo.build(pathlib.Path(), 1200, 20, os.environ['ROWCAST_SOURCE_URL'])"
QUICK = '\n[model]\nbudget = "0s"\n[infer]\nbatch_rows = 20\nsince = "2026-01-01"\n'
ARRIVE = [
    "CREATE TABLE more AS SELECT DISTINCT ON (wafer_id) * FROM wafers WHERE failed IS NULL AND wafer_id IS NOT NULL",
    "UPDATE more SET wafer_id = 'new ' || wafer_id",
    "INSERT INTO wafers SELECT * FROM more",
]


@dataclass
class Twice:
    """Two containers of one image with a work directory each, on one database."""

    image: Image
    folders: list[Path]
    given: dict[str, str]

    def begin(self) -> list[subprocess.Popen[str]]:
        """Start `run` in both, as on the second of a schedule."""
        how: dict[str, Any] = {"environment": self.given, "network": True}
        names = [self.image.prepare("run", job=folder, **how) for folder in self.folders]
        return [self.image.start(name) for name in names]

    def have_begun(self) -> bool:
        logs = [folder / "pipeline.log" for folder in self.folders]
        return all(log.exists() and "full-pipeline begins" in log.read_text() for log in logs)

    def run(self, *command: str) -> dict[str, Any]:
        """What another container says, in the first one's work directory."""
        done = self.image.run(*command, job=self.folders[0], environment=self.given, network=True)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))


def at_once(twice: Twice, url: str) -> list[int]:
    """How two containers end that cannot read the source before both runs have begun."""
    with connected(url, autocommit=False) as cursor:
        cursor.execute("LOCK TABLE wafers IN ACCESS EXCLUSIVE MODE")
        both = twice.begin()
        deadline = time.monotonic() + 120
        while not twice.have_begun():
            assert all(process.poll() is None for process in both), [process.communicate() for process in both]
            assert time.monotonic() < deadline
            time.sleep(0.1)
    for process in both:
        process.communicate(timeout=600)
    return sorted(process.returncode for process in both)


def rows(url: str, statement: str) -> list[tuple[Any, ...]]:
    with connected(url, autocommit=True) as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


@contextmanager
def connected(url: str, *, autocommit: bool) -> Iterator[Any]:
    """A cursor of a connection, which is rolled back where it does not commit by itself."""
    from postgres import known_types

    with closing(known_types.connect(url, autocommit=autocommit)) as connection, closing(connection.cursor()) as cursor:
        yield cursor


@pytest.fixture
def twice(images: dict[str, Image], url: str, tmp_path: Path) -> Twice:
    """A fab that no run has seen yet."""
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
        os.chown(folder, UID, UID)
    given = {"ROWCAST_SOURCE_URL": url}
    made = images["job"].run("python", "-c", FAB, job=folders[0], environment=given, entry=False, network=True)
    assert made.returncode == 0, made.stderr
    toml = (folders[0] / "rowcast.toml").read_text() + QUICK
    return Twice(images["job"], folders, {**given, "ROWCAST_TOML": toml})


def test_a_run_started_in_two_containers_at_once_scores_each_row_once(twice: Twice, url: str) -> None:
    # Where one trains when the other wants to, that one leaves; there is nothing yet that it could score with.
    assert at_once(twice, url) in ([0, 0], [0, 1])
    assert rows(url, "SELECT count(*) FROM demo_wafers.model WHERE status = 'champion'") == [(1,)]
    assert twice.run("audit", "--full", "--json")["holds"] is True

    with connected(url, autocommit=True) as cursor:
        for statement in ARRIVE:
            cursor.execute(statement)
    for folder in twice.folders:
        (folder / "pipeline.log").unlink()
    assert at_once(twice, url) == [0, 0]
    counts = twice.run("audit", "--full", "--json")
    assert (counts["holds"], counts["pending"], counts["duplicates"], counts["both"]) == (True, 0, 0, 0)
    stored = "SELECT count(*), count(DISTINCT wafer_id) FROM demo_wafers.wafers_prediction"
    assert rows(url, stored) == [(counts["scored"], counts["scored"])]
    assert rows(url, f"{stored} WHERE wafer_id LIKE 'new %'")[0][0] > 20


def test_the_service_is_healthy_scores_and_ends_in_order(images: dict[str, Image], demo: tuple[Path, str]) -> None:
    image = images["serve"]
    name = image.prepare(job=demo[0])
    process = image.start(name)
    check = image.config["Healthcheck"]["Test"][1:]
    deadline = time.monotonic() + 120
    while subprocess.run(["runc", "exec", name, *check], capture_output=True, check=False).returncode != 0:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.5)
    code = """
import urllib.request as u
row = u.urlopen('http://127.0.0.1:8080/jobs/wafers/example').read()
ask = u.Request('http://127.0.0.1:8080/invocations', row, {'content-type': 'application/json'})
print(u.urlopen(ask).read().decode())
"""
    answer = json.loads(call("runc", "exec", name, "python", "-c", code))
    assert answer["model_version"] == 2
    assert 0 <= answer["predictions"][0]["score"] <= 1
    assert stop(name, process) == 0


def test_the_service_starts_as_sagemaker_starts_it_and_listens_to_others(
    images: dict[str, Image], demo: tuple[Path, str]
) -> None:
    image = images["serve"]
    name = image.prepare("serve", job=demo[0], environment={"ROWCAST_BEHIND": "sagemaker"})
    process = image.start(name)
    code = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/ping').status)"
    deadline = time.monotonic() + 120
    while call("runc", "exec", name, "python", "-c", code, check=False) != "200":
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert "00000000:1F90" in call("runc", "exec", name, "cat", "/proc/net/tcp")  # every address, port 8080
    assert stop(name, process) == 0


def test_the_images_are_as_small_as_the_docs_say(images: dict[str, Image], capsys: pytest.CaptureFixture[str]) -> None:
    for target in TARGETS:
        whole = int(call("du", "-sm", "--apparent-size", images[target].root).split()[0])
        ours = int(call("du", "-sm", "--apparent-size", images[target].root / "opt").split()[0])
        base = whole - ours
        with capsys.disabled():
            print(f"\n{target}: {ours} MB of rowcast and what it needs, on {base} MB of Debian and Python", end="")
        assert ours <= MOST_MB[target]
