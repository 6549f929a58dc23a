"""Workers and services: where they run, with what, and what they are told."""

from __future__ import annotations

import pytest

from stereo_spot_dagster.domain.machine import MachineSettings

from .synthesis import Deployment, environment

SERVICES = ["Daemon", "Webserver", "Code"]
FAMILIES = ["CpuWorker", "GpuWorker", "DaemonTask", "WebserverTask", "CodeTask"]


def task(deployment: Deployment, part: str) -> dict:
    return deployment.compute.one("ECS::TaskDefinition", part)


def container(deployment: Deployment, part: str) -> dict:
    return task(deployment, part)["ContainerDefinitions"][0]


def test_the_cpu_worker_is_fargate_with_room_for_a_film(default: Deployment) -> None:
    worker = task(default, "CpuWorker")
    assert worker["Family"] == "stereo-spot-cpu"
    assert worker["RequiresCompatibilities"] == ["FARGATE"]
    assert worker["EphemeralStorage"] == {"SizeInGiB": 200}


def test_the_gpu_worker_is_ec2_with_one_gpu_and_nothing_of_fargate(default: Deployment) -> None:
    worker = task(default, "GpuWorker")
    assert worker["Family"] == "stereo-spot-gpu"
    assert worker["RequiresCompatibilities"] == ["EC2"]
    assert worker["NetworkMode"] == "awsvpc"
    assert not {"Cpu", "Memory", "EphemeralStorage"} & set(worker)
    assert worker["ContainerDefinitions"][0]["ResourceRequirements"] == [{"Type": "GPU", "Value": "1"}]


def test_the_gpu_worker_fits_the_smallest_machine(default: Deployment) -> None:
    worker = container(default, "GpuWorker")
    # A g5.xlarge has 4 cores and 16 GiB, of which agent and system keep about one.
    assert worker["Cpu"] < 4096
    assert worker["Memory"] <= 15 * 1024
    assert worker["MemoryReservation"] < worker["Memory"]


def test_the_gpu_worker_finds_weights_on_the_machine(default: Deployment) -> None:
    worker = container(default, "GpuWorker")
    folder = worker["MountPoints"][0]["ContainerPath"]
    told = environment(worker)
    assert task(default, "GpuWorker")["Volumes"][0]["Host"] == {"SourcePath": folder}
    assert all(
        told[name].startswith(folder) for name in ("STEREO_SPOT_MODELS", "HF_HOME", "STEREO_SPOT_HOME", "TMPDIR")
    )


def test_the_machine_settings_that_tasks_are_given_are_ones_the_package_reads(
    default: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("CpuWorker", "GpuWorker"):
        for name, value in environment(container(default, part)).items():
            monkeypatch.setenv(name, value if isinstance(value, str) else "from-the-stack")
    machine = MachineSettings.from_environment()
    assert machine.worker_vram == 24
    assert machine.token_secret == "from-the-stack"
    assert machine.models == "/var/lib/stereo-spot/weights"


@pytest.mark.parametrize("part", FAMILIES)
def test_the_password_comes_from_secrets_manager_and_is_no_variable(default: Deployment, part: str) -> None:
    definition = container(default, part)
    assert {secret["Name"] for secret in definition["Secrets"]} == {"PG_HOST", "PG_USER", "PG_PASSWORD"}
    assert "PG_PASSWORD" not in environment(definition)


@pytest.mark.parametrize("part", FAMILIES)
def test_every_task_logs_and_reaps_its_children(default: Deployment, part: str) -> None:
    definition = container(default, part)
    assert definition["LogConfiguration"]["LogDriver"] == "awslogs"
    assert definition["LinuxParameters"]["InitProcessEnabled"] is True


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_is_private_checks_its_health_and_goes_back_from_a_bad_release(
    default: Deployment, service: str
) -> None:
    found = default.compute.one("ECS::Service", f"Services{service}")
    assert found["NetworkConfiguration"]["AwsvpcConfiguration"]["AssignPublicIp"] == "DISABLED"
    assert found["DeploymentConfiguration"]["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    assert container(default, f"{service}Task")["HealthCheck"]["Command"]


def test_there_are_never_two_daemons(default: Deployment) -> None:
    daemon = default.compute.one("ECS::Service", "ServicesDaemon")
    assert daemon["DesiredCount"] == 1
    assert daemon["DeploymentConfiguration"]["MaximumPercent"] == 100


def test_the_code_server_is_found_by_the_name_that_the_others_are_told(default: Deployment) -> None:
    namespace = default.compute.one("ServiceDiscovery::PrivateDnsNamespace")["Name"]
    name = default.compute.one("ServiceDiscovery::Service")["Name"]
    for part in ("DaemonTask", "WebserverTask"):
        assert environment(container(default, part))["STEREO_SPOT_CODE_HOST"] == f"{name}.{namespace}"


def test_both_ends_of_a_slow_sensor_wait_equally_long(default: Deployment) -> None:
    name = "DAGSTER_SENSOR_GRPC_TIMEOUT_SECONDS"
    assert {environment(container(default, f"{part}Task"))[name] for part in ("Daemon", "Code")} == {"120"}


def test_images_are_named_by_the_tag_of_the_release(default: Deployment) -> None:
    for part in FAMILIES:
        assert container(default, part)["Image"]["Fn::Join"][1][-1].endswith(":unreleased")
