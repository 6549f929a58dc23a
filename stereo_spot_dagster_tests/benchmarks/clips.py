"""Clips for the benchmarks, made from the demo clip: real pictures, any length and size."""

from __future__ import annotations

from pathlib import Path

import ffmpeg

from stereo_spot_dagster.cli.demo import demo_clip
from stereo_spot_dagster.media.process import file_url, run

# Pictures a second of the demo clip.
_RATE = 25


def make_clip(target: Path, *, width: int, height: int, frames: int, group: int | None = None) -> Path:
    """``frames`` frames of Big Buck Bunny at ``width`` x ``height``: H.264 with sound, repeated as needed.

    With ``group`` there is a key frame at every ``group``-th picture and nowhere else.
    """
    source = ffmpeg.input(file_url(demo_clip()), stream_loop=-1)
    picture = source["v:0"].filter("scale", width, height, flags="lanczos")
    options = {
        "vcodec": "libx264",
        "preset": "veryfast",
        "crf": 20,
        "frames:v": frames,
        "acodec": "copy",
        # Not the shortest stream: sound that is copied runs far ahead of pictures that are encoded.
        "t": frames / _RATE,
    }
    if group:
        options["x264-params"] = f"keyint={group}:min-keyint={group}:scenecut=0:open-gop=0"
    run(ffmpeg.output(picture, source["a:0"], file_url(target), **options), subject=target.name)
    return target
