"""Packing two eyes: geometry, untouched samples, and agreement with ffmpeg's own stereo3d filter."""

from __future__ import annotations

import subprocess

import imageio_ffmpeg
import numpy as np
import pytest

from stereo_spot_dagster.domain.layout import Layout, View
from stereo_spot_dagster.stereo.frame import ColorSpace, Frame, PixelFormat
from stereo_spot_dagster.stereo.layouts import Packer

YUV420 = PixelFormat()
YUV420_10 = PixelFormat(bit_depth=10)
YUV422 = PixelFormat(chroma_y=0)
YUV444 = PixelFormat(chroma_x=0, chroma_y=0)
GRAY = PixelFormat(gray=True)

ANAGLYPHS = [layout for layout in Layout if layout.is_anaglyph]
UNTOUCHED = [Layout.FULL_SBS, Layout.FULL_TB, Layout.CROSS_EYED]


def random_eye(fmt: PixelFormat, width: int, height: int, seed: int) -> Frame:
    """An eye of noise over the whole range of its samples."""
    random = np.random.default_rng(seed)
    shapes = fmt.plane_shapes(width, height)
    return Frame(tuple(random.integers(0, fmt.max_value + 1, s).astype(fmt.dtype) for s in shapes), fmt)


def packer(layout: Layout, fmt: PixelFormat, width: int, height: int, view: View | None = None) -> Packer:
    return Packer(layout, view or layout.views[0], fmt, width, height, ColorSpace())


def side_by_side(left: Frame, right: Frame) -> Frame:
    planes = (np.hstack(pair) for pair in zip(left.planes, right.planes, strict=True))
    return Frame(tuple(planes), left.format)


