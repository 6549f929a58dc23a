"""StereoCrafter's soft splat, for parity with published results."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..frame import Frame, Plane, chroma_means
from .bands import over_rows
from .base import SynthesizedView, ViewSynthesizer

# Nearness counts by this base to the power of the disparity in px (StereoCrafter, "depth_splatting_inference").
NEARNESS_BASE = 1.414
# Smallest sum of weights a colour is divided by.
WEIGHT_FLOOR = 1e-6
# 1.414 ** 1800 is 1e271: the largest exponent whose sums and products stay finite in double precision. In a wider
# range it is the order of the farthest surfaces that is lost.
EXPONENT_LIMIT = 1800.0


def soft_splat(
    image: NDArray[np.float32], disparity: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The right view of a batch of left views, as StereoCrafter's splatting step computes it.

    A pixel at column x goes to x - disparity on the same row, shared between its four integer neighbours
    bilinearly, and weighted by 1.414 to the power of (disparity - smallest disparity of the whole batch). A pixel
    with any of the four outside the picture is dropped, even where that one's share is zero: the bottom row is
    always empty, and so is the last column of a still picture.

    Sums are kept in double precision, so disparity ranges that overflow the published code (about 256 px) stay finite.

    Args:
        image: ``[B, C, H, W]`` float32.
        disparity: ``[B, 1, H, W]`` float32, pixels, finite.

    Returns:
        ``right`` ``[B, C, H, W]`` float32, 0 where nothing lands; ``occlusion`` ``[B, 1, H, W]`` float32 in 0..1, one
        minus the unweighted coverage.

    Raises:
        ValueError: the shapes do not belong together or a disparity is not finite.
    """
    batch, _, height, width = image.shape
    if disparity.shape != (batch, 1, height, width):
        raise ValueError(f"disparity is {disparity.shape}, expected {(batch, 1, height, width)}")
    if not np.isfinite(disparity).all():
        raise ValueError("disparity must be finite")
    nearness = _nearness(disparity)
    views = [_splat(image[item], disparity[item, 0], nearness[item, 0]) for item in range(batch)]
    right = np.stack([view for view, _ in views])
    occlusion = np.stack([hidden[None] for _, hidden in views])
    return right, occlusion


class ReferenceSynthesizer(ViewSynthesizer):
    """StereoCrafter's soft splat applied to planes of YUV, lost bottom row and column included.

    Subsampled chroma is splatted at its own size: its disparity is the mean of the luma disparities it covers, scaled
    to its columns for the motion but not for the weights, so luma and chroma prefer the same surface. A luma
    pixel whose chroma got less coverage than itself takes the occlusion of the chroma, because colour must exist
    wherever the picture is called visible.
    """

    name = "reference"

    def synthesize(self, left: Frame, disparity_px: NDArray[np.float32]) -> SynthesizedView:
        """See :meth:`ViewSynthesizer.synthesize`; the occlusion is fractional.

        Raises:
            ValueError: ``disparity_px`` has another size than the picture or is not finite.
        """
        shape = (left.height, left.width)
        if disparity_px.shape != shape:
            raise ValueError(f"disparity is {disparity_px.shape}, the picture {shape}")
        if not np.isfinite(disparity_px).all():
            raise ValueError("disparity must be finite")
        peak = np.float32(left.format.max_value)
        luma = np.stack([left.planes[0].astype(np.float32) / peak, disparity_px])
        (y, seen_px), occlusion = _splat(luma, disparity_px, _nearness(disparity_px))
        planes = [_quantised(y, left)]
        if not left.format.gray:
            chroma_px = chroma_means(disparity_px, left.format)
            chroma = np.stack([plane.astype(np.float32) / peak for plane in left.planes[1:]])
            shift_px = chroma_px / np.float32(1 << left.format.chroma_x)
            colours, chroma_occlusion = _splat(chroma, shift_px, _nearness(chroma_px))
            planes += [_quantised(colour, left) for colour in colours]
            repeated = np.repeat(chroma_occlusion, 1 << left.format.chroma_y, axis=0)
            repeated = np.repeat(repeated, 1 << left.format.chroma_x, axis=1)
            occlusion = np.maximum(occlusion, repeated[: shape[0], : shape[1]])
        # To 8 bit as StereoCrafter does it: truncated.
        return SynthesizedView(Frame(tuple(planes), left.format), (occlusion * 255).astype(np.uint8), seen_px)


def _nearness(disparity_px: NDArray[np.float32]) -> NDArray[np.float32]:
    """Exponents of the weights: disparity above the smallest one, the largest at most ``EXPONENT_LIMIT``."""
    above = disparity_px - disparity_px.min()
    excess = above.max() - np.float32(EXPONENT_LIMIT)
    return np.maximum(above - excess, np.float32(0)) if excess > 0 else above


def _splat(
    channels: NDArray[np.float32], shift_px: NDArray[np.float32], nearness: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Splats ``[C, H, W]`` channels by ``[H, W]`` pixels to the left; returns them and the ``[H, W]`` occlusion."""
    splatted = np.zeros(channels.shape, np.float32)
    occlusion = np.ones(shift_px.shape, np.float32)
    arrays = [np.ascontiguousarray(array, np.float32) for array in (channels, shift_px, nearness)]
    over_rows(_splat_band, len(shift_px), *arrays, splatted, occlusion)
    return splatted, occlusion


def _quantised(plane: NDArray[np.float32], picture: Frame) -> Plane:
    return np.rint(plane * np.float32(picture.format.max_value)).astype(picture.format.dtype)


@njit(nogil=True, cache=True)
def _splat_band(first, last, channels, shift_px, nearness, out, occlusion):
    """Splats rows of ``[C, H, W]`` channels; rows without one below them are left as they are."""
    count, height, width = channels.shape
    colour = np.empty((count, width), np.float64)
    weight = np.empty(width, np.float64)
    coverage = np.empty(width, np.float64)
    for row in range(first, min(last, height - 1)):
        colour[:] = 0
        weight[:] = 0
        coverage[:] = 0
        for x in range(width):
            target = np.float32(x) - shift_px[row, x]
            if not (0 <= target < width - 1):
                continue
            before = math.floor(target)
            share = np.float64(target) - before
            near = NEARNESS_BASE ** np.float64(nearness[row, x])
            for column, part in ((before, 1 - share), (before + 1, share)):
                coverage[column] += part
                weight[column] += part * near
                for channel in range(count):
                    colour[channel, column] += part * near * channels[channel, row, x]
        for x in range(width):
            occlusion[row, x] = 1 - min(coverage[x], 1.0)
            for channel in range(count):
                out[channel, row, x] = colour[channel, x] / max(weight[x], WEIGHT_FLOOR)
    return 0
