"""The index of an MP4 or MOV file (``moov``) as a tree of boxes, and the changes we make in it.

Box layouts are those of ISO/IEC 14496-12; ``st3d`` is that of Google's Spherical Video V2 specification.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAX_U32 = (1 << 32) - 1
_MOST_SAMPLES = 1 << 24  # three days at 60 frames per second
_VISUAL_FIELDS_BYTES = 78  # of SampleEntry and VisualSampleEntry, before any box in it

_Parts = dict[bytes, "_Parts"]

# Which boxes are parsed, and what in them: nothing else is, so a hostile file cannot nest boxes without end.
_MOOV_PARTS: _Parts = {b"trak": {b"edts": {}, b"mdia": {b"minf": {b"stbl": {}}}}}

_STTS_DTYPE = ">u4,>u4"
_CTTS_DTYPE = ">u4,>i4"  # signed in version 1; in version 0 by custom
_ELST_DTYPE = ">u4,>i4,>u4"
_ELST_WIDE_DTYPE = ">u8,>i8,>u4"

# Bytes between the two dates and the duration: a time scale, or a track id and four reserved bytes.
_BEFORE_DURATION = {b"mvhd": 4, b"mdhd": 4, b"tkhd": 8}


class MalformedMp4(Exception):
    """What is wrong with the bytes of a file, as the rest of a sentence that starts with its name."""


class Stereo3dMode(IntEnum):
    """``stereo_mode`` of the ``st3d`` box: how the eyes are packed, first eye first.

    ffmpeg reads the first three from ``st3d``. For ``RIGHT_LEFT`` it warns of an unknown mode and then reads the
    ``vexu`` that we write along; ``CUSTOM`` it does not report.
    """

    MONO = 0
    TOP_BOTTOM = 1
    LEFT_RIGHT = 2
    CUSTOM = 3
    RIGHT_LEFT = 4


@dataclass
class Box:
    """A box of the index: its own bytes, then the boxes in it. ``kind`` b"" is padding without a header."""

    kind: bytes
    payload: bytes | memoryview = b""
    parts: list[Box] = field(default_factory=list)

    def all(self, kind: bytes) -> list[Box]:
        return [part for part in self.parts if part.kind == kind]

    def find(self, *path: bytes) -> Box | None:
        """The first box at ``path`` below this one."""
        box: Box | None = self
        for kind in path:
            box = next(iter(box.all(kind)), None) if box else None
        return box

    def need(self, *path: bytes) -> Box:
        """Like ``find``; raises MalformedMp4 where there is none."""
        box = self.find(*path)
        if box is None:
            raise MalformedMp4(f"has no {'/'.join(map(box_name, path))} box")
        return box

    @property
    def size(self) -> int:
        """Bytes of the whole box."""
        return (8 if self.kind else 0) + len(self.payload) + sum(part.size for part in self.parts)

    def pieces(self) -> Iterator[bytes | memoryview]:
        """The whole box as bytes, in pieces."""
        if self.kind:
            yield struct.pack(">I4s", self.size, self.kind)
        yield self.payload
        for part in self.parts:
            yield from part.pieces()


def box_name(kind: bytes) -> str:
    return kind.decode("ascii", "backslashreplace")


def box_header(data: bytes | memoryview, room: int) -> tuple[int, bytes, int]:
    """(size, kind, header size) of a box.

    Args:
        data: bytes from the start of the box on, 16 of them where there are so many.
        room: bytes from there to the end of what the box lies in.

    Raises:
        MalformedMp4: the box does not fit.
    """
    if len(data) < 8 or room < 8:
        raise MalformedMp4("ends within a box header")
    size, kind, header = int.from_bytes(data[:4], "big"), bytes(data[4:8]), 8
    if size == 1:
        size, header = int.from_bytes(data[8:16], "big"), 16
    elif size == 0:
        size = room
    if not header <= size <= room:
        raise MalformedMp4(f"has a {box_name(kind)} box of {size} bytes where {room} are left")
    return size, kind, header


def parse_moov(payload: memoryview) -> Box:
    """The ``moov`` box with this payload."""
    return Box(b"moov", parts=list(_parts_of(payload, _MOOV_PARTS)))


def _parts_of(payload: memoryview, known: _Parts) -> Iterator[Box]:
    at = 0
    while at < len(payload):
        rest = payload[at:]
        if len(rest) < 8 or not any(rest[:8]):  # QuickTime ends some lists with zeros
            yield Box(b"", rest)
            return
        size, kind, header = box_header(rest[:16], len(rest))
        inner = rest[header:size]
        if kind in known:
            yield Box(kind, parts=list(_parts_of(inner, known[kind])))
        else:
            yield Box(kind, inner)
        at += size


def table_of(box: Box, dtype: str) -> NDArray[Any]:
    """The entries (of ``dtype``) of a full box that holds their count and then themselves."""
    count, entry = _u32(box, 4), np.dtype(dtype)
    if 8 + count * entry.itemsize > len(box.payload):
        raise MalformedMp4(f"has a {box_name(box.kind)} box too short for its {count} entries")
    return np.frombuffer(box.payload, entry, count, offset=8)


def filled_table(version: int, entries: NDArray[Any]) -> bytes:
    """Payload of a full box with a count and these entries."""
    return struct.pack(">B3xI", version, len(entries)) + entries.tobytes()


def _u32(box: Box, at: int) -> int:
    if at + 4 > len(box.payload):
        raise MalformedMp4(f"has a {box_name(box.kind)} box that ends too early")
    return int.from_bytes(box.payload[at : at + 4], "big")


def video_track(moov: Box) -> Box:
    """The first video track."""
    for track in moov.all(b"trak"):
        if track.need(b"mdia", b"hdlr").payload[8:12] == b"vide":
            return track
    raise MalformedMp4("has no video track")


def mark_stereo(track: Box, mode: Stereo3dMode) -> None:
    """Puts ``st3d`` into every sample entry of a video track.

    An ``st3d`` that is there goes, and so does ``vexu``: Apple's marking, which ffmpeg writes too since version 7
    and reads last, so that it would win.
    """
    descriptions = track.need(b"mdia", b"minf", b"stbl", b"stsd")
    count = _u32(descriptions, 4)
    entries = list(_parts_of(memoryview(descriptions.payload)[8:], {}))
    if sum(1 for entry in entries if entry.kind) != count:
        raise MalformedMp4("has a damaged sample description")
    for entry in entries:
        if entry.kind:
            _mark_entry(entry, mode)
    descriptions.payload, descriptions.parts = descriptions.payload[:8], entries


def _mark_entry(entry: Box, mode: Stereo3dMode) -> None:
    if len(entry.payload) < _VISUAL_FIELDS_BYTES:
        raise MalformedMp4(f"has a {box_name(entry.kind)} sample entry that ends too early")
    parts = list(_parts_of(memoryview(entry.payload)[_VISUAL_FIELDS_BYTES:], {}))
    kept = [part for part in parts if part.kind not in (b"", b"st3d", b"vexu")]
    padding = [part for part in parts if part.kind == b""]
    entry.payload = entry.payload[:_VISUAL_FIELDS_BYTES]
    entry.parts = [*kept, Box(b"st3d", struct.pack(">IB", 0, mode)), *_eye_order(mode), *padding]


def _eye_order(mode: Stereo3dMode) -> list[Box]:
    """``vexu`` for the one order that ffmpeg does not read from ``st3d``: right eye on the left.

    Box layouts are those of Apple's "Stereo Video ISOBMFF Extensions": views present are left (1) and right (2),
    reversed (8), packed side by side.
    """
    if mode is not Stereo3dMode.RIGHT_LEFT:
        return []
    views = Box(b"eyes", parts=[Box(b"stri", struct.pack(">IB", 0, 1 | 2 | 8))])
    packing = Box(b"pack", parts=[Box(b"pkin", struct.pack(">I4s", 0, b"side"))])
    return [Box(b"vexu", parts=[views, packing])]


def set_last_frame_duration(moov: Box, ticks: int) -> None:
    """Makes the frame of the first video track that is shown last last ``ticks``, and all durations agree.

    With B-frames the sample decoded last is seldom the one shown last, and only the former has a duration of its
    own in the file. So its duration is set such that all of them add up to the time from the first frame shown to
    the end of the last one: that sum is what players take as the length of the track.
    """
    _end_track(moov, video_track(moov), ticks)


def set_missing_sound_ends(moov: Box) -> None:
    """Gives the last packet of a sound track a length where it has none: that of the longest one before it.

    ffmpeg writes none for packets whose source says none (ALAC from Matroska); players then leave out the last one.
    """
    for track in moov.all(b"trak"):
        if track.need(b"mdia", b"hdlr").payload[8:12] != b"soun":
            continue
        if deltas := track.find(b"mdia", b"minf", b"stbl", b"stts"):
            runs = table_of(deltas, _STTS_DTYPE)
            runs = runs[runs["f0"] > 0]
            if len(runs) > 1 and runs["f1"][-1] == 0:
                _end_track(moov, track, int(runs["f1"].max()))


def _end_track(moov: Box, track: Box, ticks: int) -> None:
    """Makes the sample of a track that is shown last last ``ticks``, and all durations agree."""
    film = moov.need(b"mvhd")
    media, samples = track.need(b"mdia", b"mdhd"), track.need(b"mdia", b"minf", b"stbl")
    times = _SampleTimes.read(samples)
    end = times.last_shown + ticks
    last = max(1, end - times.first_shown - times.last_decoded)
    if last > _MAX_U32:
        raise MalformedMp4("has a last frame longer than an MP4 can say")
    length = times.last_decoded + last
    deltas = samples.need(b"stts")
    deltas.payload = filled_table(0, _with_last_delta(table_of(deltas, _STTS_DTYPE), last))
    _set_duration(media, length)

    def in_film_time(duration: int) -> int:
        # Rounded up, so that no player cuts the last frame.
        return _fitting(-(-duration * _time_scale(film) // _time_scale(media)))

    edits = track.find(b"edts", b"elst")
    shown = in_film_time(length) if edits is None else _extend_edits(edits, end, in_film_time)
    _set_duration(track.need(b"tkhd"), shown)
    _set_duration(film, max(_duration(each.need(b"tkhd")) for each in moov.all(b"trak")))


@dataclass(frozen=True)
class _SampleTimes:
    """Times of a track's samples in its own ticks; the first sample is decoded at 0."""

    last_decoded: int
    first_shown: int
    last_shown: int

    @classmethod
    def read(cls, samples: Box) -> _SampleTimes:
        deltas = _expanded(table_of(samples.need(b"stts"), _STTS_DTYPE))
        if not len(deltas):
            raise MalformedMp4("has no frames")
        decoded = np.cumsum(deltas) - deltas
        shown = decoded.copy()
        if reorder := samples.find(b"ctts"):
            offsets = _expanded(table_of(reorder, _CTTS_DTYPE))[: len(shown)]
            shown[: len(offsets)] += offsets
        return cls(int(decoded[-1]), int(shown.min()), int(shown.max()))


