"""A whole conversion without an orchestrator: what goes in comes out, and nothing is done twice."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import ffmpeg
import numpy as np
import pytest

from stereo_spot_dagster.convert.depth import existing_depth, read_depth
from stereo_spot_dagster.convert.finish import finish_video
from stereo_spot_dagster.convert.intake import identify
from stereo_spot_dagster.convert.progress import Stage, video_progress
from stereo_spot_dagster.convert.steps import DepthStep, Step, StereoStep, conversion_steps
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.domain.errors import ProofFailed, VideoIncomplete
from stereo_spot_dagster.domain.settings import ConversionSettings, parse_settings
from stereo_spot_dagster.domain.video import Driver
from stereo_spot_dagster.media.process import file_url, run
from stereo_spot_dagster.media.scan import read_framecrc

WIDTH, HEIGHT, FRAMES = 192, 108, 48


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A moving picture with B-frames, one shot of 48 frames."""
    target = tmp_path_factory.mktemp("clip") / "clip.mp4"
    picture = ffmpeg.input(f"testsrc2=size={WIDTH}x{HEIGHT}:rate=25:duration={FRAMES / 25}", format="lavfi")
    run(ffmpeg.output(picture, file_url(target), vcodec="libx264", pix_fmt="yuv420p"), subject="clip")
    return target


def settings(**values: object) -> ConversionSettings:
    return parse_settings({"preset": "ultrafast", "segment_frames": 16} | values, subject="test")


def convert(workspace: Workspace, clip: Path, **values: object) -> list[Step]:
    return list(conversion_steps(workspace, identify(clip, settings(**values), driver=Driver.INLINE)))


def checksums(path: Path, crop: str | None, folder: Path) -> np.ndarray:
    """Checksum of each decoded frame of a file, or of a part of the picture."""
    stream = ffmpeg.input(file_url(path))["v:0"]
    stream = stream.filter("crop", *crop.split(":"), exact=1) if crop else stream
    table = folder / f"{path.stem}.crc"
    run(ffmpeg.output(stream, file_url(table), format="framecrc", fps_mode="passthrough"), subject=path.name)
    return read_framecrc(table).crc


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_the_left_half_of_a_lossless_result_is_the_decoded_source(tmp_path: Path, clip: Path, codec: str) -> None:
    workspace = Workspace.local(tmp_path / "home")
    finished = convert(workspace, clip, crf=0, codec=codec)[-1]
    result = Path(workspace.store.locate(finished.outputs[0].key))  # type: ignore[union-attr]
    source = checksums(clip, None, tmp_path)
    assert len(source) == FRAMES
    assert np.array_equal(checksums(result, f"{WIDTH}:{HEIGHT}:0:0", tmp_path), source)
    assert not np.array_equal(checksums(result, f"{WIDTH}:{HEIGHT}:{WIDTH}:0", tmp_path), source)


def test_without_divergence_both_eyes_are_the_source(tmp_path: Path, clip: Path) -> None:
    workspace = Workspace.local(tmp_path / "home")
    finished = convert(workspace, clip, crf=0, divergence=0.0)[-1]
    result = Path(workspace.store.locate(finished.outputs[0].key))  # type: ignore[union-attr]
    assert np.array_equal(checksums(result, f"{WIDTH}:{HEIGHT}:{WIDTH}:0", tmp_path), checksums(clip, None, tmp_path))


def test_a_second_conversion_makes_nothing_again(tmp_path: Path, clip: Path) -> None:
    workspace = Workspace.local(tmp_path / "home")
    first, second = convert(workspace, clip), convert(workspace, clip)
    assert sum(isinstance(step, StereoStep) for step in first) == 3
    assert [step for step in second if isinstance(step, DepthStep | StereoStep)] == []


def test_only_the_lost_segment_is_made_again(tmp_path: Path, clip: Path) -> None:
    workspace = Workspace.local(tmp_path / "home")
    convert(workspace, clip)
    video = identify(clip, settings()).video
    lost = sorted(workspace.store.objects(f"videos/{video}/stereo/"), key=lambda stored: stored.key)[1]
    workspace.store.delete_prefix(lost.key)
    workspace.store.delete_prefix(f"videos/{video}/final.json")
    assert video_progress(workspace, video).missing == (1,)
    again = convert(workspace, clip)
    assert [step.segment.index for step in again if isinstance(step, StereoStep)] == [1]
    assert [step for step in again if isinstance(step, DepthStep)] == []
    assert video_progress(workspace, video).stage is Stage.FINISHED


def test_other_render_settings_keep_the_depth_and_are_another_video(tmp_path: Path, clip: Path) -> None:
    workspace = Workspace.local(tmp_path / "home")
    convert(workspace, clip)
    convert(workspace, clip, divergence=4.0)
    assert len(workspace.store.folders("videos/")) == 2


def test_a_tampered_segment_file_is_noticed_before_anything_is_made_of_it(tmp_path: Path, clip: Path) -> None:
    workspace = Workspace.local(tmp_path / "home")
    steps = conversion_steps(workspace, identify(clip, settings()))
    next(steps)
    plan = next(steps)
    other = tmp_path / "other.mkv"
    picture = ffmpeg.input(f"testsrc=size={WIDTH}x{HEIGHT}:rate=25:duration=2", format="lavfi")
    run(ffmpeg.output(picture, file_url(other), vcodec="libx264", pix_fmt="yuv420p"), subject="other")
    workspace.store.put(other, plan.segments[0].cut_key)  # type: ignore[union-attr]
    with pytest.raises(ProofFailed, match="is not the planned picture"):
        list(steps)


def test_joining_without_all_segments_names_the_missing_ones(tmp_path: Path, clip: Path) -> None:
    workspace = Workspace.local(tmp_path / "home")
    steps = conversion_steps(workspace, identify(clip, settings()))
    source, plan = next(steps), next(steps)
    with pytest.raises(VideoIncomplete, match="3 of 3 segments are not finished \\(segments 0, 1, 2\\)"):
        finish_video(workspace, source, plan)  # type: ignore[arg-type]


def test_depth_does_not_jump_where_a_shot_is_cut_into_segments(tmp_path: Path, clip: Path) -> None:
    workspace = Workspace.local(tmp_path / "home")
    convert(workspace, clip)
    video = identify(clip, settings()).video
    plan = workspace.plan(video)
    assert [segment.overlap_frames for segment in plan.segments][1:] == [16, 24]
    maps = []
    for segment in plan.segments:
        record = existing_depth(workspace, plan, segment)
        assert record is not None
        maps += list(read_depth(Path(workspace.store.locate(record.key)), record))
    assert len(maps) == FRAMES
    changes = np.array([np.abs(b - a).mean() for a, b in pairwise(maps)])
    seams = [segment.first_frame - 1 for segment in plan.segments[1:]]
    inside = np.delete(changes, seams)
    assert changes[seams].max() <= max(2 * np.percentile(inside, 95), 0.02)
