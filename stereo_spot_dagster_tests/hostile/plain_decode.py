"""What ffmpeg alone makes of a file: the yardstick for what was converted from a damaged one."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..e2e.evidence import Evidence

# Of 255: coding anew differs by less, the strips of two neighbouring numbers by more.
_MOST_DIFFERENT = 6.0


@dataclass(frozen=True)
class Decoded:
    """Pictures and their times.

    Attributes:
        luma: ``[T, H, W]`` as a player shows them.
        times: seconds of each picture; None where one has none.
    """

    luma: NDArray[np.uint8]
    times: list[Fraction | None]


def decode(path: Path, index: int) -> Decoded:
    """All pictures of video stream ``index`` that ffmpeg can decode."""
    evidence = Evidence(path, index)
    return Decoded(evidence.gray_pictures()[0], evidence.decoded_times())


def differences(source: Decoded, result: Path, *, times: bool, tolerance: Fraction) -> list[str]:
    """How a full side-by-side result differs from what was decoded of its source, in words.

    Args:
        source: as decoded from the source.
        result: the finished file.
        times: whether the source's times are worth comparing with.
        tolerance: of times, in seconds.
    """
    made = decode(result, 0)
    if len(made.luma) != len(source.luma):
        return [f"{len(made.luma)} pictures from {len(source.luma)}"]
    height, width = source.luma.shape[1:]
    left = made.luma[:, :height, :width]
    if left.shape != source.luma.shape:
        return [f"a left eye of {left.shape[2]}x{left.shape[1]} from pictures of {width}x{height}"]
    apart = np.abs(left.astype(np.int16) - source.luma).mean(axis=(1, 2))
    problems = [
        f"picture {number} is another one ({apart[number]:.1f})" for number in np.flatnonzero(apart > _MOST_DIFFERENT)
    ]
    shown = [time for time in made.times if time is not None]
    if len(shown) != len(made.times) or any(a >= b for a, b in pairwise(shown)):
        problems.append("its times do not increase")
    known = [time for time in source.times if time is not None]
    if times and not problems and len(known) == len(source.times) and all(a < b for a, b in pairwise(known)):
        late = max(abs((a - shown[0]) - (b - known[0])) for a, b in zip(shown, known, strict=True))
        problems += [f"a picture is {float(late) * 1000:.3f} ms from its time"] if late > tolerance else []
    return problems[:4]
