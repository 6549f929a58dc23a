"""Scale and shift between maps, and the flicker that goes with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stereo_spot_dagster.stereo.depth.align import Affine, Steadier, fit_affine, grid_samples

from .scenes import render

WINDOW = 24
scales = st.floats(0.01, 100)
shifts = st.floats(-100, 100)


def samples(seed: int = 0, count: int = 2304) -> NDArray[np.float32]:
    return np.random.default_rng(seed).gamma(2.0, 0.2, count).astype(np.float32)


def steadied(maps: NDArray[np.float32], starts: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    steadier = Steadier(WINDOW)
    starts = np.arange(len(maps)) == 0 if starts is None else starts
    ready = [ready for depth, begins in zip(maps, starts, strict=True) for ready in steadier.push(depth, bool(begins))]
    return np.stack([*ready, *steadier.finish()])


def flickering(frames: int, seed: int = 5) -> NDArray[np.float32]:
    """A fixed scene whose scale and shift are other ones in each frame, as models give it."""
    scene = render("still", 64, 36, frames=1, seed=3).depth[0]
    rng = np.random.default_rng(seed)
    scale, shift = rng.uniform(0.8, 1.25, (frames, 1, 1)), rng.uniform(-0.2, 0.2, (frames, 1, 1))
    return (scale * scene + shift).astype(np.float32)


def flicker(maps: NDArray[np.float32]) -> float:
    return float(np.abs(np.diff(maps, axis=0)).mean())


@given(scales, shifts)
def test_scale_and_shift_are_found_exactly(scale: float, shift: float) -> None:
    own = samples()
    found, correlation = fit_affine(own, (own * scale + shift).astype(np.float32))
    spread = scale * float(own.std())
    rounding = 1e-6 * (abs(shift) + spread)
    assert found.scale == pytest.approx(scale, rel=1e-4, abs=rounding / float(own.std()) + 1e-9)
    assert np.abs(found.apply(own) - (own * scale + shift)).max() < 1e-3 * spread + 10 * rounding
    assert correlation > 0.99


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_things_that_moved_do_not_disturb_the_fit(share: float) -> None:
    own, rng = samples(), np.random.default_rng(1)
    target = 3 * own + 1
    moved = rng.random(own.size) < share
    target[moved] = rng.uniform(0, 8, int(moved.sum()))
    found, _ = fit_affine(own, target)
    assert found.scale == pytest.approx(3, rel=0.01)
    assert found.shift == pytest.approx(1, abs=0.02)


def test_noise_on_both_sides_does_not_shrink_the_scale() -> None:
    rng, truth = np.random.default_rng(2), samples()
    noisy = [(truth + rng.normal(0, 0.05, truth.size)).astype(np.float32) for _ in range(2)]
    assert fit_affine(*noisy)[0].scale == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("own", [np.zeros(50, np.float32), np.full(50, 3, np.float32), -samples(0, 50)])
def test_a_fit_that_makes_no_sense_keeps_the_scale_and_never_turns_depth_over(own: NDArray[np.float32]) -> None:
    target = samples(0, 50)
    found, _ = fit_affine(own, target)
    assert found.scale == 1
    assert np.isfinite(found.shift)
    assert fit_affine(target, np.full(50, 2, np.float32))[0].scale > 0


@given(scales, shifts, shifts)
def test_an_affine_and_its_inverse_cancel(scale: float, shift: float, value: float) -> None:
    affine = Affine(scale, shift)
    both = affine.inverse().after(affine)
    assert both.scale == pytest.approx(1)
    assert both.scale * value + both.shift == pytest.approx(value, abs=1e-6 * (1 + abs(shift / scale) + abs(value)))


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (36, 64), (518, 924)])
def test_the_grid_lies_inside_any_map(size: tuple[int, int]) -> None:
    depth = np.arange(size[0] * size[1], dtype=np.float32).reshape(size)
    found = grid_samples(depth)
    assert 1 <= found.size <= 2304
    assert len(np.unique(found)) == found.size
    np.testing.assert_array_equal(grid_samples(np.stack([depth, depth]))[1], found)


def test_flicker_of_a_fixed_scene_is_taken_out() -> None:
    raw = flickering(96)
    assert flicker(steadied(raw)) < 0.1 * flicker(raw)


def test_flicker_is_taken_out_from_the_first_frame_of_a_shot() -> None:
    raw = flickering(WINDOW)
    assert flicker(steadied(raw)) < 0.001 * flicker(raw)


def test_what_the_depth_lasts_at_is_followed() -> None:
    raw = np.concatenate([flickering(48), 3 + 2 * flickering(48, seed=6)])
    np.testing.assert_allclose(steadied(raw)[-1].mean(), raw[60:].mean(), rtol=0.1)


def test_a_cut_starts_anew_and_what_comes_before_it_does_not_matter() -> None:
    raw = flickering(80)
    starts = np.isin(np.arange(80), [0, 50])
    np.testing.assert_array_equal(steadied(raw, starts)[50:], steadied(raw[50:]))
    np.testing.assert_array_equal(steadied(raw, starts)[:50], steadied(raw[:50]))


@pytest.mark.parametrize("first", [1, 17, 40])
def test_started_inside_a_shot_it_gives_the_same_bytes_when_its_memory_is_full(first: int) -> None:
    clip = render("walkers", 64, 36, frames=80, seed=3).depth
    raw = clip * flickering(80).mean(axis=(1, 2), keepdims=True)
    np.testing.assert_array_equal(steadied(raw[first:])[WINDOW - 1 :], steadied(raw)[first + WINDOW - 1 :])


def test_pictures_that_have_nothing_to_do_with_each_other_keep_their_own_scale() -> None:
    rng = np.random.default_rng(0)
    raw = rng.random((60, 36, 64)).astype(np.float32)
    np.testing.assert_array_equal(steadied(raw), raw)


@pytest.mark.parametrize("frames", [1, 2, 23, 24, 25])
def test_each_map_comes_back_once(frames: int) -> None:
    assert steadied(flickering(frames)).shape == (frames, 36, 64)
