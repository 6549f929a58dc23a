"""What a user of the weight-free depth relies on."""

from __future__ import annotations

import functools
import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.data import stereo_motorcycle

from stereo_spot_dagster.stereo.depth import CuesDepth, make_depth_estimator
from stereo_spot_dagster.stereo.depth.cues import WARM_UP_FRAMES

from ..benchmarks.depth import estimate, ramp, rank_correlation, score
from .scenes import RenderedClip, Stereo, render

SIZE = (256, 144)
FRAMES = 12
Depth = NDArray[np.float32]


@functools.cache
def seen(name: str, seed: int = 21) -> tuple[RenderedClip, Depth]:
    clip = render(name, *SIZE, frames=FRAMES, seed=seed, stereo=Stereo(4.0, 0.5))
    return clip, estimate(clip.left, clip.scene_start)


def correlations(clip: RenderedClip, depth: Depth) -> tuple[float, float]:
    """Mean rank correlation with the truth, of ``depth`` and of the ramp."""
    slope = ramp(*clip.depth.shape[1:])
    frames = range(1, FRAMES, 3)
    own = [rank_correlation(depth[frame], clip.depth[frame]) for frame in frames]
    ramps = [rank_correlation(slope, clip.depth[frame]) for frame in frames]
    return float(np.mean(own)), float(np.mean(ramps))


@pytest.mark.parametrize("name", ["sideways", "dolly", "tracking", "cut"])
@pytest.mark.parametrize("seed", [21, 24])
def test_where_the_camera_moves_depth_is_mostly_right_and_beats_the_ramp(name: str, seed: int) -> None:
    own, slope = correlations(*seen(name, seed))
    assert own > 0.85
    assert own - slope > 0.4 * (1 - slope)


@pytest.mark.parametrize("name", ["sideways", "tracking"])
def test_big_things_that_fill_half_the_picture_are_not_taken_for_the_background(name: str) -> None:
    clip, depth = seen(name, seed=6)
    assert correlations(clip, depth)[0] > 0.85


def test_where_things_move_before_a_still_camera_depth_beats_the_ramp() -> None:
    own, slope = np.mean([correlations(*seen("walkers", seed)) for seed in (21, 24, 25, 26)], axis=0)
    assert own > slope + 0.01


@pytest.mark.parametrize("seed", [3, 24, 25])
def test_who_walks_stands_out_from_what_is_behind(seed: int) -> None:
    clip, depth = seen("walkers", seed)
    frame = FRAMES - 2
    change = np.abs(clip.left[frame].astype(int) - clip.left[frame - 1].astype(int)).sum(axis=-1)
    walks = (change > 40) & (clip.depth[frame] > 0.4)
    ground = ramp(SIZE[1], SIZE[0])
    assert walks.sum() > 100
    assert (depth[frame] - ground)[walks].mean() > (depth[frame] - ground)[~walks].mean() + 0.1


@pytest.mark.parametrize("name", ["still", "pan"])
def test_without_parallax_depth_does_not_lose_to_the_ramp(name: str) -> None:
    own, slope = np.mean([correlations(*seen(name, seed)) for seed in (21, 24, 25)], axis=0)
    assert own > slope - 0.01


def test_the_motorcycle_is_no_worse_than_the_ramp() -> None:
    left, _, disparity = stereo_motorcycle()
    size = CuesDepth().working_size(left.shape[1], left.shape[0])
    small = np.asarray(cv2.resize(left, size, interpolation=cv2.INTER_AREA), np.uint8)
    truth = cv2.resize(disparity, size, interpolation=cv2.INTER_NEAREST)
    depth = estimate(small[None], np.array([True]))[0]
    assert rank_correlation(depth, truth) > rank_correlation(ramp(*depth.shape), truth) - 0.01


def test_the_second_eye_is_far_closer_to_the_truth_than_that_of_a_ramp() -> None:
    clip, depth = seen("sideways")
    frame = FRAMES - 2
    views = (clip.disparity_px[frame], clip.left[frame], clip.right[frame])
    own, slope = score(depth[frame], *views), score(ramp(*depth.shape[1:]), *views)
    assert own.psnr_db > slope.psnr_db + 3
    assert own.ssim > slope.ssim + 0.08


def test_the_first_frame_of_a_shot_already_knows_the_motion_to_come() -> None:
    clip, depth = seen("sideways")
    assert rank_correlation(depth[0], clip.depth[0]) > 0.85


