"""`[infer] engine = "dask"` or `"spark"`: workers of a cluster claim, score and publish; the run hears counts only."""

import contextlib
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import plain
import pytest
from clusters import CLUSTERS, Cluster
from jobs import LABELLED, PENDING, Job, environment, train, wafers
from proof import batches, eventually, is_exactly_once, statuses

from rowcast.engines import dask

pytest_plugins = ("job_fixtures",)

SCORED = range(LABELLED + 1, LABELLED + PENDING + 1)
NEEDS = {"dask": "distributed", "spark": "pyspark"}
long = pytest.mark.long


def _skip_without(engine: str) -> None:
    if find_spec(NEEDS[engine]) is None:
        pytest.skip(f"{NEEDS[engine]} is not installed: make test-{engine} installs it")


@pytest.fixture(params=["dask", "spark-here", pytest.param("spark-alone", marks=long)])
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cluster]:
    """A cluster that has not begun, of each kind in turn."""
    kind = CLUSTERS[request.param]
    _skip_without(kind.engine)
    with contextlib.closing(kind(tmp_path)) as found:
        yield found


@pytest.fixture(params=["dask", "spark"])
def engine(request: pytest.FixtureRequest) -> str:
    _skip_without(request.param)
    found: str = request.param
    return found


def test_a_cluster_of_this_machine_scores_every_row_once(trained: Job, engine: str) -> None:
    trained.configure({"source": {"url": "${FAB_URL}"}, "infer": {"engine": engine, "batch_rows": 9, "workers": 2}})
    done = trained.run("infer", environment={"FAB_URL": trained.place.url})
    assert done.code == 0, done.err
    assert done.json["scored"] == PENDING
    is_exactly_once(trained.place, SCORED)
    trained.shows_no_secret(done)


@pytest.mark.parametrize("deaths", [3, pytest.param(100, marks=long)])
def test_workers_that_die_between_commit_and_report_lose_and_double_nothing(
    trained: Job, cluster: Cluster, tmp_path: Path, deaths: int
) -> None:
    dies(trained, cluster, tmp_path, deaths, "worker")


@long
@pytest.mark.parametrize("cluster", ["spark-alone"], indirect=True)
@pytest.mark.parametrize("deaths", [3, 30])
def test_executors_that_die_between_commit_and_report_lose_and_double_nothing(
    lite: Job, cluster: Cluster, tmp_path: Path, deaths: int
) -> None:
    dies(lite, cluster, tmp_path, deaths, "executor")


@pytest.mark.parametrize("deaths", [1, pytest.param(10, marks=long)])
def test_runs_that_die_between_a_commit_and_its_report_lose_and_double_nothing(
    lite: Job, cluster: Cluster, tmp_path: Path, deaths: int
) -> None:
    dies(lite, cluster, tmp_path, deaths, "run")


def dies(job: Job, cluster: Cluster, folder: Path, deaths: int, who: str) -> None:
    """Somebody dies so often, after a commit that nobody hears of; then everything is there, and just once."""
    more = wafers(LABELLED + PENDING + 1, 3 * deaths, False)
    job.add(more)
    cluster.start(FAB_URL=job.place.url, DIES=f"{folder}:{deaths}:{who}")
    cluster.configure(job, batch_rows=9 if deaths < 10 else 3)
    code, heard = -1, 0
    for _ in range(deaths + 1):
        (folder / "run").unlink(missing_ok=True)
        process = cluster.begin(job, "infer")
        (folder / "part").write_text(str(process.pid))
        (folder / "part").rename(folder / "run")
        _, err = process.communicate(timeout=1800)
        code, heard = process.returncode, heard + 1
        assert "Traceback" not in err, err
        if code == 0:
            break
    assert code == 0, err
    assert len(list(folder.glob("death*"))) == deaths
    is_exactly_once(job.place, [*SCORED, *(row["wafer"] for row in more)])
    assert heard == (deaths + 1 if who == "run" else 1) or deaths >= 10


