"""The real stack with its daemon: what is dropped gets finished, whatever is killed or wiped meanwhile."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from stereo_spot_dagster.convert.progress import known_videos
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.local_launcher import process_of

from .clips import FAST, make_clip
from .stack import Home, Stack, running_stack, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that starts with files waiting in its drop folder."""
    home = Home.make(tmp_path_factory.mktemp("drop") / "home")
    make_clip(home.drop / "plain.mp4")
    (home.drop / "plain.yaml").write_text(FAST)
    (home.drop / "half-sbs").mkdir()
    shutil.copy(home.drop / "plain.mp4", home.drop / "half-sbs" / "preset.mp4")
    (home.drop / "half-sbs" / "preset.yaml").write_text(FAST)
    (home.drop / "broken.mp4").write_bytes(bytes(range(256)) * 40)
    shutil.copy(home.drop / "plain.mp4", home.drop / "wrong.mp4")
    (home.drop / "wrong.yaml").write_text("divergence: 99\n")
    with running_stack(home) as stack:
        yield stack


def test_no_crash_and_no_wiped_database_strands_a_video_or_converts_a_segment_twice(tmp_path: Path) -> None:
    home = Home.make(tmp_path / "home")
    make_clip(home.drop / "film.mp4", frames=16 * 6, width=320, height=180)
    (home.drop / "film.yaml").write_text(FAST)
    with running_stack(home) as stack:
        pid = wait_for(lambda: _worker(home), 240, "a segment's worker")
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: len(_conversions(home)) >= 2, 240, "two segments")
        wait_for(lambda: _worker(home), 240, "another worker")
        stack.kill()
    shutil.rmtree(home.path / "dagster" / "schedules")
    with running_stack(home) as stack:
        wait_for(lambda: len(_conversions(home)) >= 4, 240, "four segments")
        for daemon in stack.processes("daemon"):
            os.kill(daemon, signal.SIGKILL)
    before = _conversions(home)
    assert max(before.values()) == 1
    kept = _segment_files(home)
    home.wipe_database()
    with running_stack(home):
        wait_for(lambda: (home.done / "film_LRF_Full_SBS.mp4").exists(), 240, "the finished film")
        after = _conversions(home)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    # Who is killed between storing a segment and saying so leaves no event, but the segment.
    assert len(_segment_files(home)) == 6
    assert max((before + after).values()) == 1


def test_a_dropped_file_is_finished_without_a_click(stack: Stack) -> None:
    wait_for(lambda: (stack.home.done / "plain_LRF_Full_SBS.mp4").exists(), 240, "the plain file")
    assert (stack.home.drop / "plain.mp4").exists()


def test_the_folder_a_file_lies_in_chooses_the_layout(stack: Stack) -> None:
    wait_for(lambda: (stack.home.done / "preset_LR.mp4").exists(), 240, "the half side-by-side file")


def test_a_broken_file_ends_refused_with_its_reason_and_stays_where_it_was(stack: Stack) -> None:
    run = wait_for(lambda: _run_of(stack.home, "broken-", dg.DagsterRunStatus.FAILURE), 240, "a failed run")
    shown = stack.home.run("stereo-spot", "status", run.tags["dagster/partition"]).stdout
    assert "refused" in shown
    assert "broken.mp4" in shown
    assert "broken.mp4" in _failure_sentence(stack.home, run)
    assert (stack.home.drop / "broken.mp4").stat().st_size == 256 * 40


def test_a_wrong_sidecar_is_refused_naming_the_setting_and_accepted_when_corrected(stack: Stack) -> None:
    wait_for(lambda: _refusals(stack.home, "wrong-"), 240, "the refusal")
    assert "wrong.yaml: setting 'divergence'" in _refusals(stack.home, "wrong-")[0]
    (stack.home.drop / "wrong.yaml").write_text("divergence: 1\n" + FAST)
    wait_for(lambda: (stack.home.done / "wrong_LRF_Full_SBS.mp4").exists(), 240, "the corrected file")
    assert _refusals(stack.home, "wrong-") == []


def test_a_growing_file_is_left_alone_until_it_is_complete(stack: Stack, tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "growing.mp4", color="blue").read_bytes()
    with (stack.home.drop / "growing.mp4").open("wb") as file:
        for part in range(0, len(whole), len(whole) // 4 + 1):
            file.write(whole[part : part + len(whole) // 4 + 1])
            file.flush()
            time.sleep(2)
        time.sleep(8)
        assert not _videos(stack.home, "growing-"), "it was taken while somebody had it open for writing"
    wait_for(lambda: (stack.home.done / "growing_LRF_Full_SBS.mp4").exists(), 240, "the grown file")


def test_the_same_file_again_does_nothing_and_other_content_of_that_name_is_another_video(stack: Stack) -> None:
    wait_for(lambda: (stack.home.done / "plain_LRF_Full_SBS.mp4").exists(), 240, "the plain file")
    os.utime(stack.home.drop / "plain.mp4")
    time.sleep(15)
    assert len(_videos(stack.home, "plain-")) == 1
    make_clip(stack.home.drop / "plain.mp4", color="green")
    wait_for(lambda: len(list(stack.home.done.glob("plain_*.mp4"))) == 2, 240, "a second result")
    assert len(_videos(stack.home, "plain-")) == 2
    assert max(_conversions(stack.home).values()) == 1


def _videos(home: Home, prefix: str) -> list[str]:
    return [video for video in known_videos(Workspace.local(home.path)) if video.startswith(prefix)]


def _refusals(home: Home, prefix: str) -> list[str]:
    workspace = Workspace.local(home.path)
    refusals = [workspace.refusal(video) for video in _videos(home, prefix)]
    return [refusal.reason for refusal in refusals if refusal]


def _run_of(home: Home, prefix: str, status: dg.DagsterRunStatus) -> dg.DagsterRun | None:
    with home.instance() as instance:
        runs = instance.get_runs(dg.RunsFilter(statuses=[status]))
    return next((run for run in runs if run.tags.get("dagster/partition", "").startswith(prefix)), None)


def _failure_sentence(home: Home, run: dg.DagsterRun) -> str:
    with home.instance() as instance:
        events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event]
    failure = next(event for event in events if event.is_step_failure).step_failure_data
    return (failure.user_failure_data.description or "") if failure.user_failure_data else ""


def _worker(home: Home) -> int | None:
    """Process id of a worker that converts a segment now."""
    with home.instance() as instance:
        wanted = dg.RunsFilter(job_name="convert_segment", statuses=[dg.DagsterRunStatus.STARTED])
        for run in instance.get_runs(wanted):
            process = process_of(instance, run.run_id)
            if process:
                return process[0]
    return None


def _conversions(home: Home) -> Counter[str]:
    """How often each segment was converted."""
    with home.instance() as instance:
        records = instance.fetch_materializations(dg.AssetKey("stereo_segments"), limit=1000).records
    return Counter(str(record.partition_key) for record in records)


def _segment_files(home: Home) -> dict[Path, int]:
    files = (home.path / "videos").glob("*/stereo/*/*/*.mp4")
    return {path: path.stat().st_mtime_ns for path in files}
