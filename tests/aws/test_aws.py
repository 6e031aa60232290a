"""The templates of deploy/aws, against moto and against the figures that rowcast writes. `make test-aws` runs this.

moto's CloudFormation leaves out schedules and alarms and reports success; each is made here by its own call.
"""

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

boto3 = pytest.importorskip("boto3")
moto = pytest.importorskip("moto")
cfn_yaml = pytest.importorskip("cfnlint.decode.cfn_yaml")

ROOT = Path(__file__).parents[2]
AWS = ROOT / "deploy" / "aws"
REGION, ACCOUNT = "eu-central-1", "123456789012"
JOB = "wafers"
Properties = dict[str, Any]


def plain(node: Any) -> Any:
    """What cfn-lint read, without its line numbers."""
    if isinstance(node, dict):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(value) for value in node]
    return str(node) if isinstance(node, str) else node


TEMPLATE = plain(cfn_yaml.load(str(AWS / "rowcast.yaml")))
REGISTRY = plain(cfn_yaml.load(str(AWS / "registry.yaml")))
RESOURCES: dict[str, Properties] = TEMPLATE["Resources"]


def of_kind(kind: str) -> list[str]:
    return [name for name, resource in RESOURCES.items() if resource["Type"] == kind]


ALARMS = of_kind("AWS::CloudWatch::Alarm")
SCHEDULES = of_kind("AWS::Scheduler::Schedule")
TASKS = of_kind("AWS::ECS::TaskDefinition")

GIVEN = {
    "JobName": JOB,
    "Config": "name = 'wafers'",
    "ImageTag": "0.2.0",
    "AlarmMail": "shift@fab.example",
}


class Resolver:
    """Puts values in place of references: parameters, pseudo parameters, and what was made so far."""

    def __init__(self, made: dict[str, str]) -> None:
        self.values = {name: parameter.get("Default") for name, parameter in TEMPLATE["Parameters"].items()}
        self.values |= GIVEN | made
        self.values |= {"AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::Partition": "aws"}
        self.values |= {"AWS::URLSuffix": "amazonaws.com"}

    def resolve(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.resolve(item) for item in node]
        if not isinstance(node, dict):
            return node
        if set(node) == {"Ref"}:
            return self.look_up(node["Ref"])
        if set(node) == {"Fn::GetAtt"}:
            name = node["Fn::GetAtt"]
            return self.look_up(".".join(name) if isinstance(name, list) else name)
        if set(node) == {"Fn::Sub"}:
            return re.sub(r"\$\{([\w:.]+)\}", lambda found: str(self.look_up(found[1])), node["Fn::Sub"])
        return {key: self.resolve(value) for key, value in node.items()}

    def look_up(self, name: str) -> Any:
        assert self.values.get(name) is not None, f"nothing is known of {name}"
        return self.values[name]


