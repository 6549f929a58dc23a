"""Depth of one segment: decode small RGB pictures, estimate, store 16 bit depth."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ..domain.errors import ProofFailed
from ..domain.models import DepthCrafterOptions, DepthKind, DepthRangeKind, PictureDepthOptions, parse_depth
from ..domain.plan import Segment, SegmentPlan, ShotSurvey
from ..domain.settings import ConversionSettings
from ..media.frames import gray16_writer, read_gray16
from ..media.scan import FrameTable
from ..stereo.depth.base import DepthEstimator
from ..stereo.preview import depth_strip
from ..storage import keys
from .estimation import segment_depths, the_estimator
from .relative_depth import RawDepths
from .supplied_depth import read_supplied, supplied_depth_of
from .surveys import survey_samples
from .workspace import Workspace

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
        seconds: all the work took.
        frames_per_second: of the segment, in these seconds.
        device: what the model ran on: ``CPU`` or the name of the GPU.
        peak_memory_mb: GPU memory it used at most, MB; 0 on a CPU.
        notes: what happened that a person should know, in words.
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
    device: str = "CPU"
    peak_memory_mb: float = 0.0
    notes: tuple[str, ...] = ()


def depth_fingerprint(plan: SegmentPlan) -> str:
    """Names the depth of a plan: another estimator or other frames give another name."""
    choice = parse_depth(plan.depth)
    # A path says nothing to others, and can be longer than a file name may be.
    name = choice.kind.value if choice.path else plan.depth
    return f"{_NOT_IN_A_KEY.sub('-', name)}-{plan.digest[:8]}"


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
    statistics, run, writing = _Statistics(segment.frames), _Run(), progress
    with workspace.folder() as folder:
        if parse_depth(plan.depth).kind is DepthKind.FILE:
            size, samples = _supplied(workspace, plan, segment, folder)
        else:
            estimator = the_estimator(plan.depth, settings.depth_options(plan.depth))
            size = estimator.working_size(plan.picture.width, plan.picture.height)
            job = _Job(workspace, plan, frames, segment, estimator, size, folder, _range_kind(settings, plan))
            samples = _estimated(job, run, progress)
            if estimator.relative:
                # Its frames count when they are estimated; they are written when all of them are.
                writing = None
        target = folder / "depth.mkv"
        with gray16_writer(target, size, plan.video) as writer:
            for picture in samples:
                writer.write([picture])
                statistics.add(picture)
                if writing:
                    writing(writer.written)
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
        device=run.device,
        peak_memory_mb=run.peak_memory_mb,
        notes=tuple(dict.fromkeys(run.notes)),
    )
    workspace.save(record, keys.depth_record(plan.video, depth_fingerprint(plan), segment))
    return record, depth_strip(np.stack(statistics.pictures))


def read_depth(path: Path, record: DepthRecord) -> Iterator[NDArray[np.float32]]:
    """``[h, w]`` float32 depth in 0..1 of each frame of a stored segment."""
    size = (record.width, record.height)
    for samples in read_gray16(path, size=size, skip=0, count=record.frames, name=record.video):
        yield samples.astype(np.float32) * np.float32(1 / _FULL_SCALE)


@dataclass(frozen=True)
class _Job:
    """A segment whose depth is estimated; ``size`` is (width, height) of the maps, ``folder`` is scratch."""

    workspace: Workspace
    plan: SegmentPlan
    frames: FrameTable
    segment: Segment
    estimator: DepthEstimator
    size: tuple[int, int]
    folder: Path
    range_kind: DepthRangeKind

    def raw(self) -> Iterator[NDArray[np.float32]]:
        """What the estimator says, from the overlap on."""
        cut = self.workspace.store.fetch(self.segment.cut_key, self.folder)
        return segment_depths(cut, self.plan, self.frames, self.segment, self.estimator, self.size)

    def survey(self, survey: ShotSurvey) -> NDArray[np.float32]:
        fingerprint = depth_fingerprint(self.plan)
        return survey_samples(self.workspace, self.plan, fingerprint, survey, self.estimator, self.size)


@dataclass
class _Run:
    """What an estimator has to say about its work."""

    device: str = "CPU"
    peak_memory_mb: float = 0.0
    notes: tuple[str, ...] = ()

    def note(self, estimator: DepthEstimator) -> None:
        """To be called before the estimator forgets what it did."""
        self.device = estimator.device
        self.peak_memory_mb = max(self.peak_memory_mb, estimator.peak_memory_mb)
        self.notes += estimator.notes()


def _estimated(job: _Job, run: _Run, progress: FrameProgress | None) -> Iterator[NDArray[np.uint16]]:
    """``[h, w]`` stored depth of each of the segment's frames."""
    if not job.estimator.relative:
        yield from _stored(_own(job))
        run.note(job.estimator)
        return
    # The range of a shot is known when all of it was seen.
    raw = RawDepths(job.folder / "raw", job.segment, job.plan.surveys, job.range_kind)
    for done in raw.write(job.raw()):
        if progress:
            progress(done)
    run.note(job.estimator)
    yield from _stored(raw.normalised(job.frames, job.survey))
    # It may have estimated a survey meanwhile.
    run.note(job.estimator)


def _range_kind(settings: ConversionSettings, plan: SegmentPlan) -> DepthRangeKind:
    options = settings.depth_options(plan.depth)
    known = isinstance(options, (DepthCrafterOptions, PictureDepthOptions))
    return options.depth_range if known else DepthRangeKind.PERCENTILES


def _own(job: _Job) -> Iterator[NDArray[np.float32]]:
    """Depth of the segment's own frames; those of the overlap are estimated and dropped."""
    for number, depth in enumerate(job.raw()):
        if number >= job.segment.overlap_frames:
            yield depth


def _stored(depths: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.uint16]]:
    for depth in depths:
        yield np.rint(depth * _FULL_SCALE).astype("<u2")


def _supplied(
    workspace: Workspace, plan: SegmentPlan, segment: Segment, folder: Path
) -> tuple[tuple[int, int], Iterator[NDArray[np.uint16]]]:
    """Size and pictures of the depth that came with the video, for a segment's frames."""
    supplied = supplied_depth_of(workspace.source(plan.video))
    first = plan.first_source_frame + segment.first_frame
    pictures = read_supplied(workspace, supplied, first, segment.frames, folder, plan.video)
    return (supplied.width, supplied.height), pictures


class _Statistics:
    """A histogram of depth, and a few pictures spread over the segment."""

    def __init__(self, frames: int) -> None:
        self._counts = np.zeros(1024, np.int64)
        self._seen = 0
        self._wanted = {round(index * (frames - 1) / (_STRIP_PICTURES - 1)) for index in range(_STRIP_PICTURES)}
        self.pictures: list[NDArray[np.float32]] = []

    def add(self, samples: NDArray[np.uint16]) -> None:
        """Count a stored picture."""
        self._counts += np.bincount((samples[::4, ::4] >> 6).ravel(), minlength=1024)
        if self._seen in self._wanted:
            self.pictures.append(samples.astype(np.float32) * np.float32(1 / _FULL_SCALE))
        self._seen += 1

    def percentiles(self) -> tuple[float, float, float]:
        share = np.cumsum(self._counts) / max(1, self._counts.sum())
        low, median, high = (float(np.searchsorted(share, part) / 1023) for part in (0.01, 0.5, 0.99))
        return low, median, min(1.0, high)