def ffmpeg_filtered(frame: Frame, graph: str, output: str, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    """What ffmpeg makes of ``frame``: arrays of ``shapes`` cut from raw video of pixel format ``output``."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-f", "rawvideo"]
    command += ["-pix_fmt", frame.format.ffmpeg_name, "-s", f"{frame.width}x{frame.height}", "-i", "pipe:0"]
    command += ["-vf", graph, "-pix_fmt", output, "-f", "rawvideo", "pipe:1"]
    raw = b"".join(plane.tobytes() for plane in frame.planes)
    made = subprocess.run(command, input=raw, capture_output=True, check=True).stdout
    samples = np.frombuffer(made, frame.format.dtype)
    counts = [int(np.prod(shape)) for shape in shapes]
    assert samples.size == sum(counts)
    cuts = np.split(samples, np.cumsum(counts)[:-1])
    return [cut.reshape(shape) for cut, shape in zip(cuts, shapes, strict=True)]


@pytest.mark.parametrize(
    ("layout", "fmt", "eye", "packed"),
    [
        (Layout.FULL_SBS, YUV420, (16, 8), (32, 8)),
        (Layout.FULL_SBS, YUV420_10, (16, 8), (32, 8)),
        (Layout.FULL_SBS, YUV444, (15, 7), (30, 7)),
        (Layout.FULL_SBS, GRAY, (15, 7), (30, 7)),
        (Layout.FULL_SBS, YUV420, (15, 7), (32, 8)),
        (Layout.FULL_SBS, YUV422, (15, 7), (32, 7)),
        (Layout.HALF_SBS, YUV420, (16, 8), (16, 8)),
        (Layout.HALF_SBS, YUV420_10, (18, 8), (20, 8)),
        (Layout.HALF_SBS, YUV444, (15, 7), (16, 7)),
        (Layout.HALF_SBS, GRAY, (15, 7), (16, 7)),
        (Layout.HALF_SBS, YUV420, (13, 7), (16, 8)),
        (Layout.HALF_SBS, YUV422, (13, 7), (16, 7)),
        (Layout.FULL_TB, YUV420, (16, 8), (16, 16)),
        (Layout.FULL_TB, YUV420_10, (15, 7), (16, 16)),
        (Layout.FULL_TB, YUV444, (15, 7), (15, 14)),
        (Layout.FULL_TB, GRAY, (15, 7), (15, 14)),
        (Layout.FULL_TB, YUV422, (15, 7), (16, 14)),
        (Layout.HALF_TB, YUV420, (16, 8), (16, 8)),
        (Layout.HALF_TB, YUV420_10, (15, 9), (16, 12)),
        (Layout.HALF_TB, YUV444, (15, 7), (15, 8)),
        (Layout.HALF_TB, GRAY, (15, 7), (15, 8)),
        (Layout.HALF_TB, YUV422, (15, 7), (16, 8)),
        (Layout.CROSS_EYED, YUV420, (16, 8), (32, 8)),
        (Layout.CROSS_EYED, YUV420_10, (15, 7), (32, 8)),
        (Layout.CROSS_EYED, GRAY, (15, 7), (30, 7)),
        (Layout.LEFT_RIGHT, YUV420, (16, 8), (16, 8)),
        (Layout.LEFT_RIGHT, YUV420_10, (15, 7), (16, 8)),
        (Layout.LEFT_RIGHT, YUV444, (15, 7), (15, 7)),
        (Layout.LEFT_RIGHT, GRAY, (15, 7), (15, 7)),
        *((layout, YUV420, (16, 8), (16, 8)) for layout in ANAGLYPHS),
        *((layout, YUV420_10, (15, 7), (16, 8)) for layout in ANAGLYPHS),
        *((layout, YUV444, (15, 7), (15, 7)) for layout in ANAGLYPHS),
        *((layout, YUV422, (15, 7), (16, 7)) for layout in ANAGLYPHS),
        *((layout, GRAY, (15, 7), (16, 8)) for layout in ANAGLYPHS),
    ],
)
def test_the_packed_picture_has_the_announced_size_and_whole_chroma(layout, fmt, eye, packed):
    made = packer(layout, fmt, *eye)
    frame = made.pack(random_eye(fmt, *eye, seed=1), random_eye(fmt, *eye, seed=2))

    assert (made.width, made.height) == packed
    assert frame.format == made.format
    assert tuple(plane.shape for plane in frame.planes) == made.format.plane_shapes(*packed)
    assert {plane.dtype for plane in frame.planes} == {fmt.dtype}


@pytest.mark.parametrize("layout", list(Layout))
def test_only_an_anaglyph_gives_colour_to_a_gray_source(layout):
    fmt = PixelFormat(bit_depth=10, gray=True)

    assert packer(layout, fmt, 16, 8).format == (PixelFormat(bit_depth=10) if layout.is_anaglyph else fmt)


@pytest.mark.parametrize("fmt", [YUV420, YUV420_10, YUV422, YUV444, GRAY], ids=lambda f: f.ffmpeg_name)
@pytest.mark.parametrize("size", [(16, 8), (15, 7)], ids=["even", "odd"])
@pytest.mark.parametrize("layout", UNTOUCHED)
def test_full_layouts_keep_every_sample_of_both_eyes(layout, size, fmt):
    left, right = random_eye(fmt, *size, seed=1), random_eye(fmt, *size, seed=2)
    packed = packer(layout, fmt, *size).pack(left, right)

    axis = 0 if layout is Layout.FULL_TB else 1
    first, second = (right, left) if layout is Layout.CROSS_EYED else (left, right)
    for plane, one, other in zip(packed.planes, first.planes, second.planes, strict=True):
        half, rest = np.split(plane, 2, axis=axis)
        rows, columns = one.shape
        np.testing.assert_array_equal(half[:rows, :columns], one)
        np.testing.assert_array_equal(rest[:rows, :columns], other)


def test_padding_repeats_the_last_column_and_row():
    left = random_eye(YUV420, 15, 7, seed=1)
    packed = packer(Layout.FULL_SBS, YUV420, 15, 7).pack(left, left).planes[0]

    np.testing.assert_array_equal(packed[:7, 15], left.planes[0][:, -1])
    np.testing.assert_array_equal(packed[7, :15], left.planes[0][-1])


def test_a_left_right_view_is_the_eye_itself():
    left, right = random_eye(YUV420, 16, 8, seed=1), random_eye(YUV420, 16, 8, seed=2)

    assert packer(Layout.LEFT_RIGHT, YUV420, 16, 8, View.LEFT).pack(left, right) is left
    assert packer(Layout.LEFT_RIGHT, YUV420, 16, 8, View.RIGHT).pack(left, right) is right


@pytest.mark.parametrize("layout", [layout for layout in Layout if layout is not Layout.LEFT_RIGHT])
def test_a_packed_picture_stays_as_it_is_when_the_next_one_is_packed(layout):
    made = packer(layout, YUV420, 16, 8)
    first = made.pack(random_eye(YUV420, 16, 8, seed=1), random_eye(YUV420, 16, 8, seed=2))
    before = [plane.copy() for plane in first.planes]
    made.pack(random_eye(YUV420, 16, 8, seed=3), random_eye(YUV420, 16, 8, seed=4))

    for plane, copy in zip(first.planes, before, strict=True):
        np.testing.assert_array_equal(plane, copy)


@pytest.mark.parametrize("fmt", [YUV420, YUV420_10, YUV444, GRAY], ids=lambda f: f.ffmpeg_name)
@pytest.mark.parametrize("layout", [Layout.HALF_SBS, Layout.HALF_TB])
def test_half_layouts_average_pairs_within_half_a_sample_value(layout, fmt):
    left, right = random_eye(fmt, 32, 16, seed=1), random_eye(fmt, 32, 16, seed=2)
    packed = packer(layout, fmt, 32, 16).pack(left, right)

    axis = 1 if layout is Layout.HALF_SBS else 0
    for plane, *eyes in zip(packed.planes, left.planes, right.planes, strict=True):
        halves = [_mean_of_pairs(eye, axis) for eye in eyes]
        assert np.abs(plane - np.concatenate(halves, axis=axis)).max() <= 0.5


def _mean_of_pairs(plane: np.ndarray, axis: int) -> np.ndarray:
    even, odd = (plane.take(range(start, plane.shape[axis], 2), axis) for start in (0, 1))
    return (even.astype(float) + odd) / 2


def test_averaging_does_not_brighten_or_darken():
    eye = random_eye(YUV420, 512, 256, seed=5)
    packed = packer(Layout.HALF_SBS, YUV420, 512, 256).pack(eye, eye)

    assert packed.planes[0].mean() == pytest.approx(eye.planes[0].mean(), abs=0.02)


@pytest.mark.parametrize("fmt", [YUV420, YUV420_10, YUV444], ids=lambda f: f.ffmpeg_name)
@pytest.mark.parametrize(
    ("layout", "ffmpeg_layout"),
    [(Layout.FULL_SBS, "sbsl"), (Layout.CROSS_EYED, "sbsr"), (Layout.FULL_TB, "abl")],
)
def test_full_layouts_equal_those_of_ffmpeg(layout, ffmpeg_layout, fmt):
    left, right = random_eye(fmt, 32, 16, seed=1), random_eye(fmt, 32, 16, seed=2)
    packed = packer(layout, fmt, 32, 16).pack(left, right)

    # ffmpeg copies its input where both layouts are the same, so the side by side case starts from top-bottom.
    stacked = Frame(tuple(np.vstack(pair) for pair in zip(left.planes, right.planes, strict=True)), left.format)
    source, known = (stacked, "abl") if layout is Layout.FULL_SBS else (side_by_side(left, right), "sbsl")
    shapes = [plane.shape for plane in packed.planes]
    theirs = ffmpeg_filtered(source, f"stereo3d={known}:{ffmpeg_layout}", fmt.ffmpeg_name, shapes)
    for plane, reference in zip(packed.planes, theirs, strict=True):
        np.testing.assert_array_equal(plane, reference)


@pytest.mark.parametrize("fmt", [YUV420, YUV420_10], ids=lambda f: f.ffmpeg_name)
@pytest.mark.parametrize(
    ("layout", "scale", "stack"),
    [(Layout.HALF_SBS, "iw/2:ih", "hstack"), (Layout.HALF_TB, "iw:ih/2", "vstack")],
)
def test_half_layouts_are_close_to_ffmpegs_area_scaler(layout, scale, stack, fmt):
    left, right = random_eye(fmt, 64, 32, seed=1), random_eye(fmt, 64, 32, seed=2)
    packed = packer(layout, fmt, 64, 32).pack(left, right)

    graph = (
        f"split[a][b];[a]crop=iw/2:ih:0:0,scale={scale}:flags=area[l];"
        f"[b]crop=iw/2:ih:iw/2:0,scale={scale}:flags=area[r];[l][r]{stack}"
    )
    shapes = [plane.shape for plane in packed.planes]
    theirs = ffmpeg_filtered(side_by_side(left, right), graph, fmt.ffmpeg_name, shapes)
    # swscale rounds with dither and its area weights are 14-bit: 2 of 255 covers both.
    tolerance = 2 * 2 ** (fmt.bit_depth - 8)
    for plane, reference in zip(packed.planes, theirs, strict=True):
        assert np.abs(plane.astype(int) - reference).max() <= tolerance


def test_an_unexpected_size_or_format_or_view_is_refused():
    made = packer(Layout.FULL_SBS, YUV420, 16, 8)
    eye = random_eye(YUV420, 16, 8, seed=1)

    with pytest.raises(ValueError, match="eye is"):
        made.pack(eye, random_eye(YUV420, 16, 10, seed=2))
    with pytest.raises(ValueError, match="eye is"):
        made.pack(random_eye(YUV420_10, 16, 8, seed=2), eye)
    with pytest.raises(ValueError, match="no view"):
        packer(Layout.FULL_SBS, YUV420, 16, 8, View.LEFT)
