"""From a relative depth map to pixels of disparity at the size of the picture."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from .bands import over_rows

# Depth that would cross its whole range within less than 1/16 of the picture's width is a silhouette, not a slanted
# surface. In terms of depth, not of pixels, so that the strength of the effect does not change what counts as an edge.
EDGE_RANGES_PER_WIDTH = 16.0
# Where on a soft silhouette the near surface ends: this share of the way up from the far one. Below one half it
# also takes the pixels in which the camera mixed both surfaces, so they do not stay behind as a halo.
NEAR_FROM = 0.35
# Silhouettes are steepened by this factor, this many times. Not to a step at once: what is left of the slope tells the
# interpolation where between two depth pixels the outline runs (1.1 dB better on depth blurred by one pixel).
STEEPEN_FACTOR = 2.0
STEEPEN_ROUNDS = 2


def disparity_from_depth(
    depth: NDArray[np.float32], width: int, height: int, divergence: float, convergence: float
) -> NDArray[np.float32]:
    """Disparity of each luma pixel: ``divergence / 100 * width * (depth - convergence)``.

    With p = x_R - x_L (the right eye's column minus the left eye's), ``p = -disparity``: what has depth above
    ``convergence`` gets positive disparity, lies further left in the right eye, and so appears in front of the screen.
    Terms and scale are those of nunif's iw3, with the base always the width.

    A depth map is usually smaller than the picture and its silhouettes are ramps. They come out as steps that
    follow the same outline: inside each cell of four depth pixels a range too steep for a surface is decided for
    the near or the far side; anything else is interpolated bilinearly. Depth pixel centres are spread evenly over
    the picture, so a map of the picture's own size is only scaled.

    Args:
        depth: ``[h, w]`` float32 in 0..1, 1 = nearest.
        width, height: luma size of the picture.
        divergence: largest disparity between nearest and farthest, in percent of the width.
        convergence: the depth that lies in the screen plane.

    Returns:
        ``[height, width]`` float32, pixels of luma columns.
    """
    scale, offset = np.float32(divergence / 100 * width), np.float32(convergence)
    rows, columns = depth.shape
    depth = np.ascontiguousarray(depth, np.float32)
    if (rows, columns) == (height, width):
        return (depth - offset) * scale
    edge = np.float32(EDGE_RANGES_PER_WIDTH / columns)
    if columns < width:
        depth = steepened(depth, edge)
    out = np.empty((height, width), np.float32)
    surfaces = _erode(depth), _dilate(depth)
    over_rows(_upsample_band, height, depth, *surfaces, *_taps(width, columns), edge, offset, scale, out)
    return out


def steepened(depth: NDArray[np.float32], edge: np.float32) -> NDArray[np.float32]:
    """Moves depth pixels on a silhouette's ramp towards the surface on either side, from a 3x3 neighbourhood."""
    border = np.float32(NEAR_FROM)
    for _ in range(STEEPEN_ROUNDS):
        far = _erode(depth)
        span = _dilate(depth) - far
        level = (depth - far) / np.maximum(span, np.float32(1e-6))
        steeper = np.clip(border + (level - border) * np.float32(STEEPEN_FACTOR), 0, 1)
        depth = np.where(span > 2 * edge, far + span * steeper, depth)
    return depth


def _erode(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Smallest depth around each pixel, 3x3."""
    return np.asarray(cv2.erode(depth, np.ones((3, 3), np.uint8)), np.float32)


def _dilate(depth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Largest depth around each pixel, 3x3."""
    return np.asarray(cv2.dilate(depth, np.ones((3, 3), np.uint8)), np.float32)


def _taps(size: int, source_size: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For each of ``size`` pixels: the source pixel before it and the weight of the one after."""
    place = np.clip((np.arange(size) + 0.5) * source_size / size - 0.5, 0, source_size - 1)
    before = np.minimum(place.astype(np.int64), max(source_size - 2, 0))
    return before, (place - before).astype(np.float32)


@njit(nogil=True, cache=True)
def _upsample_band(first, last, depth, far, near, columns, weights, edge, offset, scale, out):
    """Interpolates rows of ``[h, w]`` depth and writes ``(depth - offset) * scale``; returns 0.

    In cells of four depth pixels that hold a silhouette the result is one of the two surfaces around the cell,
    ``far`` or ``near``; the depth pixels themselves may still lie between these.
    """
    source_height, source_width = depth.shape
    height, width = out.shape
    level, lowest, highest, behind, ahead = np.empty((5, source_width), np.float32)
    border = np.float32(NEAR_FROM)
    for row in range(first, last):
        place = min(max((row + 0.5) * source_height / height - 0.5, 0.0), source_height - 1.0)
        above = math.floor(place)
        below = min(above + 1, source_height - 1)
        part = np.float32(place - above)
        for x in range(source_width):
            a, b = depth[above, x], depth[below, x]
            level[x] = a + (b - a) * part
            lowest[x], highest[x] = min(a, b), max(a, b)
            behind[x], ahead[x] = min(far[above, x], far[below, x]), max(near[above, x], near[below, x])
        for x in range(width):
            before = columns[x]
            after = min(before + 1, source_width - 1)
            value = level[before] + (level[after] - level[before]) * weights[x]
            if max(highest[before], highest[after]) - min(lowest[before], lowest[after]) > edge:
                low, high = min(behind[before], behind[after]), max(ahead[before], ahead[after])
                value = high if value > low + (high - low) * border else low
            out[row, x] = (value - offset) * scale
    return 0
