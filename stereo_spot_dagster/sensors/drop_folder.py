"""Sensor: files in the drop folder, and videos handed in otherwise, are taken in."""

import logging
import time

import dagster as dg

from ..assets.jobs import take_in_job
from ..assets.partitions import VIDEO_TAG, VIDEOS
from ..assets.studio import Studio
from ..convert.intake import identify, refuse, submit
from ..convert.progress import Stage, known_videos
from ..convert.workspace import Workspace
from ..domain.errors import InvalidSettings, StereoSpotError
from ..domain.settings import ConversionSettings
from ..domain.video import Attempt, Driver, Submission, video_key
from ..storage import keys
from .dropped_files import DroppedFile, Memory, dropped_files, settings_for
from .walk import progress_of, unsettled

# Identifying a file reads up to 64 MB of it; the daemon gives a tick a minute.
_HAND_IN_S = 10.0
_VIDEOS_A_TICK = 25


@dg.sensor(
    name="drop_folder",
    job=take_in_job,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes in files from the drop folder when they are complete, and videos handed in by other ways.",
)
def drop_folder(context: dg.SensorEvaluationContext, studio: Studio) -> dg.SensorResult:
    workspace, memory = studio.workspace, Memory.parse(context.cursor)
    folder = workspace.home / keys.DROP
    folder.mkdir(parents=True, exist_ok=True)
    files = dropped_files(folder)
    memory.keep_only(files)
    started = time.monotonic()
    for file in files:
        if time.monotonic() - started < _HAND_IN_S and memory.is_ready(file, time.time()):
            try:
                context.log.info(hand_in(workspace, file))
                memory.mark_done(file)
            except (StereoSpotError, OSError) as error:
                # No right to read it, or it was moved away: it is looked at again, as nothing was written down.
                context.log.warning(f"{file.path.name}: not taken in: {error}")
    requests, memory.video = take_in_requests(workspace, memory.video, context.log)
    names = _unregistered(context.instance, workspace)
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[VIDEOS.build_add_request(names)] if names else [],
        cursor=str(memory),
    )


def hand_in(workspace: Workspace, file: DroppedFile) -> str:
    """Write the submission of a complete file down, or why it is refused; a known video is left as it is.

    Returns:
        What was done, in words.
    """
    try:
        settings = settings_for(file, workspace.home / "presets")
    except InvalidSettings as error:
        submission = identify(file.path, ConversionSettings(), driver=Driver.SENSORS, origin="drop folder")
        if not workspace.has_submission(submission.video):
            submit(workspace, submission)
            refuse(workspace, submission, error)
        return f"{file.path.name} is refused: {error}"
    submission = identify(file.path, settings, driver=Driver.SENSORS, origin="drop folder")
    if _is_refused_before_change(workspace, submission, file):
        workspace.store.delete_prefix(keys.refusal(submission.video))
        number = workspace.attempt(submission.video) + 1
        workspace.save(Attempt(number=number), keys.attempt(submission.video))
    elif _is_carried_on(workspace, submission.video):
        return f"{file.path.name} is known as {submission.video}"
    submit(workspace, submission)
    _forget_refused_settings(workspace, submission)
    return f"{file.path.name} is video {submission.video}"


def take_in_requests(workspace: Workspace, after: str, log: logging.Logger) -> tuple[list[dg.RunRequest], str]:
    """A run for each video that is handed in but not planned, and the video to go on behind."""
    candidates = list(unsettled(workspace, after))
    # What has no plan at all comes first: nobody wants to wait for the walk with a new video.
    new = [video for video in candidates if not workspace.store.exists(keys.manifest(video))]
    walked = candidates[:_VIDEOS_A_TICK]
    requests = []
    for video in dict.fromkeys([*new[:_VIDEOS_A_TICK], *walked]):
        progress = progress_of(workspace, video, log)
        if progress is None or progress.submission.driver is not Driver.SENSORS:
            continue
        if progress.stage in (Stage.SUBMITTED, Stage.PLANNING):
            key = f"{video}:take-in:{progress.submission.settings.fingerprint}:{workspace.attempt(video)}"
            requests.append(dg.RunRequest(run_key=key, partition_key=video, tags={VIDEO_TAG: video}))
    return requests, walked[-1] if walked else ""


def _unregistered(instance: dg.DagsterInstance, workspace: Workspace) -> list[str]:
    """Videos that are no partitions yet, or no longer: the database may be younger than the store.

    What is refused before anybody looked into it, for its settings, becomes none.
    """
    unknown = set(known_videos(workspace)).difference(instance.get_dynamic_partitions(str(VIDEOS.name)))
    return sorted(video for video in unknown if not workspace.store.exists(keys.refusal(video)))


def _is_carried_on(workspace: Workspace, video: str) -> bool:
    return workspace.has_submission(video) and workspace.submission(video).driver is Driver.SENSORS


def _is_refused_before_change(workspace: Workspace, submission: Submission, file: DroppedFile) -> bool:
    """True if a refused video was dropped again, or its sidecar corrected, after the refusal."""
    refusal = workspace.refusal(submission.video)
    return refusal is not None and file.changed_s > refusal.refused_at.timestamp()


def _forget_refused_settings(workspace: Workspace, submission: Submission) -> None:
    """The same file was refused for its settings, which are corrected now: that refusal is of no use any more."""
    plain = video_key(submission.name, submission.identity, ConversionSettings())
    refusal = workspace.refusal(plain) if plain != submission.video else None
    if refusal and workspace.submission(plain).source == submission.source:
        workspace.store.delete_prefix(keys.video_folder(plain))
