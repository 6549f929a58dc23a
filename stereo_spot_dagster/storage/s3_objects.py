"""Single versions of objects anywhere in S3, which somebody else may have written: found, fetched, copied, sent."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from ..domain.errors import StoreFailed
from ..domain.video import ObjectVersion
from .base import MediaStore, StoredObject, StoreRefused, check_key
from .s3 import S3Store
from .s3_checksums import METADATA
from .s3_client import s3_client
from .s3_download import Source, download
from .s3_errors import code_of, explained, is_missing
from .s3_settings import S3Settings
from .s3_upload import UNTAGGED, Target, copy_object, upload_file

_log = logging.getLogger(__name__)

# HEAD of a version that is a delete marker.
_MARKER = "405"
# One request copies no more.
_COPIED_AT_ONCE = 5 << 30
_SHA256 = re.compile(r"^[0-9a-f]{64}$")


class VersionGone(StoreRefused):
    """An object was deleted, or another was written over it."""


@dataclass(frozen=True)
class FoundObject:
    """An object as HEAD describes it.

    Attributes:
        version: which one it is.
        modified_s: POSIX time of its last change, to a second; of a file sent in parts, of the start of sending.
        metadata: what its writer noted with it (``x-amz-meta-...``), by names without that.
    """

    version: ObjectVersion
    modified_s: float
    metadata: Mapping[str, str]


def settings_of(store: MediaStore) -> S3Settings:
    """How to speak to S3: as the store does, where it is a bucket."""
    return store.settings if isinstance(store, S3Store) else S3Settings.from_environment()


def find_object(settings: S3Settings, bucket: str, key: str, version: str = "") -> FoundObject | None:
    """What lies under a key now, or the version that is named; None if there is none.

    Raises:
        StoreFailed: S3 cannot be asked, or does not allow it; or HTTP clients would make another key of this one.
    """
    check_key(key)
    head = _head(settings, bucket, key, version)
    if head is None:
        return None
    return FoundObject(_version(bucket, key, head), head["LastModified"].timestamp(), head.get("Metadata", {}))


def fetch_object(settings: S3Settings, wanted: ObjectVersion, scratch: Path) -> Path:
    """A local copy in ``scratch`` of just this version.

    Raises:
        VersionGone: there is no such version any more.
        StoreFailed: it cannot be had, or what arrived is not what was stored.
    """
    head = _present(settings, wanted)
    if not _SHA256.match(head.get("Metadata", {}).get(METADATA, "")):
        # Others may mean something else by this name.
        head = head | {"Metadata": {}}
    source = Source.described(s3_client(settings), _request(settings, wanted), wanted.url, head)
    return download(source, scratch, settings.attempts)


def copy_into(store: S3Store, wanted: ObjectVersion, key: str, sha256: str) -> None:
    """Copy just this version to a key of the store, without moving its bytes over this machine.

    Args:
        store: where to.
        wanted: what.
        key: under which it shall lie.
        sha256: of its content, in hex; noted with the copy, so that whoever fetches it can check it.

    Raises:
        VersionGone: there is no such version any more.
        StoreFailed: S3 does not do it, as between buckets of which no role may see both.
    """
    head = _present(store.settings, wanted)
    request = {"Bucket": store.bucket, "Key": store.prefix + key, **store.settings.payer}
    target = Target(s3_client(store.settings), request, store.locate(key), store.settings)
    source = {"Bucket": wanted.bucket, "Key": wanted.key}
    if wanted.version:
        source["VersionId"] = wanted.version
    noted = {METADATA: sha256}
    with explained(target.place):
        if wanted.size_bytes > _COPIED_AT_ONCE:
            copy_object(target, source, head | {"Metadata": noted})
        else:
            pinned = {"CopySource": source, "CopySourceIfMatch": head["ETag"]}
            new = {"MetadataDirective": "REPLACE", "Metadata": noted, **UNTAGGED, **target.description}
            target.client.copy_object(**target.request, **pinned, **new)
    stored = store.stat(key)
    if stored is None or stored.size_bytes != wanted.size_bytes:
        raise StoreFailed(store.locate(key), "the copy is not whole", "Try again")


def upload(store: S3Store, path: Path, key: str, tell: Callable[[int], None]) -> ObjectVersion:
    """Send a local file, which stays where it is; what an earlier call has sent of it is not sent again.

    Args:
        store: where to.
        path: the file.
        key: under which it shall lie; only for this file.
        tell: hears how many more bytes are there.

    Raises:
        StoreFailed: it could not be written whole; what was there before is still there.
    """
    request = {"Bucket": store.bucket, "Key": store.prefix + key, **store.settings.payer}
    target = Target(s3_client(store.settings), request, store.locate(key), store.settings)
    try:
        with explained(target.place):
            sent = upload_file(target, path, tell, resume=True)
    except OSError as error:
        raise StoreFailed(target.place, f"{path} cannot be read ({error.strerror})", "Check rights") from error
    found = find_object(store.settings, request["Bucket"], request["Key"])
    whole = found is not None and found.version.size_bytes == path.stat().st_size
    if found is None or not whole or found.metadata.get(METADATA) != sent.sha256:
        # Perhaps parts of another file with nearly the same content were there; the next try begins anew.
        store.delete_prefix(key)
        raise StoreFailed(target.place, "what is stored is not what was sent", "Try again")
    return found.version


def objects_behind(store: S3Store, prefix: str, after: str) -> Iterator[StoredObject]:
    """Objects below ``prefix`` whose keys come after ``after``, which need not be there any more; in order of key.

    S3 orders keys by their bytes in UTF-8.
    """
    where = {"Bucket": store.bucket, "Prefix": store.prefix + prefix, **store.settings.payer}
    if after:
        where["StartAfter"] = store.prefix + after
    with explained(store.locate(prefix)):
        for page in s3_client(store.settings).get_paginator("list_objects_v2").paginate(**where):
            for found in page.get("Contents", []):
                key, etag = found["Key"].removeprefix(store.prefix), found["ETag"].strip('"')
                yield StoredObject(key, found["Size"], found["LastModified"].timestamp(), etag)


def _present(settings: S3Settings, wanted: ObjectVersion) -> Any:
    """HEAD's answer about a version that is still there."""
    head = _head(settings, wanted.bucket, wanted.key, wanted.version)
    if head is None:
        raise VersionGone(wanted.url, "it is no longer there", "Upload it again, or remove the video")
    if _version(wanted.bucket, wanted.key, head).etag != wanted.etag:
        cause = "another file was written over it before it was taken in"
        raise VersionGone(wanted.url, cause, "The other one is a video of its own: remove this one")
    return head


def _head(settings: S3Settings, bucket: str, key: str, version: str) -> Any:
    pinned = {"VersionId": version} if version else {}
    request = {"Bucket": bucket, "Key": key, **settings.payer, **pinned}
    with explained(f"s3://{bucket}/{key}"):
        try:
            return s3_client(settings).head_object(**request, ChecksumMode="ENABLED")
        except ClientError as error:
            if is_missing(error) or code_of(error) == _MARKER:
                return None
            raise


def _version(bucket: str, key: str, head: Any) -> ObjectVersion:
    version = head.get("VersionId", "")
    return ObjectVersion(
        bucket=bucket,
        key=key,
        # What was written before a bucket had versions has the version "null".
        version="" if version == "null" else version,
        etag=head["ETag"].strip('"'),
        size_bytes=head["ContentLength"],
    )


def _request(settings: S3Settings, wanted: ObjectVersion) -> dict[str, str]:
    return {"Bucket": wanted.bucket, "Key": wanted.key, **settings.payer}
