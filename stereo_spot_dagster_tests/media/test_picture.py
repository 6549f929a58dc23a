from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from stereo_spot_dagster.domain.picture import PixelFormat
from stereo_spot_dagster.domain.probe import VideoStream
from stereo_spot_dagster.domain.timing import TimeBase
from stereo_spot_dagster.media.frames import read_pictures, read_rgb
from stereo_spot_dagster.media.picture import working_picture
from stereo_spot_dagster.media.plan import plan_segments

from ..e2e.evidence import Evidence
from .conftest import Studio
from .flat import cut_by_copy, look


def video(pix_fmt: str = "yuv420p", **changes: object) -> VideoStream:
    values: dict[str, object] = {"index": 0, "codec": "h264", "width": 96, "height": 64, "pix_fmt": pix_fmt}
    return VideoStream.model_validate(values | {"time_base": TimeBase(numerator=1, denominator=25)} | changes)


@pytest.mark.parametrize(
    ("pix_fmt", "expected", "native"),
    [
        ("yuv420p", PixelFormat(8, 1, 1), True),
        ("yuvj420p", PixelFormat(8, 1, 1), True),
        ("yuv422p", PixelFormat(8, 1, 0), True),
        ("yuv444p10le", PixelFormat(10, 0, 0), True),
        ("yuv420p12le", PixelFormat(12, 1, 1), True),
        ("yuv420p9le", PixelFormat(10, 1, 1), False),
        ("yuv420p10be", PixelFormat(10, 1, 1), False),
        ("yuv422p16le", PixelFormat(12, 1, 0), False),
        ("yuva420p", PixelFormat(8, 1, 1), False),
        ("yuv440p", PixelFormat(8, 0, 0), False),
        ("nv12", PixelFormat(8, 1, 1), False),
        ("p010le", PixelFormat(10, 1, 1), False),
        ("yuyv422", PixelFormat(8, 1, 0), False),
        ("gray", PixelFormat(8, 1, 1), False),
        ("gray10le", PixelFormat(10, 1, 1), False),
        ("gbrp", PixelFormat(8, 0, 0), False),
        ("gbrp12le", PixelFormat(12, 0, 0), False),
        ("rgb24", PixelFormat(8, 1, 1), False),
        ("pal8", PixelFormat(8, 1, 1), False),
        ("rgb48le", PixelFormat(12, 1, 1), False),
    ],
)
def test_depth_and_sampling_are_kept_where_we_can_work_on_them(
    pix_fmt: str, expected: PixelFormat, native: bool
) -> None:
    picture = working_picture(video(pix_fmt))
    assert picture.pixel_format == expected
    assert (picture.filters == ()) == native


def test_full_range_planar_pictures_are_untouched_and_stay_full_range() -> None:
    picture = working_picture(video("yuv420p", color_range="pc"))
    assert picture.filters == ()
    assert picture.color.full_range
    assert picture.tagged.full_range


def test_converted_pictures_are_limited_range_and_say_so() -> None:
    picture = working_picture(video("gbrp", color_range="pc", color_matrix="gbr"))
    assert not picture.color.full_range
    assert (picture.tagged.matrix, picture.tagged.full_range) == ("bt709", False)


def test_tags_of_the_source_are_repeated_and_none_are_invented() -> None:
    tagged = working_picture(
        video(color_matrix="bt2020nc", color_transfer="smpte2084", color_primaries="bt2020")
    ).tagged
    assert (tagged.matrix, tagged.transfer, tagged.primaries) == ("bt2020nc", "smpte2084", "bt2020")
    untagged = working_picture(video()).tagged
    assert (untagged.matrix, untagged.transfer, untagged.primaries) == (None, None, None)


@pytest.mark.parametrize(("height", "matrix"), [(576, "smpte170m"), (720, "bt709"), (1080, "bt709")])
def test_an_untagged_matrix_is_what_players_assume(height: int, matrix: str) -> None:
    assert working_picture(video(width=height * 2, height=height)).color.matrix == matrix


def test_interlaced_pictures_are_made_in_one_pass() -> None:
    assert working_picture(video(field_order="tt")).temporal
    assert not working_picture(video(field_order="progressive")).temporal
    assert not working_picture(video(field_order="unknown")).temporal


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_pictures_are_turned_as_a_player_would(studio: Studio, scratch: Path, rotation: int, mirrored: bool) -> None:
    clip = studio.folder / f"turn-{rotation}-{mirrored}.mp4"
    words = ["-display_rotation", str(-rotation)] + (["-display_hflip"] if mirrored else [])
    try:
        studio.ffmpeg(*words, "-i", str(studio.h264("short.mp4", frames=10)), "-c", "copy", str(clip))
    except AssertionError:
        pytest.skip("this ffmpeg cannot write a display matrix")
    scanned = look(clip, scratch)
    segments = plan_segments(scanned.seen.frames, 16, 0)
    cut = cut_by_copy(scanned, segments, scratch)
    read = read_pictures(cut.files[0].path, cut.picture, skip=0, crcs=cut.frames.crc, name="clip")
    luma = np.stack([planes[0] for planes in read])
    shown, _ = Evidence(clip).gray_pictures()
    assert luma.shape == shown.shape
    # The player's gray is stretched to the full range.
    assert np.abs((luma.astype(float) - 16) * 255 / 219 - shown).mean() < 1.5


@pytest.mark.parametrize(("color_range", "matrix"), [("tv", "bt709"), ("pc", "bt709"), ("tv", "smpte170m")])
def test_small_rgb_copies_have_the_colours_that_the_tags_mean(
    studio: Studio, scratch: Path, color_range: str, matrix: str
) -> None:
    name = f"red-{color_range}-{matrix}.mp4"
    convert = f"format=gbrp,scale=out_range={color_range}:out_color_matrix={matrix},format=yuv420p"
    setting = f"{convert},setparams=range={color_range}:colorspace={matrix}"
    tags = ["-color_range", color_range, "-colorspace", matrix, "-crf", "4"]
    clip = studio.clip(name, "-vf", setting, "-c:v", "libx264", *tags, frames=3, source="color=c=0xC04010")
    scanned = look(clip, scratch)
    pictures = read_rgb(clip, scanned.picture, size=(48, 32), skip=0, count=3, name="clip")
    means = np.stack(list(pictures)).mean(axis=(0, 1, 2))
    # A wrong matrix or range is off by 12 or more; ffmpeg's fast conversion rounds.
    assert np.abs(means - [0xC0, 0x40, 0x10]).max() <= 6


def test_a_gray_film_keeps_its_brightness(studio: Studio, scratch: Path) -> None:
    clip = studio.clip(
        "gray-card.mkv", "-c:v", "ffv1", "-vf", "format=gbrp,format=gray", frames=2, source="color=c=0x808080"
    )
    scanned = look(clip, scratch)
    rgb = next(read_rgb(clip, scanned.picture, size=(48, 32), skip=0, count=1, name="clip"))
    assert abs(int(rgb.mean()) - 0x80) <= 2


def test_the_pixel_aspect_turns_with_the_picture() -> None:
    picture = working_picture(video(sar=Fraction(4, 3), rotation=90))
    assert (picture.width, picture.height, picture.sar) == (64, 96, Fraction(3, 4))
