"""A media store in a bucket: S3, or whatever speaks its protocol. Needs the extra ``aws``."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from ..domain.errors import StoreFailed
from .base import (
    MediaStore,
    ObjectsLeft,
    PresignedUpload,
    StoredObject,
    StoreRefused,
    check_deletable,
    check_key,
    check_prefix,
    no_such_object,
)
from .s3_checksums import METADATA
from .s3_client import s3_client
from .s3_download import Source, download, read_small
from .s3_errors import code_of, explained, is_missing, reason_of
from .s3_settings import S3Settings, parse_location
from .s3_upload import Target, copy_object, upload_bytes, upload_file

_LONGEST_KEY = 1024
_DELETED_AT_ONCE = 1000
_LONGEST_PRESIGNED_S = 7 * 24 * 3600
# Buckets that this process has seen, with how they were spoken to.
_SEEN: set[tuple[S3Settings, str]] = set()


class S3Store(MediaStore):
    """Objects below a prefix of a bucket.

    In a bucket with versions, what is replaced or deleted stays behind as an old version until a lifecycle rule of
    the bucket removes it.

    Args:
        bucket: its name.
        prefix: before every key; empty, or ending with a slash.
        settings: how to speak to it.
    """

    def __init__(self, bucket: str, prefix: str = "", settings: S3Settings | None = None) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.settings = settings or S3Settings()
        self._common = {"Bucket": bucket, **self.settings.payer}

    @classmethod
    def at(cls, url: str, settings: S3Settings | None = None) -> S3Store:
        """The store at ``s3://bucket/prefix``, with settings from the environment by default.

        Raises:
            InvalidSettings: the URL or a setting is wrong.
        """
        return cls(*parse_location(url), settings or S3Settings.from_environment())

    def __repr__(self) -> str:
        return f"S3Store({self.locate('')!r})"

    def put(self, path: Path, key: str) -> StoredObject:
        target = self._target(key)
        try:
            size = path.stat().st_size
            with explained(target.place):
                sent = upload_file(target, path)
            stored = self._stored(key, size, sent.composite)
            path.unlink()
        except OSError as error:
            raise StoreFailed(target.place, f"{path} cannot be read ({error.strerror})", "Check rights") from error
        return stored

    def put_bytes(self, data: bytes, key: str) -> StoredObject:
        target = self._target(key)
        with explained(target.place):
            upload_bytes(target, data)
        return self._stored(key, len(data), None)

    def copy(self, key: str, target: str) -> StoredObject:
        head = self._required_head(key)
        source = {"Bucket": self.bucket, "Key": self._key(key)}
        if head.get("VersionId", "null") != "null":
            source["VersionId"] = head["VersionId"]
        with explained(self.locate(key)):
            copy_object(self._target(target), source, head)
        return self._stored(target, head["ContentLength"], None)

    def is_copy(self, key: str, other: str) -> bool:
        heads = (self._head(key), self._head(other))
        if None in heads:
            return False
        known = {(head["ContentLength"], head["Metadata"].get(METADATA)) for head in heads if head}
        return len(known) == 1 and known.pop()[1] is not None

    def fetch(self, key: str, scratch: Path) -> Path:
        return download(self._source(key, self._required_head(key)), scratch, self.settings.attempts)

    def find_bytes(self, key: str) -> bytes | None:
        return read_small(self._client, self._request(key), self.locate(key), self.settings.attempts)

    def stat(self, key: str) -> StoredObject | None:
        head = self._head(key)
        return None if head is None else _object(key, head["ContentLength"], head)

    def objects(self, prefix: str) -> Iterator[StoredObject]:
        check_prefix(prefix)
        for page in self._pages(prefix):
            for found in page.get("Contents", []):
                key = found["Key"].removeprefix(self.prefix)
                # Consoles make empty objects that stand for folders.
                if key and not key.endswith("/"):
                    yield _object(key, found["Size"], found)

    def folders(self, prefix: str) -> list[str]:
        check_prefix(prefix)
        pages = self._pages(prefix, Delimiter="/")
        below = [found["Prefix"] for page in pages for found in page.get("CommonPrefixes", [])]
        return sorted(name.removeprefix(self.prefix + prefix).rstrip("/") for name in below)

    def delete_prefix(self, prefix: str) -> None:
        check_deletable(prefix)
        left: dict[str, str] = {}
        # Also what objects() leaves out: a folder's marker is a thing to delete.
        found = [entry["Key"] for page in self._pages(prefix) for entry in page.get("Contents", [])]
        for first in range(0, len(found), _DELETED_AT_ONCE):
            left |= self._delete(found[first : first + _DELETED_AT_ONCE])
        if left:
            raise ObjectsLeft(self.locate(prefix), left)

    def locate(self, key: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}{key}"

    def presign_get(self, key: str, expires_s: int = 3600) -> str:
        if self.settings.requester_pays:
            # It is paid by a header, which nobody sends who follows a link.
            raise StoreRefused(key, "a bucket whose requester pays has no links for others", "Send the file")
        self._required_head(key)
        return self._presigned("get_object", key, expires_s)

    def presign_put(self, key: str, expires_s: int = 3600) -> PresignedUpload:
        target = self._target(key)
        url = self._presigned("put_object", key, expires_s, **target.description)
        headers = {"Content-Type": str(target.description["ContentType"])}
        if self.settings.requester_pays:
            headers["x-amz-request-payer"] = "requester"
        if self.settings.sse:
            headers["x-amz-server-side-encryption"] = self.settings.sse
        if self.settings.kms_key_id:
            headers["x-amz-server-side-encryption-aws-kms-key-id"] = self.settings.kms_key_id
        if "BucketKeyEnabled" in target.description:
            headers["x-amz-server-side-encryption-bucket-key-enabled"] = "true"
        return PresignedUpload(url, headers)

    @property
    def _client(self) -> Any:
        return s3_client(self.settings)

    def _key(self, key: str) -> str:
        check_key(key)
        whole = self.prefix + key
        if len(whole.encode()) > _LONGEST_KEY:
            raise StoreRefused(key, f"its key is longer than {_LONGEST_KEY} bytes", "Choose a shorter name")
        return whole

    def _request(self, key: str) -> dict[str, str]:
        return {**self._common, "Key": self._key(key)}

    def _target(self, key: str) -> Target:
        return Target(self._client, self._request(key), self.locate(key), self.settings)

    def _source(self, key: str, head: Any) -> Source:
        return Source.described(self._client, self._request(key), self.locate(key), head)

    def _head(self, key: str) -> Any:
        """What S3 says of an object; None if there is none."""
        request, place = self._request(key), self.locate(key)
        with explained(place):
            try:
                return self._client.head_object(**request, ChecksumMode="ENABLED")
            except ClientError as error:
                if is_missing(error):
                    self._check_bucket()
                    return None
                # HEAD has no body, so it says only "403" or "400" where a GET of one byte says why.
                self._client.get_object(**request, Range="bytes=0-0")["Body"].close()
                raise

    def _required_head(self, key: str) -> Any:
        head = self._head(key)
        if head is None:
            raise no_such_object(self.locate(key))
        return head

    def _check_bucket(self) -> None:
        """A missing bucket looks like a missing object to HEAD; once it was seen, it is not asked for again."""
        if (self.settings, self.bucket) not in _SEEN:
            self._client.list_objects_v2(**self._common, MaxKeys=1, Prefix=self.prefix)
            _SEEN.add((self.settings, self.bucket))

    def _stored(self, key: str, size: int, composite: str | None) -> StoredObject:
        """What S3 says it has, if it is what was sent."""
        head = self._required_head(key)
        found = head.get("ChecksumSHA256", "")
        damaged = composite and "-" in found and found != composite
        if head["ContentLength"] != size or damaged:
            # Somebody else may have written the same key since; then theirs is whole, and ours is gone.
            raise StoreFailed(self.locate(key), "what is stored is not what was sent", "Try again")
        return _object(key, size, head)

    def _pages(self, prefix: str, **more: str) -> Iterator[Any]:
        with explained(self.locate(prefix)):
            pages = self._client.get_paginator("list_objects_v2")
            yield from pages.paginate(**self._common, Prefix=self.prefix + prefix, **more)

    def _delete(self, keys: list[str]) -> dict[str, str]:
        """Delete up to 1,000 objects; why each that is left is left, by key without the store's prefix."""
        # XML, which a request for many is, cannot carry control characters.
        plain = [key for key in keys if key.isprintable()]
        left: dict[str, str] = {}
        if plain:
            wanted = {"Objects": [{"Key": key} for key in plain], "Quiet": True}
            with explained(self.locate(posixpath.commonprefix(keys).removeprefix(self.prefix))):
                answers = self._client.delete_objects(**self._common, Delete=wanted).get("Errors", [])
            left |= {each["Key"]: reason_of(each.get("Code", ""), each.get("Message", "")) for each in answers}
        for key in keys:
            if not key.isprintable():
                try:
                    self._client.delete_object(**self._common, Key=key)
                except ClientError as error:
                    left[key] = reason_of(code_of(error), str(error))
        return {key.removeprefix(self.prefix): reason for key, reason in left.items()}

    def _presigned(self, method: str, key: str, expires_s: int, **more: Any) -> str:
        if not 0 < expires_s <= _LONGEST_PRESIGNED_S:
            raise StoreRefused(key, f"a URL cannot hold for {expires_s} s", f"Ask for 1 to {_LONGEST_PRESIGNED_S}")
        with explained(self.locate(key)):
            parameters = {**self._request(key), **more}
            return self._client.generate_presigned_url(method, Params=parameters, ExpiresIn=expires_s)


def _object(key: str, size: int, answer: Any) -> StoredObject:
    return StoredObject(key, size, answer["LastModified"].timestamp(), answer["ETag"].strip('"'))
