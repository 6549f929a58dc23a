"""The camera is told from the motion it makes, whatever moves on its own."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from stereo_spot_dagster.stereo.depth.motion import (
    CameraMotion,
    FlowEstimator,
    centred_grid,
    fit_camera,
    inverse_depth,
    own_motion,
)
from stereo_spot_dagster.stereo.depth.pictorial import ground_depth, pictorial_depth
from stereo_spot_dagster.stereo.depth.stabilise import edge_aware, follow

from ..benchmarks.depth import rank_correlation
from .scenes import render

FloatMap = NDArray[np.float32]


def watched(name: str, seed: int = 3) -> tuple[FloatMap, FloatMap, CameraMotion]:
    """Motion field, true depth and fitted camera of one step of a scene."""
    clip = render(name, 320, 180, frames=3, seed=seed)
    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip.left]
    motion = (FlowEstimator().between(gray[2], gray[1]) / np.float32(-320)).astype(np.float32)
    camera = fit_camera(motion, np.ones(motion.shape[:2], np.float32), 320)
    assert camera is not None
    return motion, clip.depth[2], camera


@pytest.mark.parametrize("seed", [3, 4])
def test_a_sideways_camera_is_seen_as_moving_sideways(seed: int) -> None:
    _, _, camera = watched("sideways", seed)
    assert abs(camera.direction[0]) > 0.97
    assert camera.agree < 0.6


@pytest.mark.parametrize("seed", [3, 4])
def test_a_dolly_is_seen_as_moving_ahead(seed: int) -> None:
    _, _, camera = watched("dolly", seed)
    assert abs(camera.direction[2]) > 0.95


@pytest.mark.parametrize("name", ["sideways", "dolly", "tracking"])
def test_parallax_ranks_depth(name: str) -> None:
    motion, depth, camera = watched(name)
    nearness, strength = inverse_depth(motion, centred_grid(*depth.shape), camera)
    assert abs(rank_correlation(nearness, depth, strength > 0.5)) > 0.85


@pytest.mark.parametrize("name", ["pan", "still"])
def test_a_camera_that_only_turns_explains_all_motion(name: str) -> None:
    assert watched(name)[2].agree > 0.95


def test_walkers_are_told_from_the_still_world() -> None:
    motion, depth, camera = watched("walkers")
    assert camera.agree > 0.75
    assert camera.agree_below > 0.6
    moves = own_motion(motion, centred_grid(*depth.shape), camera) > 4 * camera.noise
    assert 0.01 < moves.mean() < 0.3
    assert depth[moves].mean() > depth[~moves].mean() + 0.2


def test_a_known_rotation_is_recovered_among_outliers() -> None:
    grid = centred_grid(72, 128)
    x, y, focal = grid[..., 0], grid[..., 1], 1.1
    pitch, yaw, roll = 0.004, -0.006, 0.01
    motion = np.stack(
        [
            x * y / focal * pitch - (focal + x * x / focal) * yaw + y * roll,
            (focal + y * y / focal) * pitch - x * y / focal * yaw - x * roll,
        ],
        axis=-1,
    ).astype(np.float32)
    motion[20:50, 30:60] += np.float32(0.02)
    camera = fit_camera(motion, np.ones((72, 128), np.float32), 512)
    assert camera is not None
    np.testing.assert_allclose(camera.pure_rotation, [pitch, yaw, roll], atol=2e-4)


def test_a_picture_with_nothing_to_trust_has_no_camera() -> None:
    assert fit_camera(np.zeros((36, 64, 2), np.float32), np.zeros((36, 64), np.float32), 128) is None


def test_a_map_follows_the_motion() -> None:
    values = np.zeros((20, 30), np.float32)
    values[8:12, 10:14] = 1
    flow = np.full((20, 30, 2), (-3, 2), np.float32)
    moved = follow(values, flow, outside=0.0)
    np.testing.assert_array_equal(moved[6:10, 13:17], 1)
    assert moved.sum() == values.sum()


def test_the_edge_of_depth_moves_to_the_edge_of_the_picture() -> None:
    guide = np.zeros((60, 80, 3), np.float32)
    guide[:, 40:] = (0.8, 0.5, 0.2)
    values = np.zeros((60, 80), np.float32)
    values[:, 37:] = 1
    truth = np.zeros((60, 80), np.float32)
    truth[:, 40:] = 1
    sure = np.ones((60, 80), np.float32)
    unsure = sure.copy()
    unsure[:, 36:42] = 0.01
    plain, drawn = (edge_aware(values, weight, guide, guide, 10, 0.02) for weight in (sure, unsure))
    assert np.abs(drawn - truth).max() < 0.25
    assert np.abs(drawn - truth).mean() < 0.5 * np.abs(plain - truth).mean()
    assert np.abs(plain - truth).mean() < np.abs(values - truth).mean() + 0.01


def test_the_edge_aware_filter_keeps_the_range_of_a_gray_picture() -> None:
    guide = np.repeat(np.random.default_rng(0).random((40, 60, 1), np.float32), 3, axis=2)
    values = np.full((40, 60), 0.7, np.float32)
    drawn = edge_aware(values, np.ones_like(values), guide, guide, 4, 0.02)
    np.testing.assert_allclose(drawn, 0.7, atol=1e-3)


def test_lower_ground_is_nearer_and_a_bright_smooth_top_is_far() -> None:
    assert (np.diff(ground_depth(np.arange(50), 50)) > 0).all()
    rng = np.random.default_rng(0)
    picture = rng.uniform(0.2, 0.6, (90, 160, 3)).astype(np.float32)
    picture[:40] = (0.7, 0.8, 0.95)
    depth = pictorial_depth(picture)
    assert depth[:34].max() < 0.02
    assert depth[60:].min() > 0.25
