"""The right eye of a real scene, made from its left one and the measured disparity, against the true one."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from stereo_spot_dagster.stereo.inpaint.background import BackgroundInpainter
from stereo_spot_dagster.stereo.warp import disparity_from_depth
from stereo_spot_dagster.stereo.warp.exact import ExactSynthesizer
from stereo_spot_dagster.stereo.warp.reference import ReferenceSynthesizer

from .motorcycle import StereoPair, interleaved, motorcycle, planar, psnr_db


@dataclass(frozen=True)
class RightEyes:
    """What each method shows, ``[H, W, 3]`` uint8, and the holes of the exact one, ``[H, W]`` bool."""

    pair: StereoPair
    exact: NDArray[np.uint8]
    soft: NDArray[np.uint8]
    hole: NDArray[np.bool_]


@pytest.fixture(scope="module")
def eyes() -> RightEyes:
    pair = motorcycle()
    left = planar(pair.left)
    view = ExactSynthesizer().synthesize(left, pair.disparity_px)
    exact = interleaved(BackgroundInpainter().fill(view))
    soft = interleaved(ReferenceSynthesizer().synthesize(left, pair.disparity_px).frame)
    return RightEyes(pair, exact, soft, view.occlusion > 0)


def test_visible_pixels_reach_27_db(eyes: RightEyes) -> None:
    visible = ~eyes.hole
    assert visible.mean() > 0.85
    exact_db = psnr_db(eyes.exact[visible], eyes.pair.right[visible])
    assert exact_db >= 27.0
    assert exact_db > psnr_db(eyes.pair.left[visible], eyes.pair.right[visible]) + 10


def test_filled_holes_are_far_closer_to_the_truth_than_the_soft_splat_leaves_them(eyes: RightEyes) -> None:
    right = eyes.pair.right
    filled_db = psnr_db(eyes.exact[eyes.hole], right[eyes.hole])
    assert filled_db > 15.5
    assert filled_db > psnr_db(eyes.soft[eyes.hole], right[eyes.hole]) + 5
    assert psnr_db(eyes.exact, right) > psnr_db(eyes.soft, right) + 4


def test_small_soft_depth_is_sharpened_rather_than_spread_over_the_holes(eyes: RightEyes) -> None:
    pair = eyes.pair
    height, width = pair.disparity_px.shape
    strength_px = float(np.ptp(pair.disparity_px))
    depth = (pair.disparity_px - pair.disparity_px.min()) / np.float32(strength_px)
    small = cv2.resize(depth, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    plane = -float(pair.disparity_px.min()) / strength_px
    made_px = disparity_from_depth(small, width, height, strength_px / width * 100, plane)
    sharp = interleaved(BackgroundInpainter().fill(ExactSynthesizer().synthesize(planar(pair.left), made_px)))
    sheet_px = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR) * strength_px
    sheet = _stretched(pair.left, sheet_px + pair.disparity_px.min())
    assert psnr_db(sharp, pair.right) > psnr_db(sheet, pair.right) + 2


def _stretched(left: NDArray[np.uint8], disparity_px: NDArray[np.float32]) -> NDArray[np.uint8]:
    """What a renderer without occlusion shows: the left picture seen through the disparity of the left pixel there."""
    columns, rows = np.meshgrid(*(np.arange(size, dtype=np.float32) for size in left.shape[1::-1]))
    shifted = columns + disparity_px.astype(np.float32)
    return np.asarray(cv2.remap(left, shifted, rows, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE), np.uint8)
