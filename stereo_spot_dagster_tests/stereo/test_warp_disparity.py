"""Depth to disparity: the formula, and silhouettes that stay sharp when a small map is enlarged."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from cv2.typing import MatLike
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stereo_spot_dagster.stereo.warp import disparity_from_depth


def blurred(values: MatLike, sigma_px: float) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma_px), np.float32)


@given(
    divergence=st.floats(0, 10), convergence=st.floats(0, 1), level=st.floats(0, 1), width=st.sampled_from([64, 854])
)
@settings(max_examples=40, deadline=None)
def test_flat_depth_follows_the_formula(divergence: float, convergence: float, level: float, width: int) -> None:
    disparity_px = disparity_from_depth(np.full((9, 16), level, np.float32), width, 36, divergence, convergence)
    assert disparity_px.shape == (36, width)
    assert disparity_px.dtype == np.float32
    np.testing.assert_allclose(disparity_px, divergence / 100 * width * (level - convergence), atol=1e-4)


def test_depth_of_the_picture_s_size_is_only_scaled() -> None:
    depth = np.random.default_rng(0).random((24, 40), np.float32)
    np.testing.assert_allclose(disparity_from_depth(depth, 40, 24, 5.0, 0.25), (depth - 0.25) * 2.0, atol=1e-6)


@pytest.mark.parametrize("size", [(40, 24), (121, 67), (10, 6)])
def test_smooth_depth_is_interpolated_bilinearly(size: tuple[int, int]) -> None:
    depth = blurred(np.random.default_rng(1).random((12, 20), np.float32), 5)
    expected = cv2.resize(depth, size, interpolation=cv2.INTER_LINEAR)
    disparity_px = disparity_from_depth(depth, *size, 100.0 / size[0], 0.0)
    np.testing.assert_allclose(disparity_px, expected, atol=2e-3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 1)])
def test_maps_one_pixel_high_or_wide_are_enlarged_too(shape: tuple[int, int]) -> None:
    depth = np.linspace(0, 1, shape[0] * shape[1], dtype=np.float32).reshape(shape)
    disparity_px = disparity_from_depth(depth, 32, 18, 100 / 32, 0.0)
    assert disparity_px.shape == (18, 32)
    assert disparity_px[0, 0] == depth[0, 0]
    assert disparity_px[-1, -1] == depth[-1, -1]


def test_a_blurred_silhouette_becomes_a_step_close_to_the_true_outline() -> None:
    truth = np.full((180, 320), 0.2, np.float32)
    cv2.circle(truth, (160, 90), 50, 0.9, -1)
    small = blurred(cv2.resize(truth, (80, 45), interpolation=cv2.INTER_AREA), 0.8)
    depth = disparity_from_depth(small, 320, 180, 100 / 320, 0.0)
    between = (depth > 0.25) & (depth < 0.85)
    plain = cv2.resize(small, (320, 180), interpolation=cv2.INTER_LINEAR)
    assert between.mean() < 0.1 * ((plain > 0.25) & (plain < 0.85)).mean()
    wrong = (depth > 0.55) != (truth > 0.55)
    rim = 2 * np.pi * 50
    assert wrong.sum() < 3 * rim


def test_a_slanted_surface_keeps_its_slant_at_any_strength() -> None:
    depth = np.tile(np.linspace(0, 1, 96, dtype=np.float32), (54, 1))
    for divergence in (1.0, 2.0, 10.0):
        disparity_px = disparity_from_depth(depth, 960, 540, divergence, 0.5)
        steps = np.diff(disparity_px[:, 10:-10], axis=1)
        assert steps.max() < 1.1 * divergence / 100 * 960 / 950
        assert steps.min() > 0.9 * divergence / 100 * 960 / 950
