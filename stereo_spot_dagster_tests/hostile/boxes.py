"""Takes MP4 files apart and puts them together wrongly."""

from __future__ import annotations

import struct
from collections.abc import Sequence

ABOVE_SAMPLE_TABLES = (b"stbl", b"minf", b"mdia", b"trak", b"moov")
ABOVE_DATA_REFERENCES = (b"dinf", *ABOVE_SAMPLE_TABLES[1:])


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def inside(film: bytes, kind: bytes) -> tuple[int, int]:
    """Start and end of the first box of a kind."""
    start = film.index(kind) - 4
    return start, start + struct.unpack_from(">I", film, start)[0]


def replaced(film: bytes, kind: bytes, content: bytes, parents: Sequence[bytes] = ABOVE_SAMPLE_TABLES) -> bytes:
    """The film with other content in the first box of a kind, which lies below ``parents``."""
    start, end = inside(film, kind)
    new = box(kind, content)
    return grown_parents(film[:start] + new + film[end:], start, parents, len(new) - (end - start))


def grown_parents(film: bytes, place: int, parents: Sequence[bytes], by: int) -> bytes:
    """The film with the lengths of the boxes around ``place`` corrected."""
    made = bytearray(film)
    for parent in parents:
        start = film[:place].rindex(parent) - 4
        struct.pack_into(">I", made, start, struct.unpack_from(">I", made, start)[0] + by)
    return bytes(made)
