"""Tries, before the long work, whether what comes with a film can be carried over as it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np

from ..domain.errors import FfmpegFailed
from ..domain.plan import Damage
from ..domain.probe import ProbeReport
from .container import COUNT_SAMPLES, FILL_GAPS, CarriedStream, MuxPlan
from .packets import PacketList, audio_packets, find_run, list_packets
from .process import file_url, run, safe_input

# A damaged clock jumps by more; rounding to another container's clock moves a packet by less.
_MOVED_S = 0.02
_FAR_S = 24 * 3600
# So much silence between what is left of damaged sound is believed.
_SILENCE_S = 60.0
# Newer and older words of ffmpeg.
_BACKWARDS = re.compile(
    r"(?:\[\w+#\d+:(?P<new>\d+)[^\]]*\] Non-monotonic DTS|Non-monotonous DTS in output stream \d+:(?P<old>\d+))"
    r"; previous: (?P<previous>-?\d+), current: (?P<current>-?\d+)"
)


def rehearse(path: Path, report: ProbeReport, mux: MuxPlan, scratch: Path) -> Damage:
    """Copy the sound and the subtitles of a source as they will be copied into the result.

    In a damaged file, packets can lie in the wrong track, be cut off so that no container takes them, or have times
    that go back. It costs two readings of the file, which is little beside a conversion that fails at its end.

    Args:
        path: the source.
        report: its probe report.
        mux: container and streams of the result.
        scratch: a folder for a copy of those streams.

    Returns:
        The streams that cannot be carried as they are.
    """
    try:
        spoilt = _spoilt(path, report, mux, mux.carried, scratch)
    except FfmpegFailed:
        # One bad stream stops the others: each on its own tells which one it is.
        spoilt = [carried for carried in mux.carried if _fails_alone(path, report, mux, carried, scratch)]
    found: dict[str, list[int]] = {"decodable": [], "untimed": [], "hopeless": []}
    for carried in spoilt:
        found[_rest(path, report, mux, carried, scratch)].append(carried.stream.index)
    return Damage(**{what: tuple(indexes) for what, indexes in found.items()})


def _fails_alone(path: Path, report: ProbeReport, mux: MuxPlan, carried: CarriedStream, scratch: Path) -> bool:
    try:
        return bool(_spoilt(path, report, mux, [carried], scratch))
    except FfmpegFailed:
        return True


def _spoilt(
    path: Path, report: ProbeReport, mux: MuxPlan, streams: Sequence[CarriedStream], scratch: Path
) -> list[CarriedStream]:
    """Those of ``streams`` that do not come out of a copy as they went in.

    Raises:
        FfmpegFailed: they cannot be copied at all.
    """
    if not streams:
        return []
    name, trial = report.file_name, scratch / f"rehearsal.{mux.container.value}"
    copied = {number: carried for number, carried in enumerate(streams) if carried.is_copied_sound}
    tracks = [carried.stream for carried in copied.values()]
    try:
        packets = audio_packets(path, report, scratch, tracks)
        messages = _copy(path, report, streams, trial)
        made = list_packets(trial, list(copied), scratch, name)
    finally:
        trial.unlink(missing_ok=True)
    return [
        carried
        for number, carried in copied.items()
        if _is_changed(packets[carried.stream.index], made[number], report.start_time, _pushed(messages, number))
    ]


def _rest(path: Path, report: ProbeReport, mux: MuxPlan, carried: CarriedStream, scratch: Path) -> str:
    """What can be kept of a damaged stream, by the words of :class:`Damage`: of sound, what decodes."""
    trial = scratch / f"rehearsal.{mux.container.value}"
    try:
        timed = _has_believable_times(list_packets(path, [carried.stream.index], scratch, report.file_name))
        repair = FILL_GAPS if timed else COUNT_SAMPLES
        if carried.stream.kind == "audio":
            _copy(path, report, [carried.repaired(repair)], trial)
            if list_packets(trial, [0], scratch, report.file_name)[0].hashes:
                return "decodable" if timed else "untimed"
    except FfmpegFailed:
        pass
    finally:
        trial.unlink(missing_ok=True)
    return "hopeless"


def _has_believable_times(packets: dict[int, PacketList]) -> bool:
    """False for sound that would be mostly silence: one wrong time can put a minute's end into the next week."""
    (track,) = packets.values()
    if len(track.pts) < 2:
        return bool(len(track.pts))
    spread = int(track.pts.max()) - int(track.pts.min())
    usual = float(np.median(np.abs(np.diff(track.pts)))) * len(track.pts)
    return spread * float(track.time_base.tick) < 2 * usual * float(track.time_base.tick) + _SILENCE_S


def _copy(path: Path, report: ProbeReport, streams: Sequence[CarriedStream], trial: Path) -> str:
    source = safe_input(path)
    options: dict[str, Any] = {"c": "copy", "strict": -2, "max_interleave_delta": 0}
    options |= {"format": "matroska" if trial.suffix == ".mkv" else "mp4"}
    options |= {f"c:{number}": carried.codec for number, carried in enumerate(streams)}
    options |= {f"filter:{number}": carried.repair for number, carried in enumerate(streams) if carried.repair}
    node = ffmpeg.output(*(source[str(carried.stream.index)] for carried in streams), file_url(trial), **options)
    return run(node, subject=report.file_name, timeout_s=600 + report.size_bytes / 2e6)


def _pushed(messages: str, number: int) -> int:
    """By how many ticks ffmpeg moved packets of stream ``number`` that would have gone back in time.

    It does so in a list of the source's packets too, where nothing of it can be seen.
    """
    found = (match for match in _BACKWARDS.finditer(messages) if int(match["new"] or match["old"]) == number)
    return max((int(match["previous"]) - int(match["current"]) for match in found), default=0)


def _is_changed(whole: PacketList, part: PacketList, start: Fraction, pushed: int) -> bool:
    """Whether a copied track is not what the source holds: other packets, or at other times."""
    if not whole.hashes and not part.hashes:
        return False
    position = find_run(whole, part, start)
    if position is None:
        return True
    length = len(part.hashes)
    before, after = whole.pts[position : position + length], part.pts
    moved = (before - before[0]) * float(whole.time_base.tick) - (after - after[0]) * float(part.time_base.tick)
    back_s = pushed * float(part.time_base.tick)
    return max(back_s, np.abs(moved).max()) > _MOVED_S or abs(whole.time(position) - start) > _FAR_S
