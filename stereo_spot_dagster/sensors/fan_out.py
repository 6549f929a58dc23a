"""Sensor: a planned video becomes one run for each of its segments."""

import dagster as dg

from ..assets import segments as segments_asset
from ..assets.jobs import convert_segment_job
from ..assets.partitions import ACTIVE_RUNS, COMPUTE_TAG, RUN_KEY_TAG, SEGMENTS, VIDEO_TAG
from ..assets.studio import Studio
from ..convert.progress import Stage, VideoProgress, is_settled
from ..convert.render import Rendering
from ..domain.video import Driver
from ..storage.keys import segment_partition
from .walk import Position, Walk, materialized_since, progress_of

# Submitting a run costs 75 to 220 ms: more than these in one tick would hold up every other sensor.
_RUNS_A_TICK = 50
# Runs that wait in the queue cost time in every look at it; this many keep a fleet busy between two ticks.
_QUEUE = 200
# Run keys in one query: a database takes some ten thousand parameters.
_LOOKUP = 200
_VIDEOS_A_TICK = 10


@dg.sensor(
    name="fan_out",
    job=convert_segment_job,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Registers the segments of a planned video and requests a run for each that is not converted.",
)
def fan_out(context: dg.SensorEvaluationContext, studio: Studio) -> dg.SensorResult:
    workspace, position = studio.workspace, Position.parse(context.cursor)
    planned = materialized_since(context.instance, segments_asset.NAME, position.event)
    room = min(_RUNS_A_TICK, _QUEUE - context.instance.get_runs_count(dg.RunsFilter(statuses=ACTIVE_RUNS)))
    requests: list[dg.RunRequest] = []
    names: list[str] = []
    fresh = [video for video in planned.partitions if not is_settled(workspace, video)]
    walk = Walk(workspace, position.video)
    candidates = list(dict.fromkeys([*fresh, *walk]))
    looked_at = position.video
    for video in candidates[:_VIDEOS_A_TICK]:
        if len(requests) >= room:
            break
        progress = progress_of(workspace, video, context.log)
        if progress and progress.plan and progress.submission.driver is Driver.SENSORS:
            names += _unregistered(context.instance, progress)
            wanted = segment_requests(progress, workspace.attempt(video))
            requests += _not_requested_yet(context.instance, wanted, room - len(requests))
        # A video that filled the tick is looked at again: one after the other gets finished, not all at the end.
        if video not in fresh and len(requests) < room:
            looked_at = video
    if len(candidates) <= _VIDEOS_A_TICK and len(requests) < room:
        looked_at = walk.reached
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[SEGMENTS.build_add_request(names)] if names else [],
        cursor=str(Position(planned.event, looked_at)),
    )


def segment_requests(progress: VideoProgress, attempt: int) -> list[dg.RunRequest]:
    """A run request for each segment that is not in the store for the present settings.

    A run key is used once: a segment whose run failed stays failed, for everybody to see, until somebody asks for
    another attempt. Runs of workers that died are retried by Dagster under their own key.
    """
    if progress.stage is not Stage.CONVERTING or progress.source is None:
        return []
    wanted = f"{progress.fingerprint}:{'+'.join(progress.source.settings.layouts)}:{attempt}"
    names = [segment_partition(progress.video, index) for index in progress.missing]
    return [dg.RunRequest(run_key=f"{name}:{wanted}", partition_key=name, tags=_tags(progress)) for name in names]


def _tags(progress: VideoProgress) -> dict[str, str]:
    tags = {VIDEO_TAG: progress.video}
    if progress.plan and progress.source and not Rendering(progress.plan, progress.source.settings).wants_gpu:
        # The assets' own tag says gpu, for those videos that need one; this one does not.
        tags[COMPUTE_TAG] = "cpu"
    return tags


def _unregistered(instance: dg.DagsterInstance, progress: VideoProgress) -> list[str]:
    """All segment partitions of a video, if its last one is not known to Dagster."""
    names = [segment_partition(progress.video, index) for index in range(progress.segments)]
    return [] if instance.has_dynamic_partition(str(SEGMENTS.name), names[-1]) else names


def _not_requested_yet(instance: dg.DagsterInstance, wanted: list[dg.RunRequest], room: int) -> list[dg.RunRequest]:
    """The first of the requests whose run key was not used before, at most ``room``.

    The daemon would drop the others itself, but they would fill the tick and keep new ones from their turn.
    """
    new: list[dg.RunRequest] = []
    for start in range(0, len(wanted), _LOOKUP):
        if len(new) >= room:
            break
        part = wanted[start : start + _LOOKUP]
        known = instance.get_runs(dg.RunsFilter(tags={RUN_KEY_TAG: [str(request.run_key) for request in part]}))
        used = {run.tags[RUN_KEY_TAG] for run in known}
        new += [request for request in part if request.run_key not in used]
    return new[:room]
