"""Every layout as a file, in every depth and sampling and both codecs: right size, signalled where its players look."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import ffmpeg
import pytest

from stereo_spot_dagster.convert.intake import identify
from stereo_spot_dagster.convert.steps import conversion_steps
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.domain.layout import Layout, View, name_suffix
from stereo_spot_dagster.domain.settings import parse_settings
from stereo_spot_dagster.domain.video import Driver, FinalRecord
from stereo_spot_dagster.media.probe import describe
from stereo_spot_dagster.media.process import file_url, run, run_verbose

pytestmark = pytest.mark.slow

FRAMES = 10
SIZES = {
    Layout.FULL_SBS: (256, 96),
    Layout.CROSS_EYED: (256, 96),
    Layout.FULL_TB: (128, 192),
}
SIDE_BY_SIDE, ABOVE = "side by side", "top and bottom"
_FULL = {Layout.FULL_SBS: (SIDE_BY_SIDE, None), Layout.FULL_TB: (ABOVE, None)}
_IN_STREAM = {Layout.HALF_SBS: (None, SIDE_BY_SIDE), Layout.HALF_TB: (None, ABOVE)}
_IN_CONTAINER = {Layout.HALF_SBS: (SIDE_BY_SIDE, None), Layout.HALF_TB: (ABOVE, None)}
# MP4's record has no word for cross-eyed.
_CROSS = {Layout.CROSS_EYED: (SIDE_BY_SIDE, None)}
# (container, stream) marks of a Stereo 3D record; the rest has none that its container can say. Frame packing is
# written into H.264 only: x265 has no words for it.
MARKS = {
    ("mp4", "h264"): _FULL | _IN_STREAM,
    ("mkv", "h264"): _FULL | _IN_STREAM | _CROSS,
    ("mp4", "hevc"): _FULL | _IN_CONTAINER,
    ("mkv", "hevc"): _FULL | _IN_CONTAINER | _CROSS,
}
_WITH_ANOTHER = pytest.mark.other_ffmpeg
KINDS = [
    pytest.param(("mp4", "h264", "yuv420p"), marks=_WITH_ANOTHER),
    pytest.param(("mkv", "h264", "yuv420p10le"), marks=_WITH_ANOTHER),
    ("mp4", "h264", "yuv444p"),
    pytest.param(("mkv", "hevc", "yuv420p"), marks=_WITH_ANOTHER),
    ("mp4", "hevc", "yuv420p10le"),
    ("mkv", "hevc", "yuv444p"),
]
SAR = "5/4"


def convert(folder: Path, source: dict[str, Any], settings: dict[str, Any]) -> tuple[Workspace, FinalRecord]:
    """Convert a clip of FFV1 that is made with the encoding options ``source``."""
    clip = folder / "clip.mkv"
    picture = ffmpeg.input(f"testsrc2=size=128x96:rate=25:duration={FRAMES / 25}", format="lavfi")
    picture = picture.filter("setsar", SAR).filter("format", source["pix_fmt"])
    words = {name: value for name, value in source.items() if name != "pix_fmt"}
    if words:
        picture = picture.filter("setparams", **words)
    run(ffmpeg.output(picture, file_url(clip), vcodec="ffv1"), subject="clip")
    workspace = Workspace.local(folder / "home")
    submission = identify(
        clip, parse_settings({"preset": "ultrafast"} | settings, subject="test"), driver=Driver.INLINE
    )
    list(conversion_steps(workspace, submission))
    final = workspace.final(submission.video)
    assert final is not None
    return workspace, final


def packing_in_stream(path: Path) -> str | None:
    """How the pictures themselves say that the eyes are packed (``side by side``); None if they do not."""
    shown = ffmpeg.input(file_url(path))["v:0"].filter("showinfo")
    node = ffmpeg.output(shown, "pipe:1", format="null", **{"frames:v": 1})
    # ffprobe names the record of a frame but not its type; ffmpeg 5.1 calls it "stereoscopic information".
    words = run_verbose(node, subject="result", timeout_s=60)
    found = re.search(r"(?:Stereo 3D|stereoscopic information): type - ([a-z ]+[a-z])", words)
    return found.group(1) if found else None


@pytest.fixture(scope="module", params=KINDS, ids=lambda kind: "-".join(kind))
def converted(request, tmp_path_factory) -> tuple[tuple[str, str, str], Workspace, FinalRecord]:
    """One conversion into all layouts at once."""
    container, codec, pix_fmt = request.param
    settings = {"layouts": list(Layout), "container": container, "codec": codec}
    workspace, final = convert(tmp_path_factory.mktemp("layouts"), {"pix_fmt": pix_fmt}, settings)
    return request.param, workspace, final


@pytest.mark.parametrize("layout", list(Layout))
def test_a_layout_is_a_file_of_its_size_depth_and_mark(converted, layout: Layout) -> None:
    (container, codec, pix_fmt), workspace, final = converted
    outputs = [output for output in final.outputs if output.layout is layout]
    assert [output.view for output in outputs] == list(layout.views)
    for output in outputs:
        assert output.key.endswith(f"clip{name_suffix(layout, output.view)}.{container}")
        path = Path(workspace.store.locate(output.key))
        (video,) = [s for s in describe(path, "result")["streams"] if s["codec_type"] == "video"]
        assert (video["width"], video["height"]) == SIZES.get(layout, (128, 96))
        assert video["sample_aspect_ratio"] == SAR.replace("/", ":")
        assert (video["codec_name"], video["pix_fmt"]) == (codec, pix_fmt)
        messages = run(ffmpeg.output(ffmpeg.input(file_url(path))["v:0"], "pipe:", format="null"), subject="result")
        assert messages == ""
        # A container's mark reaches the pictures too: what the stream says shows only where the container is silent.
        stream = packing_in_stream(path)
        wanted = MARKS[container, codec].get(layout, (None, None)) if output.view is View.PACKED else (None, None)
        assert (_type(video.get("side_data_list", [])), stream if wanted[0] is None else None) == wanted
        word = {"stereo_mode": "anaglyph_cyan_red"} if layout.is_anaglyph and container == "mkv" else {}
        assert word.items() <= video.get("tags", {}).items()


@pytest.mark.other_ffmpeg
@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_an_anaglyph_of_hdr_stays_in_its_light_and_depth(tmp_path: Path, transfer: str, codec: str) -> None:
    tags = {"color_trc": transfer, "color_primaries": "bt2020", "colorspace": "bt2020nc", "range": "tv"}
    layouts = [layout for layout in Layout if layout.is_anaglyph]
    settings = {"layouts": layouts, "codec": codec, "crf": 12, "divergence": 0, "convergence": 0.5}
    workspace, final = convert(tmp_path, {"pix_fmt": "yuv420p10le"} | tags, settings)
    assert [output.layout for output in final.outputs] == layouts
    for output in final.outputs:
        path = Path(workspace.store.locate(output.key))
        (video,) = [s for s in describe(path, "result")["streams"] if s["codec_type"] == "video"]
        assert (video["pix_fmt"], video["color_transfer"]) == ("yuv420p10le", transfer)
        assert (video["color_primaries"], video["color_space"]) == ("bt2020", "bt2020nc")
        assert video.get("color_range", "tv") == "tv"
        # Without disparity a full-colour anaglyph is the picture itself, but for the hard edges of its chroma.
        if output.layout is Layout.ANAGLYPH_COLOR:
            assert psnr(path, tmp_path / "clip.mkv") > 30


def psnr(path: Path, reference: Path) -> float:
    """Mean PSNR of all planes, dB."""
    both = ffmpeg.filter([ffmpeg.input(file_url(path))["v:0"], ffmpeg.input(file_url(reference))["v:0"]], "psnr")
    messages = run_verbose(ffmpeg.output(both, "pipe:", format="null"), subject="result", timeout_s=60)
    found = re.search(r"PSNR .*average:([0-9.]+|inf)", messages)
    assert found, messages
    return float(found.group(1))


def _type(side_data: list[dict]) -> str | None:
    types = [entry["type"] for entry in side_data if entry["side_data_type"] == "Stereo 3D" and entry["type"] != "2D"]
    return types[0] if types else None
