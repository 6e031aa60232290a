"""The assignment's command line over rowcast: `python -m p2.pipeline -log INFO -a full-pipeline`."""

import argparse
import sys

import structlog

from p2 import table
from rowcast import cli, logs
from rowcast.config import load
from rowcast.errors import RowcastError

# Each action is one command of rowcast, or two: the steps, settings, logs, errors and exit codes are rowcast's own.
ACTIONS = {
    "data-fetch": (["step", "data-fetch"],),
    "data-check": (["step", "data-check"],),
    "data-process": (["step", "data-process"],),
    "model-build": (["step", "model-build"], ["step", "gate"]),
    "inference": (["step", "inference"],),
    "full-pipeline": (["run"],),
}
BEGINS = ("data-fetch", "full-pipeline")  # the others go on with what data-fetch saved
LEVELS = (*logs.LEVELS, "critical")

log = structlog.get_logger("rowcast")


def main(arguments: list[str] | None = None) -> int:
    """0 done; 1 failed or partial; 2 wrong usage."""
    given = _parser().parse_args(arguments)
    level = given.log if given.log in logs.LEVELS else "error"  # nothing in rowcast is more than an error
    if given.action in BEGINS:
        try:
            _example_table(level)
        except RowcastError as error:
            if level == "debug":
                raise
            print(f"error: {error}", file=sys.stderr)
            return 1
    for command in ACTIONS[given.action]:
        code = cli.main([*command, "--log-level", level])
        if code:
            return code
    return 0


def _example_table(level: str) -> None:
    """Made where there is none, but only in a SQLite file: another database may hold what is real."""
    settings = load()
    if settings.source_url.startswith("sqlite:") and settings.source.table is not None:
        logs.configure(level, file=logs.LogFile(settings.folder / "pipeline.log"))
        rows = table.create(settings.source_url, settings.source.table)
        if rows:
            log.info("example table created", table=settings.source.table, rows=rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m p2.pipeline",
        description="Fetches, checks and processes the rows of a table, builds a model, and scores each row once.",
        epilog="Exit codes: 0 done, 1 failed or partial, 2 wrong usage. pipeline.log keeps what is logged.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "-log",
        type=str.lower,
        choices=LEVELS,
        default="info",
        metavar="LEVEL",
        help=f"{', '.join(LEVELS)}, in any case; default info; debug also shows tracebacks",
    )
    parser.add_argument(
        "-a",
        dest="action",
        choices=ACTIONS,
        required=True,
        metavar="ACTION",
        help=f"{', '.join(ACTIONS)}; model-build includes the gate",
    )
    return parser


if __name__ == "__main__":  # worker processes import this module
    sys.exit(main())
