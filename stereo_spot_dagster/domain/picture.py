"""Sample formats and colour of pictures, as values."""

from __future__ import annotations

import numpy as np
from pydantic.dataclasses import dataclass


@dataclass(frozen=True)
class PixelFormat:
    """A planar YUV (or gray) sample format.

    Attributes:
        bit_depth: bits of each sample: 8 (uint8 planes) or 9..16 (uint16 planes, low bits used).
        chroma_x: log2 of the horizontal chroma subsampling: 1 for 4:2:0 and 4:2:2, 0 for 4:4:4.
        chroma_y: log2 of the vertical chroma subsampling: 1 for 4:2:0, 0 for 4:2:2 and 4:4:4.
        gray: True where there is only a Y plane.
    """

    bit_depth: int = 8
    chroma_x: int = 1
    chroma_y: int = 1
    gray: bool = False

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.uint8 if self.bit_depth == 8 else np.uint16)

    @property
    def max_value(self) -> int:
        return (1 << self.bit_depth) - 1

    @property
    def ffmpeg_name(self) -> str:
        """ffmpeg's ``pix_fmt`` for this format, little endian."""
        depth = "" if self.bit_depth == 8 else f"{self.bit_depth}le"
        if self.gray:
            return f"gray{depth}"
        sampling = {(1, 1): "420", (1, 0): "422", (0, 0): "444", (0, 1): "440"}[self.chroma_x, self.chroma_y]
        return f"yuv{sampling}p{depth}"

    def plane_shapes(self, width: int, height: int) -> tuple[tuple[int, int], ...]:
        """(rows, columns) of each plane for a picture of ``width`` x ``height``; chroma rounds up."""
        if self.gray:
            return ((height, width),)
        rows = (height + (1 << self.chroma_y) - 1) >> self.chroma_y
        columns = (width + (1 << self.chroma_x) - 1) >> self.chroma_x
        return ((height, width), (rows, columns), (rows, columns))

    def frame_bytes(self, width: int, height: int) -> int:
        return sum(rows * columns for rows, columns in self.plane_shapes(width, height)) * self.dtype.itemsize


@dataclass(frozen=True)
class ColorSpace:
    """What the sample values mean, in ffmpeg's words.

    Attributes:
        matrix: YUV matrix: ``bt709``, ``smpte170m``, ``bt470bg``, ``bt2020nc``, ...
        full_range: True for 0..255 samples, False for studio range (16..235 for 8 bit luma).
        transfer: transfer characteristic: ``bt709``, ``smpte2084`` (PQ), ``arib-std-b67`` (HLG), ...
        primaries: ``bt709``, ``bt2020``, ...
    """

    matrix: str = "bt709"
    full_range: bool = False
    transfer: str = "bt709"
    primaries: str = "bt709"
