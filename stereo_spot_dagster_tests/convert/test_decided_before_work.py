"""What cannot be done is said when a video is taken in: with other settings, or with another ffmpeg."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stereo_spot_dagster.convert.intake import identify
from stereo_spot_dagster.convert.steps import conversion_steps
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.domain.errors import InputRefused, InvalidSettings, StereoSpotError, ToolUnavailable
from stereo_spot_dagster.domain.settings import parse_settings
from stereo_spot_dagster.domain.video import Driver, Submission
from stereo_spot_dagster.media.tools import capabilities, find_tools, search_tools
from stereo_spot_dagster.storage import keys

from ..e2e.test_cli import CommandLine
from ..media.conftest import Studio
from ..media.poor_ffmpeg import as_environment, poor_ffmpeg

QUICK = {"preset": "ultrafast", "segment_frames": 16}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.local(tmp_path / "home")


@pytest.fixture
def use_poor_ffmpeg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Call it to make this process use an ffmpeg that leaves things out."""

    def use(**leaves_out: str) -> None:
        tools = poor_ffmpeg(tmp_path, **leaves_out)
        for name, value in as_environment(tools).items():
            monkeypatch.setenv(name, value)
        search_tools.cache_clear()

    yield use
    monkeypatch.undo()
    search_tools.cache_clear()


def submission(clip: Path, **settings: Any) -> Submission:
    return identify(clip, parse_settings(QUICK | settings, subject="test"), driver=Driver.INLINE)


def convert(workspace: Workspace, clip: Path, **settings: Any) -> None:
    list(conversion_steps(workspace, submission(clip, **settings)))


def refused(workspace: Workspace, clip: Path, kind: type[StereoSpotError], **settings: Any) -> str:
    """Why a conversion is refused; there must be no more in the store than the video's own records."""
    with pytest.raises(kind) as caught:
        convert(workspace, clip, **settings)
    video = submission(clip, **settings).video
    stored = {found.key for found in workspace.store.objects(keys.video_folder(video))}
    assert stored <= {keys.submission(video), keys.refusal(video)}
    return str(caught.value)


def test_strict_refuses_what_mp4_would_leave_out_before_anything_is_copied(
    studio: Studio, workspace: Workspace
) -> None:
    clip = studio.rich("rich.mkv")
    message = refused(workspace, clip, InputRefused, container="mp4", strict=True)
    assert message.startswith("rich.mkv: attachment stream")
    assert "cannot be carried into MP4" in message
    assert message.endswith("Use the container mkv, or without 'strict'.")
    refusal = workspace.refusal(submission(clip, container="mp4", strict=True).video)
    assert refusal
    assert refusal.reason == message


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"container": "auto", "strict": True}, {"container": "mp4"}], ids=str)
def test_what_strict_need_not_refuse_is_converted_and_said(
    studio: Studio, workspace: Workspace, settings: dict[str, Any]
) -> None:
    clip = studio.rich("rich.mkv")
    convert(workspace, clip, **settings)
    final = workspace.final(submission(clip, **settings).video)
    assert final
    assert final.container.value == ("mkv" if "strict" in settings else "mp4")
    assert any("cannot be carried into MP4" in words for words in final.warnings) == ("strict" not in settings)


def test_a_codec_without_a_place_in_the_container_is_refused_before_anything_is_copied(
    studio: Studio, workspace: Workspace
) -> None:
    clip = studio.rich("rich.mp4")
    assert "MP4 cannot hold FFV1" in refused(workspace, clip, InvalidSettings, container="mp4", codec="ffv1")
    refusal = workspace.refusal(submission(clip, container="mp4", codec="ffv1").video)
    assert refusal
    assert refusal.wrong_settings


