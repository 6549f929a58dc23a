"""The interface of depth estimators."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray


class DepthEstimator(ABC):
    """Estimates relative depth of a moving picture, streaming.

    Frames of one segment are pushed in order with :meth:`process`; depth comes back in the same order, one map
    for each frame, at once or after a lag; :meth:`finish` returns what is still owed. The state belongs to one
    segment: use :meth:`reset` before the next one.
    """

    name: str
    licence: str
    noncommercial: bool = False

    @abstractmethod
    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the RGB copy this estimator wants of a ``width`` x ``height`` video.

        The depth maps have the same size.
        """

    @abstractmethod
    def reset(self) -> None:
        """Forget everything about earlier frames."""

    @abstractmethod
    def process(self, rgb: NDArray[np.uint8], scene_start: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Take the next frames.

        Args:
            rgb: ``[T, h, w, 3]``, sRGB-like, 0..255.
            scene_start: ``[T]``, True where a frame is the first of a new shot: temporal state resets there.

        Returns:
            ``[T', h, w]`` with T' >= 0: depth of the oldest frames not yet returned, in 0..1, 1 = nearest.
        """

    @abstractmethod
    def finish(self) -> NDArray[np.float32]:
        """``[T', h, w]``: depth of the frames not yet returned (T' may be 0)."""
