"""Commands by which a person decides: promote, rollback."""

from typing import TYPE_CHECKING

from rowcast import report
from rowcast.api import Job
from rowcast.cli.app import COMMON, By, Common, VersionNumber, app
from rowcast.formatting import count

if TYPE_CHECKING:
    from rowcast.promotion import Promotion


@app.command
def promote(version: VersionNumber, /, *, by: By = None, reason: str = "by hand", common: Common = COMMON) -> int:
    """Put a model version in service; who and why is recorded."""
    report.show(describe_promotion(Job(common.settings()).promote(version, by=by, reason=reason)))
    return 0


@app.command
def rollback(*, by: By = None, reason: str = "rolled back by hand", common: Common = COMMON) -> int:
    """Put the champion before this one back in service."""
    report.show(describe_promotion(Job(common.settings()).rollback(by=by, reason=reason)))
    return 0


def describe_promotion(made: "Promotion") -> str:
    """Return which version serves in place of which, and what that did to rows that nothing has scored."""
    new, old = f"v{made.version}", f"v{made.previous}"
    if made.previous is None:
        return f"{new} is champion, the first"
    lines = [f"{new} is champion, in place of {old}"]
    if made.now_pending:
        rows = count(made.now_pending, "row is", "rows are")
        learned = f"{old} could learn from {_them(made.now_pending)}, {new} could not"
        lines.append(f"  {rows} pending by that: {learned}; the next run scores them")
    if made.left_to_training:
        rows = count(made.left_to_training, "row is", "rows are")
        lines.append(
            f"  {rows} no longer pending, but left to training: {new} could learn from {_them(made.left_to_training)}"
        )
    if made.now_pending is None:
        lines.append("  how many rows are pending by that could not be counted: 'rowcast status' does")
    return "\n".join(lines)


def _them(rows: int) -> str:
    return "it" if rows == 1 else "them"