@pytest.fixture(scope="module")
def made() -> Iterator[dict[str, str]]:
    """The physical ids of the stack that moto made, by logical name."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": REGION}
    with moto.mock_aws():
        ec2 = boto3.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        zones = ((f"{REGION}a", "10.1.1.0/24"), (f"{REGION}b", "10.1.2.0/24"))
        subnets = [
            ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, AvailabilityZone=zone)["Subnet"]["SubnetId"]
            for zone, cidr in zones
        ]
        group = ec2.create_security_group(GroupName="db", Description="db", VpcId=vpc)["GroupId"]
        [table] = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
        GIVEN.update(
            VpcId=vpc,
            PrivateSubnetIds=",".join(subnets),
            LoadBalancerSubnetIds=",".join(subnets),
            RouteTableIds=table["RouteTableId"],
            DatabaseSecurityGroupId=group,
            CertificateArn=boto3.client("acm").request_certificate(DomainName="rowcast.fab.example")["CertificateArn"],
        )
        stack = boto3.client("cloudformation")
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Tried to parse .* not supported by moto")
            stack.create_stack(
                StackName="rowcast",
                TemplateBody=(AWS / "rowcast.yaml").read_text(),
                Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in GIVEN.items()],
                Capabilities=["CAPABILITY_IAM"],
            )
            found = stack.list_stack_resources(StackName="rowcast")["StackResourceSummaries"]
        GIVEN["PrivateSubnetIds"] = subnets  # type: ignore[assignment]
        yield {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found if one.get("PhysicalResourceId")}


@pytest.fixture(scope="module")
def resolver(made: dict[str, str]) -> Resolver:
    """References resolved to what moto made; what it cannot make has the form of the real thing."""
    known = dict(made)
    arn = f"arn:aws:{{}}:{REGION}:{ACCOUNT}:{{}}"
    known |= {"Cluster.Arn": arn.format("ecs", f"cluster/rowcast-{JOB}")}
    known |= {"DeadLetters.Arn": arn.format("sqs", f"rowcast-{JOB}-not-started")}
    known |= {"DeadLetters.QueueName": f"rowcast-{JOB}-not-started"}
    known |= {f"{role}.Arn": f"arn:aws:iam::{ACCOUNT}:role/{made[role]}" for role in of_kind("AWS::IAM::Role")}
    known |= {"Key.Arn": arn.format("kms", "key/1"), "ScheduleGroup": f"rowcast-{JOB}"}
    known |= {
        "LoadBalancer.LoadBalancerFullName": "app/rowcast/1",
        "TargetGroup.TargetGroupFullName": "targetgroup/r/1",
    }
    return Resolver(known)


def test_what_moto_can_make_is_made(made: dict[str, str]) -> None:
    left_out = {*ALARMS, *SCHEDULES, "ScheduleGroup", "Dashboard", "RequestSeconds", "RequestFaults", "ServeIngress"}
    left_out |= {"DatabaseUrl", "TopicPolicy"}
    assert set(RESOURCES) - set(made) <= left_out
    assert len(boto3.client("ecs").list_task_definitions()["taskDefinitionArns"]) == len(TASKS) == 4
    assert boto3.client("logs").describe_log_groups()["logGroups"][0]["retentionInDays"] == 365
    assert [topic["TopicArn"] for topic in boto3.client("sns").list_topics()["Topics"]] == [made["Topic"]]


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_taken_with_time_zone_retries_and_dead_letters(name: str, resolver: Resolver) -> None:
    scheduler = boto3.client("scheduler")
    said = resolver.resolve(RESOURCES[name]["Properties"])
    groups = [group["Name"] for group in scheduler.list_schedule_groups()["ScheduleGroups"]]
    if said["GroupName"] not in groups:
        scheduler.create_schedule_group(Name=said["GroupName"])
    network = said["Target"]["EcsParameters"]["NetworkConfiguration"]
    lowered = {key[0].lower() + key[1:]: value for key, value in network["AwsvpcConfiguration"].items()}
    network["awsvpcConfiguration"] = {key[0].upper() + key[1:]: value for key, value in lowered.items()}
    del network["AwsvpcConfiguration"]
    scheduler.create_schedule(**said)
    found = scheduler.get_schedule(GroupName=said["GroupName"], Name=said["Name"])
    assert found["ScheduleExpression"] == said["ScheduleExpression"]
    assert found["ScheduleExpressionTimezone"] == "Europe/Berlin"
    assert found["Target"]["RetryPolicy"]["MaximumRetryAttempts"] == 3
    assert found["Target"]["DeadLetterConfig"]["Arn"].endswith("not-started")
    assert found["Target"]["EcsParameters"]["TaskDefinitionArn"].startswith("arn:aws:ecs:")


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_is_taken(name: str, resolver: Resolver) -> None:
    cloudwatch = boto3.client("cloudwatch")
    said = resolver.resolve(RESOURCES[name]["Properties"])
    said["Threshold"] = float(said["Threshold"])
    said["EvaluationPeriods"] = int(said["EvaluationPeriods"])
    cloudwatch.put_metric_alarm(**said)
    [found] = cloudwatch.describe_alarms(AlarmNames=[said["AlarmName"]])["MetricAlarms"]
    assert found["AlarmActions"] == found["OKActions"] == [resolver.look_up("Topic")]


def test_the_secret_and_the_policy_of_the_topic_are_taken(resolver: Resolver) -> None:
    secret = resolver.resolve(RESOURCES["DatabaseUrl"]["Properties"])
    made = boto3.client("secretsmanager").create_secret(**secret)
    assert made["Name"] == f"rowcast/{JOB}/source-url"
    policy = resolver.resolve(RESOURCES["TopicPolicy"]["Properties"])
    [topic] = policy["Topics"]
    sns = boto3.client("sns")
    text = json.dumps(policy["PolicyDocument"])
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=text)
    assert json.loads(sns.get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"]) == policy["PolicyDocument"]


# What is written by a run, and by the service


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small job whose figures go to CloudWatch, with a champion and with rows that wait."""
    from rowcast.demo import build

    found = tmp_path_factory.mktemp("job")
    config = build(found, rows=800, sensors=20).config
    config.write_text(config.read_text() + '\n[model]\nbudget = "0s"\n[infer]\nsince = "2026-01-01"\n')
    return found


