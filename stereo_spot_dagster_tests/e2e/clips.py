"""Small clips with sound and a scene change, made with ffmpeg."""

from __future__ import annotations

from pathlib import Path

import ffmpeg

from stereo_spot_dagster.media.process import file_url, run

FRAME_RATE = 25
# Sixteen frames a segment make several segments of a second of video.
FAST = "preset: ultrafast\nsegment_frames: 16\n"


def make_clip(target: Path, *, frames: int = 32, width: int = 160, height: int = 90, color: str = "red") -> Path:
    """An H.264 clip with AAC sound; another ``color`` is another content of the same length.

    Args:
        target: the file.
        frames: its length.
        width, height: its size.
        color: of a box in its corner.
    """
    length_s = frames / FRAME_RATE
    picture = ffmpeg.input(f"testsrc2=s={width}x{height}:r={FRAME_RATE}:d={length_s}", format="lavfi")
    picture = picture.filter("drawbox", x=0, y=0, w=24, h=24, color=color, t="fill")
    sound = ffmpeg.input(f"sine=d={length_s}", format="lavfi")
    options = {"vcodec": "libx264", "preset": "ultrafast", "g": 12, "acodec": "aac", "pix_fmt": "yuv420p"}
    options |= {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709"}
    run(ffmpeg.output(picture, sound, file_url(target), **options), subject=target.name)
    return target
