"""The background inpainter: holes only, from the farther side, never a crash."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stereo_spot_dagster.domain.models import StereoCrafterOptions
from stereo_spot_dagster.domain.settings import Inpaint
from stereo_spot_dagster.stereo.frame import Frame, PixelFormat
from stereo_spot_dagster.stereo.inpaint import make_inpainter
from stereo_spot_dagster.stereo.inpaint.background import BackgroundInpainter
from stereo_spot_dagster.stereo.warp.base import SynthesizedView

FORMATS = [PixelFormat(8, 1, 1), PixelFormat(10, 1, 0), PixelFormat(8, 0, 0), PixelFormat(16, gray=True)]


def view_of(luma: NDArray[np.uint8], hole: NDArray[np.bool_], disparity_px: NDArray[np.floating]) -> SynthesizedView:
    frame = Frame((np.where(hole, 255, luma).astype(np.uint8),), PixelFormat(8, gray=True))
    return SynthesizedView(frame, hole.astype(np.uint8) * 255, disparity_px.astype(np.float32))


def blocks_all_true(mask: NDArray[np.bool_], picture: PixelFormat) -> NDArray[np.bool_]:
    """``mask`` at chroma size: True where all luma pixels of the block are."""
    rows, columns = 1 << picture.chroma_y, 1 << picture.chroma_x
    padding = ((0, -mask.shape[0] % rows), (0, -mask.shape[1] % columns))
    padded = np.pad(mask, padding, constant_values=True)
    return np.asarray(padded.reshape(padded.shape[0] // rows, rows, -1, columns).all(axis=(1, 3)))


@given(
    seed=st.integers(0, 10_000),
    share=st.floats(0, 1),
    picture=st.sampled_from(FORMATS),
    width=st.integers(1, 40),
    height=st.integers(1, 12),
)
@settings(max_examples=60, deadline=None)
def test_visible_samples_stay_and_holes_take_only_visible_values(
    seed: int, share: float, picture: PixelFormat, width: int, height: int
) -> None:
    rng = np.random.default_rng(seed)
    hole = rng.random((height, width)) < share
    shapes = picture.plane_shapes(width, height)
    masks = [hole, *[blocks_all_true(hole, picture)] * 2][: len(shapes)]
    poison = picture.max_value
    planes = [rng.integers(0, poison, shape).astype(picture.dtype) for shape in shapes]
    for plane, mask in zip(planes, masks, strict=True):
        plane[mask] = poison
    disparity_px = rng.uniform(-5, 5, (height, width)).astype(np.float32)
    view = SynthesizedView(Frame(tuple(planes), picture), np.where(hole, 255, 0).astype(np.uint8), disparity_px)
    filled = BackgroundInpainter().fill(view)
    for before, after, mask in zip(planes, filled.planes, masks, strict=True):
        np.testing.assert_array_equal(after[~mask], before[~mask])
        assert (after != poison).all()
        assert after.dtype == before.dtype


@pytest.mark.parametrize(("left_px", "right_px", "expected"), [(9.0, 1.0, 40), (1.0, 9.0, 200)])
def test_a_hole_is_filled_from_its_farther_side(left_px: float, right_px: float, expected: int) -> None:
    luma = np.full((6, 30), 200, np.uint8)
    luma[:, 15:] = 40
    hole = np.zeros((6, 30), np.bool_)
    hole[:, 10:20] = True
    disparity_px = np.full((6, 30), left_px)
    disparity_px[:, 15:] = right_px
    filled = BackgroundInpainter().fill(view_of(luma, hole, disparity_px))
    assert (filled.planes[0][:, 10:20] == expected).all()


@pytest.mark.parametrize("side", [slice(0, 7), slice(23, 30)])
def test_a_hole_at_the_border_is_filled_from_its_only_side(side: slice) -> None:
    hole = np.zeros((4, 30), np.bool_)
    hole[:, side] = True
    filled = BackgroundInpainter().fill(view_of(np.full((4, 30), 77, np.uint8), hole, np.zeros((4, 30))))
    assert (filled.planes[0] == 77).all()


def test_a_hole_inside_one_surface_is_shared_by_its_sides_in_every_row() -> None:
    luma = np.full((8, 30), 200, np.uint8)
    luma[:, 15:] = 40
    hole = np.zeros((8, 30), np.bool_)
    hole[:, 10:20] = True
    disparity_px = 3 + np.random.default_rng(2).normal(0, 0.1, (8, 30))
    filled = BackgroundInpainter().fill(view_of(luma, hole, disparity_px)).planes[0]
    np.testing.assert_array_equal(filled, luma)


def test_texture_is_mirrored_instead_of_smeared() -> None:
    stripes = np.tile(np.arange(40, dtype=np.uint8) % 4 * 60, (9, 1))
    hole = np.zeros((9, 40), np.bool_)
    hole[:, 10:22] = True
    disparity_px = np.zeros((9, 40))
    disparity_px[:, :10] = 8
    filled = BackgroundInpainter().fill(view_of(stripes, hole, disparity_px)).planes[0]
    assert filled[:, 10:22].std() > 0.8 * stripes.std()


def test_other_surfaces_beside_the_background_are_not_mirrored() -> None:
    luma = np.full((4, 60), 50, np.uint8)
    luma[:, 30:] = 240
    disparity_px = np.full((4, 60), 2.0)
    disparity_px[:, :10] = 9
    disparity_px[:, 30:] = 12
    hole = np.zeros((4, 60), np.bool_)
    hole[:, 10:26] = True
    filled = BackgroundInpainter().fill(view_of(luma, hole, disparity_px)).planes[0]
    assert (filled[:, 10:26] == 50).all()


def test_a_streak_of_one_row_is_removed() -> None:
    luma = np.full((9, 40), 90, np.uint8)
    luma[4, 20:] = 250
    hole = np.zeros((9, 40), np.bool_)
    hole[:, 8:20] = True
    filled = BackgroundInpainter().fill(view_of(luma, hole, np.zeros((9, 40)))).planes[0]
    assert (filled[:, 8:20] == 90).all()
    assert (filled[4, 20:] == 250).all()


def test_rows_without_visible_pixels_repeat_the_row_above() -> None:
    luma = np.arange(5, dtype=np.uint8)[:, None] * np.ones((1, 12), np.uint8)
    hole = np.zeros((5, 12), np.bool_)
    hole[[0, 4]] = True
    filled = BackgroundInpainter().fill(view_of(luma, hole, np.zeros((5, 12)))).planes[0]
    np.testing.assert_array_equal(filled[:, 0], [1, 1, 2, 3, 3])


@pytest.mark.parametrize("picture", FORMATS)
def test_a_picture_without_visible_pixels_becomes_mid_gray(picture: PixelFormat) -> None:
    planes = tuple(np.zeros(shape, picture.dtype) for shape in picture.plane_shapes(13, 7))
    view = SynthesizedView(
        Frame(planes, picture), np.full((7, 13), 255, np.uint8), np.full((7, 13), np.nan, np.float32)
    )
    for plane in BackgroundInpainter().fill(view).planes:
        assert (plane == (picture.max_value + 1) // 2).all()


def test_less_than_half_covered_by_the_soft_splat_is_a_hole() -> None:
    occlusion = np.zeros((1, 6), np.uint8)
    occlusion[0, 2:4] = (127, 128)
    luma = np.array([[10, 10, 90, 90, 10, 10]], np.uint8)
    view = SynthesizedView(Frame((luma,), PixelFormat(8, gray=True)), occlusion, np.zeros((1, 6), np.float32))
    np.testing.assert_array_equal(BackgroundInpainter().fill(view).planes[0], [[10, 10, 90, 10, 10, 10]])


def test_the_setting_background_makes_the_background_inpainter() -> None:
    assert make_inpainter(Inpaint.BACKGROUND, StereoCrafterOptions()).name == "background"
