"""Registers the image `serve` as a model of SageMaker, and makes an endpoint of it or scores files with it; or starts
the image `train` as a processing job.

    python deploy/sagemaker/register.py --name wafers --image REGISTRY/rowcast/serve:TAG --role ARN \\
        --config rowcast.toml --url-secret SECRET --subnets subnet-1,subnet-2 --groups sg-1 endpoint

Needs boto3 and the usual credentials.
"""

import argparse
from pathlib import Path
from typing import Any

import boto3

LONGEST_OF_MODEL, LONGEST_OF_PROCESSING = 1024, 256  # characters that SageMaker lets a variable's value have


def main(arguments: list[str] | None = None) -> None:
    given = read_arguments(arguments)
    client = boto3.client("sagemaker")
    url = boto3.client("secretsmanager").get_secret_value(SecretId=given.url_secret)["SecretString"]
    if given.what == "process":
        client.create_processing_job(**describe_processing(given, url))
        return
    client.create_model(**describe_model(given, url))
    if given.what == "endpoint":
        client.create_endpoint_config(**describe_endpoint(given))
        client.create_endpoint(EndpointName=given.name, EndpointConfigName=given.name)
    else:
        client.create_transform_job(**describe_transform(given))


def read_arguments(arguments: list[str] | None) -> argparse.Namespace:
    reader = argparse.ArgumentParser(description="Registers the image as a model of SageMaker.")
    for name in ("--name", "--image", "--role", "--url-secret", "--subnets", "--groups"):
        reader.add_argument(name, required=True)
    reader.add_argument("--config", type=Path, required=True, help="the job's rowcast.toml")
    reader.add_argument("--instance", default="ml.m5.large")
    reader.add_argument("--instances", type=int, default=1)
    what = reader.add_subparsers(dest="what", required=True)
    endpoint = what.add_parser("endpoint")
    endpoint.add_argument("--async-output", help="s3://… makes an asynchronous endpoint")
    transform = what.add_parser("transform")
    transform.add_argument("--input", required=True, help="s3://… with CSV files that begin with a line of names")
    transform.add_argument("--output", required=True, help="s3://…")
    process = what.add_parser("process", help="with the image train: retrain, or another command")
    process.add_argument("--command", default="retrain")
    process.add_argument("--hours", type=int, default=2, help="after which SageMaker ends it")
    return reader.parse_args(arguments)


def describe_model(given: argparse.Namespace, url: str) -> dict[str, Any]:
    """Return the model: the image, its config, and the network from which it reaches the job's store.

    SageMaker has no reference to a secret: whoever may describe the model sees the address. Give it a user of the
    database that may only read the store.
    """
    variables = {"ROWCAST_SOURCE_URL": url, "ROWCAST_BEHIND": "sagemaker", **split(given.config, LONGEST_OF_MODEL)}
    return {
        "ModelName": given.name,
        "ExecutionRoleArn": given.role,
        "PrimaryContainer": {"Image": given.image, "Environment": variables},
        "VpcConfig": describe_network(given),
    }


def describe_processing(given: argparse.Namespace, url: str) -> dict[str, Any]:
    """Return a job that runs one command to its end, in the image as it is."""
    machine = {"InstanceType": given.instance, "InstanceCount": 1, "VolumeSizeInGB": 10}
    return {
        "ProcessingJobName": given.name,
        "RoleArn": given.role,
        "AppSpecification": {"ImageUri": given.image, "ContainerArguments": [given.command]},
        "Environment": {"ROWCAST_SOURCE_URL": url, **split(given.config, LONGEST_OF_PROCESSING)},
        "NetworkConfig": {"VpcConfig": describe_network(given)},
        "ProcessingResources": {"ClusterConfig": machine},
        "StoppingCondition": {"MaxRuntimeInSeconds": given.hours * 3600},
    }


def split(config: Path, longest: int) -> dict[str, str]:
    """Return the config's text as variables that are short enough; the image's entry point joins them."""
    text = config.read_text(encoding="utf-8")
    parts = [text[begin : begin + longest] for begin in range(0, len(text), longest)]
    return {f"ROWCAST_TOML_{number}": part for number, part in enumerate(parts, 1)}


def describe_network(given: argparse.Namespace) -> dict[str, list[str]]:
    return {"Subnets": given.subnets.split(","), "SecurityGroupIds": given.groups.split(",")}


def describe_endpoint(given: argparse.Namespace) -> dict[str, Any]:
    """Return an endpoint's config, asynchronous where there is a place for its answers."""
    variant = {
        "VariantName": "champion",
        "ModelName": given.name,
        "InstanceType": given.instance,
        "InitialInstanceCount": given.instances,
        "ContainerStartupHealthCheckTimeoutInSeconds": 300,
    }
    config: dict[str, Any] = {"EndpointConfigName": given.name, "ProductionVariants": [variant]}
    if given.async_output:
        config["AsyncInferenceConfig"] = {"OutputConfig": {"S3OutputPath": given.async_output}}
    return config


def describe_transform(given: argparse.Namespace) -> dict[str, Any]:
    """Return a job that scores files: each is one request, since its first line names the columns."""
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": given.input}}
    return {
        "TransformJobName": given.name,
        "ModelName": given.name,
        "MaxPayloadInMB": 6,
        "BatchStrategy": "SingleRecord",
        "TransformInput": {"DataSource": source, "ContentType": "text/csv", "SplitType": "None"},
        "TransformOutput": {"S3OutputPath": given.output, "Accept": "text/csv"},
        "TransformResources": {"InstanceType": given.instance, "InstanceCount": given.instances},
    }


if __name__ == "__main__":
    main()
