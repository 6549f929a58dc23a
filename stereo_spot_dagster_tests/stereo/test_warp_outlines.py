"""Silhouettes of estimated depth lie where the picture has its edges, and nothing else of the depth changes."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from stereo_spot_dagster.domain.settings import DepthEdges
from stereo_spot_dagster.stereo.frame import Frame, PixelFormat
from stereo_spot_dagster.stereo.warp import disparity_from_depth
from stereo_spot_dagster.stereo.warp.outlines import disparity_of

from .golden_data import golden
from .motorcycle import motorcycle, psnr_db
from .scenes import Stereo, render
from .soft_depth import SoftDepth

WIDTH, HEIGHT = 160, 96
FORMATS = [PixelFormat(8, 0, 0), PixelFormat(8, 1, 1), PixelFormat(10, 1, 0), PixelFormat(10, gray=True)]


def square(picture: PixelFormat, near: int = 200, far: int = 60) -> tuple[Frame, NDArray[np.bool_]]:
    """A bright square before a dark background, noisy as a camera sees it; and where it is."""
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[24:72, 48:112] = True
    unit, rng = picture.max_value / 255, np.random.default_rng(0)
    luma = np.where(inside, near, far) + rng.normal(0, 3, inside.shape)
    planes = [np.rint(luma * unit)]
    planes += [np.full(shape, picture.max_value // 2) for shape in picture.plane_shapes(WIDTH, HEIGHT)[1:]]
    return Frame(tuple(plane.astype(picture.dtype) for plane in planes), picture), inside


def depth_of(inside: NDArray[np.bool_], moved_px: int) -> NDArray[np.float32]:
    """Soft depth of a quarter of the pixels, whose silhouettes lie ``moved_px`` picture pixels too far right."""
    true = np.roll(np.where(inside, 0.9, 0.2), moved_px, axis=1).astype(np.float32)
    small = cv2.resize(true, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(small, (0, 0), 1.0), np.float32)


def near_of(disparity_px: NDArray[np.float32]) -> NDArray[np.bool_]:
    return disparity_px > 0.55


@pytest.mark.parametrize("picture", FORMATS, ids=lambda picture: picture.ffmpeg_name)
def test_a_silhouette_beside_the_object_is_moved_to_it(picture: PixelFormat) -> None:
    left, inside = square(picture)
    depth, strength = depth_of(inside, 2), 100 / WIDTH
    wrong = {
        edges: int((near_of(disparity_of(depth, left, edges, strength, 0.0)) != inside).sum()) for edges in DepthEdges
    }
    # 2 px beside two sides of 48 px each, and the corners.
    assert wrong[DepthEdges.STEEP] > 180
    assert wrong[DepthEdges.PICTURE] < wrong[DepthEdges.STEEP] / 3


def test_without_a_difference_in_colour_depth_alone_decides() -> None:
    left, inside = square(FORMATS[0], near=60)
    depth = depth_of(inside, 3)
    steep, picture = (
        disparity_of(depth, left, edges, 100 / WIDTH, 0.0) for edges in (DepthEdges.STEEP, DepthEdges.PICTURE)
    )
    assert (near_of(steep) != near_of(picture)).mean() < 0.002


def test_surfaces_without_silhouettes_are_left_as_they_are() -> None:
    left, _ = square(FORMATS[1])
    slanted = np.add.outer(np.linspace(0, 0.4, HEIGHT // 4), np.linspace(0, 0.6, WIDTH // 4)).astype(np.float32)
    made = disparity_of(slanted, left, DepthEdges.PICTURE, 4.0, 0.5)
    np.testing.assert_array_equal(made, disparity_from_depth(slanted, WIDTH, HEIGHT, 4.0, 0.5))


def test_depth_of_the_picture_s_size_is_only_scaled() -> None:
    left, inside = square(FORMATS[1])
    depth = np.where(inside, 0.9, 0.2).astype(np.float32)
    for edges in DepthEdges:
        np.testing.assert_allclose(disparity_of(depth, left, edges, 5.0, 0.25), (depth - 0.25) * 8.0, atol=1e-5)


def test_soft_edges_are_enlarged_as_published() -> None:
    case = golden("depthcrafter_tiny/c_infer_postproc")
    height, width = case["depth_original_size"].shape[1:]
    black = Frame((np.zeros((height, width), np.uint8),), PixelFormat(8, gray=True))
    large = np.stack(
        [disparity_of(depth, black, DepthEdges.SOFT, 100 / width, 0.0) for depth in case["depth_no_resize"]]
    )
    # The published step stretches to 0..1 after it.
    stretched = (large - large.min()) / (large.max() - large.min())
    np.testing.assert_allclose(stretched, case["depth_original_size"], rtol=0, atol=1e-4)


def test_the_second_eye_of_a_real_picture_gains_from_it() -> None:
    pair = motorcycle()
    # As Depth Anything sees 1080p: half the size, and a pixel beside.
    soft = SoftDepth.of(pair.disparity_px, 2, 1.2, 1.0)
    steep, picture = (
        psnr_db(soft.second_eye(pair.left, edges), pair.right) for edges in (DepthEdges.STEEP, DepthEdges.PICTURE)
    )
    # Measured 21.36 and 21.59 dB.
    assert picture > steep + 0.1


@pytest.mark.parametrize("scene", ["walkers", "sideways"])
@pytest.mark.parametrize(("beside_px", "gain_db"), [(1.0, 0.3), (0.0, -0.1)])
def test_rendered_scenes_gain_most_where_silhouettes_lie_beside_the_object(
    scene: str, beside_px: float, gain_db: float
) -> None:
    clip = render(scene, 480, 272, frames=1, seed=101, stereo=Stereo(4.0, 0.5))
    soft = SoftDepth.of(clip.disparity_px[0], 2, 1.2, beside_px)
    steep, picture = (
        psnr_db(soft.second_eye(clip.left[0], edges), clip.right[0]) for edges in (DepthEdges.STEEP, DepthEdges.PICTURE)
    )
    assert picture > steep + gain_db
