"""The second eye of one segment: decode, warp by stored depth, fill, pack, encode, and check what was made."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..domain.checks import CheckOutcome, worst_of
from ..domain.layout import Layout, View
from ..domain.models import DepthKind, StereoCrafterOptions, parse_depth
from ..domain.plan import Segment, SegmentPlan
from ..domain.settings import PLANNED, ConversionSettings, DepthEdges, Inpaint
from ..domain.video import OutputFile, SourceRecord
from ..media.encode import EncodeJob, open_encoder, packing_in_stream
from ..media.frames import PictureWriter, read_pictures
from ..media.hdr import codec_for
from ..media.scan import FrameTable
from ..media.verify import check_segment
from ..stereo.frame import Frame
from ..stereo.inpaint import Inpainter, make_inpainter
from ..stereo.layouts.packer import Packer
from ..stereo.preview import disparity_histogram, preview_strip
from ..stereo.warp import SynthesizedView, make_synthesizer
from ..stereo.warp.outlines import disparity_of
from ..storage import keys
from ..storage.base import MediaStore
from .depth import DepthRecord, depth_fingerprint, read_depth
from .overlap import Behind, ahead
from .workspace import Workspace

FrameProgress = Callable[[int], None]


@dataclass(frozen=True)
class RenderedSegment:
    """What rendering a segment gave.

    Attributes:
        outputs: its files, one for each layout and view.
        checks: what was found when they were decoded again.
        preview: JPEG: left, depth, right, anaglyph of its middle frame.
        histogram: picture of the disparities of that frame.
        seconds: how long it took.
        frames_per_second: speed.
        device: what filled its occlusions: ``CPU`` or the name of a GPU.
        peak_memory_mb: GPU memory used at most.
        notes: what happened that a person should know, such as falling back for lack of memory.
    """

    outputs: tuple[OutputFile, ...]
    checks: tuple[CheckOutcome, ...]
    preview: bytes
    histogram: bytes
    seconds: float
    frames_per_second: float
    device: str
    peak_memory_mb: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Work:
    """One segment with all that is needed to render it; files lie in ``folder`` or are only read."""

    source: SourceRecord
    plan: SegmentPlan
    frames: FrameTable
    segment: Segment
    depth: DepthRecord
    cut: Path
    depth_file: Path
    folder: Path
    inpainter: Inpainter


@dataclass(frozen=True)
class _Unfilled:
    """A frame whose second eye still has occlusions."""

    left: Frame
    view: SynthesizedView
    depth: NDArray[np.float32]
    disparity_px: NDArray[np.float32]
    scene_start: bool


@dataclass(frozen=True)
class _Eyes:
    """A frame's pair of eyes with what they were made from."""

    left: Frame
    right: Frame
    depth: NDArray[np.float32]
    disparity_px: NDArray[np.float32]


@dataclass(frozen=True)
class _Target:
    """A file being written."""

    layout: Layout
    view: View
    path: Path
    packer: Packer
    writer: PictureWriter


@dataclass(frozen=True)
class Rendering:
    """What some settings ask of a plan: the files that each segment shall have.

    Attributes:
        plan: the segment plan.
        settings: the conversion settings.
    """

    plan: SegmentPlan
    settings: ConversionSettings

    @property
    def inpaint(self) -> Inpaint:
        """How occlusions are filled, never ``AUTO``."""
        asked = self.settings.inpaint
        return self.plan.inpaint if asked is Inpaint.AUTO else asked

    @property
    def depth_edges(self) -> DepthEdges:
        """How silhouettes of depth are enlarged."""
        # Cues follow the picture's edges already, and supplied depth means what it says.
        asked = self.settings.depth_edges
        return DepthEdges.STEEP if asked is DepthEdges.PICTURE and self._weightless else asked

    @property
    def wants_gpu(self) -> bool:
        """True if a trained network sees the frames: for depth, or to fill occlusions."""
        return not self._weightless or self.inpaint is not Inpaint.BACKGROUND

    @property
    def _weightless(self) -> bool:
        return parse_depth(self.plan.depth).kind in (DepthKind.CUES, DepthKind.FILE)

    @cached_property
    def fingerprint(self) -> str:
        """Names the rendering: the plan, the depth, and every setting that changes a sample of the result.

        Settings at their default do not count, so that a setting added later leaves finished videos finished.
        """
        others = PLANNED | {"layouts", "container", "strict", "inpaint", "accept_noncommercial"}
        relevant = self.settings.model_dump_json(exclude=others, exclude_defaults=True)
        words = f"{self.plan.digest}:{depth_fingerprint(self.plan)}:{self.inpaint.value}:{relevant}"
        return hashlib.sha256(words.encode()).hexdigest()[:12]

    def files(self, segment: Segment) -> dict[tuple[Layout, View], str]:
        """Store key of each file of a segment."""
        return {
            (layout, view): keys.stereo(self.plan.video, layout, view, self.fingerprint, segment)
            for layout in self.settings.layouts
            for view in layout.views
        }

    def is_stored(self, store: MediaStore, segment: Segment) -> bool:
        """True if every file of the segment is in the store; files get there only after they were checked."""
        return all(store.exists(key) for key in self.files(segment).values())


