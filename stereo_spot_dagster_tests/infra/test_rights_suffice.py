"""Each role may do what its processes ask AWS for.

The calls were recorded from a whole fleet, each process with credentials of its own: videos dropped with and without
settings, taken in, converted, joined, refused, retried, retuned, removed, stopped in the UI, and looked at by every
command of the runbooks. Which rights a call needs is from the documentation of S3 and SQS.
"""

from __future__ import annotations

import json

import pytest

from stereo_spot_dagster.storage import keys

from .synthesis import Deployment, statements

DROP, PRESETS, VIDEOS, DONE, TRIALS = keys.DROP, keys.PRESETS, keys.VIDEOS, keys.DONE, keys.TRIALS
LOGS = "compute-logs/"
# In parts: sent, given up, and looked at before the object appears.
PARTS = ("s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
ON_OBJECTS = {
    # A download names the version that it began with.
    "GpuWorker": {
        VIDEOS: ("s3:GetObject", "s3:GetObjectVersion", "s3:DeleteObject", *PARTS),
        LOGS: ("s3:GetObject", "s3:PutObject"),
    },
    "CpuWorker": {
        DROP: ("s3:GetObject", "s3:GetObjectVersion"),
        VIDEOS: ("s3:GetObject", "s3:GetObjectVersion", "s3:DeleteObject", *PARTS),
        DONE: ("s3:GetObject", *PARTS),
        LOGS: ("s3:GetObject", "s3:PutObject"),
    },
    "Code": {
        DROP: ("s3:GetObject", "s3:GetObjectVersion"),
        PRESETS: ("s3:GetObject",),
        VIDEOS: ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
        LOGS: ("s3:PutObject",),
    },
    "Daemon": {
        DROP: ("s3:GetObject", "s3:GetObjectVersion"),
        VIDEOS: ("s3:GetObject", "s3:GetObjectVersion", "s3:DeleteObject", *PARTS),
        DONE: ("s3:GetObject", *PARTS),
        TRIALS: ("s3:GetObject", "s3:PutObject", "s3:DeleteObject"),
        LOGS: ("s3:GetObject", "s3:PutObject"),
    },
    "Webserver": {LOGS: ("s3:GetObject",)},
}
ELSEWHERE = {
    "GpuWorker": {"s3:ListBucket", "secretsmanager:GetSecretValue"},
    "CpuWorker": {"s3:ListBucket", "secretsmanager:GetSecretValue"},
    "Code": {"s3:ListBucket", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sns:Publish", "ecs:DescribeTasks"},
    "Daemon": {
        "s3:ListBucket",
        "sqs:GetQueueAttributes",
        "ecs:RunTask",
        "ecs:TagResource",
        "ecs:StopTask",
        "ecs:ListTasks",
        "ecs:DescribeTasks",
        "ecs:DescribeTaskDefinition",
        "ecs:DescribeClusters",
        "ecs:DescribeCapacityProviders",
        "iam:PassRole",
        "logs:GetLogEvents",
    },
    "Webserver": {"ecs:DescribeTasks", "ecs:StopTask"},
}


def on_objects(deployment: Deployment, role: str) -> set[tuple[str, str]]:
    """(action, prefix of keys) that a role may, in whichever bucket."""
    allowed = statements(deployment.compute.one("IAM::Policy", f"Permissions{role}"))
    named = [(action, json.dumps(resource)) for s in allowed for action in s["Action"] for resource in s["Resource"]]
    prefixes = (DROP, PRESETS, VIDEOS, DONE, TRIALS, LOGS)
    return {(action, prefix) for action, resource in named for prefix in prefixes if f'"/{prefix}*"' in resource}


@pytest.mark.parametrize("role", ON_OBJECTS)
def test_each_role_may_use_objects_as_its_processes_do(default: Deployment, role: str) -> None:
    wanted = {(action, prefix) for prefix, actions in ON_OBJECTS[role].items() for action in actions}
    assert wanted - on_objects(default, role) == set()


@pytest.mark.parametrize("role", ELSEWHERE)
def test_each_role_may_ask_what_its_processes_ask(default: Deployment, role: str) -> None:
    allowed = statements(default.compute.one("IAM::Policy", f"Permissions{role}"))
    assert ELSEWHERE[role] - {action for statement in allowed for action in statement["Action"]} == set()
