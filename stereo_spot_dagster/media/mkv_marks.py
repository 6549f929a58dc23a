"""Marks a Matroska file as an anaglyph, in place: ffmpeg 5.1 knows the mark and does not write it.

Element ids and numbers are those of RFC 9559; the coding of ids and sizes is that of EBML, RFC 8794.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..domain.errors import ProofFailed

# What a muxer is told to write, so that there is a byte for the mark: a stereo mode of 0.
PLACEHOLDER = "mono"
_ANAGLYPH_CYAN_RED = 10

_SEGMENT, _TRACKS, _TRACK, _VIDEO, _STEREO_MODE, _CRC = 0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0x53B8, 0xBF
_CRC_BYTES = 4
# The tracks stand at the beginning of what ffmpeg writes; attachments come behind them.
_HEAD_BYTES = 16 << 20


@dataclass(frozen=True)
class _Element:
    """An EBML element: where its content starts and ends."""

    kind: int
    start: int
    end: int


def mark_anaglyph(path: Path) -> None:
    """Say in a Matroska file, written with :data:`PLACEHOLDER`, that its film is a red-cyan anaglyph.

    Raises:
        ProofFailed: the file has no such place.
    """
    with path.open("r+b") as file:
        head = bytearray(file.read(_HEAD_BYTES))
        tracks = _within(head, (_SEGMENT, _TRACKS))
        mode = _within(head, (_SEGMENT, _TRACKS, _TRACK, _VIDEO, _STEREO_MODE))
        if tracks is None or mode is None or mode.end - mode.start != 1 or tracks.end > len(head):
            raise ProofFailed(path.name, "has no place for the mark of an anaglyph", "Make the file again")
        head[mode.start] = _ANAGLYPH_CYAN_RED
        # A checksum, where there is one, is the first of the tracks and covers the others.
        first = next(_elements(head, tracks.start, tracks.end))
        if first.kind == _CRC:
            checksum = zlib.crc32(head[first.end : tracks.end])
            head[first.start : first.end] = checksum.to_bytes(_CRC_BYTES, "little")
        file.seek(tracks.start)
        file.write(head[tracks.start : tracks.end])


def _within(head: bytearray, kinds: tuple[int, ...]) -> _Element | None:
    """The first element at the end of a path of nested ones; None where a step of it is missing."""
    place = _Element(0, 0, len(head))
    for kind in kinds:
        found = next((one for one in _elements(head, place.start, place.end) if one.kind == kind), None)
        if found is None:
            return None
        place = found
    return place


def _elements(head: bytearray, start: int, end: int) -> Iterator[_Element]:
    while start < min(end, len(head)):
        kind, start = _number(head, start, keep_marker=True)
        size, start = _number(head, start, keep_marker=False)
        yield _Element(kind, start, start + size)
        start += size


def _number(head: bytearray, start: int, *, keep_marker: bool) -> tuple[int, int]:
    """(a number of variable length, where it ends): leading zero bits of its first byte tell its length."""
    first = head[start]
    length = 9 - first.bit_length()
    value = int.from_bytes(head[start : start + length], "big")
    return (value if keep_marker else value & ~(1 << 7 * length)), start + length
