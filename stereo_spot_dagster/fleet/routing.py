"""Which runs need a GPU."""

from __future__ import annotations

import dagster as dg

from ..assets.partitions import COMPUTE_TAG

GPU, CPU = "gpu", "cpu"


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
