"""Why ffprobe cannot read a file, for the person who dropped it."""

from __future__ import annotations

import re
from pathlib import Path

from .limits import MAX_STREAMS


def explain(messages: str, path: Path) -> tuple[str, str]:
    """ffprobe's words about an unreadable file as (cause, remedy) in words."""
    said = messages.lower()
    with path.open("rb") as file:
        head = file.read(4096)
    large = re.search(r"picture size (\d+x\d+)", said)
    if large:
        return f"its pictures are too large ({large.group(1)})", "Scale it down first"
    if "max_streams" in said:
        return f"it holds more streams than any film; the limit is {MAX_STREAMS}", "Leave some of them out"
    looks_like_mp4 = head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide")
    if "moov atom not found" in said and looks_like_mp4:
        return (
            "the file is not complete: its index (moov atom) is missing, as after an interrupted copy or recording",
            "Copy it again when it is finished, or repair it",
        )
    if head.lstrip()[:7] in (b"#EXTM3U", b"ffconca"):
        return "it is a playlist, not a video file", "Drop the video files themselves"
    if head.isascii() and b"\0" not in head:
        return "it is a text file, not a video (no video data found)", "Drop a video file"
    if "not in whitelist" in said or "format not on whitelist" in said:
        return "this kind of file is not accepted (not a video file format)", "Convert it to MP4 or MKV first"
    return (
        "it is not a video file that can be read (invalid data)",
        "Check it with a player, or copy it again",
    )
