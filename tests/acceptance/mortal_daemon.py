"""What begins the Python processes of a Spark executor in the tests: as ever, but they load `mortal_worker` first."""

import mortal_worker  # noqa: F401
from pyspark.daemon import manager

if __name__ == "__main__":
    manager()
