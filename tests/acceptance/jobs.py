"""A small fab and its job, driven as a user does: by the command, in a folder of its own."""

import contextlib
import io
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import forked
import numpy as np
import pytest
from conftest import Place, quoted
from postgres import PASSWORD

from rowcast.cli import main
from rowcast.fit.candidates import default_candidates

LABELLED, PENDING = 300, 100
SENSORS = [f"s{number:02d}" for number in range(1, 13)]
START = datetime(2026, 1, 1, tzinfo=UTC)
SECRETS = (PASSWORD, "s3cret%2F%40%3A%25word", "s3cret")  # as it is, as a URL writes it, and what both begin with

CONFIG: dict[str, dict[str, Any]] = {
    "source": {"table": "wafers", "key": ["wafer"], "time": "measured_at", "label": "failed"},
    "model": {"min_train_rows": 50, "budget": "0s"},  # the first candidate: most tests need but some model
    "infer": {"batch_rows": 40, "workers": 1},
    "gate": {"rule": "proven"},  # its rows train nobody, so that a test knows what was learned from
}

# A process that scores needs neither pandas nor scikit-learn. LightGBM imports them where they are: half of the start.
BARE = Path(__file__).parent / "bare"
SCORING = ("infer", "resume")

# Users' own estimators, as the module `mine` of a job's folder.
ESTIMATORS = """
import os, sys, time
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def of_numbers(last):
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    return make_pipeline(make_column_transformer((numbers, make_column_selector(dtype_include="number"))), last)


class Own(LogisticRegression):
    pass


def quick():
    return of_numbers(LogisticRegression())


def fragile():
    return make_pipeline(make_column_transformer((StandardScaler(), ["s01", "s02"])), LogisticRegression())


def waiting():
    open("waiting", "w").close()
    time.sleep(60)


def quick_if_ready():
    return quick() if os.path.exists("ready") else raising()


def raising():
    return of_numbers(LogisticRegression(C=-1.0))


def misshapen():
    return of_numbers(GaussianMixture(3))


def blind():
    return of_numbers(PCA())


def unlisted():
    return of_numbers(Own())


def impossible():
    raise ValueError("no licence for this model")


def leaving():
    sys.exit(0)


def nothing():
    return None
"""


