"""Commands on videos that are known: submit, status, retry, retune, remove."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from ..assets import source_video as source_asset
from ..assets.partitions import SEGMENTS, VIDEO_TAG, VIDEOS
from ..assets.studio import Studio
from ..convert.choice import prepare_inpainter
from ..convert.finish import deliver_done, delivered_places
from ..convert.intake import identify_any, send, submit
from ..convert.progress import Stage, VideoProgress, known_videos, video_progress
from ..convert.render import Rendering
from ..convert.workspace import Workspace
from ..domain.errors import InvalidSettings, UnknownVideo, VideoBusy, printable
from ..domain.settings import PLANNED, parse_settings
from ..domain.video import Attempt, Driver, Submission
from ..media.requirements import check_result
from ..storage import keys
from .convert import inputs
from .session import Session, failure_words


@dataclass(frozen=True)
class VideoStatus:
    """A video as `status` shows it.

    Attributes:
        state: its stage, or ``failed``, ``interrupted`` or ``waiting for the daemon``.
        done, total: converted and planned segments.
        remaining_s: estimated seconds to the last segment; None where nothing can be said.
        reason: why it was refused or failed.
    """

    progress: VideoProgress
    state: str
    done: int
    total: int
    remaining_s: float | None
    reason: str


def submit_all(session: Session, sources: list[str], values: dict[str, Any], console: Console) -> list[str]:
    """Hand in each file, those of each folder, and each ``s3://bucket/key``; return the keys of the videos."""
    settings = parse_settings(values, subject="options")
    submitted = []
    for source in inputs(sources):
        submission = identify_any(session.workspace, source, settings, driver=Driver.SENSORS, origin="command line")
        if not _is_known(session.workspace, submission, console):
            submit(session.workspace, _sent(session.workspace, submission, console))
            session.instance.add_dynamic_partitions(str(VIDEOS.name), [submission.video])
        submitted.append(submission.video)
    if not session.daemon_is_alive():
        console.print("No daemon is running: the videos wait until `make dev` or `dagster dev` is started.")
    return submitted


def _is_known(workspace: Workspace, submission: Submission, console: Console) -> bool:
    """Whether nothing has to be written down; then the user is told why."""
    video = submission.video
    if not workspace.has_submission(video):
        return False
    if video_progress(workspace, video).stage is Stage.FINISHED:
        console.print(Text(f"{printable(submission.name)} is finished already (video {video})"))
        return True
    # What was dropped with settings beside it has the key that it has without any.
    if submission.in_bucket and workspace.submission(video).settings != submission.settings:
        name = printable(submission.name)
        console.print(Text(f"{name} is video {video} already, with the settings it was dropped with"))
        return True
    return False


def _sent(workspace: Workspace, submission: Submission, console: Console) -> Submission:
    """The submission with its file in the store, where that is a bucket and the file is not in one yet."""
    if workspace.store.folder or submission.in_bucket:
        return submission
    if workspace.has_submission(submission.video):
        known = workspace.submission(submission.video)
        if known.in_bucket and workspace.store.exists(keys.source(known.video, Path(known.name).suffix)):
            return submission.model_copy(update={"source": known.source, "in_bucket": known.in_bucket})
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(printable(submission.name), total=Path(submission.source).stat().st_size)
        return send(workspace, submission, lambda sent: bar.advance(task, sent))


def video_status(session: Session, video: str) -> VideoStatus:
    """Where a video stands, with the words of its last failure.

    Raises:
        UnknownVideo: it was never submitted.
    """
    progress = video_progress(session.workspace, video)
    total, done = progress.segments, progress.segments - len(progress.missing)
    if progress.refusal:
        return VideoStatus(progress, "refused", 0, 0, None, progress.refusal.reason)
    if progress.stage is Stage.FINISHED:
        return VideoStatus(progress, "finished", total, total, None, "")
    if session.active_runs(video) or session.is_locked(video):
        return VideoStatus(progress, progress.stage.value, done, total, _remaining_s(session, progress), "")
    reason = _last_failure(session, video)
    if reason:
        return VideoStatus(progress, "failed", done, total, None, reason)
    if progress.submission.driver is Driver.INLINE:
        words = "the command that converted it ended early: run it again, or retry"
        return VideoStatus(progress, "interrupted", done, total, None, words)
    state = progress.stage.value if session.daemon_is_alive() else "waiting for the daemon"
    return VideoStatus(progress, state, done, total, None, "")


