"""Lists a stream's packets: times and content hashes, without decoding."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from ..domain.timing import TimeBase
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


def list_packets(path: Path, streams: list[int], scratch: Path, name: str) -> dict[int, PacketList]:
    """The packets of the given streams, with the times written in the file (nothing rebased).

    Args:
        path: a media file.
        streams: stream indexes.
        scratch: a folder for a list.
        name: for errors.
    """
    if not streams:
        return {}
    table = scratch / "packets.hash"
    source = safe_input(path, copyts=None)
    outputs = [source[str(index)] for index in streams]
    node = ffmpeg.output(*outputs, file_url(table), format="framehash", hash="sha256", c="copy", copyinkf=None)
    run(node, subject=name, timeout_s=600 + path.stat().st_size / 2e6)
    lists = _read(table, streams)
    table.unlink(missing_ok=True)
    return lists


def find_run(whole: PacketList, part: PacketList) -> int | None:
    """The position at which ``part``'s packets stand in ``whole``, one after the other; None if they do not.

    Silence repeats packets: with several places, the earliest at which all agree is right.
    """
    length = len(part.hashes)
    if not length or length > len(whole.hashes):
        return None
    for position in range(len(whole.hashes) - length + 1):
        if whole.hashes[position] == part.hashes[0] and whole.hashes[position : position + length] == part.hashes:
            return position
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
