"""Depth that follows the picture: along motion from frame to frame, and along edges within a frame."""

from __future__ import annotations

import cv2
import numpy as np
from numba import njit

from .maps import Map


def follow(values: Map, flow_px: Map, outside: float | None = None) -> Map:
    """Move a map of the frame before to where its pixels are now.

    Args:
        values: ``[h, w]`` or ``[h, w, C]`` float32 of the frame before.
        flow_px: ``[h, w, 2]`` float32: where each pixel of this frame was in the frame before, minus where it is.
        outside: value of pixels that came into view; None repeats the border.

    Returns:
        The same shape as ``values``.
    """
    height, width = flow_px.shape[:2]
    x = np.arange(width, dtype=np.float32)[None, :] + flow_px[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow_px[..., 1]
    if outside is None:
        return cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    fill = (outside,) * 4
    return cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=fill)


@njit(cache=True)
def slopes(values: Map) -> tuple[Map, Map]:
    """Derivatives of ``[h, w]`` float32 ``values`` across and down, per pixel (Sobel's, borders repeated).

    OpenCV's own Sobel is not used: for float pictures its last bits depend on where the array lies in memory, so two
    runs would differ.
    """
    height, width = values.shape
    across, down = np.empty_like(values), np.empty_like(values)
    eighth, two = np.float32(0.125), np.float32(2)
    for y in range(height):
        above, here, below = values[max(y - 1, 0)], values[y], values[min(y + 1, height - 1)]
        for x in range(width):
            left, right = max(x - 1, 0), min(x + 1, width - 1)
            rise = above[right] - above[left] + below[right] - below[left]
            across[y, x] = (rise + two * (here[right] - here[left])) * eighth
            rise = below[left] - above[left] + below[right] - above[right]
            down[y, x] = (rise + two * (below[x] - above[x])) * eighth
    return across, down


def gradient(values: Map) -> Map:
    """``[h, w]`` float32: steepness of ``[h, w]`` float32 ``values``, per pixel."""
    across, down = slopes(values)
    return np.sqrt(across * across + down * down)


def edge_aware(
    values: Map,
    weight: Map,
    small: Map,
    large: Map,
    radius: int,
    tolerance: float,
) -> Map:
    """The guided filter (He et al. 2013) with a colour guide, fitted small and applied large (He and Sun 2015).

    Args:
        values: ``[h, w]`` float32.
        weight: ``[h, w]`` float32, positive: how much each value counts.
        small: ``[h, w, 3]`` float32 in 0..1: the guide at the size of ``values``.
        large: ``[H, W, 3]`` float32 in 0..1: the guide at the size wanted.
        radius: of the window, pixels of ``small``.
        tolerance: contrast (0..1) below which the guide counts as flat.

    Returns:
        ``[H, W]`` float32, smooth where ``large`` is, with its edges where ``values`` has some nearby.
    """
    window = (2 * radius + 1, 2 * radius + 1)

    def plain_mean(stack: Map) -> Map:
        return cv2.boxFilter(stack, -1, window, borderType=cv2.BORDER_REFLECT)

    share = 1 / plain_mean(weight)

    def mean(stack: Map) -> Map:
        if stack.ndim == 2:
            return plain_mean(stack * weight) * share
        return plain_mean(stack * weight[..., None]) * share[..., None]

    r, g, b = (small[..., channel] for channel in range(3))
    mean_guide, mean_value = mean(small), mean(values)
    with_value = mean(small * values[..., None]) - mean_guide * mean_value[..., None]
    squares = mean(np.stack([r * r, g * g, b * b], axis=-1)) - mean_guide**2
    mixed = mean(np.stack([r * g, r * b, g * b], axis=-1))
    mixed -= mean_guide[..., [0, 0, 1]] * mean_guide[..., [1, 2, 2]]
    slope = _solve_symmetric(squares, mixed, with_value, float(tolerance) ** 2)
    offset = mean_value - _dot(slope, mean_guide)
    # Not weighted: the windows in the middle of what is unsure are those that see both sides of an edge.
    plane = plain_mean(np.concatenate([slope, offset[..., None]], axis=-1))
    plane = cv2.resize(plane, (large.shape[1], large.shape[0]), interpolation=cv2.INTER_LINEAR)
    plane = plane.reshape(*large.shape[:2], 4)
    return _dot(plane, large) + plane[..., 3]


def _dot(a: Map, b: Map) -> Map:
    """Sum of products of the first three channels; numpy's own sum over so short an axis takes ten times as long."""
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]


@njit(cache=True)
def _solve_symmetric(squares, mixed, right, ridge):
    """Solve a symmetric 3x3 system at each pixel, by elimination.

    ``squares`` holds the diagonal, ``mixed`` the entries (0,1), (0,2), (1,2). In double precision: the colours of a
    gray or two-coloured window lie on a line, and only ``ridge`` keeps the system from being singular.
    """
    solved = np.empty_like(right)
    for y in range(right.shape[0]):
        for x in range(right.shape[1]):
            a, d, f = np.float64(squares[y, x, 0]), np.float64(squares[y, x, 1]), np.float64(squares[y, x, 2])
            b, c, e = np.float64(mixed[y, x, 0]), np.float64(mixed[y, x, 1]), np.float64(mixed[y, x, 2])
            p, q, r = np.float64(right[y, x, 0]), np.float64(right[y, x, 1]), np.float64(right[y, x, 2])
            # A variance is not negative, whatever rounding says.
            a, d, f = max(a, 0.0) + ridge, max(d, 0.0) + ridge, max(f, 0.0) + ridge
            d_rest, e_rest, q_rest = max(d - b * b / a, ridge), e - b * c / a, q - b * p / a
            f_rest, r_rest = f - c * c / a - e_rest * e_rest / d_rest, r - c * p / a - e_rest * q_rest / d_rest
            third = r_rest / max(f_rest, ridge)
            second = (q_rest - e_rest * third) / d_rest
            solved[y, x, 0] = (p - b * second - c * third) / a
            solved[y, x, 1] = second
            solved[y, x, 2] = third
    return solved
