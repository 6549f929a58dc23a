"""Corrects what ffmpeg says in a Matroska file about its film, in place.

The mark of an anaglyph, which ffmpeg 5.1 knows and does not write, and the shape of the pixels, which it rounds.

Element ids and numbers are those of RFC 9559; the coding of ids and sizes is that of EBML, RFC 8794.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ..domain.errors import ProofFailed

# What a muxer is told to write, so that there is a byte for the mark: a stereo mode of 0.
PLACEHOLDER = "mono"
_ANAGLYPH_CYAN_RED = 10
_SIDE_BY_SIDE, _TOP_AND_BOTTOM = (1, 11), (2, 3)

_SEGMENT, _TRACKS, _TRACK, _VIDEO, _STEREO_MODE, _CRC = 0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0x53B8, 0xBF
_WIDTH, _HEIGHT, _DISPLAY_WIDTH, _DISPLAY_HEIGHT = 0xB0, 0xBA, 0x54B0, 0x54BA
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
    if not _write(path, {_STEREO_MODE: _ANAGLYPH_CYAN_RED}):
        raise ProofFailed(path.name, "has no place for the mark of an anaglyph", "Make the file again")


def set_pixel_aspect(path: Path, aspect: Fraction) -> bool:
    """Say exactly what shape the pixels of a Matroska file's film have, in place.

    Matroska knows the size that a film is shown in, in whole pixels, and ffmpeg rounds it: 32:27, the shape of a
    widescreen DVD, becomes 853:720.

    Args:
        path: the file, with a size to show.
        aspect: width : height of a pixel.

    Returns:
        False where the file has no room for such numbers; nothing is changed then.
    """
    with path.open("rb") as file:
        head = bytearray(file.read(_HEAD_BYTES))
    width, height, mode = (_value(head, kind) for kind in (_WIDTH, _HEIGHT, _STEREO_MODE))
    if not width or not height:
        return False
    # The size to show is that of one eye.
    width //= 2 if mode in _SIDE_BY_SIDE else 1
    height //= 2 if mode in _TOP_AND_BOTTOM else 1
    shown = aspect * width / height
    # The exact size whose height is nearest to that of the pictures.
    times = max(1, round(height / shown.denominator))
    return _write(path, {_DISPLAY_WIDTH: shown.numerator * times, _DISPLAY_HEIGHT: shown.denominator * times})


def _write(path: Path, values: dict[int, int]) -> bool:
    """Put other numbers into elements of the film's track; False where one of them is missing or too short."""
    with path.open("r+b") as file:
        head = bytearray(file.read(_HEAD_BYTES))
        tracks = _within(head, (_SEGMENT, _TRACKS))
        if tracks is None or tracks.end > len(head):
            return False
        for kind, value in values.items():
            place = _within(head, (_SEGMENT, _TRACKS, _TRACK, _VIDEO, kind))
            if place is None or value.bit_length() > 8 * (place.end - place.start):
                return False
            head[place.start : place.end] = value.to_bytes(place.end - place.start, "big")
        # A checksum, where there is one, is the first of the tracks and covers the others.
        first = next(_elements(head, tracks.start, tracks.end))
        if first.kind == _CRC:
            checksum = zlib.crc32(head[first.end : tracks.end])
            head[first.start : first.end] = checksum.to_bytes(_CRC_BYTES, "little")
        file.seek(tracks.start)
        file.write(head[tracks.start : tracks.end])
    return True


def _value(head: bytearray, kind: int) -> int:
    """The number in an element of the film's track; 0 where there is none."""
    place = _within(head, (_SEGMENT, _TRACKS, _TRACK, _VIDEO, kind))
    return int.from_bytes(head[place.start : place.end], "big") if place else 0


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