@pytest.fixture(scope="module")
def lines(folder: Path) -> list[dict[str, Any]]:
    """The lines of a training, of a run that scored, of one that had nothing to do, and of a look at the backlog."""
    commands = (["retrain"], ["infer"], ["infer"], ["metrics", "--cloudwatch"])
    return [line for command in commands for line in written(folder, *command) if "_aws" in line]


def written(folder: Path, *command: str) -> list[dict[str, Any]]:
    environment = os.environ | {"ROWCAST_LOGS__CLOUDWATCH": "true"}
    done = subprocess.run(
        [sys.executable, "-m", "rowcast", *command],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (done.stdout + done.stderr).splitlines() if line.startswith("{")]


Metric = tuple[str, str, frozenset[tuple[str, str]]]  # namespace, name, dimensions


def metrics_of(line: dict[str, Any]) -> set[Metric]:
    """The metrics that CloudWatch makes of a line."""
    return {
        (said["Namespace"], metric["Name"], frozenset((key, line[key]) for key in dimensions))
        for said in line["_aws"]["CloudWatchMetrics"]
        for dimensions in said["Dimensions"]
        for metric in said["Metrics"]
    }


def watched_by(alarm: Properties) -> list[Metric]:
    """The metrics that an alarm looks at."""
    single = [alarm] if "MetricName" in alarm else []
    found = [*single, *(part["MetricStat"]["Metric"] for part in alarm.get("Metrics", []) if "MetricStat" in part)]
    return [
        (metric["Namespace"], metric["MetricName"], dimensions_of(metric.get("Dimensions", []))) for metric in found
    ]


def dimensions_of(said: list[dict[str, str]]) -> frozenset[tuple[str, str]]:
    return frozenset((one["Name"], one["Value"]) for one in said)


def test_each_alarm_of_runs_looks_at_a_metric_that_the_log_carries(
    lines: list[dict[str, Any]], resolver: Resolver
) -> None:
    carried = set().union(*map(metrics_of, lines))
    watched = [metric for name in ALARMS for metric in watched_by(resolver.resolve(RESOURCES[name]["Properties"]))]
    ours = [metric for metric in watched if metric[0] == "rowcast"]
    assert len(ours) == 7
    assert [metric for metric in ours if metric not in carried] == []


def test_the_dashboard_shows_metrics_that_the_log_carries(lines: list[dict[str, Any]], resolver: Resolver) -> None:
    carried = set().union(*map(metrics_of, lines))
    body = json.loads(resolver.resolve(RESOURCES["Dashboard"]["Properties"]["DashboardBody"]))
    shown = [metric for widget in body["widgets"] for metric in widget["properties"]["metrics"]]
    assert len(shown) > 10
    for namespace, name, *rest in shown:
        pairs = [part for part in rest if isinstance(part, str)]
        metric = (namespace, name, frozenset(zip(pairs[::2], pairs[1::2], strict=True)))
        assert metric in carried, metric


def test_a_run_with_nothing_to_do_is_not_missing_and_a_training_alone_is(lines: list[dict[str, Any]]) -> None:
    of_runs = [line for line in lines if line.get("step") == "run"]
    assert [(line["pipeline"], "scored" in line) for line in of_runs] == [
        ("retrain", False),
        ("infer", True),
        ("infer", True),
    ]
    assert of_runs[1]["scored"] > 0 == of_runs[2]["scored"]


def matches(pattern: str, event: dict[str, Any]) -> bool:
    """Whether a filter pattern of CloudWatch Logs, as far as these templates use it, takes an event."""
    parts = re.findall(r"\(\$\.(\w+) (=|!=|>=|>) (\"[^\"]*\"|\d+)\)", pattern)
    assert " && ".join(f"($.{name} {sign} {value})" for name, sign, value in parts) == pattern.strip("{} ")
    for name, sign, value in parts:
        has, wanted = event.get(name), json.loads(value)
        if has is None or not {"=": has == wanted, "!=": has != wanted, ">=": has >= wanted, ">": has > wanted}[sign]:
            return False
    return True


