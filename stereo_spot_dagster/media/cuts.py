"""Where one shot ends and the next begins, told from small gray copies of the frames."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Width and height of the gray copy the constants below were chosen on.
COPY_SIZE = (64, 36)
# A cut looks at least this unlike what was before (0 = the same picture moved or dimmed, 1 = nothing in common) ...
UNLIKE = 0.34
# ... and this many times as unlike as the frames around it are among themselves: fast action is not a row of cuts.
ABOVE_AROUND = 2.2
# A flash, a dropped picture or a passing object may last this many frames and the shot goes on behind it.
INTERRUPTION_FRAMES = 2
# Frames before and after a cut that say how unlike neighbours are here.
AROUND_FRAMES = 4
BLOCK = 12
# Motion search, in pixels of the copy: 4 of 64 is a pan across the whole picture in 16 frames.
REACH_X, REACH_Y = 4, 2
# Contrast (0..255) below which a block is flat and its differences are noise.
FLAT = 3.0


class CutDetector:
    """Finds abrupt cuts, streaming, with a lag of :data:`INTERRUPTION_FRAMES` frames.

    Two frames are compared block by block after a small motion search and without their brightness, so pans, moving
    things and fades look alike; a cut does not. A frame is the first of a shot when neither it nor the frames just
    after it look like the frames just before it, which a flash would.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first of another video."""
        self._frames: list[NDArray[np.float32]] = []
        self._steps: list[float] = []
        self._unjudged = 0
        self._since_cut = 0

    def process(self, gray: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Take the next frames.

        Args:
            gray: ``[T, h, w]`` uint8 full-range luma, about 64 x 36 pixels; sizes must not change.

        Returns:
            ``[T']`` bool: for the oldest frames not yet judged, True for the first frame of a shot. The first frame
            of all is True.
        """
        verdicts: list[bool] = []
        for frame in gray:
            self._frames.append(frame.astype(np.float32))
            self._steps.append(unlike(self._frames[-2], self._frames[-1]) if len(self._frames) > 1 else 1.0)
            self._unjudged += 1
            if self._unjudged > INTERRUPTION_FRAMES:
                verdicts.append(self._judge())
            del self._frames[: -2 * INTERRUPTION_FRAMES - 2]
            del self._steps[: -AROUND_FRAMES - INTERRUPTION_FRAMES - 1]
        return np.array(verdicts, dtype=np.bool_)

    def finish(self) -> NDArray[np.bool_]:
        """``[T']`` bool for the frames not yet judged; the detector can then start on another video."""
        verdicts = [self._judge() for _ in range(self._unjudged)]
        self.reset()
        return np.array(verdicts, dtype=np.bool_)

    def _judge(self) -> bool:
        at, step_at = len(self._frames) - self._unjudged, len(self._steps) - self._unjudged
        self._unjudged -= 1
        cut = at == 0 or (self._stands_out(step_at) and self._does_not_return(at))
        self._since_cut = 1 if cut else self._since_cut + 1
        return cut

    def _stands_out(self, step_at: int) -> bool:
        step = self._steps[step_at]
        around = self._steps[max(0, step_at - AROUND_FRAMES) : step_at] + self._steps[step_at + 1 :]
        usual = float(np.median(around)) if around else 0.0
        return step > UNLIKE and step > ABOVE_AROUND * usual

    def _does_not_return(self, at: int) -> bool:
        """Whether no frame from ``at`` on looks like a frame of the shot before it."""
        oldest = max(0, at - min(1 + INTERRUPTION_FRAMES, self._since_cut))
        later = self._frames[at : at + 1 + INTERRUPTION_FRAMES]
        return all(unlike(old, new) > UNLIKE for old in self._frames[oldest:at] for new in later)


@njit(cache=True)
def unlike(old: NDArray[np.float32], new: NDArray[np.float32]) -> float:
    """How little two pictures have in common: 0 for the same one, moved or dimmed; about 1 for unrelated ones.

    Args:
        old: ``[h, w]`` float32, 0..255.
        new: ``[h, w]`` float32, 0..255.

    Returns:
        The mean absolute difference of blocks, without their brightness, at the best shift, divided by their
        contrast.
    """
    height, width = new.shape
    rows, columns = min(BLOCK, height), min(BLOCK, width)
    left_over, contrast = 0.0, 0.0
    for top in range(0, height - rows + 1, rows):
        for left in range(0, width - columns + 1, columns):
            best = 1e30
            own = _deviation(new, top, left, rows, columns)
            for down in range(-REACH_Y, REACH_Y + 1):
                for across in range(-REACH_X, REACH_X + 1):
                    y, x = top + down, left + across
                    if y < 0 or x < 0 or y + rows > height or x + columns > width:
                        continue
                    best = min(best, _difference(old, new, y, x, top, left, rows, columns))
            there = _deviation(old, top, left, rows, columns)
            scale = max(own, there)
            left_over += max(best - FLAT, 0.0)
            contrast += max(scale, FLAT)
    return left_over / contrast


@njit(cache=True)
def _deviation(picture, top, left, rows, columns):
    """Mean absolute deviation of a block from its mean."""
    count = rows * columns
    mean = 0.0
    for y in range(top, top + rows):
        for x in range(left, left + columns):
            mean += picture[y, x]
    mean /= count
    total = 0.0
    for y in range(top, top + rows):
        for x in range(left, left + columns):
            total += abs(picture[y, x] - mean)
    return total / count


@njit(cache=True)
def _difference(old, new, y, x, top, left, rows, columns):
    """Mean absolute difference of two blocks, each without its mean."""
    count = rows * columns
    offset = 0.0
    for row in range(rows):
        for column in range(columns):
            offset += new[top + row, left + column] - old[y + row, x + column]
    offset /= count
    total = 0.0
    for row in range(rows):
        for column in range(columns):
            total += abs(new[top + row, left + column] - old[y + row, x + column] - offset)
    return total / count
