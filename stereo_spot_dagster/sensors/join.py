"""Sensor: a video whose segments are all converted is joined."""

from itertools import islice

import dagster as dg

from ..assets import final_video as final_asset
from ..assets import stereo_segments as stereo_asset
from ..assets.jobs import finish_job
from ..assets.partitions import ACTIVE_RUNS, PARTITION_TAG, VIDEO_TAG, video_of_partition
from ..assets.studio import Studio
from ..convert.progress import Stage, VideoProgress
from ..convert.workspace import Workspace
from ..domain.video import Driver
from ..storage.keys import segment_partition
from .walk import Position, materialized_since, newest_event_of, progress_of, unsettled

_VIDEOS_A_TICK = 50


@dg.sensor(
    name="join",
    job=finish_job,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Joins a video when the last of its segments is converted.",
)
def join(context: dg.SensorEvaluationContext, studio: Studio) -> dg.SensorResult:
    workspace, position = studio.workspace, Position.parse(context.cursor)
    converted = materialized_since(context.instance, stereo_asset.NAME, position.event)
    touched = list(dict.fromkeys(video_of_partition(name) for name in converted.partitions))
    walked = list(islice(unsettled(workspace, position.video), _VIDEOS_A_TICK))
    looked_at = [progress_of(workspace, video, context.log) for video in dict.fromkeys([*touched, *walked])]
    ready = [progress for progress in looked_at if progress and needs_join(context.instance, progress)]
    # Where segments may still come, a video is joined after the last of them, once.
    busy = videos_worked_on(context.instance) if ready else set()
    requests = [join_request(context.instance, workspace, progress) for progress in ready if progress.video not in busy]
    waits = any(progress.stage is Stage.FINISHED and progress.video in busy for progress in ready)
    # The walk does not come to finished videos: their events have to be looked at again.
    event = position.event if waits else converted.event
    return dg.SensorResult(run_requests=requests, cursor=str(Position(event, walked[-1] if walked else "")))


def needs_join(instance: dg.DagsterInstance, progress: VideoProgress) -> bool:
    """True if all segments are there and the finished files are not made of them: they are new, or were rerun."""
    if progress.stage is Stage.JOINING:
        return progress.submission.driver is Driver.SENSORS
    if progress.stage is not Stage.FINISHED:
        return False
    joined = newest_event_of(instance, final_asset.NAME, [progress.video])
    return newest_event_of(instance, stereo_asset.NAME, _names(progress)) > joined


def join_request(instance: dg.DagsterInstance, workspace: Workspace, progress: VideoProgress) -> dg.RunRequest:
    """A run that joins a video.

    Its key names the rendering, the newest segment, and what was joined before, so that going back to earlier
    settings is joined again, and asking twice for the same join is not.
    """
    before = progress.final.finished_at.timestamp() if progress.final else 0
    newest = newest_event_of(instance, stereo_asset.NAME, _names(progress))
    key = f"{progress.video}:{progress.fingerprint}:{newest}:{before:.3f}:{workspace.attempt(progress.video)}"
    return dg.RunRequest(run_key=key, partition_key=progress.video, tags={VIDEO_TAG: progress.video})


def videos_worked_on(instance: dg.DagsterInstance) -> set[str]:
    """Videos of which a run, or a run of one of their segments, is queued or running, whoever started it."""
    names = [run.tags.get(PARTITION_TAG, "") for run in instance.get_runs(dg.RunsFilter(statuses=ACTIVE_RUNS))]
    return {video_of_partition(name) for name in names}


def _names(progress: VideoProgress) -> list[str]:
    return [segment_partition(progress.video, index) for index in range(progress.segments)]
