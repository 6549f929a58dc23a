"""From what was dropped to a submission in the store, and from submissions to runs that take them in."""

import logging
from collections.abc import Iterable

import dagster as dg

from ..assets.partitions import VIDEO_TAG, VIDEOS
from ..convert.intake import refuse, submit
from ..convert.progress import Stage, known_videos
from ..convert.workspace import Workspace
from ..domain.errors import InvalidSettings
from ..domain.settings import ConversionSettings
from ..domain.video import Attempt, Driver, Submission, video_key
from ..storage import keys
from .dropped import Dropped, Presets, settings_of
from .walk import Walk, progress_of

_VIDEOS_A_TICK = 25


def hand_in(workspace: Workspace, dropped: Dropped, presets: Presets) -> str:
    """Write the submission of a complete file down, or why it is refused; a known video is left as it is.

    Returns:
        What was done, in words.
    """
    try:
        settings = settings_of(dropped, presets)
        submission = dropped.submission(settings)
    except InvalidSettings as error:
        submission = dropped.submission(ConversionSettings())
        known = workspace.has_submission(submission.video)
        if not known or is_refused_before_change(workspace, submission.video, dropped):
            submit(workspace, submission)
            refuse(workspace, submission, error)
        return f"{dropped.name} is refused: {error}"
    if is_refused_before_change(workspace, submission.video, dropped):
        workspace.store.delete_prefix(keys.refusal(submission.video))
        number = workspace.attempt(submission.video) + 1
        workspace.save(Attempt(number=number), keys.attempt(submission.video))
    elif _is_carried_on(workspace, submission.video):
        return f"{dropped.name} is known as {submission.video}"
    submit(workspace, submission)
    _forget_refused_settings(workspace, submission)
    return f"{dropped.name} is video {submission.video}"


def take_in_requests(
    workspace: Workspace, after: str, log: logging.Logger, first: Iterable[str] = ()
) -> tuple[list[dg.RunRequest], str]:
    """A run for each video that is handed in but not planned, and the video to go on behind.

    Args:
        workspace: where the videos are.
        after: the video that was looked at last.
        log: hears of broken records.
        first: videos to look at in any case.
    """
    walk = Walk(workspace, after)
    candidates = list(walk)
    # What has no plan at all comes first: nobody wants to wait for the walk with a new video.
    new = [video for video in candidates if not workspace.store.exists(keys.manifest(video))]
    walked = candidates[:_VIDEOS_A_TICK]
    requests = []
    for video in dict.fromkeys([*first, *new[:_VIDEOS_A_TICK], *walked]):
        progress = progress_of(workspace, video, log)
        if progress is None or progress.submission.driver is not Driver.SENSORS:
            continue
        if progress.stage in (Stage.SUBMITTED, Stage.PLANNING):
            key = f"{video}:take-in:{progress.submission.settings.fingerprint}:{workspace.attempt(video)}"
            requests.append(dg.RunRequest(run_key=key, partition_key=video, tags={VIDEO_TAG: video}))
    return requests, walk.reached if len(candidates) <= _VIDEOS_A_TICK else walked[-1]


def registration(instance: dg.DagsterInstance, workspace: Workspace) -> list[dg.AddDynamicPartitionsRequest]:
    """Makes partitions of videos that are none yet, or no longer: the database may be younger than the store.

    What is refused before anybody looked into it, for its settings, becomes none.
    """
    unknown = set(known_videos(workspace)).difference(instance.get_dynamic_partitions(str(VIDEOS.name)))
    # A file that is being sent has no submission yet.
    names = sorted(
        video
        for video in unknown
        if workspace.has_submission(video) and not workspace.store.exists(keys.refusal(video))
    )
    return [VIDEOS.build_add_request(names)] if names else []


def is_refused_before_change(workspace: Workspace, video: str, dropped: Dropped) -> bool:
    """True if a refused video was dropped again, or its settings corrected, after the refusal.

    Both times are the store's or the file system's, so that another clock does not matter; a bucket's are whole
    seconds.
    """
    refusal = workspace.store.stat(keys.refusal(video))
    return refusal is not None and dropped.last_change_s() >= refusal.modified_s


def _is_carried_on(workspace: Workspace, video: str) -> bool:
    return workspace.has_submission(video) and workspace.submission(video).driver is Driver.SENSORS


def _forget_refused_settings(workspace: Workspace, submission: Submission) -> None:
    """The same file was refused for its settings, which are corrected now: that refusal is of no use any more."""
    plain = video_key(submission.name, submission.identity, ConversionSettings())
    refusal = workspace.refusal(plain) if plain != submission.video else None
    if refusal and workspace.submission(plain).source == submission.source:
        workspace.store.delete_prefix(keys.video_folder(plain))
