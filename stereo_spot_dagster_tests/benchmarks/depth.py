"""How good and how fast the weight-free depth is, beside a flat picture and a vertical ramp.

Rank correlation compares depth with true disparity. For the second eye each depth is first fitted to the true
disparity of its frame (least squares, gain and offset), so that the choice of scale does not count; it is then warped
by the ``exact`` synthesizer, filled by the ``background`` inpainter, and compared with the true right view.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from skimage.data import stereo_motorcycle
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from stereo_spot_dagster.stereo.depth import CuesDepth
from stereo_spot_dagster.stereo.depth.motion import FlowEstimator, fit_camera
from stereo_spot_dagster.stereo.depth.pictorial import pictorial_depth
from stereo_spot_dagster.stereo.depth.stabilise import edge_aware
from stereo_spot_dagster.stereo.frame import Frame, PixelFormat
from stereo_spot_dagster.stereo.inpaint.background import BackgroundInpainter
from stereo_spot_dagster.stereo.warp.exact import ExactSynthesizer

from ..stereo.scenes import SCENES, RenderedClip, Stereo, render
from .report import Row, Table, print_table
from .timing import median_ms

# Seeds and sizes that no constant of the estimator was chosen on.
HELD_OUT_SEEDS = (101, 102, 103)
HELD_OUT_SIZE = (480, 272)
FRAMES = 24
JUDGED_FRAMES = (1, 10, 22)
STEREO = Stereo(divergence_pct=4.0, convergence=0.5)
RUNS = 40

FloatMap = NDArray[np.float32]


@dataclass(frozen=True)
class Score:
    """Agreement of one depth with the truth: rank correlation, and the second eye's PSNR (dB) and SSIM."""

    spearman: float
    psnr_db: float
    ssim: float


def estimate(rgb: NDArray[np.uint8], scene_start: NDArray[np.bool_]) -> FloatMap:
    """``[T, h, w]`` depth of a whole clip by ``cues``."""
    estimator = CuesDepth()
    return np.concatenate([estimator.process(rgb, scene_start), estimator.finish()])


def ramp(height: int, width: int) -> FloatMap:
    """``[height, width]``: the row as depth, the baseline that costs nothing."""
    return np.repeat(np.linspace(0, 1, height, dtype=np.float32)[:, None], width, axis=1)


def rank_correlation(depth: FloatMap, disparity: FloatMap, known: NDArray[np.bool_] | None = None) -> float:
    """Spearman's rank correlation of ``depth`` and ``disparity`` over the ``known`` pixels, both ``[h, w]``."""
    known = np.isfinite(disparity) if known is None else known
    return float(spearmanr(depth[known], disparity[known]).statistic)


def fitted_disparity(depth: FloatMap, disparity: FloatMap) -> FloatMap:
    """``depth`` scaled and shifted to the true ``disparity`` by least squares over its finite pixels."""
    known = np.isfinite(disparity)
    gain, offset = np.polyfit(depth[known].astype(np.float64), disparity[known].astype(np.float64), 1)
    return (gain * depth + offset).astype(np.float32)


def second_eye(left: NDArray[np.uint8], disparity: FloatMap) -> NDArray[np.uint8]:
    """``[h, w, 3]`` right view of ``left`` ``[h, w, 3]``; its channels are warped like Y, U, V of 4:4:4."""
    planes = tuple(np.ascontiguousarray(left[..., channel]) for channel in range(3))
    frame = Frame(planes, PixelFormat(bit_depth=8, chroma_x=0, chroma_y=0))
    filled = BackgroundInpainter().fill(ExactSynthesizer().synthesize(frame, disparity))
    return np.stack(filled.planes, axis=-1).astype(np.uint8)


def score(depth: FloatMap, disparity: FloatMap, left: NDArray[np.uint8], right: NDArray[np.uint8]) -> Score:
    """Judge one ``[h, w]`` depth map."""
    made = second_eye(left, fitted_disparity(depth, disparity))
    return Score(rank_correlation(depth, disparity), *_likeness(right, made))


def clip_scores(clip: RenderedClip, depth: FloatMap) -> Score:
    """Mean score of the judged frames of a clip."""
    scores = [
        score(depth[frame], clip.disparity_px[frame], clip.left[frame], clip.right[frame]) for frame in JUDGED_FRAMES
    ]
    return mean_score(scores)


def mean_score(scores: list[Score]) -> Score:
    return Score(
        *(statistics.fmean(getattr(one, field) for one in scores) for field in ("spearman", "psnr_db", "ssim"))
    )