@long
def test_the_plain_way_doubles_what_the_same_deaths_leave_unheard(engine: str, tmp_path: Path) -> None:
    command = [sys.executable, str(Path(plain.__file__)), engine, str(tmp_path), "3"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=600)
    assert done.stdout.split() == [str(plain.BATCHES * plain.ROWS)], done.stderr  # what the cluster believes
    with contextlib.closing(sqlite3.connect(tmp_path / "plain.db")) as db:
        [found] = db.execute("SELECT count(*), count(DISTINCT wafer) FROM prediction")
    assert found == ((plain.BATCHES + 3) * plain.ROWS, plain.BATCHES * plain.ROWS)


@pytest.mark.parametrize("cluster", [pytest.param("dask", marks=long), "spark-here"], indirect=True)
def test_a_row_over_which_workers_die_is_set_aside_alone(lite: Job, cluster: Cluster) -> None:
    deadly = {**wafers(LABELLED + PENDING + 1, 1, False)[0], "s01": 1.25}
    lite.add([deadly])
    cluster.start(FAB_URL=lite.place.url, DEADLY="1.25")
    cluster.configure(lite, batch_rows=4)
    done = lite.run("infer", environment=cluster.environment(lite))
    assert done.code == 0, done.err
    is_exactly_once(lite.place, SCORED, [deadly["wafer"]])
    assert lite.reasons()[deadly["wafer"]] == [("(row)", "error")]


@pytest.mark.parametrize("is_deadly", [False, pytest.param(True, marks=long)])
def test_a_version_scores_in_the_shadow_and_harms_nobody(lite: Job, cluster: Cluster, is_deadly: bool) -> None:
    lite.configure({"retrain": {"policy": "never"}})
    assert "undecided" in train(lite, seed=1)["retrain"]  # a second version waits
    cluster.start(FAB_URL=lite.place.url, **({"SHADOW": "1"} if is_deadly else {}))
    cluster.configure(lite)
    done = lite.run("infer", environment=cluster.environment(lite))
    assert done.code == 0, done.err
    assert ("nobody scores in the shadow any more in this run" in done.err) == is_deadly
    is_exactly_once(lite.place, SCORED)
    assert len(lite.stored(f"SELECT * FROM {lite.table('wafers_shadow')}")) == (0 if is_deadly else PENDING)


@pytest.mark.parametrize("cluster", [pytest.param("dask", marks=long), "spark-here"], indirect=True)
def test_a_run_that_is_stopped_gives_back_in_time(lite: Job, cluster: Cluster) -> None:
    cluster.start(FAB_URL=lite.place.url)
    cluster.configure(lite, batch_rows=1)
    process = cluster.begin(lite, "infer")
    eventually(lambda: batches(lite, "published"), process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 1
    assert statuses(lite)[-1] == "interrupted"
    assert lite.run("infer", environment=cluster.environment(lite)).code == 0
    is_exactly_once(lite.place, SCORED)


@long
@pytest.mark.parametrize("cluster", ["dask"], indirect=True)
def test_a_scheduler_that_dies_fails_the_run_and_the_next_takes_up(lite: Job, cluster: Cluster) -> None:
    cluster.start(FAB_URL=lite.place.url)
    cluster.configure(lite, batch_rows=1)
    process = cluster.begin(lite, "infer")
    eventually(lambda: batches(lite, "published"), process)
    assert cluster.head is not None
    cluster.head.kill()
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, "")
    assert "the Dask scheduler is gone" in err
    cluster.address = {}
    cluster.configure(lite)
    assert lite.run("infer", environment=cluster.environment(lite)).code == 0
    is_exactly_once(lite.place, SCORED)


