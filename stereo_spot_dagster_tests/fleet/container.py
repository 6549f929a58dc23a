"""A task's container as a process of this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3

_BATCH = 1000


class Container:
    """What ECS starts for a task: the command and the environment that definition and overrides give.

    Args:
        task, definition: as ECS describes them.
        image: environment that the container has from its image and its machine.
        log: file for what it prints.
    """

    def __init__(
        self, task: Mapping[str, Any], definition: Mapping[str, Any], image: Mapping[str, str], log: Path
    ) -> None:
        (self._definition,) = definition["containerDefinitions"]
        (override,) = task["overrides"]["containerOverrides"]
        assert override["name"] == self._definition["name"]
        self._task = task["taskArn"].rpartition("/")[2]
        self._log = log
        self.environment = {
            **image,
            **_named(self._definition.get("environment", [])),
            **{entry["name"]: _secret(entry["valueFrom"]) for entry in self._definition.get("secrets", [])},
            **_named(override.get("environment", [])),
        }
        command = override.get("command") or self._definition["command"]
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                command,
                executable=_program(command[0], self.environment["PATH"]),
                cwd=log.parent,
                env=self.environment,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        """As a shell has it: 128 and the signal's number for one that was killed. None while it runs."""
        code = self._process.poll()
        return code if code is None or code >= 0 else 128 - code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its first process, as Docker does."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL for all of its processes; returns when they are gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def ship_log(self) -> None:
        """Bring what it printed to the log group that its definition names, as the log driver does."""
        options = self._definition["logConfiguration"]["options"]
        group = options["awslogs-group"]
        stream = f"{options['awslogs-stream-prefix']}/{self._definition['name']}/{self._task}"
        client = boto3.client("logs", region_name=options["awslogs-region"])
        client.create_log_stream(logGroupName=group, logStreamName=stream)
        now_ms = int(time.time() * 1000)
        lines = [line for line in self._log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        for start in range(0, len(lines), _BATCH):
            events = [{"timestamp": now_ms, "message": line} for line in lines[start : start + _BATCH]]
            client.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def _named(entries: list[dict[str, str]]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in entries}


def _secret(place: str) -> str:
    """A field of a secret, written ``<ARN>:<field>::``."""
    parts = place.split(":")
    value = boto3.client("secretsmanager").get_secret_value(SecretId=":".join(parts[:7]))["SecretString"]
    return json.loads(value)[parts[7]] if len(parts) > 7 else value


def _program(name: str, path: str) -> str:
    found = next((Path(folder) / name for folder in path.split(":") if (Path(folder) / name).exists()), None)
    assert found, f"{name} is not in the image"
    return str(found)
