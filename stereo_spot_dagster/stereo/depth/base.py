"""The interface of depth estimators."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from ..record import Recorded


class DepthEstimator(Recorded, ABC):
    """Estimates relative depth of a moving picture, streaming.

    Frames of one segment are pushed in order with :meth:`process`; depth comes back in the same order, one map
    for each frame, at once or after a lag; :meth:`finish` returns what is still owed. The state belongs to one
    segment: use :meth:`reset` before the next one.

    Attributes:
        name: as the user writes it.
        relative: True if depth is right only up to one scale and shift for each shot: any finite values, larger is
            nearer. False if it lies in 0..1 already and means the same in every shot.
        overlap_frames: how many frames of the same shot it wants to see before a segment's first.
        hands_over: True if the end of a segment shall fade to what the next segment of the shot begins with. For
            estimators that may remember longer than ``overlap_frames``; costs as many frames estimated twice.
        frames_per_s: frames of 1080p video it sees in a second on the kind of machine it is meant for, a guess that
            only chooses the length of segments; infinite where warping and encoding take all of the time.
        segment_work_s: seconds of work a segment shall be on that machine. What takes long to load wants more.
    """

    name: str
    relative: bool = False
    overlap_frames: int = 24
    hands_over: bool = False
    frames_per_s: float = math.inf
    segment_work_s: float = 600.0

    @abstractmethod
    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the RGB copy this estimator wants of a ``width`` x ``height`` video.

        The depth maps have the same size.
        """

    @abstractmethod
    def reset(self, first_frame: int = 0) -> None:
        """Forget everything about earlier frames.

        Args:
            first_frame: number in the video of the frame that comes next. Random numbers are drawn for numbered frames,
                so that the same frame gets the same ones however the video is split.
        """

    @abstractmethod
    def process(self, rgb: NDArray[np.uint8], scene_start: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Take the next frames.

        Args:
            rgb: ``[T, h, w, 3]``, sRGB-like, 0..255.
            scene_start: ``[T]``, True where a frame is the first of a new shot: temporal state resets there.

        Returns:
            ``[T', h, w]`` with T' >= 0: depth of the oldest frames not yet returned, finite; in 0..1 with 1 = nearest
            unless ``relative``.
        """

    @abstractmethod
    def finish(self) -> NDArray[np.float32]:
        """``[T', h, w]``: depth of the frames not yet returned (T' may be 0)."""