def _likeness(right: NDArray[np.uint8], made: NDArray[np.uint8]) -> tuple[float, float]:
    similar = structural_similarity(right, made, channel_axis=-1)
    return float(peak_signal_noise_ratio(right, made)), float(similar)


def scene_rows(name: str) -> list[Row]:
    cues, ramps, copies = [], [], []
    for seed in HELD_OUT_SEEDS:
        clip = render(name, *HELD_OUT_SIZE, frames=FRAMES, seed=seed, stereo=STEREO)
        cues.append(clip_scores(clip, estimate(clip.left, clip.scene_start)))
        ramps.append(clip_scores(clip, np.stack([ramp(*clip.depth.shape[1:])] * FRAMES)))
        copies += [_likeness(clip.right[frame], clip.left[frame]) for frame in JUDGED_FRAMES]
    copy = tuple(statistics.fmean(values) for values in zip(*copies, strict=True))
    return _rows(name, mean_score(cues), mean_score(ramps), copy)


def motorcycle_rows() -> list[Row]:
    left, right, disparity = stereo_motorcycle()
    height, width = left.shape[:2]
    small = cv2.resize(left, CuesDepth().working_size(width, height), interpolation=cv2.INTER_AREA)
    depth = estimate(np.stack([np.asarray(small, np.uint8)] * 3), np.array([True, False, False]))[1]
    large = cv2.resize(depth, (width, height), interpolation=cv2.INTER_LINEAR)
    scores = [score(np.asarray(one, np.float32), disparity, left, right) for one in (large, ramp(height, width))]
    return _rows("motorcycle (still)", *scores, _likeness(right, left))


def _rows(name: str, cues: Score, slope: Score, copy: tuple[float, ...]) -> list[Row]:
    return [
        Row(f"{name}: rank correlation", cues.spearman, "", f"ramp {slope.spearman:.2f}"),
        Row(f"{name}: second eye PSNR", cues.psnr_db, "dB", f"ramp {slope.psnr_db:.2f}, flat {copy[0]:.2f}"),
        Row(f"{name}: second eye SSIM", cues.ssim, "", f"ramp {slope.ssim:.3f}, flat {copy[1]:.3f}"),
    ]


def speed_rows() -> list[Row]:
    """Time at the working size of 1080p, whole and by stage."""
    width, height = CuesDepth().working_size(1920, 1080)
    clip = render("sideways", width, height, frames=RUNS, seed=HELD_OUT_SEEDS[0])
    estimator = CuesDepth()
    estimator.process(clip.left[:10], clip.scene_start[:10])
    frames = iter(range(10, RUNS))

    def step() -> None:
        frame = next(frames)
        estimator.process(clip.left[frame : frame + 1], clip.scene_start[frame : frame + 1])

    before = time.process_time()
    whole = median_ms(step, RUNS - 11)
    cpu_ms = (time.process_time() - before) * 1000 / (RUNS - 10)
    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip.left[:2]]
    flow_of = FlowEstimator()
    field = cv2.resize(flow_of.between(gray[1], gray[0]), (width // 2, height // 2)) / np.float32(-width)
    trust = np.ones(field.shape[:2], np.float32)
    guide = clip.left[0].astype(np.float32) / np.float32(255)
    small = np.asarray(cv2.resize(guide, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.float32)
    stages: dict[str, Callable[[], object]] = {
        "optical flow": lambda: flow_of.between(gray[1], gray[0]),
        "camera fit": lambda: fit_camera(field, trust, width),
        "still picture cues": lambda: pictorial_depth(small),
        "edge-aware filter": lambda: edge_aware(trust, trust, small, guide, 6, 0.02),
    }
    rows = [
        Row(f"speed at {width} x {height}", 1000 / whole, "frames/s", "work of its own, one process"),
        Row("whole frame", whole, "ms"),
        Row("whole frame, processor time", cpu_ms, "ms", "all threads; less sensitive to other work on the machine"),
    ]
    return rows + [Row(f"  {name}", median_ms(work, 15), "ms") for name, work in stages.items()]


def tables(folder: Path) -> list[Table]:
    """See :func:`run`."""
    return [Table("Depth without a model", run())]


def run() -> list[Row]:
    """All rows: each scene, the motorcycle, the speed."""
    rows = [row for name in SCENES for row in scene_rows(name)]
    return rows + motorcycle_rows() + speed_rows()


if __name__ == "__main__":
    print_table("Depth without a model", run())
