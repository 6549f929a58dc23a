"""The copy of a source in the store, and what it holds."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

from ..domain.errors import InputRefused, ProofFailed
from ..domain.probe import ProbeReport
from ..domain.video import Submission, content_identity
from ..media.probe import probe
from ..media.requirements import check_result
from ..media.straighten import straightened
from ..storage import keys
from ..storage.base import StoreRefused
from .workspace import Workspace

_log = logging.getLogger(__name__)
_BLOCK = 4 << 20


@dataclass(frozen=True)
class StoredSource:
    """A source that lies in the store.

    Attributes:
        key: where.
        report: what it holds.
        sha256: of what lies there, hex.
        straightened_from: SHA-256 (hex) of what was handed in, where that had to be brought onto one clock; else "".
    """

    key: str
    report: ProbeReport
    sha256: str
    straightened_from: str = ""


def probe_source(submission: Submission) -> ProbeReport:
    """What a local file holds, before anything is copied.

    Raises:
        InputRefused: it is gone, or cannot be converted.
        InvalidSettings: not as the settings want it.
        ToolUnavailable: not with this machine's ffmpeg.
    """
    original = Path(submission.source)
    if not original.is_file():
        raise InputRefused(submission.name, f"it is no longer there ({original})", "Put it back, or remove the video")
    return _accepted(original, submission)


def store_source(workspace: Workspace, submission: Submission) -> StoredSource:
    """Copy a source into the store and look into it; the errors are those of :func:`probe_source`."""
    if submission.in_bucket:
        return _store_object(workspace, submission)
    return _store_file(workspace, submission)


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _accepted(path: Path, submission: Submission) -> ProbeReport:
    """What the file holds, if a result as the settings want it can be made of it."""
    report = probe(path, name=submission.name)
    check_result(report, submission.settings)
    return report


def _store_file(workspace: Workspace, submission: Submission) -> StoredSource:
    # Looked into before it is copied: what is refused costs no space.
    report = probe_source(submission)
    with workspace.folder() as folder:
        copy = folder / "source"
        checksum = _copy(Path(submission.source), copy)
        if content_identity(copy) != submission.identity:
            raise ProofFailed(
                submission.name, "it changed while it was being taken in", "Submit it when it is complete"
            )
        straight = _store_straightened(workspace, submission, copy, report, checksum, folder)
        if straight:
            return straight
        key = _key(submission)
        workspace.store.put(copy, key)
    return StoredSource(key, report, checksum)


def _store_object(workspace: Workspace, submission: Submission) -> StoredSource:
    """The same for one version of an object.

    The bytes come to this machine to be looked into, but the copy is made inside S3: that saves sending them back.
    """
    # Without S3 nothing of this is needed, nor installed.
    from ..storage.s3 import S3Store
    from ..storage.s3_objects import VersionGone, copy_into, fetch_object, settings_of

    wanted, store = submission.in_bucket, workspace.store
    assert wanted is not None
    with workspace.folder() as folder:
        try:
            local = fetch_object(settings_of(store), wanted, folder)
            report, checksum = _accepted(local, submission), sha256_of(local)
            straight = _store_straightened(workspace, submission, local, report, checksum, folder)
            if straight:
                return straight
            stored = StoredSource(_key(submission), report, checksum)
            if store.locate(stored.key) == f"s3://{wanted.bucket}/{wanted.key}":
                return stored
            if isinstance(store, S3Store):
                try:
                    copy_into(store, wanted, stored.key, checksum)
                    return stored
                except VersionGone:
                    raise
                except StoreRefused as refused:
                    _log.info("%s: S3 does not copy it (%s); it is sent from here", wanted.url, refused.cause)
            store.put(local, stored.key)
        except VersionGone as gone:
            raise InputRefused(submission.name, gone.cause, gone.remedy) from gone
    return stored


def _store_straightened(
    workspace: Workspace, submission: Submission, path: Path, report: ProbeReport, checksum: str, folder: Path
) -> StoredSource | None:
    """A copy on one clock in the place of ``path``, whose SHA-256 is ``checksum``; None where its clock runs through.

    It has a name of its own: what was handed in may itself lie under that of the source.
    """
    straight = straightened(path, report, folder / "straight")
    if straight is None:
        return None
    note = "its clock starts anew in the middle: pictures and sound were brought onto one clock"
    found = probe(straight, name=report.file_name)
    found = found.model_copy(update={"warnings": (*report.warnings, note)})
    stored = StoredSource(
        keys.straightened(submission.video, Path(submission.name).suffix), found, sha256_of(straight), checksum
    )
    workspace.store.put(straight, stored.key)
    return stored


def _key(submission: Submission) -> str:
    return keys.source(submission.video, Path(submission.name).suffix)


def _copy(source: Path, target: Path) -> str:
    """Copy a file and return the SHA-256 (hex) of what was copied."""
    digest = hashlib.sha256()
    with source.open("rb") as reading, target.open("wb") as writing:
        while block := reading.read(_BLOCK):
            digest.update(block)
            writing.write(block)
    return digest.hexdigest()
