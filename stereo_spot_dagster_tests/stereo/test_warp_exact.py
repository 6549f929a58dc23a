"""The exact synthesizer: what a right eye must show of a left one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stereo_spot_dagster.domain.settings import Synthesizer
from stereo_spot_dagster.stereo.frame import Frame, PixelFormat
from stereo_spot_dagster.stereo.warp import make_synthesizer
from stereo_spot_dagster.stereo.warp.exact import ExactSynthesizer

FORMATS = [
    PixelFormat(8, 1, 1),
    PixelFormat(10, 1, 1),
    PixelFormat(8, 1, 0),
    PixelFormat(12, 0, 0),
    PixelFormat(16, 0, 1),
    PixelFormat(16, gray=True),
]


def noise(width: int, height: int, picture: PixelFormat, seed: int = 0) -> Frame:
    rng = np.random.default_rng(seed)
    shapes = picture.plane_shapes(width, height)
    return Frame(
        tuple(rng.integers(0, picture.max_value + 1, shape).astype(picture.dtype) for shape in shapes), picture
    )


def gray_rows(rows: NDArray[np.integer]) -> Frame:
    return Frame((np.ascontiguousarray(rows, np.uint8),), PixelFormat(8, gray=True))


def flat(height: int, width: int, disparity_px: float) -> NDArray[np.float32]:
    return np.full((height, width), disparity_px, np.float32)


def nearest_at_each_target(disparity_px: NDArray[np.float32]) -> NDArray[np.int64]:
    """For one row of whole-pixel disparities: the source column a depth buffer picks, -1 where none lands."""
    seen = np.full(disparity_px.size, -1)
    for x, shift in enumerate(disparity_px.astype(int)):
        target = x - shift
        if 0 <= target < seen.size and (seen[target] < 0 or shift > disparity_px[seen[target]]):
            seen[target] = x
    return seen


@pytest.mark.parametrize("picture", FORMATS, ids=lambda picture: picture.ffmpeg_name)
@pytest.mark.parametrize(("width", "height"), [(64, 36), (63, 35), (1, 1), (2, 3)])
def test_no_disparity_returns_every_sample_of_every_plane(picture: PixelFormat, width: int, height: int) -> None:
    left = noise(width, height, picture)
    view = ExactSynthesizer().synthesize(left, flat(height, width, 0.0))
    assert not view.occlusion.any()
    for warped, plane in zip(view.frame.planes, left.planes, strict=True):
        np.testing.assert_array_equal(warped, plane)
        assert warped.dtype == picture.dtype


@given(shift=st.integers(-40, 40), width=st.integers(41, 70))
@settings(max_examples=60, deadline=None)
def test_whole_pixel_shifts_move_samples_unchanged(shift: int, width: int) -> None:
    left = noise(width, 5, PixelFormat(16, 0, 0))
    view = ExactSynthesizer().synthesize(left, flat(5, width, shift))
    targets = np.arange(max(0, -shift), min(width, width - shift))
    assert (view.occlusion[:, targets] == 0).all()
    assert (np.delete(view.occlusion, targets, axis=1) == 255).all()
    assert (view.disparity_px[:, targets] == shift).all()
    for warped, plane in zip(view.frame.planes, left.planes, strict=True):
        np.testing.assert_array_equal(warped[:, targets], plane[:, targets + shift])


def test_even_shifts_move_subsampled_chroma_with_the_luma() -> None:
    left = noise(64, 36, PixelFormat(10, 1, 1))
    view = ExactSynthesizer().synthesize(left, flat(36, 64, 6.0))
    np.testing.assert_array_equal(view.frame.planes[0][:, :58], left.planes[0][:, 6:])
    np.testing.assert_array_equal(view.frame.planes[1][:, :29], left.planes[1][:, 3:])
    np.testing.assert_array_equal(view.frame.planes[2][:, :29], left.planes[2][:, 3:])


def test_a_fraction_of_a_pixel_is_interpolated_between_neighbours() -> None:
    ramp = np.tile(np.arange(0, 200, 4), (3, 1))
    view = ExactSynthesizer().synthesize(gray_rows(ramp), flat(3, 50, 2.25))
    np.testing.assert_array_equal(view.frame.planes[0][:, :47], np.tile(np.arange(47) * 4 + 9, (3, 1)))


@given(
    shifts=st.lists(st.integers(-400, 400), min_size=2, max_size=6),
    widths=st.lists(st.integers(3, 90), min_size=6, max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_the_nearest_of_surfaces_that_meet_is_seen(shifts: list[int], widths: list[int]) -> None:
    # Surfaces at least 2 px apart in disparity: nothing is stretched between them, so a depth buffer has the answer.
    pieces = [np.full(width, 2 * shift, np.float32) for shift, width in zip(shifts, widths, strict=False)]
    row = np.concatenate(pieces)
    disparity_px = np.tile(row, (2, 1))
    left = noise(row.size, 2, PixelFormat(8, gray=True), seed=row.size)
    view = ExactSynthesizer().synthesize(left, disparity_px)
    seen = nearest_at_each_target(row)
    np.testing.assert_array_equal(view.occlusion[0] == 255, seen < 0)
    np.testing.assert_array_equal(view.frame.planes[0][0, seen >= 0], left.planes[0][0, seen[seen >= 0]])
    np.testing.assert_array_equal(view.disparity_px[0, seen >= 0], row[seen[seen >= 0]])


def test_a_near_object_hides_what_it_moves_over_and_uncovers_its_right_side() -> None:
    disparity_px = flat(4, 60, -3.0)
    disparity_px[:, 20:30] = 5.0
    rows = np.tile(np.arange(60, dtype=np.uint8), (4, 1))
    rows[:, 20:30] = 200
    view = ExactSynthesizer().synthesize(gray_rows(rows), disparity_px)
    seen = view.frame.planes[0][0]
    assert (seen[15:25] == 200).all()
    np.testing.assert_array_equal(np.flatnonzero(view.occlusion[0]), [0, 1, 2, *range(25, 33)])
    assert seen[14] == 11
    assert seen[33] == 30


@given(
    slope=st.floats(-1.2, 0.9),
    offset_px=st.floats(-200, 200),
    wobble_px=st.floats(0, 0.04),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_a_slanted_surface_has_no_cracks(slope: float, offset_px: float, wobble_px: float, seed: int) -> None:
    width = 300
    wobble = np.random.default_rng(seed).uniform(-wobble_px, wobble_px, width)
    row = (offset_px + slope * np.arange(width) + wobble).astype(np.float32)
    view = ExactSynthesizer().synthesize(noise(width, 1, PixelFormat(8, gray=True)), row[None])
    targets = np.arange(width) - row
    first, last = max(0, int(np.ceil(targets.min()))), min(width - 1, int(np.floor(targets.max())))
    inside = np.arange(first, last + 1)
    assert not view.occlusion[0, inside].any()
    seen_at = inside + view.disparity_px[0, inside]
    # Target column t shows source column x with x - (offset + slope * x) = t, up to the wobble.
    assert np.abs(seen_at * (1 - slope) - offset_px - inside).max(initial=0) < 2 * wobble_px + 0.01


def test_a_soft_depth_edge_leaves_one_clean_hole_instead_of_a_rubber_sheet() -> None:
    disparity_px = flat(3, 120, 0.0)
    disparity_px[:, :40] = 16.0
    disparity_px[:, 40:48] = np.linspace(16, 0, 10)[1:-1]
    view = ExactSynthesizer().synthesize(noise(120, 3, PixelFormat(8, gray=True)), disparity_px)
    holes = np.flatnonzero(view.occlusion[1])
    assert len(holes) == 16
    assert holes[-1] - holes[0] == 15
    assert set(np.unique(view.disparity_px[1][view.occlusion[1] == 0])) == {0.0, 16.0}


def test_colour_does_not_bleed_across_a_silhouette() -> None:
    left = Frame(
        (np.full((8, 64), 120, np.uint8), np.full((8, 32), 60, np.uint8), np.full((8, 32), 200, np.uint8)),
        PixelFormat(8, 1, 0),
    )
    left.planes[1][:, 10:16] = 220
    disparity_px = flat(8, 64, 0.0)
    disparity_px[:, 20:32] = 7.0
    view = ExactSynthesizer().synthesize(left, disparity_px)
    visible = view.occlusion[0].reshape(-1, 2).min(axis=1) == 0
    assert set(np.unique(view.frame.planes[1][0, visible])) == {60, 220}


@given(seed=st.integers(0, 10_000), spread_px=st.floats(0, 400), picture=st.sampled_from(FORMATS))
@settings(max_examples=60, deadline=None)
def test_any_disparity_gives_finite_reproducible_output(seed: int, spread_px: float, picture: PixelFormat) -> None:
    disparity_px = np.random.default_rng(seed).uniform(-spread_px, spread_px, (7, 33)).astype(np.float32)
    left = noise(33, 7, picture, seed)
    view = ExactSynthesizer().synthesize(left, disparity_px)
    again = ExactSynthesizer().synthesize(left, disparity_px)
    assert np.isfinite(view.disparity_px).all()
    assert set(np.unique(view.occlusion)) <= {0, 255}
    for warped, repeated, plane in zip(view.frame.planes, again.frame.planes, left.planes, strict=True):
        assert warped.max() <= max(int(plane.max()), (picture.max_value + 1) // 2)
        np.testing.assert_array_equal(warped, repeated)


def test_a_later_frame_does_not_overwrite_an_earlier_one() -> None:
    synthesizer = ExactSynthesizer()
    first = synthesizer.synthesize(noise(32, 8, PixelFormat(), seed=1), flat(8, 32, 1.0))
    kept = [plane.copy() for plane in first.frame.planes]
    synthesizer.synthesize(noise(32, 8, PixelFormat(), seed=2), flat(8, 32, -3.0))
    for plane, copy in zip(first.frame.planes, kept, strict=True):
        np.testing.assert_array_equal(plane, copy)


def test_read_only_planes_of_a_decoder_are_accepted() -> None:
    plane = np.frombuffer(bytes(range(60)), np.uint8).reshape(4, 15)
    view = ExactSynthesizer().synthesize(Frame((plane,), PixelFormat(8, gray=True)), flat(4, 15, 0.0))
    np.testing.assert_array_equal(view.frame.planes[0], plane)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e9])
def test_a_disparity_that_is_no_number_is_refused(bad: float) -> None:
    disparity_px = flat(6, 20, 0.0)
    disparity_px[5, 19] = bad
    with pytest.raises(ValueError, match="not finite"):
        ExactSynthesizer().synthesize(noise(20, 6, PixelFormat()), disparity_px)


def test_disparity_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="disparity is"):
        ExactSynthesizer().synthesize(noise(20, 6, PixelFormat()), flat(6, 21, 0.0))


def test_the_setting_exact_makes_the_exact_synthesizer() -> None:
    assert make_synthesizer(Synthesizer.EXACT).name == "exact"
