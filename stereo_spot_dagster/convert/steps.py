"""A whole conversion as one sequence of steps, for callers that want no orchestrator between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..domain.checks import require
from ..domain.plan import Segment, SegmentPlan
from ..domain.video import SourceRecord, Submission
from .depth import DepthRecord, estimate_depth, existing_depth
from .finish import FinishedVideo, finish_video
from .intake import submit, take_in
from .planning import existing_plan, make_plan
from .render import RenderedSegment, Rendering, render_segment
from .workspace import Workspace

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class DepthStep:
    """Depth of a segment was estimated."""

    segment: Segment
    record: DepthRecord
    strip: bytes


@dataclass(frozen=True)
class StereoStep:
    """A segment was rendered."""

    segment: Segment
    rendered: RenderedSegment


Step = SourceRecord | SegmentPlan | DepthStep | StereoStep | FinishedVideo


def conversion_steps(workspace: Workspace, submission: Submission, progress: Progress | None = None) -> Iterator[Step]:
    """Convert a video, yielding what each step made; what is in the store already is not made again.

    Raises:
        StereoSpotError: the step that failed says why.
    """
    submit(workspace, submission)
    source = take_in(workspace, submission)
    yield source
    plan = existing_plan(workspace, source) or make_plan(workspace, source, progress)
    yield plan
    frames = workspace.frames(plan)
    rendering = Rendering(plan, source.settings)
    for segment in plan.segments:
        if rendering.is_stored(workspace.store, segment):
            continue

        def tell(done: int, segment: Segment = segment) -> None:
            if progress:
                progress("converting", segment.first_frame + done, plan.frames)

        depth = existing_depth(workspace, plan, segment)
        if depth is None:
            depth, strip = estimate_depth(workspace, source.settings, plan, frames, segment)
            yield DepthStep(segment, depth, strip)
        rendered = render_segment(workspace, source, plan, frames, segment, depth, tell)
        require(list(rendered.checks), source.name)
        yield StereoStep(segment, rendered)
    finished = finish_video(workspace, source, plan)
    require(list(finished.checks), source.name)
    yield finished
