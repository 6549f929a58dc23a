"""Red-cyan anaglyphs: two eyes mixed into one picture, red for the left eye."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

from stereo_spot_dagster.domain.layout import Layout
from stereo_spot_dagster.stereo.frame import ColorSpace, Frame, PixelFormat, Plane

from .padding import EyeSize
from .transfer import CODED_LIGHT, Transfer, transfer_curve
from .yuv import yuv_code

# Tables have this many bits more than the samples: away from black their rounding adds at most a third of a
# sample value, and those of an 8-bit video fit the nearest cache.
_EXTRA_BITS = 5
_LARGEST_TABLE_BITS = 16

_HALF = np.float32(0.5)
_ZERO = np.float32(0)
_ONE = np.float32(1)


@dataclass(frozen=True)
class AnaglyphRecipe:
    """An anaglyph is ``left @ rgb_left + right @ rgb_right``, clipped to 0..1, in one kind of light.

    Attributes:
        left: ``[3, 3]`` weights of the left eye's R, G, B (columns) in the mixed R, G, B (rows).
        right: ``[3, 3]`` the same for the right eye.
        linear: True to mix linear light, False to mix the coded values.
    """

    left: NDArray[np.float64]
    right: NDArray[np.float64]
    linear: bool


def anaglyph_recipe(layout: Layout, luma: tuple[float, float, float]) -> AnaglyphRecipe:
    """The recipe of an anaglyph layout.

    Dubois' matrices are his least-squares fit for red-cyan glasses on LCD screens (E. Dubois, "A projection
    method to generate anaglyph stereo images", ICASSP 2001; coefficients as published for LCD, 2009). They
    hold for linear light. Colour, half-colour and gray are the common ones on coded values: red is the left
    eye's red or luma, cyan the right eye's green and blue, or its luma.

    Args:
        layout: one of the anaglyph layouts.
        luma: weights of R, G, B in the video's luma.
    """
    red, cyan = np.diag([1.0, 0, 0]), np.diag([0, 1.0, 1.0])
    gray = np.tile(luma, (3, 1))
    if layout is Layout.ANAGLYPH_DUBOIS:
        return AnaglyphRecipe(_DUBOIS_LEFT, _DUBOIS_RIGHT, linear=True)
    if layout is Layout.ANAGLYPH_COLOR:
        return AnaglyphRecipe(red, cyan, linear=False)
    if layout is Layout.ANAGLYPH_HALF_COLOR:
        return AnaglyphRecipe(red @ gray, cyan, linear=False)
    return AnaglyphRecipe(red @ gray, cyan @ gray, linear=False)


class AnaglyphMixer:
    """Mixes padded eyes into an anaglyph of the same matrix, range and transfer.

    Chroma of the eyes is interpolated linearly to luma size and chroma of the result is the average of its
    block. Both treat chroma as centred in its block. Sources with left-sited chroma get theirs back at the
    same site; only the mix sees it half a luma column away from its place.
    """

    def __init__(
        self, layout: Layout, source: PixelFormat, packed: PixelFormat, size: EyeSize, color: ColorSpace
    ) -> None:
        """
        Args:
            layout: an anaglyph layout.
            source: sample format of the eyes.
            packed: sample format of the result: not gray, same bit depth.
            size: size of the padded eyes and of the result.
            color: meaning of the samples.
        """
        code = yuv_code(color, source.bit_depth)
        recipe = anaglyph_recipe(layout, code.luma)
        curve = transfer_curve(color.transfer) if recipe.linear else CODED_LIGHT
        self._packed = packed
        self._size = size
        self._matrices = tuple(map(_scalars, (code.to_rgb, recipe.left, recipe.right, code.from_rgb)))
        self._light, self._code = _tables(curve, source.bit_depth)
        self._neutral = np.full((size.height, size.width), 1 << (source.bit_depth - 1), source.dtype)
        # Row bands run in plain threads (the kernel drops the GIL): numba's own thread pools either abort on
        # concurrent callers (workqueue) or do not survive a fork (OpenMP).
        self._bands = _bands(packed.plane_shapes(size.width, size.height)[1][0])
        self._threads = ThreadPoolExecutor(len(self._bands), thread_name_prefix="anaglyph")

    def mix(self, left: Frame, right: Frame) -> Frame:
        """The anaglyph of two padded eyes, as a new frame."""
        shapes = self._packed.plane_shapes(self._size.width, self._size.height)
        mixed = tuple(np.empty(shape, self._packed.dtype) for shape in shapes)
        inputs = (*self._at_luma_size(left), *self._at_luma_size(right))
        block = (1 << self._packed.chroma_y, 1 << self._packed.chroma_x)
        white = np.float32(self._packed.max_value)

        def mix_band(band: tuple[int, int]) -> None:
            _mix_blocks(band, inputs, mixed, block, self._matrices, self._light, self._code, white)

        list(self._threads.map(mix_band, self._bands))
        return Frame(mixed, self._packed)

    def _at_luma_size(self, eye: Frame) -> tuple[Plane, Plane, Plane]:
        if eye.format.gray:
            return eye.planes[0], self._neutral, self._neutral
        luma, u, v = eye.planes
        if u.shape == luma.shape:
            return luma, u, v
        size = (self._size.width, self._size.height)
        return luma, cast(Plane, cv2.resize(u, size)), cast(Plane, cv2.resize(v, size))


def _bands(rows: int) -> list[tuple[int, int]]:
    count = max(1, min(os.cpu_count() or 1, 8, rows))
    edges = [rows * index // count for index in range(count + 1)]
    return list(pairwise(edges))


def _scalars(matrix: NDArray[np.float64]) -> tuple[np.float32, ...]:
    return tuple(np.float32(value) for value in matrix.ravel())


def _tables(curve: Transfer, bit_depth: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Light by coded value, and coded value by the square root of light: its steps are fine near black,
    where the
    curves are steep."""
    steps = np.linspace(0, 1, 1 << min(bit_depth + _EXTRA_BITS, _LARGEST_TABLE_BITS))
    return curve.to_light(steps).astype(np.float32), curve.to_code(steps**2).astype(np.float32)


