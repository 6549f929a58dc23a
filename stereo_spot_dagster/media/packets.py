"""Lists a stream's packets: times and content hashes, without decoding."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from ..domain.probe import OtherStream, ProbeReport
from ..domain.timing import TimeBase
from .framecrc import read_framecrc
from .process import file_url, run, safe_input


@dataclass(frozen=True)
class PacketList:
    """The packets of one stream in file order.

    Attributes:
        time_base: unit of ``pts``.
        pts: ``[P]`` int64.
        hashes: a SHA-256 (hex) for each packet's bytes.
    """

    time_base: TimeBase
    pts: NDArray[np.int64]
    hashes: tuple[str, ...]

    def time(self, position: int) -> Fraction:
        """Seconds of the packet at ``position``."""
        return self.time_base.seconds(int(self.pts[position]))


def audio_packets(
    path: Path, report: ProbeReport, scratch: Path, tracks: Sequence[OtherStream] | None = None
) -> dict[int, PacketList]:
    """The packets of sound tracks of a source, as MP4 and Matroska hold them.

    Args:
        path: the source.
        report: its probe report.
        scratch: a folder for a list.
        tracks: which; all by default.
    """
    tracks = report.streams("audio") if tracks is None else tracks
    adts = frozenset(track.index for track in tracks if track.codec == "aac")
    return list_packets(path, [track.index for track in tracks], scratch, report.file_name, adts=adts)


def list_packets(
    path: Path, streams: list[int], scratch: Path, name: str, *, adts: frozenset[int] = frozenset()
) -> dict[int, PacketList]:
    """The packets of the given streams, with the times written in the file (nothing rebased).

    Args:
        path: a media file.
        streams: stream indexes.
        scratch: a folder for a list.
        name: for errors.
        adts: those of ``streams`` that are AAC: in broadcasts each packet begins with a transport header, which no
            other container keeps and which is not counted as content here.
    """
    if not streams:
        return {}
    table = scratch / "packets.hash"
    source = safe_input(path, copyts=None)
    outputs = [source[str(index)] for index in streams]
    filters = {f"bsf:{position}": "aac_adtstoasc" for position, index in enumerate(streams) if index in adts}
    options = {"format": "framehash", "hash": "sha256", "c": "copy", "copyinkf": None} | filters
    node = ffmpeg.output(*outputs, file_url(table), **options)
    run(node, subject=name, timeout_s=600 + path.stat().st_size / 2e6)
    lists = _read(table, streams)
    table.unlink(missing_ok=True)
    return lists


def first_sample_time(path: Path, index: int, scratch: Path, name: str) -> Fraction | None:
    """Seconds, in the file's own clock, of the first sample that is decoded of a sound track; None if there is none.

    A decoder may give nothing for the first packets (Vorbis), or drop what an encoder put in front.
    """
    table = scratch / "first-sample.crc"
    source = safe_input(path, copyts=None)[str(index)]
    node = ffmpeg.output(source, file_url(table), format="framecrc", **{"frames:a": 1})
    run(node, subject=name, timeout_s=600 + path.stat().st_size / 2e6)
    rows = read_framecrc(table)
    table.unlink()
    return rows.time_base.seconds(int(rows.pts[0])) if len(rows.pts) else None


def find_run(whole: PacketList, part: PacketList, expected: Fraction) -> int | None:
    """The position at which ``part``'s packets stand in ``whole``, one after the other; None if they do not.

    Silence repeats packets: of several places, the one nearest to ``expected`` is right.

    Args:
        whole: where to look.
        part: what to look for.
        expected: seconds, in the clock of ``whole``, at which the first packet of ``part`` should be.
    """
    length = len(part.hashes)
    if not length or length > len(whole.hashes):
        return None
    places = [place for place in range(len(whole.hashes) - length + 1) if whole.hashes[place] == part.hashes[0]]
    for place in sorted(places, key=lambda place: abs(whole.time(place) - expected)):
        if whole.hashes[place : place + length] == part.hashes:
            return place
    return None


def _read(table: Path, streams: list[int]) -> dict[int, PacketList]:
    bases: dict[int, TimeBase] = {}
    pts: dict[int, list[int]] = {position: [] for position in range(len(streams))}
    hashes: dict[int, list[str]] = {position: [] for position in range(len(streams))}
    with table.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith("#"):
                found = re.match(r"#tb (\d+): (\d+/\d+)", line)
                if found:
                    bases[int(found.group(1))] = TimeBase.parse(found.group(2))
                continue
            fields = [field.strip() for field in line.split(",")]
            if len(fields) >= 6:
                position = int(fields[0])
                pts[position].append(int(fields[2]))
                hashes[position].append(fields[5])
    default = TimeBase(numerator=1, denominator=90_000)
    return {
        index: PacketList(bases.get(position, default), np.array(pts[position], np.int64), tuple(hashes[position]))
        for position, index in enumerate(streams)
    }
