"""Asks for what only a decoded picture tells: one picture is decoded, never more."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import ffmpeg

from ..domain.errors import FfmpegFailed, InputRefused
from .ffprobe import probe_command
from .process import read_output, run_verbose, safe_input

_TIMEOUT_S = 30.0
# What ffmpeg says of a QuickTime film whose data lies elsewhere, which it does not follow unless it is told to.
_ELSEWHERE = "external track"


def decoded_format(path: Path, index: int, name: str) -> str:
    """ffmpeg's name of the sample format that its decoder gives for video stream ``index``.

    Raises:
        InputRefused: it cannot decode the stream.
    """
    try:
        messages = _shown(path, index, name)
    except FfmpegFailed as error:
        if _ELSEWHERE in error.messages.lower():
            cause = "its pictures lie in another file, to which it only refers"
            raise InputRefused(name, cause, "Export it as one self-contained film") from None
        raise InputRefused(name, f"its video cannot be decoded ({error.cause})", "Convert it to H.264 first") from None
    found = re.search(r"\bfmt:(\w+)", messages)
    if not found:
        raise InputRefused(name, "its video has no pictures that can be decoded", "Check the file with a player")
    return found.group(1)


def _shown(path: Path, index: int, name: str) -> str:
    """What ffmpeg says of the first picture."""
    shown = safe_input(path)[str(index)].filter("showinfo")
    node = ffmpeg.output(shown, "pipe:1", format="null", **{"frames:v": 1})
    return run_verbose(node, subject=name, timeout_s=_TIMEOUT_S)


def first_picture(path: Path, index: int, name: str) -> dict[str, Any]:
    """ffprobe's description of the first picture of a stream, with its side data; empty without its decoder."""
    words = ["-select_streams", str(index), "-read_intervals", "%+#1", "-show_frames", "-of", "json"]
    try:
        described = json.loads(read_output(probe_command(path, *words), subject=name, timeout_s=_TIMEOUT_S))
    except (FfmpegFailed, json.JSONDecodeError):
        # Nothing is known then, as for a source without such data; the scan judges whether it decodes.
        return {}
    return next(iter(described.get("frames", [])), {})
