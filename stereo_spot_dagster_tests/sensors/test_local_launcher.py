"""Whether a run's process is alive, told from the process table."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.launcher import WorkerStatus

from stereo_spot_dagster.local_launcher import LocalRunLauncher, is_running

from ..e2e.stack import REPOSITORY


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance with the repository's own configuration."""
    shutil.copy(REPOSITORY / "dagster.yaml", tmp_path / "dagster.yaml")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


@pytest.fixture
def child() -> Iterator[subprocess.Popen]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def report_start(instance: dg.DagsterInstance, pid: int) -> dg.DagsterRun:
    """A run that process ``pid`` says it executes."""
    run = instance.add_run(dg.DagsterRun(job_name="any", status=dg.DagsterRunStatus.STARTED))
    event = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, "any", message="started", pid=pid)
    instance.report_dagster_event(event, run.run_id)
    return run


def health(instance: dg.DagsterInstance, run: dg.DagsterRun) -> WorkerStatus:
    launcher = instance.run_launcher
    assert isinstance(launcher, LocalRunLauncher)
    assert launcher.supports_check_run_worker_health
    return launcher.check_run_worker_health(run).status


def test_a_run_is_alive_while_its_process_is_and_failed_when_it_is_gone(
    instance: dg.DagsterInstance, child: subprocess.Popen
) -> None:
    run = report_start(instance, child.pid)
    assert health(instance, run) is WorkerStatus.RUNNING
    child.kill()
    child.wait()
    assert health(instance, run) is WorkerStatus.FAILED


def test_a_process_that_ended_and_was_not_collected_is_gone(
    instance: dg.DagsterInstance, child: subprocess.Popen
) -> None:
    run = report_start(instance, child.pid)
    child.kill()
    time.sleep(0.3)
    assert health(instance, run) is WorkerStatus.FAILED


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells when a process was born")
def test_a_later_process_of_the_same_number_is_not_taken_for_it() -> None:
    assert is_running(os.getpid(), time.time())
    assert not is_running(os.getpid(), time.time() - 1_000_000)


def test_a_run_that_never_started_is_not_known(instance: dg.DagsterInstance) -> None:
    run = instance.add_run(dg.DagsterRun(job_name="any", status=dg.DagsterRunStatus.STARTED))
    assert health(instance, run) is WorkerStatus.UNKNOWN
