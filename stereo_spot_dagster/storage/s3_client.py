"""One S3 client for each process and settings."""

from __future__ import annotations

import os
import threading
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from .s3_errors import store_failed
from .s3_settings import S3Settings

_CLIENTS: dict[tuple[int, S3Settings], Any] = {}
# A client may be used by many threads at once, but not made by them.
_LOCK = threading.Lock()


def s3_client(settings: S3Settings) -> Any:
    """The client of this process: a forked one must not share its parent's connections.

    Raises:
        StoreFailed: AWS's own settings on this machine are broken.
    """
    with _LOCK:
        key = (os.getpid(), settings)
        if key not in _CLIENTS:
            _CLIENTS[key] = _make(settings)
        return _CLIENTS[key]


def _make(settings: S3Settings) -> Any:
    config = Config(
        retries={"mode": settings.retry_mode, "total_max_attempts": settings.attempts},
        connect_timeout=settings.connect_timeout_s,
        read_timeout=settings.read_timeout_s,
        max_pool_connections=max(10, 2 * settings.upload_threads),
        tcp_keepalive=True,
        signature_version="s3v4",
        s3={"addressing_style": "path" if settings.path_style else "auto"},
        # Checksums are given and compared by us; those that botocore adds by itself come in a framing that other
        # stores do not take, and would be part of a presigned upload.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        session = boto3.Session()
        # Signing needs some region; AWS answers with the right one, other stores take any.
        region = settings.region or session.region_name or "us-east-1"
        return session.client("s3", region_name=region, endpoint_url=settings.endpoint_url or None, config=config)
    except BotoCoreError as error:
        raise store_failed("S3", error) from error