def print_status(session: Session, video: str | None, console: Console) -> None:
    """One video with its files and warnings, or a table of all."""
    if video:
        _print_one(session, video_status(session, video), console)
        return
    table = Table("video", "name", "state", "segments", "ready in", "reason")
    for key in known_videos(session.workspace):
        try:
            found = video_status(session, key)
        except UnknownVideo:
            continue
        segments = f"{found.done}/{found.total}" if found.total else ""
        ready = _duration(found.remaining_s) if found.remaining_s is not None else ""
        row = (key, printable(found.progress.submission.name), found.state, segments, ready, found.reason)
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    if not table.row_count:
        console.print("No videos yet. Convert one with: stereo-spot convert FILE")
        return
    console.print(table)


def retry(session: Session, video: str, console: Console) -> list[str]:
    """Try a video again: by the daemon where it drives the video and is alive, else in this process.

    Returns:
        The finished files, if it was converted here.
    """
    submission = session.workspace.submission(video)
    if session.active_runs(video) or session.is_locked(video):
        raise VideoBusy(video, "it is being converted right now", f"See: stereo-spot status {video}")
    refusal = session.workspace.refusal(video)
    if refusal and refusal.wrong_settings:
        raise InvalidSettings(video, "trying again changes nothing while its settings are wrong", refusal.reason)
    session.workspace.store.delete_prefix(keys.refusal(video))
    number = session.workspace.attempt(video) + 1
    session.workspace.save(Attempt(number=number), keys.attempt(video))
    if submission.driver is Driver.SENSORS and session.daemon_is_alive():
        console.print(f"The daemon tries {video} again. See: stereo-spot status {video}")
        return []
    return _convert_here(session, video, console)


def retune(session: Session, video: str, values: dict[str, Any], console: Console) -> list[str]:
    """Render a video again with other settings; its frames, cuts and depth stay.

    Raises:
        InvalidSettings: a setting would need other frames or other depth.
    """
    workspace = session.workspace
    source = workspace.source(video)
    if session.active_runs(video) or session.is_locked(video):
        raise VideoBusy(video, "it is being converted right now", f"See: stereo-spot status {video}")
    for name in values:
        if name in PLANNED:
            raise InvalidSettings(name, "it cannot be changed without converting anew", "Use: stereo-spot convert")
    if not values:
        raise InvalidSettings(video, "no setting to change was given", "Give one, such as --divergence 3")
    settings = parse_settings(source.settings.model_dump() | values, subject="options")
    check_result(source.probe, settings)
    prepare_inpainter(settings)
    updated = source.model_copy(update={"settings": settings})
    workspace.save(updated, keys.source_record(video))
    submission = workspace.submission(video).model_copy(update={"settings": settings})
    submit(workspace, submission)
    _report_source(session, updated)
    if submission.driver is Driver.SENSORS and session.daemon_is_alive():
        console.print(f"The daemon renders {video} again. See: stereo-spot status {video}")
        return []
    return _convert_here(session, video, console)


def check_removable(session: Session, video: str, *, force: bool) -> None:
    """Raise unless the video is known and at rest; with ``force`` its runs are stopped."""
    session.workspace.submission(video)
    if session.is_locked(video):
        raise VideoBusy(video, "another process is converting it", "Stop that process first")
    runs = session.active_runs(video)
    if runs and not force:
        raise VideoBusy(video, f"{len(runs)} runs of it are queued or running", "Wait, or use --force")
    for run in runs:
        session.instance.report_run_canceling(run)
        session.instance.run_launcher.terminate(run.run_id)


