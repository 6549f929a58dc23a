"""Asset: depth of each frame of a segment."""

from collections.abc import Iterator

import dagster as dg

from ..convert.depth import DepthRecord, estimate_depth, existing_depth
from ..domain.checks import equal
from ..storage.keys import parse_segment_partition
from . import reporting
from .partitions import COMPUTE_TAG, GPU_POOL, LINEAGE_ONLY, SEGMENTS
from .segments import segments
from .studio import Studio

NAME = "depth_segments"
CHECKS = {"depth_frame_count": "There is one depth picture for each frame of the segment."}


@dg.asset(
    name=NAME,
    partitions_def=SEGMENTS,
    deps=[dg.AssetDep(segments, partition_mapping=LINEAGE_ONLY)],
    group_name="conversion",
    kinds={"python"},
    owners=["team:stereo-spot"],
    description="Depth of each frame of a segment, 16 bit, continuous across segments of one shot.",
    check_specs=reporting.check_specs(NAME, CHECKS),
    op_tags={COMPUTE_TAG: "gpu"},
    pool=GPU_POOL,
    retry_policy=dg.RetryPolicy(max_retries=2, delay=5, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.FULL),
)
def depth_segments(
    context: dg.AssetExecutionContext, studio: Studio
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    workspace = studio.workspace
    video, index = parse_segment_partition(context.partition_key)
    log = reporting.ProgressLog(context)
    with reporting.plain_failures():
        plan = workspace.plan(video)
        segment = plan.segments[index]

        def tell(done: int) -> None:
            studio.tell("depth", segment.first_frame + done, plan.frames)
            log("depth", done, segment.frames)

        record, strip = existing_depth(workspace, plan, segment), b""
        if record is None or not reporting.continues(context):
            record, strip = estimate_depth(workspace, plan, workspace.frames(plan), segment, tell)
    yield from reporting.report_checks(NAME, [equal("depth_frame_count", segment.frames, record.frames)], video)
    yield materialization(studio, record, strip)


def materialization(studio: Studio, record: DepthRecord, strip: bytes) -> dg.MaterializeResult:
    metadata: dict = {
        "video": record.video,
        "model": record.model.value,
        "frames": record.frames,
        "fps": round(record.frames_per_second, 2),
        "seconds": round(record.seconds, 2),
        "size": f"{record.width}x{record.height}",
        "depth_1st_50th_99th_percentile": f"{record.low:.3f}, {record.median:.3f}, {record.high:.3f}",
        "file": dg.MetadataValue.path(studio.workspace.store.locate(record.key)),
        **reporting.machine(),
    }
    if strip:
        metadata["depth_strip"] = reporting.picture(strip, "depth over the segment")
    return dg.MaterializeResult(
        asset_key=NAME,
        data_version=dg.DataVersion(record.key.rpartition("/")[0].rpartition("/")[2] + f"-{record.segment}"),
        metadata=metadata,
    )
