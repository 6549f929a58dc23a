"""What became of an ECS task: it waits, its machine was taken back, it was told to stop, or it crashed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# stopCode of tasks on Fargate Spot, and what ECS writes for a task whose EC2 machine goes.
_SPOT_CODES = ("SpotInterruption", "TerminationNotice")
_MACHINE_GONE = re.compile(
    r"spot|host ec2 \(instance .*\) (terminated|stopped)|instance termination|capacity ?provider|draining",
    re.IGNORECASE,
)
_KILLED = 137
# Of a task's ``lastStatus``.
WAITING = ("PROVISIONING", "PENDING")
ENDED = ("STOPPED", "DEPROVISIONING")
_TOLD_TO_STOP = 143


@dataclass(frozen=True)
class Stop:
    """How a task ended.

    Attributes:
        machine_lost: True if its machine was taken away; nothing is wrong with the work.
        words: one sentence for a person.
    """

    machine_lost: bool
    words: str


def explain_stop(task: Mapping[str, Any]) -> Stop:
    """What happened to a stopped task, from its description by ECS (``DescribeTasks``)."""
    reason, code = task.get("stoppedReason") or "", task.get("stopCode") or ""
    containers = [c for c in task.get("containers") or () if c.get("exitCode") != 0 or c.get("reason")]
    detail = "; ".join(filter(None, (c.get("reason") for c in containers)))
    if code in _SPOT_CODES or _MACHINE_GONE.search(reason):
        return Stop(True, f"its machine was taken back ({reason or code})")
    exits = [c.get("exitCode") for c in task.get("containers") or ()]
    if "OutOfMemory" in detail or (_KILLED in exits and "memory" in f"{reason} {detail}".lower()):
        return Stop(False, f"it used more memory than its task has ({detail or reason}). Give the task more memory")
    if _KILLED in exits:
        return Stop(False, f"it was killed (exit code {_KILLED}; {reason or 'no reason given'})")
    if _TOLD_TO_STOP in exits or (exits and all(value == 0 for value in exits)):
        return Stop(False, f"it was told to stop before its run was finished ({reason or 'no reason given'})")
    if not exits or all(value is None for value in exits):
        return Stop(False, f"its container never started ({detail or reason or 'no reason given'})")
    first = next(value for value in exits if value)
    return Stop(False, f"it crashed with exit code {first} ({detail or reason or 'no reason given'})")


def explain_wait(task: Mapping[str, Any]) -> str:
    """Why a run has not begun in time, from its task's description, with what to do about it."""
    status, provider = task.get("lastStatus"), task.get("capacityProviderName")
    if status == "PROVISIONING" and provider:
        return (
            f"No machine came: its task still waits for one of the capacity provider {provider}. "
            "See 'Spot has no machines' in infra/README.md"
        )
    if status in ENDED:
        return f"The worker stopped before it began: {explain_stop(task).words}."
    if status in WAITING:
        return f"Its task is {status}: it waits for a network address, or its image is still being pulled."
    return f"Its task is {status}, but its worker has not reported."
