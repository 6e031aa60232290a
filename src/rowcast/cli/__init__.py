"""The command line: thin. Exit codes: 0 done; 1 failed, partial or not proven; 2 wrong usage."""

import os
import sys
from itertools import pairwise

from cyclopts import CycloptsError

from rowcast import logs, report
from rowcast.cli import (
    alerts,
    backtest,
    charts,
    drift,
    keys,
    models,
    promotion,
    quality,
    runs,
    serve,
    service,
    setup,
    status,
    store,
)
from rowcast.cli.app import Stopped, app
from rowcast.config.database_url import find_passwords
from rowcast.errors import MORE, RowcastError, UsageError, describe

__all__ = [
    "alerts",
    "app",
    "backtest",
    "charts",
    "drift",
    "keys",
    "main",
    "models",
    "promotion",
    "quality",
    "runs",
    "serve",
    "service",
    "setup",
    "status",
    "store",
]


def main(arguments: list[str] | None = None) -> int:
    """Run a command; errors end in one or two lines and an exit code, never in a traceback unless debugging."""
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--log-level=debug" in given or ("--log-level", "debug") in pairwise(given)
    try:
        code = app(given, exit_on_error=False, result_action="return_value")
        return code if isinstance(code, int) else 0
    except CycloptsError:
        return 2  # the message has been printed
    except RowcastError as error:
        if debug:
            return _trace(error)
        more = "" if logs.shows_details(sys.stderr) or not error.quotes_values else f" ({MORE})"
        _say(f"{describe(error, details=logs.shows_details(sys.stderr))}{more}", error.hint)
        return 2 if isinstance(error, UsageError) else 1
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt as stopped:
        _say("interrupted", stopped.hint if isinstance(stopped, Stopped) else "")
    except Exception as error:
        if debug:
            return _trace(error)
        said = describe(error, details=logs.shows_details(sys.stderr))
        _say(said, "a fault in rowcast itself: '--log-level debug' shows where")
    return 1


def _trace(error: Exception) -> int:
    report.show(_without_secrets(logs.trace_of(error, details=logs.shows_details(sys.stderr))), file=sys.stderr)
    return 1


def _say(what: str, hint: str) -> None:
    report.show(_without_secrets(f"error: {what}" + (f"\n  {hint}" if hint else "")), file=sys.stderr)


def _without_secrets(text: str) -> str:
    """Return a text without the secrets in URLs of the environment; where a database is, is none of them."""
    urls = [value for name, value in os.environ.items() if name.startswith("ROWCAST_") and "://" in value]
    found = {secret for url in urls for secret in find_passwords(url)}
    return logs.without(sorted(found, key=len, reverse=True), text)
