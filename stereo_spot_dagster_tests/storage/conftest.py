"""Stores to test: in a folder, and in buckets of two implementations of S3."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from stereo_spot_dagster.storage.base import MediaStore
from stereo_spot_dagster.storage.local import LocalStore
from stereo_spot_dagster.storage.s3 import S3Store

from .. import simulated_aws
from . import servers


@pytest.fixture(scope="session")
def aws_environment() -> Iterator[None]:
    """Credentials for the servers of this machine, and none of the developer's."""
    with pytest.MonkeyPatch.context() as patch:
        simulated_aws.enter(patch)
        yield


@pytest.fixture(scope="session")
def moto_endpoint(aws_environment: None) -> Iterator[str]:
    with servers.moto() as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def seaweedfs_endpoint(aws_environment: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with servers.seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as endpoint:
        yield endpoint


@pytest.fixture(params=["folder", "moto", "seaweedfs"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> MediaStore:
    """An empty store of each kind."""
    if request.param == "folder":
        return LocalStore(tmp_path / "store")
    endpoint = request.getfixturevalue(f"{request.param}_endpoint")
    return S3Store(servers.BUCKET, new_prefix(), servers.settings_for(endpoint))


@pytest.fixture
def bucket_store(moto_endpoint: str) -> S3Store:
    """An empty store in moto."""
    return S3Store(servers.BUCKET, new_prefix(), servers.settings_for(moto_endpoint))


def new_prefix() -> str:
    return f"{uuid.uuid4().hex}/a prefix+é/"
