"""A small table with something odd in it, and its job, in this process."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from conftest import Place

from rowcast import config, pipeline
from rowcast.init import quote
from rowcast.job.opening import open_job
from rowcast.recorded_run import Result

ROWS, LABELLED = 160, 120
START = datetime(2026, 1, 1, tzinfo=UTC)
QUICK = '[model]\nmin_train_rows = 50\nbudget = "0s"\n'


@pytest.fixture(name="odd")
def empty_odd(database: Place, tmp_path: Path) -> Iterator["Odd"]:
    """Nothing yet in an empty database; a log without the traces of what failed, which take long to draw."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    yield Odd(database, tmp_path)
    structlog.reset_defaults()


def is_failed(n: int) -> bool:
    return n * 37 % 101 > 80


@dataclass
class Odd:
    """A table of wafers, of which the newest have no label yet."""

    place: Place
    folder: Path

    def make(self, types: dict[str, str] | None = None, values: dict[str, list[Any]] | None = None) -> "Odd":
        """Make the table, with more columns of these types and values."""
        stamp = "TEXT" if self.place.is_sqlite else "timestamptz"
        columns = {"id": "INTEGER PRIMARY KEY", "t": stamp, "s0": "double precision", "failed": "INTEGER"}
        columns |= types or {}
        self.place.run(f"CREATE TABLE wafers ({', '.join(f'{quote(name)} {kind}' for name, kind in columns.items())})")
        numbers = range(1, ROWS + 1)
        filled: dict[str, list[Any]] = {
            "id": list(numbers),
            "t": [(START + timedelta(hours=n)).strftime("%Y-%m-%d %H:%M:%SZ") for n in numbers],
            "s0": [n * 37 % 101 / 10 for n in numbers],
            "failed": [int(is_failed(n)) if n <= LABELLED else None for n in numbers],
            **(values or {}),
        }
        self.place.fill("wafers", **filled)
        return self

    def settings(self, text: str = "", **source: Any) -> config.Settings:
        named = {"url": self.place.url, "table": "wafers", "key": ["id"], "time": "t", "label": "failed", **source}
        lines = [f"{name} = {quote(value)}" for name, value in named.items() if value is not None]
        path = self.folder / "rowcast.toml"
        path.write_text("\n".join(['name = "wafers"', "[source]", *lines, QUICK, text]), encoding="utf-8")
        return config.load(path)

    def run(self, text: str = "", pipeline_name: pipeline.Pipeline = "full-pipeline", **source: Any) -> Result:
        """Train and score, and return what the run came to."""
        return pipeline.run(self.settings(text, **source), pipeline_name)

    def with_job(self, look: Any, text: str = "", **source: Any) -> Any:
        """Return what a function says of the open job."""
        with open_job(self.settings(text, **source)) as job:
            return look(job)
