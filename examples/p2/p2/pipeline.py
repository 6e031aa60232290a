"""The assignment's command line over rowcast: `python -m p2.pipeline -log INFO -a full-pipeline`."""

import argparse
import sys

from rowcast import cli
from rowcast.config import load
from rowcast.errors import RowcastError

from p2 import table

# Each action is one command of rowcast, or two: settings, logs, errors and exit codes are rowcast's own.
ACTIONS = {
    "data-fetch": (["step", "data-fetch"],),
    "data-check": (["step", "data-check"],),
    "data-process": (["step", "data-process"],),
    "model-build": (["step", "model-build"], ["step", "gate"]),
    "inference": (["step", "inference"],),
    "full-pipeline": (["run"],),
}
BEGINS = ("data-fetch", "full-pipeline")  # the others go on with what data-fetch saved
LEVELS = ("debug", "info", "warning", "error", "critical")
