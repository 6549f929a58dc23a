"""A bucket and its queue for tests of the sensor that watches them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from .. import simulated_aws
from ..storage import servers
from .drop_bucket_world import DropBucket


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[str]:
    """moto's server: S3 and SQS. Nothing of the developer's own AWS settings is used."""
    with pytest.MonkeyPatch.context() as patch:
        simulated_aws.enter(patch)
        with servers.moto() as endpoint:
            yield endpoint


@pytest.fixture
def bucket(aws_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DropBucket:
    """An empty bucket with versions, its queue, and a sensor that waits for nothing."""
    made = DropBucket(aws_endpoint, f"media-{uuid.uuid4().hex[:12]}", tmp_path)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setattr("stereo_spot_dagster.sensors.drop_bucket.SETTLE_S", 0.0)
    monkeypatch.setattr("stereo_spot_dagster.sensors.drop_queue._WAIT_S", 0)
    return made