def remove(session: Session, video: str) -> None:
    """Delete a video's objects, partitions and runs (with their events).

    Raises:
        ObjectsLeft: some objects could not be deleted; they are named, and the video stays known.
    """
    instance = session.instance
    session.workspace.store.delete_prefix(keys.video_folder(video))
    segments = SEGMENTS.get_partition_keys(dynamic_partitions_store=instance)
    for key in segments:
        if key.startswith(f"{video}."):
            instance.delete_dynamic_partition(str(SEGMENTS.name), key)
    instance.delete_dynamic_partition(str(VIDEOS.name), video)
    for run in instance.get_runs(dg.RunsFilter(tags={VIDEO_TAG: video})):
        instance.delete_run(run.run_id)


def _convert_here(session: Session, video: str, console: Console) -> list[str]:
    workspace = session.workspace
    driver = workspace.submission(video).driver
    # While this process is at it, no daemon that starts meanwhile may take it up.
    submission = workspace.submission(video).model_copy(update={"driver": Driver.INLINE})
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(video, total=None)

        def tell(what: str, done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total, description=f"{video} {what}")

        try:
            final = session.convert(submission, tell)
        finally:
            submit(workspace, submission.model_copy(update={"driver": driver}))
    return deliver_done(workspace, video, final.outputs)


def _report_source(session: Session, source) -> None:
    made = source_asset.materialization(Studio(home=str(session.workspace.home)), source)
    session.instance.report_runless_asset_event(
        dg.AssetMaterialization(asset_key=source_asset.NAME, partition=source.video, metadata=made.metadata)
    )


def _last_failure(session: Session, video: str) -> str:
    """The words of the newest run of a video, if it failed."""
    newest = session.instance.get_run_records(dg.RunsFilter(tags={VIDEO_TAG: video}), limit=20)
    latest: dict[str, dg.RunRecord] = {}
    for record in newest:
        latest.setdefault(record.dagster_run.tags.get("dagster/partition", ""), record)
    for record in latest.values():
        run = record.dagster_run
        if run.status is dg.DagsterRunStatus.FAILURE:
            events = [entry.dagster_event for entry in session.instance.all_logs(run.run_id) if entry.dagster_event]
            return failure_words(events)
    return ""


def _remaining_s(session: Session, progress: VideoProgress) -> float | None:
    """Seconds to go, from the times at which the finished segments were stored."""
    if not progress.plan or not progress.source:
        return None
    rendering, store = Rendering(progress.plan, progress.source.settings), session.workspace.store
    finished = [segment for segment in progress.plan.segments if segment.index not in progress.missing]
    stored = [store.stat(next(iter(rendering.files(segment).values()))) for segment in finished]
    times = [found.modified_s for found in stored if found]
    if len(times) < 2 or max(times) == min(times):
        return None
    return len(progress.missing) * (max(times) - min(times)) / (len(times) - 1)


def _occlusions(progress: VideoProgress) -> str:
    if progress.plan is None or progress.source is None:
        return ""
    used = Rendering(progress.plan, progress.source.settings).inpaint
    # What was asked for later, by retune, is not the plan's.
    reason = progress.plan.inpaint_reason if used is progress.plan.inpaint else "it was asked for"
    return f"{used.value}: {reason}"


def _print_one(session: Session, found: VideoStatus, console: Console) -> None:
    progress = found.progress
    rows = {
        "video": progress.video,
        "name": printable(progress.submission.name),
        "state": found.state,
        "segments": f"{found.done} of {found.total}",
        "reason": found.reason,
        "came in by": f"{progress.submission.origin}, {progress.submission.submitted_at:%Y-%m-%d %H:%M:%S} UTC",
        "depth": f"{progress.plan.depth}: {progress.plan.depth_reason}" if progress.plan else "",
        "occlusions": _occlusions(progress),
        "warnings": "\n".join(
            progress.final.warnings if progress.final else progress.plan.warnings if progress.plan else ()
        ),
        "ready in": _duration(found.remaining_s) if found.remaining_s is not None else "",
        "results": "\n".join(delivered_places(session.workspace, progress.video)),
    }
    table = Table(show_header=False)
    for name, value in rows.items():
        if value:
            table.add_row(name, Text(value, overflow="fold"))
    console.print(table)


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
