"""What the benchmarks compare with is what they say it is."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from stereo_spot_dagster.stereo.warp.exact import ExactSynthesizer  # noqa: E402

from ..stereo.motorcycle import interleaved, planar  # noqa: E402
from . import estimate, media, quality, soft_depth  # noqa: E402
from .warp import torch_exact  # noqa: E402

pytestmark = pytest.mark.slow


def test_on_a_rendered_scene_every_method_has_finite_numbers_and_background_beats_the_copy_in_holes() -> None:
    cases = quality.rendered_cases(["sideways"], [7], (192, 112))
    rows = quality.rows_of([quality.Judged.of(case) for case in cases])
    numbers = {(row.name, row.column): row.value for row in rows}
    assert len(numbers) == 6 * len(quality.METHODS)
    assert all(math.isfinite(value) for value in numbers.values())
    background, copy = (f"rendered: {name}" for name in (quality.BACKGROUND, quality.COPY))
    for measure in ("PSNR holes", "SSIM holes", "PSNR visible"):
        assert numbers[background, measure] >= numbers[copy, measure]


def test_the_silhouettes_of_soft_depth_gain_from_the_picture_where_they_lie_beside_the_object() -> None:
    cases = list(quality.rendered_cases(["sideways"], [7], (192, 112)))
    rows = soft_depth.table(cases).rows
    numbers = {(row.name, row.column): row.value for row in rows}
    assert len(rows) == 2 * len(soft_depth.KINDS) * 3 + 3
    assert all(math.isfinite(value) for value in numbers.values())
    kind = "rendered, half the size, 1 px beside"
    assert numbers[f"{kind}: picture", "PSNR all"] > numbers[f"{kind}: steep", "PSNR all"]


def test_crops_of_holes_are_written_with_a_panel_for_each_method(tmp_path) -> None:
    case = next(quality.rendered_cases(["walkers"], [7], (192, 112)))
    quality.write_holes(case, dict.fromkeys(quality.METHODS, case.left), tmp_path / "holes.png")
    assert (tmp_path / "holes.png").stat().st_size > 1000


def test_the_warp_in_torch_draws_what_exact_draws() -> None:
    rng = np.random.default_rng(1)
    # Steps with nothing in between: there is no soft edge that only `exact` would harden.
    disparity_px = np.repeat(rng.uniform(-6, 6, (24, 10)), 8, axis=1).astype(np.float32)
    left = rng.integers(0, 256, (24, 80, 3), np.uint8)
    expected = ExactSynthesizer().synthesize(planar(left), disparity_px)
    image = torch.from_numpy(np.moveaxis(left, -1, 0)[None].astype(np.float32))
    right, hidden = torch_exact(image, torch.from_numpy(disparity_px[None, None]))
    seen = expected.occlusion == 0
    assert np.array_equal(hidden[0, 0].numpy() == 0, seen)
    shown = np.rint(np.moveaxis(right[0].numpy(), 0, -1))
    assert np.abs(shown - interleaved(expected.frame))[seen].max() <= 1


def test_the_estimate_counts_the_published_passes() -> None:
    # The published scripts: 8 steps, two passes each, 23 frames for 20 new ones; 70 for 45.
    whole = estimate.published_stereocrafter(1024, 512, 1)
    assert whole.passed == pytest.approx(8 * 2 * 23 / 20 * 512 / 576)
    depth = estimate.depthcrafter(estimate.DepthCrafterOptions.reference())
    assert depth.passed == pytest.approx(8 * 2 * 70 / 45)


def test_planning_and_joining_is_measured_on_a_result_that_lost_nothing() -> None:
    # The benchmark itself counts the frames of the result.
    rows = {row.name: row.value for row in media.run(loops=2, rounds=1)}
    assert all(value > 0 for value in rows.values())
    assert rows["join / ffmpeg -c copy"] == pytest.approx(rows["join"] / rows["plain ffmpeg -c copy"])
