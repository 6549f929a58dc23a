"""Sensor: a planned video becomes one run for each of its segments."""

import dagster as dg

from ..assets import segments as segments_asset
from ..assets.jobs import convert_segment_job
from ..assets.partitions import SEGMENTS, VIDEO_TAG
from ..assets.studio import Studio
from ..convert.progress import Stage, video_progress
from ..convert.workspace import Workspace
from ..domain.errors import UnknownVideo
from ..domain.video import Driver
from ..storage.keys import segment_partition
from .walk import Position, next_slice

# Submitting a run costs 75 to 220 ms: more than these in one tick would hold up every other sensor.
_RUNS_A_TICK = 100
_EVENTS_A_TICK = 20
_SLICE = 25
# Events can be committed out of order; run keys make looking again harmless.
_LOOK_BACK = 200


@dg.sensor(
    name="fan_out",
    job=convert_segment_job,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Registers the segments of a planned video and requests a run for each that is not converted.",
)
def fan_out(context: dg.SensorEvaluationContext, studio: Studio) -> dg.SensorResult:
    workspace, position = studio.workspace, Position.parse(context.cursor)
    fresh, event = _newly_planned(context.instance, position.event)
    walked, video = next_slice(workspace, position.video, _SLICE)
    requests: list[dg.RunRequest] = []
    for candidate in dict.fromkeys([*fresh, *walked]):
        requests += segment_requests(workspace, candidate)
    # Known runs cost nothing; what is over the limit comes with the next walk, as the run key is not used up.
    new = [request for request in requests if not _is_known(context.instance, request)][:_RUNS_A_TICK]
    names = [request.partition_key for request in new if request.partition_key]
    return dg.SensorResult(
        run_requests=new,
        dynamic_partitions_requests=[SEGMENTS.build_add_request(names)] if names else [],
        cursor=str(Position(event, video)),
    )


def segment_requests(workspace: Workspace, video: str) -> list[dg.RunRequest]:
    """A run request for each segment of ``video`` that is not in the store for the present settings."""
    try:
        progress = video_progress(workspace, video)
    except UnknownVideo:
        return []
    if progress.submission.driver is not Driver.SENSORS or progress.stage is not Stage.CONVERTING:
        return []
    attempt = workspace.attempt(video)
    return [
        dg.RunRequest(
            run_key=f"{segment_partition(video, index)}:{progress.fingerprint}:{_layouts(progress)}:{attempt}",
            partition_key=segment_partition(video, index),
            tags={VIDEO_TAG: video},
        )
        for index in progress.missing
    ]


def _layouts(progress) -> str:
    return "+".join(progress.source.settings.layouts)


def _newly_planned(instance: dg.DagsterInstance, after: int) -> tuple[list[str], int]:
    """Videos whose plan was materialized after an event, and the newest event seen."""
    wanted = dg.AssetRecordsFilter(dg.AssetKey(segments_asset.NAME), after_storage_id=max(0, after - _LOOK_BACK))
    records = instance.fetch_materializations(wanted, limit=_EVENTS_A_TICK + _LOOK_BACK, ascending=True).records
    videos = [record.partition_key for record in records if record.partition_key]
    return videos, max([after, *(record.storage_id for record in records)])


def _is_known(instance: dg.DagsterInstance, request: dg.RunRequest) -> bool:
    known = instance.get_runs(dg.RunsFilter(tags={"dagster/run_key": request.run_key or ""}), limit=1)
    return bool(known)
