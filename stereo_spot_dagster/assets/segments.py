"""Asset: the segment plan and its proved segment files."""

from collections.abc import Iterator

import dagster as dg

from ..convert.intake import refuse
from ..convert.planning import existing_plan, make_plan
from ..domain.checks import CheckOutcome
from ..domain.errors import InputRefused
from ..domain.plan import SegmentPlan, coverage_problem
from ..media.scan import FrameTable
from ..storage import keys
from ..storage.keys import segment_partition
from . import reporting
from .partitions import SEGMENTS, VIDEOS
from .policies import OWNERS, RETRIES
from .source_video import source_video
from .studio import Studio

NAME = "segments"
CHECKS = {"covers_each_frame_once": "Every frame of the video lies in exactly one segment."}


@dg.asset(
    name=NAME,
    partitions_def=VIDEOS,
    deps=[source_video],
    group_name="intake",
    kinds={"ffmpeg"},
    owners=OWNERS,
    description="The plan: which frames go into which segment, with exact times; one proved file for each segment.",
    check_specs=reporting.check_specs(NAME, CHECKS),
    retry_policy=RETRIES,
)
def segments(context: dg.AssetExecutionContext, studio: Studio) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    workspace, video = studio.workspace, context.partition_key
    reporting.mark_run(context, video)
    log = reporting.ProgressLog(context)

    def tell(what: str, done: int, total: int | None) -> None:
        studio.tell(what, done, total)
        log(what, done, total)

    with reporting.plain_failures():
        source = workspace.source(video)
        try:
            plan = existing_plan(workspace, source) if reporting.continues(context) else None
            plan = plan or make_plan(workspace, source, tell)
        except InputRefused as refused:
            refuse(workspace, workspace.submission(video), refused)
            raise
        frames = workspace.frames(plan)
    reporting.log_warnings(context, source.name, plan.warnings)

    def withdraw() -> None:
        # Nothing is converted without a manifest.
        workspace.store.delete_prefix(keys.manifest(video))

    yield from reporting.report_checks(NAME, [covers_each_frame_once(plan, frames)], source.name, withdraw)
    # The fan-out sensor does this too; here it is for those who work without a daemon.
    names = [segment_partition(video, segment.index) for segment in plan.segments]
    context.instance.add_dynamic_partitions(str(SEGMENTS.name), names)
    yield materialization(plan)


def covers_each_frame_once(plan: SegmentPlan, frames: FrameTable) -> CheckOutcome:
    """Whether the plan's segments hold the frames of the stored frame table, at their times."""
    problem = coverage_problem(plan.segments, plan.frames)
    if problem is None and len(frames) != plan.frames:
        problem = f"{plan.frames} frames are planned, {len(frames)} were seen"
    if problem is None:
        ends = [*frames.pts[1:].tolist(), plan.end_pts]
        for segment in plan.segments:
            planned = (segment.first_pts, segment.end_pts)
            if planned != (int(frames.pts[segment.first_frame]), ends[segment.end_frame - 1]):
                problem = f"segment {segment.index} does not begin and end at its frames' times"
                break
    words = f"{plan.frames} frames in {len(plan.segments)} segments"
    return CheckOutcome(name="covers_each_frame_once", passed=problem is None, detail=problem or words)


def materialization(plan: SegmentPlan) -> dg.MaterializeResult:
    lengths = [segment.frames for segment in plan.segments]
    return dg.MaterializeResult(
        asset_key=NAME,
        data_version=dg.DataVersion(plan.digest),
        metadata={
            "segments": len(plan.segments),
            "frames": plan.frames,
            "seconds_of_video": float(plan.time_base.seconds(plan.end_pts - plan.first_pts)),
            "shortest_segment": min(lengths),
            "longest_segment": max(lengths),
            "cut_at_scene_changes": sum(segment.scene_start for segment in plan.segments),
            "mode": plan.mode,
            "depth": f"{plan.depth}: {plan.depth_reason}",
            "inpaint": f"{plan.inpaint.value}: {plan.inpaint_reason}",
            "manifest_digest": plan.digest,
            "warnings": reporting.warnings_value(plan.warnings),
            **reporting.machine(),
        },
    )
