"""The command `rowcast`, also as `python -m rowcast`: all else is imported where Ctrl-C is already understood."""

import sys


def entry() -> None:
    try:
        from rowcast.cli import main

        code = main()
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    entry()
