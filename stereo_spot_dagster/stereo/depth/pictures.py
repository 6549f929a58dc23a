"""What all models have in common that see one picture at a time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ...domain.errors import StereoSpotError
from .align import Steadier
from .base import DepthEstimator

# One second of video. At 24 maps, a change of scale in one of them is seen with 4 % of its strength.
STEADY_FRAMES = 24


class ModelFailed(StereoSpotError):
    """A depth model cannot be used, or gives something that is no depth."""


class PictureByPicture(DepthEstimator):
    """Relative depth of each picture by itself, in batches, then steadied over time.

    A network's last bits depend on how many pictures it sees at once and at which place of the batch. So every batch
    is full and holds frames with the same place in it whatever the calls: frame ``n`` is always number ``n % batch``.
    The places of frames outside the segment are filled with copies.

    Args:
        batch: pictures at once.
        stabilise: align scale and shift of each map with those before it.
    """

    relative = True
    # A small network with fp16 on a GPU of the middle class.
    frames_per_s = 40.0

    def __init__(self, batch: int, *, stabilise: bool) -> None:
        self._batch = batch
        self._steadier = Steadier(STEADY_FRAMES) if stabilise else None
        # The steadier forgets after so many frames exactly: a segment that begins inside a shot goes on with the very
        # depth that the one before would have had.
        self.overlap_frames = STEADY_FRAMES if stabilise else 0
        self.reset()

    def reset(self, first_frame: int = 0) -> None:
        self._number = first_frame
        self._pictures: list[NDArray[np.uint8]] = []
        self._starts: list[bool] = []
        self._size = (0, 0)
        if self._steadier:
            self._steadier.reset()

    def process(self, rgb: NDArray[np.uint8], scene_start: NDArray[np.bool_]) -> NDArray[np.float32]:
        """As the interface says; ``rgb`` has the working size."""
        self._size = (rgb.shape[1], rgb.shape[2])
        ready: list[NDArray[np.float32]] = []
        for picture, starts in zip(rgb, scene_start, strict=True):
            self._pictures.append(picture.copy())
            self._starts.append(bool(starts))
            self._number += 1
            if self._number % self._batch == 0:
                ready += self._run()
        return self._stack(ready)

    def finish(self) -> NDArray[np.float32]:
        ready = list(self._run())
        if self._steadier:
            ready += self._steadier.finish()
        return self._stack(ready)

    @abstractmethod
    def _infer(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``[batch, h, w]`` depth, larger is nearer, of ``[batch, h, w, 3]`` pictures."""

    def _run(self) -> Iterator[NDArray[np.float32]]:
        """Depth of the waiting pictures, which fit into one batch."""
        if not self._pictures:
            return
        count = len(self._pictures)
        first = (self._number - count) % self._batch
        places = np.clip(np.arange(self._batch) - first, 0, count - 1)
        depths = self._infer(np.stack([self._pictures[place] for place in places]))[first : first + count]
        if not np.isfinite(depths).all():
            remedy = "Use another number format: STEREO_SPOT_PRECISION=fp32"
            raise ModelFailed(self.name, "its depth is not finite (an overflow in the network)", remedy)
        starts = self._starts
        self._pictures, self._starts = [], []
        for depth, begins in zip(depths, starts, strict=True):
            if self._steadier:
                yield from self._steadier.push(depth, begins)
            else:
                yield depth

    def _stack(self, maps: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.stack(maps) if maps else np.empty((0, *self._size), np.float32)


def inference_size(width: int, height: int, side: int, multiple: int) -> tuple[int, int]:
    """(width, height) with a short side of about ``side``, the aspect kept, both multiples of ``multiple``."""
    scale = side / min(width, height)
    return _round(width * scale, multiple), _round(height * scale, multiple)


def _round(length: float, multiple: int) -> int:
    return max(multiple, round(length / multiple) * multiple)
