"""The plain way of a cluster: a task writes its rows and commits, and only the cluster knows which tasks are done.

`python plain.py dask|spark FOLDER DEATHS` kills workers between a commit and its report, as `mortal_worker` does.
"""

import os
import signal
import sqlite3
import sys
from contextlib import closing
from functools import partial
from pathlib import Path

BATCHES, ROWS = 40, 25


def write(folder: Path, deaths: int, batch: int) -> int:
    """Write a batch's rows; the first that do so die after it."""
    with closing(sqlite3.connect(folder / "plain.db", timeout=60)) as db, db:
        rows = [(batch * ROWS + place, 0.5) for place in range(ROWS)]
        db.executemany("INSERT INTO prediction (wafer, score) VALUES (?, ?)", rows)
    for number in range(deaths):
        try:
            os.close(os.open(folder / f"death{number}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)
    return ROWS


def by_dask(folder: Path, deaths: int) -> int:
    from distributed import Client, LocalCluster

    plain = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "memory_limit": 0}
    with LocalCluster(**plain) as cluster, Client(cluster) as client:
        return sum(client.gather(client.map(partial(write, folder, deaths), range(BATCHES), pure=False)))


def by_spark(folder: Path, deaths: int) -> int:
    from pyspark import SparkConf, SparkContext

    os.environ["PYSPARK_PYTHON"] = sys.executable
    conf = SparkConf().setMaster("local[2,4]").set("spark.ui.enabled", "false")  # each task four times at most
    with SparkContext(conf=conf) as context:
        found: int = context.parallelize(range(BATCHES), BATCHES).map(partial(write, folder, deaths)).sum()
    return found


if __name__ == "__main__":
    way, place, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    with closing(sqlite3.connect(place / "plain.db")) as made, made:
        made.execute("CREATE TABLE prediction (wafer INTEGER, score REAL)")
    print({"dask": by_dask, "spark": by_spark}[way](place, number))
