"""Asset: the finished files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg

from ..convert.finish import FinishedVideo, deliver_done, finish_video
from ..domain.plan import SegmentPlan
from ..domain.video import Driver, SourceRecord
from ..verify import RULES
from . import reporting
from .partitions import LINEAGE_ONLY, VIDEOS
from .policies import OWNERS, RETRIES
from .stereo_segments import stereo_segments
from .studio import Studio, place_value

NAME = "final_video"
CHECKS = RULES


@dg.asset(
    name=NAME,
    partitions_def=VIDEOS,
    deps=[dg.AssetDep(stereo_segments, partition_mapping=LINEAGE_ONLY)],
    group_name="delivery",
    kinds={"ffmpeg"},
    owners=OWNERS,
    description="The finished 3D files: segments joined without re-encoding, with all sound, subtitles and chapters.",
    check_specs=reporting.check_specs(NAME, CHECKS),
    retry_policy=RETRIES,
)
def final_video(
    context: dg.AssetExecutionContext, studio: Studio
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    workspace, video = studio.workspace, context.partition_key
    reporting.mark_run(context, video)
    studio.tell("joining", 0, None)
    with reporting.plain_failures():
        source, plan = workspace.source(video), workspace.plan(video)
        finished = finish_video(workspace, source, plan)
    reporting.log_warnings(context, source.name, finished.warnings)
    yield from reporting.report_checks(NAME, finished.checks, source.name)
    delivered: list[str] = []
    if workspace.submission(video).driver is Driver.SENSORS:
        with reporting.plain_failures():
            delivered = deliver_done(workspace, video, finished.outputs)
    yield materialization(studio, source, plan, finished, delivered)


def materialization(
    studio: Studio, source: SourceRecord, plan: SegmentPlan, finished: FinishedVideo, delivered: Sequence[str]
) -> dg.MaterializeResult:
    workspace = studio.workspace
    result = delivered[0] if delivered else workspace.store.locate(finished.outputs[0].key)
    links = {} if "://" in result else {"open": dg.MetadataValue.url(Path(result).absolute().as_uri())}
    return dg.MaterializeResult(
        asset_key=NAME,
        metadata={
            "result": place_value(result),
            **links,
            "warnings": reporting.warnings_value(finished.warnings),
            "frames": plan.frames,
            "seconds_of_video": float(plan.time_base.seconds(plan.end_pts - plan.first_pts)),
            "seconds_of_work": round(finished.seconds, 2),
            "container": finished.container.value,
            "files": reporting.outputs_table(workspace, finished.outputs),
            "settings": reporting.settings_table(source.settings),
            **reporting.machine(),
        },
    )
