"""Commands by which a person decides: promote, rollback."""

from rowcast import report
from rowcast.api import Job
from rowcast.cli.app import COMMON, By, Common, VersionNumber, app


@app.command
def promote(version: VersionNumber, /, *, by: By = None, reason: str = "by hand", common: Common = COMMON) -> int:
    """Put a model version in service; who and why is recorded."""
    Job(common.settings()).promote(version, by=by, reason=reason)
    report.show(f"v{version} is champion")
    return 0


@app.command
def rollback(*, by: By = None, reason: str = "rolled back by hand", common: Common = COMMON) -> int:
    """Put the champion before this one back in service."""
    version = Job(common.settings()).rollback(by=by, reason=reason)
    report.show(f"v{version} is champion")
    return 0
