"""Starts a run on EMR Serverless: the Spark engine, in the environment that `deploy/emr/pack` has packed.

    python deploy/emr/submit.py --name wafers --application ID --role ARN --config rowcast.toml \\
        --place s3://BUCKET/rowcast --secrets ROWCAST_SOURCE_URL=rowcast/wafers/source-url --logs /rowcast/wafers

Needs boto3 and the usual credentials. Prints the number of the run.
"""

import argparse
import re
import tomllib
from pathlib import Path
from typing import Any

import boto3

FOLDER = "environment"  # where each worker unpacks the archive
PYTHON = f"./{FOLDER}/bin/python3"
# A core scores one batch in a process of its own, of about 320 MB, outside Java's heap. 4 cores with 8 GB are a size
# that EMR Serverless has.
SIZE = {"cores": "4", "memory": "2g", "memoryOverhead": "6g"}
# What Spark hides where it shows or logs its settings: what it always hides, and variables with addresses and keys.
HIDDEN = "(?i)secret|password|token|access[.]?key|rowcast_"


def main(arguments: list[str] | None = None) -> None:
    given = read_arguments(arguments)
    text = given.config.read_text(encoding="utf-8")
    if fault := find_fault(text, given.secrets):
        raise SystemExit(f"{given.config}: {fault}")
    started = boto3.client("emr-serverless").start_job_run(**describe_run(given, text))
    print(started["jobRunId"])


def read_arguments(arguments: list[str] | None) -> argparse.Namespace:
    reader = argparse.ArgumentParser(description="Starts a run on EMR Serverless.")
    for name in ("--name", "--application", "--role", "--logs"):
        reader.add_argument(name, required=True)
    reader.add_argument("--config", type=Path, required=True, help="the job's rowcast.toml")
    reader.add_argument("--place", required=True, help="s3://… with environment.tar.gz and run.py")
    reader.add_argument("--secrets", nargs="+", required=True, metavar="VARIABLE=SECRET")
    reader.add_argument("--executors", type=int, default=2, help="each scores four batches at a time")
    reader.add_argument("--minutes", type=int, default=120, help="after which the run is ended")
    reader.add_argument("--command", default="infer", help="infer, or run, which also trains where it is due")
    given = reader.parse_args(arguments)
    given.secrets = dict(secret.split("=", 1) for secret in given.secrets)
    return given


def find_fault(text: str, secrets: dict[str, str]) -> str:
    """Return why a run with this config would not score on the workers; nothing where it would."""
    infer = tomllib.loads(text).get("infer", {})
    if infer.get("engine") != "spark":
        return '[infer] engine must be "spark": with another the driver alone would score'
    if "master" in infer:
        return "[infer] must not name a master: EMR Serverless does"
    if lacking := sorted(set(re.findall(r"\$\{(\w+)\}", text)) - set(secrets)):
        return f"it names {', '.join(lacking)}: say which secret holds it, --secrets {lacking[0]}=…"
    return ""


def describe_run(given: argparse.Namespace, text: str) -> dict[str, Any]:
    """Return the request: what any other tool has to send that starts runs."""
    settings = {
        "spark.archives": f"{given.place}/environment.tar.gz#{FOLDER}",
        "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": PYTHON,
        "spark.emr-serverless.driverEnv.PYSPARK_PYTHON": PYTHON,
        "spark.executorEnv.PYSPARK_PYTHON": PYTHON,
        "spark.dynamicAllocation.enabled": "false",
        "spark.executor.instances": str(given.executors),
        **{f"spark.{who}.{name}": value for who in ("driver", "executor") for name, value in SIZE.items()},
    }
    spark = {
        "entryPoint": f"{given.place}/run.py",
        "entryPointArguments": [given.command, text],
        "sparkSubmitParameters": " ".join(f"--conf {name}={value}" for name, value in settings.items()),
    }
    defaults = {"classification": "spark-defaults", "properties": describe_secrets(given.secrets)}
    return {
        "name": f"rowcast {given.name}",
        "applicationId": given.application,
        "executionRoleArn": given.role,
        "executionTimeoutMinutes": given.minutes,
        "jobDriver": {"sparkSubmit": spark},
        "configurationOverrides": {
            "applicationConfiguration": [defaults],
            "monitoringConfiguration": {
                "cloudWatchLoggingConfiguration": {"enabled": True, "logGroupName": given.logs}
            },
        },
    }


def describe_secrets(secrets: dict[str, str]) -> dict[str, str]:
    """Return the variables of the driver and of each worker that EMR Serverless fills from Secrets Manager."""
    places = ("spark.emr-serverless.driverEnv", "spark.executorEnv")
    filled = {f"{place}.{name}": f"EMR.secret@{secret}" for place in places for name, secret in secrets.items()}
    return {**filled, "spark.redaction.regex": HIDDEN}


if __name__ == "__main__":
    main()
