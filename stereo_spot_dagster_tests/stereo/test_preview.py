"""Preview pictures: right colours, right sizes, and small enough for an event log."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from stereo_spot_dagster.stereo.frame import ColorSpace, Frame, PixelFormat
from stereo_spot_dagster.stereo.preview import depth_strip, disparity_histogram, preview_strip, to_rgb

BT709 = ColorSpace()
FULL = ColorSpace(full_range=True)
BT601 = ColorSpace(matrix="smpte170m")
BT2020 = ColorSpace(matrix="bt2020nc", transfer="bt2020-10", primaries="bt2020")
PQ = ColorSpace(matrix="bt2020nc", transfer="smpte2084", primaries="bt2020")
HLG = ColorSpace(matrix="bt2020nc", transfer="arib-std-b67", primaries="bt2020")


def flat(fmt: PixelFormat, samples: tuple[int, ...], width: int = 16, height: int = 8) -> Frame:
    shapes = fmt.plane_shapes(width, height)
    return Frame(tuple(np.full(s, v, fmt.dtype) for s, v in zip(shapes, samples, strict=False)), fmt)


def noise(width: int, height: int, seed: int) -> Frame:
    random = np.random.default_rng(seed)
    shapes = PixelFormat().plane_shapes(width, height)
    return Frame(tuple(random.integers(16, 236, s).astype(np.uint8) for s in shapes), PixelFormat())


def opened(data: bytes) -> np.ndarray:
    """``[h, w, 3]`` R G B."""
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture[..., ::-1]


@pytest.mark.parametrize(
    ("color", "bit_depth", "samples", "rgb"),
    [
        (BT709, 8, (63, 102, 240), (255, 0, 0)),
        (FULL, 8, (54, 99, 255), (255, 0, 0)),
        (BT601, 8, (81, 90, 240), (255, 0, 0)),
        (BT709, 8, (173, 42, 26), (0, 255, 0)),
        (BT709, 8, (32, 240, 118), (0, 0, 255)),
        (BT709, 10, (250, 409, 960), (255, 0, 0)),
        (BT709, 12, (1001, 1637, 3840), (255, 0, 0)),
        (BT709, 16, (16018, 26191, 61440), (255, 0, 0)),
        (BT709, 8, (16, 128, 128), (0, 0, 0)),
        (BT709, 8, (235, 128, 128), (255, 255, 255)),
        (BT709, 8, (126, 128, 128), (128, 128, 128)),
        (FULL, 8, (255, 128, 128), (255, 255, 255)),
        (FULL, 10, (512, 512, 512), (128, 128, 128)),
        (BT709, 8, (1, 128, 128), (0, 0, 0)),
        (BT709, 8, (254, 128, 128), (255, 255, 255)),
    ],
)
def test_known_samples_have_their_known_colours(color, bit_depth, samples, rgb):
    seen = to_rgb(flat(PixelFormat(bit_depth), samples), color, None)

    assert seen.shape == (8, 16, 3)
    assert seen.dtype == np.uint8
    assert np.abs(seen.astype(int) - rgb).max() <= 2


@pytest.mark.parametrize(("level", "gray"), [(16, 0), (235, 255), (126, 128)])
def test_a_gray_frame_is_gray(level, gray):
    seen = to_rgb(flat(PixelFormat(gray=True), (level,)), BT709, None)

    assert np.abs(seen.astype(int) - gray).max() <= 1


@pytest.mark.parametrize("fmt", [PixelFormat(), PixelFormat(chroma_y=0), PixelFormat(10, 0, 0)])
@pytest.mark.parametrize(
    ("max_width", "shape"),
    [(None, (45, 81, 3)), (200, (45, 81, 3)), (40, (22, 40, 3)), (1, (1, 1, 3))],
)
def test_a_picture_is_reduced_only_if_it_is_wider_than_allowed(max_width, shape, fmt):
    frame = flat(fmt, tuple(v << (fmt.bit_depth - 8) for v in (63, 102, 240)), 81, 45)
    seen = to_rgb(frame, BT709, max_width)

    assert seen.shape == shape
    assert np.abs(seen.astype(int) - (255, 0, 0)).max() <= 2


def test_bt2020_white_and_gray_stay_neutral_and_its_red_is_out_of_reach():
    gray = to_rgb(flat(PixelFormat(10), (502, 512, 512)), BT2020, None)[0, 0].astype(int)
    assert np.abs(gray - 128).max() <= 2

    red = to_rgb(flat(PixelFormat(10), (294, 387, 960)), BT2020, None)[0, 0]
    assert red.tolist() == [255, 0, 0]


@pytest.mark.parametrize(
    ("color", "levels"),
    [(PQ, (64, 400, 573, 723, 940)), (HLG, (64, 300, 502, 721, 940))],  # 573 and 721 are graphic white
    ids=["pq", "hlg"],
)
def test_hdr_becomes_neutral_monotonous_and_neither_black_nor_blown_out(color, levels):
    seen = [to_rgb(flat(PixelFormat(10), (level, 512, 512)), color, None)[0, 0].astype(int) for level in levels]
    brightness = [int(rgb[1]) for rgb in seen]

    assert all(np.ptp(rgb) <= 2 for rgb in seen)
    assert brightness == sorted(brightness)
    assert len(set(brightness)) >= 4
    assert brightness[0] == 0
    assert brightness[-1] >= 250
    white = brightness[2] if color is PQ else brightness[3]
    assert 150 <= white <= 220


def test_the_strip_shows_left_depth_right_and_anaglyph():
    left, right = flat(PixelFormat(), (63, 102, 240), 320, 180), flat(PixelFormat(), (32, 240, 118), 320, 180)
    depth = np.zeros((90, 160), np.float32)
    depth[45:] = 1.0
    data = preview_strip(left, depth, right, BT709)

    assert data.startswith(b"\xff\xd8\xff")
    assert len(data) < 100_000
    seen = opened(data).astype(int)
    assert seen.shape[1] == pytest.approx(960, abs=4)
    panels = np.array_split(seen, 4, axis=1)
    middles = [panel[60:75, 80:160].mean(axis=(0, 1)) for panel in panels]
    assert middles[0] == pytest.approx([255, 0, 0], abs=12)
    assert middles[2] == pytest.approx([0, 0, 255], abs=12)
    # Dubois: red of the left eye's red, blue of the right eye's blue.
    assert middles[3][0] > 120
    assert middles[3][1] < 60
    assert middles[3][2] > 200
    far, near = panels[1][20:60, 80:160].mean(), panels[1][80:, 80:160].mean()
    assert near > far + 100


def test_each_panel_of_the_strip_is_labelled():
    gray = flat(PixelFormat(), (126, 128, 128), 640, 360)
    seen = opened(preview_strip(gray, np.full((8, 8), 0.5, np.float32), gray, BT709)).astype(int)

    for panel in np.array_split(seen, 4, axis=1):
        assert np.ptp(panel[2:18, 4:60]) > 150
        assert np.ptp(panel[60:120, 40:200], axis=(0, 1)).max() < 20


@pytest.mark.parametrize("width_px", [960, 3000])
def test_even_noise_stays_below_100_kb(width_px):
    left, right = noise(1920, 1080, seed=1), noise(1920, 1080, seed=2)
    depth = np.random.default_rng(3).random((1080, 1920), np.float32)

    data = preview_strip(left, depth, right, BT709, width_px)
    assert len(data) < 100_000
    assert opened(data).size


def test_a_narrow_video_and_a_10_bit_hdr_video_have_strips_too():
    tiny = flat(PixelFormat(10), (400, 512, 512), 6, 4)
    data = preview_strip(tiny, np.zeros((4, 6), np.float32), tiny, PQ)

    assert opened(data).shape == (4, 4 * 6 + 3 * 4, 3)


@pytest.mark.parametrize(("count", "panels"), [(1, 1), (5, 5), (40, 8)])
def test_depth_pictures_stand_in_a_row(count, panels):
    depths = np.linspace(0, 1, count, dtype=np.float32)[:, None, None] * np.ones((1, 90, 160), np.float32)
    data = depth_strip(depths)
    seen = opened(data)

    assert len(data) < 100_000
    white = (seen[-20:] > 245).all(axis=(0, 2))
    assert int((np.diff(white.astype(int)) == 1).sum()) == panels - 1
    if count > 1:
        assert seen[-20:, -20:].mean() > seen[-20:, :20].mean() + 100


def test_no_depth_picture_is_an_error():
    with pytest.raises(ValueError, match=r"\[N, h, w\]"):
        depth_strip(np.zeros((0, 4, 4), np.float32))


def test_depth_that_is_not_a_number_is_shown_as_far():
    seen = opened(depth_strip(np.full((1, 32, 64), np.nan, np.float32)))

    assert seen[20:, 30:].max() < 30


def bars(seen: np.ndarray) -> np.ndarray:
    """Columns of the histogram that hold part of a bar."""
    strong = (seen[..., 2].astype(int) - seen[..., 0]) > 60
    return np.flatnonzero(strong[24:182].any(axis=0))


def screen_column(seen: np.ndarray) -> int:
    red = (seen[..., 0].astype(int) - seen[..., 2]) > 120
    return int(np.argmax(red[:182].sum(axis=0)))


def test_the_histogram_puts_what_is_in_front_right_of_the_screen_plane():
    near = opened(disparity_histogram(np.full((4, 4), 12.0, np.float32), 1920))
    far = opened(disparity_histogram(np.full((4, 4), -12.0, np.float32), 1920))

    assert near.shape == (240, 480, 3)
    assert bars(near).min() > screen_column(near) + 100
    assert bars(far).max() < screen_column(far) - 100


def test_the_histogram_keeps_proportions():
    values = np.concatenate([np.full(300, -10.0), np.full(100, 10.0)]).astype(np.float32)
    seen = opened(disparity_histogram(values, 1920))
    blue = (seen[..., 2].astype(int) - seen[..., 0]) > 60
    heights = blue[24:182].sum(axis=0)
    middle = screen_column(seen)

    assert heights[:middle].max() == pytest.approx(3 * heights[middle + 2 :].max(), rel=0.05)


def test_values_that_are_not_finite_do_not_count():
    values = np.array([np.nan, np.inf, -np.inf, 3.0], np.float32)

    assert disparity_histogram(values, 100) == disparity_histogram(np.array([3.0], np.float32), 100)
    with pytest.raises(ValueError, match="no disparity"):
        disparity_histogram(np.array([np.nan], np.float32), 100)


def test_a_flat_picture_in_the_screen_plane_has_a_histogram():
    seen = opened(disparity_histogram(np.zeros((4, 4), np.float32), 1920))

    assert abs(bars(seen).min() - screen_column(seen)) < 10