def test_the_filters_take_the_lines_that_the_service_writes(folder: Path, lines: list[dict[str, Any]]) -> None:
    assert lines
    service = subprocess.Popen(
        [sys.executable, "-m", "rowcast", "serve", "--port", "0"], cwd=folder, stderr=subprocess.PIPE, text=True
    )
    events: list[dict[str, Any]] = []
    try:
        assert service.stderr is not None
        address = ""
        while not address:
            line = service.stderr.readline()
            assert line, "the service ended"
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            address = found[0] if found else ""
        row = urllib.request.urlopen(f"{address}/jobs/{JOB}/example").read()
        ask = urllib.request.Request(f"{address}/invocations", row, {"content-type": "application/json"})
        for path in (ask, f"{address}/v2/health/ready"):
            urllib.request.urlopen(path).read()
        time.sleep(1)
    finally:
        service.terminate()
        events += [json.loads(line) for line in service.communicate()[1].splitlines() if line.startswith("{")]
    filters = {name: RESOURCES[name]["Properties"] for name in of_kind("AWS::Logs::MetricFilter")}
    seconds, faults = filters["RequestSeconds"], filters["RequestFaults"]
    taken = [event for event in events if matches(seconds["FilterPattern"], event)]
    [field] = [said["MetricValue"] for said in seconds["MetricTransformations"]]
    assert [event[field.removeprefix("$.")] > 0 for event in taken] == [True]
    assert not [event for event in events if matches(faults["FilterPattern"], event)]
    assert matches(faults["FilterPattern"], taken[0] | {"status": 503})


def test_each_alarm_of_the_service_looks_at_what_a_filter_makes(resolver: Resolver) -> None:
    filters = [resolver.resolve(RESOURCES[name]["Properties"]) for name in of_kind("AWS::Logs::MetricFilter")]
    made = {(said["MetricNamespace"], said["MetricName"]) for each in filters for said in each["MetricTransformations"]}
    watched = {
        metric[:2]
        for name in ALARMS
        for metric in watched_by(resolver.resolve(RESOURCES[name]["Properties"]))
        if metric[0].startswith("rowcast/")
    }
    assert watched == made


# Who may do what


def statements(role: str) -> list[Properties]:
    policies = RESOURCES[role]["Properties"].get("Policies", [])
    return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]


def test_the_scheduler_may_run_just_the_tasks_that_are_scheduled() -> None:
    scheduled = [
        RESOURCES[name]["Properties"]["Target"]["EcsParameters"]["TaskDefinitionArn"]["Ref"] for name in SCHEDULES
    ]
    [allowed] = [one for one in statements("SchedulerRole") if one["Action"] == "ecs:RunTask"]
    assert sorted(resource["Ref"] for resource in allowed["Resource"]) == sorted(scheduled)
    assert allowed["Condition"]["ArnEquals"]["ecs:cluster"] == {"Fn::GetAtt": ["Cluster", "Arn"]}
    [passed] = [one for one in statements("SchedulerRole") if one["Action"] == "iam:PassRole"]
    used = {
        RESOURCES[task]["Properties"][role]["Fn::GetAtt"][0]
        for task in scheduled
        for role in ("ExecutionRoleArn", "TaskRoleArn")
    }
    assert {resource["Fn::GetAtt"][0] for resource in passed["Resource"]} == used


def test_no_role_may_do_everything_and_one_action_alone_has_no_resource() -> None:
    for role in of_kind("AWS::IAM::Role"):
        for statement in statements(role):
            actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
            assert not [action for action in actions if "*" in action]
            assert statement["Resource"] != "*" or actions == ["ecr:GetAuthorizationToken"]


@pytest.mark.parametrize("name", TASKS)
def test_a_task_writes_nowhere_but_its_work_directory_and_gets_secrets_from_their_store(name: str) -> None:
    said = RESOURCES[name]["Properties"]
    [container] = said["ContainerDefinitions"]
    assert container["ReadonlyRootFilesystem"] is True
    assert container["User"] == "10001:10001"
    assert {point["ContainerPath"] for point in container["MountPoints"]} == {"/job", "/tmp"}
    assert container["LinuxParameters"]["Capabilities"]["Drop"] == ["ALL"]
    assert {secret["Name"] for secret in container["Secrets"]} == {"ROWCAST_TOML", "ROWCAST_SOURCE_URL"}
    assert 20 < container["StopTimeout"] <= 120


