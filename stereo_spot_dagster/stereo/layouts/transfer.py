"""Transfer curves: from coded R'G'B' values to linear light and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Transfer:
    """One transfer curve and its inverse; both map arrays of any shape within 0..1.

    Attributes:
        to_light: linear light of a coded value, 1 at the curve's own peak.
        to_code: coded value of linear light, the inverse of ``to_light``.
    """

    to_light: Curve
    to_code: Curve


def transfer_curve(name: str) -> Transfer:
    """The curve of an ffmpeg ``color_trc`` name.

    PQ is SMPTE ST 2084 (1.0 of light is 10,000 cd/m2), HLG the inverse OETF of ARIB STD-B67 (scene light).
    All SDR curves are taken as sRGB (IEC 61966-2-1): screens show them that way, whatever the camera curve
    was.
    """
    return _CURVES.get(name, _SRGB)


def _srgb_to_light(code: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def _srgb_to_code(light: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


_PQ_M1 = 2610 / 16384
_PQ_M2 = 2523 / 4096 * 128
_PQ_C1 = 3424 / 4096
_PQ_C2 = 2413 / 4096 * 32
_PQ_C3 = 2392 / 4096 * 32


def _pq_to_light(code: NDArray[np.float64]) -> NDArray[np.float64]:
    root = code ** (1 / _PQ_M2)
    return (np.maximum(root - _PQ_C1, 0) / (_PQ_C2 - _PQ_C3 * root)) ** (1 / _PQ_M1)


def _pq_to_code(light: NDArray[np.float64]) -> NDArray[np.float64]:
    power = light**_PQ_M1
    return ((_PQ_C1 + _PQ_C2 * power) / (1 + _PQ_C3 * power)) ** _PQ_M2


_HLG_A = 0.17883277
_HLG_B = 1 - 4 * _HLG_A
_HLG_C = 0.5 - _HLG_A * np.log(4 * _HLG_A)


def _hlg_to_light(code: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - _HLG_C) / _HLG_A) + _HLG_B) / 12)


def _hlg_to_code(light: NDArray[np.float64]) -> NDArray[np.float64]:
    bright = np.maximum(12 * light - _HLG_B, np.finfo(np.float64).tiny)
    return np.where(light <= 1 / 12, np.sqrt(3 * light), _HLG_A * np.log(bright) + _HLG_C)


_SRGB = Transfer(_srgb_to_light, _srgb_to_code)
_IDENTITY = Transfer(np.asarray, np.asarray)

_CURVES: dict[str, Transfer] = {
    "smpte2084": Transfer(_pq_to_light, _pq_to_code),
    "arib-std-b67": Transfer(_hlg_to_light, _hlg_to_code),
    "linear": _IDENTITY,
}

CODED_LIGHT = _IDENTITY
"""Mixing in the coded values themselves, as most anaglyph software does."""
