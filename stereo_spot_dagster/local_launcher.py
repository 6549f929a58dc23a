"""Runs as child processes of this machine, with an eye on whether they still live."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus

# Time stamps of the log and of the kernel differ by rounding and clock corrections.
_CLOCK_SLACK_S = 60.0


class LocalRunLauncher(DefaultRunLauncher):
    """Dagster's own launcher for one machine, and an answer to whether a run's process is alive.

    Without it nobody notices that a process is gone when the server that started it went with it (power cut, killed
    session): its run would stay 'started' for ever, hold its place in the pool, and block every other run.
    """

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        found = process_of(self._instance, run.run_id)
        if found is None:
            return CheckRunHealthResult(WorkerStatus.UNKNOWN, "no process of this run is known")
        pid, started_s = found
        if is_running(pid, started_s):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"its process {pid} is gone")


def is_running(pid: int, started_s: float) -> bool:
    """Whether the process that had ``pid`` at a POSIX time is still there, and not a later one of that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # Ours can be signalled: this is somebody else's.
        return False
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        # No /proc on this system: the number has to do.
        return True
    state, ticks = fields[0], int(fields[19])
    born_s = _boot_s() + ticks / os.sysconf("SC_CLK_TCK")
    return state not in ("Z", "X") and born_s <= started_s + _CLOCK_SLACK_S


def process_of(instance: dg.DagsterInstance, run_id: str) -> tuple[int, float] | None:
    """(process id, POSIX time) of the process that started to execute the run."""
    records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.RUN_START, limit=1).records
    for record in records:
        event = record.event_log_entry.dagster_event
        if event and event.pid:
            return int(event.pid), record.event_log_entry.timestamp
    return None


def _boot_s() -> float:
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    return 0.0
