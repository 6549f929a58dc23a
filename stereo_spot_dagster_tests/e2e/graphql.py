"""What a click in the UI sends: the web server's mutations and a few of its questions."""

from __future__ import annotations

from typing import Any

import dagster as dg

from .stack import LOCATION, REPOSITORY_NAME, Stack, wait_for

_SELECTOR = {"repositoryName": REPOSITORY_NAME, "repositoryLocationName": LOCATION}
_ENDED = ("SUCCESS", "FAILURE", "CANCELED")
_RUN = "{ __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }"


def materialize(stack: Stack, assets: list[str], partition: str) -> str:
    """[Materialize] for one partition; returns the run's id."""
    parameters = {
        "selector": {
            **_SELECTOR,
            "jobName": "__ASSET_JOB",
            "assetSelection": [{"path": [asset]} for asset in assets],
            "assetCheckSelection": None,
        },
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": partition}]},
        "runConfigData": {},
    }
    return _launched(stack, "launchPipelineExecution", "ExecutionParams!", parameters)


def launch_job(stack: Stack, job: str, partition: str | None = None, config: dict[str, Any] | None = None) -> str:
    """[Launch run] in a job's launchpad; returns the run's id."""
    tags = [{"key": "dagster/partition", "value": partition}] if partition else []
    parameters = {
        "selector": {**_SELECTOR, "jobName": job},
        "executionMetadata": {"tags": tags},
        "runConfigData": config or {},
    }
    return _launched(stack, "launchPipelineExecution", "ExecutionParams!", parameters)


def reexecute(stack: Stack, run_id: str, strategy: str = "FROM_FAILURE") -> str:
    """[Re-execute from failure], or all; returns the new run's id."""
    parameters = {"parentRunId": run_id, "strategy": strategy}
    return _launched(stack, "launchPipelineReexecution", "ReexecutionParams", parameters, "reexecutionParams")


def backfill(stack: Stack, assets: list[str], partitions: list[str]) -> str:
    """[Launch backfill] for several partitions; returns its id."""
    text = (
        "mutation($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p)"
        " { __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"
    )
    parameters = {"assetSelection": [{"path": [asset]} for asset in assets], "partitionNames": partitions}
    answer = stack.query(text, p=parameters)["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    return answer["backfillId"]


def wait_for_run(stack: Stack, run_id: str, timeout_s: float = 180.0) -> dg.DagsterRun:
    """The run when it has ended."""

    def ended() -> dg.DagsterRun | None:
        with stack.home.instance() as instance:
            run = instance.get_run_by_id(run_id)
        return run if run and run.status.value in _ENDED else None

    return wait_for(ended, timeout_s, f"run {run_id} to end")


def _launched(stack: Stack, mutation: str, kind: str, parameters: dict[str, Any], name: str = "executionParams") -> str:
    text = f"mutation($p: {kind}) {{ {mutation}({name}: $p) {_RUN} }}"
    answer = stack.query(text, p=parameters)[mutation]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return answer["run"]["runId"]
