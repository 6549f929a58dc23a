"""Depth without a trained model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .base import DepthEstimator
from .tracking import ShotTracker

# 512 x 288. Rank correlation with true depth, mean of nine moving scenes: 0.92 at 256 x 144 (14 ms a frame), 0.94 at
# 512 x 288 (31 ms), 0.94 at 768 x 432 (64 ms).
WORKING_PIXELS = 512 * 288
SIDE_MULTIPLE = 8
# Frames looked at before the first one of a shot is returned, so that it knows the motion that is to come.
WARM_UP_FRAMES = 8


class CuesDepth(DepthEstimator):
    """Depth from motion parallax, things that move, height in the picture, sky, haze and edges.

    A heuristic, not a measurement: where the camera moves, nearness is motion parallax and mostly right; where
    nothing moves it is a painter's guess (lower is nearer, sky and haze are far), and can be wrong.

    It needs no weights and no GPU. The first :data:`WARM_UP_FRAMES` frames of a shot come back together, the
    others at once. Returned bytes do not depend on how the frames were grouped into calls.
    """

    name = "cues"
    # Parallax seen long ago is remembered while the camera stands: a segment that begins after it has stopped knows
    # nothing of it, and depth jumped by 0.2 there.
    hands_over = True
    # With depth, warp and x264 on two cores; it loads in no time, so a lost worker shall cost little.
    segment_work_s = 150.0

    def __init__(self) -> None:
        self.reset()

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """About 147,000 pixels, the video's aspect, sides a multiple of 8; never larger than the video."""
        scale = min(1.0, (WORKING_PIXELS / (width * height)) ** 0.5)
        return _round_side(width * scale, width), _round_side(height * scale, height)

    def reset(self, first_frame: int = 0) -> None:
        self._tracker: ShotTracker | None = None
        self._waiting: list[NDArray[np.uint8]] = []
        self._size = (0, 0)

    def process(self, rgb: NDArray[np.uint8], scene_start: NDArray[np.bool_]) -> NDArray[np.float32]:
        """As the interface says; ``rgb`` may have any size that stays the same until :meth:`reset`."""
        self._size = rgb.shape[1:3]
        ready: list[NDArray[np.float32]] = []
        for frame, starts in zip(rgb, scene_start, strict=True):
            if starts:
                ready += self._begin_shot()
                self._tracker = None
            if self._tracker is not None:
                ready.append(self._tracker.step(frame))
                continue
            self._waiting.append(frame.copy())
            if len(self._waiting) == WARM_UP_FRAMES:
                ready += self._begin_shot()
        return self._stack(ready)

    def finish(self) -> NDArray[np.float32]:
        return self._stack(list(self._begin_shot()))

    def _begin_shot(self) -> Iterator[NDArray[np.float32]]:
        """Depth of the waiting frames: the tracker first walks back over them, then forward."""
        if not self._waiting:
            return
        frames, self._waiting = self._waiting, []
        self._tracker = ShotTracker()
        for frame in reversed(frames[1:]):
            self._tracker.step(frame)
        for frame in frames:
            yield self._tracker.step(frame)

    def _stack(self, maps: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.stack(maps) if maps else np.empty((0, *self._size), np.float32)


def _round_side(side: float, limit: int) -> int:
    return max(1, min(limit, max(SIDE_MULTIPLE, round(side / SIDE_MULTIPLE) * SIDE_MULTIPLE)))
