"""What the model made, put into the holes of the warped picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ..frame import ColorSpace, Frame, Plane, chroma_means
from ..layouts.yuv import yuv_code
from .background import HOLE_FROM

# Within this distance of a hole's edge the model's pixels are mixed with the continued background.
FEATHER_PX = 2.0
# Colours are matched over about this distance, measured in pixels of a picture reduced by 4.
_MATCH_REDUCTION = 4
_MATCH_SIGMAS = (4.0, 24.0)
# Share of visible pixels in the neighbourhood from which on the narrower one is trusted alone.
_MATCH_TRUST = 0.2


def coded_rgb(frame: Frame, color: ColorSpace) -> NDArray[np.float32]:
    """R'G'B' as it is coded, without tone mapping.

    Args:
        frame: planar YUV or gray.
        color: meaning of its samples.

    Returns:
        ``[H, W, 3]`` float32 in 0..1.
    """
    size = (frame.width, frame.height)
    neutral = np.full((frame.height, frame.width), 1 << (frame.format.bit_depth - 1), np.float32)
    planes = [plane.astype(np.float32) for plane in frame.planes]
    planes = [planes[0], *[cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in planes[1:]]]
    planes += [neutral] * (3 - len(planes))
    matrix = yuv_code(color, frame.format.bit_depth).to_rgb
    coded = cv2.transform(np.stack(planes, axis=-1), matrix)
    return np.asarray(np.clip(coded, 0, 1), np.float32)


def match_colours(
    made: NDArray[np.float32], picture: NDArray[np.uint8], mask: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Shift what the model made so that it agrees with the visible pixels around each hole.

    The autoencoder and the model drift in colour, smoothly over the picture; the difference at visible pixels, spread
    into the holes by normalised convolution (Knutsson and Westin 1993), takes that away and leaves texture alone.

    Args:
        made: ``[H, W, 3]`` in 0..1, the model's whole picture.
        picture: ``[H, W, 3]``, what it was given.
        mask: ``[H, W]``, 1 in holes.

    Returns:
        ``[H, W, 3]`` float32 in 0..1.
    """
    height, width = mask.shape
    small = (max(1, width // _MATCH_REDUCTION), max(1, height // _MATCH_REDUCTION))
    visible = (mask < 0.5).astype(np.float32)
    difference = (picture.astype(np.float32) / 255 - made) * visible[..., None]
    weight = cv2.resize(visible, small, interpolation=cv2.INTER_AREA)
    difference = cv2.resize(difference, small, interpolation=cv2.INTER_AREA)
    shift = np.zeros_like(difference)
    unsure = np.ones_like(weight)
    for sigma in _MATCH_SIGMAS:
        share = cv2.GaussianBlur(weight, (0, 0), sigma)
        spread = cv2.GaussianBlur(difference, (0, 0), sigma) / np.maximum(share, 1e-4)[..., None]
        trust = unsure * np.minimum(share / _MATCH_TRUST, 1)
        shift += spread * trust[..., None]
        unsure -= trust
    shift = cv2.resize(shift, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(made + shift, 0, 1).astype(np.float32)


def composite(
    filled: Frame,
    occlusion: NDArray[np.uint8],
    made: NDArray[np.float32],
    color: ColorSpace,
    *,
    all_pixels: bool,
    area: tuple[int, int],
) -> Frame:
    """The completed picture.

    Args:
        filled: the warped picture with its holes filled by background; visible samples are returned bit for bit.
        occlusion: ``[H, W]``, 255 in holes.
        made: ``[H, W, 3]`` in 0..1: the model's pixels, R'G'B'.
        color: meaning of the samples.
        all_pixels: take every pixel from the model, not only holes.
        area: (rows, columns) from the top left that the model has made; what lies outside stays as it is filled.

    Returns:
        Same size and format as ``filled``.
    """
    pixel_format = filled.format
    hole = occlusion >= HOLE_FROM
    if not all_pixels and not hole.any():
        return filled
    inside = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3)
    alpha = np.ones(hole.shape, np.float32) if all_pixels else np.minimum(inside / np.float32(FEATHER_PX + 1), 1)
    taken = np.zeros_like(hole)
    taken[: area[0], : area[1]] = True if all_pixels else hole[: area[0], : area[1]]
    matrix = yuv_code(color, pixel_format.bit_depth).from_rgb
    samples = np.asarray(cv2.transform(made, matrix), np.float32)
    planes = [_mixed(filled.planes[0], samples[..., 0], alpha, taken, filled)]
    if not pixel_format.gray:
        # A chroma sample is a hole when all luma pixels it covers are.
        chroma_taken = chroma_means(taken.astype(np.float32), pixel_format) >= 1
        chroma_alpha = chroma_means(alpha, pixel_format)
        for plane, channel in zip(filled.planes[1:], (1, 2), strict=True):
            planes.append(
                _mixed(plane, chroma_means(samples[..., channel], pixel_format), chroma_alpha, chroma_taken, filled)
            )
    return Frame(tuple(planes), pixel_format)


def _mixed(
    plane: Plane, made: NDArray[np.float32], alpha: NDArray[np.float32], taken: NDArray[np.bool_], frame: Frame
) -> Plane:
    mixed = plane + (made - plane) * alpha
    quantised = np.clip(np.rint(mixed), 0, frame.format.max_value).astype(frame.format.dtype)
    return np.where(taken, quantised, plane)
