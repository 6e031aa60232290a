"""Whatever a model file holds, it is refused or scored as it says: nothing dies, hangs or differs in silence."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

FORMATS = ("lightgbm", "skops", "json")


def tried(of: str, first: int, count: int) -> dict[str, int]:
    """What became of each mutation, in a process that may die."""
    command = [sys.executable, str(Path(__file__).with_name("mutations.py")), of, str(first), str(count)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    lines = found.stdout.strip().split("\n")
    assert found.returncode == 0, f"{lines[-1]}: exit {found.returncode}\n{found.stderr[-2000:]}"
    totals: dict[str, int] = {}
    for line in lines:
        if line.startswith("{"):
            for counts in json.loads(line).values():
                totals = {name: totals.get(name, 0) + count for name, count in counts.items()}
    return totals


def test_some_hundred_mutations_of_each_format_are_refused_or_scored_as_they_say() -> None:
    found = tried(",".join(FORMATS), 0, 150)
    assert found["refused"] > 0


@pytest.mark.long
@pytest.mark.parametrize("of", FORMATS)
def test_ten_thousand_mutations_of_a_format_are_refused_or_scored_as_they_say(of: str) -> None:
    found = tried(of, 0, 10_000)
    print(of, found)
    assert sum(found.values()) == 10_000
