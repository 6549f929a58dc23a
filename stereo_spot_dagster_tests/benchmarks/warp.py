"""Speed of warp and fill at 1080p, and picture quality on a real pair.

Run with ``python -m stereo_spot_dagster_tests.benchmarks.warp [result.json]``.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stereo_spot_dagster.stereo.frame import Frame, PixelFormat
from stereo_spot_dagster.stereo.inpaint.background import BackgroundInpainter
from stereo_spot_dagster.stereo.warp import disparity_from_depth
from stereo_spot_dagster.stereo.warp.base import SynthesizedView
from stereo_spot_dagster.stereo.warp.exact import ExactSynthesizer
from stereo_spot_dagster.stereo.warp.reference import ReferenceSynthesizer

from ..stereo.motorcycle import interleaved, motorcycle, planar, psnr_db
from .report import Row, print_table, write_json
from .timing import median_ms

WIDTH, HEIGHT = 1920, 1080
DEPTH_SIZE = (480, 270)
FORMATS = (PixelFormat(8, 0, 0), PixelFormat(8, 1, 1), PixelFormat(10, 1, 1))


def run() -> list[Row]:
    """All rows of this benchmark; the torch ones only where torch is installed."""
    return [*speed(), *quality()]


def speed() -> list[Row]:
    """Milliseconds of each step for one 1080p eye, medians."""
    depth = scene_depth()
    disparity_px = disparity_from_depth(depth, WIDTH, HEIGHT, 2.0, 0.5)
    rows = [
        Row(
            "disparity_from_depth",
            median_ms(lambda: disparity_from_depth(depth, WIDTH, HEIGHT, 2.0, 0.5)),
            "ms",
            f"from {DEPTH_SIZE[0]}x{DEPTH_SIZE[1]}",
        )
    ]
    synthesizer, inpainter = ExactSynthesizer(), BackgroundInpainter()
    for picture in FORMATS:
        left = textured(picture)
        view = synthesizer.synthesize(left, disparity_px)
        note = f"{(view.occlusion > 0).mean() * 100:.1f} % holes"
        warp_ms = median_ms(lambda left=left: synthesizer.synthesize(left, disparity_px))
        fill_ms = median_ms(lambda view=view: inpainter.fill(view))
        rows.append(Row(f"exact {picture.ffmpeg_name}", warp_ms, "ms"))
        rows.append(Row(f"background {picture.ffmpeg_name}", fill_ms, "ms", note))
    left, reference = textured(FORMATS[0]), ReferenceSynthesizer()
    reference_ms = median_ms(lambda: reference.synthesize(left, disparity_px), runs=5)
    rows.append(Row("reference yuv444p", reference_ms, "ms"))
    return [*rows, *torch_comparison(left, disparity_px)]


def torch_comparison(left: Frame, disparity_px: NDArray[np.float32]) -> list[Row]:
    """The soft splat in torch against ``exact``, turn by turn in one process, on the same cores."""
    try:
        import torch
    except ImportError:
        return []
    image = torch.from_numpy(np.stack(left.planes)[None].astype(np.float32) / 255)
    shift = torch.from_numpy(disparity_px[None, None])
    synthesizer = ExactSynthesizer()
    torch_ms, exact_ms = [], []
    for _ in range(9):
        torch_ms.append(median_ms(lambda: torch_soft_splat(image, shift), runs=1))
        exact_ms.append(median_ms(lambda: synthesizer.synthesize(left, disparity_px), runs=3))
    note = f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    ratio = statistics.median(torch_ms) / statistics.median(exact_ms)
    undisturbed = min(torch_ms) / min(exact_ms)
    return [
        Row("soft splat in torch, 3 planes", statistics.median(torch_ms), "ms", note),
        Row("exact against torch soft splat", ratio, "x", "budget: at least 15"),
        Row("exact against torch soft splat, fastest runs", undisturbed, "x", "other load counts less"),
    ]


def torch_soft_splat(image, shift):
    """The soft splat's contract in plain torch operations: four scatter-adds for colour, weight and coverage.

    Args:
        image: ``[B, C, H, W]`` float32 tensor.
        shift: ``[B, 1, H, W]`` float32 tensor, disparity in pixels.

    Returns:
        right ``[B, C, H, W]`` and occlusion ``[B, 1, H, W]``.
    """
    import torch

    batch, channels, height, width = image.shape
    weight = torch.pow(1.414, shift - shift.min())
    # One stack of weighted colour, weight and plain coverage, so that each neighbour costs one scatter.
    stack = torch.cat([image * weight, weight, torch.ones_like(shift)], 1).reshape(batch, channels + 2, -1)
    rows = torch.arange(height).view(1, height, 1).expand(batch, height, width)
    x = torch.arange(width, dtype=torch.float32) - shift[:, 0]
    left, top = torch.floor(x), rows
    kept = (left >= 0) & (left + 1 <= width - 1) & (top + 1 <= height - 1)
    part = x - left
    total = torch.zeros_like(stack)
    for down in (0, 1):
        for right in (0, 1):
            share = (part if right else 1 - part) * (0.0 if down else 1.0) * kept
            index = torch.where(kept, (top + down) * width + left.long() + right, 0).view(batch, 1, -1)
            total.scatter_add_(2, index.expand_as(stack), stack * share.view(batch, 1, -1))
    total = total.view(batch, channels + 2, height, width)
    view = total[:, :channels] / total[:, channels : channels + 1].clamp(min=1e-6)
    return view, 1 - total[:, channels + 1 :].clamp(0, 1)


def quality() -> list[Row]:
    """PSNR on the Middlebury motorcycle, true disparity, in the pixels ``exact`` calls visible, its holes, and all."""
    pair = motorcycle()
    left = planar(pair.left)
    view = ExactSynthesizer().synthesize(left, pair.disparity_px)
    soft = ReferenceSynthesizer().synthesize(left, pair.disparity_px)
    hole = view.occlusion > 0
    shown = {
        "copy of the left eye": pair.left,
        "soft splat, holes as it leaves them": interleaved(soft.frame),
        "soft splat + background": filled(soft),
        "exact + background": filled(view),
    }
    parts = {"visible": ~hole, "holes": hole, "all": np.ones_like(hole)}
    return [
        Row(f"{method}: {part}", psnr_db(picture[where], pair.right[where]), "dB", "motorcycle")
        for method, picture in shown.items()
        for part, where in parts.items()
    ]


def filled(view: SynthesizedView) -> NDArray[np.uint8]:
    """``[H, W, 3]`` of ``view`` after the background inpainter."""
    return interleaved(BackgroundInpainter().fill(view))


def scene_depth() -> NDArray[np.float32]:
    """Depth as an estimator gives it: a ground plane, a dozen objects, silhouettes soft over about two pixels."""
    rng = np.random.default_rng(5)
    width, height = DEPTH_SIZE
    depth = np.repeat(np.linspace(0.05, 0.6, height, dtype=np.float32)[:, None], width, axis=1)
    for level in np.sort(rng.uniform(0.3, 1.0, 12)):
        center = (int(rng.integers(0, width)), int(rng.integers(height // 4, height)))
        axes = (int(rng.integers(10, 50)), int(rng.integers(20, 90)))
        cv2.ellipse(depth, center, axes, 0, 0, 360, float(level), -1)
    return np.asarray(cv2.GaussianBlur(depth, (0, 0), 0.8), np.float32)


def textured(picture: PixelFormat) -> Frame:
    """Smooth noise in every plane: neither flat nor random, like a photograph."""
    rng = np.random.default_rng(6)
    planes = []
    for rows, columns in picture.plane_shapes(WIDTH, HEIGHT):
        noise = cv2.GaussianBlur(rng.random((rows, columns), np.float32), (0, 0), 1.5)
        planes.append((np.clip((noise - 0.5) * 3 + 0.5, 0, 1) * picture.max_value).astype(picture.dtype))
    return Frame(tuple(planes), picture)


if __name__ == "__main__":
    results = run()
    print_table("Warp and fill", results)
    if len(sys.argv) > 1:
        write_json(Path(sys.argv[1]), results)
