"""The entry point of a run on EMR Serverless: a command of rowcast, and the text of its config.

run.py infer "$(cat rowcast.toml)"
"""

import sys
import tempfile
from pathlib import Path

from rowcast.cli import main

command, text = sys.argv[1:]
config = Path(tempfile.mkdtemp(), "rowcast.toml")
config.write_text(text, encoding="utf-8")
sys.exit(main([command, "--config", str(config)]))