@pytest.mark.slow
def test_strict_works_from_the_command_line_and_at_a_retune(studio: Studio, tmp_path: Path) -> None:
    stereo_spot, clip = CommandLine(tmp_path / "home"), studio.rich("rich.mkv")
    words = ("--preset", "ultrafast", "--segment-frames", "16")
    done = stereo_spot("convert", clip, "--container", "mp4", "--strict", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "rich.mkv: attachment stream" in done.stderr
    stereo_spot("remove", stereo_spot.only_video(), "--yes")
    done = stereo_spot("convert", clip, *words)
    assert done.returncode == 0, done.stderr
    video = stereo_spot.only_video()
    done = stereo_spot("retune", video, "--container", "mp4", "--strict")
    assert done.returncode == 2
    assert "attachment stream" in done.stderr
    assert not stereo_spot.workspace.source(video).settings.strict


def test_without_x265_an_hevc_result_is_refused_before_work_and_h264_is_not(
    studio: Studio, workspace: Workspace, use_poor_ffmpeg
) -> None:
    clip = studio.h264("closed.mp4", "keyint=20:bframes=2")
    use_poor_ffmpeg(encoders="libx265", h="yuv[a-z0-9]+")
    message = refused(workspace, clip, ToolUnavailable, codec="hevc")
    assert "closed.mp4: this ffmpeg (" in message
    assert "cannot encode yuv420p with libx265" in message
    assert "STEREO_SPOT_FFMPEG" in message


def test_an_x264_of_8_bits_is_found_by_asking_it(studio: Studio, workspace: Workspace, use_poor_ffmpeg) -> None:
    clip = studio.clip("deep.mkv", "-c:v", "ffv1", "-pix_fmt", "yuv420p10le", frames=20)
    use_poor_ffmpeg(h="yuv[0-9]+p10le")
    assert "cannot encode yuv420p10le with libx264" in refused(workspace, clip, ToolUnavailable)


def test_a_missing_decoder_is_named(studio: Studio, workspace: Workspace, use_poor_ffmpeg) -> None:
    clip = studio.clip("small.webm", "-c:v", "libvpx-vp9", "-deadline", "realtime", frames=20)
    use_poor_ffmpeg(decoders="vp9|libvpx-vp9")
    assert "has no decoder for vp9" in refused(workspace, clip, ToolUnavailable)


def test_the_hollow_av1_decoder_counts_for_nothing(use_poor_ffmpeg) -> None:
    use_poor_ffmpeg(decoders="libdav1d|libaom-av1")
    found = search_tools()
    assert found.tools == find_tools()
    assert found.tools.origin == "environment"
    assert capabilities(found.tools.ffmpeg).gaps == ("decoder av1",)


@pytest.mark.slow
def test_a_poor_ffmpeg_still_converts_what_it_can(studio: Studio, workspace: Workspace, use_poor_ffmpeg) -> None:
    clip = studio.h264("closed.mp4", "keyint=20:bframes=2")
    use_poor_ffmpeg(encoders="libx265|flac|mov_text", decoders="vp9|libdav1d|libaom-av1|png")
    convert(workspace, clip)
    assert workspace.final(submission(clip).video)


def test_sound_that_cannot_be_converted_is_named(studio: Studio, workspace: Workspace, use_poor_ffmpeg) -> None:
    clip, video = studio.folder / "pcm.mov", str(studio.h264("closed.mp4", "keyint=20:bframes=2"))
    studio.ffmpeg("-i", video, "-f", "lavfi", "-i", "sine=d=1", "-c:v", "copy", "-c:a", "pcm_s16le", str(clip))
    use_poor_ffmpeg(encoders="flac")
    message = refused(workspace, clip, ToolUnavailable, container="mp4")
    assert "has no encoder flac for audio stream 1 (pcm_s16le" in message


def test_an_ffmpeg_without_x264_is_no_ffmpeg_for_us(studio: Studio, use_poor_ffmpeg) -> None:
    use_poor_ffmpeg(encoders="libx264")
    with pytest.raises(ToolUnavailable, match="lacks encoder libx264"):
        find_tools()


def test_the_bundled_pair_can_be_asked_for_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEREO_SPOT_FFMPEG", "bundled")
    monkeypatch.delenv("STEREO_SPOT_FFPROBE", raising=False)
    search_tools.cache_clear()
    try:
        assert find_tools().origin == "bundled"
        assert "imageio_ffmpeg" in find_tools().ffmpeg
    finally:
        monkeypatch.undo()
        search_tools.cache_clear()


@pytest.mark.slow
def test_doctor_names_what_an_ffmpeg_lacks(tmp_path: Path) -> None:
    stereo_spot = CommandLine(tmp_path / "home")
    tools = poor_ffmpeg(tmp_path, encoders="libx265", decoders="libdav1d|libaom-av1")
    stereo_spot.environment |= as_environment(tools)
    done = stereo_spot("doctor")
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 1
    assert "it lacks encoder libx265, decoder av1" in said
    assert "STEREO_SPOT_FFMPEG" in said
