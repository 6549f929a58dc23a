"""Asset: a segment with its second eye, encoded in the wanted layouts."""

from collections.abc import Iterator

import dagster as dg

from ..convert.depth import existing_depth
from ..convert.render import RenderedSegment, Rendering, render_segment
from ..domain.errors import VideoIncomplete
from ..domain.plan import Segment, SegmentPlan
from ..domain.video import SourceRecord
from ..storage.keys import parse_segment_partition
from . import reporting
from .depth_segments import depth_segments
from .partitions import COMPUTE_TAG, GPU_POOL, SEGMENTS
from .policies import OWNERS, RETRIES
from .studio import Studio

NAME = "stereo_segments"
CHECKS = {
    "decodes": "The encoded segment decodes without a message.",
    "frame_count": "It holds exactly the planned frames.",
    "frame_size": "Its pictures have the size of the layout.",
}


@dg.asset(
    name=NAME,
    partitions_def=SEGMENTS,
    deps=[depth_segments],
    group_name="conversion",
    kinds={"python", "ffmpeg"},
    owners=OWNERS,
    description="The segment with its second eye warped from the depth, occlusions filled, packed and encoded.",
    check_specs=reporting.check_specs(NAME, CHECKS),
    op_tags={COMPUTE_TAG: "gpu"},
    pool=GPU_POOL,
    retry_policy=RETRIES,
)
def stereo_segments(
    context: dg.AssetExecutionContext, studio: Studio
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    workspace = studio.workspace
    video, index = parse_segment_partition(context.partition_key)
    reporting.mark_run(context, video)
    log = reporting.ProgressLog(context)
    with reporting.plain_failures():
        source, plan = workspace.source(video), workspace.plan(video)
        segment = plan.segments[index]
        depth = existing_depth(workspace, plan, segment)
        if depth is None:
            raise VideoIncomplete(
                context.partition_key, "its depth is not in the store", "Materialize depth_segments too"
            )

        def tell(done: int) -> None:
            studio.tell("converting", segment.first_frame + done, plan.frames)
            log("converting", done, segment.frames)

        rendered = render_segment(workspace, source, plan, workspace.frames(plan), segment, depth, tell)
    yield from reporting.report_checks(NAME, rendered.checks, f"{source.name}, segment {index}")
    yield materialization(studio, source, plan, segment, rendered)


def materialization(
    studio: Studio, source: SourceRecord, plan: SegmentPlan, segment: Segment, rendered: RenderedSegment
) -> dg.MaterializeResult:
    fingerprint = Rendering(plan, source.settings).fingerprint
    return dg.MaterializeResult(
        asset_key=NAME,
        data_version=dg.DataVersion(f"{fingerprint}-{segment.index}"),
        metadata={
            "preview": reporting.picture(rendered.preview, "left, depth, right, anaglyph"),
            "disparity": reporting.picture(rendered.histogram, "histogram of disparity"),
            "video": plan.video,
            "first_frame": segment.first_frame,
            "frames": segment.frames,
            "frames_per_second": round(rendered.frames_per_second, 2),
            "seconds_of_work": round(rendered.seconds, 2),
            "files": reporting.outputs_table(studio.workspace, rendered.outputs),
            "inpaint": Rendering(plan, source.settings).inpaint.value,
            "device": rendered.device,
            "peak_gpu_memory_mb": round(rendered.peak_memory_mb),
            "notes": reporting.warnings_value(rendered.notes),
            "settings": reporting.settings_table(source.settings),
            "render_fingerprint": fingerprint,
            **reporting.machine(),
        },
    )
