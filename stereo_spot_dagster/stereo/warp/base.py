"""The interface of view synthesizers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..frame import Frame


@dataclass(frozen=True)
class SynthesizedView:
    """A second eye before its occlusions are filled.

    Attributes:
        frame: the warped picture; sample values inside occlusions are undefined.
        occlusion: ``[H, W]`` uint8 at luma size, 255 where nothing of the source is seen (a hole), 0 where visible;
            fractional coverage in between only for the soft ``reference`` splat. A subsampled chroma sample is
            visible where any luma pixel of its block is.
        disparity_px: ``[H, W]`` float32: disparity of the surface seen at each visible pixel of the *new* view
            (undefined in occlusions).
    """

    frame: Frame
    occlusion: NDArray[np.uint8]
    disparity_px: NDArray[np.float32]


class ViewSynthesizer(ABC):
    """Warps the left eye to where the right eye stands.

    A pixel at column x of the left view appears at column ``x - disparity`` of the right view, same row: positive
    disparity lies in front of the screen. Where two surfaces meet the same pixel, the one with the larger disparity
    (the nearer one) is seen.
    """

    name: str

    @abstractmethod
    def synthesize(self, left: Frame, disparity_px: NDArray[np.float32]) -> SynthesizedView:
        """The right eye for ``left``.

        Args:
            left: the source picture.
            disparity_px: ``[H, W]`` float32 at luma size, pixels of luma columns, finite.
        """
