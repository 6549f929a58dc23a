"""Depth of one segment: decode small RGB pictures, estimate, store 16 bit depth."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import ffmpeg
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ..domain.errors import ProofFailed
from ..domain.models import ModelOptions
from ..domain.plan import Segment, SegmentPlan
from ..domain.settings import ConversionSettings
from ..media.frames import PictureWriter, read_gray16, read_rgb
from ..media.process import file_url
from ..media.scan import FrameTable
from ..stereo.depth import make_depth_estimator
from ..stereo.depth.base import DepthEstimator
from ..stereo.preview import depth_strip
from ..storage import keys
from .overlap import ahead
from .workspace import Workspace

_BATCH = 8
_STRIP_PICTURES = 6
_FULL_SCALE = 65535
_NOT_IN_A_KEY = re.compile(r"[^a-z0-9.-]+", re.IGNORECASE)

FrameProgress = Callable[[int], None]


class DepthRecord(BaseModel):
    """The stored depth of one segment.

    Attributes:
        key: store key of a 16 bit gray FFV1 file: 0 = farthest, 65535 = nearest.
        width, height: its size.
        frames: its pictures: exactly the segment's.
        low, median, high: 1st, 50th and 99th percentile of depth over the segment, 0..1.
    """

    model_config = ConfigDict(frozen=True)

    video: str
    segment: int
    model: str
    key: str
    width: int
    height: int
    frames: Annotated[int, Field(gt=0)]
    low: float
    median: float
    high: float
    seconds: float
    frames_per_second: float


def depth_fingerprint(plan: SegmentPlan) -> str:
    """Names the depth of a plan: another estimator or other frames give another name."""
    return f"{_NOT_IN_A_KEY.sub('-', plan.depth)}-{plan.digest[:8]}"


def existing_depth(workspace: Workspace, plan: SegmentPlan, segment: Segment) -> DepthRecord | None:
    """The depth that is stored already."""
    key = keys.depth_record(plan.video, depth_fingerprint(plan), segment)
    if not workspace.store.exists(key):
        return None
    record = DepthRecord.model_validate_json(workspace.store.read_bytes(key))
    return record if workspace.store.exists(record.key) else None


def estimate_depth(
    workspace: Workspace,
    settings: ConversionSettings,
    plan: SegmentPlan,
    frames: FrameTable,
    segment: Segment,
    progress: FrameProgress | None = None,
) -> tuple[DepthRecord, bytes]:
    """Estimate and store the depth of a segment.

    Returns:
        The record, and a JPEG strip of depth pictures over the segment.

    Raises:
        ProofFailed: the cut file does not hold the planned frames.
    """
    started = time.monotonic()
    estimator = _estimator(plan.depth, settings.depth_options(plan.depth))
    size = estimator.working_size(plan.picture.width, plan.picture.height)
    statistics = _Statistics(segment.frames)
    with workspace.folder() as folder:
        cut = workspace.store.fetch(segment.cut_key, folder)
        target = folder / "depth.mkv"
        with _depth_writer(target, size, plan.video) as writer:
            for depth in _depths(cut, plan, frames, segment, estimator, size):
                samples = np.rint(depth * _FULL_SCALE).astype("<u2")
                writer.write([samples])
                statistics.add(depth)
                if progress:
                    progress(writer.written)
        if writer.written != segment.frames:
            raise ProofFailed(plan.video, f"{writer.written} depth pictures for {segment.frames} frames")
        key = keys.depth(plan.video, depth_fingerprint(plan), segment)
        workspace.store.put(target, key)
    low, median, high = statistics.percentiles()
    seconds = time.monotonic() - started
    record = DepthRecord(
        video=plan.video,
        segment=segment.index,
        model=plan.depth,
        key=key,
        width=size[0],
        height=size[1],
        frames=segment.frames,
        low=low,
        median=median,
        high=high,
        seconds=seconds,
        frames_per_second=segment.frames / seconds,
    )
    workspace.save(record, keys.depth_record(plan.video, depth_fingerprint(plan), segment))
    return record, depth_strip(np.stack(statistics.pictures))


def read_depth(path: Path, record: DepthRecord) -> Iterator[NDArray[np.float32]]:
    """``[h, w]`` float32 depth in 0..1 of each frame of a stored segment."""
    size = (record.width, record.height)
    for samples in read_gray16(path, size=size, skip=0, count=record.frames, name=record.video):
        yield samples.astype(np.float32) * np.float32(1 / _FULL_SCALE)


@lru_cache(maxsize=1)
def _estimator(depth: str, options: ModelOptions | None) -> DepthEstimator:
    """Kept between the segments of one process, so that a model is loaded once."""
    return make_depth_estimator(depth, options)


def _depths(
    cut: Path,
    plan: SegmentPlan,
    frames: FrameTable,
    segment: Segment,
    estimator: DepthEstimator,
    size: tuple[int, int],
) -> Iterator[NDArray[np.float32]]:
    """Depth of the segment's own frames; those of the overlap are estimated and dropped."""
    estimator.reset(segment.first_needed)
    count = segment.frames + segment.overlap_frames
    starts = frames.scene_start[segment.first_needed : segment.end_frame].copy()
    starts[0] = True
    pictures = read_rgb(cut, plan.picture, size=size, skip=segment.skip_frames, count=count, name=plan.video)
    drop = segment.overlap_frames
    with ahead(_batches(pictures)) as batches:
        position = 0
        for batch in batches:
            ready = estimator.process(batch, starts[position : position + len(batch)])
            position += len(batch)
            yield from ready[drop:]
            drop = max(0, drop - len(ready))
        yield from estimator.finish()[drop:]


def _batches(pictures: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    batch: list[NDArray[np.uint8]] = []
    for picture in pictures:
        batch.append(picture)
        if len(batch) == _BATCH:
            yield np.stack(batch)
            batch = []
    if batch:
        yield np.stack(batch)


def _depth_writer(target: Path, size: tuple[int, int], name: str) -> PictureWriter:
    source = ffmpeg.input("pipe:0", format="rawvideo", pix_fmt="gray16le", s=f"{size[0]}x{size[1]}", framerate=25)
    options = {"vcodec": "ffv1", "level": 3, "g": 1, "slices": 4, "slicecrc": 1, "format": "matroska"}
    return PictureWriter(ffmpeg.output(source, file_url(target), **options), name=name)


class _Statistics:
    """A histogram of depth, and a few pictures spread over the segment."""

    def __init__(self, frames: int) -> None:
        self._counts = np.zeros(1024, np.int64)
        self._seen = 0
        self._wanted = {round(index * (frames - 1) / (_STRIP_PICTURES - 1)) for index in range(_STRIP_PICTURES)}
        self.pictures: list[NDArray[np.float32]] = []

    def add(self, depth: NDArray[np.float32]) -> None:
        sparse = depth[::4, ::4]
        bins = np.minimum((sparse * 1024).astype(np.int64), 1023)
        self._counts += np.bincount(bins.ravel(), minlength=1024)
        if self._seen in self._wanted:
            self.pictures.append(depth.copy())
        self._seen += 1

    def percentiles(self) -> tuple[float, float, float]:
        share = np.cumsum(self._counts) / max(1, self._counts.sum())
        low, median, high = (float(np.searchsorted(share, part) / 1023) for part in (0.01, 0.5, 0.99))
        return low, median, min(1.0, high)
