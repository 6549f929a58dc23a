"""A PGS (Blu-ray) subtitle file, which ffmpeg can read but not write, made byte by byte."""

from __future__ import annotations

import struct

_WIDTH, _HEIGHT = 16, 8
_CLOCK = 90_000


def sup_file(cues: list[tuple[float, float]]) -> bytes:
    """A ``.sup`` file that shows a small white box during each (start, end) in seconds."""
    return b"".join(_shown(start, number) + _cleared(end, number) for number, (start, end) in enumerate(cues))


def _shown(time_s: float, number: int) -> bytes:
    window = struct.pack(">BBHHHH", 1, 0, 8, 40, _WIDTH, _HEIGHT)
    palette = struct.pack(">BB5B5B", 0, 0, 0, 16, 128, 128, 0, 1, 235, 128, 128, 255)
    row = bytes([0x00, 0x80 | _WIDTH, 0x01, 0x00, 0x00])
    picture = row * _HEIGHT
    thing = struct.pack(">HBB", 0, 0, 0xC0) + (len(picture) + 4).to_bytes(3, "big")
    thing += struct.pack(">HH", _WIDTH, _HEIGHT) + picture
    parts = [(0x16, _composition(2 * number, 0x80, 1)), (0x17, window), (0x14, palette), (0x15, thing), (0x80, b"")]
    return b"".join(_segment(time_s, kind, payload) for kind, payload in parts)


def _cleared(time_s: float, number: int) -> bytes:
    window = struct.pack(">BBHHHH", 1, 0, 8, 40, _WIDTH, _HEIGHT)
    parts = [(0x16, _composition(2 * number + 1, 0x00, 0)), (0x17, window), (0x80, b"")]
    return b"".join(_segment(time_s, kind, payload) for kind, payload in parts)


def _composition(number: int, state: int, objects: int) -> bytes:
    head = struct.pack(">HHBHBBBB", 96, 64, 0x10, number, state, 0, 0, objects)
    return head + (struct.pack(">HBBHH", 0, 0, 0, 8, 40) if objects else b"")


def _segment(time_s: float, kind: int, payload: bytes) -> bytes:
    return b"PG" + struct.pack(">IIBH", round(time_s * _CLOCK), 0, kind, len(payload)) + payload