def test_a_task_gets_no_public_address_and_the_endpoints_reach_all_that_it_asks() -> None:
    networks = [RESOURCES[name]["Properties"]["Target"]["EcsParameters"]["NetworkConfiguration"] for name in SCHEDULES]
    networks.append(RESOURCES["Service"]["Properties"]["NetworkConfiguration"])
    assert {network["AwsvpcConfiguration"]["AssignPublicIp"] for network in networks} == {"DISABLED"}
    endpoints = {
        RESOURCES[name]["Properties"]["ServiceName"]["Fn::Sub"].rpartition("${AWS::Region}.")[2]
        for name in of_kind("AWS::EC2::VPCEndpoint")
    }
    assert endpoints == {"ecr.api", "ecr.dkr", "s3", "logs", "secretsmanager", "ssm", "sns"}


def test_the_images_of_the_tasks_are_repositories_that_the_registry_makes() -> None:
    made = {
        resource["Properties"]["RepositoryName"]["Fn::Sub"]
        for resource in REGISTRY["Resources"].values()
        if resource["Type"] == "AWS::ECR::Repository"
    }
    images = {RESOURCES[name]["Properties"]["ContainerDefinitions"][0]["Image"]["Fn::Sub"] for name in TASKS}
    used = {re.search(r"\$\{Prefix\}/\w+", image)[0] for image in images}  # type: ignore[index]
    assert used == made


# SageMaker, EMR Serverless


def loaded(path: Path) -> Any:
    """A script of deploy/ as a module."""
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REGISTER = loaded(ROOT / "deploy" / "sagemaker" / "register.py")
SUBMIT = loaded(ROOT / "deploy" / "emr" / "submit.py")


def what_aws_refuses(service: str, operation: str, request: Any) -> list[str]:
    """What is too long, too short or of another form than the service's model says; neither boto3 nor moto looks."""
    model = boto3.client(service).meta.service_model.operation_model(operation)
    return list(refused(model.input_shape, request, operation))


def refused(shape: Any, value: Any, where: str) -> Iterator[str]:
    known = shape.metadata
    size = value if isinstance(value, int) else len(value)
    if not known.get("min", size) <= size <= known.get("max", size):
        yield f"{where}: {size} is not from {known.get('min')} to {known.get('max')}"
    if shape.type_name == "structure":
        for name, part in value.items():
            yield from refused(shape.members[name], part, f"{where}.{name}")
    elif shape.type_name == "list":
        for part in value:
            yield from refused(shape.member, part, where)
    elif shape.type_name == "map":
        for name, part in value.items():
            yield from refused(shape.value, part, f"{where}.{name}")
    elif shape.type_name == "string" and not re.fullmatch(known.get("pattern", "(?s).*"), value, re.ASCII | re.DOTALL):
        yield f"{where}: {value!r} is not {known['pattern']}"


@pytest.fixture
def config(folder: Path, tmp_path: Path) -> Path:
    """A config of a usual length."""
    path = tmp_path / "rowcast.toml"
    path.write_text((folder / "rowcast.toml").read_text() + "# as much again\n" * 100)
    assert len(path.read_text()) > REGISTER.LONGEST_OF_MODEL
    return path


@pytest.fixture
def given(made: dict[str, str], config: Path) -> list[str]:
    assert made
    secrets = boto3.client("secretsmanager")
    if "url" not in [secret["Name"] for secret in secrets.list_secrets()["SecretList"]]:
        secrets.create_secret(Name="url", SecretString="postgresql://reader@db/fab")
    role = f"arn:aws:iam::{ACCOUNT}:role/rowcast"
    found = ["--image", "registry/rowcast/serve:1", "--role", role, "--url-secret", "url", "--config", str(config)]
    return [*found, "--subnets", "subnet-1", "--groups", "sg-1"]


def joined(variables: dict[str, str]) -> str:
    """The config's text, as the image's entry point puts it together."""
    parts = [variables[f"ROWCAST_TOML_{number}"] for number in range(1, len(variables) + 1)
             if f"ROWCAST_TOML_{number}" in variables]  # fmt: skip
    return "".join(parts)


