"""Fills occlusions with the background beside them, row by row."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..frame import ColorSpace, Frame, Plane
from ..warp.bands import over_rows
from ..warp.base import SynthesizedView
from .base import Inpainter

# Occlusion from here on is a hole: half covered. StereoCrafter draws the line for its own masks at the same place.
HOLE_FROM = 128
# The first background pixel beside a hole often holds some of the foreground's colour, so the mirror starts after it.
RIM_PX = 1
# Background further than this from the disparity at the edge of the hole is another surface and not mirrored.
SAME_SURFACE_PX = 2.0
# Rows above and below that a filled pixel is compared with. Rows are mirrored one by one, so where the edge of a hole
# is ragged they disagree and show as streaks; a median over five removes them and keeps texture a mean would blur.
CALM_ROWS = 2


class BackgroundInpainter(Inpainter):
    """Continues the farther surface beside each hole into it, as a mirror image of that surface's row.

    What an occlusion hides belongs to the surface behind, so a hole takes from the side with the smaller disparity,
    or half from each where they are the same surface; at the border of the picture there is only one. The filled
    pixels then take the median of those above and below them in the same hole. Rows without any visible pixel copy
    the nearest row that has some, preferably above; a picture without any becomes mid gray.

    A chroma sample is a hole when all luma pixels it covers are; it takes the sample at the place its luma takes
    from, so colour stays on its texture.
    """

    name = "background"

    def reset(self, color: ColorSpace, first_frame: int = 0) -> None:
        """Nothing is remembered from frame to frame."""

    def push(self, view: SynthesizedView, scene_start: bool) -> list[Frame]:
        """See :meth:`Inpainter.push`; each picture comes back at once."""
        return [self.fill(view)]

    def finish(self) -> list[Frame]:
        """Nothing is ever owed."""
        return []

    def fill(self, view: SynthesizedView) -> Frame:
        """The completed picture of one view. Fractional occlusion of at least one half counts as a hole."""
        picture = view.frame
        mirrored = [np.array(plane, order="C") for plane in picture.planes]
        chroma = mirrored[1:] or [mirrored[0][:0]] * 2
        chroma_x, chroma_y = (0, 0) if picture.format.gray else (picture.format.chroma_x, picture.format.chroma_y)
        blocks = (picture.height + (1 << chroma_y) - 1) >> chroma_y
        holes = [np.zeros(plane.shape, np.bool_) for plane in (mirrored[0], chroma[0])]
        seen = (np.ascontiguousarray(view.occlusion), np.ascontiguousarray(view.disparity_px))
        blank_rows = over_rows(_mirror_band, blocks, *seen, mirrored[0], *chroma, *holes, chroma_x, chroma_y)
        masks = [holes[0], *[holes[1]] * (len(mirrored) - 1)]
        if blank_rows:
            for plane, mask in zip(mirrored, masks, strict=True):
                _fill_blank_rows(plane, np.asarray(mask.all(axis=1)), (picture.format.max_value + 1) // 2)
        filled = tuple(plane.copy() for plane in mirrored)
        for plane, mask, calm in zip(mirrored, masks, filled, strict=True):
            over_rows(_calm_band, len(plane), plane, mask, calm)
        return Frame(filled, picture.format)


def _fill_blank_rows(plane: Plane, blank: NDArray[np.bool_], neutral: int) -> None:
    """Copies to each blank row of ``plane`` the nearest other row above it, or the first one below."""
    others = np.flatnonzero(~blank)
    if not len(others):
        plane[:] = neutral
        return
    above = np.searchsorted(others, np.flatnonzero(blank)) - 1
    plane[blank] = plane[others[np.maximum(above, 0)]]


@njit(nogil=True, cache=True)
def _mirror_band(first, last, occlusion, disparity_px, y, u, v, luma_hole, chroma_hole, chroma_x, chroma_y):
    """Mirrors background into the luma rows of chroma rows ``first..last-1`` and into those chroma rows.

    Marks the holes and returns how many luma rows have nothing to mirror.
    """
    height, width = y.shape
    origin = np.empty((1 << chroma_y, width), np.int64)
    blank_rows = 0
    for block in range(first, last):
        top = block << chroma_y
        bottom = min(top + (1 << chroma_y), height)
        holes = 0
        for row in range(top, bottom):
            found = _find_origins(occlusion[row], disparity_px[row], origin[row - top])
            holes += found
            if found == width:
                blank_rows += 1
            for t in range(width if found else 0):
                if origin[row - top, t] != t:
                    luma_hole[row, t] = True
                    y[row, t] = y[row, max(origin[row - top, t], 0)]
        if holes and u.shape[0]:
            _mirror_chroma(u[block], v[block], chroma_hole[block], origin[: bottom - top], chroma_x)
    return blank_rows


@njit(nogil=True, cache=True)
def _find_origins(occlusion, disparity_px, origin):
    """For each pixel of a row the visible column to take it from (its own if visible); returns the number of holes.

    In a row without visible pixels all are -1.
    """
    width = origin.size
    holes = 0
    t = 0
    while t < width:
        if occlusion[t] < HOLE_FROM:
            origin[t] = t
            t += 1
            continue
        begin = t
        while t < width and occlusion[t] >= HOLE_FROM:
            t += 1
        holes += t - begin
        if begin == 0 and t == width:
            origin[:] = -1
            return holes
        split = _split(disparity_px, begin, t)
        if split > begin:
            _mirror(occlusion, disparity_px, origin, begin, split, 1)
        if split < t:
            _mirror(occlusion, disparity_px, origin, t - 1, split - 1, -1)
    return holes


@njit(nogil=True, cache=True)
def _split(disparity_px, begin, end):
    """The first column of the hole ``begin..end-1`` that takes from the right side; those before take from the left.

    Where one surface lies on both sides they share the hole: choosing by a difference that is only noise would make
    neighbouring rows disagree.
    """
    if begin == 0:
        return begin
    if end == disparity_px.size:
        return end
    difference = disparity_px[end] - disparity_px[begin - 1]
    if abs(difference) <= SAME_SURFACE_PX:
        return (begin + end) // 2
    return begin if difference < 0 else end


@njit(nogil=True, cache=True)
def _mirror(occlusion, disparity_px, origin, start, stop, step):
    """Origins of the hole ``start, start + step, ... stop - step`` from the surface that ends at ``start - step``."""
    width = origin.size
    edge = start - step
    wanted = abs(stop - start) + RIM_PX
    reach = 1
    while reach < wanted:
        column = edge - step * reach
        if column < 0 or column >= width or occlusion[column] >= HOLE_FROM:
            break
        if abs(disparity_px[column] - disparity_px[edge]) > SAME_SURFACE_PX:
            break
        reach += 1
    rim = min(RIM_PX, reach - 1)
    span = reach - rim
    for k in range(abs(stop - start)):
        # There and back again within the span, so a narrow surface repeats itself without a jump.
        fold = k % (2 * span)
        inward = fold if fold < span else 2 * span - 1 - fold
        origin[start + step * k] = edge - step * (rim + inward)


@njit(nogil=True, cache=True)
def _mirror_chroma(u, v, hole, origin, chroma_x):
    """Fills one row of chroma from the origins ``[rows, W]`` of the luma rows it covers."""
    rows, width = origin.shape
    for block in range(u.size):
        begin = block << chroma_x
        end = min(begin + (1 << chroma_x), width)
        visible, taken = False, -1
        for row in range(rows):
            for t in range(begin, end):
                visible = visible or origin[row, t] == t
                taken = max(taken, origin[row, t] >> chroma_x) if taken < 0 else taken
        if not visible:
            hole[block] = True
            if taken >= 0:
                u[block] = u[taken]
                v[block] = v[taken]


@njit(nogil=True, cache=True)
def _calm_band(first, last, plane, hole, out):
    """Replaces hole pixels of rows ``first..last-1`` by the median of the hole pixels close above and below."""
    height, width = plane.shape
    nearby = np.empty(2 * CALM_ROWS + 1, plane.dtype)
    for row in range(first, last):
        for x in range(width):
            if not hole[row, x]:
                continue
            count = 0
            for other in range(max(row - CALM_ROWS, 0), min(row + CALM_ROWS + 1, height)):
                if hole[other, x]:
                    _insert(nearby, count, plane[other, x])
                    count += 1
            out[row, x] = nearby[count // 2]
    return 0


@njit(nogil=True, cache=True)
def _insert(ascending, count, value):
    """Adds ``value`` to the ``count`` sorted numbers that ``ascending`` begins with."""
    place = count
    while place > 0 and ascending[place - 1] > value:
        ascending[place] = ascending[place - 1]
        place -= 1
    ascending[place] = value
