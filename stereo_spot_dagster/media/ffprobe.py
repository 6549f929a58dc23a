"""ffprobe's command line for files of unknown origin, and what it prints, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from .process import INPUT_OPTIONS, Child, file_url
from .tools import find_tools

_BLOCK = 1 << 20


def probe_command(path: Path, *words: str) -> list[str]:
    """The command line; ``words`` say what of the file is shown, and how."""
    limits = [word for option, value in INPUT_OPTIONS.items() for word in (f"-{option}", str(value))]
    return [find_tools().ffprobe, "-v", "error", "-hide_banner", *limits, *words, "-i", file_url(path)]


def output_lines(command: Sequence[str], *, subject: str, stall_s: float) -> Iterator[bytes]:
    """Each whole line of a program's stdout, without its end, however much it prints.

    Raises:
        FfmpegFailed: it ends with an error, or is silent for ``stall_s`` seconds.
    """
    with Child(command, subject=subject, stdout=True, stall_s=stall_s) as child:
        rest, buffer = b"", bytearray(_BLOCK)
        while size := child.read_into(memoryview(buffer)):
            *lines, rest = (rest + buffer[:size]).split(b"\n")
            yield from lines
