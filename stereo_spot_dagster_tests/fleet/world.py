"""The whole fleet on one machine: simulated AWS, a real database, Dagster's three services, and who plays ECS."""

from __future__ import annotations

import contextlib
import os
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest
import yaml

from stereo_spot_dagster.assets.partitions import PARTITION_TAG

from .. import simulated_aws
from ..e2e.stack import ask
from ..ports import free_port
from . import deployed
from .agent import Agent, Task
from .deployed import INFRA, Deployed
from .postgres import DATABASE, PASSWORD, USER, Postgres, running_postgres
from .services import BIN, Service

# A worker starts in seconds, also while two others use both cores of a small machine.
START_TIMEOUT_S = 45
GPU_LIMIT = 2
_PATIENCE_S = 240.0


@dataclass
class World:
    """A running fleet.

    Attributes:
        account: names and addresses of what is deployed.
        agent: plays ECS.
        database: that Dagster's state lies in.
        services: ``code``, ``daemon`` and ``webserver``.
        url: of the webserver.
    """

    account: Deployed
    agent: Agent
    database: Postgres
    services: dict[str, Service]
    url: str

    def drop(self, path: Path, **settings: str) -> None:
        """Upload a video as anybody does; ``settings`` are noted with the object."""
        extra = {"Metadata": {name.replace("_", "-"): value for name, value in settings.items()}}
        boto3.client("s3").upload_file(str(path), deployed.MEDIA, f"drop/{path.name}", ExtraArgs=extra)

    def finished(self, name: str) -> bool:
        return f"done/{name}" in self.keys("done/")

    def keys(self, prefix: str) -> list[str]:
        pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket=deployed.MEDIA, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def fetch(self, name: str, folder: Path) -> Path:
        """A finished file."""
        target = folder / name
        boto3.client("s3").download_file(deployed.MEDIA, f"done/{name}", str(target))
        return target

    @contextlib.contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The instance as the services see it."""
        with dg.DagsterInstance.get() as instance:
            yield instance

    def runs(self, job: str = "", statuses: list[dg.DagsterRunStatus] | None = None) -> list[dg.DagsterRun]:
        """The runs of a job, the first one first."""
        with self.instance() as instance:
            found = instance.get_runs(dg.RunsFilter(job_name=job or None, statuses=statuses))
        return list(reversed(found))

    def run_spans(self, **which: Any) -> list[tuple[float | None, float | None]]:
        """When some runs worked, as POSIX times; a run is over a little before its worker has ended."""
        with self.instance() as instance:
            records = instance.get_run_records(dg.RunsFilter(**which))
        return [(record.start_time, record.end_time) for record in records]

    def attempts(self, partition: str, job: str = "convert_segment") -> list[dg.DagsterRun]:
        """The runs of a job for a segment or a video, the first one first."""
        return [run for run in self.runs(job) if run.tags.get(PARTITION_TAG) == partition]

    def failure(self, run: dg.DagsterRun) -> str:
        """Why a run failed, as its log says."""
        with self.instance() as instance:
            logs = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
        return "\n".join(entry.dagster_event.message or "" for entry in logs if entry.dagster_event)

    def said(self, run: dg.DagsterRun) -> str:
        """Everything a run's log says."""
        with self.instance() as instance:
            logs = instance.all_logs(run.run_id)
        return "\n".join(entry.message for entry in logs)

    def materialized(self, asset: str) -> Counter[str]:
        """How often each partition of an asset was made."""
        with self.instance() as instance:
            records = instance.fetch_materializations(dg.AssetKey(asset), limit=1000).records
        return Counter(str(record.partition_key) for record in records)

    def segment_task(self, partition: str) -> Task | None:
        """The task that converts a segment now, when its run has begun."""
        for run in self.attempts(partition):
            if run.status is dg.DagsterRunStatus.STARTED:
                task = self.agent.of_run(run.run_id)
                if task and task.is_running:
                    return task
        return None

    def query(self, text: str, **variables: Any) -> dict[str, Any]:
        """One GraphQL request, as the UI sends it."""
        return ask(self.url, text, variables)

    def wait_for(self, condition: Callable[[], Any], what: str, timeout_s: float = _PATIENCE_S) -> Any:
        """The first true value of ``condition``; fails at once where a part of the fleet has died."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            assert self.agent.error is None, self.agent.error
            for service in self.services.values():
                assert service.is_up, service.last_words()
            value = condition()
            if value:
                return value
            time.sleep(0.3)
        runs = [(run.job_name, run.tags.get(PARTITION_TAG), run.status.value) for run in self.runs()]
        raise AssertionError(f"waited {timeout_s:.0f} s in vain for {what}; runs: {runs}")


@contextlib.contextmanager
def running_world(folder: Path, models: Path, machines: Mapping[str, int]) -> Iterator[World]:
    """A fleet with nothing to do yet, which is gone afterwards.

    Args:
        folder: for its files.
        models: the weights on its GPU machines.
        machines: how many each capacity provider has.
    """
    home, work, logs = (folder / name for name in ("home", "work", "logs"))
    for path in (home, work, logs):
        path.mkdir()
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        simulated_aws.enter(patch)
        server = f"{__package__}.ecs_server"
        endpoint = stack.enter_context(simulated_aws.account(server))
        patch.setenv("AWS_ENDPOINT_URL", endpoint)
        database = stack.enter_context(running_postgres())
        account = deployed.deploy(endpoint, database, models, work)
        ports = {"code": free_port(), "web": free_port()}
        write_instance(home, database.port, ports["code"])
        image = _image(home, endpoint)
        private = {"PG_HOST": database.host, "PG_USER": USER, "PG_PASSWORD": PASSWORD, "PG_DB": DATABASE}
        own = {**image, **account.environment, **private, "STEREO_SPOT_HOME": str(work / "services")}
        own["STEREO_SPOT_CODE_HOST"] = "127.0.0.1"
        for name, value in {**account.environment, **private, "DAGSTER_HOME": str(home)}.items():
            patch.setenv(name, value)
        # As the runbook says it; it also makes the tables, before three services do so at once.
        with dg.DagsterInstance.get() as instance:
            instance.event_log_storage.set_concurrency_slots("gpu", GPU_LIMIT)
        services = dict(_services(own, home, ports, logs, stack))
        agent = Agent(deployed.CLUSTER, endpoint, image, machines, logs)
        stack.callback(agent.close)
        world = World(account, agent, database, services, f"http://127.0.0.1:{ports['web']}")
        world.wait_for(lambda: _answers(world.url), "the webserver to answer")
        yield world


def write_instance(home: Path, database_port: int, code_port: int) -> None:
    """infra/dagster.yaml and infra/workspace.yaml, with what is not the same on the machine of a test."""
    instance = yaml.safe_load((INFRA / "dagster.yaml").read_text(encoding="utf-8"))
    database = instance["storage"]["postgres"]["postgres_db"]
    # A port that is free here, and a server that is built without TLS.
    database["port"], database["params"]["sslmode"] = database_port, "disable"
    # The same, only sooner: a machine that never comes, and a worker that is gone, are waited for in this test.
    instance["run_monitoring"] |= {"start_timeout_seconds": START_TIMEOUT_S, "poll_interval_seconds": 2}
    instance["run_coordinator"]["config"]["dequeue_interval_seconds"] = 1
    (home / "dagster.yaml").write_text(yaml.safe_dump(instance), encoding="utf-8")
    workspace = yaml.safe_load((INFRA / "workspace.yaml").read_text(encoding="utf-8"))
    workspace["load_from"][0]["grpc_server"]["port"] = code_port
    (home / "workspace.yaml").write_text(yaml.safe_dump(workspace), encoding="utf-8")


def _image(home: Path, endpoint: str) -> dict[str, str]:
    """What images and machines give to every container; of the developer's own environment only which ffmpeg it is."""
    tools = {name: os.environ[name] for name in ("STEREO_SPOT_FFMPEG", "STEREO_SPOT_FFPROBE") if name in os.environ}
    return {
        **tools,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(home),
        "DAGSTER_HOME": str(home),
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "AWS_ENDPOINT_URL": endpoint,
        **simulated_aws.ENVIRONMENT,
    }


def _services(
    environment: Mapping[str, str], home: Path, ports: Mapping[str, int], logs: Path, stack: contextlib.ExitStack
) -> Iterator[tuple[str, Service]]:
    workspace, local = ["-w", str(home / "workspace.yaml")], ["-h", "127.0.0.1", "-p"]
    module = ["-m", "stereo_spot_dagster.definitions"]
    commands = {
        "code": ["dagster", "code-server", "start", *local, str(ports["code"]), *module],
        "webserver": ["dagster-webserver", *local, str(ports["web"]), *workspace],
        "daemon": ["dagster-daemon", "run", *workspace],
    }
    for name, command in commands.items():
        service = Service(name, command, environment, logs)
        stack.callback(service.kill)
        yield name, service


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/server_info", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False
