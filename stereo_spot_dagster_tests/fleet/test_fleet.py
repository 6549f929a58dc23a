"""The whole fleet, with everything that goes wrong with machines: two videos are dropped, and both come out whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest

from stereo_spot_dagster.assets.partitions import PARTITION_TAG
from stereo_spot_dagster.fleet.attempts import has_lost_machine

from ..e2e.graphql import materialize
from ..tiny_models import make_tiny_models
from .agent import Task, most_at_once
from .deployed import CPU, GPU, ON_DEMAND, SPOT
from .footage import make_footage, problems
from .world import GPU_LIMIT, START_TIMEOUT_S, World, running_world

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

# Trained networks, so that segments need a GPU; tiny ones, and small pictures for them.
SETTINGS = {
    "depth": "depth-anything-v2-small",
    "picture_depth": "side=98",
    "inpaint": "background",
    "preset": "ultrafast",
    "segment_frames": "16",
}
# Name: frames, number of the first one.
CLIPS = {"film": (64, 1), "short": (32, 101)}


@dataclass
class History:
    """What was done to the fleet while it worked.

    Attributes:
        world: the fleet, which has finished everything.
        sources: what was dropped, by name.
        without_machine: the runs for which no machine came.
        vanished, crashed, reclaimed: the segments whose machine was gone without notice, whose worker crashed, and
            whose machine was taken back with notice, after none had come for it before.
    """

    world: World
    sources: dict[str, Path]
    without_machine: list[dg.DagsterRun] = field(default_factory=list)
    vanished: str = ""
    crashed: str = ""
    reclaimed: str = ""

    def result(self, name: str, folder: Path) -> Path:
        return self.world.fetch(f"{name}_LRF_Full_SBS.mp4", folder)

    def tasks(self, partition: str) -> list[Task]:
        """The tasks of a segment, one for each attempt."""
        tasks = [self.world.agent.of_run(run.run_id) for run in self.world.attempts(partition)]
        return [task for task in tasks if task]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """Two clips dropped at once into a fleet that has no Spot machine at first, and then loses what it has."""
    folder = tmp_path_factory.mktemp("fleet")
    models = make_tiny_models(folder / "models")
    sources = {name: make_footage(folder / f"{name}.mp4", *clip) for name, clip in CLIPS.items()}
    with running_world(folder, models, {SPOT: 0, ON_DEMAND: 1}) as world:
        told = History(world, sources)
        world.agent.without_image = 1
        for source in sources.values():
            world.drop(source, **SETTINGS)
        no_machine_comes(told)
        world.agent.machines[SPOT] = 2
        machines_are_lost(told)
        state_is_interrupted(told)
        spot_takes_a_machine_back(told)
        for name in CLIPS:
            world.wait_for(lambda name=name: world.finished(f"{name}_LRF_Full_SBS.mp4"), f"the finished {name}")
        world.wait_for(lambda: not world.runs(statuses=[dg.DagsterRunStatus.STARTED]), "the last run to end")
        yield told


def no_machine_comes(told: History) -> None:
    """The first segments wait until their runs are given up."""
    failed = [dg.DagsterRunStatus.FAILURE]

    def given_up() -> list[dg.DagsterRun]:
        runs = told.world.runs("convert_segment", failed)
        return runs if len(runs) == GPU_LIMIT else []

    told.without_machine = told.world.wait_for(given_up, "the runs without a machine to be given up")


def machines_are_lost(told: History) -> None:
    """Of the next two segments, one loses its machine without notice and one has a worker that crashes."""
    waited = {run.tags[PARTITION_TAG] for run in told.without_machine}

    def running() -> list[tuple[str, Task]]:
        others = {run.tags[PARTITION_TAG] for run in told.world.runs("convert_segment")} - waited
        found = [(name, told.world.segment_task(name)) for name in sorted(others)]
        here = [(name, task) for name, task in found if task]
        return here if len(here) == GPU_LIMIT else []

    (told.vanished, first), (told.crashed, second) = told.world.wait_for(running, "two segments at work")
    told.world.agent.reclaim(first, notice=False)
    told.world.agent.crash(second)


def state_is_interrupted(told: History) -> None:
    """The daemon is killed and the database restarted while segments are at work."""
    touched = {told.vanished, told.crashed}

    def at_work() -> bool:
        names = {run.tags[PARTITION_TAG] for run in told.world.runs("convert_segment")} - touched
        return any(told.world.segment_task(name) for name in names)

    told.world.wait_for(at_work, "another segment at work")
    told.world.services["daemon"].kill()
    told.world.database.stop()
    told.world.database.start()
    told.world.services["daemon"].start()


def spot_takes_a_machine_back(told: History) -> None:
    """A segment for which no machine came loses the one of its second attempt, with notice."""
    names = [run.tags[PARTITION_TAG] for run in told.without_machine]

    def found() -> tuple[str, Task] | None:
        tasks = [(name, told.world.segment_task(name)) for name in names]
        return next(((name, task) for name, task in tasks if task), None)

    told.reclaimed, task = told.world.wait_for(found, "the second attempt of a segment without a machine")
    told.world.agent.reclaim(task, notice=True)


@pytest.mark.parametrize("name", CLIPS)
def test_a_dropped_clip_is_finished_with_every_frame_at_its_time_and_its_sound(
    history: History, tmp_path: Path, name: str
) -> None:
    assert problems(history.sources[name], *CLIPS[name], history.result(name, tmp_path)) == []


def test_segments_are_gpu_tasks_of_a_capacity_provider_and_all_else_is_fargate(history: History) -> None:
    kinds = {"take_in": {(CPU, "FARGATE")}, "finish": {(CPU, "FARGATE")}, "convert_segment": {(GPU, SPOT)}}
    kinds["convert_segment"].add((GPU, ON_DEMAND))
    for job, expected in kinds.items():
        tasks = [history.world.agent.of_run(run.run_id) for run in history.world.runs(job)]
        assert {(task.family, task.provider) for task in tasks if task} == expected
    gpu = history.world.agent.found(lambda task: task.family == GPU)
    required = [task.asked["overrides"]["containerOverrides"][0]["resourceRequirements"] for task in gpu]
    assert all(each == [{"type": "GPU", "value": "1"}] for each in required)


def test_segments_of_both_clips_use_all_gpu_machines_and_never_more_than_the_limit(history: History) -> None:
    on_spot = history.world.agent.found(lambda task: task.provider == SPOT)
    assert most_at_once(task.span for task in on_spot) == 2
    assert most_at_once(history.world.run_spans(job_name="convert_segment")) == GPU_LIMIT


def test_no_two_runs_ever_work_on_one_partition(history: History) -> None:
    for name in {run.tags[PARTITION_TAG] for run in history.world.runs()}:
        assert most_at_once(history.world.run_spans(tags={PARTITION_TAG: name})) == 1


def test_a_run_whose_worker_never_began_says_so_and_is_tried_again(history: History) -> None:
    attempts = [history.world.attempts(video, "take_in") for video in _videos(history.world)]
    lost, again = next(runs for runs in attempts if len(runs) > 1)
    assert "its container never started (CannotPullContainerError" in history.world.failure(lost)
    assert again.status is dg.DagsterRunStatus.SUCCESS


def test_a_run_for_which_no_machine_comes_says_so_leaves_nothing_waiting_and_is_tried_again(history: History) -> None:
    assert len(history.without_machine) == GPU_LIMIT
    for run in history.without_machine:
        words = history.world.failure(run)
        assert f"{START_TIMEOUT_S} seconds to start" in words
        assert f"No machine came: its task still waits for one of the capacity provider {SPOT}" in words
        task = history.world.agent.of_run(run.run_id)
        assert task
        assert (task.started_s, task.is_over) == (None, True)
        assert len(history.world.attempts(run.tags[PARTITION_TAG])) > 1


def test_a_run_whose_machine_vanished_says_so_and_is_tried_again_on_another(history: History) -> None:
    first, second = history.world.attempts(history.vanished)
    assert "its machine was taken back (Host EC2 (instance i-0123456789abcdef0) terminated.)" in (
        history.world.failure(first)
    )
    assert has_lost_machine(first)
    assert second.status is dg.DagsterRunStatus.SUCCESS


def test_a_worker_that_is_told_to_stop_has_lost_its_machine_and_after_two_an_attempt_goes_on_demand(
    history: History,
) -> None:
    first, second, third = history.world.attempts(history.reclaimed)
    assert [has_lost_machine(run) for run in (first, second, third)] == [True, True, False]
    assert "its machine was taken back" in history.world.said(second)
    assert [task.provider for task in history.tasks(history.reclaimed)] == [SPOT, SPOT, ON_DEMAND]
    assert third.status is dg.DagsterRunStatus.SUCCESS


def test_a_crashed_worker_shows_its_last_lines_and_is_tried_again(history: History) -> None:
    first, second = history.world.attempts(history.crashed)
    words = history.world.failure(first)
    assert "it was killed (exit code 137" in words
    assert "Started execution of run" in words.partition("Its last lines:")[2]
    assert not has_lost_machine(first)
    assert second.status is dg.DagsterRunStatus.SUCCESS


def test_nothing_is_made_twice(history: History) -> None:
    world = history.world
    segments = {f"{video}.{index:05d}" for video, count in _videos(world).items() for index in range(count)}
    assert len(segments) == 6
    for asset in ("depth_segments", "stereo_segments"):
        assert world.materialized(asset) == dict.fromkeys(segments, 1)
    for asset in ("source_video", "segments", "final_video"):
        assert world.materialized(asset) == dict.fromkeys(_videos(world), 1)


def test_a_segment_materialized_in_the_ui_goes_to_a_gpu_machine(history: History) -> None:
    world = history.world
    partition = history.vanished
    run_id = materialize(world, ["stereo_segments"], partition)  # type: ignore[arg-type]
    task = world.wait_for(lambda: world.agent.of_run(run_id), "the task of the run")
    assert (task.family, task.provider) == (GPU, SPOT)


def _videos(world: World) -> dict[str, int]:
    """The videos and how many segments each has."""
    names = {run.tags[PARTITION_TAG] for run in world.runs("take_in")}
    return {name: CLIPS[name.rpartition("-")[0]][0] // int(SETTINGS["segment_frames"]) for name in names}
