"""Fetches objects from S3 by ranges of one pinned version, going on where a connection broke."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import random
import re
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from ..domain.errors import StoreFailed
from .s3_checksums import Checksum, checksum_of
from .s3_errors import is_missing, store_failed

_log = logging.getLogger(__name__)

_BLOCK = 1 << 20
_LONGEST_PAUSE_S = 20.0


@dataclass(frozen=True)
class Source:
    """One version of one object.

    Attributes:
        client: of boto3.
        request: bucket and key, and who pays.
        place: ``s3://`` URL, for errors.
        size: bytes.
        etag: as S3 gives it, with its quotes.
        version: id of the version; empty in a bucket without versions.
        checksum: of its content, where S3 knows one that can be checked.
    """

    client: Any
    request: dict[str, str]
    place: str
    size: int
    etag: str
    version: str
    checksum: Checksum | None

    @classmethod
    def described(cls, client: Any, request: dict[str, str], place: str, head: Any) -> Source:
        """From what HEAD said of it."""
        version = head.get("VersionId", "")
        return cls(
            client=client,
            request=request,
            place=place,
            size=head["ContentLength"],
            etag=head["ETag"],
            version="" if version == "null" else version,
            checksum=checksum_of(head),
        )

    def open(self, first: int) -> Any:
        """The answer to a GET from byte ``first`` on, of this version or none."""
        pinned = {"VersionId": self.version} if self.version else {}
        answer = self.client.get_object(**self.request, **pinned, Range=f"bytes={first}-", IfMatch=self.etag)
        # Not every store heeds If-Match.
        if answer["ETag"] != self.etag:
            raise StoreFailed(self.place, "it was replaced meanwhile", "Try again")
        return answer


def download(source: Source, scratch: Path, attempts: int) -> Path:
    """Fetch into ``scratch`` and return the file.

    The names there are made of the key and the version, so that a part that an earlier call left is of this version.

    Args:
        source: what to fetch.
        scratch: a folder.
        attempts: how often in a row a connection may break before a single byte came.

    Raises:
        StoreFailed: it is gone or replaced, it cannot be had, or what arrived is not what was stored.
    """
    target = scratch / _file_name(source)
    part = target.with_name(f"{target.name}.part")
    try:
        if target.is_file() and target.stat().st_size == source.size:
            return target
        scratch.mkdir(parents=True, exist_ok=True)
        _fill(source, part, attempts)
        _verify(source, part)
        os.replace(part, target)
    except OSError as error:
        cause = f"its copy in {scratch} cannot be written ({error.strerror})"
        raise StoreFailed(source.place, cause, "Check space and rights") from error
    return target


def read_small(client: Any, request: dict[str, str], place: str, attempts: int) -> bytes | None:
    """The content of a small object, by one request; None if there is none.

    Args:
        client: of boto3.
        request: bucket and key, and who pays.
        place: ``s3://`` URL, for errors.
        attempts: how often the connection may break.
    """
    broken = 0
    while True:
        try:
            answer = client.get_object(**request, ChecksumMode="ENABLED")
            data = answer["Body"].read()
        except ClientError as error:
            if is_missing(error):
                return None
            raise store_failed(place, error) from error
        except (BotoCoreError, HTTPError) as error:
            broken = _again(place, error, broken, attempts)
            continue
        checksum = checksum_of(answer)
        if checksum is None or checksum.fits(io.BytesIO(data)):
            return data
        raise StoreFailed(place, f"what arrived is not what was stored (its {checksum.kind} differs)", "Try again")


def _fill(source: Source, part: Path, attempts: int) -> None:
    """Get ``part`` to the object's size."""
    with part.open("ab") as file:
        if file.tell() > source.size:
            file.truncate(0)
        broken = 0
        while file.tell() < source.size:
            before = file.tell()
            try:
                answer = source.open(before)
                if before and answer["ResponseMetadata"]["HTTPStatusCode"] != 206:
                    # The store does not know ranges: from the beginning.
                    file.truncate(0)
                    file.seek(before := 0)
                with closing(answer["Body"]) as body:
                    while block := body.read(_BLOCK):
                        file.write(block)
                if file.tell() == before:
                    raise StoreFailed(source.place, f"it ends at byte {before} of {source.size}", "Try again")
            except ClientError as error:
                # botocore has tried again already where that could help.
                raise store_failed(source.place, error) from error
            except (BotoCoreError, HTTPError) as error:
                _log.info("%s: connection broke at byte %d of %d", source.place, file.tell(), source.size)
                broken = _again(source.place, error, 0 if file.tell() > before else broken, attempts)


def _again(place: str, error: BotoCoreError | HTTPError, broken: int, attempts: int) -> int:
    """Wait before the next try and return how often in a row it broke now; raise after the last."""
    if broken + 1 >= attempts:
        if isinstance(error, BotoCoreError):
            raise store_failed(place, error) from error
        raise StoreFailed(place, f"its connection broke ({type(error).__name__})", "Try again") from error
    # Some workers that lost their connections at once must not come back at once.
    time.sleep(random.uniform(0, min(_LONGEST_PAUSE_S, 0.5 * 2**broken)))
    return broken + 1


def _verify(source: Source, part: Path) -> None:
    wrong = ""
    with part.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size != source.size:
            wrong = f"{size} of {source.size} bytes"
        elif source.checksum is None:
            _log.info("%s: its store knows no checksum that can be checked here; only the size is", source.place)
        elif not source.checksum.fits(file):
            wrong = f"its {source.checksum.kind} differs"
    if wrong:
        # Going on with it would give the same again.
        part.unlink()
        raise StoreFailed(source.place, f"what arrived is not what was stored ({wrong})", "Try again")


def _file_name(source: Source) -> str:
    """Safe on any file system, whatever the key; the ending is kept, as ffmpeg looks at it."""
    digest = hashlib.sha256(f"{source.place}\n{source.etag}\n{source.version}".encode()).hexdigest()[:32]
    suffix = re.sub(r"[^.a-z0-9]", "", PurePosixPath(source.request["Key"]).suffix.lower())[:9]
    return f"{digest}{suffix}"
