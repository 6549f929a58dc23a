"""Brings a recording whose clock starts anew (joined broadcasts, DVD titles of several cells) onto one clock.

Players go on from where they are at such a place. ffmpeg does so too when it copies, and moves pictures and sound by
the same: after that copy nothing else has to know of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import ffmpeg

from ..domain.errors import FfmpegFailed, InputRefused
from ..domain.probe import ProbeReport
from .ffprobe import output_lines, probe_command
from .process import LARGEST_GAP_S, file_url, run, safe_input

# Containers whose clock may start anew, and how ffmpeg writes them.
_MUXERS = {"mpegts": "mpegts", "mpeg": "vob"}
# Packets lie in the order in which they are decoded, so that any step back is one; only without those times, pictures
# are out of order, by a second at most.
_BACK_S, _OUT_OF_ORDER_S = 0.2, 1.0
# At a seam the last packets of one clock lie among the first of the other: each leap, forward too, is one of clocks.
_SEAM_S = 0.5
_STALL_S = 120.0


def clock_restarts(path: Path, report: ProbeReport) -> int:
    """How often the clock of the film starts anew: it goes back, or leaps. Only broadcasts and DVDs have such clocks.

    Raises:
        FfmpegFailed: the file cannot be read.
    """
    if report.format_name not in _MUXERS:
        return 0
    restarts, last = 0, None
    for time, back_s in _times(path, report):
        restarts += last is not None and not -back_s < time - last < LARGEST_GAP_S
        last = time
    return restarts


def straightened(path: Path, report: ProbeReport, target: Path) -> Path | None:
    """A copy of a recording on one clock, packet by packet; None where its clock runs through.

    Args:
        path: the source.
        report: its probe report.
        target: the file to write.

    Raises:
        InputRefused: its clock starts anew and cannot be repaired.
    """
    name = report.file_name
    if not _restarts(path, report):
        return None
    source = safe_input(path)
    kept = [stream.index for stream in report.others if stream.kind in ("audio", "subtitle") and not stream.foreign]
    streams = [source[str(index)] for index in (report.video.index, *kept)]
    options = {"c": "copy", "format": _MUXERS[report.format_name], "max_interleave_delta": 0, "strict": -2}
    node = ffmpeg.output(*streams, file_url(target), **options).global_args("-dts_delta_threshold", str(_SEAM_S))
    cause = "its clock starts anew in the middle"
    try:
        run(node, subject=name, timeout_s=600 + report.size_bytes / 2e6)
    except FfmpegFailed as error:
        cause += f", and it cannot be copied onto one clock ({error.cause})"
    else:
        first = report.video.model_copy(update={"index": 0})
        if not _restarts(target, report.model_copy(update={"video": first})):
            return target
    raise InputRefused(name, cause, "Split it there, or convert it to MKV first")


def _restarts(path: Path, report: ProbeReport) -> int:
    """As :func:`clock_restarts`; none in a file that cannot be listed, of which the decoder will say more."""
    try:
        return clock_restarts(path, report)
    except FfmpegFailed:
        return 0


def _times(path: Path, report: ProbeReport) -> Iterator[tuple[float, float]]:
    """(when it is decoded, by how much the next may be earlier), in seconds, of each packet of the film in the file."""
    words = ["-select_streams", str(report.video.index), "-show_entries", "packet=dts_time,pts_time", "-of", "csv=p=0"]
    for line in output_lines(probe_command(path, *words), subject=report.file_name, stall_s=_STALL_S):
        shown, decoded = ([*line.split(b","), b"", b""])[:2]
        if decoded not in (b"", b"N/A"):
            yield float(decoded), _BACK_S
        elif shown not in (b"", b"N/A"):
            yield float(shown), _OUT_OF_ORDER_S
