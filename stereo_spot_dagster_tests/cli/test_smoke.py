"""`stereo-spot smoke` tells a stack that holds together from one that does not: tried on a simulated account."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from stereo_spot_dagster.cli.app import app
from stereo_spot_dagster.cli.doctor import Finding, State
from stereo_spot_dagster.cli.session import Session
from stereo_spot_dagster.cli.smoke import examine
from stereo_spot_dagster.domain.errors import StereoSpotError
from stereo_spot_dagster.storage import keys
from stereo_spot_dagster.storage.base import StoreRefused
from stereo_spot_dagster.storage.s3 import S3Store

from .. import simulated_aws
from ..fleet import aws

BUCKET = "media"


def launcher_settings(**more: Any) -> dict[str, Any]:
    settings = {
        "cpu_task_definition": aws.CPU,
        "gpu_task_definition": aws.GPU,
        "container_name": aws.CONTAINER,
        "use_current_ecs_task_config": False,
        "run_task_kwargs": {"cluster": aws.CLUSTER},
        "secrets_tag": None,
        "gpu_capacity_provider_strategy": [{"capacityProvider": aws.SPOT, "weight": 1}],
        "gpu_on_demand_capacity_provider": aws.ON_DEMAND,
    }
    return settings | more


def write_instance(folder: Path, **more: Any) -> None:
    """A dagster.yaml whose runs become ECS tasks."""
    folder.mkdir(parents=True, exist_ok=True)
    launcher = {
        "module": "stereo_spot_dagster.fleet.launcher",
        "class": "GpuEcsRunLauncher",
        "config": launcher_settings(**more),
    }
    config = {"telemetry": {"enabled": False}, "run_launcher": launcher}
    (folder / "dagster.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")


@pytest.fixture(scope="module")
def account() -> Iterator[str]:
    """A simulated account with all parts of a stack."""
    with pytest.MonkeyPatch.context() as patch, aws.account(patch) as endpoint:
        aws.make_cluster()
        ecs, groups = boto3.client("ecs"), boto3.client("autoscaling")
        machine = {"ImageId": simulated_aws.IMAGE, "InstanceType": "g5.xlarge"}
        groups.create_launch_configuration(LaunchConfigurationName="gpu", **machine)
        for name in (aws.SPOT, aws.ON_DEMAND):
            groups.create_auto_scaling_group(
                AutoScalingGroupName=name,
                LaunchConfigurationName="gpu",
                MinSize=0,
                MaxSize=1,
                AvailabilityZones=["us-east-1a"],
            )
            (group,) = groups.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
            provider = {"autoScalingGroupArn": group["AutoScalingGroupARN"]}
            ecs.create_capacity_provider(name=name, autoScalingGroupProvider=provider)
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield endpoint


@pytest.fixture
def stack(account: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """That account in the environment of a command; returns the ARN of the token's secret."""
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN", raising=False)
    secrets = boto3.client("secretsmanager")
    secret = secrets.create_secret(Name=f"token-{tmp_path.name}", SecretString=json.dumps({"HF_TOKEN": "hf_hidden"}))
    queue = boto3.client("sqs").create_queue(QueueName="drops")["QueueUrl"]
    write_instance(tmp_path / "dagster")
    for name, value in {
        "STEREO_SPOT_HOME": str(tmp_path / "home"),
        "STEREO_SPOT_STORE": f"s3://{BUCKET}",
        "STEREO_SPOT_S3_ENDPOINT_URL": account,
        "STEREO_SPOT_S3_PATH_STYLE": "true",
        "STEREO_SPOT_DROP_QUEUE": queue.replace("http://localhost", "http://127.0.0.1"),
        "STEREO_SPOT_TOKEN_SECRET": secret["ARN"],
        "DAGSTER_HOME": str(tmp_path / "dagster"),
    }.items():
        monkeypatch.setenv(name, value)
    return secret["ARN"]


def found() -> dict[str, Finding]:
    return {finding.thing: finding for finding in examine(Session())}


def broken() -> set[str]:
    return {thing for thing, finding in found().items() if finding.state is State.BROKEN}


