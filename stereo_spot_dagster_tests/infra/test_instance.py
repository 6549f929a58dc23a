"""The production dagster.yaml and workspace.yaml are valid, and name what the stacks make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from .synthesis import INFRA, Deployment, environment

PRODUCTION: dict[str, Any] = yaml.safe_load((INFRA / "dagster.yaml").read_text(encoding="utf-8"))
LOCAL: dict[str, Any] = yaml.safe_load((INFRA.parent / "dagster.yaml").read_text(encoding="utf-8"))
LAUNCHER = PRODUCTION["run_launcher"]["config"]


def variables(value: Any) -> set[str]:
    """The environment variables that a configuration names."""
    if isinstance(value, dict):
        if set(value) == {"env"}:
            return {value["env"]}
        return set().union(*(variables(each) for each in value.values()), set())
    if isinstance(value, list):
        return set().union(*(variables(each) for each in value), set())
    return set()


def test_dagster_accepts_the_instance_configuration() -> None:
    from dagster._core.instance.config import dagster_instance_config

    values, _ = dagster_instance_config(str(INFRA))
    assert values["run_monitoring"]["max_resume_run_attempts"] == 0


def test_storage_and_logs_can_be_made_from_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("dagster_postgres")
    pytest.importorskip("dagster_aws")
    import dagster as dg
    from dagster._config import process_config, resolve_to_config_type
    from dagster._core.instance.ref import InstanceRef
    from dagster._core.storage.config import pg_config
    from dagster_postgres.utils import pg_url_from_config
    from sqlalchemy import create_engine

    for name, value in {"PG_HOST": "db", "PG_USER": "u", "PG_PASSWORD": "p@ss/word", "PG_DB": "dagster"}.items():
        monkeypatch.setenv(name, value)
    found = process_config(resolve_to_config_type(pg_config()), PRODUCTION["storage"]["postgres"])
    assert found.success
    engine = create_engine(pg_url_from_config(found.value))
    assert engine.dialect.driver == "psycopg2"
    assert engine.url.password == "p@ss/word"
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({"compute_logs": PRODUCTION["compute_logs"]}))
    monkeypatch.setenv("STEREO_SPOT_LOG_BUCKET", "logs")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    instance = dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path)))
    assert type(instance.compute_log_manager).__name__ == "S3ComputeLogManager"


def test_the_launcher_can_be_made_from_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("dagster_aws")
    import dagster as dg
    from dagster._core.instance.ref import InstanceRef

    for name in variables(LAUNCHER):
        monkeypatch.setenv(name, "from-the-stack")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({"run_launcher": PRODUCTION["run_launcher"]}))
    instance = dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path)))
    assert type(instance.run_launcher).__name__ == "GpuEcsRunLauncher"


def test_the_workspace_finds_the_code_server(monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster._core.workspace.load import location_origins_from_yaml_paths

    monkeypatch.setenv("STEREO_SPOT_CODE_HOST", "code.stereo-spot.internal")
    origins = location_origins_from_yaml_paths([str(INFRA / "workspace.yaml")])
    (origin,) = origins
    assert (origin.host, origin.port) == ("code.stereo-spot.internal", 4000)
    assert origin.location_name == "stereo_spot_dagster"


@pytest.mark.parametrize("part", ["DaemonTask", "WebserverTask", "CodeTask", "CpuWorker", "GpuWorker"])
def test_each_variable_it_names_is_given_to_each_task(default: Deployment, part: str) -> None:
    container = default.compute.one("ECS::TaskDefinition", part)["ContainerDefinitions"][0]
    given = {*environment(container), *(secret["Name"] for secret in container["Secrets"])}
    assert variables(PRODUCTION) <= given


def test_it_names_the_families_container_and_providers_that_the_stacks_make(default: Deployment) -> None:
    definitions = default.compute.all("ECS::TaskDefinition").values()
    containers = {each["Family"]: each["ContainerDefinitions"][0]["Name"] for each in definitions}
    assert containers[LAUNCHER["cpu_task_definition"]] == LAUNCHER["container_name"]
    assert containers[LAUNCHER["gpu_task_definition"]] == LAUNCHER["container_name"]
    providers = {each["Name"] for each in default.compute.all("ECS::CapacityProvider").values()}
    named = {each["capacityProvider"] for each in LAUNCHER["gpu_capacity_provider_strategy"]}
    assert named | {LAUNCHER["gpu_on_demand_capacity_provider"]} == providers


def test_as_many_gpu_runs_start_as_there_may_be_machines(default: Deployment) -> None:
    group = default.compute.one("AutoScaling::AutoScalingGroup", "Spot")
    assert PRODUCTION["concurrency"]["pools"] == {
        "granularity": "run",
        "default_limit": int(group["MaxSize"]),
    }


def test_runs_are_kept_apart_and_retried_as_on_one_machine() -> None:
    for path in (("concurrency", "runs", "tag_concurrency_limits"), ("run_retries",), ("telemetry",)):
        production, local = PRODUCTION, LOCAL
        for name in path:
            production, local = production[name], local[name]
        assert production == local


def test_a_gpu_machine_has_half_an_hour_to_come() -> None:
    assert PRODUCTION["run_monitoring"]["start_timeout_seconds"] == 1800
