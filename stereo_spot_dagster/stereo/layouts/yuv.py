"""The arithmetic between Y'CbCr sample values and R'G'B', for any matrix, range and bit depth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stereo_spot_dagster.domain.errors import InputRefused
from stereo_spot_dagster.stereo.frame import ColorSpace


@dataclass(frozen=True)
class YuvCode:
    """The affine map between sample values (Y, U, V) and R'G'B' in 0..1 (ITU-R BT.601, BT.709, BT.2020).

    Attributes:
        luma: weights (kr, kg, kb) of R', G' and B' in Y', which sum to 1.
        offset: sample values of black and of no colour, one for Y, U and V.
        span: distance in sample values between black and white (Y), and between the ends of Cb and Cr (U, V).
    """

    luma: tuple[float, float, float]
    offset: tuple[float, float, float]
    span: tuple[float, float, float]

    @property
    def to_rgb(self) -> NDArray[np.float64]:
        """``[3, 4]``: R'G'B' (rows) from Y, U, V sample values and 1 (columns)."""
        from_rgb = self.from_rgb
        inverse = np.linalg.inv(from_rgb[:, :3]).astype(np.float64)
        return np.column_stack([inverse, -inverse @ from_rgb[:, 3]])

    @property
    def from_rgb(self) -> NDArray[np.float64]:
        """``[3, 4]``: Y, U, V sample values (rows) from R', G', B' and 1 (columns)."""
        kr, kg, kb = self.luma
        rows = np.array(
            [
                [kr, kg, kb],
                np.array([-kr, -kg, 1 - kb]) / (2 * (1 - kb)),
                np.array([1 - kr, -kg, -kb]) / (2 * (1 - kr)),
            ]
        )
        return np.column_stack([rows * np.array(self.span)[:, None], np.array(self.offset)])


def yuv_code(color: ColorSpace, bit_depth: int) -> YuvCode:
    """How samples of ``bit_depth`` bits in ``color`` stand for R'G'B'.

    Studio range has black at 16, white at 235 and chroma in 16..240, times ``2**(bit_depth - 8)``; full range
    uses every value. Constant-luminance BT.2020 is taken as the non-constant kind, which it is close to.

    Raises:
        InputRefused: the matrix is not a luma-chroma one we know (``ycgco``, ``gbr``, ...).
    """
    try:
        kr, kb = _KR_KB[color.matrix]
    except KeyError:
        known = ", ".join(_KR_KB)
        raise InputRefused(f"colour matrix '{color.matrix}'", "is not supported", f"Use one of: {known}") from None
    neutral = float(1 << (bit_depth - 1))
    if color.full_range:
        white = float((1 << bit_depth) - 1)
        offset, span = (0.0, neutral, neutral), (white, white, white)
    else:
        unit = 2.0 ** (bit_depth - 8)
        offset, span = (16 * unit, neutral, neutral), (219 * unit, 224 * unit, 224 * unit)
    return YuvCode((kr, 1 - kr - kb, kb), offset, span)


_BT601 = (0.299, 0.114)
_BT709 = (0.2126, 0.0722)
_BT2020 = (0.2627, 0.0593)

# Untagged video is taken as BT.709, like ColorSpace's own default; whoever knows its size can say otherwise.
_KR_KB: dict[str, tuple[float, float]] = {
    "bt709": _BT709,
    "smpte170m": _BT601,
    "bt470bg": _BT601,
    "fcc": (0.30, 0.11),
    "smpte240m": (0.212, 0.087),
    "bt2020nc": _BT2020,
    "bt2020c": _BT2020,
    "unknown": _BT709,
    "unspecified": _BT709,
}
