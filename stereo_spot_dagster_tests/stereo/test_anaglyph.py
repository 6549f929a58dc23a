"""Red-cyan anaglyphs against ffmpeg's stereo3d filter and against the published formulas in floating point."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from stereo_spot_dagster.domain.errors import InputRefused
from stereo_spot_dagster.domain.layout import Layout, View
from stereo_spot_dagster.stereo.frame import ColorSpace, Frame, PixelFormat
from stereo_spot_dagster.stereo.layouts import Packer
from stereo_spot_dagster.stereo.layouts.transfer import transfer_curve

from .test_layouts import ffmpeg_filtered, side_by_side

KR_KB = {"smpte170m": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020nc": (0.2627, 0.0593)}
FORMATS = [PixelFormat(8, 0, 0), PixelFormat(10, 0, 0), PixelFormat(12, 0, 0)]


def yuv_of_rgb(rgb: np.ndarray, fmt: PixelFormat, color: ColorSpace) -> np.ndarray:
    """``[..., 3]`` sample values, not rounded, of R'G'B' in 0..1, straight from the definitions of Y', Cb, Cr."""
    kr, kb = KR_KB[color.matrix]
    r, g, b = np.moveaxis(rgb, -1, 0)
    luma = kr * r + (1 - kr - kb) * g + kb * b
    parts = np.stack([luma, (b - luma) / (2 * (1 - kb)), (r - luma) / (2 * (1 - kr))], -1)
    unit = 2 ** (fmt.bit_depth - 8)
    if color.full_range:
        return parts * fmt.max_value + np.array([0, 128, 128]) * unit
    return (parts * [219, 224, 224] + [16, 128, 128]) * unit


def rgb_of_yuv(yuv: np.ndarray, fmt: PixelFormat, color: ColorSpace) -> np.ndarray:
    """Inverse of ``yuv_of_rgb``."""
    kr, kb = KR_KB[color.matrix]
    unit = 2 ** (fmt.bit_depth - 8)
    if color.full_range:
        y, u, v = np.moveaxis((yuv - np.array([0, 128, 128]) * unit) / fmt.max_value, -1, 0)
    else:
        y, u, v = np.moveaxis((yuv / unit - [16, 128, 128]) / [219, 224, 224], -1, 0)
    r, b = y + 2 * (1 - kr) * v, y + 2 * (1 - kb) * u
    return np.stack([r, (y - kr * r - kb * b) / (1 - kr - kb), b], -1)


def eye_of_rgb(rgb: np.ndarray, fmt: PixelFormat, color: ColorSpace) -> Frame:
    """A 4:4:4 eye of R'G'B' ``[H, W, 3]`` in 0..1."""
    samples = np.rint(yuv_of_rgb(rgb, fmt, color)).clip(0, fmt.max_value).astype(fmt.dtype)
    return Frame(tuple(np.ascontiguousarray(samples[..., i]) for i in range(3)), fmt)


def random_rgb(seed: int, width: int = 64, height: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width, 3))


def mixed(layout: Layout, left: Frame, right: Frame, color: ColorSpace) -> Frame:
    packer = Packer(layout, View.PACKED, left.format, left.width, left.height, color)
    return packer.pack(left, right)


def stacked(frame: Frame) -> np.ndarray:
    """``[H, W, 3]`` of a 4:4:4 frame, as floats."""
    return np.stack(frame.planes, -1).astype(float)


def decoded(frame: Frame, color: ColorSpace) -> np.ndarray:
    return rgb_of_yuv(stacked(frame), frame.format, color).clip(0, 1)


@pytest.mark.parametrize(
    ("layout", "ffmpeg_layout"),
    [
        (Layout.ANAGLYPH_COLOR, "arcc"),
        (Layout.ANAGLYPH_HALF_COLOR, "arch"),
        (Layout.ANAGLYPH_GRAY, "arcg"),
    ],
)
@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
def test_anaglyphs_of_coded_values_agree_with_ffmpeg(layout, ffmpeg_layout, full_range):
    # BT.601, because ffmpeg's gray is always weighted by its luma coefficients.
    fmt, color = FORMATS[0], ColorSpace(matrix="smpte170m", full_range=full_range)
    left, right = (eye_of_rgb(random_rgb(seed), fmt, color) for seed in (1, 2))
    ours = decoded(mixed(layout, left, right, color), color) * 255

    in_range = "full" if full_range else "limited"
    graph = (
        f"scale=in_color_matrix=smpte170m:in_range={in_range}:out_range=full:flags=accurate_rnd+full_chroma_int,"
        f"format=gbrp,format=rgb24,stereo3d=sbsl:{ffmpeg_layout}"
    )
    (theirs,) = ffmpeg_filtered(side_by_side(left, right), graph, "rgb24", [(32, 64, 3)])
    # One 8-bit rounding of Y, U and V moves R, G or B by up to 2.1; ffmpeg's own roundings add one.
    assert np.abs(ours - theirs).max() <= 3.2
    assert np.abs(ours - theirs).mean() <= 0.8


