"""Every blocking check fails when what it guards is broken; then the run fails and nothing is published."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from stereo_spot_dagster.assets import depth_segments, final_video, segments, source_video, stereo_segments
from stereo_spot_dagster.convert import depth, finish, planning, render
from stereo_spot_dagster.media import frames
from stereo_spot_dagster.media.frames import PictureWriter
from stereo_spot_dagster.media.tools import find_tools
from stereo_spot_dagster.storage import keys
from stereo_spot_dagster.storage.keys import segment_partition
from stereo_spot_dagster.verify.rules import MINOR

from ..e2e.clips import make_clip
from ..verify.films import marked, put_index_last
from ..verify.test_broken_results import BREAKAGES
from .graph import Graph, failed_checks, failure_words, materialized

ALL_CHECKS = {
    (module.NAME, check)
    for module in (source_video, segments, depth_segments, stereo_segments, final_video)
    for check in module.CHECKS
}


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home with a video that is converted but not joined, and the video's key."""
    folder = tmp_path_factory.mktemp("converted")
    graph = Graph(folder / "home")
    video = graph.hand_in(make_clip(folder / "clip.mp4"))
    graph.convert_all(video)
    return graph.home, video


@pytest.fixture
def graph(converted: tuple[Path, str], tmp_path: Path) -> Graph:
    return Graph(shutil.copytree(converted[0], tmp_path / "home"))


@pytest.fixture
def video(converted: tuple[Path, str]) -> str:
    return converted[1]


def assert_blocked(graph: Graph, result: dg.ExecuteInProcessResult, asset: str, check: str) -> None:
    """The check is recorded as failed, the run failed with its words, and nothing was materialized."""
    assert check in failed_checks(result)
    assert not result.success
    assert asset not in materialized(result)
    assert check.replace("_", " ") in failure_words(result)
    assert "Nothing was published" in failure_words(result)
    key = dg.AssetCheckKey(dg.AssetKey(asset), check)
    stored = graph.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])
    assert stored[key].status.value == "FAILED"


def test_every_check_of_every_asset_has_a_case_here() -> None:
    covered = {("source_video", "probe_sane"), ("segments", "covers_each_frame_once")}
    covered |= {("depth_segments", "depth_frame_count")}
    covered |= {("stereo_segments", check) for check in SEGMENT_DAMAGE}
    covered |= {("final_video", check) for check in (*FINAL_DAMAGE, *SMALL_DAMAGE)}
    # Each is reported in the same way; how each notices its damage is tested beside the rules.
    covered |= {("final_video", rule) for rule, _, _ in BREAKAGES.values()} | {("final_video", "decodes")}
    assert covered == ALL_CHECKS


def test_a_source_that_lies_cut_off_in_the_store_is_not_accepted(graph: Graph, video: str) -> None:
    stored = graph.home / graph.workspace.source(video).key
    stored.write_bytes(stored.read_bytes()[:1000])
    result = graph.run(["source_video", "segments"], video)
    assert_blocked(graph, result, "source_video", "probe_sane")
    assert "segments" not in materialized(result)
    assert not graph.workspace.store.exists(keys.source_record(video))
    assert graph.run(["source_video"], video).success, "the next attempt copies it anew"


