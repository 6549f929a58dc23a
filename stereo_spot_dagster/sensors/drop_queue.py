"""The queue that tells of uploads to the drop bucket."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.config import Config

VARIABLE = "STEREO_SPOT_DROP_QUEUE"

_BATCH = 10
# Short: a tick is a minute at most, and the next one is soon.
_WAIT_S = 1
# A message that was used is looked at once more, after the daemon has stored what the tick asked for.
SECOND_LOOK_S = 30
_REGION = re.compile(r"(?:^|\.)sqs\.([a-z0-9-]+)\.")


@dataclass(frozen=True)
class Message:
    """A message as it was received this time.

    Attributes:
        receipt: what it is deleted by, until it is received again.
        body: its text.
        sent_s: POSIX time at which it came to the queue first.
    """

    identity: str
    receipt: str = field(repr=False)
    body: str
    sent_s: float


class DropQueue:
    """A queue by its URL, at the host and in the region that the URL names."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        region = _REGION.search(parts.hostname or "")
        session = boto3.Session()
        self._url = url
        self._client: Any = session.client(
            "sqs",
            region_name=region[1] if region else session.region_name or "us-east-1",
            endpoint_url=f"{parts.scheme}://{parts.netloc}",
            config=Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3}),
        )

    @classmethod
    def from_environment(cls) -> DropQueue | None:
        """The queue that ``$STEREO_SPOT_DROP_QUEUE`` names; None if it names none."""
        url = os.environ.get(VARIABLE, "")
        return cls(url) if url else None

    def batches(self) -> Iterator[list[Message]]:
        """Messages, some at a time, until there are no more for now. Each comes again if it is not deleted."""
        wait_s = _WAIT_S
        while received := self._receive(wait_s):
            yield received
            wait_s = 0

    def delete(self, messages: list[Message]) -> None:
        """Delete what was received; what cannot be deleted comes again, which does no harm."""
        entries = [{"Id": str(n), "ReceiptHandle": message.receipt} for n, message in enumerate(messages)]
        if entries:
            self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)

    def counts(self) -> tuple[int, int]:
        """About how many messages wait, and how many are being looked at; none is received for it."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)["Attributes"]
        return int(found[names[0]]), int(found[names[1]])

    def _receive(self, wait_s: int) -> list[Message]:
        answer = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=_BATCH,
            WaitTimeSeconds=wait_s,
            VisibilityTimeout=SECOND_LOOK_S,
            MessageSystemAttributeNames=["SentTimestamp"],
        )
        return [_message(received) for received in answer.get("Messages", [])]


def _message(received: Any) -> Message:
    sent_s = int(received["Attributes"]["SentTimestamp"]) / 1000
    return Message(received["MessageId"], received["ReceiptHandle"], received["Body"], sent_s)
