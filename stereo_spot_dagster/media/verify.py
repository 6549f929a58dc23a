"""Checks a segment after encoding."""

from __future__ import annotations

from pathlib import Path

import ffmpeg

from ..domain.checks import CheckOutcome, equal
from ..domain.errors import FfmpegFailed
from .framecrc import read_framecrc
from .probe import describe
from .process import file_url, run, safe_input


def check_segment(path: Path, frames: int, size: tuple[int, int], scratch: Path, name: str) -> list[CheckOutcome]:
    """Decode an encoded segment: it must have exactly ``frames`` pictures of ``size`` (width, height)."""
    table = scratch / "encoded.crc"
    node = ffmpeg.output(safe_input(path)["v:0"], file_url(table), format="framecrc", fps_mode="passthrough")
    try:
        messages = run(node, subject=name, timeout_s=300 + 4.0 * frames)
    except FfmpegFailed as error:
        return [CheckOutcome(name="decodes", passed=False, detail=error.cause)]
    rows = read_framecrc(table)
    table.unlink()
    stream = next(iter(describe(path, name)["streams"]), {})
    return [
        CheckOutcome(name="decodes", passed=not messages.strip(), detail=messages.strip()[:300] or "without errors"),
        equal("frame_count", frames, len(rows.crc)),
        equal("frame_size", f"{size[0]}x{size[1]}", f"{stream.get('width')}x{stream.get('height')}"),
    ]
