"""Sends files to S3 in checked parts; an object appears when all of them are there, or not at all."""

from __future__ import annotations

import hashlib
import logging
import mimetypes
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..domain.errors import StoreFailed
from .s3_checksums import METADATA, composite, sha256_base64
from .s3_settings import S3Settings

_log = logging.getLogger(__name__)

_MOST_PARTS = 10_000
# One request copies no more.
_COPIED_AT_ONCE = 5 << 30
# A copy is ours: by the tags of what was dropped, somebody's rule would let it expire.
UNTAGGED = {"TaggingDirective": "REPLACE"}
# Without the machine's own list of types, so that every worker says the same.
_TYPES = mimetypes.MimeTypes()
_TYPES.add_type("video/x-matroska", ".mkv")
_TYPES.add_type("video/mp2t", ".m2ts")


@dataclass(frozen=True)
class Target:
    """Where to write.

    Attributes:
        client: of boto3.
        request: bucket and key, and who pays.
        place: ``s3://`` URL, for errors.
        settings: of the store.
    """

    client: Any
    request: dict[str, str]
    place: str
    settings: S3Settings

    @property
    def description(self) -> dict[str, Any]:
        """Arguments that make an object what it is, but for its content."""
        kind, _ = _TYPES.guess_type(self.request["Key"].rpartition("/")[2])
        return {"ContentType": kind or "application/octet-stream", **self.settings.encryption}


@dataclass(frozen=True)
class Sent:
    """What was sent.

    Attributes:
        sha256: of the content, in hex.
        composite: what S3 should say is the SHA-256 of the object, if it was sent in parts.
    """

    sha256: str
    composite: str | None


def upload_bytes(target: Target, data: bytes) -> None:
    """S3 refuses it if its checksum is not that of what arrived."""
    target.client.put_object(
        **target.request,
        Body=data,
        ChecksumSHA256=sha256_base64(data),
        Metadata={METADATA: hashlib.sha256(data).hexdigest()},
        **target.description,
    )


