"""Every layout as a file: right size, signalled where its players look, and decodable."""

from __future__ import annotations

from pathlib import Path

import ffmpeg
import pytest

from stereo_spot_dagster.convert.intake import identify
from stereo_spot_dagster.convert.steps import conversion_steps
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.domain.layout import Layout, View
from stereo_spot_dagster.domain.settings import parse_settings
from stereo_spot_dagster.domain.video import Driver, FinalRecord
from stereo_spot_dagster.media.first_picture import packing_in_picture
from stereo_spot_dagster.media.probe import describe
from stereo_spot_dagster.media.process import file_url, run

FRAMES = 10
SIZES = {
    Layout.FULL_SBS: (256, 96),
    Layout.CROSS_EYED: (256, 96),
    Layout.FULL_TB: (128, 192),
}
# (container, stream) marks of a Stereo 3D record; the rest has none that its container can say.
MARKS = {
    ("mp4", "h264"): {
        Layout.FULL_SBS: ("side by side", None),
        Layout.FULL_TB: ("top and bottom", None),
        Layout.HALF_SBS: (None, "side by side"),
        Layout.HALF_TB: (None, "top and bottom"),
    },
    ("mkv", "hevc"): {
        Layout.FULL_SBS: ("side by side", None),
        Layout.FULL_TB: ("top and bottom", None),
        Layout.HALF_SBS: ("side by side", None),
        Layout.HALF_TB: ("top and bottom", None),
        Layout.CROSS_EYED: ("side by side", None),
    },
}


@pytest.fixture(scope="module", params=[("mp4", "h264"), ("mkv", "hevc")], ids=["mp4-h264", "mkv-hevc"])
def converted(request, tmp_path_factory) -> tuple[tuple[str, str], Workspace, FinalRecord]:
    """One conversion into all layouts at once."""
    container, codec = request.param
    folder = tmp_path_factory.mktemp("layouts")
    clip = folder / "clip.mp4"
    picture = ffmpeg.input("testsrc2=size=128x96:rate=25:duration=0.4", format="lavfi")
    run(ffmpeg.output(picture, file_url(clip), vcodec="libx264", pix_fmt="yuv420p"), subject="clip")
    workspace = Workspace.local(folder / "home")
    values = {"layouts": list(Layout), "container": container, "codec": codec, "preset": "ultrafast"}
    submission = identify(clip, parse_settings(values, subject="test"), driver=Driver.INLINE)
    list(conversion_steps(workspace, submission))
    final = workspace.final(submission.video)
    assert final is not None
    return request.param, workspace, final


@pytest.mark.parametrize("layout", list(Layout))
def test_a_layout_is_a_file_of_its_size_and_mark(converted, layout: Layout) -> None:
    kind, workspace, final = converted
    outputs = [output for output in final.outputs if output.layout is layout]
    assert [output.view for output in outputs] == list(layout.views)
    for output in outputs:
        path = Path(workspace.store.locate(output.key))
        (video,) = [s for s in describe(path, "result")["streams"] if s["codec_type"] == "video"]
        assert (video["width"], video["height"]) == SIZES.get(layout, (128, 96))
        assert video["codec_name"] == kind[1]
        messages = run(ffmpeg.output(ffmpeg.input(file_url(path))["v:0"], "pipe:", format="null"), subject="result")
        assert messages == ""
        # A container's mark reaches the pictures too: what the stream says shows only where the container is silent.
        stream = packing_in_picture(path, video["index"], "result")
        wanted = MARKS[kind].get(layout, (None, None)) if output.view is View.PACKED else (None, None)
        assert (_type(video.get("side_data_list", [])), stream if wanted[0] is None else None) == wanted


def _type(side_data: list[dict]) -> str | None:
    types = [entry["type"] for entry in side_data if entry["side_data_type"] == "Stereo 3D" and entry["type"] != "2D"]
    return types[0] if types else None
