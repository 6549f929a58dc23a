"""How a player turns the pictures of a stream: the display matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

# Of the largest number in a matrix: phones write exact zeros.
_NEARLY_NOTHING = 0.01


@dataclass(frozen=True)
class Orientation:
    """How stored pictures are shown.

    Attributes:
        rotation: clockwise degrees: 0, 90, 180 or 270.
        mirrored: True if they are also flipped horizontally (after rotation).
        skewed: True where the matrix asks for something else, which is not done.
    """

    rotation: int = 0
    mirrored: bool = False
    skewed: bool = False


def orientation(matrix: dict[str, Any] | None) -> Orientation:
    """What an ffprobe display matrix says.

    ffprobe prints the nine 16.16 numbers row by row: ``a b u / c d v / x y w``; a player maps (x, y) to
    (a x + c y, b x + d y) (ISO/IEC 14496-12, 8.3.2). A negative determinant means mirrored.
    """
    if matrix is None:
        return Orientation()
    numbers = [int(word) for line in str(matrix.get("displaymatrix", "")).splitlines() for word in line.split()[1:]]
    if len(numbers) != 9:
        return Orientation((-round(float(matrix.get("rotation", 0)) / 90) * 90) % 360)
    a, b, c, d = numbers[0], numbers[1], numbers[3], numbers[4]
    if not _is_right_angle(a, b, c, d):
        return Orientation(skewed=True)
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    angle = round(math.degrees(math.atan2(b, a)) / 90) * 90
    return Orientation(angle % 360, mirrored)


def _is_right_angle(a: int, b: int, c: int, d: int) -> bool:
    """Whether one diagonal of the matrix is nothing beside the other, and the other is whole."""
    straight, across = sorted((abs(a), abs(d))), sorted((abs(b), abs(c)))
    small, large = sorted((straight, across), key=max)
    return large[0] > large[1] * (1 - 10 * _NEARLY_NOTHING) and small[1] <= large[1] * _NEARLY_NOTHING
