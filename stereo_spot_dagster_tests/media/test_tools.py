from __future__ import annotations

import os
from pathlib import Path

import pytest

from stereo_spot_dagster.media.tools import capabilities, encoder_works, find_tools

from .conftest import Studio

pytestmark = pytest.mark.other_ffmpeg

# What the pictures and subtitles of the awkward kinds need.
_DECODED = {"h264", "hevc", "av1", "vp8", "vp9", "mpeg2video", "mpeg4", "mjpeg", "png", "prores", "ffv1", "gif"}
_DECODED |= {"subrip", "ass", "mov_text", "webvtt", "hdmv_pgs_subtitle", "dvd_subtitle"}


def test_the_ffmpeg_that_was_asked_for_is_the_one_in_use() -> None:
    asked = os.environ.get("STEREO_SPOT_FFMPEG", "")
    used = find_tools()
    assert used.origin == ("bundled" if asked == "bundled" else "environment" if asked else used.origin)
    if Path(asked).is_absolute():
        assert used.ffmpeg == asked


def test_it_decodes_every_kind_of_picture_and_subtitle_that_people_have() -> None:
    assert _DECODED - capabilities(find_tools().ffmpeg).decoded == set()


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv422p10le", "yuv444p", "yuv444p10le", "gray"])
@pytest.mark.parametrize("encoder", ["libx264", "libx265", "ffv1"])
def test_it_encodes_every_depth_and_sampling(encoder: str, pix_fmt: str) -> None:
    assert encoder_works(find_tools().ffmpeg, encoder, pix_fmt)


def test_a_format_that_an_encoder_has_not_is_no_format_that_works() -> None:
    # ffmpeg itself encodes it without an error: as another format.
    assert not encoder_works(find_tools().ffmpeg, "libx264", "yuv420p12le")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.mkv", ["-c:v", "libaom-av1", "-cpu-used", "8", "-crf", "40"]),
        ("p.mov", ["-c:v", "prores_ks"]),
        ("png.mov", ["-c:v", "png"]),
        ("v.webm", ["-c:v", "libvpx-vp9", "-deadline", "realtime"]),
    ],
)
def test_it_really_decodes_them(studio: Studio, name: str, words: list[str]) -> None:
    clip = studio.clip(name, *words, frames=4)
    studio.ffmpeg("-xerror", "-i", str(clip), "-f", "null", "-")
