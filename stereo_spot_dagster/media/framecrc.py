"""Reads ffmpeg's ``framecrc`` tables: one line for each frame or packet."""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..domain.timing import TimeBase


@dataclass(frozen=True)
class FramecrcRows:
    """The rows of a table of one stream.

    Attributes:
        time_base: unit of ``pts`` and ``duration``.
        pts: ``[N]`` int64; ffmpeg's AV_NOPTS_VALUE (-2**63) where there is no time.
        duration: ``[N]`` int64.
        size: ``[N]`` int64 bytes.
        crc: ``[N]`` uint32 Adler-32 with start value 0.
        key: ``[N]`` bool, True for key packets; of decoded frames all are.
    """

    time_base: TimeBase
    pts: NDArray[np.int64]
    duration: NDArray[np.int64]
    size: NDArray[np.int64]
    crc: NDArray[np.uint32]
    key: NDArray[np.bool_]


def read_framecrc(path: Path) -> FramecrcRows:
    """The rows ``stream, dts, pts, duration, size, checksum[, F=flags]``; flags are written where they are not key."""
    base, rows, keys = TimeBase(numerator=1, denominator=1), array("q"), bytearray()
    with path.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith("#"):
                found = re.match(r"#tb 0: (\d+/\d+)", line)
                base = TimeBase.parse(found.group(1)) if found else base
                continue
            fields = line.split(",")
            if len(fields) >= 6:
                rows.extend((int(fields[2]), int(fields[3]), int(fields[4]), int(fields[5], 16)))
                keys.append("F=0x0" not in line)
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    return FramecrcRows(
        base,
        table[:, 0],
        table[:, 1],
        table[:, 2],
        table[:, 3].astype(np.uint32),
        np.array(keys, np.uint8).astype(bool),
    )
