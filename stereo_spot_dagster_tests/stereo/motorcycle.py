"""The Middlebury motorcycle that scikit-image ships: a real pair of pictures with measured disparity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.data import stereo_motorcycle

from stereo_spot_dagster.stereo.frame import Frame, PixelFormat

RGB = PixelFormat(8, 0, 0)


@dataclass(frozen=True)
class StereoPair:
    """Both eyes of a real scene.

    Attributes:
        left: ``[H, W, 3]`` uint8 RGB.
        right: same, from the right eye.
        disparity_px: ``[H, W]`` float32 of the left view: left column x is seen at right column x - disparity.
    """

    left: NDArray[np.uint8]
    right: NDArray[np.uint8]
    disparity_px: NDArray[np.float32]


def motorcycle() -> StereoPair:
    """The pair at 741 x 500; where nothing was measured, the farther of the measured neighbours in the row."""
    left, right, disparity_px = stereo_motorcycle()
    known = np.isfinite(disparity_px)
    columns = np.broadcast_to(np.arange(known.shape[1]), known.shape)
    before = np.maximum.accumulate(np.where(known, columns, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, columns, known.shape[1])[:, ::-1], axis=1)[:, ::-1]
    walled = np.pad(np.where(known, disparity_px, 0), ((0, 0), (1, 1)), constant_values=np.inf)
    rows = np.arange(len(known))[:, None]
    complete = np.minimum(walled[rows, before + 1], walled[rows, after + 1])
    return StereoPair(left, right, complete.astype(np.float32))


def planar(rgb: NDArray[np.uint8]) -> Frame:
    """``[H, W, 3]`` RGB as a picture of three full planes; a warp does not care what they mean."""
    return Frame(tuple(np.ascontiguousarray(rgb[..., channel]) for channel in range(3)), RGB)


def interleaved(frame: Frame) -> NDArray[np.uint8]:
    """The inverse of :func:`planar`."""
    return np.stack(frame.planes, axis=-1).astype(np.uint8)


def psnr_db(shown: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio of 8-bit samples, dB."""
    error = np.mean((shown.astype(np.float64) - truth) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-12)))
