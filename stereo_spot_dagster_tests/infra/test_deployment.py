"""The templates, created by a CloudFormation that is not AWS's: what they name exists afterwards.

moto makes about two thirds of the resource types. It ignores a resource of another type, but not a reference to one,
so those references are replaced by an ARN before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest
import yaml
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.launcher.base import LaunchRunContext

from stereo_spot_dagster.definitions import defs

from .. import simulated_aws
from .synthesis import INFRA, Deployment, Stack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Tried to parse:UserWarning"),
]

_STAND_IN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:stand-in-AbCdEf"
# Types that moto does not make and that others refer to.
_REFERRED = {
    "AWS::SecretsManager::Secret",
    "AWS::SecretsManager::SecretTargetAttachment",
    "AWS::ECS::CapacityProvider",
    "AWS::ServiceDiscovery::PrivateDnsNamespace",
    "AWS::ServiceDiscovery::Service",
    "AWS::CloudWatch::Alarm",
}

Client = Callable[[str], Any]


def creatable(stack: Stack, exported: set[str]) -> dict[str, Any]:
    """The template of ``stack`` without what moto lacks.

    Args:
        exported: exports of the stacks that exist.
    """
    template = json.loads(json.dumps(stack.template))
    lacking = {name for name, resource in template["Resources"].items() if resource["Type"] in _REFERRED}

    def replace(value: Any) -> Any:
        if isinstance(value, list):
            return [replace(each) for each in value]
        if not isinstance(value, dict):
            return value
        if value.get("Ref") in lacking or value.get("Fn::GetAtt", [""])[0] in lacking:
            return _STAND_IN
        if "Fn::ImportValue" in value and value["Fn::ImportValue"] not in exported:
            return _STAND_IN
        return {name: replace(each) for name, each in value.items()}

    template["Resources"] = {
        name: replace({key: each for key, each in resource.items() if key != "DependsOn"})
        for name, resource in template["Resources"].items()
        if name not in lacking
    }
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::KMS::Key":
            # moto wants CloudFormation's tags of keys as KMS's own interface has them.
            del resource["Properties"]["Tags"]
    template["Outputs"] = {
        name: output for name, output in template.get("Outputs", {}).items() if replace(output) == output
    }
    # The version of the bootstrap stack, and the AMI: parameters of AWS that are not there.
    for parameter in template["Parameters"].values():
        parameter["Type"] = "String"
    return template


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    # In it tasks wait for machines, which moto's own would refuse.
    with simulated_aws.account("stereo_spot_dagster_tests.fleet.ecs_server") as endpoint:
        yield lambda service: boto3.client(service, endpoint_url=endpoint, region_name=simulated_aws.REGION, **keys)


@pytest.fixture(scope="module")
def deployed(default: Deployment, client: Client) -> Client:
    formation = client("cloudformation")
    for stack in default.stacks:
        exported = {export["Name"] for export in formation.list_exports()["Exports"]}
        name = stack.path.name.partition(".")[0]
        body = json.dumps(creatable(stack, exported))
        formation.create_stack(StackName=name, TemplateBody=body, Capabilities=["CAPABILITY_IAM"])
        (found,) = formation.describe_stacks(StackName=name)["Stacks"]
        assert found["StackStatus"] == "CREATE_COMPLETE"
    return client


def test_the_buckets_exist(deployed: Client) -> None:
    names = [bucket["Name"] for bucket in deployed("s3").list_buckets()["Buckets"]]
    assert len(names) == 3
    assert sum("storagemedia" in name for name in names) == 1


def test_the_queues_exist_and_the_first_one_leads_to_the_other(deployed: Client) -> None:
    queues = deployed("sqs")
    drops = queues.get_queue_url(QueueName="stereo-spot-drops")["QueueUrl"]
    attributes = queues.get_queue_attributes(QueueUrl=drops, AttributeNames=["RedrivePolicy"])["Attributes"]
    assert json.loads(attributes["RedrivePolicy"])["deadLetterTargetArn"].endswith(":stereo-spot-drops-dead")


def test_the_rule_for_drops_sends_to_the_queue(deployed: Client) -> None:
    events = deployed("events")
    (rule,) = [rule for rule in events.list_rules()["Rules"] if "Dropped" in rule["Name"]]
    (target,) = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    assert target["Arn"].endswith(":stereo-spot-drops")


def test_the_cluster_and_the_services_exist(deployed: Client) -> None:
    ecs = deployed("ecs")
    assert [arn.rpartition("/")[2] for arn in ecs.list_clusters()["clusterArns"]] == ["stereo-spot"]
    services = ecs.list_services(cluster="stereo-spot")["serviceArns"]
    assert {arn.rpartition("/")[2] for arn in services} == {
        f"stereo-spot-{name}" for name in ("daemon", "webserver", "code")
    }


@pytest.mark.parametrize("family", ["cpu", "gpu", "daemon", "webserver", "code"])
def test_the_task_definition_can_be_asked_for_by_its_family(deployed: Client, family: str) -> None:
    found = deployed("ecs").describe_task_definition(taskDefinition=f"stereo-spot-{family}")["taskDefinition"]
    assert found["family"] == f"stereo-spot-{family}"
    assert found["containerDefinitions"][0]["secrets"]


def test_the_repositories_exist(deployed: Client) -> None:
    found = deployed("ecr").describe_repositories()["repositories"]
    assert {each["repositoryName"] for each in found} == {"stereo-spot-cpu", "stereo-spot-gpu"}


def test_the_database_exists_and_is_private(deployed: Client) -> None:
    (found,) = deployed("rds").describe_db_instances()["DBInstances"]
    assert found["DBInstanceIdentifier"] == "stereo-spot"
    assert found["PubliclyAccessible"] is False


def test_the_gpu_groups_exist_and_are_empty(deployed: Client) -> None:
    groups = deployed("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
    assert {group["AutoScalingGroupName"]: len(group["Instances"]) for group in groups} == {
        "stereo-spot-gpu-spot": 0,
        "stereo-spot-gpu-on-demand": 0,
    }


@dataclass(frozen=True)
class Launched:
    """A run that was started.

    Attributes:
        asked: what ECS was asked for.
        task: what it made of that.
    """

    asked: dict[str, Any]
    task: dict[str, Any]

    @property
    def family(self) -> str:
        return self.task["taskDefinitionArn"].rpartition("/")[2].partition(":")[0]


Launch = Callable[[str], Launched]


@pytest.fixture
def launch(deployed: Client, default: Deployment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Launch]:
    """Starts a run of a job with the production launcher, in the environment of the deployed daemon."""
    ecs = deployed("ecs")
    for provider in default.compute.all("ECS::CapacityProvider").values():
        # moto's CloudFormation does not make them, its ECS does.
        group = {"autoScalingGroupArn": f"arn:aws:autoscaling:us-east-1:123456789012:{provider['Name']}"}
        ecs.create_capacity_provider(name=provider["Name"], autoScalingGroupProvider=group)
    simulated_aws.enter(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", ecs.meta.endpoint_url)
    for name, value in _environment(deployed, "stereo-spot-daemon").items():
        if name in ("STEREO_SPOT_CLUSTER", "STEREO_SPOT_SUBNETS", "STEREO_SPOT_SECURITY_GROUPS"):
            monkeypatch.setenv(name, value)
    production = yaml.safe_load((INFRA / "dagster.yaml").read_text(encoding="utf-8"))
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({"run_launcher": production["run_launcher"]}))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        launcher: Any = instance.run_launcher
        asked: list[dict[str, Any]] = []
        launcher.ecs.meta.events.register("provide-client-params.ecs.RunTask", lambda params, **_: asked.append(params))

        def start(job: str) -> Launched:
            repository = ReconstructableRepository.for_module("stereo_spot_dagster.definitions", "defs")
            origin = repository.get_reconstructable_job(job).get_python_origin()
            run = instance.create_run_for_job(defs.resolve_job_def(job), job_code_origin=origin)
            launcher.launch_run(LaunchRunContext(run, workspace=None))
            found = instance.get_run_by_id(run.run_id)
            assert found
            (task,) = ecs.describe_tasks(cluster=found.tags["ecs/cluster"], tasks=[found.tags["ecs/task_arn"]])["tasks"]
            return Launched(asked[-1], task)

        yield start


def test_the_launcher_starts_a_run_that_needs_no_gpu_as_the_deployed_fargate_task(launch: Launch) -> None:
    started = launch("take_in")
    assert started.task["clusterArn"].endswith(":cluster/stereo-spot")
    assert (started.family, started.task["launchType"]) == ("stereo-spot-cpu", "FARGATE")


def test_the_launcher_starts_a_segment_as_the_deployed_gpu_task_of_the_spot_provider(launch: Launch) -> None:
    started = launch("convert_segment")
    assert (started.family, started.task["capacityProviderName"]) == ("stereo-spot-gpu", "stereo-spot-gpu-spot")
    (worker,) = started.task["overrides"]["containerOverrides"]
    assert worker["name"] == "worker"
    assert worker["resourceRequirements"] == [{"type": "GPU", "value": "1"}]


@pytest.mark.parametrize("job", ["take_in", "convert_segment"])
def test_the_launcher_puts_tasks_into_the_deployed_private_subnets_and_the_workers_group(
    launch: Launch, deployed: Client, job: str
) -> None:
    network = launch(job).asked["networkConfiguration"]["awsvpcConfiguration"]
    subnets = deployed("ec2").describe_subnets(SubnetIds=network["subnets"])["Subnets"]
    assert len(subnets) == len(network["subnets"]) > 1
    assert not any(subnet["MapPublicIpOnLaunch"] for subnet in subnets)
    (group,) = deployed("ec2").describe_security_groups(GroupIds=network["securityGroups"])["SecurityGroups"]
    assert {group["VpcId"]} == {subnet["VpcId"] for subnet in subnets}


def _environment(deployed: Client, family: str) -> dict[str, str]:
    """What the deployed task definition gives to its container."""
    found = deployed("ecs").describe_task_definition(taskDefinition=family)["taskDefinition"]
    return {entry["name"]: entry["value"] for entry in found["containerDefinitions"][0]["environment"]}
