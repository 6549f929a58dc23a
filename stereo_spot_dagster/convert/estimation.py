"""Runs a depth estimator over the frames of a segment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..domain.models import ModelOptions
from ..domain.plan import Segment, SegmentPlan
from ..media.frames import read_rgb
from ..media.scan import FrameTable
from ..stereo.depth import make_depth_estimator
from ..stereo.depth.base import DepthEstimator
from .overlap import ahead

_BATCH = 8


@lru_cache(maxsize=1)
def the_estimator(depth: str, options: ModelOptions | None) -> DepthEstimator:
    """Kept between the segments of one process, so that a model is loaded once."""
    return make_depth_estimator(depth, options)


def segment_depths(
    cut: Path,
    plan: SegmentPlan,
    frames: FrameTable,
    segment: Segment,
    estimator: DepthEstimator,
    size: tuple[int, int],
) -> Iterator[NDArray[np.float32]]:
    """``[h, w]`` depth of each frame from ``segment.first_needed`` on: the overlap, then the segment's own.

    Args:
        cut: the segment's file.
        plan, frames, segment: what it holds.
        estimator: forgets everything first.
        size: (width, height) of its pictures.

    Raises:
        ProofFailed: the file holds fewer frames.
    """
    count = segment.frames + segment.overlap_frames
    starts = frames.scene_start[segment.first_needed : segment.end_frame].copy()
    starts[0] = True
    pictures = read_rgb(cut, plan.picture, size=size, skip=segment.skip_frames, count=count, name=plan.video)
    with ahead(pictures) as decoded:
        seam = _seam_after(plan, segment) if estimator.hands_over else None
        if seam is None:
            yield from estimate(estimator, decoded, starts, segment.first_needed)
        else:
            yield from _handed_over(decoded, starts, segment, seam, estimator)


def estimate(
    estimator: DepthEstimator, pictures: Iterable[NDArray[np.uint8]], starts: NDArray[np.bool_], first_frame: int
) -> Iterator[NDArray[np.float32]]:
    """``[h, w]`` depth of each of ``pictures``; the estimator forgets everything first.

    Args:
        estimator: any.
        pictures: ``[h, w, 3]`` uint8.
        starts: ``[T]``, True where a picture is the first of a shot.
        first_frame: number of the first of them.
    """
    estimator.reset(first_frame)
    position = 0
    for batch in _batches(pictures):
        yield from estimator.process(batch, starts[position : position + len(batch)])
        position += len(batch)
    yield from estimator.finish()


def _seam_after(plan: SegmentPlan, segment: Segment) -> Segment | None:
    """The next segment, if it goes on with the same shot and begins to look at it before its own frames."""
    following = plan.segments[segment.index + 1 : segment.index + 2]
    return following[0] if following and following[0].overlap_frames > 1 else None


def _handed_over(
    pictures: Iterator[NDArray[np.uint8]],
    starts: NDArray[np.bool_],
    segment: Segment,
    following: Segment,
    estimator: DepthEstimator,
) -> Iterator[NDArray[np.float32]]:
    """As :func:`estimate`, but the last maps fade to those that the next segment sees in its overlap.

    At the seam depth then changes as it does between any two frames. A second of pictures and maps is held back.
    """
    shared = following.first_needed - segment.first_needed
    kept: list[NDArray[np.uint8]] = []

    def keeping() -> Iterator[NDArray[np.uint8]]:
        for number, picture in enumerate(pictures):
            if number >= shared:
                kept.append(picture)
            yield picture

    held: list[NDArray[np.float32]] = []
    for number, depth in enumerate(estimate(estimator, keeping(), starts, segment.first_needed)):
        if number < shared:
            yield depth
        else:
            held.append(depth)
    following_starts = starts[shared:].copy()
    following_starts[:1] = True
    again = estimate(estimator, kept, following_starts, following.first_needed)
    for number, (own, other) in enumerate(zip(held, again, strict=True), 1):
        share = number / len(held)
        # Slow at both ends.
        weight = np.float32(share * share * (3 - 2 * share))
        yield np.asarray(own + weight * (other - own), np.float32)


def _batches(pictures: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    batch: list[NDArray[np.uint8]] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == _BATCH:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)
