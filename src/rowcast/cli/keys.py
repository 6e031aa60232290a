"""Commands about the keys of the HTTP service: keys create, keys list, keys revoke."""

from datetime import timedelta
from typing import Annotated, Literal

from cyclopts import App, Parameter, validators

from rowcast import report
from rowcast.cli.app import COMMON, By, Common, Json, app, quiet_job
from rowcast.config import parse_duration, require_time
from rowcast.errors import UsageError

keys = App(name="keys", help="Keys of the HTTP service: who may ask it for what.")
app.command(keys)

Scope = Literal["score", "read", "operate"]


@keys.command
def create(
    name: str,
    *,
    scope: Annotated[Scope, Parameter(help="score rows, read metadata and figures, or operate: everything.")] = "score",
    expires: Annotated[str, Parameter(help="After which time it is worth nothing, such as 90d; or never.")] = "90d",
    rate: Annotated[
        float | None, Parameter(help="Requests a second; default: any number.", validator=validators.Number(gt=0))
    ] = None,
    by: By = None,
    common: Common = COMMON,
) -> int:
    """Make a key for NAME and print it, this once: rowcast keys create line-3 --scope score --expires 90d."""
    key = quiet_job(common).create_key(name, scope=scope, expires=_expiry(expires), per_second=rate, by=by)
    report.show(key)
    return 0


@keys.command(name="list")
def list_keys(*, json: Json = False, common: Common = COMMON) -> int:
    """Every key of the job, without the keys themselves: rowcast keys list --json."""
    found = [{name: value for name, value in vars(key).items() if name != "sha256"} for key in quiet_job(common).keys()]  # noqa: SIM118
    if json:
        report.show(report.as_json(found))
    elif found:
        report.show(report.table(found, _SHOWN))
    else:
        report.show("no key yet: 'rowcast keys create NAME' makes one")
    return 0


@keys.command
def revoke(which: str, *, by: By = None, common: Common = COMMON) -> int:
    """Revoke the keys of a name, or the one of a prefix: rowcast keys revoke line-3."""
    count = quiet_job(common).revoke_key(which, by=by)
    report.show(f"revoked {count} key{'s' * (count > 1)}: a running service refuses them within seconds")
    return 0


_SHOWN = ("name", "prefix", "scope", "per_second", "created_at", "created_by", "expires_at", "revoked_at")


def _expiry(text: str) -> timedelta | None:
    if text == "never":
        return None
    try:
        return require_time(parse_duration(text))
    except ValueError as error:
        raise UsageError(f"--expires: {error}", hint="'90d', or 'never'") from None
