"""Sensor: a video whose segments are all converted is joined."""

from collections.abc import Iterable
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
from .walk import Position, Walk, materialized_since, newest_events, progress_of

_VIDEOS_A_TICK = 25


@dg.sensor(
    name="join",
    job=finish_job,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Joins a video when the last of its segments is converted.",
)
def join(context: dg.SensorEvaluationContext, studio: Studio) -> dg.SensorResult:
    workspace, position = studio.workspace, Position.parse(context.cursor)
    # Where segments may still come, a video is joined after the last of them, once. Asked before all else: of a join
    # that ends meanwhile the files would be seen, but not yet the event, and it would be done again.
    busy = videos_worked_on(context.instance)
    converted = materialized_since(context.instance, stereo_asset.NAME, position.event)
    newer = videos_with_newer_segments(context.instance, converted.partitions)
    walk = Walk(workspace, position.video)
    walked = list(islice(walk, _VIDEOS_A_TICK))
    looked_at = [progress_of(workspace, video, context.log) for video in dict.fromkeys([*newer, *walked])]
    ready = [progress for progress in looked_at if progress and needs_join(progress, rerun=progress.video in newer)]
    requests = [join_request(context.instance, workspace, progress) for progress in ready if progress.video not in busy]
    # The walk does not come to finished videos: their events have to be looked at again.
    waits = any(progress.stage is Stage.FINISHED and progress.video in busy for progress in ready)
    event = position.event if waits else converted.event
    reached = walked[-1] if len(walked) == _VIDEOS_A_TICK else walk.reached
    return dg.SensorResult(run_requests=requests, cursor=str(Position(event, reached)))


def needs_join(progress: VideoProgress, *, rerun: bool) -> bool:
    """True if all segments are there, and the finished files are not made of them.

    Args:
        progress: the video's state.
        rerun: whether a segment was converted after the video was joined.
    """
    if progress.stage is Stage.FINISHED:
        return rerun
    return progress.stage is Stage.JOINING and progress.submission.driver is Driver.SENSORS


def join_request(instance: dg.DagsterInstance, workspace: Workspace, progress: VideoProgress) -> dg.RunRequest:
    """A run that joins a video.

    Its key names the rendering, the newest segment, and what was joined before, so that going back to earlier
    settings is joined again, and asking twice for the same join is not.
    """
    before = progress.final.finished_at.timestamp() if progress.final else 0
    names = [segment_partition(progress.video, index) for index in range(progress.segments)]
    newest = max(newest_events(instance, stereo_asset.NAME, names).values(), default=0)
    key = f"{progress.video}:{progress.fingerprint}:{newest}:{before:.3f}:{workspace.attempt(progress.video)}"
    return dg.RunRequest(run_key=key, partition_key=progress.video, tags={VIDEO_TAG: progress.video})


def videos_with_newer_segments(instance: dg.DagsterInstance, partitions: Iterable[str]) -> list[str]:
    """Videos of which one of some segments was converted after the video was joined, told by events alone."""
    newest: dict[str, int] = {}
    for name, event in newest_events(instance, stereo_asset.NAME, partitions).items():
        video = video_of_partition(name)
        newest[video] = max(event, newest.get(video, 0))
    joined = newest_events(instance, final_asset.NAME, newest)
    return [video for video, event in newest.items() if event > joined.get(video, 0)]


def videos_worked_on(instance: dg.DagsterInstance) -> set[str]:
    """Videos of which a run, or a run of one of their segments, is queued or running, whoever started it."""
    names = [run.tags.get(PARTITION_TAG, "") for run in instance.get_runs(dg.RunsFilter(statuses=ACTIVE_RUNS))]
    return {video_of_partition(name) for name in names}
