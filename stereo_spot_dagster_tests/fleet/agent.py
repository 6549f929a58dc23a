"""Plays ECS: takes the tasks that were started, gives them a machine, runs their containers, tells how they end."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from .container import Container
from .told import Told

_POLL_S = 0.25
# Docker kills a container that is told to stop and does not end; the fleet's tasks have two minutes.
_STOP_S = 110.0
_FARGATE = "FARGATE"


@dataclass
class Task:
    """A task and what became of it.

    Attributes:
        asked: how ECS described it when it was new.
        provider: what its machine comes from: ``FARGATE`` or a capacity provider.
        started_s, stopped_s: when its container ran; None if it did not yet.
        told: its end as ECS is told it, where the agent itself decided it.
    """

    asked: Mapping[str, Any]
    provider: str
    container: Container | None = None
    started_s: float | None = None
    stopped_s: float | None = None
    is_over: bool = False
    signalled_s: float | None = None
    told: Told | None = None

    @property
    def arn(self) -> str:
        return self.asked["taskArn"]

    @property
    def run_id(self) -> str:
        return next(tag["value"] for tag in self.asked["tags"] if tag["key"] == "dagster/run_id")

    @property
    def family(self) -> str:
        return self.asked["taskDefinitionArn"].rpartition("/")[2].partition(":")[0]

    @property
    def span(self) -> tuple[float | None, float | None]:
        """When its container ran."""
        return self.started_s, self.stopped_s

    @property
    def is_running(self) -> bool:
        return self.started_s is not None and not self.is_over


class Agent:
    """ECS with its machines; works in a thread until it is closed.

    Args:
        cluster: whose tasks it runs.
        endpoint: of the simulated account.
        image: environment of every container.
        machines: how many tasks there may be at a time on each capacity provider; Fargate has room for all.
        folder: for what the containers print.

    Attributes:
        without_image: of so many of the next tasks the image cannot be pulled.
    """

    def __init__(
        self, cluster: str, endpoint: str, image: Mapping[str, str], machines: Mapping[str, int], folder: Path
    ) -> None:
        self.machines = dict(machines)
        self.tasks: dict[str, Task] = {}
        self.without_image = 0
        self.error: BaseException | None = None
        self._cluster, self._endpoint, self._image, self._folder = cluster, endpoint, image, folder
        self._ecs: Any = boto3.client("ecs")
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="ecs", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End all containers."""
        self._closed.set()
        self._thread.join()
        for task in self.tasks.values():
            if task.container:
                task.container.kill()

    def of_run(self, run_id: str) -> Task | None:
        with self._lock:
            return next((task for task in self.tasks.values() if task.run_id == run_id), None)

    def found(self, wanted: Callable[[Task], bool]) -> list[Task]:
        """The tasks like this, in the order they were started."""
        with self._lock:
            return [task for task in self.tasks.values() if wanted(task)]

    def reclaim(self, task: Task, *, notice: bool) -> None:
        """AWS takes a Spot machine back.

        Args:
            task: that it runs.
            notice: the container is told to stop first; else the machine is just gone.
        """
        with self._lock:
            assert task.is_running
            assert task.container
            words = "Host EC2 (instance i-0123456789abcdef0) terminated."
            task.told = Told(task=task.arn, status="STOPPED", stop_code="TerminationNotice", reason=words)
            if notice:
                task.container.signal(signal.SIGTERM)
            else:
                task.container.kill()

    def crash(self, task: Task) -> None:
        """Its process ends by SIGKILL, as one that is out of memory or has a bug in native code."""
        with self._lock:
            assert task.is_running
            assert task.container
            task.container.kill()

    def _work(self) -> None:
        try:
            while not self._closed.wait(_POLL_S):
                self._look()
        except BaseException as error:
            self.error = error
            raise

    def _look(self) -> None:
        arns = [arn for arn in self._ecs.list_tasks(cluster=self._cluster)["taskArns"] if not self._is_over(arn)]
        if not arns:
            return
        described = self._ecs.describe_tasks(cluster=self._cluster, tasks=arns, include=["TAGS"])["tasks"]
        with self._lock:
            for found in described:
                task = self.tasks.setdefault(found["taskArn"], Task(found, _provider(found)))
                self._attend(task, stop=found["desiredStatus"] == "STOPPED")

    def _is_over(self, arn: str) -> bool:
        task = self.tasks.get(arn)
        return task is not None and task.is_over

    def _attend(self, task: Task, *, stop: bool) -> None:
        if task.container is None:
            if stop:
                self._end(task, Told(task=task.arn, status="STOPPED"))
            elif self.without_image:
                self.without_image -= 1
                words = "CannotPullContainerError: the registry did not answer"
                self._end(task, Told(task=task.arn, status="STOPPED", stop_code="TaskFailedToStart", reason=words))
            elif self._has_room(task.provider):
                self._start(task)
            return
        if stop and task.signalled_s is None:
            task.container.signal(signal.SIGTERM)
            task.signalled_s = time.monotonic()
        if task.signalled_s is not None and time.monotonic() > task.signalled_s + _STOP_S:
            task.container.kill()
        code = task.container.exit_code
        if code is not None:
            task.container.ship_log()
            words = "Essential container in task exited"
            ended = Told(
                task=task.arn, status="STOPPED", stop_code="EssentialContainerExited", reason=words, exit_code=code
            )
            self._end(task, task.told or ended)

    def _has_room(self, provider: str) -> bool:
        busy = sum(task.is_running and task.provider == provider for task in self.tasks.values())
        return provider == _FARGATE or busy < self.machines[provider]

    def _start(self, task: Task) -> None:
        Told(task=task.arn, status="PENDING").send(self._endpoint)
        definition = self._ecs.describe_task_definition(taskDefinition=task.asked["taskDefinitionArn"])
        log = self._folder / f"{task.arn.rpartition('/')[2]}.log"
        task.container = Container(task.asked, definition["taskDefinition"], self._image, log)
        task.started_s = time.monotonic()
        Told(task=task.arn, status="RUNNING").send(self._endpoint)

    def _end(self, task: Task, told: Told) -> None:
        if task.started_s is not None:
            task.stopped_s = time.monotonic()
        task.is_over = True
        told.send(self._endpoint)


def _provider(task: Mapping[str, Any]) -> str:
    return task.get("capacityProviderName") or task["launchType"]


def most_at_once(spans: Iterable[tuple[float | None, float | None]]) -> int:
    """How many of these (begin, end) overlapped at most; what has no begin did not happen, what has no end goes on."""
    begun = [(begin, end) for begin, end in spans if begin is not None]
    changes = [(begin, 1) for begin, _ in begun] + [(end, -1) for _, end in begun if end is not None]
    running = most = 0
    for _, change in sorted(changes):
        running += change
        most = max(most, running)
    return most