def _expanded(runs: NDArray[Any]) -> NDArray[np.int64]:
    """One value for each sample from runs of (count, value)."""
    counts = runs["f0"].astype(np.int64)
    if counts.sum() > _MOST_SAMPLES:
        raise MalformedMp4(f"has more than {_MOST_SAMPLES} frames")
    return np.repeat(runs["f1"].astype(np.int64), counts)


def _with_last_delta(runs: NDArray[Any], delta: int) -> NDArray[Any]:
    """Runs of (count, value) with another value for the last sample."""
    runs = runs[runs["f0"] > 0]
    runs["f0"][-1] -= 1
    # numpy concatenates in the machine's byte order, whatever that of the parts.
    joined = np.concatenate([runs[runs["f0"] > 0], np.array([(1, delta)], runs.dtype)])
    return joined.astype(runs.dtype)


def _extend_edits(edits: Box, end: int, in_film_time: Callable[[int], int]) -> int:
    """Makes the last edit that shows media reach ``end`` (in media ticks).

    Returns:
        Length of all edits in film time.
    """
    wide = edits.payload[:1] == b"\1"
    entries = table_of(edits, _ELST_WIDE_DTYPE if wide else _ELST_DTYPE).astype(_ELST_WIDE_DTYPE)
    showing = np.flatnonzero(entries["f1"] >= 0)
    if not len(showing):
        raise MalformedMp4("has a track that shows nothing")
    last = showing[-1]
    entries["f0"][last] = in_film_time(max(0, end - int(entries["f1"][last])))
    if wide or entries["f0"].max() > _MAX_U32:
        edits.payload = filled_table(1, entries)
    else:
        edits.payload = filled_table(0, entries.astype(_ELST_DTYPE))
    return _fitting(sum(entries["f0"].tolist()))


