"""Clips whose frames say their numbers, and what is wrong with a result that was made of one."""

from __future__ import annotations

from pathlib import Path

import ffmpeg
import numpy as np

from stereo_spot_dagster.media.process import file_url, run

from ..e2e.evidence import Evidence
from ..e2e.judge import Case, judge_pictures

RATE, WIDTH, HEIGHT = 25, 160, 96
BARCODE = {"bits": 8, "bar_h": 4, "frame_h": HEIGHT}
# MP4 tells times in these; a file's first time may be another one.
_TICK_S = 1 / 90_000


def make_footage(target: Path, frames: int, first: int) -> Path:
    """An H.264 clip with AAC sound.

    Args:
        target: the file.
        frames: its length.
        first: number of its first frame, at most 255 with the others; another one makes another content.
    """
    numbers = np.arange(first, first + frames)
    bits = numbers[:, None] >> np.arange(BARCODE["bits"] - 1, -1, -1) & 1
    pictures = np.empty((frames, HEIGHT, WIDTH), np.uint8)
    strips = BARCODE["bits"] * BARCODE["bar_h"]
    pictures[:, :strips] = np.repeat(bits * 255, BARCODE["bar_h"], axis=1)[:, :, None]
    # Below, a slope that moves: something for depth to see.
    columns = np.arange(WIDTH)[None, None] + 2 * numbers[:, None, None]
    pictures[:, strips:] = columns % 128 + np.arange(HEIGHT - strips)[None, :, None]
    raw = target.with_suffix(".gray")
    raw.write_bytes(pictures.tobytes())
    shape = {"format": "rawvideo", "pix_fmt": "gray", "s": f"{WIDTH}x{HEIGHT}", "r": RATE}
    picture, sound = ffmpeg.input(file_url(raw), **shape), ffmpeg.input(f"sine=d={frames / RATE}", format="lavfi")
    options = {"vcodec": "libx264", "preset": "ultrafast", "crf": 10, "g": 12, "acodec": "aac", "pix_fmt": "yuv420p"}
    options |= {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709"}
    run(ffmpeg.output(picture, sound, file_url(target), **options), subject=target.name)
    raw.unlink()
    return target


def problems(source: Path, frames: int, first: int, result: Path) -> list[str]:
    """What is wrong with a full side-by-side file made of :func:`make_footage`, in words."""
    video = {"frames": frames, "barcodes": list(range(first, first + frames))}
    case = Case({"name": source.name, "barcode": BARCODE, "truth": {"video": video}}, source)
    before, made = Evidence(source), Evidence(result)
    found = judge_pictures(case, made)
    shifts = [
        float((b - made.frame_times[0]) - (a - before.frame_times[0]))
        for a, b in zip(before.frame_times, made.frame_times, strict=True)
    ]
    if max(map(abs, shifts)) > _TICK_S:
        found.append(f"frames are up to {max(map(abs, shifts))} s from their time")
    if _sound(before) != _sound(made):
        found.append("other sound")
    return found


def _sound(evidence: Evidence) -> list[str]:
    (track,) = evidence.of_kind("audio")
    return [packet.sha256 for packet in evidence.packets[track["index"]]]
