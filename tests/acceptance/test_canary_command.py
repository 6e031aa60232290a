"""The real command with a label that nobody outside may read: it stays in the database and in the local log."""

from pathlib import Path

import pytest
from jobs import LABELLED, PENDING, Job, create, wafers
from receivers import Webhook

pytest_plugins = ("job_fixtures",)

CANARY = "RECIPE-X77-SCRAP"


@pytest.mark.parametrize("values", [False, True])
def test_a_rare_label_is_named_to_nobody_outside_unless_values_are_allowed(empty: Job, values: bool) -> None:
    hook = Webhook()
    try:
        create(empty.place, label="TEXT")
        rows = [*wafers(1, LABELLED, True), *wafers(301, PENDING, False)]
        empty.add([{**row, "failed": _label(row)} for row in rows])
        task = {"positive": CANARY}
        empty.configure({"task": task, "notify": {"urls": [hook.url], "values": values}})
        done = empty.call("run")
        debug = empty.call("retrain", "--log-level", "debug")
    finally:
        hook.close()
    assert (done.code, debug.code) == (1, 1)
    assert f"only 5 of {LABELLED} labelled rows are of one class: 10 are needed of each class" in done.error
    alerts = empty.stored(f"SELECT * FROM {empty.table('alert')}")
    status = empty.call("status").out + empty.call("status", "--json").out
    outside = {"stderr": done.err + debug.err, "stdout": done.out + debug.out}
    outside |= {"webhook": str(hook.taken), "alert table": str(alerts), "left": _left(empty.folder), "status": status}
    assert hook.taken
    assert alerts
    assert [name for name, text in outside.items() if CANARY in text] == (
        ["stderr", "webhook", "alert table", "status"] if values else []
    )
    assert CANARY in (empty.folder / "pipeline.log").read_text()
    assert CANARY in str(empty.ok("runs", "--json"))


def _label(row: dict[str, object]) -> str | None:
    if row["failed"] is None:
        return None
    return CANARY if int(str(row["wafer"])) <= 5 else "pass"


def _left(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.rglob("untold/*"))
