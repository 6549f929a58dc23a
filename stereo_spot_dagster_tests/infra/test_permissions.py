"""Each role may do its own work and no more."""

from __future__ import annotations

import json

import pytest

from .synthesis import Deployment, statements

ROLES = ["CpuWorker", "GpuWorker", "Code", "Daemon", "Webserver"]


def allowed(deployment: Deployment, role: str) -> list[dict]:
    return statements(deployment.compute.one("IAM::Policy", f"Permissions{role}"))


def actions(deployment: Deployment, role: str) -> set[str]:
    return {action for statement in allowed(deployment, role) for action in statement["Action"]}


def prefixes(deployment: Deployment, role: str, action: str) -> set[str]:
    """The ends of the objects' names that ``role`` may use ``action`` on."""
    resources = [r for s in allowed(deployment, role) if action in s["Action"] for r in s["Resource"]]
    return {resource["Fn::Join"][1][-1] for resource in resources}


@pytest.mark.parametrize("role", ROLES)
def test_no_role_may_do_everything_of_a_service(default: Deployment, role: str) -> None:
    assert not [action for action in actions(default, role) if action.endswith("*")]


@pytest.mark.parametrize("role", ROLES)
def test_what_may_be_done_to_everything_is_only_what_knows_no_resources(default: Deployment, role: str) -> None:
    everything = {a for s in allowed(default, role) if s["Resource"] == ["*"] for a in s["Action"]}
    assert everything <= {
        "ecs:DescribeTaskDefinition",
        "ecs:ListTasks",
        "logs:DescribeLogGroups",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
    }


@pytest.mark.parametrize(("role", "finished"), [("CpuWorker", {"/done/*"}), ("GpuWorker", set())])
def test_workers_write_media_below_their_prefixes_and_cannot_start_anything(
    default: Deployment, role: str, finished: set[str]
) -> None:
    assert prefixes(default, role, "s3:DeleteObject") == {"/videos/*"}
    assert prefixes(default, role, "s3:PutObject") == {"/videos/*", "/compute-logs/*"} | finished
    assert not {action for action in actions(default, role) if action.startswith(("ecs:", "iam:", "sqs:"))}


def test_nothing_deletes_what_people_dropped_or_what_is_finished_and_only_the_operators_commands_drop(
    default: Deployment,
) -> None:
    assert {role for role in ROLES if "/drop/*" in prefixes(default, role, "s3:PutObject")} == {"Daemon"}
    assert not {role for role in ROLES if {"/drop/*", "/done/*"} & prefixes(default, role, "s3:DeleteObject")}


def test_the_webserver_sees_no_media(default: Deployment) -> None:
    assert prefixes(default, "Webserver", "s3:GetObject") == {"/compute-logs/*"}
    assert not actions(default, "Webserver") & {"s3:PutObject", "s3:DeleteObject"}


def test_only_the_sensors_take_messages(default: Deployment) -> None:
    assert {role for role in ROLES if "sqs:ReceiveMessage" in actions(default, role)} == {"Code"}


def test_only_workers_read_the_token_of_the_hub(default: Deployment) -> None:
    readers = {role for role in ROLES if "secretsmanager:GetSecretValue" in actions(default, role)}
    assert readers == {"CpuWorker", "GpuWorker"}


def test_only_the_daemon_starts_tasks_and_only_the_two_workers_in_our_cluster(default: Deployment) -> None:
    assert {role for role in ROLES if "ecs:RunTask" in actions(default, role)} == {"Daemon"}
    start = next(s for s in allowed(default, "Daemon") if "ecs:RunTask" in s["Action"])
    ends = {resource["Fn::Join"][1][-1] for resource in start["Resource"]}
    assert ends == {":task-definition/stereo-spot-cpu:*", ":task-definition/stereo-spot-gpu:*"}
    assert "ecs:cluster" in start["Condition"]["ArnEquals"]


def test_the_daemon_passes_on_the_roles_of_the_workers_and_no_other(default: Deployment) -> None:
    assert {role for role in ROLES if "iam:PassRole" in actions(default, role)} == {"Daemon"}
    passing = next(s for s in allowed(default, "Daemon") if "iam:PassRole" in s["Action"])
    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}}
    passed = {resource["Fn::GetAtt"][0] for resource in passing["Resource"]}
    of_workers = {
        definition[role]["Fn::GetAtt"][0]
        for definition in (default.compute.one("ECS::TaskDefinition", part) for part in ("CpuWorker", "GpuWorker"))
        for role in ("TaskRoleArn", "ExecutionRoleArn")
    }
    assert passed == of_workers


def test_a_key_that_is_not_there_is_reported_as_missing_and_not_as_forbidden(default: Deployment) -> None:
    # S3 tells so only those who may list the bucket without a condition.
    for role in set(ROLES) - {"Webserver"}:
        listing = [s for s in allowed(default, role) if "s3:ListBucket" in s["Action"]]
        assert any("Condition" not in s and "Media" in json.dumps(s["Resource"]) for s in listing)


def test_who_asks_after_workers_sees_those_of_our_cluster_and_only_two_may_stop_them(default: Deployment) -> None:
    assert {role for role in ROLES if "ecs:DescribeTasks" in actions(default, role)} == {"Code", "Daemon", "Webserver"}
    assert {role for role in ROLES if "ecs:StopTask" in actions(default, role)} == {"Daemon", "Webserver"}
    for role in ("Code", "Daemon", "Webserver"):
        finding = next(s for s in allowed(default, role) if "ecs:ListTasks" in s["Action"])
        assert "ecs:cluster" in finding["Condition"]["ArnEquals"]


@pytest.mark.parametrize("role", ["Code", "Daemon"])
def test_who_fails_the_run_of_a_worker_that_died_can_quote_it(default: Deployment, role: str) -> None:
    statement = next(s for s in allowed(default, role) if "logs:GetLogEvents" in s["Action"])
    assert "WorkerLog" in json.dumps(statement["Resource"])
