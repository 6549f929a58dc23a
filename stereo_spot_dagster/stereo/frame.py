"""Pictures as the decoder gives them: planes of samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..domain.picture import ColorSpace, PixelFormat

__all__ = ["ColorSpace", "Frame", "PixelFormat", "Plane", "chroma_means"]

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


def chroma_means(values: NDArray[np.float32], pixel_format: PixelFormat) -> NDArray[np.float32]:
    """``[H, W]`` values averaged over the luma pixels of each chroma sample; odd sizes repeat the last ones."""
    height, width = values.shape
    rows, columns = 1 << pixel_format.chroma_y, 1 << pixel_format.chroma_x
    padded = np.pad(values, ((0, -height % rows), (0, -width % columns)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // rows, rows, padded.shape[1] // columns, columns)
    return blocks.mean(axis=(1, 3), dtype=np.float32)
