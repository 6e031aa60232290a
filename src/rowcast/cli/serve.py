"""The HTTP service and the dashboard: serve, dashboard."""

import os
import sys
import threading
import time
import webbrowser
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from rowcast import logs, report
from rowcast.account import name_account
from rowcast.cli.app import Level, app
from rowcast.config import DEFAULT_PATH, Settings, load
from rowcast.errors import UsageError

Behind = Literal["proxy", "sagemaker", "vertex"]
_PATIENCE = 3.0  # seconds for what is being read for a page when the service ends


@app.command
def serve(
    *configs: Path,
    host: Annotated[str | None, Parameter(help="Default: 127.0.0.1; with --behind 0.0.0.0.")] = None,
    port: Annotated[int | None, Parameter(help="Default: 8080; 0 takes a free one.")] = None,
    behind: Annotated[
        Behind | None, Parameter(help="Who authenticates in place of keys, so that others than this computer may ask.")
    ] = None,
    tls_cert: Annotated[Path | None, Parameter(help="A PEM file: the certificate, and those that signed it.")] = None,
    tls_key: Annotated[Path | None, Parameter(help="A PEM file: its private key.")] = None,
    access_log: Annotated[bool, Parameter(help="A line of JSON for each request, without values.")] = True,
    dashboard: Annotated[bool, Parameter(help="Pages for people at /dashboard.")] = True,
    log_level: Annotated[Level, Parameter(help="debug also shows tracebacks.")] = "info",
) -> int:
    """Score rows by HTTP with the champion of each job: rowcast serve jobs/*.toml."""
    _require_installed()
    from rowcast.dashboard.dashboard import Dashboard
    from rowcast.serve.service import Plan, start

    settings = _load(configs, log_level)
    if (tls_cert is None) != (tls_key is None):
        raise UsageError("--tls-cert and --tls-key go together", hint="name both PEM files")
    plan = Plan(host, _port(port), behind, tls_cert, tls_key, access_log, environment=dict(os.environ))
    pages = partial(Dashboard, is_secure=tls_cert is not None)
    start(settings, plan, pages if dashboard else None)
    return _end()


def _port(given: int | None) -> int | None:
    if given is not None and not 0 <= given <= 65535:
        raise UsageError(f"{given} is no port", hint="a port is between 1 and 65535; 0 takes a free one")
    return given


@app.command
def dashboard(
    *configs: Path,
    port: Annotated[int, Parameter(help="0 takes a free one.")] = 8081,
    open_browser: Annotated[
        bool | None, Parameter(name="--open", help="Open the browser. Default: where it is started at a terminal.")
    ] = None,
    log_level: Annotated[Level, Parameter(help="debug also shows tracebacks.")] = "info",
) -> int:
    """Show jobs in the browser, on this computer alone: rowcast dashboard jobs/*.toml.

    It prints a link that logs you in once, and opens it.
    """
    _require_installed()
    from rowcast.dashboard.dashboard import Dashboard
    from rowcast.dashboard.frame import ROOT
    from rowcast.dashboard.sessions import Sessions
    from rowcast.serve.request import Person
    from rowcast.serve.service import Plan, start
    from rowcast.store.api_keys import KeyScope

    settings, sessions = _load(configs, log_level), Sessions()

    def announce(url: str) -> None:
        link = f"{url}{ROOT}/login/{sessions.make_link(Person(name_account(), KeyScope.OPERATE))}"
        report.show(f"open {link}", flush=True)
        if sys.stdout.isatty() if open_browser is None else open_browser:
            threading.Thread(target=webbrowser.open, args=[link], daemon=True).start()  # some wait for their end

    plan = Plan(port=_port(port), logs_access=False, asks_always=True)
    start(settings, plan, partial(Dashboard, is_alone=True, sessions=sessions), announce)
    return _end()


def _end() -> int:
    """Return 0 once nothing is read for a page any more; end the process where a database does not stop reading."""
    from rowcast.database.driver import cancel_running

    cancel_running()
    until = time.monotonic() + _PATIENCE
    while any(map(_is_reading, threading.enumerate())):
        if time.monotonic() > until:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)
        time.sleep(0.05)
    return 0


def _is_reading(thread: threading.Thread) -> bool:
    return thread is not threading.main_thread() and not thread.daemon


def _load(configs: Sequence[Path], log_level: Level) -> list[Settings]:
    settings = [load(path) for path in configs or (DEFAULT_PATH,)]
    logs.configure(log_level, secrets=tuple(secret for each in settings for secret in each.secrets))
    return settings


def _require_installed() -> None:
    try:
        import msgspec  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise UsageError(f"{error.name} is not installed", hint="pip install 'rowcast[serve]'") from None
