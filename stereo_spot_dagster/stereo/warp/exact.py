"""Forward warp with true depth order: every row is redrawn as pieces of continuous surface."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..frame import Frame
from .bands import over_rows
from .base import SynthesizedView, ViewSynthesizer

# A step between neighbouring pixels that opens a gap wider than this is an occlusion, not a stretched surface. Not
# critical: 0.5 to 3 changes the visible pixels of the Middlebury motorcycle by 0.06 dB.
GAP_PX = np.float32(1.5)
# Steps steeper than RAMP_SLOPE px per px that together span more than RAMP_DROP_PX are a soft depth edge; those that
# go on for longer than RAMP_LENGTH_PX are a surface seen at a grazing angle. On rendered scenes with depth enlarged
# fourfold, hardening these edges is worth 6 dB in the visible pixels (34.1 to 40.2); a slope of 0.3 starts to cut
# real surfaces (0.9 dB on true depth), 0.75 leaves too many edges soft (0.6 dB).
RAMP_SLOPE = np.float32(0.5)
RAMP_DROP_PX = np.float32(2.0)
RAMP_LENGTH_PX = 32
RAMP_SURROUNDINGS_PX = 4
# Where on a soft depth edge the near surface ends: this share of the way up from the far one.
RAMP_NEAR_FROM = np.float32(0.35)
# Pixels of one chroma block this close to its nearest one are on the same surface.
SAME_BLOCK_PX = np.float32(1.0)
# Stands for the disparity of an occluded pixel: less than any that is accepted, and exact in single precision.
NOTHING_PX = np.float32(-(2.0**24))
# Beyond this a disparity is no disparity; the bound keeps column arithmetic far from integer overflow.
LIMIT_PX = 1e6


class ExactSynthesizer(ViewSynthesizer):
    """Redraws each row of the right eye from the left one, surface by surface.

    Neighbouring pixels of one surface form a segment that is drawn to every right-eye column it covers, with
    linear interpolation along the row; between surfaces nothing is drawn, which leaves the occlusion. It needs no
    depth buffer: two source columns that meet at one target column t have ``x = t + disparity``, so the nearer one
    is the one further right, and drawing from left to right lets it win.

    Soft depth edges are hardened first: their in-between depths belong to no surface and would stand as scattered
    pixels in the hole.

    Stateless, so one object can serve several threads; each call returns new arrays.
    """

    name = "exact"

    def synthesize(self, left: Frame, disparity_px: NDArray[np.float32]) -> SynthesizedView:
        """See :meth:`ViewSynthesizer.synthesize`.

        Raises:
            ValueError: ``disparity_px`` has another size than the picture or holds values that are not finite.
        """
        height, width = left.height, left.width
        if disparity_px.shape != (height, width):
            raise ValueError(f"disparity is {disparity_px.shape}, the picture {(height, width)}")
        planes = [np.ascontiguousarray(plane) for plane in left.planes]
        warped = [np.empty_like(plane) for plane in planes]
        seen_px = np.empty((height, width), np.float32)
        occlusion = np.empty((height, width), np.uint8)
        chroma_x, chroma_y = (0, 0) if left.format.gray else (left.format.chroma_x, left.format.chroma_y)
        refused = over_rows(
            _warp_band,
            (height + (1 << chroma_y) - 1) >> chroma_y,
            np.ascontiguousarray(disparity_px, np.float32),
            planes[0],
            *(planes[1:] or [planes[0][:0]] * 2),
            warped[0],
            *(warped[1:] or [warped[0][:0]] * 2),
            seen_px,
            occlusion,
            chroma_x,
            chroma_y,
            (left.format.max_value + 1) // 2,
        )
        if refused:
            raise ValueError(f"{refused} disparities are not finite or beyond {LIMIT_PX:.0f} px")
        return SynthesizedView(Frame(tuple(warped), left.format), occlusion, seen_px)


@njit(nogil=True, cache=True)
def _warp_band(
    first, last, disparity_px, y, u, v, out_y, out_u, out_v, seen_px, occlusion, chroma_x, chroma_y, neutral
):
    """Warps the luma rows of chroma rows ``first..last-1`` and those chroma rows; counts disparities refused."""
    height, width = y.shape
    surface = np.empty((1 << chroma_y, width), np.float32)
    source = np.empty(width, np.float32)
    column = np.empty(width, np.uint32)
    part = np.empty(width, np.float32)
    samples = np.empty(width + 1, np.float32)
    refused = 0
    for block in range(first, last):
        top = block << chroma_y
        bottom = min(top + (1 << chroma_y), height)
        for row in range(top, bottom):
            refused += _load(disparity_px[row], surface[row - top])
            if refused:
                continue
            _harden_ramps(surface[row - top])
            _rasterise(surface[row - top], source)
            _look_up(source, surface[row - top], column, part, seen_px[row], occlusion[row])
            _sample(y[row], column, part, occlusion[row], samples, out_y[row], 0)
        if refused or u.shape[0] == 0:
            continue
        hidden = occlusion[block]
        if chroma_x or chroma_y:
            hidden = np.empty(u.shape[1], np.uint8)
            _find_chroma(surface[: bottom - top], seen_px[top:bottom], chroma_x, column, part, hidden)
        _sample(u[block], column, part, hidden, samples, out_u[block], neutral)
        _sample(v[block], column, part, hidden, samples, out_v[block], neutral)
    return refused


@njit(nogil=True, cache=True)
def _load(disparity_px, surface):
    """Copies a row of disparities; returns how many cannot be used (NaN compares false)."""
    refused = 0
    for x in range(surface.size):
        value = disparity_px[x]
        surface[x] = value
        if not (-LIMIT_PX <= value <= LIMIT_PX):
            refused += 1
    return refused


@njit(nogil=True, cache=True)
def _harden_ramps(surface):
    """Turns each soft depth edge of a row into a step, in place.

    Pixels on a ramp lie at depths where nothing is; drawn as they are they would be a rubber sheet across the hole.
    """
    width = surface.size
    x = 0
    while x + 1 < width:
        step = surface[x + 1] - surface[x]
        if abs(step) <= RAMP_SLOPE:
            x += 1
            continue
        end = x + 1
        while end + 1 < width:
            onward = surface[end + 1] - surface[end]
            if abs(onward) <= RAMP_SLOPE or (onward > 0) != (step > 0):
                break
            end += 1
        far, near = min(surface[x], surface[end]), max(surface[x], surface[end])
        if x + 1 < end <= x + RAMP_LENGTH_PX and near - far > RAMP_DROP_PX and _stands_out(surface, x, end):
            border = far + (near - far) * RAMP_NEAR_FROM
            for inside in range(x + 1, end):
                surface[inside] = near if surface[inside] > border else far
        x = end


@njit(nogil=True, cache=True)
def _stands_out(surface, first, last):
    """Whether the slope from ``first`` to ``last`` is at least twice that of the surfaces on either side of it.

    Without this, noise on a surface whose slope is close to ``RAMP_SLOPE`` would pass for edges.
    """
    before = max(first - RAMP_SURROUNDINGS_PX, 0)
    after = min(last + RAMP_SURROUNDINGS_PX, surface.size - 1)
    half = (surface[last] - surface[first]) / np.float32(2 * (last - first))
    leading = (surface[first] - surface[before]) / np.float32(max(first - before, 1))
    trailing = (surface[after] - surface[last]) / np.float32(max(after - last, 1))
    if half < 0:
        half, leading, trailing = -half, -leading, -trailing
    return leading <= half and trailing <= half


@njit(nogil=True, cache=True)
def _rasterise(surface, source):
    """Finds what each right-eye pixel of a row sees.

    Args:
        surface: ``[W]`` disparity of the left row.
        source: ``[W]`` out: left column seen, fractional, within 0..W-1; -1 where nothing is seen.

    A pixel is half a pixel wide to each side, so the ends of a surface reach that far beyond their pixel centres.
    """
    width = surface.size
    source[:] = -1
    joined = False
    here = 0.0 - surface[0]
    begin = math.ceil(here)
    for x in range(width):
        if not joined:
            for t in range(max(0, math.ceil(here - 0.5)), min(width, begin)):
                source[t] = x
        there, joined = here, False
        if x + 1 < width:
            there = x + 1 - surface[x + 1]
            joined = here < there <= here + 1 + GAP_PX
        end = math.ceil(there)
        if not joined:
            for t in range(max(0, begin), min(width, math.ceil(here + 0.5))):
                source[t] = x
        elif begin < end:
            scale = 1 / (there - here)
            for t in range(max(0, begin), min(width, end)):
                source[t] = x + (t - here) * scale
        here, begin = there, end


@njit(nogil=True, cache=True)
def _look_up(source, surface, column, part, seen_px, occlusion):
    """Splits source columns into whole and fraction, and says what disparity is seen there and where nothing is.

    Args:
        source: ``[W]`` left column seen by each right pixel, -1 in occlusions.
        surface: ``[W]`` disparity of the left row.
        column, part: ``[W]`` out: whole and fraction of ``source``; 0 in occlusions.
        seen_px: ``[W]`` out: disparity; ``NOTHING_PX`` in occlusions.
        occlusion: ``[W]`` out: 255 in occlusions, else 0.
    """
    last = np.uint32(source.size - 1)
    for t in range(source.size):
        place = max(source[t], np.float32(0))
        x = np.uint32(place)
        column[t], part[t] = x, place - np.float32(x)
        occlusion[t] = np.uint8(255) if source[t] < 0 else np.uint8(0)
    for t in range(source.size):
        before, after = surface[column[t]], surface[min(column[t] + np.uint32(1), last)]
        seen_px[t] = before + (after - before) * part[t] if occlusion[t] == 0 else NOTHING_PX


@njit(nogil=True, cache=True)
def _sample(row, column, part, occlusion, samples, out, nothing):
    """Interpolates ``row`` at ``column + part``, rounded to nearest; ``nothing`` in occlusions.

    ``samples`` (longer than the row) is scratch. A float copy of the row, unsigned columns and a loop without
    branches let the compiler use vector gathers, which is three times as fast.
    """
    width = row.size
    for x in range(width):
        samples[x] = row[x]
    samples[width] = samples[width - 1]
    for t in range(width):
        before = samples[column[t]]
        after = samples[column[t] + np.uint32(1)]
        value = np.uint32(before + (after - before) * part[t] + np.float32(0.5))
        out[t] = value if occlusion[t] == 0 else np.uint32(nothing)


@njit(nogil=True, cache=True)
def _find_chroma(surface, seen_px, chroma_x, column, part, hidden):
    """Where a row of subsampled chroma comes from: it moves with the nearest surface its block of luma pixels sees.

    Args:
        surface: ``[rows, W]`` disparity of the left rows that this chroma row covers; one or two.
        seen_px: ``[rows, W]`` disparity seen by the right rows, ``NOTHING_PX`` in occlusions.
        chroma_x: log2 of the horizontal subsampling, 0 or 1.
        column, part: out: whole and fraction of the left chroma column of the first ``hidden.size`` samples.
        hidden: ``[w]`` out: 255 where all of the block is occluded, else 0.
    """
    blocks = hidden.size
    low, high, _ = _block_statistics(surface, blocks, chroma_x)
    low_seen, high_seen, mean_seen = _block_statistics(seen_px, blocks, chroma_x)
    scale = np.float32(1 / (1 << chroma_x))
    for block in range(blocks):
        disparity = mean_seen[block]
        if low_seen[block] == NOTHING_PX or high_seen[block] - low_seen[block] > SAME_BLOCK_PX:
            disparity = _nearest_disparity(seen_px, block, chroma_x, high_seen[block] - SAME_BLOCK_PX)
        place = np.float32(block) + disparity * scale
        place = min(max(place, np.float32(0)), np.float32(blocks - 1))
        x = np.uint32(place)
        after = min(x + np.uint32(1), np.uint32(blocks - 1))
        weight = place - np.float32(x)
        # Interpolating across a silhouette would tint its rim with the colour of the other surface.
        on_x = abs(low[x] - disparity) < GAP_PX and abs(high[x] - disparity) < GAP_PX
        on_after = abs(low[after] - disparity) < GAP_PX and abs(high[after] - disparity) < GAP_PX
        if on_x != on_after and weight > 0:
            x = after if on_after else x
            weight = np.float32(0)
        column[block], part[block] = x, weight
        hidden[block] = np.uint8(255) if high_seen[block] == NOTHING_PX else np.uint8(0)


@njit(nogil=True, cache=True)
def _block_statistics(disparity_px, blocks, chroma_x):
    """Smallest, largest and mean disparity of the pixels under each chroma sample, ``[w]`` each.

    Blocks cut by the border, and subsampling along one axis only, count a pixel twice: the mean does not mind.
    """
    lower, width = disparity_px.shape[0] - 1, disparity_px.shape[1]
    low, high, mean = np.empty(blocks, np.float32), np.empty(blocks, np.float32), np.empty(blocks, np.float32)
    for block in range(blocks):
        x = block << chroma_x
        after = min(x + (1 << chroma_x), width) - 1
        a, b = disparity_px[0, x], disparity_px[0, after]
        c, d = disparity_px[lower, x], disparity_px[lower, after]
        low[block] = min(min(a, b), min(c, d))
        high[block] = max(max(a, b), max(c, d))
        mean[block] = (a + b + c + d) * np.float32(0.25)
    return low, high, mean


@njit(nogil=True, cache=True)
def _nearest_disparity(seen_px, block, chroma_x, bound):
    """Mean disparity of those pixels of a luma block that are at ``bound`` or nearer; there must be one."""
    begin = block << chroma_x
    total, count = np.float32(0), np.float32(0)
    for row in range(seen_px.shape[0]):
        for t in range(begin, min(begin + (1 << chroma_x), seen_px.shape[1])):
            if seen_px[row, t] >= bound:
                total += seen_px[row, t]
                count += np.float32(1)
    return total / count
