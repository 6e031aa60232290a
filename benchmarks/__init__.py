"""How fast a whole `rowcast infer` is, beside the limit that the database sets and beside the plain way."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # the benchmarks start the tests' PostgreSQL server
