from __future__ import annotations

from pathlib import Path

import pytest

from stereo_spot_dagster.domain.probe import VideoStream
from stereo_spot_dagster.domain.settings import Codec
from stereo_spot_dagster.domain.timing import TimeBase
from stereo_spot_dagster.media.hdr import codec_for, codec_warning, content_light, mastering_display
from stereo_spot_dagster.media.probe import probe
from stereo_spot_dagster.media.tools import encoder_works, find_tools

from ..e2e.evidence import Evidence
from .conftest import Studio
from .flat import convert

pytestmark = pytest.mark.other_ffmpeg

MASTER = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
SIDE_DATA = {
    "red_x": "34000/50000", "red_y": "16000/50000", "green_x": "13250/50000", "green_y": "34500/50000",
    "blue_x": "7500/50000", "blue_y": "3000/50000", "white_point_x": "15635/50000", "white_point_y": "16450/50000",
    "min_luminance": "1/10000", "max_luminance": "10000000/10000",
}  # fmt: skip


def video(**changes: object) -> VideoStream:
    values: dict[str, object] = {"index": 0, "codec": "hevc", "width": 64, "height": 64, "pix_fmt": "yuv420p10le"}
    return VideoStream.model_validate(values | {"time_base": TimeBase(numerator=1, denominator=25)} | changes)


def test_mastering_data_is_put_into_the_encoders_words() -> None:
    assert mastering_display(SIDE_DATA) == MASTER


def test_mastering_data_in_other_fractions_means_the_same() -> None:
    other = SIDE_DATA | {"red_x": "17/25", "max_luminance": "1000/1"}
    assert mastering_display(other) == MASTER


@pytest.mark.parametrize(
    "broken", [None, {}, {"red_x": "1/2"}, SIDE_DATA | {"red_x": "1/0"}, SIDE_DATA | {"red_x": "x"}]
)
def test_incomplete_mastering_data_is_none(broken: dict[str, str] | None) -> None:
    assert mastering_display(broken) is None


def test_content_light_is_two_numbers() -> None:
    assert content_light({"max_content": 1000, "max_average": 400}) == "1000,400"
    assert content_light({"max_content": 1000}) == "1000,0"
    assert content_light({}) is None
    assert content_light(None) is None


@pytest.mark.parametrize("data", [{"mastering_display": MASTER}, {"content_light": "1000,400"}])
def test_hdr10_data_turns_h264_into_hevc_and_says_so(data: dict[str, str]) -> None:
    assert codec_for(video(**data), Codec.H264) is Codec.HEVC
    assert "HEVC" in codec_warning(video(**data), Codec.H264)[0]


@pytest.mark.parametrize("wanted", list(Codec))
def test_without_hdr10_data_the_wish_is_kept_in_silence(wanted: Codec) -> None:
    assert codec_for(video(), wanted) is wanted
    assert codec_warning(video(), wanted) == ()


def test_another_codec_than_h264_is_always_kept() -> None:
    assert codec_for(video(mastering_display=MASTER), Codec.FFV1) is Codec.FFV1
    assert codec_warning(video(mastering_display=MASTER), Codec.HEVC) == ()


@pytest.fixture
def hdr10(studio: Studio) -> Path:
    if not encoder_works(find_tools().ffmpeg, "libx265", "yuv420p10le"):
        pytest.skip("this ffmpeg has no 10 bit x265")
    params = f"log-level=error:hdr10=1:master-display={MASTER}:max-cll=1000,400:keyint=10"
    tags = ["-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc"]
    setting = ["-vf", "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"]
    words = ["-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params", params]
    return studio.clip("hdr10.mp4", *setting, *words, *tags, "-tag:v", "hvc1", frames=20)


def test_hdr10_data_is_found_in_the_first_picture(hdr10: Path) -> None:
    found = probe(hdr10).video
    assert (found.mastering_display, found.content_light) == (MASTER, "1000,400")


def test_hdr10_data_and_depth_arrive_in_the_result(hdr10: Path, scratch: Path) -> None:
    result, _, checks = convert(hdr10, scratch)
    made, source = Evidence(result), Evidence(hdr10)
    assert [check for check in checks if not check.passed] == []
    for kind in ("Mastering display metadata", "Content light level metadata"):
        assert made.side_data(kind) == source.side_data(kind)
    assert made.video["codec_name"] == "hevc"
    assert made.video["pix_fmt"] == "yuv420p10le"
    assert made.video["color_transfer"] == "smpte2084"