def _fitting(duration: int) -> int:
    if duration >= 1 << 64:
        raise MalformedMp4("lasts longer than an MP4 can say")
    return duration


def _number_bytes(header: Box) -> int:
    """Size of each date, and of the duration, in ``mvhd``, ``mdhd`` or ``tkhd``: 4, or 8 in version 1."""
    width = 8 if header.payload[:1] == b"\1" else 4
    if len(header.payload) < 4 + 3 * width + _BEFORE_DURATION[header.kind]:
        raise MalformedMp4(f"has a {box_name(header.kind)} box that ends too early")
    return width


def _time_scale(header: Box) -> int:
    scale = _u32(header, 4 + 2 * _number_bytes(header))
    if not scale:
        raise MalformedMp4(f"has a {box_name(header.kind)} box without a time scale")
    return scale


def _duration(header: Box) -> int:
    width = _number_bytes(header)
    at = 4 + 2 * width + _BEFORE_DURATION[header.kind]
    return int.from_bytes(header.payload[at : at + width], "big")


def _set_duration(header: Box, duration: int) -> None:
    """Sets the duration of ``mvhd``, ``mdhd`` or ``tkhd``, which becomes version 1 where 32 bits are too few."""
    old, width = bytes(header.payload), _number_bytes(header)
    at = 4 + 2 * width + _BEFORE_DURATION[header.kind]
    flags, middle, rest = old[1:4], old[4 + 2 * width : at], old[at + width :]
    dates = [int.from_bytes(old[start : start + width], "big") for start in (4, 4 + width)]
    if duration > _MAX_U32:
        width = 8
    created, modified, length = (number.to_bytes(width, "big") for number in (*dates, duration))
    version = b"\1" if width == 8 else b"\0"
    header.payload = b"".join([version, flags, created, modified, middle, length, rest])
