"""Small pictures that show a person how a conversion came out: the eyes, depth, and distances from the screen."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from stereo_spot_dagster.domain.layout import Layout

from .frame import ColorSpace, Frame
from .layouts.anaglyph import anaglyph_recipe
from .layouts.transfer import transfer_curve
from .layouts.yuv import yuv_code

LARGEST_JPEG_BYTES = 100_000
MOST_DEPTH_PANELS = 8

_GAP_PX = 4
_QUALITIES = (90, 80, 70, 55, 40)

# HDR: graphic white of 203 cd/m2 (ITU-R BT.2408) is the white of the preview before highlights are
# compressed, and 1000 cd/m2 is where they end.
_WHITE_NITS = 203.0
_PEAK_NITS = 1000.0
_PQ_NITS = 10_000.0
_HLG_SYSTEM_GAMMA = 1.2  # of a 1000 cd/m2 display (ITU-R BT.2100)
_BT709_FROM_BT2020 = np.array(  # linear light, ITU-R BT.2087
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)
_BT709_LUMA = (0.2126, 0.7152, 0.0722)

_INK = (40, 40, 40)
_FAINT = (190, 190, 190)
_BAR = (170, 110, 40)
_SCREEN = (40, 40, 220)


def to_rgb(frame: Frame, color: ColorSpace, max_width: int | None) -> NDArray[np.uint8]:
    """A frame as 8-bit sRGB for looking at.

    PQ and HLG are tone mapped (Reinhard's extended curve, white at 203 and peak at 1000 cd/m2), BT.2020
    primaries are brought to BT.709's and what does not fit is clipped.

    Args:
        frame: 8 to 16 bit YUV or gray.
        color: meaning of its samples.
        max_width: a wider picture is reduced to this width by area averaging; None keeps the size.

    Returns:
        ``[h, w, 3]`` uint8, R G B.

    Raises:
        InputRefused: the colour matrix is not one we know.
    """
    width, height = frame.width, frame.height
    if max_width is not None and width > max_width:
        width, height = max_width, max(1, round(height * max_width / width))
    if frame.format.gray:
        neutral = np.full((height, width), 1 << (frame.format.bit_depth - 1), np.float32)
        planes = [_resized(frame.planes[0], width, height), neutral, neutral]
    else:
        planes = [_resized(plane, width, height) for plane in frame.planes]
    matrix = yuv_code(color, frame.format.bit_depth).to_rgb
    coded = np.clip(np.stack(planes, axis=-1) @ matrix[:, :3].T + matrix[:, 3], 0, 1)
    return _bytes_of(_as_srgb(coded, color))


def preview_strip(
    left: Frame, depth: NDArray[np.float32], right: Frame, color: ColorSpace, width_px: int = 960
) -> bytes:
    """Left eye, depth, right eye and their red-cyan anaglyph in a row.

    Args:
        left, right: the eyes, of one size and format.
        depth: ``[h, w]`` float32 of any size, 1 nearest, 0 farthest.
        color: meaning of the eyes' samples.
        width_px: width of the strip.

    Returns:
        A JPEG of less than 100 kB.
    """
    panel_px = max(1, (width_px - 3 * _GAP_PX) // 4)
    eyes = [to_rgb(eye, color, panel_px) for eye in (left, right)]
    height, width = eyes[0].shape[:2]
    panels = [eyes[0], _depth_picture(depth, width, height), eyes[1], _anaglyph(*eyes)]
    labels = ["left", "depth", "right", "anaglyph"]
    return _jpeg(_row([_labelled(*pair) for pair in zip(panels, labels, strict=True)]))


def depth_strip(depths: NDArray[np.float32], width_px: int = 960) -> bytes:
    """Depth pictures in a row, each labelled with its number.

    Args:
        depths: ``[N, h, w]`` float32, 1 nearest, 0 farthest. Of more than 8, 8 are shown: the first, the
            last and evenly spaced ones between them.
        width_px: width of the strip.

    Returns:
        A JPEG of less than 100 kB.

    Raises:
        ValueError: there is no picture.
    """
    if depths.ndim != 3 or not depths.size:
        raise ValueError(f"depths is {depths.shape}, not [N, h, w]")
    chosen = np.linspace(0, len(depths) - 1, min(len(depths), MOST_DEPTH_PANELS)).round().astype(int)
    panel_px = max(1, min(depths.shape[2], (width_px - _GAP_PX * (len(chosen) - 1)) // len(chosen)))
    height = max(1, round(depths.shape[1] * panel_px / depths.shape[2]))
    return _jpeg(_row([_labelled(_depth_picture(depths[i], panel_px, height), str(i)) for i in chosen]))


def disparity_histogram(disparity_px: NDArray[np.float32], width: int) -> bytes:
    """How much of the picture stands how far in front of or behind the screen.

    Args:
        disparity_px: disparity of every pixel, any shape; positive is in front of the screen. Values that
            are not finite are left out.
        width: width of the picture in the same pixels, for the axis in percent.

    Returns:
        A PNG of 480 x 240.

    Raises:
        ValueError: no finite value is left, or ``width`` is not positive.
    """
    values = disparity_px[np.isfinite(disparity_px)].astype(np.float64)
    if not values.size or width <= 0:
        raise ValueError("there is no disparity to show")
    return _HistogramPicture(values, width).png()


class _HistogramPicture:
    """Draws the histogram of ``values`` (px, ``[N]``)."""

    _SIZE = (480, 240)
    _PLOT = (44, 24, 468, 182)  # left, top, right, bottom
    _BINS = 60

    def __init__(self, values: NDArray[np.float64], width: int) -> None:
        # The screen plane is always in view, and at least 0.2 % of the width around the values.
        margin = max(0.05 * float(np.ptp(values)), 0.001 * width)
        self._low = min(float(values.min()), 0.0) - margin
        self._high = max(float(values.max()), 0.0) + margin
        counts, self._edges = np.histogram(values, self._BINS, (self._low, self._high))
        self._shares = counts / values.size * 100
        self._width = width
        self._canvas = np.full((self._SIZE[1], self._SIZE[0], 3), 255, np.uint8)

    def png(self) -> bytes:
        self._bars()
        self._axis(1.0, "px", self._PLOT[3] + 14)
        self._axis(100 / self._width, "%", self._PLOT[3] + 30)
        self._screen_plane()
        return _encoded(".png", self._canvas, [])

    def _x(self, disparity_px: float) -> int:
        left, _, right, _ = self._PLOT
        return round(left + (disparity_px - self._low) / (self._high - self._low) * (right - left))

    def _bars(self) -> None:
        left, top, right, bottom = self._PLOT
        tallest = float(self._shares.max())
        for start, stop, share in zip(self._edges, self._edges[1:], self._shares, strict=False):
            tip = round(bottom - share / tallest * (bottom - top))
            if share:
                cv2.rectangle(self._canvas, (self._x(start), tip), (self._x(stop) - 1, bottom), _BAR, -1)
        cv2.line(self._canvas, (left, bottom), (right, bottom), _INK, 1)
        cv2.line(self._canvas, (left, top), (left, bottom), _INK, 1)
        _write(self._canvas, f"{tallest:.3g}%", (4, top + 4), _INK)
        _write(self._canvas, "0%", (20, bottom + 4), _INK)

    def _axis(self, per_px: float, unit: str, baseline: int) -> None:
        """Tick labels in ``unit``, of which a pixel has ``per_px``."""
        step = _round_step((self._high - self._low) * per_px / 6)
        first, last = int(np.ceil(self._low * per_px / step)), int(np.floor(self._high * per_px / step))
        for number in range(first, last + 1):
            x = self._x(number * step / per_px)
            cv2.line(self._canvas, (x, baseline - 14), (x, baseline - 11), _INK, 1)
            _write(self._canvas, f"{number * step:g}", (x - 8, baseline), _INK)
        _write(self._canvas, unit, (8, baseline), _INK)

    def _screen_plane(self) -> None:
        left, top, right, bottom = self._PLOT
        x = self._x(0)
        cv2.line(self._canvas, (x, top - 8), (x, bottom), _SCREEN, 1)
        _write(self._canvas, "screen", (min(max(x - 18, left), right - 40), top - 12), _SCREEN)
        _write(self._canvas, "< behind", (left, bottom + 50), _INK)
        _write(self._canvas, "disparity", ((left + right) // 2 - 28, bottom + 50), _INK)
        _write(self._canvas, "in front >", (right - 60, bottom + 50), _INK)


def _round_step(rough: float) -> float:
    """The smallest of 1, 2 or 5 times a power of ten that is at least ``rough``."""
    power = 10.0 ** np.floor(np.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))


def _resized(plane: NDArray[np.generic], width: int, height: int) -> NDArray[np.float32]:
    smaller = plane.shape[1] > width or plane.shape[0] > height
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    resized = cv2.resize(cast(NDArray[np.uint8], plane), (width, height), interpolation=method)
    return resized.astype(np.float32)


def _as_srgb(coded: NDArray[np.float64], color: ColorSpace) -> NDArray[np.float64]:
    """``[h, w, 3]`` R'G'B' of BT.709 primaries and sRGB transfer, within 0..1."""
    hdr = color.transfer in ("smpte2084", "arib-std-b67")
    wide = color.primaries == "bt2020"
    if not hdr and not wide:
        return coded
    light = transfer_curve(color.transfer).to_light(coded)
    if color.transfer == "arib-std-b67":
        luma = light @ np.array([0.2627, 0.6780, 0.0593])
        light = light * luma[..., None] ** (_HLG_SYSTEM_GAMMA - 1) * (_PEAK_NITS / _WHITE_NITS)
    elif color.transfer == "smpte2084":
        light = light * (_PQ_NITS / _WHITE_NITS)
    if wide:
        light = np.maximum(light @ _BT709_FROM_BT2020.T, 0)
    if hdr:
        light = light * (1 + light / (_PEAK_NITS / _WHITE_NITS) ** 2) / (1 + light)
    return transfer_curve("iec61966-2-1").to_code(np.clip(light, 0, 1))


def _anaglyph(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.uint8]:
    recipe = anaglyph_recipe(Layout.ANAGLYPH_DUBOIS, _BT709_LUMA)
    curve = transfer_curve("iec61966-2-1")
    light = [curve.to_light(eye / 255) for eye in (left, right)]
    mixed = light[0] @ recipe.left.T + light[1] @ recipe.right.T
    return _bytes_of(curve.to_code(np.clip(mixed, 0, 1)))


def _depth_picture(depth: NDArray[np.float32], width: int, height: int) -> NDArray[np.uint8]:
    """``[height, width, 3]`` R G B: bright and warm is near, dark is far."""
    levels = np.nan_to_num(_resized(depth, width, height))
    painted = cv2.applyColorMap(_bytes_of(np.clip(levels, 0, 1)), cv2.COLORMAP_INFERNO)
    return cast(NDArray[np.uint8], painted[..., ::-1])


def _bytes_of(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.rint(values * 255).astype(np.uint8)


def _labelled(picture: NDArray[np.uint8], label: str) -> NDArray[np.uint8]:
    made = np.ascontiguousarray(picture)
    at = (4, 13)
    cv2.putText(made, label, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(made, label, at, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)
    return made


def _write(canvas: NDArray[np.uint8], text: str, at: tuple[int, int], ink: tuple[int, int, int]) -> None:
    cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.37, ink, 1, cv2.LINE_AA)


def _row(panels: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    gap = np.full((panels[0].shape[0], _GAP_PX, 3), 255, np.uint8)
    spaced = [part for panel in panels for part in (gap, panel)][1:]
    return np.hstack(spaced)


def _jpeg(rgb: NDArray[np.uint8]) -> bytes:
    """``rgb`` as a JPEG below the size limit: at a lower quality, and at last smaller, if it must be."""
    picture = np.ascontiguousarray(rgb[..., ::-1])
    while True:
        for quality in _QUALITIES:
            made = _encoded(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
            if len(made) < LARGEST_JPEG_BYTES:
                return made
        rows, columns = picture.shape[:2]
        smaller = cv2.resize(picture, (max(1, columns // 2), max(1, rows // 2)), interpolation=cv2.INTER_AREA)
        picture = cast(NDArray[np.uint8], smaller)


def _encoded(kind: str, bgr: NDArray[np.uint8], options: list[int]) -> bytes:
    made, data = cv2.imencode(kind, bgr, options)
    if not made:
        raise ValueError(f"a picture of {bgr.shape} cannot be written as {kind}")
    return data.tobytes()
