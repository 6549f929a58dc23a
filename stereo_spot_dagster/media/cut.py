"""Cuts a source into segment files and proves that each holds exactly the planned frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from ..domain.errors import FfmpegFailed, ProofFailed
from ..domain.plan import Segment
from ..domain.probe import ProbeReport, WorkingPicture
from .framecrc import read_framecrc
from .process import file_url, run, safe_input
from .scan import STALL_S, FrameTable, PacketTable, apply_filters

# One ffmpeg writes this many cut files in one reading of the source.
_FILES_AT_ONCE = 40
# Above this share of extra decoding, pre-roll costs more than a mezzanine (one key frame in an hour of film).
_MAX_PREROLL_SHARE = 0.5
_MEZZANINE_FRAME_MS = 40


@dataclass(frozen=True)
class CutFile:
    """A proved segment file.

    Attributes:
        path: where it lies.
        skip_frames: decoded frames before the first one the segment needs.
    """

    path: Path
    skip_frames: int


def copy_cuts(
    source: Path,
    report: ProbeReport,
    packets: PacketTable | None,
    frames: FrameTable,
    segments: tuple[Segment, ...],
    folder: Path,
) -> list[Path] | None:
    """Stream-copied segment files, each from the key frame before its first frame; unproved.

    Returns:
        The files, in order; None where the source's packets do not allow it, so that a mezzanine is needed.
    """
    ranges = _packet_ranges(packets, frames, segments) if packets is not None else None
    if ranges is None:
        return None
    paths = [folder / f"{segment.index:06d}.mkv" for segment in segments]
    try:
        for first in range(0, len(segments), _FILES_AT_ONCE):
            batch = slice(first, first + _FILES_AT_ONCE)
            _copy_batch(source, report, ranges[batch], paths[batch])
    except FfmpegFailed:
        return None
    return paths


def prove_cut(
    path: Path, segment: Segment, frames: FrameTable, picture: WorkingPicture, scratch: Path, name: str
) -> CutFile:
    """Decode a segment file once and find its planned frames in it, checksum by checksum.

    Args:
        path: the cut file, whose decoded frames pass ``picture.filters``.
        segment: the plan for it.
        frames: the whole video's table.
        picture: what the frames look like.
        scratch: a folder for a small table.
        name: the source's name, for errors.

    Raises:
        ProofFailed: it does not hold exactly those frames.
    """
    table = scratch / f"{path.stem}.crc"
    source = safe_input(path, noautorotate=None)
    decoded = apply_filters(source["v:0"], picture.filters)
    node = ffmpeg.output(decoded, file_url(table), format="framecrc", fps_mode="passthrough")
    try:
        run(node, subject=name, timeout_s=_proof_limit_s(segment))
    except FfmpegFailed as error:
        raise ProofFailed(name, f"segment {segment.index} does not decode ({error.cause})") from error
    found = read_framecrc(table).crc
    table.unlink(missing_ok=True)
    wanted = frames.crc[segment.first_needed : segment.end_frame]
    skip = _offset_of(wanted, found)
    if skip is None:
        raise ProofFailed(name, f"segment {segment.index} does not hold the planned frames")
    return CutFile(path, skip)


def make_mezzanine(
    source: Path,
    report: ProbeReport,
    picture: WorkingPicture,
    segments: tuple[Segment, ...],
    first_frame: int,
    target: Path,
    **decoder: int,
) -> None:
    """The frames of ``segments`` as one lossless file of working pictures that can be cut at every segment.

    8 bit 4:2:0 of even size becomes H.264 (-qp 0, the smallest that still decodes fast), all else FFV1.

    Args:
        source: the source file.
        report: its probe report.
        picture: what the pictures shall look like.
        segments: their first needed frames get key frames.
        first_frame: number, among the decoded frames, of the first one to convert.
        target: the file to write.
        decoder: options for it, such as ``threads``.
    """
    last_frame = first_frame + segments[-1].end_frame - 1
    # A change of size within the stream is resolved here: every picture gets the first one's size. ffmpeg would build
    # the filters anew at the change, and their frame counters would start again.
    decoded = safe_input(source, noautorotate=None, reinit_filter=0, **decoder)[str(report.video.index)]
    # Old decoders call full range a format of its own (yuvj420p): it must not be squeezed on the way to the plain one.
    as_it_is = {"in_range": "pc", "out_range": "pc"} if picture.color.full_range else {}
    flags = {"flags": "bicubic+accurate_rnd+bitexact"} | as_it_is
    decoded = decoded.filter("scale", report.video.width, report.video.height, **flags)
    decoded = apply_filters(decoded, picture.filters)
    decoded = decoded.filter("select", f"between(n,{first_frame},{last_frame})")
    decoded = decoded.filter("format", picture.pixel_format.ffmpeg_name)
    # A steady clock: the plan has the times, the mezzanine only the order.
    decoded = decoded.filter("settb", "1/1000").filter("setpts", f"N*{_MEZZANINE_FRAME_MS}")
    options: dict[str, object] = {"fps_mode": "passthrough", "format": "matroska"}
    if _fits_x264_lossless(picture):
        keys = "+".join(f"eq(n,{key})" for key in sorted({segment.first_needed for segment in segments}))
        options |= {"vcodec": "libx264", "qp": 0, "preset": "ultrafast", "g": 250, "bf": 0}
        options |= {"x264-params": "open-gop=0:scenecut=0", "force_key_frames": f"expr:{keys}"}
    else:
        options |= {"vcodec": "ffv1", "level": 3, "g": 1, "slicecrc": 1, "slices": 4}
    limit = STALL_S + 4.0 * (last_frame + 1)
    run(ffmpeg.output(decoded, file_url(target), **options), subject=report.file_name, timeout_s=limit)


def scan_mezzanine(path: Path, frames: FrameTable, scratch: Path, name: str) -> tuple[FrameTable, PacketTable]:
    """The frame and packet tables of a mezzanine: its own checksums with the source's times.

    Args:
        path: the mezzanine.
        frames: the table of the frames it was made of.
        scratch: a folder for two small tables.
        name: the source's name, for errors.

    Raises:
        ProofFailed: it does not hold as many frames as the source.
    """
    frame_list, packet_list = scratch / "mezzanine-frames.txt", scratch / "mezzanine-packets.txt"
    source = safe_input(path, noautorotate=None)
    node = ffmpeg.merge_outputs(
        ffmpeg.output(source["v:0"], file_url(frame_list), format="framecrc", fps_mode="passthrough"),
        ffmpeg.output(source["v:0"], file_url(packet_list), format="framecrc", vcodec="copy"),
    )
    run(node, subject=name, timeout_s=STALL_S + 2.0 * len(frames))
    rows, packets = read_framecrc(frame_list), read_framecrc(packet_list)
    if len(rows.crc) != len(frames) or len(packets.pts) != len(frames):
        raise ProofFailed(name, f"its lossless copy has {len(rows.crc)} frames, the source {len(frames)}")
    # The mezzanine has no reordering: its packets are its frames.
    table = FrameTable(frames.time_base, frames.pts, rows.crc, frames.scene_start, frames.last_duration)
    return table, PacketTable(frames.pts, packets.key)


def _copy_batch(source: Path, report: ProbeReport, ranges: list[tuple[int, int]], paths: list[Path]) -> None:
    reading = safe_input(source, copyts=None, noautorotate=None)[str(report.video.index)]
    outputs = []
    for (first, last), path in zip(ranges, paths, strict=True):
        # The packet's number decides, not its time: the noise filter without noise drops all others.
        keep = f"noise=drop='not(between(n,{first},{last}))'"
        options = {
            "vcodec": "copy",
            "copyinkf": None,
            "bsf:v": keep,
            "format": "matroska",
            "map_metadata": -1,
        }
        outputs.append(ffmpeg.output(reading, file_url(path), **options))
    limit = 600.0 + report.size_bytes / 2e6
    node = ffmpeg.merge_outputs(*outputs) if len(outputs) > 1 else outputs[0]
    run(node, subject=report.file_name, timeout_s=limit)


def _packet_ranges(
    packets: PacketTable, frames: FrameTable, segments: tuple[Segment, ...]
) -> list[tuple[int, int]] | None:
    """(first, last) packet number of each segment: from the last key frame that is not later than its first needed
    frame to the last packet, in decode order, that is shown before its end."""
    keys = np.flatnonzero(packets.key)
    if not len(keys):
        return None
    key_pts = np.maximum.accumulate(packets.pts[keys])
    ranges, extra = [], 0
    last_at_or_before = _last_packet_before(packets.pts)
    for segment in segments:
        position = int(np.searchsorted(key_pts, frames.pts[segment.first_needed], side="right")) - 1
        first = int(keys[position]) if position >= 0 else 0
        end = segment.end_frame
        last = len(packets.pts) - 1 if end >= len(frames) else last_at_or_before(int(frames.pts[end]))
        if last < first:
            return None
        ranges.append((first, last))
        extra += (last - first + 1) - (segment.frames + segment.overlap_frames)
    return None if extra > _MAX_PREROLL_SHARE * len(frames) + 500 else ranges


def _last_packet_before(pts: NDArray[np.int64]) -> Callable[[int], int]:
    """A function from a time to the number of the last packet, in decode order, with an earlier time."""
    earliest_later = np.minimum.accumulate(pts[::-1])[::-1]

    def last(time: int) -> int:
        return int(np.searchsorted(earliest_later, time)) - 1

    return last


def _offset_of(wanted: NDArray[np.uint32], found: NDArray[np.uint32]) -> int | None:
    """Where ``wanted`` stands in ``found``. Equal checksums are equal pictures: with several places, any will do."""
    for skip in np.flatnonzero(found[: max(0, len(found) - len(wanted) + 1)] == wanted[0]):
        if np.array_equal(found[skip : skip + len(wanted)], wanted):
            return int(skip)
    return None


def _proof_limit_s(segment: Segment) -> float:
    """Slow enough for 8K on two cores with a long pre-roll, fast enough that a hang is noticed."""
    return 300.0 + 4.0 * (segment.frames + segment.overlap_frames)


def _fits_x264_lossless(picture: WorkingPicture) -> bool:
    fmt = picture.pixel_format
    return fmt.bit_depth == 8 and fmt.chroma_x == fmt.chroma_y == 1 and picture.width % 2 == picture.height % 2 == 0