def test_a_new_shot_knows_nothing_of_the_one_before() -> None:
    clip, depth = seen("cut")
    alone = clip.left[FRAMES // 2 :]
    np.testing.assert_array_equal(depth[FRAMES // 2 :], estimate(alone, np.arange(len(alone)) == 0))


@pytest.mark.parametrize("name", ["sideways", "dolly", "walkers", "still"])
def test_depth_uses_its_range(name: str) -> None:
    _, depth = seen(name)
    for one in depth:
        assert np.percentile(one, 2) < 0.15
        assert np.percentile(one, 98) > 0.8


def test_depth_of_a_still_picture_stands_still() -> None:
    _, depth = seen("still")
    assert np.abs(np.diff(depth, axis=0)).max() < 1e-3


def test_depth_follows_the_picture_without_flicker() -> None:
    clip, depth = seen("pan")
    change = np.abs(np.diff(depth, axis=0)).mean()
    assert change < 2 * np.abs(np.diff(clip.depth, axis=0)).mean() + 0.005


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 7), max_size=12), st.sets(st.integers(1, 13), max_size=4))
def test_how_frames_are_grouped_into_calls_does_not_change_a_byte(sizes: list[int], cuts: set[int]) -> None:
    clip = render("sideways", 48, 40, frames=14, seed=3).left
    starts = np.isin(np.arange(14), [0, *cuts])
    estimator = CuesDepth()
    edges = [*np.minimum(np.cumsum([0, *sizes]), 14), 14]
    parts = [estimator.process(clip[a:b], starts[a:b]) for a, b in itertools.pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate([*parts, estimator.finish()]), estimate(clip, starts))


def test_no_more_frames_are_held_back_than_the_warm_up() -> None:
    clip = render("dolly", 48, 40, frames=14, seed=3)
    estimator = CuesDepth()
    returned = 0
    for frame in range(14):
        returned += len(estimator.process(clip.left[frame : frame + 1], clip.scene_start[frame : frame + 1]))
        assert frame + 1 - returned < WARM_UP_FRAMES
    assert returned == 14
    assert len(estimator.finish()) == 0


def test_reset_forgets_everything() -> None:
    clip = render("dolly", 48, 40, frames=10, seed=3)
    estimator = CuesDepth()
    estimator.process(clip.left, clip.scene_start)
    estimator.reset()
    again = np.concatenate([estimator.process(clip.left, clip.scene_start), estimator.finish()])
    np.testing.assert_array_equal(again, estimate(clip.left, clip.scene_start))


def extreme_clip(kind: str, height: int, width: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(0)
    if kind == "noise":
        return rng.integers(0, 256, (10, height, width, 3), dtype=np.uint8)
    if kind == "flicker":
        return np.repeat(np.arange(10, dtype=np.uint8) % 2 * 255, height * width * 3).reshape(10, height, width, 3)
    return np.full((10, height, width, 3), {"black": 0, "white": 255}[kind], np.uint8)


@pytest.mark.parametrize("kind", ["black", "white", "noise", "flicker"])
@pytest.mark.parametrize("size", [(16, 16), (1, 1), (33, 31), (40, 72), (90, 50), (5, 120)])
def test_depth_is_finite_and_in_range_for_any_picture_and_size(kind: str, size: tuple[int, int]) -> None:
    depth = estimate(extreme_clip(kind, *size), np.arange(10) == 0)
    assert depth.shape == (10, *size)
    assert depth.dtype == np.float32
    assert np.isfinite(depth).all()
    assert depth.min() >= 0
    assert depth.max() <= 1


def test_nothing_in_gives_nothing_out() -> None:
    estimator = CuesDepth()
    assert estimator.process(np.empty((0, 24, 32, 3), np.uint8), np.empty(0, bool)).shape == (0, 24, 32)
    assert estimator.finish().shape == (0, 24, 32)


@given(st.integers(1, 8192), st.integers(1, 8192))
def test_the_working_copy_is_small_keeps_the_aspect_and_is_never_larger_than_the_video(width: int, height: int) -> None:
    small_width, small_height = CuesDepth().working_size(width, height)
    assert 1 <= small_width <= width
    assert 1 <= small_height <= height
    if min(small_width, small_height) >= 64:
        assert small_width * small_height < 1.2 * 512 * 288
        assert small_width / small_height == pytest.approx(width / height, rel=0.13)


def test_1080p_is_worked_on_at_512_x_288_and_portrait_upright() -> None:
    assert CuesDepth().working_size(1920, 1080) == (512, 288)
    assert CuesDepth().working_size(1080, 1920) == (288, 512)


def test_the_setting_cues_makes_this_estimator() -> None:
    assert isinstance(make_depth_estimator("cues", None), CuesDepth)
