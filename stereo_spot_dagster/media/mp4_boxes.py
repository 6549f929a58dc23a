"""The last touch on an MP4 or MOV file: playable from its start, marked as 3D, the last frame of the right length.

A file that ffmpeg wrote ends with its index (``moov``). `finish_mp4` writes it anew with the index in front, so
that a player can start before it has all of the file. Box layouts are those of ISO/IEC 14496-12.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from stereo_spot_dagster.domain.errors import InputRefused, ProofFailed

from .mp4_index import (
    Box,
    MalformedMp4,
    Stereo3dMode,
    box_header,
    box_name,
    filled_table,
    mark_stereo,
    parse_moov,
    set_last_frame_duration,
    set_missing_sound_ends,
    table_of,
    video_track,
)

__all__ = ["Stereo3dMode", "finish_mp4"]

LARGEST_MOOV_BYTES = 512 << 20
LARGEST_FRAME_DURATION = (1 << 32) - 1
LARGEST_STCO_OFFSET = (1 << 32) - 1

_COPY_CHUNK_BYTES = 4 << 20
_MOST_TOP_LEVEL_BOXES = 100_000
_OFFSET_DTYPE = {b"stco": ">u4", b"co64": ">u8"}


def finish_mp4(
    source: Path,
    target: Path,
    *,
    stereo3d: Stereo3dMode | None,
    last_frame_duration: int | None = None,
    largest_stco_offset: int = LARGEST_STCO_OFFSET,
) -> None:
    """Writes ``source`` to ``target`` with its index in front; sample data stays as it is, byte for byte.

    Sound whose last packet has no length gets one, or players would leave it out.

    Memory is a few times the index, whatever the size of the file. ``target`` appears only when it is complete.

    Args:
        source: a complete MP4 or MOV file, not fragmented.
        target: file to write; replaced if it is there. May be ``source``.
        stereo3d: what the first video track's ``st3d`` box shall say, in place of any 3D marking it has; None
            leaves it as it is.
        last_frame_duration: how long the last frame shown of the first video track lasts, in ticks of that
            track's time scale (1..2**32-1). Durations of the track and of the film follow. None leaves all as
            they are.
        largest_stco_offset: tracks with a chunk that starts beyond it get 64-bit chunk offsets.

    Raises:
        ProofFailed: the file is damaged, has no video track, or its index is larger than 512 MB.
        InputRefused: the file is fragmented.
        ValueError: ``last_frame_duration`` is out of range.
    """
    if last_frame_duration is not None and not 1 <= last_frame_duration <= LARGEST_FRAME_DURATION:
        raise ValueError(f"last_frame_duration is {last_frame_duration}, not 1..{LARGEST_FRAME_DURATION}")
    part = target.with_name(f"{target.name}.part")
    try:
        with source.open("rb") as reader, part.open("wb") as writer:
            outline = _Outline.read(reader)
            moov = parse_moov(_moov_payload(reader, outline))
            if moov.find(b"mvex"):
                raise _Fragmented
            if stereo3d is not None:
                mark_stereo(video_track(moov), stereo3d)
            if last_frame_duration is not None:
                set_last_frame_duration(moov, last_frame_duration)
            set_missing_sound_ends(moov)
            _place_chunks(outline, moov, min(largest_stco_offset, LARGEST_STCO_OFFSET))
            _write(reader, writer, outline, moov)
        os.replace(part, target)
    except MalformedMp4 as error:
        raise ProofFailed(source.name, str(error), "Make the file again") from None
    except _Fragmented:
        raise InputRefused(source.name, "is a fragmented MP4", "Mux it without fragments") from None
    finally:
        part.unlink(missing_ok=True)


def ends_within_its_samples(path: Path) -> bool:
    """Whether a file with its index in front says that its sample data goes on behind its end.

    Fragments tell nothing of what comes behind them, and files of other kinds have no boxes: False for both.
    """
    kinds = []
    for kind, missing in _boxes_of_any_file(path):
        if kind == b"moof":
            return False
        if kind == b"mdat" and b"moov" in kinds and missing:
            return True
        kinds.append(kind)
    return False


def ends_within_a_fragment(path: Path) -> bool:
    """Whether the last fragment of a fragmented file is not all there, as after an interrupted recording."""
    fragmented = False
    for kind, missing in _boxes_of_any_file(path):
        fragmented = fragmented or kind == b"moof"
        if fragmented and missing:
            return True
    return False


def _boxes_of_any_file(path: Path) -> Iterator[tuple[bytes, bool]]:
    """(kind, whether a part of it is missing) of each box; nothing of files of other kinds."""
    with path.open("rb") as reader:
        length = reader.seek(0, os.SEEK_END)
        start = 0
        for number in range(_MOST_TOP_LEVEL_BOXES):
            reader.seek(start)
            head = reader.read(16)
            size, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if len(kind) < 4 or (not number and kind not in (b"ftyp", b"moov", b"wide", b"free", b"skip")):
                return
            size = int.from_bytes(head[8:], "big") if size == 1 else size
            yield kind, start + size > length
            if size < 8:
                return
            start += size


class _Fragmented(Exception):
    """The file is fragmented."""


@dataclass(frozen=True)
class _TopBox:
    """One box of the file: where it starts, and its size and header size in bytes."""

    kind: bytes
    start: int
    size: int
    header: int

    @property
    def end(self) -> int:
        return self.start + self.size


def _top_level(reader: BinaryIO) -> Iterator[_TopBox]:
    length = reader.seek(0, os.SEEK_END)
    start = 0
    for _ in range(_MOST_TOP_LEVEL_BOXES):
        if start == length:
            return
        reader.seek(start)
        size, kind, header = box_header(reader.read(16), length - start)
        yield _TopBox(kind, start, size, header)
        start += size
    raise MalformedMp4(f"has more than {_MOST_TOP_LEVEL_BOXES} boxes")


@dataclass(frozen=True)
class _Outline:
    """The boxes of a file that is not fragmented: its index, and the others in order."""

    moov: _TopBox
    others: tuple[_TopBox, ...]

    @classmethod
    def read(cls, reader: BinaryIO) -> _Outline:
        boxes = tuple(_top_level(reader))
        if any(box.kind in (b"moof", b"mfra", b"sidx") for box in boxes):
            raise _Fragmented
        moov = [box for box in boxes if box.kind == b"moov"]
        if len(moov) != 1:
            raise MalformedMp4(f"has {len(moov)} moov boxes")
        if moov[0].size > LARGEST_MOOV_BYTES:
            raise MalformedMp4(f"has an index of {moov[0].size} bytes, more than {LARGEST_MOOV_BYTES}")
        return cls(moov[0], tuple(box for box in boxes if box.kind != b"moov"))

    @property
    def boxes_before_moov(self) -> int:
        """How many of ``others`` stay in front of the index: ``ftyp``, which must be first."""
        return 1 if self.others and self.others[0].kind == b"ftyp" else 0

    def new_starts(self, moov_size: int) -> NDArray[np.int64]:
        """Where each of ``others`` starts when an index of ``moov_size`` bytes is in front."""
        sizes = np.array([box.size for box in self.others], np.int64)
        starts = np.cumsum(sizes) - sizes
        starts[self.boxes_before_moov :] += moov_size
        return starts


def _moov_payload(reader: BinaryIO, outline: _Outline) -> memoryview:
    reader.seek(outline.moov.start + outline.moov.header)
    payload = memoryview(reader.read(outline.moov.size - outline.moov.header))
    if len(payload) != outline.moov.size - outline.moov.header:
        raise MalformedMp4("ends within its index")
    return payload


def _write(reader: BinaryIO, writer: BinaryIO, outline: _Outline, moov: Box) -> None:
    for box in outline.others[: outline.boxes_before_moov]:
        _copy(reader, writer, box)
    writer.writelines(moov.pieces())
    for box in outline.others[outline.boxes_before_moov :]:
        _copy(reader, writer, box)


def _copy(reader: BinaryIO, writer: BinaryIO, box: _TopBox) -> None:
    reader.seek(box.start)
    left = box.size
    while left:
        chunk = reader.read(min(left, _COPY_CHUNK_BYTES))
        if not chunk:
            raise MalformedMp4(f"ends within a {box_name(box.kind)} box")
        writer.write(chunk)
        left -= len(chunk)


def _place_chunks(outline: _Outline, moov: Box, largest_stco_offset: int) -> None:
    """Sets the chunk offsets of every track for the index's place in front."""
    samples = [box for track in moov.all(b"trak") if (box := track.find(b"mdia", b"minf", b"stbl"))]
    tables = [box for stbl in samples for box in stbl.parts if box.kind in _OFFSET_DTYPE]
    chunks = [_Chunks.read(box, outline) for box in tables]
    # Wider offsets make the index longer, which moves the chunks, which can make further offsets too large.
    settled = False
    while not settled:
        settled = True
        starts = outline.new_starts(moov.size)
        for box, chunk in zip(tables, chunks, strict=True):
            offsets = chunk.offsets(starts)
            if box.kind == b"stco" and offsets.max(initial=0) > largest_stco_offset:
                box.kind, settled = b"co64", False
            box.payload = filled_table(0, offsets.astype(_OFFSET_DTYPE[box.kind]))


@dataclass(frozen=True)
class _Chunks:
    """Where the chunks of a track are, relative to the boxes that hold them.

    Attributes:
        holder: ``[N]`` index in the outline's ``others`` of the box that each chunk starts in.
        inside: ``[N]`` bytes from the start of that box to the chunk.
    """

    holder: NDArray[np.intp]
    inside: NDArray[np.int64]

    @classmethod
    def read(cls, box: Box, outline: _Outline) -> _Chunks:
        offsets = table_of(box, _OFFSET_DTYPE[box.kind]).astype(np.uint64)
        starts = np.array([other.start for other in outline.others], np.uint64)
        ends = np.array([other.end for other in outline.others], np.uint64)
        holder = np.searchsorted(starts, offsets, side="right") - 1
        if np.any(holder < 0) or np.any(offsets > ends[holder]):
            raise MalformedMp4("has chunks outside its sample data")
        return cls(holder, (offsets - starts[holder]).astype(np.int64))

    def offsets(self, starts: NDArray[np.int64]) -> NDArray[np.int64]:
        """``[N]`` offsets in a file where the boxes start at ``starts``."""
        return starts[self.holder] + self.inside