def upload_file(
    target: Target, path: Path, tell: Callable[[int], None] = lambda count: None, *, resume: bool = False
) -> Sent:
    """Send a file.

    Args:
        target: where to.
        path: the file.
        tell: hears how many more bytes are there.
        resume: go on with parts that an upload to the same key has left, and leave them if this one breaks. Only for
            keys that nobody else writes to.

    Raises:
        StoreFailed: the file changed while it was sent, or not all of it arrived; the object is as it was before.
        OSError: the file cannot be read.
    """
    size, part_bytes = path.stat().st_size, target.settings.part_bytes
    if size <= part_bytes:
        data = path.read_bytes()
        upload_bytes(target, data)
        tell(size)
        return Sent(hashlib.sha256(data).hexdigest(), None)
    part_bytes = max(part_bytes, -(-size // _MOST_PARTS))
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        extra = {"ChecksumAlgorithm": "SHA256", "Metadata": {METADATA: sha256}}
        with _multipart(target, extra, resume=resume) as upload:
            sending = _Sending(target, upload, _parts_there(target, upload) if resume else {}, tell)
            parts, sent = sending.send(file, part_bytes)
            if sent != sha256:
                raise StoreFailed(target.place, "its file changed while it was sent", "Try again")
            _check_parts(target, upload, len(parts), size)
            _complete(target, upload, parts, MpuObjectSize=size)
    return Sent(sha256, composite([part["ChecksumSHA256"] for part in parts]))


def copy_object(target: Target, source: dict[str, str], head: Any) -> None:
    """Copy within S3, pinned to the version that ``head`` describes.

    Args:
        target: the new object.
        source: ``CopySource`` of boto3.
        head: what HEAD said of it.
    """
    pinned = {"CopySource": source, "CopySourceIfMatch": head["ETag"]}
    size = head["ContentLength"]
    if size <= _COPIED_AT_ONCE:
        how = {"MetadataDirective": "COPY", **UNTAGGED, **target.settings.encryption}
        target.client.copy_object(**target.request, **pinned, **how)
        return
    with _multipart(target, {"Metadata": head.get("Metadata", {})}) as upload:
        parts = []
        for number, first in enumerate(range(0, size, _COPIED_AT_ONCE), 1):
            last = min(first + _COPIED_AT_ONCE, size) - 1
            where = {"UploadId": upload, "PartNumber": number, "CopySourceRange": f"bytes={first}-{last}"}
            made = target.client.upload_part_copy(**target.request, **pinned, **where)
            parts.append({"PartNumber": number, "ETag": made["CopyPartResult"]["ETag"]})
        _check_parts(target, upload, len(parts), size)
        _complete(target, upload, parts)


@contextmanager
def _multipart(target: Target, extra: dict[str, Any], *, resume: bool = False) -> Iterator[str]:
    """The id of an upload in parts, which is given up if anything goes wrong: S3 bills forgotten parts.

    With ``resume`` it may be one that was begun before, and is kept unless its parts are of no use.
    """
    begun = _newest_upload(target) if resume else None
    upload = begun or target.client.create_multipart_upload(**target.request, **target.description, **extra)["UploadId"]
    try:
        yield upload
    except BaseException as broken:
        if not resume or isinstance(broken, StoreFailed):
            _give_up(target, upload)
        raise


def _give_up(target: Target, upload: str) -> None:
    try:
        target.client.abort_multipart_upload(**target.request, UploadId=upload)
    except (BotoCoreError, ClientError) as error:
        _log.warning("%s: parts of a failed upload are left (%s): %s", target.place, upload, error)


def _newest_upload(target: Target) -> str | None:
    """The id of the upload to this key that was begun last; None where there is none, or none may be looked for."""
    bucket, key, payer = target.request["Bucket"], target.request["Key"], target.settings.payer
    try:
        pages = target.client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=key, **payer)
        found = [each for page in pages for each in page.get("Uploads", []) if each["Key"] == key]
    except (BotoCoreError, ClientError) as error:
        _log.info("%s: unfinished uploads cannot be listed: %s", target.place, error)
        return None
    return max(found, key=lambda each: each["Initiated"])["UploadId"] if found else None


def _parts_there(target: Target, upload: str) -> dict[int, Mapping[str, Any]]:
    """What S3 says of the parts of an upload, by number."""
    pages = target.client.get_paginator("list_parts").paginate(**target.request, UploadId=upload)
    return {part["PartNumber"]: part for page in pages for part in page.get("Parts", [])}


@dataclass(frozen=True)
class _Sending:
    """Sends the parts of an upload that are not there yet.

    Attributes:
        target, upload: where to.
        there: what S3 has of it already, by number.
        tell: hears how many more bytes are there.
    """

    target: Target
    upload: str
    there: Mapping[int, Mapping[str, Any]]
    tell: Callable[[int], None]

    def send(self, file: Any, part_bytes: int) -> tuple[list[dict[str, Any]], str]:
        """Parts as they are listed to complete the upload, and the SHA-256 (hex) of all that was read."""
        whole = hashlib.sha256()
        parts: list[dict[str, Any]] = []
        waiting: deque[tuple[int, Future[dict[str, Any]]]] = deque()

        def take() -> None:
            size, future = waiting.popleft()
            parts.append(future.result())
            self.tell(size)

        threads = self.target.settings.upload_threads
        with ThreadPoolExecutor(threads, "upload") as pool:
            try:
                while data := file.read(part_bytes):
                    whole.update(data)
                    waiting.append((len(data), pool.submit(self._send_part, len(parts) + len(waiting) + 1, data)))
                    if len(waiting) >= threads:
                        # Memory holds no more parts than threads.
                        take()
                while waiting:
                    take()
            finally:
                pool.shutdown(cancel_futures=True)
        return parts, whole.hexdigest()

    def _send_part(self, number: int, data: bytes) -> dict[str, Any]:
        checksum, known = sha256_base64(data), self.there.get(number)
        if known and _is_part(known, data, checksum):
            return {"PartNumber": number, "ETag": known["ETag"], "ChecksumSHA256": checksum}
        made = self.target.client.upload_part(
            **self.target.request, UploadId=self.upload, PartNumber=number, Body=data, ChecksumSHA256=checksum
        )
        if made.get("ChecksumSHA256", checksum) != checksum:
            raise StoreFailed(self.target.place, f"part {number} was damaged on the way", "Try again")
        return {"PartNumber": number, "ETag": made["ETag"], "ChecksumSHA256": checksum}


def _is_part(known: Mapping[str, Any], data: bytes, checksum: str) -> bool:
    """True if a part that S3 has is surely ``data``; of what is encrypted with a key the ETag tells nothing."""
    if known["Size"] != len(data):
        return False
    if "ChecksumSHA256" in known:
        return known["ChecksumSHA256"] == checksum
    return known["ETag"].strip('"') == hashlib.md5(data, usedforsecurity=False).hexdigest()


def _check_parts(target: Target, upload: str, count: int, size: int) -> None:
    """Before the object appears: S3 has every part, whole."""
    sizes = [part["Size"] for part in _parts_there(target, upload).values()]
    if (len(sizes), sum(sizes)) != (count, size):
        cause = f"S3 has {sum(sizes)} of {size} bytes, in {len(sizes)} of {count} parts"
        raise StoreFailed(target.place, cause, "Try again")


def _complete(target: Target, upload: str, parts: list[dict[str, Any]], **extra: Any) -> None:
    target.client.complete_multipart_upload(
        **target.request, UploadId=upload, MultipartUpload={"Parts": parts}, **extra
    )
