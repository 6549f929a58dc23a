"""Sensor: runs whose worker ended before it began are ended too, so that their retry need not wait for a time limit."""

import time

import dagster as dg
from dagster._core.launcher import WorkerStatus

# So long the daemon may take to ask for a worker and to note it.
_LAUNCH_S = 15.0
_RUNS_A_TICK = 50


@dg.sensor(
    name="lost_starts",
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Fails runs whose worker is gone before it began: Dagster itself looks only at those that have begun.",
)
def lost_starts(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    launcher, lost = context.instance.run_launcher, 0
    if not launcher.supports_check_run_worker_health:
        return dg.SkipReason("this launcher cannot tell whether a worker lives")
    waiting = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING])
    for record in context.instance.get_run_records(waiting, limit=_RUNS_A_TICK, ascending=True):
        run = record.dagster_run
        if time.time() - record.update_timestamp.timestamp() < _LAUNCH_S:
            continue
        try:
            health = launcher.check_run_worker_health(run)
            if health.status is WorkerStatus.FAILED and _still_starting(context.instance, run.run_id):
                context.instance.report_run_failed(run, health.msg)
                lost += 1
        except Exception as error:  # one run that cannot be asked about must not hide the others
            context.log.error(f"run {run.run_id} cannot be looked at: {type(error).__name__}: {error}")
    return dg.SkipReason(f"{lost} runs had lost their worker" if lost else "no run lost its worker before it began")


def _still_starting(instance: dg.DagsterInstance, run_id: str) -> bool:
    """True if the run has not begun or ended while its worker was looked at."""
    run = instance.get_run_by_id(run_id)
    return run is not None and run.status is dg.DagsterRunStatus.STARTING
