"""Asset: depth of each frame of a segment."""

from collections.abc import Iterator

import dagster as dg

from ..convert.depth import DepthRecord, depth_fingerprint, estimate_depth, existing_depth
from ..convert.workspace import Workspace
from ..domain.checks import equal
from ..media.packets import list_packets
from ..storage import keys
from ..storage.keys import parse_segment_partition
from . import reporting
from .partitions import COMPUTE_TAG, GPU_POOL, LINEAGE_ONLY, SEGMENTS
from .policies import OWNERS, RETRIES
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
    owners=OWNERS,
    description="Depth of each frame of a segment, 16 bit, continuous across segments of one shot.",
    check_specs=reporting.check_specs(NAME, CHECKS),
    op_tags={COMPUTE_TAG: "gpu"},
    pool=GPU_POOL,
    retry_policy=RETRIES,
)
def depth_segments(
    context: dg.AssetExecutionContext, studio: Studio
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    workspace = studio.workspace
    video, index = parse_segment_partition(context.partition_key)
    reporting.mark_run(context, video)
    log = reporting.ProgressLog(context)
    with reporting.plain_failures():
        source, plan = workspace.source(video), workspace.plan(video)
        segment = plan.segments[index]

        def tell(done: int) -> None:
            studio.tell("depth", segment.first_frame + done, plan.frames)
            log("depth", done, segment.frames)

        record, strip = existing_depth(workspace, plan, segment), b""
        if record is None or not reporting.continues(context):
            record, strip = estimate_depth(workspace, source.settings, plan, workspace.frames(plan), segment, tell)
        outcome = equal("depth_frame_count", segment.frames, stored_pictures(workspace, record))

    def withdraw() -> None:
        # Without its record the depth counts for nothing, and the next attempt estimates it anew.
        workspace.store.delete_prefix(keys.depth_record(video, depth_fingerprint(plan), segment))

    yield from reporting.report_checks(NAME, [outcome], f"{video}, segment {index}", withdraw)
    yield materialization(studio, record, strip)


def stored_pictures(workspace: Workspace, record: DepthRecord) -> int:
    """How many pictures the stored file really holds."""
    with workspace.folder() as folder:
        stored = workspace.store.fetch(record.key, folder)
        return len(list_packets(stored, [0], folder, record.video)[0].hashes)


def materialization(studio: Studio, record: DepthRecord, strip: bytes) -> dg.MaterializeResult:
    metadata: dict = {"depth_strip": reporting.picture(strip, "depth over the segment")} if strip else {}
    metadata |= {
        "video": record.video,
        "model": record.model,
        "frames": record.frames,
        "frames_per_second": round(record.frames_per_second, 2),
        "seconds_of_work": round(record.seconds, 2),
        "device": record.device,
        "peak_gpu_memory_mb": round(record.peak_memory_mb),
        "notes": reporting.warnings_value(record.notes),
        "size": f"{record.width}x{record.height}",
        "depth_1st_50th_99th_percentile": f"{record.low:.3f}, {record.median:.3f}, {record.high:.3f}",
        "file": studio.file_value(record.key),
        **reporting.machine(),
    }
    return dg.MaterializeResult(
        asset_key=NAME,
        data_version=dg.DataVersion(record.key.rpartition("/")[0].rpartition("/")[2] + f"-{record.segment}"),
        metadata=metadata,
    )
