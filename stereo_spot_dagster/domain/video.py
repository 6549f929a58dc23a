"""Videos as the system knows them: keys, submissions, accepted sources, and what each step leaves behind."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from .layout import Layout, View
from .probe import ProbeReport
from .settings import Container, ConversionSettings

VideoKey = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,60}-[0-9a-f]{8}$")]

_SLUG_LENGTH = 40
_BUCKET_LOCATION = re.compile(
    r"^s3://(?P<bucket>[^/]+)/(?P<key>.*?[^/])(?:\?versionId=(?P<version>[^?&/]+))?$", re.DOTALL
)
_NAME_BYTES = 160
# Up to this size a file is identified by all of its bytes, above it by samples spread over it: a 100 GB film must
# not be read whole only to learn its name. The whole file is checksummed when it is taken in.
_WHOLE_BYTES = 64 << 20
_SAMPLES, _SAMPLE_BYTES = 64, 256 << 10


class Driver(StrEnum):
    """Who carries a video from segment to segment: the daemon's sensors, or the process that was asked to."""

    SENSORS = "sensors"
    INLINE = "inline"


class ObjectVersion(BaseModel):
    """One version of an object in a bucket; what is written later under the same key is another one.

    Attributes:
        bucket, key: where it lies; the key is plain text, not encoded for a URL.
        version: id of the version; empty in a bucket without versions.
        etag: as S3 gives it, without its quotes; another one for other content.
        size_bytes: its size.
    """

    model_config = ConfigDict(frozen=True)

    bucket: str
    key: str
    version: str = ""
    etag: str
    size_bytes: Annotated[int, Field(ge=0)]

    @property
    def name(self) -> str:
        """The file name that the user gave it."""
        return self.key.rpartition("/")[2]

    @property
    def url(self) -> str:
        """For a person; :func:`bucket_location` reads it."""
        return f"s3://{self.bucket}/{self.key}" + (f"?versionId={self.version}" if self.version else "")

    @property
    def identity(self) -> str:
        """32 hex digits that differ for every version of every object; nothing of the content is read for it."""
        parts = (self.bucket, self.key, self.version, self.etag, str(self.size_bytes))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


class Submission(BaseModel):
    """A video as it was handed in, before anybody has looked into it.

    Attributes:
        video: its key.
        name: the file name the user gave it.
        source: where the file lies: an absolute path, or the URL of an object.
        identity: hex digest of size and content (see :func:`content_identity`), or of an object's version.
        in_bucket: the object that it is, where it lies in a bucket.
        settings: how it shall be converted.
        driver: who carries it on.
        origin: how it came in: ``drop folder``, ``drop bucket``, ``command line``, ``launchpad`` or ``job``.
        submitted_at: UTC time.
    """

    model_config = ConfigDict(frozen=True)

    video: VideoKey
    name: str
    source: str
    identity: str
    in_bucket: ObjectVersion | None = None
    settings: ConversionSettings
    driver: Driver = Driver.SENSORS
    origin: str = "command line"
    submitted_at: datetime


class SuppliedDepth(BaseModel):
    """Depth that the user gave with a video, as it lies in the store: 16 bit gray FFV1 files, 65535 = nearest.

    Attributes:
        keys: store keys of its pieces, in order; each but the last holds ``piece_frames`` pictures.
        piece_frames: pictures of a piece.
        frames: how many pictures there are: one for each frame of the source, also of the parts not converted.
        width, height: their size, at most that of the source.
        sha256: of all samples: the same depth has the same, in whatever kind of file it came.
    """

    model_config = ConfigDict(frozen=True)

    keys: Annotated[tuple[str, ...], Field(min_length=1)]
    piece_frames: Annotated[int, Field(gt=0)]
    frames: Annotated[int, Field(gt=0)]
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]
    sha256: str


class SourceRecord(BaseModel):
    """An accepted source: where its copy lies, its checksum, what it holds, and the settings frozen for it.

    Attributes:
        sha256: of the copy, hex.
        straightened_from: SHA-256 of what was handed in, where the copy is that on one clock; else empty.
        supplied_depth: depth that came with it, for the setting ``file:``.
    """

    model_config = ConfigDict(frozen=True)

    video: VideoKey
    name: str
    key: str
    size_bytes: Annotated[int, Field(gt=0)]
    sha256: str
    straightened_from: str = ""
    probe: ProbeReport
    settings: ConversionSettings
    supplied_depth: SuppliedDepth | None = None


class Refusal(BaseModel):
    """Why a video was not accepted.

    Attributes:
        reason: in words, with the remedy.
        wrong_settings: True if the file may be fine but its settings are not: trying again changes nothing.
    """

    model_config = ConfigDict(frozen=True)

    video: VideoKey
    name: str
    reason: str
    wrong_settings: bool = False
    refused_at: datetime


class OutputFile(BaseModel):
    """One finished or per-segment file of a layout."""

    model_config = ConfigDict(frozen=True)

    layout: Layout
    view: View
    key: str
    size_bytes: int


class FinalRecord(BaseModel):
    """The finished files of a video and the rendering they were joined from."""

    model_config = ConfigDict(frozen=True)

    video: VideoKey
    render_fingerprint: str
    layouts: tuple[Layout, ...]
    container: Container
    outputs: tuple[OutputFile, ...]
    warnings: tuple[str, ...] = ()
    finished_at: datetime


class Delivery(BaseModel):
    """Where finished files were put for the user; they may be replaced by newer ones of the same video."""

    model_config = ConfigDict(frozen=True)

    paths: tuple[str, ...] = ()


class Attempt(BaseModel):
    """How often somebody has asked for a video to be tried again; part of every run key."""

    model_config = ConfigDict(frozen=True)

    number: Annotated[int, Field(ge=0)] = 0


def video_key(name: str, identity: str, settings: ConversionSettings) -> str:
    """``holiday-3f9c2a1b``: same content and settings give the same hash, whatever the file is called."""
    digest = hashlib.sha256(f"{identity}:{settings.fingerprint}".encode()).hexdigest()[:8]
    return f"{slug(name)}-{digest}"


def bucket_location(text: str) -> tuple[str, str, str] | None:
    """(bucket, key, version) of ``s3://bucket/key``, perhaps with ``?versionId=...``; None for anything else."""
    found = _BUCKET_LOCATION.match(text)
    return (found["bucket"], found["key"], found["version"] or "") if found else None


def slug(name: str) -> str:
    """Lower-case ASCII letters, digits and dashes from a file name's stem; ``video`` where nothing is left."""
    stem = Path(name).stem or name
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_SLUG_LENGTH].strip("-")
    return words or "video"


def output_stem(name: str) -> str:
    """The user's file name without extension, made safe for any file system: no separators, controls or
    characters that SMB and Windows refuse, no leading dash or dot, at most 160 bytes of UTF-8."""
    stem = Path(name.replace("\\", "_")).stem or name
    safe = "".join("_" if ch in '/\\:*?"<>|%' or not ch.isprintable() else ch for ch in stem)
    safe = safe.strip().lstrip("-.") or "video"
    while len(safe.encode("utf-8", "ignore")) > _NAME_BYTES:
        safe = safe[:-1]
    return safe.encode("utf-8", "ignore").decode() or "video"


def content_identity(path: Path) -> str:
    """32 hex digits of a file's size and content.

    Raises:
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= _WHOLE_BYTES:
            while block := file.read(1 << 20):
                digest.update(block)
        else:
            for sample in range(_SAMPLES):
                file.seek((size - _SAMPLE_BYTES) * sample // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:32]