def test_a_plan_that_leaves_frames_out_is_withdrawn(graph: Graph, video: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = graph.workspace.plan(video)

    def too_short(workspace, source, progress=None):
        bad = plan.model_copy(update={"segments": plan.segments[:-1]})
        workspace.save(bad, keys.manifest(video))
        return bad

    monkeypatch.setattr(segments, "make_plan", too_short)
    result = graph.run(["segments"], video, by_hand=True)
    assert_blocked(graph, result, "segments", "covers_each_frame_once")
    assert not graph.workspace.store.exists(keys.manifest(video))


def test_a_plan_with_other_times_than_its_frames_is_withdrawn(
    graph: Graph, video: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = planning.make_plan

    def shifted(workspace, source, progress=None):
        plan = real(workspace, source, progress)
        late = plan.segments[1].model_copy(update={"first_pts": plan.segments[1].first_pts + 1})
        return plan.model_copy(update={"segments": (plan.segments[0], late)})

    monkeypatch.setattr(segments, "make_plan", shifted)
    result = graph.run(["segments"], video, by_hand=True)
    assert_blocked(graph, result, "segments", "covers_each_frame_once")


def test_depth_with_a_missing_picture_is_withdrawn(graph: Graph, video: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "PictureWriter", _losing_writer(8))
    result = graph.run(["depth_segments", "stereo_segments"], segment_partition(video, 0), by_hand=True)
    assert_blocked(graph, result, "depth_segments", "depth_frame_count")
    assert "stereo_segments" not in materialized(result)
    plan = graph.workspace.plan(video)
    assert depth.existing_depth(graph.workspace, plan, plan.segments[0]) is None


def _losing_writer(position: int) -> type[PictureWriter]:
    """A writer that takes every picture and loses one."""

    class Losing(PictureWriter):
        def write(self, planes) -> None:
            if self.written == position:
                self.written += 1
            else:
                super().write(planes)

    return Losing


def _ffmpeg(*options: str) -> Callable[[Path], None]:
    """Replaces a file by what ffmpeg makes of it."""

    def damage(path: Path) -> None:
        made = path.with_name(f"damaged{path.suffix}")
        command = [find_tools().ffmpeg, "-v", "error", "-y", "-i", str(path), *options, str(made)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        made.replace(path)

    return damage


def _noise(path: Path) -> None:
    """Overwrites bytes of the coded pictures."""
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 1500
    data[start : start + 2500] = bytes(2500)
    path.write_bytes(data)


SEGMENT_DAMAGE: dict[str, Callable[[Path], None]] = {
    "decodes": _noise,
    "frame_count": _ffmpeg("-c", "copy", "-frames:v", "15"),
    "frame_size": _ffmpeg("-vf", "scale=160:90", "-preset", "ultrafast"),
}


@pytest.mark.parametrize("check", SEGMENT_DAMAGE)
def test_a_damaged_segment_is_not_published(
    graph: Graph, video: str, check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = render.check_segment

    def damaged(path, *arguments):
        SEGMENT_DAMAGE[check](path)
        return real(path, *arguments)

    monkeypatch.setattr(render, "check_segment", damaged)
    graph.workspace.store.delete_prefix(f"{keys.video_folder(video)}stereo/")
    result = graph.run(["depth_segments", "stereo_segments"], segment_partition(video, 0))
    assert_blocked(graph, result, "stereo_segments", check)
    assert not list(graph.workspace.store.objects(f"{keys.video_folder(video)}stereo/"))


def _add_chapter(path: Path) -> None:
    chapters = path.with_name("chapters.txt")
    chapters.write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=Not in the source\n")
    _ffmpeg("-i", str(chapters), "-map_chapters", "1", *COPY)(path)


def _marked(damage: Callable[[Path], None]) -> Callable[[Path], None]:
    """With the mark of the eyes, which ffmpeg does not copy."""

    def both(path: Path) -> None:
        damage(path)
        marked(path)

    return both


COPY = ("-map", "0", "-c", "copy", "-movflags", "+faststart")
FINAL_DAMAGE: dict[str, Callable[[Path], None]] = {
    "final_frame_count": _ffmpeg(*COPY, "-frames:v", "31"),
    "frame_times": _ffmpeg(*COPY, "-bsf:v", "setts=ts=TS+if(eq(N\\,5)\\,300\\,0)"),
    "audio_identical": _ffmpeg("-map", "0", "-c:v", "copy", "-c:a", "aac", "-b:a", "40k", "-movflags", "+faststart"),
    "left_eye": _ffmpeg(
        "-map", "0", "-c:a", "copy", "-vf", "crop=iw/2:ih:iw/2:0,scale=2*iw:ih", "-preset", "ultrafast"
    ),
    "streams_carried": _ffmpeg(*COPY, "-an"),
    "color_tags": _ffmpeg(*COPY, "-bsf:v", "h264_metadata=matrix_coefficients=5:colour_primaries=5"),
    "signalling_3d": _ffmpeg(*COPY),
}
SMALL_DAMAGE: dict[str, Callable[[Path], None]] = {
    "duration": _marked(_ffmpeg(*COPY, "-bsf:v", "setts=ts=TS:duration=if(eq(N\\,31)\\,DURATION*30\\,DURATION)")),
    "chapters_kept": _marked(_add_chapter),
    "starts_early": put_index_last,
}


def _finish_with(
    graph: Graph, video: str, damage: Callable[[Path], None], patch: pytest.MonkeyPatch
) -> dg.ExecuteInProcessResult:
    """Join a video whose finished file is damaged before anybody looks at it."""
    real = finish.join

    def damaged(job, target, scratch) -> None:
        real(job, target, scratch)
        damage(target)

    patch.setattr(finish, "join", damaged)
    return graph.run(["final_video"], video)


@pytest.mark.parametrize("check", FINAL_DAMAGE)
def test_a_damaged_result_is_not_published(
    graph: Graph, video: str, check: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    result = _finish_with(graph, video, FINAL_DAMAGE[check], monkeypatch)
    assert_blocked(graph, result, "final_video", check)
    assert graph.workspace.final(video) is None
    assert not list(graph.workspace.store.objects(f"{keys.video_folder(video)}final/"))
    assert not (graph.home / "done").exists()


@pytest.mark.parametrize("check", SMALL_DAMAGE)
def test_a_result_that_differs_in_a_small_thing_is_published_and_that_is_said(
    graph: Graph, video: str, check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = _finish_with(graph, video, SMALL_DAMAGE[check], monkeypatch)
    assert result.success
    (failed,) = [each for each in result.get_asset_check_evaluations() if not each.passed]
    assert (failed.check_name, failed.severity) == (check, dg.AssetCheckSeverity.WARN)
    final = graph.workspace.final(video)
    assert final
    assert [warning for warning in final.warnings if f"differs: {check.replace('_', ' ')}" in warning]
    made = result.asset_materializations_for_node("final_video")[0].metadata["warnings"].value
    assert check.replace("_", " ") in str(made)
    assert (graph.home / "done").exists()


def test_only_small_things_are_no_reason_to_throw_a_result_away() -> None:
    assert SMALL_DAMAGE.keys() < MINOR
    assert not FINAL_DAMAGE.keys() & MINOR


def test_an_undamaged_video_passes_every_check_of_every_asset(graph: Graph, video: str) -> None:
    runs = [graph.run(["source_video", "segments"], video)]
    runs += [graph.run(["depth_segments", "stereo_segments"], segment_partition(video, n)) for n in range(2)]
    runs += [graph.run(["final_video"], video)]
    checks = [check for run in runs for check in run.get_asset_check_evaluations()]
    assert {(check.asset_key.to_user_string(), check.check_name) for check in checks} == ALL_CHECKS
    assert all(check.passed for check in checks)
    assert [path.name for path in (graph.home / "done").iterdir()] == ["clip_LRF_Full_SBS.mp4"]