def test_the_image_is_registered_with_sagemaker_and_served(given: list[str], config: Path) -> None:
    REGISTER.main(["--name", JOB, *given, "endpoint", "--async-output", "s3://out/x"])
    sagemaker = boto3.client("sagemaker")
    variables = sagemaker.describe_model(ModelName=JOB)["PrimaryContainer"]["Environment"]
    assert variables["ROWCAST_BEHIND"] == "sagemaker"
    assert variables["ROWCAST_SOURCE_URL"] == "postgresql://reader@db/fab"
    assert joined(variables) == config.read_text()
    assert sagemaker.describe_endpoint(EndpointName=JOB)["EndpointConfigName"] == JOB


def test_sagemaker_scores_files(given: list[str]) -> None:
    REGISTER.main(["--name", "files", *given, "transform", "--input", "s3://in/x", "--output", "s3://out/x"])
    job = boto3.client("sagemaker").describe_transform_job(TransformJobName="files")
    assert job["ModelName"] == "files"
    assert job["MaxPayloadInMB"] == 6


def test_sagemaker_retrains_in_a_processing_job(given: list[str]) -> None:
    REGISTER.main(["--name", "training", *given, "process"])
    job = boto3.client("sagemaker").describe_processing_job(ProcessingJobName="training")
    assert job["AppSpecification"]["ContainerArguments"] == ["retrain"]
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 7200}


def test_sagemaker_gets_nothing_that_is_too_long_for_it(given: list[str], config: Path) -> None:
    url = "postgresql://reader@db/fab"
    for what, operation, describe in (
        (["endpoint"], "CreateModel", REGISTER.describe_model),
        (["process"], "CreateProcessingJob", REGISTER.describe_processing),
    ):
        request = describe(REGISTER.read_arguments(["--name", JOB, *given, *what]), url)
        assert what_aws_refuses("sagemaker", operation, request) == []
        variables = request.get("Environment") or request["PrimaryContainer"]["Environment"]
        assert joined(variables) == config.read_text()
        variables["ROWCAST_TOML"] = config.read_text()
        assert "ROWCAST_TOML" in str(what_aws_refuses("sagemaker", operation, request))


def submitted(config: Path, application: str) -> list[str]:
    return ["--name", JOB, "--application", application, "--role", f"arn:aws:iam::{ACCOUNT}:role/rowcast",
            "--config", str(config), "--place", "s3://bucket/rowcast", "--logs", f"/rowcast/{JOB}",
            "--secrets", f"ROWCAST_SOURCE_URL=rowcast/{JOB}/source-url"]  # fmt: skip


def test_a_run_starts_on_emr_serverless(made: dict[str, str], config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert made
    config.write_text('[source]\nurl = "${ROWCAST_SOURCE_URL}"\n[infer]\nengine = "spark"\n')
    emr = boto3.client("emr-serverless")
    application = emr.create_application(name=JOB, releaseLabel="emr-7.5.0", type="SPARK")["applicationId"]
    SUBMIT.main(submitted(config, application))
    run = emr.get_job_run(applicationId=application, jobRunId=capsys.readouterr().out.strip())["jobRun"]
    assert run["jobDriver"]["sparkSubmit"]["entryPointArguments"] == ["infer", config.read_text()]
    [defaults] = run["configurationOverrides"]["applicationConfiguration"]
    assert defaults["properties"]["spark.executorEnv.ROWCAST_SOURCE_URL"] == f"EMR.secret@rowcast/{JOB}/source-url"
    request = SUBMIT.describe_run(SUBMIT.read_arguments(submitted(config, application)), config.read_text())
    request["clientToken"] = "1"  # boto3 adds one
    assert what_aws_refuses("emr-serverless", "StartJobRun", request) == []


@pytest.mark.parametrize(
    ("infer", "said"),
    [
        ("", "engine must be"),
        ('engine = "spark"\nmaster = "yarn"', "must not name a master"),
        ('engine = "spark"\n[notify]\nurls = ["${FAB_MAIL}"]', "it names FAB_MAIL"),
    ],
)
def test_a_run_that_would_not_score_on_the_workers_is_not_started(config: Path, infer: str, said: str) -> None:
    config.write_text(f'[source]\nurl = "${{ROWCAST_SOURCE_URL}}"\n[infer]\n{infer}\n')
    with pytest.raises(SystemExit, match=said):
        SUBMIT.main(submitted(config, "00f1"))
