"""Takes a file in: its identity, what is written down of it, and the decision whether it can be converted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from ..domain.errors import InputRefused, InvalidSettings, ProofFailed, StereoSpotError
from ..domain.models import DepthKind, parse_depth
from ..domain.probe import ProbeReport
from ..domain.settings import ConversionSettings
from ..domain.video import (
    Driver,
    ObjectVersion,
    Refusal,
    SourceRecord,
    Submission,
    bucket_location,
    content_identity,
    video_key,
)
from ..media.requirements import check_result
from ..storage import keys
from .sources import probe_source, store_source
from .supplied_depth import supplied_identity, supplied_path, take_depth
from .workspace import Workspace


def identify_any(
    workspace: Workspace, source: str, settings: ConversionSettings, *, driver: Driver, origin: str
) -> Submission:
    """The submission for a local file, or for an object in a bucket (``s3://bucket/key``). Nothing is written.

    Raises:
        InputRefused: there is no such file or object.
        InvalidSettings: the settings do not go with an object.
        StoreFailed: S3 cannot be asked.
    """
    if bucket_location(source):
        return identify_object(object_at(workspace, source), settings, driver=driver, origin=origin)
    return identify(Path(source), settings, driver=driver, origin=origin)


def identify(
    path: Path, settings: ConversionSettings, *, driver: Driver = Driver.SENSORS, origin: str = "command line"
) -> Submission:
    """The submission for a local file. Nothing is written.

    A relative path in the depth setting is made absolute: a worker has another working directory.

    Raises:
        InputRefused: there is no such file, it is not a file, or its path cannot be written down; or the depth that the
            settings name is not there.
    """
    if not _is_unicode(str(path.absolute())):
        what = "its name or that of its folder is not valid Unicode, so that it cannot be written down"
        raise InputRefused(path.name, what, "Rename it")
    if not path.is_file():
        what = "it is a folder" if path.is_dir() else "there is no such file"
        raise InputRefused(path.name or str(path), what, "Name a video file")
    identity, settings = content_identity(path), _with_absolute_path(settings)
    depth = supplied_path(settings)
    # Other depth makes another video, even under the same name.
    whole = f"{identity}:{supplied_identity(depth)}" if depth else identity
    return Submission(
        video=video_key(path.name, whole, settings),
        name=path.name,
        source=str(path.absolute()),
        identity=identity,
        settings=settings,
        driver=driver,
        origin=origin,
        submitted_at=datetime.now(UTC),
    )


def identify_object(
    found: ObjectVersion,
    settings: ConversionSettings,
    *,
    driver: Driver = Driver.SENSORS,
    origin: str = "command line",
) -> Submission:
    """The submission for one version of an object in a bucket. Nothing is read or written.

    Raises:
        InvalidSettings: the settings name depth that lies in a file.
    """
    if parse_depth(settings.depth).kind is DepthKind.FILE:
        cause = "a video in a bucket cannot come with depth from a file"
        raise InvalidSettings(found.name, cause, "Choose another depth, or convert the file on the machine it lies on")
    return Submission(
        video=video_key(found.name, found.identity, settings),
        name=found.name,
        source=found.url,
        identity=found.identity,
        in_bucket=found,
        settings=settings,
        driver=driver,
        origin=origin,
        submitted_at=datetime.now(UTC),
    )


def object_at(workspace: Workspace, url: str) -> ObjectVersion:
    """What lies at ``s3://bucket/key`` now, or the version that is named by ``?versionId=``.

    Raises:
        InputRefused: there is no such object, or it is empty.
        StoreFailed: S3 cannot be asked.
    """
    from ..storage.s3_objects import find_object, settings_of

    location = bucket_location(url)
    if location is None:
        raise InputRefused(url, "it is not an object in a bucket", "Write it like s3://bucket/key")
    bucket, key, version = location
    found = find_object(settings_of(workspace.store), bucket, key, version)
    if found is None or not found.version.size_bytes:
        what = "there is no such object" if found is None else "it is empty"
        raise InputRefused(f"s3://{bucket}/{key}", what, "Name a video file")
    return found.version


def send(workspace: Workspace, submission: Submission, tell: Callable[[int], None]) -> Submission:
    """Bring a local file to where all workers can read it: into the store, which is a bucket.

    Args:
        workspace: the store.
        submission: of the file.
        tell: hears how many more bytes have arrived.

    Returns:
        The submission to hand in.

    Raises:
        StoreFailed: it could not be sent whole.
        ProofFailed: it changed meanwhile.
    """
    from ..storage.s3 import S3Store
    from ..storage.s3_objects import upload

    assert isinstance(workspace.store, S3Store)
    path = Path(submission.source)
    sent = upload(workspace.store, path, keys.source(submission.video, path.suffix), tell)
    if content_identity(path) != submission.identity:
        raise ProofFailed(submission.name, "it changed while it was being sent", "Submit it when it is complete")
    return submission.model_copy(update={"source": sent.url, "in_bucket": sent})


def _is_unicode(text: str) -> bool:
    """False for names of files in another encoding, whose bytes Python keeps as halves of surrogate pairs."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _with_absolute_path(settings: ConversionSettings) -> ConversionSettings:
    choice = parse_depth(settings.depth)
    if not choice.path:
        return settings
    absolute = Path(choice.path).expanduser().absolute()
    return settings.model_copy(update={"depth": f"{choice.kind.value}:{absolute}"})


def submit(workspace: Workspace, submission: Submission) -> None:
    """Write the submission down, so that any worker can carry it on."""
    workspace.save(submission, keys.submission(submission.video))


def look_into(workspace: Workspace, submission: Submission) -> ProbeReport:
    """What the source holds, without taking it in.

    Raises:
        InputRefused: it cannot be converted; the reason is also written down with the video.
        InvalidSettings: not as the settings want it; the reason is written down too.
        ToolUnavailable: not with this machine's ffmpeg.
    """
    if submission.in_bucket:
        # Looking into it takes all of it on this machine; then it can as well be taken in.
        submit(workspace, submission)
        return take_in(workspace, submission).probe
    try:
        return probe_source(submission)
    except (InputRefused, InvalidSettings) as refused:
        submit(workspace, submission)
        refuse(workspace, submission, refused)
        raise


def take_in(workspace: Workspace, submission: Submission) -> SourceRecord:
    """Copy the source into the store, with the depth that comes with it, look into it, and accept it.

    A source that was taken in before is not copied again.

    Raises:
        InputRefused: it cannot be converted; the reason is also written down with the video.
        InvalidSettings: not as the settings want it; the reason is written down too.
        ToolUnavailable: not with this machine's ffmpeg.
    """
    try:
        record = _existing(workspace, submission) or _take_in(workspace, submission)
    except (InputRefused, InvalidSettings) as refused:
        refuse(workspace, submission, refused)
        raise
    workspace.store.delete_prefix(keys.refusal(submission.video))
    return record


def refuse(workspace: Workspace, submission: Submission, error: StereoSpotError) -> None:
    """Write down why a video is not converted."""
    refusal = Refusal(
        video=submission.video,
        name=submission.name,
        reason=str(error),
        wrong_settings=isinstance(error, InvalidSettings),
        refused_at=datetime.now(UTC),
    )
    workspace.save(refusal, keys.refusal(submission.video))


def _existing(workspace: Workspace, submission: Submission) -> SourceRecord | None:
    if not workspace.store.exists(keys.source_record(submission.video)):
        return None
    record = workspace.source(submission.video)
    needed = [record.key, *(record.supplied_depth.keys if record.supplied_depth else ())]
    if not all(workspace.store.exists(key) for key in needed):
        return None
    if record.settings != submission.settings:
        check_result(record.probe, submission.settings)
        record = record.model_copy(update={"settings": submission.settings})
        workspace.save(record, keys.source_record(submission.video))
    return record


def _take_in(workspace: Workspace, submission: Submission) -> SourceRecord:
    stored = store_source(workspace, submission)
    depth = supplied_path(submission.settings)
    record = SourceRecord(
        video=submission.video,
        name=submission.name,
        key=stored.key,
        size_bytes=stored.report.size_bytes,
        sha256=stored.sha256,
        straightened_from=stored.straightened_from,
        probe=stored.report,
        settings=submission.settings,
        supplied_depth=take_depth(workspace, submission.video, depth, stored.report) if depth else None,
    )
    workspace.save(record, keys.source_record(submission.video))
    return record
