"""Runs as ECS tasks: on Fargate, or on a machine with a GPU where a step needs one."""

from __future__ import annotations

import base64
import json
import logging
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._config import IntSource, StringSource
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._grpc.types import ExecuteRunArgs
from dagster_aws.ecs import EcsRunLauncher
from dagster_aws.ecs.launcher import Tags
from dagster_aws.ecs.utils import RetryableEcsException

from ..assets.partitions import COMPUTE_TAG
from .attempts import earlier_attempts, explain_loss, has_lost_machine, machines_lost, note_lost_machine
from .definitions import definition_with
from .health import ENDED, WAITING, explain_stop, explain_wait
from .machines import MACHINE_TYPES
from .routing import needs_gpu

_LOG = logging.getLogger(__name__)
# ECS takes no more for all overrides of a task together; what else is in there needs some room.
_OVERRIDES_LIMIT, _ROOM = 8192, 1024
# On a run whose task is noted: its own id, as its retries get its tags too, with the name of a task that is not theirs.
_HAS_TASK_TAG = "stereo_spot/has_task"
# What only tasks on Fargate may have, and only tasks on EC2.
_FARGATE_ONLY, _EC2_ONLY = ("platformVersion",), ("placementConstraints", "placementStrategy")


class GpuEcsRunLauncher(EcsRunLauncher):
    """Starts a run's task where the run can work.

    Two task definitions are registered beforehand, one for Fargate and one for GPU machines on EC2. Which one a run
    gets is told by the tags of its steps (:func:`~.routing.needs_gpu`), because runs that a person, a backfill or
    automation starts carry no tags of their own.

    GPU tasks go to a capacity provider, so that they wait for a machine instead of failing; after
    ``interruptions_before_on_demand`` lost or missing machines a run's next attempt goes to the on-demand provider.

    Args:
        cpu_task_definition: family (or ARN) of the Fargate task definition.
        gpu_task_definition: family (or ARN) of the EC2 one.
        subnets, security_groups: comma-separated ids, for both.
        gpu_capacity_provider_strategy: ECS's strategy items for GPU tasks, usually Spot.
        gpu_on_demand_capacity_provider: where attempts go that keep losing their machine; empty: nowhere else.
        interruptions_before_on_demand: how many machines an attempt may lose before that.
        cpu_capacity_provider_strategy: for Fargate tasks, such as ``FARGATE_SPOT``; plain Fargate without.
        gpu_instance_type: sizes GPU tasks to the share of one GPU on this type; the definition's own size without.
        assign_public_ip: for Fargate tasks in public subnets.
    """

    def __init__(
        self,
        inst_data: Any = None,
        *,
        cpu_task_definition: str,
        gpu_task_definition: str,
        subnets: str = "",
        security_groups: str = "",
        gpu_capacity_provider_strategy: Sequence[Mapping[str, Any]] = (),
        gpu_on_demand_capacity_provider: str = "",
        interruptions_before_on_demand: int = 2,
        cpu_capacity_provider_strategy: Sequence[Mapping[str, Any]] = (),
        gpu_instance_type: str = "",
        assign_public_ip: bool = False,
        **plain: Any,
    ) -> None:
        # Not handed to the parent: it would look the definition up here and now, in every process that reads the
        # instance's configuration, and keep the revision it found until that process ends.
        super().__init__(inst_data, **plain)
        if gpu_instance_type and gpu_instance_type not in MACHINE_TYPES:
            known = ", ".join(MACHINE_TYPES)
            raise dg.DagsterInvalidConfigError(
                f"gpu_instance_type '{gpu_instance_type}' is not one of {known}", [], gpu_instance_type
            )
        self._definitions = {True: gpu_task_definition, False: cpu_task_definition}
        self._subnets = [part for part in subnets.split(",") if part]
        self._security_groups = [part for part in security_groups.split(",") if part]
        self._gpu_strategy = [dict(item) for item in gpu_capacity_provider_strategy]
        self._on_demand = gpu_on_demand_capacity_provider
        self._interruptions_before_on_demand = interruptions_before_on_demand
        self._cpu_strategy = [dict(item) for item in cpu_capacity_provider_strategy]
        self._machine = MACHINE_TYPES.get(gpu_instance_type)
        self._public_ip = "ENABLED" if assign_public_ip else "DISABLED"
        self._of_image: dict[tuple[str, str], str] = {}
        self._routes: dict[tuple[str | None, ...], bool] = {}

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        parent = {name: kind for name, kind in super().config_type().items() if name != "task_definition"}
        strategy = dg.Field(dg.Array(dg.Permissive()), is_required=False)
        return {
            **parent,
            "cpu_task_definition": dg.Field(StringSource),
            "gpu_task_definition": dg.Field(StringSource),
            "subnets": dg.Field(StringSource, is_required=False),
            "security_groups": dg.Field(StringSource, is_required=False),
            "gpu_capacity_provider_strategy": strategy,
            "gpu_on_demand_capacity_provider": dg.Field(StringSource, is_required=False),
            "interruptions_before_on_demand": dg.Field(IntSource, is_required=False),
            "cpu_capacity_provider_strategy": strategy,
            "gpu_instance_type": dg.Field(StringSource, is_required=False),
            "assign_public_ip": dg.Field(bool, is_required=False),
        }

    @property
    def task_definitions(self) -> dict[str, str]:
        """Family or ARN of the task definition of each kind of run: ``GPU`` and ``CPU``."""
        return {"GPU": self._definitions[True], "CPU": self._definitions[False]}

    @property
    def capacity_providers(self) -> list[str]:
        """Names of all providers a run may be sent to."""
        items = [*self._gpu_strategy, *self._cpu_strategy]
        named = [str(item["capacityProvider"]) for item in items] + [self._on_demand]
        return [name for name in dict.fromkeys(named) if name]

    def launch_run(self, context: Any) -> None:
        for earlier in earlier_attempts(self._instance, context.dagster_run):
            self._settle(earlier)
        super().launch_run(context)

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """A task that stopped while its run is unfinished has failed, whatever its exit code.

        The worker ends with exit code 0 when it is told to stop, which Dagster's launcher takes for success.
        """
        found = super().check_run_worker_health(run)
        if found.status in (WorkerStatus.RUNNING, WorkerStatus.UNKNOWN) or run.is_finished:
            return found
        task = self._task_of(run)
        if task is None:
            return found
        stop = explain_stop(task)
        if stop.machine_lost:
            note_lost_machine(self._instance, run)
        log = (found.msg or "").partition("Run worker logs:")[2].strip()
        words = f"The worker stopped: {stop.words}." + (f"\nIts last lines:\n{log}" if log else "")
        return CheckRunHealthResult(
            WorkerStatus.FAILED,
            words,
            transient=stop.machine_lost or bool(found.transient),
            run_worker_id=found.run_worker_id,
        )

    def get_run_worker_debug_info(self, run: dg.DagsterRun, include_container_logs: bool | None = True) -> str | None:
        """Why a run that did not start in time has not; for others :meth:`check_run_worker_health` says it all.

        Run monitoring asks just before it gives the run up, and leaves the task waiting: it would get a machine later
        and cost an hour of it for nothing. So it is stopped here.
        """
        task = self._task_of(run) if run.status is dg.DagsterRunStatus.STARTING else None
        if task is None:
            return None
        if task.get("lastStatus") in WAITING:
            note_lost_machine(self._instance, run)
        self._stop(task)
        return explain_wait(task)

    def _run_task_kwargs(self, run: dg.DagsterRun, image: str | None, container_context: Any) -> dict[str, Any]:
        gpu = self._needs_gpu(run)
        arguments: dict[str, Any] = {
            "propagateTags": "TASK_DEFINITION",
            "enableECSManagedTags": True,
            **self.run_task_kwargs,
            "startedBy": run.run_id,
            "taskDefinition": self._definition(self._definitions[gpu], image),
        }
        for name in (*(_FARGATE_ONLY if gpu else _EC2_ONLY), "launchType", "capacityProviderStrategy"):
            arguments.pop(name, None)
        if self._subnets:
            arguments["networkConfiguration"] = {
                "awsvpcConfiguration": {
                    "subnets": self._subnets,
                    "securityGroups": self._security_groups,
                    # Refused by ECS for tasks on EC2.
                    **({} if gpu else {"assignPublicIp": self._public_ip}),
                }
            }
        strategy = self._gpu_place(run) if gpu else self._cpu_strategy
        if strategy:
            arguments["capacityProviderStrategy"] = strategy
        else:
            arguments["launchType"] = "EC2" if gpu else "FARGATE"
        return arguments

    def _needs_gpu(self, run: dg.DagsterRun) -> bool:
        """Asked several times in a launch; plans are named by their content, so the answer for one stays true."""
        steps = run.step_keys_to_execute or ()
        key = (run.tags.get(COMPUTE_TAG), run.execution_plan_snapshot_id, *steps)
        if key not in self._routes:
            self._routes[key] = needs_gpu(self._instance, run)
        return self._routes[key]

    def _gpu_place(self, run: dg.DagsterRun) -> list[dict[str, Any]]:
        lost = machines_lost(self._instance, run)
        if self._on_demand and lost >= self._interruptions_before_on_demand:
            words = f"{lost} machines were lost or never came: this attempt goes to {self._on_demand}."
            self._instance.report_engine_event(words, run, cls=type(self))
            return [{"capacityProvider": self._on_demand, "weight": 1}]
        return self._gpu_strategy

    def get_cpu_and_memory_overrides(self, container_context: Any, run: dg.DagsterRun) -> Mapping[str, str]:
        if not self._needs_gpu(run):
            return super().get_cpu_and_memory_overrides(container_context, run)
        if self._machine is None:
            return {}
        return {"cpu": str(self._machine.task_cpu), "memory": str(self._machine.task_memory_mib)}

    def _get_task_overrides(self, container_context: Any, run: dg.DagsterRun) -> Mapping[str, Any]:
        overrides = dict(super()._get_task_overrides(container_context, run))
        if self._needs_gpu(run):
            # A machine on EC2 has the disk it has.
            overrides.pop("ephemeralStorage", None)
        return overrides

    def _get_container_overrides(self, run: dg.DagsterRun) -> Mapping[str, Any]:
        overrides = dict(super()._get_container_overrides(run))
        if self._needs_gpu(run):
            overrides.setdefault("resourceRequirements", [{"type": "GPU", "value": "1"}])
        return overrides

    def _get_command_args(self, run_args: Any, context: Any) -> Sequence[str]:
        """The command of the worker, compressed where it would not fit into what ECS takes."""
        command = list(super()._get_command_args(run_args, context))
        if len(json.dumps(command)) <= _OVERRIDES_LIMIT - _ROOM or not isinstance(run_args, ExecuteRunArgs):
            return command
        packed = base64.b64encode(zlib.compress(command[-1].encode(), 9)).decode()
        command = [*command[:-1], "--compressed-input-json", packed]
        if len(json.dumps(command)) > _OVERRIDES_LIMIT - _ROOM:
            raise RuntimeError(
                f"The command of run {run_args.run_id} has {len(json.dumps(command))} characters and ECS takes "
                f"{_OVERRIDES_LIMIT} for all overrides. Make dagster.yaml smaller: all of it travels in the command."
            )
        return command

    def _run_task(self, **arguments: Any) -> Mapping[str, Any]:
        try:
            return super()._run_task(**arguments)
        except RetryableEcsException:
            raise
        except Exception as error:
            # Without a capacity provider there may be no room just now.
            if "RESOURCE:" in str(error):
                raise RetryableEcsException(str(error)) from error
            raise

    def _definition(self, definition: str, image: str | None) -> str:
        """The task definition for a code location's image: ``definition`` itself, or a copy of it with that image."""
        if not image:
            return definition
        if (definition, image) not in self._of_image:
            self._of_image[definition, image] = definition_with(self.ecs, definition, self.container_name, image)
        return self._of_image[definition, image]

    def _set_run_tags(self, run_id: str, cluster: str, task_arn: str) -> None:
        super()._set_run_tags(run_id, cluster, task_arn)
        self._instance.add_run_tags(run_id, {_HAS_TASK_TAG: run_id})

    def _get_run_tags(self, run_id: str) -> Tags:
        """The run's task and cluster.

        A daemon that ends between starting a task and noting it leaves a run that seems to have no worker. It would be
        started a second time beside the first; so the task is looked for, by the name of who started it.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.tags.get(_HAS_TASK_TAG) == run_id:
            return super()._get_run_tags(run_id)
        cluster = self.run_task_kwargs.get("cluster", "default")
        found = self.ecs.list_tasks(cluster=cluster, startedBy=run_id)["taskArns"]
        if not found:
            return Tags(None, None, None, None)
        self._set_run_tags(run_id, cluster, found[0])
        return super()._get_run_tags(run_id)

    def _task_of(self, run: dg.DagsterRun) -> Mapping[str, Any] | None:
        tags = self._get_run_tags(run.run_id)
        if not (tags.arn and tags.cluster):
            return None
        tasks = self.ecs.describe_tasks(tasks=[tags.arn], cluster=tags.cluster).get("tasks")
        return tasks[0] if tasks else None

    def _settle(self, run: dg.DagsterRun) -> None:
        """Note if an earlier attempt lost its machine, and stop what it has left behind."""
        task = None if has_lost_machine(run) or not run.is_finished else self._task_of(run)
        if task is None:
            return
        loss = explain_loss(run, task)
        if loss:
            note_lost_machine(self._instance, run)
            self._instance.report_engine_event(f"The worker stopped: {loss}.", run, cls=type(self))
        self._stop(task)

    def _stop(self, task: Mapping[str, Any]) -> None:
        if task.get("lastStatus") not in ENDED:
            self.ecs.stop_task(task=task["taskArn"], cluster=task["clusterArn"], reason="Its run is over")
            _LOG.info("stopped the task %s, whose run is over", task["taskArn"])
