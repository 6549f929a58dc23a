"""Pictures as the decoder gives them: planes of samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..domain.picture import ColorSpace, PixelFormat

__all__ = ["ColorSpace", "Frame", "PixelFormat", "Plane"]

Plane = NDArray[np.uint8 | np.uint16]


@dataclass(frozen=True)
class Frame:
    """One decoded picture.

    Attributes:
        planes: Y, U, V (or only Y), each ``[rows, columns]``, uint8 or uint16 as ``format.dtype``.
        format: how the planes are sampled.
    """

    planes: tuple[Plane, ...]
    format: PixelFormat

    @property
    def width(self) -> int:
        return self.planes[0].shape[1]

    @property
    def height(self) -> int:
        return self.planes[0].shape[0]
