"""Sensor: a video whose segments are all converted is joined."""

import dagster as dg

from ..assets import stereo_segments as stereo_asset
from ..assets.jobs import finish_job
from ..assets.partitions import VIDEO_TAG
from ..assets.studio import Studio
from ..convert.progress import Stage, video_progress
from ..convert.workspace import Workspace
from ..domain.errors import UnknownVideo
from ..domain.video import Driver
from ..storage.keys import parse_segment_partition, segment_partition
from .walk import Position, next_slice

_EVENTS_A_TICK = 500
_SLICE = 25
_LOOK_BACK = 200


@dg.sensor(
    name="join",
    job=finish_job,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Joins a video when the last of its segments is converted.",
)
def join(context: dg.SensorEvaluationContext, studio: Studio) -> dg.SensorResult:
    workspace, position = studio.workspace, Position.parse(context.cursor)
    touched, event = _newly_converted(context.instance, position.event)
    walked, video = next_slice(workspace, position.video, _SLICE)
    requests = []
    for candidate in dict.fromkeys([*touched, *walked]):
        request = join_request(context.instance, workspace, candidate, rerun=candidate in touched)
        if request:
            requests.append(request)
    return dg.SensorResult(run_requests=requests, cursor=str(Position(event, video)))


def join_request(
    instance: dg.DagsterInstance, workspace: Workspace, video: str, *, rerun: bool
) -> dg.RunRequest | None:
    """A run that joins ``video`` if all of its segments are there and newer than what was joined last.

    Args:
        instance: for the newest events.
        workspace: the store.
        video: the video's key.
        rerun: whether a segment of it was just converted, so that a finished video may be out of date.
    """
    try:
        progress = video_progress(workspace, video)
    except UnknownVideo:
        return None
    if progress.submission.driver is not Driver.SENSORS or progress.plan is None:
        return None
    if progress.stage is not Stage.JOINING and not (rerun and progress.stage is Stage.FINISHED):
        return None
    names = [segment_partition(video, segment.index) for segment in progress.plan.segments]
    newest = _newest(instance, stereo_asset.NAME, names)
    if progress.stage is Stage.FINISHED and newest <= _newest(instance, "final_video", [video]):
        return None
    key = f"{video}:{progress.fingerprint}:{newest}:{workspace.attempt(video)}"
    return dg.RunRequest(run_key=key, partition_key=video, tags={VIDEO_TAG: video})


def _newest(instance: dg.DagsterInstance, asset: str, partitions: list[str]) -> int:
    """Storage id of the newest materialization among some partitions; 0 if there is none."""
    found = instance.get_latest_storage_id_by_partition(
        dg.AssetKey(asset), dg.DagsterEventType.ASSET_MATERIALIZATION, set(partitions)
    )
    return max(found.values(), default=0)


def _newly_converted(instance: dg.DagsterInstance, after: int) -> tuple[list[str], int]:
    """Videos with a segment that was converted after an event, and the newest event seen."""
    wanted = dg.AssetRecordsFilter(dg.AssetKey(stereo_asset.NAME), after_storage_id=max(0, after - _LOOK_BACK))
    records = instance.fetch_materializations(wanted, limit=_EVENTS_A_TICK, ascending=True).records
    videos = [parse_segment_partition(record.partition_key)[0] for record in records if record.partition_key]
    return list(dict.fromkeys(videos)), max([after, *(record.storage_id for record in records)])
