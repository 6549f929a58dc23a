"""Scale and shift between depth maps that are right only up to these two numbers.

Everything is fitted on the samples of a fixed sparse grid: 2,304 of them say as much about two numbers as all pixels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Rows and columns of the grid; fewer where the map is smaller.
GRID_ROWS, GRID_COLUMNS = 36, 64
# Rounds of reweighting. On pairs of which a third is changed at random, five come within 1e-4 of a hundred.
_ROUNDS = 8
# Residuals beyond this many robust standard deviations count nothing (Tukey's biweight, 95 % efficient for noise).
_REJECT = 4.685
# Of the spread of the values: a residual below it is rounding, and perfect fits must not make everything an outlier.
_ROUNDING = 1e-5
# Spread, as a share of the largest value, below which a map counts as constant.
_CONSTANT = 1e-6
# Below this correlation two pictures show different things, and there is nothing to align by.
RELATED = 0.5

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Affine:
    """``scale * depth + shift``; scale is positive, so that nearer stays nearer."""

    scale: float = 1.0
    shift: float = 0.0

    def after(self, first: Affine) -> Affine:
        """``first``, then this."""
        return Affine(self.scale * first.scale, self.scale * first.shift + self.shift)

    def inverse(self) -> Affine:
        return Affine(1 / self.scale, -self.shift / self.scale)

    def apply(self, depth: NDArray[Any]) -> NDArray[np.float32]:
        """Any shape in, the same shape float32 out."""
        return depth.astype(np.float32) * np.float32(self.scale) + np.float32(self.shift)


def grid_samples(depth: NDArray[np.float32]) -> Samples:
    """``[S]`` float32: the values of a ``[h, w]`` map on the grid, or of ``[T, h, w]`` maps as ``[T, S]``.

    The positions depend on the size alone, so samples of maps of one size can be compared one by one.
    """
    height, width = depth.shape[-2:]
    rows, columns = _positions(height, GRID_ROWS), _positions(width, GRID_COLUMNS)
    samples = depth[..., rows[:, None], columns[None, :]]
    return np.ascontiguousarray(samples.reshape(*depth.shape[:-2], -1), dtype=np.float32)


def fit_affine(own: Samples, target: Samples) -> tuple[Affine, float]:
    """The scale and shift that bring ``own`` to ``target``, and how well they are correlated then (-1..1).

    Least squares, robust against samples that changed (things that moved), and symmetric: both sides are noisy, and
    ordinary regression would shrink the scale a little at every link of a chain of maps. The scale is that of the
    reduced major axis, the ratio of the spreads, which is exact where the maps differ in scale and shift only.

    Args:
        own: ``[S]`` float32.
        target: ``[S]`` float32.

    Returns:
        A positive scale; 1, and the difference of the means, where one of the two is constant or they contradict
        each other.
    """
    x, y = own.astype(np.float64), target.astype(np.float64)
    weight = np.ones_like(x)
    fitted, correlation = _weighted_fit(x, y, weight)
    for _ in range(_ROUNDS):
        residual = np.abs(fitted.scale * x + fitted.shift - y)
        width = _REJECT * 1.4826 * float(np.median(residual)) + _ROUNDING * float(np.abs(y - y.mean()).mean())
        if width <= 0:
            break
        weight = np.square(np.clip(1 - np.square(residual / width), 0, None))
        if weight.sum() < 0.1 * weight.size:
            break
        fitted, correlation = _weighted_fit(x, y, weight)
    return fitted, correlation


def _weighted_fit(x: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]) -> tuple[Affine, float]:
    total = weight.sum()
    mean_x, mean_y = (weight * x).sum() / total, (weight * y).sum() / total
    dx, dy = x - mean_x, y - mean_y
    spread_x = ((weight * dx * dx).sum() / total) ** 0.5
    spread_y = ((weight * dy * dy).sum() / total) ** 0.5
    if spread_x <= _CONSTANT * np.abs(x).max() or spread_y <= _CONSTANT * np.abs(y).max():
        return Affine(1.0, float(mean_y - mean_x)), 0.0
    correlation = float((weight * dx * dy).sum() / total / (spread_x * spread_y))
    if correlation <= 0:
        return Affine(1.0, float(mean_y - mean_x)), correlation
    scale = float(spread_y / spread_x)
    return Affine(scale, float(mean_y - scale * mean_x)), correlation


def _positions(length: int, wanted: int) -> NDArray[np.intp]:
    """``min(length, wanted)`` positions spread evenly, each in the middle of its share."""
    count = min(length, wanted)
    return ((np.arange(count) + 0.5) * length / count).astype(np.intp)


class Steadier:
    """Takes the flicker of scale and shift out of depth maps that were estimated picture by picture.

    Each map is brought to the mean scale and shift of the last ``window`` maps of its shot, itself included, through
    fits from map to map. A change that comes and goes within the window is seen with 1 / window of its strength, and
    what lasts is followed. The first ``window`` maps of a shot wait for each other and share one scale and shift.

    The memory ends exactly after ``window`` maps: started anywhere in a shot, it returns the same bytes from the
    map ``window`` - 1 on.

    Args:
        window: maps.
    """

    def __init__(self, window: int) -> None:
        self._window = window
        self.reset()

    def reset(self) -> None:
        self._waiting: list[NDArray[np.float32]] = []
        self._settled = False
        self._last: Samples | None = None
        # links[-1] brings the latest map to the scale of the one before it, and so on backwards.
        self._links: deque[Affine] = deque(maxlen=self._window - 1)

    def push(self, depth: NDArray[np.float32], starts: bool) -> Iterator[NDArray[np.float32]]:
        """Take the next ``[h, w]`` map; ``starts`` if it is the first of a shot. Yields the maps that are ready."""
        if starts:
            yield from self.finish()
            self.reset()
        samples = grid_samples(depth)
        if self._last is not None:
            link, correlation = fit_affine(samples, self._last)
            self._links.append(link if correlation >= RELATED else Affine())
        self._last = samples
        if self._settled:
            yield self._mean().apply(depth)
            return
        self._waiting.append(depth)
        if len(self._waiting) == self._window:
            yield from self.finish()

    def finish(self) -> Iterator[NDArray[np.float32]]:
        """The maps that still wait."""
        waiting, self._waiting = self._waiting, []
        self._settled = True
        if not waiting:
            return
        # From the last one, whose mean is known, back to the first.
        to_mean = [self._mean()]
        for link in reversed(list(self._links)[: len(waiting) - 1] if len(waiting) > 1 else []):
            to_mean.append(to_mean[-1].after(link.inverse()))
        for affine, depth in zip(reversed(to_mean), waiting, strict=True):
            yield affine.apply(depth)

    def _mean(self) -> Affine:
        """From the latest map to the mean scale and shift of the window."""
        here = Affine()
        scale, shift = here.scale, here.shift
        for link in reversed(self._links):
            here = link.after(here)
            scale += here.scale
            shift += here.shift
        return Affine(scale / (len(self._links) + 1), shift / (len(self._links) + 1))
