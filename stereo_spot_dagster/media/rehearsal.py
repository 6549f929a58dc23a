"""Tries, before the long work, whether what comes with a film can be carried over as it is."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np

from ..domain.errors import FfmpegFailed, InputRefused
from ..domain.probe import ProbeReport
from .container import CarriedStream, MuxPlan
from .packets import PacketList, audio_packets, find_run, list_packets
from .process import file_url, run, safe_input

# A damaged clock jumps by more; rounding to another container's clock moves a packet by less.
_MOVED_S = 0.02
_FAR_S = 24 * 3600
# Newer and older words of ffmpeg.
_BACKWARDS = re.compile(
    r"(?:\[\w+#\d+:(?P<new>\d+)[^\]]*\] Non-monotonic DTS|Non-monotonous DTS in output stream \d+:(?P<old>\d+))"
    r"; previous: (?P<previous>-?\d+), current: (?P<current>-?\d+)"
)
_REMEDY = "Repair the file, or leave that stream out"


def rehearse(path: Path, report: ProbeReport, mux: MuxPlan, scratch: Path) -> None:
    """Copy the sound and the subtitles of a source as they will be copied into the result.

    In a damaged file, packets can lie in the wrong track, or be cut off so that no container takes them. It costs two
    readings of the file, which is little beside a conversion that fails at its end.

    Args:
        path: the source.
        report: its probe report.
        mux: container and streams of the result.
        scratch: a folder for a copy of those streams.

    Raises:
        InputRefused: they cannot be carried as they are.
    """
    if not mux.carried:
        return
    name, source = report.file_name, safe_input(path)
    trial = scratch / f"rehearsal.{mux.container.value}"
    options: dict[str, Any] = {"c": "copy", "strict": -2, "max_interleave_delta": 0}
    options |= {"format": "matroska" if trial.suffix == ".mkv" else "mp4"}
    options |= {f"c:{number}": carried.codec for number, carried in enumerate(mux.carried)}
    streams = [source[str(carried.stream.index)] for carried in mux.carried]
    limit_s = 600 + report.size_bytes / 2e6
    try:
        packets = audio_packets(path, report, scratch)
        messages = run(ffmpeg.output(*streams, file_url(trial), **options), subject=name, timeout_s=limit_s)
        copied = [number for number, carried in enumerate(mux.carried) if _is_copied_sound(carried, packets)]
        made = list_packets(trial, copied, scratch, name)
    except FfmpegFailed as error:
        words = f"its sound or subtitles are damaged and cannot be carried ({error.cause})"
        raise InputRefused(name, words, _REMEDY) from None
    finally:
        trial.unlink(missing_ok=True)
    for number in copied:
        stream = mux.carried[number].stream
        problem = _problem(packets[stream.index], made[number], report.start_time, _pushed(messages, number))
        if problem:
            raise InputRefused(name, f"its {stream.label} is damaged: {problem}", _REMEDY)


def _pushed(messages: str, number: int) -> int:
    """By how many ticks ffmpeg moved packets of stream ``number`` that would have gone back in time.

    It does so in a list of the source's packets too, where nothing of it can be seen.
    """
    found = (match for match in _BACKWARDS.finditer(messages) if int(match["new"] or match["old"]) == number)
    return max((int(match["previous"]) - int(match["current"]) for match in found), default=0)


def _problem(whole: PacketList, part: PacketList, start: Fraction, pushed: int) -> str | None:
    """Why a copied track is not what the source holds, in words."""
    if not whole.hashes and not part.hashes:
        return None
    position = find_run(whole, part, start)
    if position is None:
        return "its packets cannot be carried unchanged"
    length = len(part.hashes)
    before, after = whole.pts[position : position + length], part.pts
    moved = (before - before[0]) * float(whole.time_base.tick) - (after - after[0]) * float(part.time_base.tick)
    back_s = pushed * float(part.time_base.tick)
    if max(back_s, np.abs(moved).max()) > _MOVED_S or abs(whole.time(position) - start) > _FAR_S:
        return "its times cannot be carried unchanged"
    return None


def _is_copied_sound(carried: CarriedStream, packets: dict[int, PacketList]) -> bool:
    return carried.codec == "copy" and carried.stream.index in packets
