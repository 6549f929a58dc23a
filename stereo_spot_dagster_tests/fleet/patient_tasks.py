"""moto's ECS tasks, changed: they go from one state to another only when they are told to.

moto knows no waiting for a machine, and its tasks end by being looked at.
"""

from __future__ import annotations

from typing import Any

from moto.ecs import models
from moto.ecs.exceptions import EcsClientException

from .told import Told

_FARGATE = ("FARGATE", "FARGATE_SPOT")
_Backend = models.EC2ContainerServiceBackend
_run_task, _stop_task = _Backend.run_task, _Backend.stop_task


class PatientTask(models.Task):
    """A task that waits for a machine until it is told otherwise."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._transitions = []
        self.status = "PROVISIONING"
        self.stop_code = ""
        for container in self.containers:
            container.exitCode = container.reason = None


def install() -> None:
    """Let moto in this process make such tasks."""
    models.Task = PatientTask  # type: ignore[misc]
    _Backend.run_task, _Backend.stop_task = run_task, stop_task  # type: ignore[method-assign]


def run_task(backend: models.EC2ContainerServiceBackend, *given: Any) -> list[models.Task]:
    """As moto does, but a task of a capacity provider needs no machine yet."""
    *others, strategy = given
    name = strategy[0]["capacityProvider"] if strategy else ""
    if not name or name in _FARGATE:
        return _run_task(backend, *given)
    if name not in backend.capacity_providers:
        raise EcsClientException("The specified capacity provider was not found.")
    tasks = _run_task(backend, *others, [{"capacityProvider": _FARGATE[0]}])
    for task in tasks:
        task.capacity_provider_name = name
    return tasks


def stop_task(backend: models.EC2ContainerServiceBackend, cluster: str, named: str, reason: str) -> models.Task:
    """As ECS does: the task shall stop, and has not stopped yet."""
    (before,) = backend.describe_tasks(cluster, [named])
    status = before.last_status
    task = _stop_task(backend, cluster, named, reason)
    task.last_status, task.stop_code = status, "UserInitiated"
    return task


def tell(told: Told) -> None:
    """Change the task that was named."""
    backends = [backend for regions in models.ecs_backends.values() for backend in regions.values()]
    tasks = {arn: task for backend in backends for named in backend.tasks.values() for arn, task in named.items()}
    task = tasks[told.task]
    task.last_status = told.status
    if told.status == "STOPPED":
        task.desired_status = "STOPPED"
        task.stop_code = task.stop_code or told.stop_code
        task.stopped_reason = task.stopped_reason or told.reason
    for container in task.containers:
        container.last_status, container.exitCode = told.status, told.exit_code
