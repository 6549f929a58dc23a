"""Speed of warp and fill at 1080p, and picture quality on a real pair.

Run with ``python -m stereo_spot_dagster_tests.benchmarks.warp [result.json]``.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stereo_spot_dagster.stereo.frame import Frame, PixelFormat
from stereo_spot_dagster.stereo.inpaint.background import BackgroundInpainter
from stereo_spot_dagster.stereo.warp import disparity_from_depth
from stereo_spot_dagster.stereo.warp.base import SynthesizedView
from stereo_spot_dagster.stereo.warp.exact import GAP_PX, ExactSynthesizer
from stereo_spot_dagster.stereo.warp.reference import ReferenceSynthesizer

from ..stereo.motorcycle import interleaved, motorcycle, planar, psnr_db
from .report import Row, Table, print_table, write_json
from .timing import median_ms

WIDTH, HEIGHT = 1920, 1080
DEPTH_SIZE = (480, 270)
_TURNS = 9
FORMATS = (PixelFormat(8, 0, 0), PixelFormat(8, 1, 1), PixelFormat(10, 1, 1))


def tables(folder: Path) -> list[Table]:
    """See :func:`run`."""
    return [Table("Warp and fill", run())]


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
    """``exact`` against the same warp and the soft splat in torch, turn by turn in one process, on the same cores.

    On a GPU too, where there is one; the pictures are there already and stay there.
    """
    try:
        import torch
    except ImportError:
        return []
    image = torch.from_numpy(np.stack(left.planes)[None].astype(np.float32) / 255)
    shift = torch.from_numpy(disparity_px[None, None])
    works = {"exact": lambda: ExactSynthesizer().synthesize(left, disparity_px)}
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for device in devices:
        there = image.to(device), shift.to(device)
        works[f"z-ordered, torch {device}"] = _finished(torch_exact, device, *there)
        works[f"soft splat, torch {device}"] = _finished(torch_soft_splat, device, *there)
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(_TURNS):
        for name, work in works.items():
            times[name].append(median_ms(work, runs=3 if name == "exact" else 1))
    note = f"torch {torch.__version__}, {torch.get_num_threads()} threads, 1080p, 3 full planes"
    rows = [Row(name, statistics.median(times[name]), "ms", note) for name in works]
    return rows + [row for name in list(works)[1:] for row in _ratios(name, times[name], times["exact"])]


def _ratios(name: str, other_ms: list[float], exact_ms: list[float]) -> list[Row]:
    note = "budget: at least 15" if name == "soft splat, torch cpu" else ""
    usual, undisturbed = statistics.median(other_ms) / statistics.median(exact_ms), min(other_ms) / min(exact_ms)
    return [
        Row(f"{name} / exact", usual, "x", note),
        Row(f"{name} / exact, fastest runs", undisturbed, "x", "other load counts less"),
    ]


def _finished(warp: Callable, device: str, image, shift) -> Callable[[], object]:
    """``warp(image, shift)`` until the device has done it."""
    import torch

    def work() -> None:
        warp(image, shift)
        if device == "cuda":
            torch.cuda.synchronize()

    return work


def torch_exact(image, shift):
    """``exact`` in plain torch operations, but for the hardening of soft depth edges: it has less to do.

    Each pixel of the right eye keeps the rightmost left column that is drawn to it, fractional, by one scatter with
    ``amax`` for each of the at most three pixels a piece of surface covers, and one for each end of a surface. Of two
    columns drawn to one pixel, the one further right is the nearer one: ``x = t + disparity``.

    Args:
        image: ``[B, C, H, W]`` float32 tensor.
        shift: ``[B, 1, H, W]`` float32 tensor, disparity in pixels.

    Returns:
        right ``[B, C, H, W]`` and occlusion ``[B, 1, H, W]``, 1 where nothing is seen.
    """
    import torch

    width = image.shape[-1]
    columns = torch.arange(width, dtype=torch.float32, device=image.device)
    place = columns - shift[:, 0]
    # One column more than there is takes what is drawn nowhere.
    seen = torch.full((*place.shape[:2], width + 1), -1.0, device=image.device)

    def draw(target, inside, source) -> None:
        inside = inside & (target >= 0) & (target < width)
        index = torch.where(inside, target, width).long()
        seen.scatter_reduce_(2, index, torch.where(inside, source, -1.0), "amax")

    begin, end = place[..., :-1], place[..., 1:]
    joined = (begin < end) & (end <= begin + 1 + float(GAP_PX))
    first = torch.ceil(begin)
    scale = 1 / torch.where(joined, end - begin, 1.0)
    for further in range(3):
        target = first + further
        draw(target, joined & (target < end), columns[:-1] + (target - begin) * scale)
    nothing = torch.zeros_like(joined[..., :1])
    free_before, free_after = (~torch.cat(parts, -1) for parts in ((nothing, joined), (joined, nothing)))
    target = torch.ceil(place - 0.5)
    draw(target, free_before & (target < torch.ceil(place)), columns.expand_as(place))
    target = torch.ceil(place)
    draw(target, free_after & (target < torch.ceil(place + 0.5)), columns.expand_as(place))
    return _looked_up(image, seen[:, None, :, :width])


def _looked_up(image, seen):
    """``image`` ``[B, C, H, W]`` at the columns ``seen`` ``[B, 1, H, W]``, interpolated, and where there are none."""
    column = seen.clamp(min=0)
    before = column.long()
    after = (before + 1).clamp(max=image.shape[-1] - 1)
    first, second = (image.gather(3, index.expand_as(image)) for index in (before, after))
    return first + (second - first) * (column - before), (seen < 0).float()


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
    device = image.device
    rows = torch.arange(height, device=device).view(1, height, 1).expand(batch, height, width)
    x = torch.arange(width, dtype=torch.float32, device=device) - shift[:, 0]
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
