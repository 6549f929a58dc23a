"""Depth that follows the picture: along motion from frame to frame, and along edges within a frame."""

from __future__ import annotations

import cv2
import numpy as np

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

    def total(stack: Map) -> Map:
        return cv2.boxFilter(stack, -1, window, borderType=cv2.BORDER_REFLECT)

    share = 1 / total(weight)

    def mean(stack: Map) -> Map:
        if stack.ndim == 2:
            return total(stack * weight) * share
        return total(stack * weight[..., None]) * share[..., None]

    r, g, b = (small[..., channel] for channel in range(3))
    mean_guide, mean_value = mean(small), mean(values)
    with_value = mean(small * values[..., None]) - mean_guide * mean_value[..., None]
    squares = mean(np.stack([r * r, g * g, b * b], axis=-1)) - mean_guide**2
    mixed = mean(np.stack([r * g, r * b, g * b], axis=-1))
    mixed -= mean_guide[..., [0, 0, 1]] * mean_guide[..., [1, 2, 2]]
    slope = _solve_symmetric(squares + np.float32(tolerance) ** 2, mixed, with_value)
    offset = mean_value - (slope * mean_guide).sum(-1)
    plane = mean(np.concatenate([slope, offset[..., None]], axis=-1))
    plane = cv2.resize(plane, (large.shape[1], large.shape[0]), interpolation=cv2.INTER_LINEAR)
    plane = plane.reshape(*large.shape[:2], 4)
    return (plane[..., :3] * large).sum(-1) + plane[..., 3]


def _solve_symmetric(diagonal: Map, mixed: Map, right: Map) -> Map:
    """Solve a positive 3x3 system at each pixel by cofactors; ``mixed`` holds entries (0,1), (0,2), (1,2)."""
    a, d, f = (diagonal[..., k] for k in range(3))
    b, c, e = (mixed[..., k] for k in range(3))
    aa, bb, cc = d * f - e * e, c * e - b * f, b * e - c * d
    dd, ee, ff = a * f - c * c, b * c - a * e, a * d - b * b
    determinant = a * aa + b * bb + c * cc
    x, y, z = (right[..., k] for k in range(3))
    solved = np.stack([aa * x + bb * y + cc * z, bb * x + dd * y + ee * z, cc * x + ee * y + ff * z], axis=-1)
    return solved / np.maximum(determinant, np.float32(1e-12))[..., None]
