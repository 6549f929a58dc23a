"""A Blu-ray subtitle file (PGS), written by hand: no encoder of ffmpeg makes one."""

from __future__ import annotations

import struct

_PRESENTATION, _WINDOW, _PALETTE, _OBJECT, _END = 0x16, 0x17, 0x14, 0x15, 0x80


def pgs_file() -> bytes:
    """One white square, shown from 0.2 s to 0.6 s."""
    shown, gone = 18_000, 54_000
    window = struct.pack(">BBHHHH", 1, 0, 8, 8, 16, 16)
    palette = bytes((0, 0, 1, 235, 128, 128, 255))
    # Each row: sixteen pixels of colour 1, end of line.
    rows = (b"\x00\x90\x01" + b"\x00\x00") * 16
    picture = struct.pack(">HBB", 0, 0, 0xC0) + (len(rows) + 4).to_bytes(3, "big") + struct.pack(">HH", 16, 16) + rows
    placed = struct.pack(">HBBHH", 0, 0, 0, 8, 8)
    sets = [
        (shown, _PRESENTATION, _composition(0, 0x80, 1) + placed),
        (shown, _WINDOW, window),
        (shown, _PALETTE, palette),
        (shown, _OBJECT, picture),
        (shown, _END, b""),
        (gone, _PRESENTATION, _composition(1, 0, 0)),
        (gone, _WINDOW, window),
        (gone, _END, b""),
    ]
    return b"".join(b"PG" + struct.pack(">IIBH", time, 0, kind, len(data)) + data for time, kind, data in sets)


def _composition(number: int, state: int, objects: int) -> bytes:
    return struct.pack(">HHBHBBBB", 160, 90, 0x10, number, state, 0, 0, objects)