@long
@pytest.mark.parametrize("cluster", ["spark-alone"], indirect=True)
def test_a_master_that_dies_stops_nobody_who_has_executors(lite: Job, cluster: Cluster) -> None:
    cluster.start(FAB_URL=lite.place.url)
    cluster.configure(lite, batch_rows=1)
    process = cluster.begin(lite, "infer")
    eventually(lambda: batches(lite, "published"), process)
    assert cluster.head is not None
    cluster.head.kill()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    is_exactly_once(lite.place, SCORED)


@long
@pytest.mark.parametrize("cluster", ["spark-alone"], indirect=True)
def test_a_twin_of_a_slow_task_waits_for_it(lite: Job, cluster: Cluster, tmp_path: Path) -> None:
    cluster.start(FAB_URL=lite.place.url, SLOW=str(tmp_path))
    cluster.configure(lite, batch_rows=40)
    twins = "--conf spark.speculation=true --conf spark.speculation.task.duration.threshold=2s"
    cluster.run_in["PYSPARK_SUBMIT_ARGS"] = f"{twins} {cluster.run_in['PYSPARK_SUBMIT_ARGS']}"
    done = lite.run("infer", environment=cluster.environment(lite))
    assert done.code == 0, done.err
    assert done.json["scored"] == PENDING
    assert (tmp_path / "twin").exists()
    is_exactly_once(lite.place, SCORED)


@pytest.mark.parametrize("cluster", ["dask", pytest.param("spark-here", marks=long)], indirect=True)
def test_a_worker_with_another_version_is_refused_by_name(lite: Job, cluster: Cluster) -> None:
    cluster.start(1, FAB_URL=lite.place.url, VERSION="0.0.1")
    cluster.configure(lite)
    error = lite.refused("infer", done=lite.run("infer", environment=cluster.environment(lite)))
    assert f"worker {socket.gethostname()}:" in error
    assert "it has rowcast 0.0.1, and the run has" in error
    assert batches(lite, "published") == 0


@pytest.mark.parametrize("cluster", ["dask", "spark-alone"], indirect=True)
def test_a_variable_that_a_worker_lacks_is_named_with_the_worker(lite: Job, cluster: Cluster) -> None:
    cluster.start(1)
    cluster.configure(lite)
    error = lite.refused("infer", done=lite.run("infer", environment=cluster.environment(lite)))
    assert f"worker {socket.gethostname()}:" in error
    assert "uses ${FAB_URL}, which is not set" in error


def test_a_password_in_the_config_does_not_travel(lite: Job) -> None:
    lite.configure({"infer": {"engine": "dask"}, "store": {"url": "postgresql://ada:s3cret@127.0.0.1:1/fab"}})
    from rowcast.config import load, make_template
    from rowcast.errors import ConfigError

    with pytest.raises(ConfigError, match="holds a password as plain text") as raised:
        make_template(load(lite.folder / "rowcast.toml"))
    assert "s3cret" not in str(raised.value)


def test_a_scheduler_that_is_away_is_named(lite: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask, "_PATIENCE", 0.5)
    lite.configure({"infer": {"engine": "dask", "scheduler": "tcp://127.0.0.1:1"}})
    assert "the Dask scheduler tcp://127.0.0.1:1 does not answer" in lite.refused("infer")


def test_a_spark_master_that_is_away_is_named(lite: Job) -> None:
    _skip_without("spark")
    lite.configure({"infer": {"engine": "spark", "master": "spark://127.0.0.1:1"}})
    assert "the Spark master spark://127.0.0.1:1 does not answer" in lite.refused("infer")


def test_spark_without_java_names_it(lite: Job, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _skip_without("spark")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    lite.configure({"infer": {"engine": "spark"}})
    assert f"needs Java: JAVA_HOME is {tmp_path}, and has no bin/java" in lite.refused("infer")


@pytest.mark.parametrize("engine", ["dask", "spark"])
def test_without_the_extra_it_is_named(lite: Job, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    monkeypatch.setitem(sys.modules, NEEDS[engine], None)
    lite.configure({"infer": {"engine": engine}})
    assert f"pip install 'rowcast[{engine}]'" in lite.refused("infer")
