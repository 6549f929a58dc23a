"""What an operator sees and does in Dagster's UI, with a real browser where one is installed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg
import pytest

from stereo_spot_dagster.convert.progress import known_videos
from stereo_spot_dagster.convert.workspace import Workspace

from .clips import FAST, make_clip
from .graphql import backfill, launch_job, materialize, reexecute, wait_for_run
from .stack import Home, Stack, running_stack, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SEGMENT_ASSETS = ["depth_segments", "stereo_segments"]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with one finished video of two segments and one refused file."""
    home = Home.make(tmp_path_factory.mktemp("ui") / "home")
    make_clip(home.drop / "clip.mp4")
    (home.drop / "clip.yaml").write_text(FAST)
    (home.drop / "broken.mp4").write_bytes(bytes(range(256)) * 40)
    with running_stack(home) as stack:
        wait_for(lambda: (home.done / "clip_LRF_Full_SBS.mp4").exists(), 240, "the finished clip")
        wait_for(lambda: count(stack, "final_video") == 1, 30, "its materialization")
        yield stack


@pytest.fixture(scope="module")
def video(stack: Stack) -> str:
    return next(video for video in known_videos(Workspace.local(stack.home.path)) if video.startswith("clip"))


@pytest.fixture(scope="module")
def page(stack: Stack) -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        page = browser.new_page(viewport={"width": 1500, "height": 1300})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def count(stack: Stack, asset: str, partition: str | None = None) -> int:
    """How often an asset was materialized."""
    with stack.home.instance() as instance:
        wanted = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[partition] if partition else None)
        return len(instance.fetch_materializations(wanted, limit=1000).records)


def open_partition(page: Any, stack: Stack, asset: str, partition: str) -> None:
    page.goto(f"{stack.url}/assets/{asset}?view=partitions&partition={quote(partition)}")


def test_the_graph_leads_from_the_source_through_the_segments_to_the_result(page: Any, stack: Stack) -> None:
    page.goto(f"{stack.url}/assets/stereo_segments?view=lineage&lineageDepth=5")
    for name in ("source_video", "segments", "depth_segments", "stereo_segments", "final_video"):
        page.get_by_text(name, exact=True).first.wait_for()
    for group in ("intake", "conversion", "delivery"):
        page.get_by_text(group, exact=True).first.wait_for()


def test_a_segment_shows_its_pictures_and_settings(page: Any, stack: Stack, video: str) -> None:
    open_partition(page, stack, "stereo_segments", f"{video}.00000")
    page.get_by_text("Show Markdown").first.click()
    picture = page.get_by_role("img", name="left, depth, right, anaglyph")
    picture.wait_for()
    width = picture.evaluate("picture => picture.naturalWidth")
    assert width >= 600
    assert picture.evaluate("picture => picture.complete && picture.naturalHeight > 0")


def test_the_result_shows_where_it_lies_and_what_it_was_made_with(page: Any, stack: Stack, video: str) -> None:
    open_partition(page, stack, "final_video", video)
    page.get_by_text("clip_LRF_Full_SBS.mp4").first.wait_for()
    page.get_by_text("ultrafast").first.wait_for()


def test_the_checks_of_the_result_are_shown_as_passed(page: Any, stack: Stack) -> None:
    page.goto(f"{stack.url}/assets/final_video?view=checks")
    for check in ("audio_identical", "frame_times", "color_tags"):
        page.get_by_text(check).first.wait_for()


def test_a_refused_file_is_a_failed_run_with_a_sentence(page: Any, stack: Stack) -> None:
    with stack.home.instance() as instance:
        (run,) = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
    page.goto(f"{stack.url}/runs/{run.run_id}")
    page.get_by_text("broken.mp4: it is not a video file").first.wait_for()


def test_a_segment_rerun_in_the_ui_is_made_anew_and_joined_once(stack: Stack, video: str) -> None:
    (depth,) = (stack.home.path / "videos" / video / "depth").glob("*/00001_*.mkv")
    before = depth.stat().st_ino, count(stack, "final_video")
    run = wait_for_run(stack, launch_job(stack, "convert_segment", f"{video}.00001"))
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert depth.stat().st_ino != before[0]
    wait_for(lambda: count(stack, "final_video") > before[1], 120, "the video to be joined again")
    _wait_for_ticks(stack, "join", 2)
    assert count(stack, "final_video") == before[1] + 1


def test_a_backfill_of_segments_works_and_is_joined_once(stack: Stack, video: str) -> None:
    before = count(stack, "stereo_segments"), count(stack, "final_video")
    backfill(stack, SEGMENT_ASSETS, [f"{video}.00000", f"{video}.00001"])
    wait_for(lambda: count(stack, "stereo_segments") == before[0] + 2, 180, "both segments")
    wait_for(lambda: count(stack, "final_video") > before[1], 120, "the video to be joined again")
    _wait_for_ticks(stack, "join", 2)
    assert count(stack, "final_video") == before[1] + 1


def test_a_failed_run_goes_on_from_its_failure(stack: Stack, video: str) -> None:
    (cut,) = (stack.home.path / "videos" / video / "segments").glob("00000_*.mkv")
    hidden = cut.rename(cut.with_suffix(".hidden"))
    failed = wait_for_run(stack, materialize(stack, SEGMENT_ASSETS, f"{video}.00000"))
    hidden.rename(cut)
    assert failed.status is dg.DagsterRunStatus.FAILURE
    again = wait_for_run(stack, reexecute(stack, failed.run_id))
    assert again.status is dg.DagsterRunStatus.SUCCESS


def test_a_video_handed_in_from_the_launchpad_is_carried_on_to_the_done_folder(stack: Stack, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "other.mp4", frames=16, color="blue")
    settings = {"layouts": ["anaglyph-dubois"], "preset": "ultrafast", "segment_frames": 16}
    config = {"ops": {"hand_in": {"config": {"source": str(clip), "settings": settings}}}}
    assert wait_for_run(stack, launch_job(stack, "add_video", config=config)).status is dg.DagsterRunStatus.SUCCESS
    wait_for(lambda: (stack.home.done / "other_redcyan_dubois.mp4").exists(), 180, "the result")


def _wait_for_ticks(stack: Stack, sensor: str, number: int) -> None:
    """Let a sensor look again, so that a second run would have been asked for."""

    def ticks() -> int:
        with stack.home.instance() as instance:
            state = next(state for state in instance.all_instigator_state() if state.name == sensor)
            return len(instance.get_ticks(state.instigator_origin_id, state.selector_id))

    wanted = ticks() + number
    wait_for(lambda: ticks() >= wanted, 90, f"{number} more ticks of {sensor}")
