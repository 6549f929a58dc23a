"""Which runs need a GPU, and which have met a Spot machine that was taken back."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg

from ..assets.partitions import COMPUTE_TAG

GPU, CPU = "gpu", "cpu"
# On a run whose machine went, or for which none came: its retries count these.
LOST_MACHINE_TAG = "stereo_spot/lost_machine"


def needs_gpu(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """True if a step of the run says that it needs a GPU.

    A tag of the run itself wins. Otherwise the steps' tags decide: they are in the execution plan of every run, also of
    those started in the UI, by a backfill or by automation, which carry no tags of ours.
    """
    asked = run.tags.get(COMPUTE_TAG)
    if asked in (GPU, CPU):
        return asked == GPU
    if run.execution_plan_snapshot_id is None:
        return False
    plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
    chosen = set(run.step_keys_to_execute or plan.step_keys_to_execute)
    tags = (step.tags or {} for step in plan.steps if step.key in chosen)
    return any(step_tags.get(COMPUTE_TAG) == GPU for step_tags in tags)


def machines_lost(instance: dg.DagsterInstance, run: dg.DagsterRun) -> int:
    """How many earlier attempts of this run lost their machine, or never got one."""
    return sum(1 for earlier in _earlier_attempts(instance, run) if LOST_MACHINE_TAG in earlier.tags)


def _earlier_attempts(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterable[dg.DagsterRun]:
    if run.root_run_id is None:
        return []
    group = instance.get_run_group(run.run_id)
    return [other for other in (group[1] if group else []) if other.run_id != run.run_id]
