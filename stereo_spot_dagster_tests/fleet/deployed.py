"""What the stacks of infra/ make, made in an empty simulated account: the parts that the fleet uses."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import yaml

from .. import simulated_aws
from .postgres import DATABASE, PASSWORD, USER, Postgres

INFRA = Path(__file__).parents[2] / "infra"
PRODUCTION: dict[str, Any] = yaml.safe_load((INFRA / "dagster.yaml").read_text(encoding="utf-8"))
LAUNCHER: dict[str, Any] = PRODUCTION["run_launcher"]["config"]
CPU, GPU, CONTAINER = (LAUNCHER[name] for name in ("cpu_task_definition", "gpu_task_definition", "container_name"))
SPOT = LAUNCHER["gpu_capacity_provider_strategy"][0]["capacityProvider"]
ON_DEMAND = LAUNCHER["gpu_on_demand_capacity_provider"]
DELAY_S = 12
CLUSTER, MEDIA, LOGS, LOG_GROUP = "stereo-spot", "media", "stereo-spot-logs", "/stereo-spot/workers"


@dataclass(frozen=True)
class Deployed:
    """A deployment's addresses.

    Attributes:
        endpoint: of the simulated account.
        queue: URL of the queue that tells of uploads.
        environment: of all tasks and services, as the stacks give it.
        secrets: name of a variable and the field of a secret that it comes from.
    """

    endpoint: str
    queue: str
    environment: dict[str, str]
    secrets: dict[str, str]


def deploy(endpoint: str, database: Postgres, models: Path, work: Path) -> Deployed:
    """Make all of it.

    Args:
        endpoint: of the account, which boto3 talks to.
        database: that its secret shall name.
        models: folder with the weights on a GPU machine.
        work: folder for the workers' files.
    """
    ec2 = boto3.resource("ec2")
    subnets = ",".join(sorted(subnet.id for subnet in ec2.subnets.all())[:2])
    group = next(iter(ec2.security_groups.all())).id
    ecs = boto3.client("ecs")
    ecs.create_cluster(clusterName=CLUSTER)
    for name in (SPOT, ON_DEMAND):
        ecs.create_capacity_provider(name=name, autoScalingGroupProvider={"autoScalingGroupArn": f"arn:{name}"})
    boto3.client("s3").create_bucket(Bucket=LOGS)
    boto3.client("logs").create_log_group(logGroupName=LOG_GROUP)
    queue = _drops()
    secret = {"host": database.host, "username": USER, "password": PASSWORD}
    arn = boto3.client("secretsmanager").create_secret(Name="stereo-spot/database", SecretString=json.dumps(secret))[
        "ARN"
    ]
    environment = {
        "STEREO_SPOT_STORE": f"s3://{MEDIA}",
        "STEREO_SPOT_DROP_QUEUE": queue,
        "STEREO_SPOT_LOG_BUCKET": LOGS,
        "STEREO_SPOT_CLUSTER": CLUSTER,
        "STEREO_SPOT_SUBNETS": subnets,
        "STEREO_SPOT_SECURITY_GROUPS": group,
        "PG_DB": DATABASE,
        "AWS_DEFAULT_REGION": simulated_aws.REGION,
    }
    fields = {"PG_HOST": "host", "PG_USER": "username", "PG_PASSWORD": "password"}
    secrets = {name: f"{arn}:{field}::" for name, field in fields.items()}
    made = Deployed(endpoint, queue, environment, secrets)
    cpu = {"STEREO_SPOT_HOME": str(work / "fargate"), "STEREO_SPOT_WORKER_VRAM": "24GB"}
    # The machine of the test has no GPU: a task that is given one works on the CPU.
    gpu = {"STEREO_SPOT_HOME": str(work / "gpu"), "STEREO_SPOT_MODELS": str(models), "STEREO_SPOT_DEVICE": "cpu"}
    _register(made, CPU, cpu, requiresCompatibilities=["FARGATE"], cpu="4096", memory="16384")
    _register(made, GPU, gpu, requiresCompatibilities=["EC2"])
    return made


def _drops() -> str:
    """The media bucket, whose uploads below drop/ EventBridge tells the queue of."""
    s3, sqs, events = boto3.client("s3"), boto3.client("sqs"), boto3.client("events")
    s3.create_bucket(Bucket=MEDIA)
    s3.put_bucket_versioning(Bucket=MEDIA, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(Bucket=MEDIA, NotificationConfiguration={"EventBridgeConfiguration": {}})
    queue = sqs.create_queue(QueueName="stereo-spot-drops", Attributes={"DelaySeconds": str(DELAY_S)})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [MEDIA]}, "object": {"key": [{"prefix": "drop/"}]}},
    }
    events.put_rule(Name="dropped", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="dropped", Targets=[{"Id": "queue", "Arn": arn}])
    return queue


def _register(made: Deployed, family: str, own: dict[str, str], **kind: Any) -> None:
    environment = [{"name": name, "value": value} for name, value in {**made.environment, **own}.items()]
    options = {
        "awslogs-group": LOG_GROUP,
        "awslogs-region": simulated_aws.REGION,
        "awslogs-stream-prefix": family.rpartition("-")[2],
    }
    container = {
        "name": CONTAINER,
        "image": f"{family}:1",
        "memory": 14336,
        "environment": environment,
        "secrets": [{"name": name, "valueFrom": place} for name, place in made.secrets.items()],
        "logConfiguration": {"logDriver": "awslogs", "options": options},
    }
    boto3.client("ecs").register_task_definition(
        family=family, networkMode="awsvpc", containerDefinitions=[container], **kind
    )