@numba.njit(cache=True, nogil=True)
def _clip(value):
    return min(max(value, _ZERO), _ONE)


@numba.njit(cache=True, nogil=True)
def _light_of_yuv(y, u, v, m, light):
    """Linear R, G, B of one sample; ``m`` is the flat ``[3, 4]`` matrix to R'G'B'."""
    y, u, v = np.float32(y), np.float32(u), np.float32(v)
    r = _clip(m[0] * y + m[1] * u + m[2] * v + m[3])
    g = _clip(m[4] * y + m[5] * u + m[6] * v + m[7])
    b = _clip(m[8] * y + m[9] * u + m[10] * v + m[11])
    last = np.float32(light.size - 1)
    return (
        light[np.int32(r * last + _HALF)],
        light[np.int32(g * last + _HALF)],
        light[np.int32(b * last + _HALF)],
    )


@numba.njit(cache=True, nogil=True)
def _coded(light, code):
    return code[np.int32(np.sqrt(_clip(light)) * np.float32(code.size - 1) + _HALF)]


@numba.njit(cache=True, nogil=True)
def _mix_blocks(band, inputs, mixed, block, matrices, light, code, white):
    """Fills rows ``band`` (of chroma) of ``mixed``.

    Args:
        band: first and last + 1 row of chroma blocks.
        inputs: Y, U, V of the left, then of the right eye, all ``[H, W]``.
        mixed: Y ``[H, W]``, U and V ``[H / block[0], W / block[1]]``.
        block: luma (rows, columns) of one chroma sample.
        matrices: to R'G'B' (12 values), left and right weights (9 each), from R'G'B' (12 values).
        light, code: tables of the transfer curve.
        white: largest sample value.
    """
    left_y, left_u, left_v, right_y, right_u, right_v = inputs
    mixed_y, mixed_u, mixed_v = mixed
    to_rgb, p, q, m = matrices
    share = _ONE / np.float32(block[0] * block[1])
    for row in range(band[0], band[1]):
        for column in range(mixed_u.shape[1]):
            sum_u = _ZERO
            sum_v = _ZERO
            for y in range(row * block[0], (row + 1) * block[0]):
                for x in range(column * block[1], (column + 1) * block[1]):
                    lr, lg, lb = _light_of_yuv(left_y[y, x], left_u[y, x], left_v[y, x], to_rgb, light)
                    rr, rg, rb = _light_of_yuv(right_y[y, x], right_u[y, x], right_v[y, x], to_rgb, light)
                    r = p[0] * lr + p[1] * lg + p[2] * lb + q[0] * rr + q[1] * rg + q[2] * rb
                    g = p[3] * lr + p[4] * lg + p[5] * lb + q[3] * rr + q[4] * rg + q[5] * rb
                    b = p[6] * lr + p[7] * lg + p[8] * lb + q[6] * rr + q[7] * rg + q[8] * rb
                    red, green, blue = _coded(r, code), _coded(g, code), _coded(b, code)
                    mixed_y[y, x] = min(m[0] * red + m[1] * green + m[2] * blue + m[3] + _HALF, white)
                    sum_u += m[4] * red + m[5] * green + m[6] * blue
                    sum_v += m[8] * red + m[9] * green + m[10] * blue
            mixed_u[row, column] = min(sum_u * share + m[7] + _HALF, white)
            mixed_v[row, column] = min(sum_v * share + m[11] + _HALF, white)


_DUBOIS_LEFT = np.array([[0.437, 0.449, 0.164], [-0.062, -0.062, -0.024], [-0.048, -0.050, -0.017]])
_DUBOIS_RIGHT = np.array([[-0.011, -0.032, -0.007], [0.377, 0.761, 0.009], [-0.026, -0.093, 1.234]])