def render_segment(
    workspace: Workspace,
    source: SourceRecord,
    plan: SegmentPlan,
    frames: FrameTable,
    segment: Segment,
    depth: DepthRecord,
    progress: FrameProgress | None = None,
) -> RenderedSegment:
    """Render one segment in every layout of the source's settings.

    Files are stored only if all of ``checks`` passed.

    Raises:
        ProofFailed: the cut file does not hold the planned frames.
        FfmpegFailed, ToolUnavailable: the encoder failed or is missing.
    """
    started = time.monotonic()
    inpainter = _inpainter(Rendering(plan, source.settings).inpaint, source.settings.stereocrafter)
    with workspace.folder() as folder:
        work = _Work(
            source=source,
            plan=plan,
            frames=frames,
            segment=segment,
            depth=depth,
            cut=workspace.store.fetch(segment.cut_key, folder),
            depth_file=workspace.store.fetch(depth.key, folder),
            folder=folder,
            inpainter=inpainter,
        )
        targets, shown = _encode_all(work, progress)
        checks = _check_all(targets, segment, folder, source.name)
        passed = not any(outcome.blocks for outcome in checks)
        outputs = _store_all(workspace, work, targets) if passed else ()
    seconds = time.monotonic() - started
    return RenderedSegment(
        outputs=outputs,
        checks=checks,
        preview=preview_strip(shown.left, shown.depth, shown.right, plan.picture.color),
        histogram=disparity_histogram(shown.disparity_px, plan.picture.width),
        seconds=seconds,
        frames_per_second=segment.frames / seconds,
        device=inpainter.device,
        peak_memory_mb=inpainter.peak_memory_mb,
        notes=inpainter.notes(),
    )


def _encode_all(work: _Work, progress: FrameProgress | None) -> tuple[list[_Target], _Eyes]:
    """Every layout's file, and the eyes of the middle frame."""
    shown: _Eyes | None = None
    done = 0
    with ExitStack() as stack:
        layouts = work.source.settings.layouts
        targets = [_open_target(stack, work, layout, view) for layout in layouts for view in layout.views]

        def encode(item: object) -> None:
            assert isinstance(item, _Eyes)
            for target in targets:
                target.writer.write(target.packer.pack(item.left, item.right).planes)

        behind = stack.enter_context(Behind(encode))
        for eyes in _pairs_of_eyes(work):
            if done == work.segment.frames // 2:
                shown = eyes
            behind.put(eyes)
            done += 1
            if progress:
                progress(done)
    assert shown is not None
    return targets, shown


def _pairs_of_eyes(work: _Work) -> Iterator[_Eyes]:
    inpainter = work.inpainter
    inpainter.reset(work.plan.picture.color, work.segment.first_frame)
    waiting: deque[_Unfilled] = deque()

    def complete(pictures: list[Frame]) -> Iterator[_Eyes]:
        for right in pictures:
            unfilled = waiting.popleft()
            yield _Eyes(unfilled.left, right, unfilled.depth, unfilled.disparity_px)

    for unfilled in _warped(work):
        waiting.append(unfilled)
        yield from complete(inpainter.push(unfilled.view, unfilled.scene_start))
    yield from complete(inpainter.finish())


def _warped(work: _Work) -> Iterator[_Unfilled]:
    settings, segment, picture = work.source.settings, work.segment, work.plan.picture
    synthesizer, edges = make_synthesizer(settings.synthesizer), Rendering(work.plan, settings).depth_edges
    crcs = work.frames.crc[segment.first_frame : segment.end_frame]
    starts = work.frames.scene_start[segment.first_frame : segment.end_frame]
    skip = segment.skip_frames + segment.overlap_frames
    decoded = read_pictures(work.cut, picture, skip=skip, crcs=crcs, name=work.plan.video)
    with ahead(decoded) as pictures, ahead(read_depth(work.depth_file, work.depth)) as depths:
        for planes, near, starts_scene in zip(pictures, depths, starts, strict=True):
            left = Frame(planes, picture.pixel_format)
            disparity_px = disparity_of(near, left, edges, settings.divergence, settings.convergence)
            yield _Unfilled(left, synthesizer.synthesize(left, disparity_px), near, disparity_px, bool(starts_scene))


@lru_cache(maxsize=1)
def _inpainter(kind: Inpaint, options: StereoCrafterOptions) -> Inpainter:
    """Kept between the segments of one process, so that a model is loaded once."""
    return make_inpainter(kind, options)


def _open_target(stack: ExitStack, work: _Work, layout: Layout, view: View) -> _Target:
    picture, settings, segment = work.plan.picture, work.source.settings, work.segment
    video = work.source.probe.video
    packer = Packer(layout, view, picture.pixel_format, picture.width, picture.height, picture.color)
    job = EncodeJob(
        width=packer.width,
        height=packer.height,
        pixel_format=packer.format,
        sar=picture.sar,
        tags=picture.tagged,
        codec=settings.codec,
        crf=settings.crf,
        preset=settings.preset,
        time_base=work.plan.time_base,
        pts=work.frames.pts[segment.first_frame : segment.end_frame] - segment.first_pts,
        frame_rate=video.frame_rate,
        frame_packing=packing_in_stream(layout, codec_for(video, settings.codec)),
        source=video,
    )
    path = work.folder / f"{layout.value}-{view.value}.mp4"
    writer = stack.enter_context(open_encoder(job, path, name=work.source.name))
    return _Target(layout, view, path, packer, writer)


def _store_all(workspace: Workspace, work: _Work, targets: list[_Target]) -> tuple[OutputFile, ...]:
    wanted = Rendering(work.plan, work.source.settings).files(work.segment)
    outputs = []
    for target in targets:
        stored = workspace.store.put(target.path, wanted[target.layout, target.view])
        made = OutputFile(layout=target.layout, view=target.view, key=stored.key, size_bytes=stored.size_bytes)
        outputs.append(made)
    return tuple(outputs)


def _check_all(targets: list[_Target], segment: Segment, folder: Path, name: str) -> tuple[CheckOutcome, ...]:
    """The checks of all files, one outcome for each property."""
    sizes = {target.path: (target.packer.width, target.packer.height) for target in targets}
    found = [check_segment(path, segment.frames, size, folder, name) for path, size in sizes.items()]
    return worst_of(chain.from_iterable(found))
