"""Sends files to S3 in checked parts; an object appears when all of them are there, or not at all."""

from __future__ import annotations

import hashlib
import logging
import mimetypes
from collections import deque
from collections.abc import Iterator
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


def upload_bytes(target: Target, data: bytes) -> None:
    """S3 refuses it if its checksum is not that of what arrived."""
    target.client.put_object(
        **target.request,
        Body=data,
        ChecksumSHA256=sha256_base64(data),
        Metadata={METADATA: hashlib.sha256(data).hexdigest()},
        **target.description,
    )


def upload_file(target: Target, path: Path) -> str | None:
    """Send a file.

    Returns:
        What S3 should say is the SHA-256 of the object, if it was sent in parts.

    Raises:
        StoreFailed: the file changed while it was sent, or not all of it arrived; the object is as it was before.
        OSError: the file cannot be read.
    """
    size, part_bytes = path.stat().st_size, target.settings.part_bytes
    if size <= part_bytes:
        upload_bytes(target, path.read_bytes())
        return None
    part_bytes = max(part_bytes, -(-size // _MOST_PARTS))
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        extra = {"ChecksumAlgorithm": "SHA256", "Metadata": {METADATA: sha256}}
        with _multipart(target, extra) as upload:
            parts, sent = _send_parts(target, upload, file, part_bytes)
            if sent != sha256:
                raise StoreFailed(target.place, "its file changed while it was sent", "Try again")
            _check_parts(target, upload, len(parts), size)
            _complete(target, upload, parts, MpuObjectSize=size)
    return composite([part["ChecksumSHA256"] for part in parts])


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
        target.client.copy_object(**target.request, **pinned, MetadataDirective="COPY", **target.settings.encryption)
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
def _multipart(target: Target, extra: dict[str, Any]) -> Iterator[str]:
    """The id of an upload in parts, which is given up if anything goes wrong: S3 bills forgotten parts."""
    made = target.client.create_multipart_upload(**target.request, **target.description, **extra)
    upload = made["UploadId"]
    try:
        yield upload
    except BaseException:
        try:
            target.client.abort_multipart_upload(**target.request, UploadId=upload)
        except (BotoCoreError, ClientError) as error:
            _log.warning("%s: parts of a failed upload are left (%s): %s", target.place, upload, error)
        raise


def _send_parts(target: Target, upload: str, file: Any, part_bytes: int) -> tuple[list[dict[str, Any]], str]:
    """Parts as they are listed to complete the upload, and the SHA-256 (hex) of all that was sent."""
    whole = hashlib.sha256()
    parts: list[dict[str, Any]] = []
    waiting: deque[Future[dict[str, Any]]] = deque()
    with ThreadPoolExecutor(target.settings.upload_threads, "upload") as pool:
        try:
            while data := file.read(part_bytes):
                whole.update(data)
                waiting.append(pool.submit(_send_part, target, upload, len(parts) + len(waiting) + 1, data))
                if len(waiting) >= target.settings.upload_threads:
                    # Memory holds no more parts than threads.
                    parts.append(waiting.popleft().result())
            parts += [future.result() for future in waiting]
        finally:
            pool.shutdown(cancel_futures=True)
    return parts, whole.hexdigest()


def _send_part(target: Target, upload: str, number: int, data: bytes) -> dict[str, Any]:
    checksum = sha256_base64(data)
    made = target.client.upload_part(
        **target.request, UploadId=upload, PartNumber=number, Body=data, ChecksumSHA256=checksum
    )
    if made.get("ChecksumSHA256", checksum) != checksum:
        raise StoreFailed(target.place, f"part {number} was damaged on the way", "Try again")
    return {"PartNumber": number, "ETag": made["ETag"], "ChecksumSHA256": checksum}


def _check_parts(target: Target, upload: str, count: int, size: int) -> None:
    """Before the object appears: S3 has every part, whole."""
    pages = target.client.get_paginator("list_parts").paginate(**target.request, UploadId=upload)
    sizes = [part["Size"] for page in pages for part in page.get("Parts", [])]
    if (len(sizes), sum(sizes)) != (count, size):
        cause = f"S3 has {sum(sizes)} of {size} bytes, in {len(sizes)} of {count} parts"
        raise StoreFailed(target.place, cause, "Try again")


def _complete(target: Target, upload: str, parts: list[dict[str, Any]], **extra: Any) -> None:
    target.client.complete_multipart_upload(
        **target.request, UploadId=upload, MultipartUpload={"Parts": parts}, **extra
    )
