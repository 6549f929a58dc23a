"""Which task a run becomes: real launches on a simulated account."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator
from typing import Any

import boto3
import dagster as dg
import pytest
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.launcher.base import LaunchRunContext, WorkerStatus
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, ROOT_RUN_ID_TAG
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import deserialize_value

from stereo_spot_dagster.assets.partitions import COMPUTE_TAG
from stereo_spot_dagster.definitions import defs
from stereo_spot_dagster.fleet.attempts import has_lost_machine, note_lost_machine
from stereo_spot_dagster.fleet.launcher import GpuEcsRunLauncher
from stereo_spot_dagster.sensors.lost_starts import lost_starts

from . import aws

STRATEGY = [{"capacityProvider": aws.SPOT, "weight": 1}]


class Fleet:
    """A Dagster instance whose runs become tasks."""

    def __init__(self, instance: dg.DagsterInstance, subnets: str, groups: str, **more: Any) -> None:
        self.instance = instance
        settings: dict[str, Any] = {
            "cpu_task_definition": aws.CPU,
            "gpu_task_definition": aws.GPU,
            "container_name": aws.CONTAINER,
            "subnets": subnets,
            "security_groups": groups,
            "use_current_ecs_task_config": False,
            "run_task_kwargs": {"cluster": aws.CLUSTER},
            "secrets_tag": None,
            "gpu_capacity_provider_strategy": STRATEGY,
            "gpu_on_demand_capacity_provider": aws.ON_DEMAND,
        }
        self.launcher = GpuEcsRunLauncher(None, **(settings | more))
        self.launcher.register_instance(self.instance)
        self.sent: list[dict[str, Any]] = []
        original = self.launcher._run_task

        def spied(**arguments: Any) -> Any:
            self.sent.append(arguments)
            return original(**arguments)

        self.launcher._run_task = spied  # type: ignore[method-assign]

    def run(self, job: str, tags: dict[str, str] | None = None, **more: Any) -> dg.DagsterRun:
        repository = ReconstructableRepository.for_module("stereo_spot_dagster.definitions", "defs")
        origin = repository.get_reconstructable_job(job).get_python_origin()
        image = more.pop("image", None)
        if image:
            origin = origin._replace(repository_origin=origin.repository_origin._replace(container_image=image))
        return self.instance.create_run_for_job(defs.resolve_job_def(job), tags=tags, job_code_origin=origin, **more)

    def launch(self, job: str, tags: dict[str, str] | None = None, **more: Any) -> tuple[dg.DagsterRun, dict[str, Any]]:
        """The run, and what ECS was asked for."""
        run = self.run(job, tags, **more)
        self.launcher.launch_run(LaunchRunContext(run, workspace=None))
        found = self.instance.get_run_by_id(run.run_id)
        assert found
        return found, self.sent[-1]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as made:
        yield made


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance) -> Iterator[Fleet]:
    with aws.account(monkeypatch):
        yield Fleet(instance, *aws.make_cluster())


def retry_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dict[str, Any]:
    """What Dagster sets on the retry of a run: its tags too."""
    root = run.root_run_id or run.run_id
    tags = {**_again(instance, run).tags, PARENT_RUN_ID_TAG: run.run_id, ROOT_RUN_ID_TAG: root}
    return {"parent_run_id": run.run_id, "root_run_id": root, "tags": tags}


def _again(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun:
    found = instance.get_run_by_id(run.run_id)
    assert found
    return found


def test_a_segment_goes_to_a_gpu_machine_and_the_rest_to_fargate(fleet: Fleet) -> None:
    _, gpu = fleet.launch("convert_segment")
    assert gpu["taskDefinition"] == aws.GPU
    assert gpu["capacityProviderStrategy"] == STRATEGY
    assert "launchType" not in gpu
    assert gpu["overrides"]["containerOverrides"][0]["resourceRequirements"] == [{"type": "GPU", "value": "1"}]
    for job in ("take_in", "finish"):
        _, cpu = fleet.launch(job)
        assert (cpu["taskDefinition"], cpu["launchType"]) == (aws.CPU, "FARGATE")
        assert "resourceRequirements" not in cpu["overrides"]["containerOverrides"][0]
    assert len(aws.tasks()) == 3


def test_a_run_that_a_person_started_in_the_ui_is_routed_by_its_steps(fleet: Fleet) -> None:
    chosen = fleet.launch("__ASSET_JOB", asset_selection=frozenset([dg.AssetKey("stereo_segments")]))[1]
    assert chosen["taskDefinition"] == aws.GPU
    chosen = fleet.launch("__ASSET_JOB", asset_selection=frozenset([dg.AssetKey("final_video")]))[1]
    assert chosen["taskDefinition"] == aws.CPU


def test_a_video_without_trained_models_needs_no_gpu(fleet: Fleet) -> None:
    _, asked = fleet.launch("convert_segment", {COMPUTE_TAG: "cpu"})
    assert (asked["taskDefinition"], asked["launchType"]) == (aws.CPU, "FARGATE")


def test_neither_kind_of_task_gets_what_only_the_other_may_have(
    monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    with aws.account(monkeypatch):
        places = aws.make_cluster()
        common = {
            "cluster": aws.CLUSTER,
            "platformVersion": "LATEST",
            "placementStrategy": [{"type": "spread", "field": "instanceId"}],
        }
        resources = {"cpu": "4096", "memory": "8192", "ephemeral_storage": 100}
        fleet = Fleet(
            instance, *places, run_task_kwargs=common, run_resources=resources, gpu_instance_type="g5.2xlarge"
        )
        gpu, cpu = fleet.launch("convert_segment")[1], fleet.launch("finish")[1]
    assert not {"platformVersion", "launchType"} & set(gpu)
    assert "ephemeralStorage" not in gpu["overrides"]
    assert "assignPublicIp" not in gpu["networkConfiguration"]["awsvpcConfiguration"]
    assert gpu["overrides"]["containerOverrides"][0]["cpu"] == 8 * 1024 - 256
    assert "placementStrategy" not in cpu
    assert cpu["overrides"]["ephemeralStorage"] == {"sizeInGiB": 100}
    assert cpu["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"] == "DISABLED"


def test_a_code_location_with_an_image_of_its_own_gets_it_once(fleet: Fleet) -> None:
    first = fleet.launch("finish", image="stereo-spot:2")[1]["taskDefinition"]
    assert fleet.launch("finish", image="stereo-spot:2")[1]["taskDefinition"] == first != aws.CPU
    described = boto3.client("ecs").describe_task_definition(taskDefinition=first)["taskDefinition"]
    assert described["containerDefinitions"][0]["image"] == "stereo-spot:2"
    assert described["revision"] == 1
    assert fleet.launch("finish", image="stereo-spot:1")[1]["taskDefinition"] == aws.CPU


def test_after_two_lost_machines_an_attempt_goes_to_on_demand(fleet: Fleet) -> None:
    first, _ = fleet.launch("convert_segment")
    note_lost_machine(fleet.instance, first)
    second, asked = fleet.launch("convert_segment", **retry_of(fleet.instance, first))
    assert asked["capacityProviderStrategy"] == STRATEGY
    note_lost_machine(fleet.instance, second)
    _, asked = fleet.launch("convert_segment", **retry_of(fleet.instance, second))
    assert asked["capacityProviderStrategy"] == [{"capacityProvider": aws.ON_DEMAND, "weight": 1}]


def test_an_attempt_that_kept_its_machine_does_not_count_though_it_has_its_parents_tags(fleet: Fleet) -> None:
    first, _ = fleet.launch("convert_segment")
    note_lost_machine(fleet.instance, first)
    crashed, _ = fleet.launch("convert_segment", **retry_of(fleet.instance, first))
    _, asked = fleet.launch("convert_segment", **retry_of(fleet.instance, crashed))
    assert asked["capacityProviderStrategy"] == STRATEGY


@pytest.mark.parametrize(
    ("task", "reason", "lost"),
    [
        ({"lastStatus": "PROVISIONING"}, RunFailureReason.START_TIMEOUT, True),
        ({"lastStatus": "RUNNING"}, RunFailureReason.START_TIMEOUT, False),
        ({"lastStatus": "RUNNING"}, RunFailureReason.UNEXPECTED_TERMINATION, True),
        ({"lastStatus": "RUNNING", "stopCode": "UserInitiated"}, RunFailureReason.UNEXPECTED_TERMINATION, False),
        ({"lastStatus": "STOPPED", "stopCode": "TerminationNotice"}, RunFailureReason.UNEXPECTED_TERMINATION, True),
        ({"lastStatus": "STOPPED", "stopCode": "EssentialContainerExited"}, RunFailureReason.RUN_EXCEPTION, False),
    ],
)
def test_a_retry_notes_if_the_attempt_before_it_lost_its_machine_and_stops_what_that_has_left(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, task: dict[str, str], reason: RunFailureReason, lost: bool
) -> None:
    first, _ = fleet.launch("convert_segment")
    fleet.instance.report_run_failed(first, "it is over", JobFailureData(error=None, failure_reason=reason))
    arn = first.tags["ecs/task_arn"]
    monkeypatch.setattr(fleet.launcher, "_task_of", lambda _: {"taskArn": arn, "clusterArn": aws.CLUSTER} | task)
    fleet.launch("convert_segment", **retry_of(fleet.instance, first))
    assert has_lost_machine(_again(fleet.instance, first)) is lost
    (before,) = aws.tasks_of([arn])
    assert before["desiredStatus"] == ("RUNNING" if task["lastStatus"] == "STOPPED" else "STOPPED")


@pytest.mark.parametrize(
    ("task", "words", "lost"),
    [
        ({"lastStatus": "PROVISIONING", "capacityProviderName": aws.SPOT}, "No machine came", True),
        ({"lastStatus": "PENDING"}, "image is still being pulled", True),
        ({"lastStatus": "RUNNING"}, "has not reported", False),
        ({"lastStatus": "STOPPED", "containers": [{"exitCode": 1}]}, "crashed with exit code 1", False),
    ],
)
def test_a_run_that_is_given_up_before_it_began_says_why_and_leaves_no_task(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, task: dict[str, Any], words: str, lost: bool
) -> None:
    run, _ = fleet.launch("convert_segment")
    run, arn = run.with_status(dg.DagsterRunStatus.STARTING), run.tags["ecs/task_arn"]
    monkeypatch.setattr(fleet.launcher, "_task_of", lambda _: {"taskArn": arn, "clusterArn": aws.CLUSTER} | task)
    assert words in (fleet.launcher.get_run_worker_debug_info(run) or "")
    assert has_lost_machine(_again(fleet.instance, run)) is lost
    (left,) = aws.tasks_of([arn])
    assert left["desiredStatus"] == ("RUNNING" if task["lastStatus"] == "STOPPED" else "STOPPED")


@pytest.mark.parametrize(
    ("stopped", "words", "lost"),
    [
        ({"stopCode": "SpotInterruption", "exit": None}, "its machine was taken back", True),
        ({"stoppedReason": "Host EC2 (instance i-0a1) terminated.", "exit": None}, "its machine was taken back", True),
        ({"stoppedReason": "Essential container in task exited", "exit": 1}, "crashed with exit code 1", False),
        ({"stoppedReason": "Essential container in task exited", "exit": 0}, "told to stop", False),
        ({"stoppedReason": "OutOfMemoryError: container killed", "exit": 137}, "more memory than its task has", False),
        ({"stoppedReason": "CannotPullContainerError: not found", "exit": None}, "never started", False),
    ],
)
def test_a_stopped_worker_is_a_failed_one_and_says_why(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, stopped: dict[str, Any], words: str, lost: bool
) -> None:
    run, _ = fleet.launch("convert_segment")
    container = {"name": aws.CONTAINER, "exitCode": stopped.get("exit")}
    task = {
        "taskArn": run.tags["ecs/task_arn"],
        "clusterArn": aws.CLUSTER,
        "lastStatus": "STOPPED",
        "stopCode": stopped.get("stopCode", "EssentialContainerExited"),
        "stoppedReason": stopped.get("stoppedReason", ""),
        "containers": [container],
    }
    monkeypatch.setattr(fleet.launcher.ecs, "describe_tasks", lambda **_: {"tasks": [task]})
    found = fleet.launcher.check_run_worker_health(run)
    assert found.status is WorkerStatus.FAILED
    assert words in (found.msg or "")
    assert bool(found.transient) is lost
    assert has_lost_machine(_again(fleet.instance, run)) is lost


def test_a_task_that_was_started_but_not_noted_is_found_by_who_started_it(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(fleet.launcher, "_set_run_tags", lambda *_, **__: pytest.fail("the daemon is killed here"))
        with pytest.raises(pytest.fail.Exception):
            fleet.launch("convert_segment")
    (run,), (task,) = fleet.instance.get_runs(), aws.tasks()
    assert "ecs/task_arn" not in run.tags
    assert fleet.launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    assert _again(fleet.instance, run).tags["ecs/task_arn"] == task["taskArn"]
    assert fleet.launcher.terminate(run.run_id)
    assert aws.tasks_of([task["taskArn"]])[0]["desiredStatus"] == "STOPPED"


def test_the_task_of_the_attempt_before_is_not_that_of_a_retry(fleet: Fleet) -> None:
    first, _ = fleet.launch("convert_segment")
    retry = fleet.run("convert_segment", **retry_of(fleet.instance, first))
    assert retry.tags["ecs/task_arn"] == first.tags["ecs/task_arn"]
    assert fleet.launcher.check_run_worker_health(retry).status is WorkerStatus.UNKNOWN


def test_a_run_whose_worker_never_began_is_failed_without_waiting_for_the_time_limit(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, waiting = (fleet.launch("convert_segment")[0] for _ in range(2))
    for run in (lost, waiting):
        starting = dg.DagsterEvent(dg.DagsterEventType.RUN_STARTING.value, job_name=run.job_name)
        fleet.instance.report_dagster_event(starting, run.run_id)
    of_lost = lost.tags["ecs/task_arn"]
    described = fleet.launcher.ecs.describe_tasks

    def describe(tasks: list[str], cluster: str) -> dict[str, Any]:
        found = described(tasks=tasks, cluster=cluster)
        for task in found["tasks"]:
            task["lastStatus"] = "PENDING"
            if task["taskArn"] == of_lost:
                reason = "CannotPullContainerError: not found"
                task |= {"lastStatus": "STOPPED", "stoppedReason": reason, "containers": [{"name": aws.CONTAINER}]}
        return found

    monkeypatch.setattr(fleet.launcher.ecs, "describe_tasks", describe)
    monkeypatch.setattr(type(fleet.instance), "run_launcher", fleet.launcher)
    assert "no run lost" in lost_starts_says(fleet.instance)
    monkeypatch.setattr("stereo_spot_dagster.sensors.lost_starts._LAUNCH_S", 0.0)
    assert "1 runs had lost" in lost_starts_says(fleet.instance)
    assert _again(fleet.instance, lost).status is dg.DagsterRunStatus.FAILURE
    assert _again(fleet.instance, waiting).status is dg.DagsterRunStatus.STARTING
    (failure,) = fleet.instance.get_records_for_run(lost.run_id, of_type=dg.DagsterEventType.RUN_FAILURE).records
    assert "its container never started (CannotPullContainerError: not found)" in str(failure.event_log_entry.message)


def lost_starts_says(instance: dg.DagsterInstance) -> str:
    answer = lost_starts(dg.build_sensor_context(instance=instance))
    assert isinstance(answer, dg.SkipReason)
    return answer.skip_message or ""


def test_a_command_too_long_for_ecs_travels_compressed_and_is_understood(fleet: Fleet) -> None:
    run = fleet.run("finish")
    origin = run.job_code_origin
    assert origin
    long = origin._replace(
        repository_origin=origin.repository_origin._replace(code_pointer=ModuleCodePointer("m" * 9000, "defs", None))
    )
    arguments = ExecuteRunArgs(long, run.run_id, None)
    command = fleet.launcher._get_command_args(arguments, LaunchRunContext(run, workspace=None))
    assert len(json.dumps(command)) < 8192 - 1024
    assert command[-2] == "--compressed-input-json"
    unpacked = zlib.decompress(base64.b64decode(command[-1])).decode()
    assert deserialize_value(unpacked, ExecuteRunArgs) == arguments


def test_an_unknown_machine_type_is_refused_when_the_instance_is_read(
    monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    with aws.account(monkeypatch), pytest.raises(dg.DagsterInvalidConfigError, match=r"p9\.huge"):
        Fleet(instance, "subnet-1", "sg-1", gpu_instance_type="p9.huge")
