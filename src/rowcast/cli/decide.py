"""Commands by which a person decides: promote, rollback."""

import getpass

from rowcast.cli.app import COMMON, By, Common, app


@app.command
def promote(version: int, /, *, by: By = None, reason: str = "by hand", common: Common = COMMON) -> int:
    """Put a model version in service; who and why is recorded."""
    from rowcast import pipeline

    settings = common.settings()
    pipeline.promote(settings, version, by=by or getpass.getuser(), reason=reason)
    print(f"v{version} is champion")
    return 0


@app.command
def rollback(*, by: By = None, reason: str = "rolled back by hand", common: Common = COMMON) -> int:
    """Put the champion before this one back in service."""
    from rowcast import pipeline

    version = pipeline.rollback(common.settings(), by=by or getpass.getuser(), reason=reason)
    print(f"v{version} is champion")
    return 0
