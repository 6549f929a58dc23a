"""Padding an eye so that its chroma stays on the grid of the packed picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from stereo_spot_dagster.domain.layout import Layout
from stereo_spot_dagster.stereo.frame import Frame, PixelFormat, Plane


@dataclass(frozen=True)
class EyeSize:
    """Width and height of one eye after padding, in luma samples."""

    width: int
    height: int


def padded_size(layout: Layout, packed: PixelFormat, width: int, height: int) -> EyeSize:
    """The size every eye of ``width`` x ``height`` is padded to before it is packed.

    With 4:2:0 an odd width or height grows by one, so that the second eye starts on a chroma sample. A half
    layout needs that of its halved eyes: the halved side is padded to a multiple of 4 (4:2:0) or 2 (4:4:4).

    Args:
        layout: how the eyes are packed.
        packed: sample format of the packed picture.
        width, height: size of one eye as decoded.
    """
    across = 1 << (packed.chroma_x if not packed.gray else 0)
    down = 1 << (packed.chroma_y if not packed.gray else 0)
    if layout is Layout.HALF_SBS:
        across *= 2
    if layout is Layout.HALF_TB:
        down *= 2
    return EyeSize(-(-width // across) * across, -(-height // down) * down)


def pad_eye(eye: Frame, size: EyeSize) -> Frame:
    """``eye`` with its last column and row repeated up to ``size``; the same object where none is missing."""
    shapes = eye.format.plane_shapes(size.width, size.height)
    if all(plane.shape == shape for plane, shape in zip(eye.planes, shapes, strict=True)):
        return eye
    planes = tuple(_pad_plane(plane, shape) for plane, shape in zip(eye.planes, shapes, strict=True))
    return Frame(planes, eye.format)


def _pad_plane(plane: Plane, shape: tuple[int, int]) -> Plane:
    below, right = shape[0] - plane.shape[0], shape[1] - plane.shape[1]
    return cast(Plane, np.pad(plane, ((0, below), (0, right)), mode="edge"))
