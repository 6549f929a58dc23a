"""The reference synthesizer: StereoCrafter's splat, number by number, and what holds when it meets planes of YUV."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stereo_spot_dagster.domain.settings import Synthesizer
from stereo_spot_dagster.stereo.frame import Frame, PixelFormat
from stereo_spot_dagster.stereo.warp import make_synthesizer
from stereo_spot_dagster.stereo.warp.reference import ReferenceSynthesizer, soft_splat

from ..benchmarks.warp import torch_soft_splat

GOLDEN = Path(__file__).parent / "golden" / "splat"
CASES = sorted(path.stem for path in GOLDEN.glob("*.npz") if path.stem != "script_grid")
TOLERANCE = 1e-5


def flat(height: int, width: int, disparity_px: float) -> NDArray[np.float32]:
    return np.full((height, width), disparity_px, np.float32)


def test_all_golden_files_are_here() -> None:
    assert len(CASES) == 11


@pytest.mark.parametrize("case", CASES)
def test_splat_equals_the_original(case: str) -> None:
    golden = np.load(GOLDEN / f"{case}.npz")
    right, occlusion = soft_splat(golden["image"], golden["disparity"])
    np.testing.assert_allclose(right, golden["right"], atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(occlusion, golden["occlusion"], atol=TOLERANCE, rtol=0)


def test_whole_splatting_step_of_the_original_script_is_reproduced() -> None:
    golden = np.load(GOLDEN / "script_grid.npz")
    frames = golden["frames_u8"].astype(np.float32).transpose(0, 3, 1, 2) / 255
    disparity = ((2 * golden["depth"] - 1) * golden["max_disp"])[:, None].astype(np.float32)
    batches = [soft_splat(frames[first : first + 3], disparity[first : first + 3]) for first in (0, 3)]
    right, occlusion = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    np.testing.assert_allclose(right, golden["right"], atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(occlusion, golden["occlusion"], atol=TOLERANCE, rtol=0)
    shown = np.concatenate([np.repeat(occlusion, 3, axis=1), right], axis=3)
    panels = (np.clip(shown, 0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    off = np.abs(golden["grid_u8"][:, 32:].astype(int) - panels)
    # Truncated, so that the last bit of a sum can be a level where unchanged 8 bit values come back.
    assert off.max() <= 1
    assert (off > 0).mean() < 0.05


@pytest.mark.parametrize("range_px", [256.0, 400.0, 3000.0])
def test_ranges_that_overflow_single_precision_stay_finite(range_px: float) -> None:
    disparity = np.zeros((1, 1, 4, 64), np.float32)
    disparity[..., 30:40] = 20
    disparity[..., 0] = 20 - range_px
    image = np.zeros((1, 1, 4, 64), np.float32)
    image[..., 30:40] = 1
    right, occlusion = soft_splat(image, disparity)
    assert np.isfinite(right).all()
    assert np.isfinite(occlusion).all()
    near, far = 1.414**20, 1
    np.testing.assert_allclose(right[0, 0, 0, 10:20], near / (near + far), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["smooth_pm6", "strong_positive", "batch2"])
def test_the_torch_form_that_benchmarks_compare_with_does_the_same_work(case: str) -> None:
    torch = pytest.importorskip("torch")
    golden = np.load(GOLDEN / f"{case}.npz")
    image, disparity = torch.from_numpy(golden["image"]), torch.from_numpy(golden["disparity"])
    right, occlusion = torch_soft_splat(image, disparity)
    np.testing.assert_allclose(right.numpy(), golden["right"], atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(occlusion.numpy(), golden["occlusion"], atol=TOLERANCE, rtol=0)


def test_splat_refuses_disparity_of_another_size() -> None:
    with pytest.raises(ValueError, match="disparity is"):
        soft_splat(np.zeros((1, 3, 4, 8), np.float32), np.zeros((1, 1, 4, 9), np.float32))


@pytest.mark.parametrize(
    "picture", [PixelFormat(8, 0, 0), PixelFormat(10, 1, 1), PixelFormat(12, 1, 0), PixelFormat(16, gray=True)]
)
def test_planes_are_splatted_like_float_images(picture: PixelFormat) -> None:
    rng = np.random.default_rng(3)
    shapes = picture.plane_shapes(37, 21)
    planes = tuple(rng.integers(0, picture.max_value + 1, shape).astype(picture.dtype) for shape in shapes)
    disparity_px = rng.uniform(-4, 6, (21, 37)).astype(np.float32)
    view = ReferenceSynthesizer().synthesize(Frame(planes, picture), disparity_px)
    image = planes[0][None, None].astype(np.float32) / np.float32(picture.max_value)
    right, occlusion = soft_splat(image, disparity_px[None, None])
    luma = view.frame.planes[0].astype(np.float32) / picture.max_value
    np.testing.assert_allclose(luma, right[0, 0], atol=0.501 / picture.max_value + 1e-6)
    assert (view.occlusion >= (occlusion[0, 0] * 255).astype(np.uint8)).all()
    for warped, plane in zip(view.frame.planes, planes, strict=True):
        assert warped.dtype == plane.dtype
        assert warped.shape == plane.shape


@pytest.mark.parametrize("picture", [PixelFormat(8, 1, 1), PixelFormat(8, 1, 0), PixelFormat(8, 0, 0)])
@pytest.mark.parametrize(("width", "height"), [(64, 32), (33, 17)])
def test_no_visible_pixel_lacks_its_colour(picture: PixelFormat, width: int, height: int) -> None:
    shapes = picture.plane_shapes(width, height)
    left = Frame(tuple(np.full(shape, 200, np.uint8) for shape in shapes), picture)
    disparity_px = flat(height, width, -1.0)
    disparity_px[:, 10:25] = 6.3
    view = ReferenceSynthesizer().synthesize(left, disparity_px)
    rows = np.arange(height) >> picture.chroma_y
    columns = np.arange(width) >> picture.chroma_x
    visible = view.occlusion < 255
    assert visible.mean() > 0.5
    for plane in view.frame.planes[1:]:
        assert (plane[np.ix_(rows, columns)][visible] == 200).all()


def test_disparity_seen_is_that_of_the_near_surface() -> None:
    disparity_px = flat(6, 80, 0.0)
    disparity_px[:, 40:60] = 20.0
    left = Frame((np.zeros((6, 80), np.uint8),), PixelFormat(8, gray=True))
    view = ReferenceSynthesizer().synthesize(left, disparity_px)
    assert view.disparity_px[0, 25] == pytest.approx(20.0, abs=0.1)
    assert view.disparity_px[0, 70] == 0


def test_the_setting_reference_makes_the_reference_synthesizer() -> None:
    assert make_synthesizer(Synthesizer.REFERENCE).name == "reference"
