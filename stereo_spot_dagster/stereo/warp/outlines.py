"""Silhouettes of estimated depth, moved to where the picture has its edges."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...domain.settings import DepthEdges
from ..frame import Frame
from .bands import over_rows
from .disparity import EDGE_RANGES_PER_WIDTH, disparity_from_depth, steepened

# All distances are in depth pixels: that is the measure of how soft and how far off the silhouettes of a model are.
# The two surfaces of a silhouette are the extremes this far around a depth pixel.
SURFACE_RADIUS = 2
# Their colours are looked at this far around it, weighted by a Gaussian.
COLOUR_RADIUS, COLOUR_SIGMA = 3, 1.5
# A depth pixel shows one surface alone below the first and above the second share of the way from far to near.
FAR_BELOW, NEAR_ABOVE = np.float32(0.2), np.float32(0.8)
# Standard deviation of a colour, in 1/255 of full scale, that noise and shading alone explain.
NOISE = 5.5
# What the depth itself says, as log odds for each step from the far (0) to the near surface (1), and where it is
# undecided. Steep: depth that is wrong by a few pixels is worth correcting, depth that is clear is not.
DEPTH_ODDS, UNDECIDED = np.float32(20.0), np.float32(0.4)
# Colours count this much at most, and a pixel is decided anew only from these log odds on. On rendered scenes with
# soft, displaced depth, 1 to 6 differ by 0.1 dB; where colours say little, doubt leaves the pixel as it is.
COLOUR_LIMIT, SURE = np.float32(10.0), np.float32(6.0)


def disparity_of(
    depth: NDArray[np.float32], left: Frame, edges: DepthEdges, divergence: float, convergence: float
) -> NDArray[np.float32]:
    """Disparity of each luma pixel of ``left``, see :func:`disparity_from_depth`.

    Args:
        depth: ``[h, w]`` float32 in 0..1, 1 = nearest.
        left: the picture.
        edges: how silhouettes of depth that is smaller than the picture are enlarged.
        divergence, convergence: as there.

    Returns:
        ``[H, W]`` float32, pixels of luma columns.
    """
    match edges:
        case DepthEdges.SOFT:
            large = cv2.resize(depth, (left.width, left.height), interpolation=cv2.INTER_LINEAR)
            return disparity_from_depth(np.asarray(large, np.float32), left.width, left.height, divergence, convergence)
        case DepthEdges.STEEP:
            return disparity_from_depth(depth, left.width, left.height, divergence, convergence)
        case DepthEdges.PICTURE:
            return _along_outlines(depth, left, divergence, convergence)


def _along_outlines(
    depth: NDArray[np.float32], left: Frame, divergence: float, convergence: float
) -> NDArray[np.float32]:
    """Steep silhouettes, and close to them each pixel on the surface whose colour it has, where that is clear.

    Models see a small picture and are trained on soft depth: their silhouettes lie a pixel or two of the depth map
    beside the object's, and a rim of one surface would move with the other.
    """
    height, width = left.height, left.width
    disparity_px = disparity_from_depth(depth, width, height, divergence, convergence)
    rows, columns = depth.shape
    if columns >= width or rows >= height:
        return disparity_px
    depth = np.ascontiguousarray(depth, np.float32)
    edge = np.float32(EDGE_RANGES_PER_WIDTH / columns)
    around = np.ones((2 * SURFACE_RADIUS + 1,) * 2, np.uint8)
    steep = steepened(depth, edge)
    far, near = np.asarray(cv2.erode(steep, around)), np.asarray(cv2.dilate(steep, around))
    planes, unit = _colour_planes(left), np.float32(255 / left.format.max_value)
    colours = np.stack([_reduced(plane, columns, rows) * unit for plane in planes], axis=-1)
    colours_of = np.zeros((rows, columns, 9), np.float32)
    over_rows(_look_at_colours, rows, depth, far, near, 2 * edge, colours, colours_of)
    decided = disparity_px.copy()
    chroma_x, chroma_y = (0, 0) if left.format.gray else (left.format.chroma_x, left.format.chroma_y)
    scale, offset = np.float32(divergence / 100 * width), np.float32(convergence)
    arrays = (depth, far, near, colours_of, *planes, unit, chroma_x, chroma_y, offset, scale, decided)
    if not over_rows(_decide, height, *arrays):
        return disparity_px
    # Single pixels that look like the other surface are texture.
    calm = np.asarray(cv2.medianBlur(decided, 3))
    return np.where(decided != disparity_px, calm, disparity_px)


def _colour_planes(picture: Frame) -> list[NDArray]:
    planes = [np.ascontiguousarray(plane) for plane in picture.planes]
    # A picture without colours counts like one in which all are gray.
    return planes if len(planes) == 3 else [planes[0], *[np.zeros_like(planes[0])] * 2]


def _reduced(plane: NDArray, width: int, height: int) -> NDArray[np.float32]:
    smaller = width <= plane.shape[1] and height <= plane.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (width, height), interpolation=method), np.float32)


@njit(nogil=True, cache=True)
def _look_at_colours(first, last, depth, far, near, least, colours, out):
    """For each depth pixel on a silhouette, the colours of its near and of its far surface; returns how many.

    ``out``: ``[h, w, 9]``: mean of near, mean of far, half the inverse variance of either, log odds of equal distances;
    0 where there is no silhouette or one surface is not seen alone.
    """
    height, width = depth.shape
    found = 0
    share = np.empty(2 * COLOUR_RADIUS + 1)
    for step in range(-COLOUR_RADIUS, COLOUR_RADIUS + 1):
        share[step + COLOUR_RADIUS] = math.exp(-0.5 * (step / COLOUR_SIGMA) ** 2)
    total = np.empty((2, 5))
    for y in range(first, last):
        for x in range(width):
            span = near[y, x] - far[y, x]
            if span <= least:
                continue
            total[:] = 0
            for row in range(max(y - COLOUR_RADIUS, 0), min(y + COLOUR_RADIUS + 1, height)):
                for column in range(max(x - COLOUR_RADIUS, 0), min(x + COLOUR_RADIUS + 1, width)):
                    level = (depth[row, column] - far[y, x]) / span
                    if FAR_BELOW <= level <= NEAR_ABOVE:
                        continue
                    weight = share[row - y + COLOUR_RADIUS] * share[column - x + COLOUR_RADIUS]
                    side = 0 if level > NEAR_ABOVE else 1
                    total[side, 0] += weight
                    for channel in range(3):
                        value = colours[row, column, channel]
                        total[side, 1 + channel] += weight * value
                        total[side, 4] += weight * value * value
            if total[0, 0] == 0 or total[1, 0] == 0:
                continue
            for side in range(2):
                square = total[side, 4] / total[side, 0]
                for channel in range(3):
                    mean = total[side, 1 + channel] / total[side, 0]
                    out[y, x, 3 * side + channel] = mean
                    square -= mean * mean
                out[y, x, 6 + side] = 0.5 / (max(square, 0.0) / 3 + NOISE**2)
            out[y, x, 8] = 1.5 * math.log(out[y, x, 6] / out[y, x, 7])
            found += 1
    return found


@njit(nogil=True, cache=True)
def _decide(
    first, last, depth, far, near, colours_of, luma, u, v, unit, chroma_x, chroma_y, offset, scale, disparity_px
):
    """Puts pixels of rows ``first..last-1`` on the surface that they surely belong to; returns how many."""
    source_height, source_width = depth.shape
    height, width = disparity_px.shape
    decided = 0
    for row in range(first, last):
        down = min(max((row + 0.5) * source_height / height - 0.5, 0.0), source_height - 1.0)
        above = math.floor(down)
        below = min(above + 1, source_height - 1)
        beside = min(math.floor(down + 0.5), source_height - 1)
        for x in range(width):
            across = min(max((x + 0.5) * source_width / width - 0.5, 0.0), source_width - 1.0)
            cell = min(math.floor(across + 0.5), source_width - 1)
            known = colours_of[beside, cell]
            if known[6] == 0:
                continue
            before = math.floor(across)
            after = min(before + 1, source_width - 1)
            part = np.float32(across - before)
            upper = depth[above, before] + (depth[above, after] - depth[above, before]) * part
            lower = depth[below, before] + (depth[below, after] - depth[below, before]) * part
            level = upper + (lower - upper) * np.float32(down - above)
            low, high = far[beside, cell], near[beside, cell]
            colour_y, colour_x = row >> chroma_y, x >> chroma_x
            to_near, to_far = np.float32(0), np.float32(0)
            for channel in range(3):
                if channel == 0:
                    value = luma[row, x] * unit
                elif channel == 1:
                    value = u[colour_y, colour_x] * unit
                else:
                    value = v[colour_y, colour_x] * unit
                to_near += (value - known[channel]) ** 2
                to_far += (value - known[3 + channel]) ** 2
            odds = known[8] + to_far * known[7] - to_near * known[6]
            odds = min(max(odds, -COLOUR_LIMIT), COLOUR_LIMIT)
            odds += DEPTH_ODDS * ((level - low) / (high - low) - UNDECIDED)
            if abs(odds) <= SURE:
                continue
            surface = ((high if odds > 0 else low) - offset) * scale
            # What lies close to the surface already follows it better than its extreme does.
            if abs(disparity_px[row, x] - surface) > FAR_BELOW * (high - low) * abs(scale):
                disparity_px[row, x] = surface
                decided += 1
    return decided
