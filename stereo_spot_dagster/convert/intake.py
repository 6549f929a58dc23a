"""Takes a file in: its identity, its copy in the store, and the decision whether it can be converted."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from ..domain.errors import InputRefused, InvalidSettings, ProofFailed, StereoSpotError
from ..domain.models import parse_depth
from ..domain.probe import ProbeReport
from ..domain.settings import ConversionSettings
from ..domain.video import Driver, Refusal, SourceRecord, Submission, content_identity, video_key
from ..media.probe import probe
from ..storage import keys
from .supplied_depth import supplied_identity, supplied_path, take_depth
from .workspace import Workspace

_BLOCK = 4 << 20


def identify(
    path: Path, settings: ConversionSettings, *, driver: Driver = Driver.SENSORS, origin: str = "command line"
) -> Submission:
    """The submission for a local file. Nothing is written.

    A relative path in the depth setting is made absolute: a worker has another working directory.

    Raises:
        InputRefused: there is no such file, or it is not a file; or the depth that the settings name is not there.
    """
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
    """
    try:
        return _probe(submission)
    except InputRefused as refused:
        submit(workspace, submission)
        refuse(workspace, submission, refused)
        raise


def take_in(workspace: Workspace, submission: Submission) -> SourceRecord:
    """Copy the source into the store, with the depth that comes with it, look into it, and accept it.

    A source that was taken in before is not copied again.

    Raises:
        InputRefused: it cannot be converted; the reason is also written down with the video.
    """
    try:
        record = _existing(workspace, submission) or _take_in(workspace, submission)
    except InputRefused as refused:
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
        record = record.model_copy(update={"settings": submission.settings})
        workspace.save(record, keys.source_record(submission.video))
    return record


def _probe(submission: Submission) -> ProbeReport:
    original = Path(submission.source)
    if not original.is_file():
        raise InputRefused(submission.name, f"it is no longer there ({original})", "Put it back, or remove the video")
    return probe(original, name=submission.name)


def _take_in(workspace: Workspace, submission: Submission) -> SourceRecord:
    original = Path(submission.source)
    # Looked into before it is copied: what is refused costs no space.
    report = _probe(submission)
    key = keys.source(submission.video, original.suffix)
    with workspace.folder() as folder:
        copy = folder / "source"
        checksum = _copy(original, copy)
        if content_identity(copy) != submission.identity:
            raise ProofFailed(
                submission.name, "it changed while it was being taken in", "Submit it when it is complete"
            )
        workspace.store.put(copy, key)
    depth = supplied_path(submission.settings)
    record = SourceRecord(
        video=submission.video,
        name=submission.name,
        key=key,
        size_bytes=report.size_bytes,
        sha256=checksum,
        probe=report,
        settings=submission.settings,
        supplied_depth=take_depth(workspace, submission.video, depth, report) if depth else None,
    )
    workspace.save(record, keys.source_record(submission.video))
    return record


def _copy(source: Path, target: Path) -> str:
    """Copy a file and return the SHA-256 (hex) of what was copied."""
    digest = hashlib.sha256()
    with source.open("rb") as reading, target.open("wb") as writing:
        while block := reading.read(_BLOCK):
            digest.update(block)
            writing.write(block)
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
