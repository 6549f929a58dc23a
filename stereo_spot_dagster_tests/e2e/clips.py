"""Small clips, made with ffmpeg."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import ffmpeg
import numpy as np

from stereo_spot_dagster.media.process import file_url, run
from stereo_spot_dagster.media.tools import find_tools

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


BITS, BAR_HEIGHT = 10, 4


def numbered_frames(count: int, width: int, height: int) -> Iterator[bytes]:
    """Raw ``yuv420p`` pictures of even size: a moving texture, and each one's number in strips at its top.

    The strips reach over the whole width, four rows each, the most significant bit first, white for 1.
    """
    rows, columns = np.mgrid[0:height, 0:width]
    chroma = np.stack([np.full((height // 2, width // 2), level, np.uint8) for level in (110, 150)])
    chroma[:, :, : width // 4] = [[[140]], [[100]]]
    for number in range(count):
        luma = (110 + 50 * np.sin((columns + 2 * number) / 9) + 30 * np.cos(rows / 7)).astype(np.uint8)
        for bit in range(BITS):
            luma[bit * BAR_HEIGHT : (bit + 1) * BAR_HEIGHT] = 235 if number >> (BITS - 1 - bit) & 1 else 16
        yield luma.tobytes() + chroma.tobytes()


def make_master(target: Path, *, frames: int = 24, width: int = 160, height: int = 90) -> Path:
    """Numbered frames, lossless and without sound, to make clips of.

    Args:
        target: a Matroska file.
        frames: its length.
        width, height: its size, even.
    """
    command = [find_tools().ffmpeg, "-nostdin", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p"]
    command += ["-s", f"{width}x{height}", "-r", str(FRAME_RATE), "-i", "-", "-c:v", "ffv1", file_url(target)]
    pictures = b"".join(numbered_frames(frames, width, height))
    subprocess.run(command, input=pictures, timeout=60, check=True)
    return target


def ffmpeg_words(*words: object) -> None:
    """Run ffmpeg with plain words; its complaint is the error."""
    command = [find_tools().ffmpeg, "-nostdin", "-v", "error", "-y", *map(str, words)]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
