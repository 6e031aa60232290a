"""`python -m rowcast`: the command line, where the installed script is not on the PATH."""

from rowcast.cli import entry

if __name__ == "__main__":
    entry()
