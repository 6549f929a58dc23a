"""The one decode of a source that everything is planned from: time and checksum of each frame, and scene cuts."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from ..domain.errors import FfmpegFailed, InputRefused, ToolTimeout
from ..domain.probe import ProbeReport, WorkingPicture
from ..domain.timing import TimeBase
from .cuts import CutDetector
from .frame_times import NO_PTS, settle_times
from .framecrc import FramecrcRows, read_framecrc
from .limits import MAX_FRAMES, ChildLimits
from .picture import FilterStep
from .process import Child, arguments, file_url, safe_input

SMALL_WIDTH, SMALL_HEIGHT = 64, 36
_SMALL_BATCH = 32
STALL_S = 120.0
# A film decodes many times faster than this. A small file that keeps a decoder busy for hours is made for that.
_PATIENCE_S, _LEAST_BYTES_A_S = 7200.0, 10_000
_LONGEST_SHOWN_S = 24 * 3600.0
_TABLE_BYTES = 4 << 30
# Sound may go on for a while after the last picture; hours of it are a wrong header.
_BELIEVABLE_EXCESS_S = 10.0
# What Matroska says at the end of a file that was cut off; this much may be lost with its last packets.
_CUT_OFF_SIGN = "file ended prematurely"
_BELIEVABLE_LOSS_S = 0.5
_DAMAGE_SIGNS = (
    "invalid nal",
    "error while decoding",
    "concealing",
    "corrupt",
    "invalid data",
    "missing reference",
    "error submitting packet to decoder",
)

# What makes ffmpeg give up, of that which is the file's fault.
_FAULTS_OF_THE_FILE = ("decode error rate", "invalid data", "error submitting packet", "error while decoding")

Progress = Callable[[int], None]


@dataclass(frozen=True)
class PacketTable:
    """The video packets in file (decode) order.

    Attributes:
        pts: ``[P]`` int64, in the scan's time base.
        key: ``[P]`` bool, True where decoding can start.
    """

    pts: NDArray[np.int64]
    key: NDArray[np.bool_]


@dataclass(frozen=True)
class FrameTable:
    """One row for each frame, in presentation order.

    Attributes:
        time_base: unit of ``pts``.
        pts: ``[N]`` int64, strictly increasing.
        crc: ``[N]`` uint32: Adler-32 (start value 0, as ffmpeg's framecrc) of the working picture's samples.
        scene_start: ``[N]`` bool, True for the first frame of each shot.
        last_duration: ticks that the last frame is shown for.
    """

    time_base: TimeBase
    pts: NDArray[np.int64]
    crc: NDArray[np.uint32]
    scene_start: NDArray[np.bool_]
    last_duration: int

    def __len__(self) -> int:
        return len(self.pts)

    def part(self, first: int, end: int) -> FrameTable:
        """Rows ``first`` to ``end`` - 1; the first of them starts a shot."""
        scene_start = self.scene_start[first:end].copy()
        scene_start[:1] = True
        last = self.last_duration if end >= len(self) else int(self.pts[end] - self.pts[end - 1])
        return FrameTable(self.time_base, self.pts[first:end], self.crc[first:end], scene_start, last)

    def to_bytes(self) -> bytes:
        buffer = io.BytesIO()
        base = np.array([self.time_base.numerator, self.time_base.denominator, self.last_duration], np.int64)
        np.savez_compressed(buffer, base=base, pts=np.diff(self.pts, prepend=0), crc=self.crc, scene=self.scene_start)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> FrameTable:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            numerator, denominator, last = (int(value) for value in stored["base"])
            base = TimeBase(numerator=numerator, denominator=denominator)
            return cls(base, np.cumsum(stored["pts"]), stored["crc"], stored["scene"], last)


@dataclass(frozen=True)
class Scan:
    """What one decode found out.

    Attributes:
        frames: a row for each decoded frame.
        packets: the stream's packets; None where they have no usable timestamps.
        uniform: False if the size of the pictures changes within the stream.
        damaged: True if the decoder complained: what it makes up for missing data is the same again only if it decodes
            from the beginning in one thread.
        warnings: repairs and oddities, in words.
    """

    frames: FrameTable
    packets: PacketTable | None
    uniform: bool
    damaged: bool
    warnings: tuple[str, ...]


def scan(
    path: Path, report: ProbeReport, picture: WorkingPicture, scratch: Path, progress: Progress | None = None
) -> Scan:
    """Decode ``path`` once.

    Args:
        path: the source file.
        report: its probe report.
        picture: the working picture whose samples are checksummed.
        scratch: a folder for two small tables.
        progress: called with the number of frames seen so far.

    Raises:
        InputRefused: not one frame can be decoded, the file is cut off, or it holds out of all measure much.
    """
    name = report.file_name
    frame_list, packet_list = scratch / "frames.txt", scratch / "packets.txt"
    scene_starts, messages = _decode(path, report, picture, (frame_list, packet_list), progress)
    damaged = _decoder_complained(messages, report.video.codec)
    if damaged:
        scene_starts, messages = _decode(path, report, picture, (frame_list, packet_list), progress, threads=1)
    rows = read_framecrc(frame_list)
    if not len(rows.pts):
        raise InputRefused(name, "not one picture of its video can be decoded", "Check the file with a player")
    packet_rows = read_framecrc(packet_list)
    times = settle_times(rows, packet_rows, report.video)
    frames = FrameTable(rows.time_base, times.pts, rows.crc, scene_starts[: len(times.pts)], times.last_duration)
    _refuse_wrong_clock(name, frames)
    _refuse_cut_off(report, frames, messages)
    uniform = bool((rows.size == rows.size[0]).all())
    warnings = times.warnings + _oddities(messages, report, frames, packet_rows, uniform)
    packets = _packet_table(packet_rows, rows.time_base)
    return Scan(frames, packets, uniform, damaged, warnings)


def _decode(
    path: Path,
    report: ProbeReport,
    picture: WorkingPicture,
    lists: tuple[Path, Path],
    progress: Progress | None,
    **options: int,
) -> tuple[NDArray[np.bool_], str]:
    """Decode the film into ``lists`` (frames, packets).

    Args:
        path, report, picture, progress: as for :func:`scan`.
        lists: the tables to write.
        options: for the decoder.

    Returns:
        ``[N]`` True for the first frame of each shot, and ffmpeg's messages.
    """
    name, cuts, shots, seen = report.file_name, CutDetector(), [], 0
    command = arguments(_command(path, report, picture, *lists, **options))
    buffer = bytearray(SMALL_WIDTH * SMALL_HEIGHT * _SMALL_BATCH)
    limit_s = _PATIENCE_S + report.size_bytes / _LEAST_BYTES_A_S
    limits = replace(ChildLimits.lasting(limit_s), file_bytes=_TABLE_BYTES)
    try:
        with Child(command, subject=name, stdout=True, stall_s=STALL_S, timeout_s=limit_s, limits=limits) as child:
            while size := child.read_into(memoryview(buffer)):
                small = np.frombuffer(buffer, np.uint8, size - size % (SMALL_WIDTH * SMALL_HEIGHT))
                small = small.reshape(-1, SMALL_HEIGHT, SMALL_WIDTH)
                shots.append(cuts.process(small))
                seen += len(small)
                if seen > MAX_FRAMES:
                    raise InputRefused(name, f"it has more than {MAX_FRAMES:,} pictures", "Split it first")
                if progress:
                    progress(seen)
            messages = child.finish()
    except ToolTimeout:
        words = "its video takes too long to decode for a file of its size"
        raise InputRefused(name, words, "Check the file with a player") from None
    except FfmpegFailed as error:
        if seen and not any(fault in error.messages.lower() for fault in _FAULTS_OF_THE_FILE):
            raise
        words = "most of its video cannot be decoded" if seen else f"its video cannot be decoded ({error.cause})"
        raise InputRefused(name, words, "Check the file with a player") from None
    shots.append(cuts.finish())
    return np.concatenate(shots), messages


def _decoder_complained(messages: str, codec: str) -> bool:
    """Whether a decoder, not only a demuxer, said something; ffmpeg 5 names the codec, later ones also the decoder."""
    return bool(re.search(rf"^\[({re.escape(codec)} @|vist#|dec:)|\[dec:", messages, re.MULTILINE))


def apply_filters(node, steps: tuple[FilterStep, ...]):
    """An ffmpeg-python stream with ``steps`` applied in order."""
    for name, options in steps:
        node = node.filter(name, **dict(options))
    return node


def _command(
    path: Path, report: ProbeReport, picture: WorkingPicture, frame_list: Path, packet_list: Path, **options: int
):
    video = report.video
    base = f"{video.time_base.numerator}:{video.time_base.denominator}"
    # Timestamps stay as they are in the file; rotation is done by our own filters, where it is part of the proof.
    source = safe_input(path, noautorotate=None, copyts=None, **options)
    decoded = apply_filters(source[str(video.index)], picture.filters).split()
    # Without automatic scaling a change of size within the stream shows in the table.
    passthrough = {"fps_mode": "passthrough", "enc_time_base:v": base, "noautoscale": None}
    frames = ffmpeg.output(decoded[0], file_url(frame_list), format="framecrc", **passthrough)
    small = decoded[1].filter("scale", SMALL_WIDTH, SMALL_HEIGHT, flags="area").filter("format", "gray")
    pictures = ffmpeg.output(small, "pipe:1", format="rawvideo", fps_mode="passthrough")
    packets = ffmpeg.output(
        source[str(video.index)], file_url(packet_list), format="framecrc", vcodec="copy", copyinkf=None
    )
    return ffmpeg.merge_outputs(frames, packets, pictures)


def _packet_table(rows: FramecrcRows, base: TimeBase) -> PacketTable | None:
    if not len(rows.pts) or (rows.pts < NO_PTS).any():
        return None
    scale = rows.time_base.tick / base.tick
    pts = rows.pts if scale == 1 else np.array([round(int(value) * scale) for value in rows.pts], np.int64)
    return PacketTable(pts, rows.key)


def _refuse_cut_off(report: ProbeReport, frames: FrameTable, messages: str) -> None:
    """A file whose index or header promises more than is there was not copied whole; a part of a film is not a film.

    A recording that was interrupted has no such promise in its header and is converted as far as it goes.
    """
    lowered = messages.lower()
    promised_s = report.duration_s or 0.0
    short = _CUT_OFF_SIGN in lowered and promised_s > _end_s(frames) + _BELIEVABLE_LOSS_S
    if short or "partial file" in lowered or "stream ends prematurely" in lowered:
        raise InputRefused(
            report.file_name, "the file is truncated: it ends before its index says (incomplete)", "Copy it again"
        )


def _refuse_wrong_clock(name: str, frames: FrameTable) -> None:
    longest_s = float(frames.time_base.seconds(int(np.diff(frames.pts).max()))) if len(frames) > 1 else 0.0
    if longest_s > _LONGEST_SHOWN_S:
        words = f"its clock is wrong: it says that a picture is shown for {longest_s / 3600:,.0f} hours"
        raise InputRefused(name, words, "Check the file with a player")


def _end_s(frames: FrameTable) -> float:
    """Seconds from the first frame to the end of the last."""
    return float(frames.time_base.seconds(int(frames.pts[-1] - frames.pts[0]) + frames.last_duration))


def _oddities(
    messages: str, report: ProbeReport, frames: FrameTable, packets: FramecrcRows, uniform: bool
) -> tuple[str, ...]:
    """What is odd about the stream, in words."""
    notes = []
    lowered = messages.lower()
    if any(sign in lowered for sign in _DAMAGE_SIGNS):
        notes.append("parts of the video are damaged; what the decoder could save was converted")
    if _CUT_OFF_SIGN in lowered:
        notes.append("the file ends in the middle of its data; it was converted as far as it goes")
    if len(packets.key) and packets.key.any() and not packets.key[0]:
        notes.append("it begins in the middle of a shot; what comes before its first key frame cannot be decoded")
    if not uniform:
        size = f"{report.video.width}x{report.video.height}"
        notes.append(f"the size of its pictures changes; all of them were brought to {size}")
    end_s = _end_s(frames)
    if report.duration_s and report.duration_s > 2 * end_s + _BELIEVABLE_EXCESS_S:
        notes.append(f"it claims to last {report.duration_s:.0f} s, but its pictures end after {end_s:.1f} s")
    return tuple(notes)
