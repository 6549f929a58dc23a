"""One packer for every layout."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np

from stereo_spot_dagster.domain.layout import Layout, View
from stereo_spot_dagster.stereo.frame import ColorSpace, Frame, PixelFormat, Plane

from .anaglyph import AnaglyphMixer
from .padding import pad_eye, padded_size


class Packer:
    """Packs the eyes of one video into the pictures of one output file.

    Each eye is first padded by repeating its last column and row until its chroma stays aligned in the
    packed picture (`padded_size`). After that the full layouts, cross-eyed and left-right copy samples bit
    for bit. The half layouts average pairs of neighbours of each plane. Chroma keeps its place to within an
    eighth of its own pitch.

    An anaglyph of a gray source needs colour: it becomes 4:2:0 of the same depth, which every player decodes.
    All other packed pictures have the format of the eyes.

    Attributes:
        format: sample format of the packed picture.
        width: width of the packed picture in luma samples.
        height: height of the packed picture in luma samples.
    """

    def __init__(
        self, layout: Layout, view: View, fmt: PixelFormat, width: int, height: int, color: ColorSpace
    ) -> None:
        """
        Args:
            layout: how the eyes are packed.
            view: which file of the layout; one of ``layout.views``.
            fmt: sample format of both eyes.
            width, height: size of one eye.
            color: meaning of the samples; only anaglyphs look at it.

        Raises:
            ValueError: the layout has no such view.
            InputRefused: an anaglyph of a colour matrix we do not know.
        """
        if view not in layout.views:
            raise ValueError(f"layout {layout} has no view {view}")
        self.format = PixelFormat(fmt.bit_depth) if layout.is_anaglyph and fmt.gray else fmt
        self._layout = layout
        self._view = view
        self._eye_format = fmt
        self._eye_shape = (height, width)
        self._eye = padded_size(layout, self.format, width, height)
        self.width, self.height = layout.packed_size(self._eye.width, self._eye.height)
        self._mixer = AnaglyphMixer(layout, fmt, self.format, self._eye, color) if layout.is_anaglyph else None

    def pack(self, left: Frame, right: Frame) -> Frame:
        """The packed picture of two eyes.

        Args:
            left, right: eyes of the size and format given to the constructor.

        Returns:
            A picture of ``format``, ``width`` x ``height``, in memory of its own; except that an eye of
            ``left-right`` that needs no padding is returned as it is.

        Raises:
            ValueError: an eye has another size or format.
        """
        for eye in (left, right):
            if eye.format != self._eye_format or eye.planes[0].shape != self._eye_shape:
                raise ValueError(f"eye is {eye.planes[0].shape} {eye.format}, not {self._eye_shape} {self._eye_format}")
        left, right = pad_eye(left, self._eye), pad_eye(right, self._eye)
        if self._layout is Layout.LEFT_RIGHT:
            return left if self._view is View.LEFT else right
        if self._mixer is not None:
            return self._mixer.mix(left, right)
        first, second = (right, left) if self._layout is Layout.CROSS_EYED else (left, right)
        return Frame(tuple(map(_PACK_PLANES[self._layout], first.planes, second.planes)), self.format)


def _beside(first: Plane, second: Plane) -> Plane:
    return cast(Plane, np.concatenate((first, second), axis=1))


def _above(first: Plane, second: Plane) -> Plane:
    return cast(Plane, np.concatenate((first, second), axis=0))


def _halves_beside(first: Plane, second: Plane) -> Plane:
    rows, columns = first.shape
    return _beside(_averaged(first, columns // 2, rows), _averaged(second, columns // 2, rows))


def _halves_above(first: Plane, second: Plane) -> Plane:
    rows, columns = first.shape
    return _above(_averaged(first, columns, rows // 2), _averaged(second, columns, rows // 2))


def _averaged(plane: Plane, columns: int, rows: int) -> Plane:
    # At exactly 2:1 this is the mean of each pair, ties rounded to even: no drift in brightness.
    return cast(Plane, cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_AREA))


_PACK_PLANES = {
    Layout.FULL_SBS: _beside,
    Layout.CROSS_EYED: _beside,
    Layout.FULL_TB: _above,
    Layout.HALF_SBS: _halves_beside,
    Layout.HALF_TB: _halves_above,
}
