"""A bucket with its queue, and the sensor over both, ticking as the daemon ticks it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote_plus

import boto3
import dagster as dg
import pytest

from stereo_spot_dagster.assets.partitions import PARTITION_TAG, RUN_KEY_TAG
from stereo_spot_dagster.assets.studio import Studio
from stereo_spot_dagster.convert.progress import known_videos
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.sensors import drop_queue
from stereo_spot_dagster.sensors.drop_bucket import drop_bucket
from stereo_spot_dagster.sensors.drop_queue import SECOND_LOOK_S

from ..storage import servers

PREFIX = "a prefix+é/"


class DropBucket:
    """The world outside: what users upload, and what AWS tells of it."""

    def __init__(self, endpoint: str, name: str, home: Path) -> None:
        self.name = name
        self.endpoint = endpoint
        self.s3 = servers.plain_client(endpoint)
        self.s3.create_bucket(Bucket=name)
        self.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        self._sqs: Any = boto3.client("sqs", endpoint_url=endpoint, region_name="us-east-1")
        self._dead = self._sqs.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        dead = self._sqs.get_queue_attributes(QueueUrl=self._dead, AttributeNames=["QueueArn"])["Attributes"]
        policy = json.dumps({"deadLetterTargetArn": dead["QueueArn"], "maxReceiveCount": "5"})
        self.queue = self._sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy})["QueueUrl"]
        self.environment = {
            "STEREO_SPOT_STORE": f"s3://{name}/{PREFIX}",
            "STEREO_SPOT_DROP_QUEUE": self.queue,
            "STEREO_SPOT_S3_ENDPOINT_URL": endpoint,
            "STEREO_SPOT_S3_PATH_STYLE": "true",
            "STEREO_SPOT_HOME": str(home / "home"),
        }

    def put(self, key: str, data: bytes = b"x", **metadata: str) -> str:
        """Upload an object without a message; its version."""
        made = self.s3.put_object(Bucket=self.name, Key=PREFIX + key, Body=data, Metadata=metadata)
        return str(made.get("VersionId", ""))

    def upload(self, key: str, data: bytes = b"x", **metadata: str) -> str:
        """Upload an object, of which EventBridge tells; its version."""
        version = self.put(key, data, **metadata)
        self.tell(key, version)
        return version

    def tell(self, key: str, version: str) -> None:
        stored = {"key": PREFIX + key, "size": 1, "etag": "e", "sequencer": "1"} | (
            {"version-id": version} if version else {}
        )
        detail = {"version": "0", "bucket": {"name": self.name}, "object": stored, "reason": "PutObject"}
        self.send({"source": "aws.s3", "detail-type": "Object Created", "detail": detail})

    def tell_as_s3(self, key: str, version: str) -> None:
        stored = {"key": quote_plus(PREFIX + key, safe="/"), "versionId": version, "size": 1, "eTag": "e"}
        record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:CompleteMultipartUpload"}
        self.send({"Records": [record | {"s3": {"bucket": {"name": self.name}, "object": stored}}]})

    def send(self, message: Any) -> None:
        body = message if isinstance(message, str) else json.dumps(message)
        self._sqs.send_message(QueueUrl=self.queue, MessageBody=body)

    def messages(self) -> int:
        """How many messages there are, hidden ones too."""
        return self._count(self.queue)

    def dead_messages(self) -> int:
        return self._count(self._dead)

    def _count(self, queue: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return sum(int(value) for value in found.values())


class Sensor:
    """The sensor with a Dagster instance, which stores what a tick asks for after it, as the daemon does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursor: str | None = None
        self._now_s = time.time()
        # Only the sensor's own clock: the servers run in this process too.
        clock = SimpleNamespace(time=lambda: self._now_s, monotonic=time.monotonic)
        monkeypatch.setattr("stereo_spot_dagster.sensors.drop_bucket.time", clock)
        # Messages come back after a second, which these tests can wait for.
        monkeypatch.setattr(drop_queue, "SECOND_LOOK_S", 1)

    @property
    def workspace(self) -> Workspace:
        return Workspace.from_environment()

    def tick(self, *, after_s: float = SECOND_LOOK_S, killed: bool = False) -> list[str]:
        """One tick; the videos whose runs are new.

        Args:
            after_s: time since the one before; more than ten minutes make the next listing due.
            killed: the daemon ends before it has stored anything of it.
        """
        self._now_s += after_s
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        result = drop_bucket(context, studio=Studio())
        assert isinstance(result, dg.SensorResult)
        if killed:
            return []
        for request in result.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        self.cursor = result.cursor
        return [str(request.partition_key) for request in result.run_requests or [] if self._store(request)]

    def second_tick(self, **options: Any) -> list[str]:
        """A tick to which the messages of the one before are shown again."""
        time.sleep(1.1)
        return self.tick(**options)

    def list_anew(self) -> list[str]:
        """A tick to which a listing is due."""
        return self.tick(after_s=3600)

    def partitions(self) -> list[str]:
        return sorted(self.instance.get_dynamic_partitions("videos"))

    def run_keys(self) -> list[str]:
        return sorted(run.tags[RUN_KEY_TAG] for run in self.instance.get_runs())

    def videos(self) -> list[str]:
        return known_videos(self.workspace)

    def _store(self, request: dg.RunRequest) -> bool:
        if self.instance.get_runs_count(dg.RunsFilter(tags={RUN_KEY_TAG: str(request.run_key)})):
            return False
        tags = {**request.tags, RUN_KEY_TAG: str(request.run_key), PARTITION_TAG: str(request.partition_key)}
        self.instance.add_run(dg.DagsterRun(job_name="take_in", tags=tags))
        return True
