"""What the queue of the drop bucket says: EventBridge's events, S3's own notifications, and either through SNS."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus


class MalformedMessage(ValueError):
    """A message that nobody who may write to this queue sends."""


@dataclass(frozen=True)
class Upload:
    """An object that was written.

    Attributes:
        bucket, key: where; the key is plain text.
        version: its id; empty in a bucket without versions.
    """

    bucket: str
    key: str
    version: str = ""


def parse_message(body: str) -> list[Upload]:
    """The uploads that a message tells of; none if it tells of something else.

    Raises:
        MalformedMessage: it is none of the messages that are known.
    """
    try:
        message = json.loads(body)
        if message.get("Type") == "Notification" and "TopicArn" in message:
            message = json.loads(message["Message"])
        return _uploads(message)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MalformedMessage(f"{type(error).__name__}: {error}") from error


def _uploads(message: dict[str, Any]) -> list[Upload]:
    if "detail-type" in message:
        return [_from_event_bridge(message["detail"])] if message["detail-type"] == "Object Created" else []
    if message.get("Event") == "s3:TestEvent":
        # S3 sends one when notifications are switched on.
        return []
    return [_from_s3(record["s3"]) for record in message["Records"] if _is_upload(record)]


def _is_upload(record: dict[str, Any]) -> bool:
    return str(record["eventName"]).removeprefix("s3:").startswith("ObjectCreated:")


def _from_event_bridge(detail: dict[str, Any]) -> Upload:
    stored = detail["object"]
    # EventBridge does not encode keys: a plus sign in it is one.
    return _upload(detail["bucket"]["name"], stored["key"], stored.get("version-id", ""))


def _from_s3(record: dict[str, Any]) -> Upload:
    stored = record["object"]
    # S3's own notifications encode keys as forms are: a space is a plus sign, a plus sign is %2B.
    key = unquote_plus(stored["key"], errors="strict")
    return _upload(record["bucket"]["name"], key, stored.get("versionId", ""))


def _upload(bucket: Any, key: Any, version: Any) -> Upload:
    if not (isinstance(bucket, str) and isinstance(key, str) and isinstance(version, str) and bucket and key):
        raise MalformedMessage("its bucket or key is no text")
    return Upload(bucket, key, "" if version == "null" else version)
