"""A simulated AWS account with a cluster, one GPU machine and the two task definitions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from moto.ec2.utils import generate_instance_identity_document

from .. import simulated_aws

CLUSTER, CPU, GPU, CONTAINER = "stereo-spot", "stereo-spot-cpu", "stereo-spot-gpu", "worker"
SPOT, ON_DEMAND = "gpu-spot", "gpu-on-demand"


@contextmanager
def account(patch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an empty account that every boto3 client of this process and its children talks to."""
    simulated_aws.enter(patch)
    with simulated_aws.account() as endpoint:
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        yield endpoint


def make_cluster(machines: int = 1) -> list[str]:
    """A cluster with GPU machines and task definitions; returns (subnet, security group) ids."""
    ecs, ec2 = boto3.client("ecs"), boto3.resource("ec2")
    ecs.create_cluster(clusterName=CLUSTER)
    for _ in range(machines):
        machine = ec2.create_instances(ImageId=simulated_aws.IMAGE, MinCount=1, MaxCount=1, InstanceType="g5.xlarge")[0]
        document = json.dumps(generate_instance_identity_document(machine))
        ecs.register_container_instance(cluster=CLUSTER, instanceIdentityDocument=document)
    register_definitions()
    subnet = next(iter(ec2.subnets.all()))
    group = next(iter(ec2.security_groups.all()))
    return [subnet.id, group.id]


def register_definitions() -> None:
    """Both task definitions, as the stack makes them."""
    ecs = boto3.client("ecs")
    container: dict[str, Any] = {"name": CONTAINER, "image": "stereo-spot:1", "memory": 512, "cpu": 256}
    ecs.register_task_definition(
        family=CPU,
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="1024",
        memory="2048",
        containerDefinitions=[container],
    )
    ecs.register_task_definition(
        family=GPU,
        requiresCompatibilities=["EC2"],
        networkMode="awsvpc",
        containerDefinitions=[container | {"resourceRequirements": [{"type": "GPU", "value": "1"}]}],
    )


def tasks() -> list[dict[str, Any]]:
    """All tasks of the cluster."""
    arns = boto3.client("ecs").list_tasks(cluster=CLUSTER)["taskArns"]
    return tasks_of(arns)


def tasks_of(arns: list[str]) -> list[dict[str, Any]]:
    """These tasks, as ECS describes them."""
    return boto3.client("ecs").describe_tasks(cluster=CLUSTER, tasks=arns)["tasks"] if arns else []