def test_a_whole_stack_is_good_in_all_its_parts(stack: str) -> None:
    states = {thing: finding.state for thing, finding in found().items()}
    assert set(states.values()) == {State.GOOD}
    assert set(states) == {
        "store: write",
        "store: read",
        "store: presigned download",
        "store: presigned upload",
        "store: delete",
        "drop queue",
        "token secret",
        "Dagster database",
        "fleet: cluster",
        "fleet: CPU task",
        "fleet: GPU task",
        f"fleet: {aws.SPOT}",
        f"fleet: {aws.ON_DEMAND}",
    }


def test_nothing_stays_behind_and_nothing_is_started(stack: str) -> None:
    examine(Session())
    assert boto3.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
    assert aws.tasks() == []


def test_the_command_shows_a_table_and_never_the_token(stack: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert not app(["smoke"], standalone_mode=False)
    printed = capsys.readouterr().out
    assert "fleet: GPU task" in printed
    assert "hf_hidden" not in printed


def test_what_is_broken_makes_the_command_fail(
    stack: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STEREO_SPOT_STORE", "s3://nobodys-bucket")
    assert app(["smoke"], standalone_mode=False) == 1
    assert "broken" in capsys.readouterr().out


def test_a_store_that_lets_nothing_be_deleted_is_broken(stack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(store: S3Store, prefix: str) -> None:
        raise StoreRefused(prefix, "access denied")

    monkeypatch.setattr(S3Store, "delete_prefix", refuse)
    assert broken() == {"store: delete"}


def test_a_queue_that_is_gone_is_broken(stack: str, account: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEREO_SPOT_DROP_QUEUE", f"{account}/123456789012/no-such-queue")
    assert broken() == {"drop queue"}


def test_a_secret_that_cannot_be_read_is_broken(stack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEREO_SPOT_TOKEN_SECRET", stack.replace("token-", "other-"))
    assert broken() == {"token secret"}


def test_a_secret_without_a_token_yet_is_only_remarked(stack: str) -> None:
    boto3.client("secretsmanager").put_secret_value(SecretId=stack, SecretString='{"HF_TOKEN": ""}')
    assert found()["token secret"].state is State.MISSING


def test_task_definitions_and_providers_that_do_not_exist_are_named(stack: str, tmp_path: Path) -> None:
    write_instance(
        tmp_path / "dagster",
        gpu_task_definition="no-such-family",
        cpu_capacity_provider_strategy=[{"capacityProvider": "no-such-provider", "weight": 1}],
    )
    assert broken() == {"fleet: GPU task", "fleet: no-such-provider"}


def test_a_cluster_that_does_not_exist_is_named(stack: str, tmp_path: Path) -> None:
    write_instance(tmp_path / "dagster", run_task_kwargs={"cluster": "no-such-cluster"})
    assert broken() == {"fleet: cluster"}


def test_a_database_that_does_not_answer_is_broken(stack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(session: Session) -> None:
        raise StereoSpotError("database", "it does not answer")

    monkeypatch.setattr(Session, "instance", property(silent))
    assert broken() == {"Dagster database", "launcher"}


def test_a_machine_of_its_own_lacks_only_what_it_does_not_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STORE", "DROP_QUEUE", "TOKEN_SECRET"):
        monkeypatch.delenv(f"STEREO_SPOT_{name}", raising=False)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("STEREO_SPOT_HOME", str(tmp_path / "home"))
    assert broken() == set()
    assert {thing for thing, finding in found().items() if finding.state is State.MISSING} == {
        "drop queue",
        "token secret",
        "launcher",
    }


@pytest.mark.parametrize("command", ["smoke", "doctor"])
def test_what_is_written_to_try_the_store_lies_where_the_daemon_may_write(
    stack: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    real = S3Store.put_bytes

    def note(store: S3Store, data: bytes, key: str) -> object:
        written.append(key)
        return real(store, data, key)

    monkeypatch.setattr(S3Store, "put_bytes", note)
    app([command], standalone_mode=False)
    assert written
    assert all(key.startswith(keys.TRIALS) for key in written)
