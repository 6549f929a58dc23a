"""Measures how like the left eyes are to the source's frames, and whether they could be something else."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from .decoding import Planes

# Frames are told apart on small pictures: what coding adds averages out there, what moved stays.
_SMALL_WIDTH = 320
# Two pictures are told apart by the pixels in which they differ most.
_TELLING_SHARE = 0.05
# Differences below ten of 255 levels are of the size of coding errors at a high CRF: they tell nothing.
_TELLING_LEVELS = 10.0
# Of eyes, half of that: most of the picture lies near the screen plane and moves by less than a pixel.
_TELLING_EYE_LEVELS = 5.0
# A frame is another one if it is clearly nearer to that one; coding errors alone make it nearer to neither.
_CLEARLY = 2.0
# In smaller pictures, eyes differ by less than coding errors.
_LEAST_PIXELS = 256
_GRID = (16, 9)
_LEAST_PATCH = 8

Small = NDArray[np.float32]


@dataclass(frozen=True)
class Sight:
    """A picture and its luma at a small size, both in 8 bit units."""

    planes: Planes
    small: Small
    scale: float

    @classmethod
    def of(cls, planes: Planes, bits: int) -> Sight:
        """``planes`` have samples of ``bits`` bits."""
        luma, scale = planes[0], 1 / (1 << (bits - 8))
        rows, columns = luma.shape
        width = min(columns, _SMALL_WIDTH)
        size = width, max(1, round(rows * width / columns))
        small = cv2.resize(luma, size, interpolation=cv2.INTER_AREA) if width < columns else luma
        return cls(planes, small.astype(np.float32) * np.float32(scale), scale)


@dataclass
class Likeness:
    """The measurements of all compared frames.

    Attributes:
        frames: how many were compared.
        luma_db, chroma_db: PSNR of each frame.
        worst: number of the frame with the lowest luma PSNR.
        luma_error, chroma_error: difference of the mean brightness and colour of a 16 x 9 grid, averaged over it, one
            value for each frame, in 8 bit levels.
        displaced: (number of the frame, number of the source's frame that it shows instead).
        swapped: frames whose right eye is clearly more like the source than the left.
        told: frames whose eyes differ enough to tell.
    """

    frames: int = 0
    luma_db: list[float] = field(default_factory=list)
    chroma_db: list[float] = field(default_factory=list)
    luma_error: list[float] = field(default_factory=list)
    chroma_error: list[float] = field(default_factory=list)
    displaced: list[tuple[int, int]] = field(default_factory=list)
    swapped: int = 0
    told: int = 0
    numbers: list[int] = field(default_factory=list)

    def add(self, number: int, own: Sight, neighbours: dict[int, Sight], left: Sight, right: Sight | None) -> None:
        """Take in one frame.

        Args:
            number: of the frame.
            own: the source's frame of that number.
            neighbours: the source's frames before and behind it, by number.
            left, right: eyes of the result.
        """
        self.frames += 1
        self.numbers.append(number)
        errors = [_mean_square(a, b) * own.scale**2 for a, b in zip(own.planes, left.planes, strict=True)]
        self.luma_db.append(_psnr(errors[0]))
        self.chroma_db.append(_psnr((errors[1] + errors[2]) / 2))
        tones = [_tone_error(a, b) * own.scale for a, b in zip(own.planes, left.planes, strict=True)]
        self.luma_error.append(tones[0])
        self.chroma_error.append(max(tones[1:]))
        shown = [other for other, sight in neighbours.items() if _is_rather(left.small, own.small, sight.small)]
        if shown:
            self.displaced.append((number, shown[0]))
        if right is not None and right.small.size >= _LEAST_PIXELS:
            mask = _telling(left.small, right.small, _TELLING_EYE_LEVELS)
            if mask is not None:
                self.told += 1
                self.swapped += _far(left.small, own.small, mask) > _CLEARLY * _far(right.small, own.small, mask)


def mean_db(values: list[float]) -> float:
    """The PSNR of all frames together: of the mean of their squared errors."""
    return -10 * math.log10(sum(10 ** (-value / 10) for value in values) / len(values))


def _is_rather(picture: Small, own: Small, other: Small) -> bool:
    """True if ``picture`` is clearly nearer to ``other`` than to ``own``, where these two differ."""
    mask = _telling(own, other, _TELLING_LEVELS)
    return mask is not None and _far(picture, own, mask) > _CLEARLY * _far(picture, other, mask)


def _telling(first: Small, second: Small, levels: float) -> NDArray[np.bool_] | None:
    """The pixels in which two pictures differ most; None where they are too alike to be told apart."""
    apart = np.abs(first - second)
    least = np.partition(apart, -max(1, round(apart.size * _TELLING_SHARE)), axis=None)
    threshold = least[-max(1, round(apart.size * _TELLING_SHARE))]
    mask = apart >= max(threshold, levels / 2)
    if not mask.any() or math.sqrt(float(np.mean(apart[mask] ** 2))) < levels:
        return None
    # A few changed pixels prove nothing: noise and dirt come and go.
    return mask if mask.mean() >= 0.002 else None


def _far(first: Small, second: Small, mask: NDArray[np.bool_]) -> float:
    return float(np.mean((first[mask] - second[mask]) ** 2))


def _mean_square(first: NDArray, second: NDArray) -> float:
    return float(cv2.norm(first, np.ascontiguousarray(second), cv2.NORM_L2SQR)) / first.size


def _psnr(error: float) -> float:
    return min(100.0, 10 * math.log10(255 * 255 / error)) if error else 100.0


def _tone_error(first: NDArray, second: NDArray) -> float:
    rows, columns = (max(1, side // _LEAST_PATCH) for side in first.shape)
    size = min(_GRID[0], columns), min(_GRID[1], rows)
    grids = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA).astype(np.float32) for plane in (first, second)]
    return float(np.abs(grids[0] - grids[1]).mean())