def environment() -> dict[str, str]:
    """For commands: no settings of rowcast's, and what is compiled once is kept for the next process."""
    dropped = ("ROWCAST_", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(dropped)}


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The last line that it printed."""
        return json.loads(self.out.splitlines()[-1])

    @property
    def error(self) -> str:
        """The message for the user, without the log lines before it."""
        return self.err[self.err.rfind("error: ") :].strip() if "error: " in self.err else ""

    @property
    def events(self) -> list[dict[str, Any]]:
        """The log lines before the message."""
        return [json.loads(line) for line in self.err.splitlines() if line.startswith("{")]


def _done(process: "subprocess.Popen[str]") -> Done:
    with process:
        out, err = process.communicate(timeout=1800)
    return Done(process.returncode, out, err)


def called(folder: Path, *arguments: str) -> Done:
    """The command in this process, as if in that folder."""
    out, err = io.StringIO(), io.StringIO()
    before, here = signal.getsignal(signal.SIGTERM), Path.cwd()
    sys.path.insert(0, str(folder))
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(list(arguments))
    finally:
        os.chdir(here)
        sys.path.remove(str(folder))
        sys.modules.pop("mine", None)
        signal.signal(signal.SIGTERM, before)
        logger = logging.getLogger("rowcast")
        for handler in logger.handlers[:]:
            logger.removeHandler(handler)
            handler.close()
    return Done(code, out.getvalue(), err.getvalue())


class Job:
    """A folder with its rowcast.toml, and the database that it names."""

    def __init__(self, folder: Path, place: Place) -> None:
        self.folder = folder
        self.place = place
        self.store = place  # where rowcast's own tables are
        self.is_bare = True  # no model that its processes score with needs scikit-learn
        folder.mkdir(parents=True, exist_ok=True)
        self.configure()

    def configure(self, changes: Mapping[str, Mapping[str, Any]] | None = None, name: str | None = None) -> None:
        """Write rowcast.toml: the usual one, changed; None takes a key away."""
        sections = {section: dict(values) for section, values in CONFIG.items()}
        sections["source"]["url"] = self.place.url
        if self.store is not self.place:
            sections["store"] = {"url": self.store.url}
        for section, values in (changes or {}).items():
            sections.setdefault(section, {}).update(values)
        lines = [f"name = {json.dumps(name)}"] if name else []
        for section, values in sections.items():
            lines.append(f"[{section}]")
            lines += [
                f"{json.dumps(key, ensure_ascii=False)} = {json.dumps(value, ensure_ascii=False)}"
                for key, value in values.items()
                if value is not None
            ]
        (self.folder / "rowcast.toml").write_text("\n".join(lines) + "\n")

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "rowcast", *arguments]

    def environment(self, command: str = "infer", **more: str) -> dict[str, str]:
        found = environment()
        if self.is_bare and command in SCORING:
            found["PYTHONPATH"] = os.pathsep.join(filter(None, (str(BARE), found.get("PYTHONPATH"))))
        return {**found, **more}

    def run(self, *arguments: str, environment: Mapping[str, str] | None = None, **options: Any) -> Done:
        """The command in a process of its own."""
        found = self.environment(*arguments[:1], **(environment or {}))
        return _done(self._popen(self.command(*arguments), found, **options))

    def script(self, file: str, *arguments: str) -> Done:
        """The same of a file in place of the installed command."""
        path = Path(__file__).parent / file
        return _done(self._popen([sys.executable, str(path), *arguments], self.environment()))

    def start(self, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        """The command in the background."""
        return self._popen(self.command(*arguments), self.environment(*arguments[:1]), **options)

    def _popen(self, command: Sequence[str], environment: Mapping[str, str], **options: Any) -> "subprocess.Popen[str]":
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return forked.Popen(command, env=environment, **{"cwd": self.folder, **streams, **options})

    def call(self, *arguments: str) -> Done:
        """The command in this process, which saves its start."""
        return called(self.folder, *arguments)

    def ok(self, *arguments: str) -> Any:
        """What a command that succeeds prints as JSON."""
        done = self.call(*arguments)
        assert done.code == 0, done.err
        return done.json

    def refused(self, *arguments: str, code: int = 1, done: Done | None = None) -> str:
        """The message of a command that fails as it should."""
        done = done or self.call(*arguments)
        assert done.code == code, done.out + done.err
        self.shows_no_secret(done)
        lines = done.error.splitlines()
        assert 1 <= len(lines) <= 3, done.err
        assert "a fault in rowcast itself" not in done.error
        return done.error

    def shows_no_secret(self, *done: Done) -> None:
        log = self.folder / "pipeline.log"
        texts = [text for each in done for text in (each.out, each.err)] + ([log.read_text()] if log.exists() else [])
        for text in texts:
            assert "Traceback" not in text
            for secret in SECRETS:
                assert secret not in text

    def audit(self, *, holds: bool = True) -> dict[str, Any]:
        done = self.call("audit", "--json")
        found: dict[str, Any] = done.json
        assert (done.code, found["holds"]) == (0 if holds else 1, holds), found
        return found

    def counts(self) -> tuple[int, ...]:
        """Rows by where they are, after an audit that holds: unusable, out of scope, scored, quarantined, pending."""
        found = self.audit()
        return tuple(found[part] for part in ("unusable", "out_of_scope", "scored", "quarantined", "pending"))

    def table(self, name: str) -> str:
        """A table of the store as the database spells it."""
        return quoted(f"rowcast_{name}") if self.store.is_sqlite else f"rowcast.{quoted(name)}"

    def sql(self, *statements: str) -> list[dict[str, Any]]:
        return self.place.run(*statements)

    def stored(self, *statements: str) -> list[dict[str, Any]]:
        """The same where rowcast's own tables are."""
        return self.store.run(*statements)

    def scores(self, table: str = "wafers_prediction") -> dict[Any, float]:
        return {row["wafer"]: row["score"] for row in self.stored(f"SELECT wafer, score FROM {self.table(table)}")}

    def reasons(self) -> dict[Any, list[tuple[str, str]]]:
        """The quarantined rows, and which rules they break in which columns."""
        rows = self.stored(f"SELECT * FROM {self.table('wafers_quarantine')}")
        return {row["wafer"]: [(r["column"], r["rule"]) for r in json.loads(row["reasons"])] for row in rows}

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "pipeline.log").read_text().splitlines()]

    def estimator(self, factory: str, **changes: Mapping[str, Any]) -> None:
        """Let the job use an estimator of the user's own, and retrain at each run."""
        self.is_bare = False
        (self.folder / "mine.py").write_text(ESTIMATORS)
        due = {"every": "0s", "min_new_labels": 1}
        self.configure({"model": {"estimator": f"mine:{factory}"}, "retrain": due, **changes})

    def add(self, rows: list[dict[str, Any]]) -> None:
        self.place.fill("wafers", **{name: [row.get(name) for row in rows] for name in rows[0]})


# A condition that SQLite computes for minutes.
LASTING = "(WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < 5e9) SELECT max(i) FROM g) > 0"


def wafers(first: int, count: int, labelled: bool) -> list[dict[str, Any]]:
    """Wafers ten minutes apart, of which about a quarter fail by their first two sensors."""
    random = np.random.default_rng(first)
    sensors = random.normal(size=(count, len(SENSORS))).round(6)
    fails = sensors[:, 0] + sensors[:, 1] + 0.3 * random.normal(size=count) > 1
    return [
        {
            "wafer": first + place,
            "measured_at": moment(first + place),
            **dict(zip(SENSORS, values.tolist(), strict=True)),
            "tool": "ABC"[place % 3],
            "failed": int(fails[place]) if labelled else None,
        }
        for place, values in enumerate(sensors)
    ]


def moment(number: int) -> str:
    return f"{START + timedelta(minutes=10 * number):%Y-%m-%d %H:%M:%S}Z"


def create(place: Place, key: str = "INTEGER PRIMARY KEY", label: str = "INTEGER") -> None:
    real, time = ("REAL", "TEXT") if place.is_sqlite else ("double precision", "timestamptz")
    sensors = ", ".join(f"{name} {real}" for name in SENSORS)
    place.run(f"CREATE TABLE wafers (wafer {key}, measured_at {time}, {sensors}, tool TEXT, failed {label})")


def build(job: Job) -> None:
    """The usual table: labelled wafers, then those that are to be scored."""
    create(job.place)
    job.add([*wafers(1, LABELLED, True), *wafers(LABELLED + 1, PENDING, False)])


def train(job: Job, seed: int = 0) -> Any:
    """A retrain by boosted trees alone: processes that score with the model start sooner than with the others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rowcast.fit.default_candidates", lambda kind, _: default_candidates(kind, seed)[-1:])
        return job.ok("retrain")