def published_dubois(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Dubois' red-cyan mix of linear light ``[..., 3]``."""
    of_left = [[0.437, 0.449, 0.164], [-0.062, -0.062, -0.024], [-0.048, -0.050, -0.017]]
    of_right = [[-0.011, -0.032, -0.007], [0.377, 0.761, 0.009], [-0.026, -0.093, 1.234]]
    return np.clip(left @ np.transpose(of_left) + right @ np.transpose(of_right), 0, 1)


def srgb_light(code: np.ndarray) -> np.ndarray:
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


def srgb_code(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("fmt", FORMATS, ids=lambda f: f.ffmpeg_name)
@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", list(KR_KB))
def test_dubois_mixes_linear_light_with_the_published_matrices(matrix, full_range, fmt):
    color = ColorSpace(matrix=matrix, full_range=full_range)
    left, right = (eye_of_rgb(random_rgb(seed), fmt, color) for seed in (1, 2))
    ours = stacked(mixed(Layout.ANAGLYPH_DUBOIS, left, right, color))

    light = published_dubois(srgb_light(decoded(left, color)), srgb_light(decoded(right, color)))
    expected = yuv_of_rgb(srgb_code(light), fmt, color)
    # Half a value of rounding, plus what the tables' own steps add.
    assert np.abs(ours - expected).max() <= (0.6 if fmt.bit_depth < 12 else 0.8)


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67", "bt709", "linear"])
@pytest.mark.parametrize("fmt", FORMATS[1:], ids=lambda f: f.ffmpeg_name)
def test_dubois_stays_in_the_light_of_the_videos_own_transfer(transfer, fmt):
    color = ColorSpace("bt2020nc", False, transfer, "bt2020")
    left, right = (eye_of_rgb(random_rgb(seed), fmt, color) for seed in (1, 2))
    ours = stacked(mixed(Layout.ANAGLYPH_DUBOIS, left, right, color))

    curve = transfer_curve(transfer)
    light = published_dubois(curve.to_light(decoded(left, color)), curve.to_light(decoded(right, color)))
    expected = yuv_of_rgb(curve.to_code(light), fmt, color)
    # Where the weights nearly cancel, close to black, PQ and HLG are so steep that any rounding shows.
    sound = light.min(axis=-1) > 1e-4
    assert sound.mean() > 0.25
    assert np.abs(ours - expected)[sound].max() <= 0.85


@pytest.mark.parametrize(
    ("transfer", "code", "light"),
    [
        ("smpte2084", 0.5080784, 100 / 10000),  # ST 2084: 100 cd/m2
        ("smpte2084", 0.7518271, 1000 / 10000),
        ("smpte2084", 1.0, 1.0),
        ("arib-std-b67", 0.5, 1 / 12),  # the knee of HLG
        ("arib-std-b67", 0.75, 0.26496256),  # HLG reference white, BT.2408
        ("bt709", 0.5, 0.21404114),
        ("linear", 0.3, 0.3),
    ],
)
def test_transfer_curves_pass_through_published_points(transfer, code, light):
    curve = transfer_curve(transfer)

    assert float(curve.to_light(np.array(code))) == pytest.approx(light, rel=1e-4)
    assert float(curve.to_code(np.array(light))) == pytest.approx(code, rel=1e-5)


@pytest.mark.parametrize("layout", [layout for layout in Layout if layout.is_anaglyph])
@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
def test_black_stays_black_and_white_stays_nearly_white(layout, full_range):
    color = ColorSpace(full_range=full_range)
    fmt = PixelFormat()
    for level, tolerance in ((0.0, 0.002), (1.0, 0.08)):
        rgb = np.full((8, 8, 3), level)
        full = eye_of_rgb(rgb, PixelFormat(8, 0, 0), color)
        eye = Frame((full.planes[0], full.planes[1][::2, ::2].copy(), full.planes[2][::2, ::2].copy()), fmt)
        made = mixed(layout, eye, eye, color)
        samples = np.array([plane[0, 0] for plane in made.planes], float)
        assert rgb_of_yuv(samples, fmt, color) == pytest.approx([level] * 3, abs=tolerance)


@pytest.mark.parametrize("layout", [layout for layout in Layout if layout.is_anaglyph])
def test_the_left_eye_is_red_and_the_right_eye_is_cyan(layout):
    fmt, color = PixelFormat(8, 0, 0), ColorSpace()
    black, white = (eye_of_rgb(np.full((4, 4, 3), level), fmt, color) for level in (0.0, 1.0))

    red = decoded(mixed(layout, white, black, color), color)[0, 0]
    cyan = decoded(mixed(layout, black, white, color), color)[0, 0]
    assert red == pytest.approx([1, 0, 0], abs=0.03)
    assert cyan == pytest.approx([0, 1, 1], abs=0.09)


def test_a_gray_source_becomes_coloured_at_its_own_depth():
    fmt = PixelFormat(bit_depth=10, gray=True)
    left = Frame((np.full((6, 8), 940, np.uint16),), fmt)
    right = Frame((np.full((6, 8), 64, np.uint16),), fmt)
    made = mixed(Layout.ANAGLYPH_GRAY, left, right, ColorSpace())

    assert made.format == PixelFormat(bit_depth=10)
    expected = np.rint(yuv_of_rgb(np.array([1.0, 0, 0]), made.format, ColorSpace()))
    assert [int(plane[0, 0]) for plane in made.planes] == pytest.approx(expected.tolist(), abs=1)


def test_chroma_of_a_subsampled_anaglyph_is_the_mean_over_its_block():
    color = ColorSpace()
    random = np.random.default_rng(7)
    luma = random.integers(40, 200, (16, 32)).astype(np.uint8)
    flat = np.full((8, 16), 128, np.uint8)
    left = Frame((luma, flat, flat), PixelFormat())
    right = Frame((luma[:, ::-1].copy(), flat, flat), PixelFormat())
    made = mixed(Layout.ANAGLYPH_COLOR, left, right, color)

    wide = np.full((16, 32), 128, np.uint8)
    fine = PixelFormat(8, 0, 0)
    whole = mixed(
        Layout.ANAGLYPH_COLOR,
        Frame((luma, wide, wide), fine),
        Frame((right.planes[0], wide, wide), fine),
        color,
    )
    np.testing.assert_array_equal(made.planes[0], whole.planes[0])
    for plane, full in zip(made.planes[1:], whole.planes[1:], strict=True):
        means = full.reshape(8, 2, 16, 2).mean(axis=(1, 3))
        assert np.abs(plane - means).max() <= 1.0


@pytest.mark.parametrize("fmt", [PixelFormat(), PixelFormat(10), PixelFormat(8, 1, 0)], ids=lambda f: f.ffmpeg_name)
def test_chroma_of_a_subsampled_anaglyph_stays_in_its_place(fmt):
    # A soft picture whose eyes are equal: the full-colour anaglyph is the picture, unless its chroma has moved.
    unit = 2 ** (fmt.bit_depth - 8)
    luma, u, v = (np.indices(shape) for shape in fmt.plane_shapes(64, 32))
    planes = (unit * (90 + luma[1] // 2 + luma[0]), unit * (96 + 2 * u[1]), unit * (112 + v[0] + v[1] // 2))
    eye = Frame(tuple(np.ascontiguousarray(plane.astype(fmt.dtype)) for plane in planes), fmt)
    made = mixed(Layout.ANAGLYPH_COLOR, eye, eye, ColorSpace())
    for plane, before in zip(made.planes, eye.planes, strict=True):
        # Interpolation has no neighbour to look at on the rim.
        inside = np.s_[2:-2, 2:-2]
        assert np.abs(plane.astype(int) - before)[inside].max() <= 1


def test_two_videos_can_be_mixed_at_the_same_time():
    fmt = PixelFormat()
    size = (320, 180)
    random = np.random.default_rng(3)
    eyes = [
        Frame(tuple(random.integers(16, 235, s).astype(np.uint8) for s in fmt.plane_shapes(*size)), fmt)
        for _ in range(2)
    ]
    packers = [Packer(Layout.ANAGLYPH_DUBOIS, View.PACKED, fmt, *size, ColorSpace()) for _ in range(4)]
    alone = packers[0].pack(*eyes)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda packer: packer.pack(*eyes), packers * 4))
    for frame in together:
        for plane, expected in zip(frame.planes, alone.planes, strict=True):
            np.testing.assert_array_equal(plane, expected)


def test_an_unknown_colour_matrix_is_refused_by_name():
    with pytest.raises(InputRefused, match="ycgco"):
        Packer(Layout.ANAGLYPH_COLOR, View.PACKED, PixelFormat(), 16, 8, ColorSpace(matrix="ycgco"))
