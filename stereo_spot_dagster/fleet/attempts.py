"""Earlier attempts of a run, and which of them lost their machine or never got one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core.events import RunFailureReason
from dagster._core.storage.tags import RUN_FAILURE_REASON_TAG

from .health import ENDED, WAITING, explain_stop

# On a run whose machine went, or for which none came: its own id, as its retries get its tags too.
_LOST_MACHINE_TAG = "stereo_spot/lost_machine"
_BY_A_PERSON = "UserInitiated"


def earlier_attempts(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[dg.DagsterRun]:
    """The attempts of this run's work before it."""
    if run.root_run_id is None:
        return []
    group = instance.get_run_group(run.run_id)
    return [other for other in (group[1] if group else []) if other.run_id != run.run_id]


def note_lost_machine(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Remember it of this attempt."""
    instance.add_run_tags(run.run_id, {_LOST_MACHINE_TAG: run.run_id})


def has_lost_machine(run: dg.DagsterRun) -> bool:
    """True if it was noted of this attempt."""
    return run.tags.get(_LOST_MACHINE_TAG) == run.run_id


def machines_lost(instance: dg.DagsterInstance, run: dg.DagsterRun) -> int:
    """How many earlier attempts of this run lost their machine, or never got one."""
    return sum(has_lost_machine(earlier) for earlier in earlier_attempts(instance, run))


def explain_loss(run: dg.DagsterRun, task: Mapping[str, Any]) -> str:
    """How an attempt that is over lost its machine, in words; empty if it did not.

    A worker is told to stop before its Spot machine goes. It then ends its run by itself, as failed by an unexpected
    termination, often before ECS knows anything of the machine.
    """
    if task.get("lastStatus") in WAITING:
        return "no machine came for it"
    stop = explain_stop(task) if task.get("lastStatus") in ENDED else None
    if stop and stop.machine_lost:
        return stop.words
    terminated = run.tags.get(RUN_FAILURE_REASON_TAG) == RunFailureReason.UNEXPECTED_TERMINATION.value
    if terminated and task.get("stopCode") != _BY_A_PERSON:
        return "its machine was taken back (the worker was told to stop, and nobody had asked for that)"
    return ""
