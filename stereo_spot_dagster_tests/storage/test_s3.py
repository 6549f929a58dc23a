"""What is particular to a bucket: settings, parts, encryption, links, and other people's objects."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from stereo_spot_dagster.domain.errors import InvalidSettings
from stereo_spot_dagster.storage import s3_objects, s3_upload
from stereo_spot_dagster.storage.base import StoreRefused
from stereo_spot_dagster.storage.opening import open_store
from stereo_spot_dagster.storage.s3 import S3Store
from stereo_spot_dagster.storage.s3_client import s3_client
from stereo_spot_dagster.storage.s3_settings import S3Settings, parse_location

from . import servers


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        ("s3://media", ("media", "")),
        ("s3://media/", ("media", "")),
        ("s3://media/a/b", ("media", "a/b/")),
        ("s3://my-media.eu/a b/é/", ("my-media.eu", "a b/é/")),
    ],
)
def test_a_place_in_s3_is_a_bucket_and_a_prefix(url: str, parsed: tuple[str, str]) -> None:
    assert parse_location(url) == parsed


@pytest.mark.parametrize("url", ["", "s3://", "s3:///a", "http://media/a", "s3://a b/c", "s3://media/../c"])
def test_what_is_no_place_in_s3_is_refused(url: str) -> None:
    with pytest.raises(InvalidSettings, match="s3://bucket/prefix"):
        parse_location(url)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEREO_SPOT_S3_ENDPOINT_URL", "http://minio:9000")
    monkeypatch.setenv("STEREO_SPOT_S3_PATH_STYLE", "true")
    monkeypatch.setenv("STEREO_SPOT_S3_PART_MB", "64")
    monkeypatch.setenv("STEREO_SPOT_S3_REGION", "")
    settings = S3Settings.from_environment()
    assert (settings.endpoint_url, settings.path_style, settings.part_bytes) == ("http://minio:9000", True, 64 << 20)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PART_MB", "4"), ("PATH_STYLE", "perhaps"), ("SSE", "rot13"), ("ENDPOINT_URL", "minio:9000"),
        ("ENDPOINT_URL", "http://me:hunter2@minio:9000"), ("KMS_KEY_ID", "alias/hunter2"),
    ],
)  # fmt: skip
def test_a_wrong_variable_is_named_and_its_value_is_not_said(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(f"STEREO_SPOT_S3_{variable}", value)
    with pytest.raises(InvalidSettings, match=f"STEREO_SPOT_S3_{variable}") as refused:
        S3Settings.from_environment()
    assert "hunter2" not in str(refused.value)


def test_a_store_that_is_neither_a_bucket_nor_left_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="STEREO_SPOT_STORE: 'gs://media' is no media store"):
        open_store("gs://media", tmp_path)


def test_nothing_of_aws_is_imported_before_a_bucket_is_used(tmp_path: Path) -> None:
    program = (
        "import sys; import stereo_spot_dagster.cli, stereo_spot_dagster.definitions;"
        "from stereo_spot_dagster.convert.workspace import Workspace; Workspace.from_environment();"
        "assert not {'boto3', 'botocore'} & set(sys.modules)"
    )
    environment = os.environ | {"STEREO_SPOT_HOME": str(tmp_path)}
    environment.pop("STEREO_SPOT_STORE", None)
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


def test_stores_with_the_same_settings_share_a_client(moto_endpoint: str) -> None:
    settings = servers.settings_for(moto_endpoint)
    assert s3_client(settings) is s3_client(servers.settings_for(moto_endpoint))
    assert s3_client(settings) is not s3_client(servers.settings_for(moto_endpoint, attempts=4))


def test_a_large_file_is_sent_in_parts_with_checksums_and_its_type(seaweedfs_endpoint: str, tmp_path: Path) -> None:
    store = S3Store(servers.BUCKET, "large/", servers.settings_for(seaweedfs_endpoint))
    path = tmp_path / "new"
    path.write_bytes(os.urandom(11 << 20))
    assert store.put(path, "v/a.mkv").version.endswith("-3")
    head = servers.plain_client(seaweedfs_endpoint).head_object(
        Bucket=servers.BUCKET, Key="large/v/a.mkv", ChecksumMode="ENABLED"
    )
    assert head["ChecksumSHA256"].endswith("-3")
    assert head["ContentType"] == "video/x-matroska"
    assert len(head["Metadata"]["sha256"]) == 64


def test_a_file_too_large_for_one_copy_is_copied_in_parts(
    bucket_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_upload, "_COPIED_AT_ONCE", 5 << 20)
    path, data = tmp_path / "new", os.urandom(11 << 20)
    path.write_bytes(data)
    bucket_store.put(path, "v/a.mp4")
    bucket_store.copy("v/a.mp4", "done/a.mp4")
    assert bucket_store.fetch("done/a.mp4", tmp_path / "scratch").read_bytes() == data
    assert bucket_store.is_copy("v/a.mp4", "done/a.mp4")


@pytest.mark.parametrize("server", ["moto", "seaweedfs"])
def test_a_copy_has_no_tags_by_which_a_rule_could_let_it_expire(server: str, request: pytest.FixtureRequest) -> None:
    endpoint = request.getfixturevalue(f"{server}_endpoint")
    plain, store = servers.plain_client(endpoint), S3Store(servers.BUCKET, "tags/", servers.settings_for(endpoint))
    plain.put_object(Bucket=servers.BUCKET, Key="tags/drop/a", Body=b"abc", Tagging="retention=intermediate")
    found = s3_objects.find_object(store.settings, servers.BUCKET, "tags/drop/a")
    assert found is not None
    s3_objects.copy_into(store, found.version, "videos/a", hashlib.sha256(b"abc").hexdigest())
    store.copy("drop/a", "done/a")
    for key in ("tags/videos/a", "tags/done/a"):
        assert plain.get_object_tagging(Bucket=servers.BUCKET, Key=key)["TagSet"] == []


def test_encryption_is_asked_for_with_every_write(moto_endpoint: str, bucket_store: S3Store, tmp_path: Path) -> None:
    settings = servers.settings_for(moto_endpoint, sse="aws:kms", kms_key_id="alias/media")
    store, plain = S3Store(servers.BUCKET, bucket_store.prefix, settings), servers.plain_client(moto_endpoint)
    (tmp_path / "new").write_bytes(os.urandom(6 << 20))
    store.put_bytes(b"abc", "v/small")
    store.put(tmp_path / "new", "v/large")
    store.copy("v/small", "v/copy")
    for key in ("v/small", "v/large", "v/copy"):
        head = plain.head_object(Bucket=servers.BUCKET, Key=store.prefix + key)
        assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/media")
    assert store.read_bytes("v/small") == b"abc"
    assert store.fetch("v/large", tmp_path / "scratch").stat().st_size == 6 << 20


def test_who_pays_is_said_with_every_request(moto_endpoint: str, bucket_store: S3Store) -> None:
    store = S3Store(servers.BUCKET, bucket_store.prefix, servers.settings_for(moto_endpoint, requester_pays=True))
    sent: list[str] = []
    store._client.meta.events.register(
        "before-send.s3", lambda request, **_: sent.append(request.headers.get("x-amz-request-payer", b"").decode())
    )
    store.put_bytes(b"abc", "v/a")
    store.copy("v/a", "v/b")
    assert store.read_bytes("v/b") == b"abc"
    store.delete_prefix("v/")
    assert len(sent) > 5
    assert set(sent) == {"requester"}
    with pytest.raises(StoreRefused, match="requester pays has no links"):
        store.presign_get("v/a")


@pytest.mark.parametrize("pays", [False, True])
@pytest.mark.parametrize("server", ["moto", "seaweedfs"])
def test_a_presigned_upload_writes_that_object(server: str, pays: bool, request: pytest.FixtureRequest) -> None:
    endpoint = request.getfixturevalue(f"{server}_endpoint")
    store = S3Store(servers.BUCKET, "uploads/", servers.settings_for(endpoint, requester_pays=pays))
    upload = store.presign_put("drop/my clip é.mp4", expires_s=60)
    sent = urllib.request.Request(upload.url, data=b"from a browser", headers=upload.headers, method="PUT")
    with urllib.request.urlopen(sent):
        pass
    assert store.read_bytes("drop/my clip é.mp4") == b"from a browser"


@pytest.mark.parametrize("expires_s", [0, -1, 7 * 24 * 3600 + 1])
def test_a_link_holds_for_a_week_at_most(bucket_store: S3Store, expires_s: int) -> None:
    bucket_store.put_bytes(b"abc", "v/a")
    with pytest.raises(StoreRefused, match="cannot hold"):
        bucket_store.presign_get("v/a", expires_s)


def test_objects_of_others_are_fetched_and_checked_by_what_their_store_knows(
    bucket_store: S3Store, moto_endpoint: str, tmp_path: Path
) -> None:
    plain = servers.plain_client(moto_endpoint)
    for number, extra in enumerate(({}, {"ChecksumAlgorithm": "CRC32"}, {"ChecksumAlgorithm": "SHA256"})):
        plain.put_object(Bucket=servers.BUCKET, Key=f"{bucket_store.prefix}drop/{number}", Body=b"abc", **extra)
        assert bucket_store.fetch(f"drop/{number}", tmp_path).read_bytes() == b"abc"
        assert bucket_store.read_bytes(f"drop/{number}") == b"abc"


def test_an_old_version_of_a_replaced_object_is_not_given(
    moto_endpoint: str, bucket_store: S3Store, tmp_path: Path
) -> None:
    plain = servers.plain_client(moto_endpoint)
    plain.create_bucket(Bucket="versions")
    plain.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    store = S3Store("versions", "", bucket_store.settings)
    store.put_bytes(b"old", "v/a")
    store.put_bytes(b"new", "v/a")
    assert store.fetch("v/a", tmp_path).read_bytes() == b"new"
    store.copy("v/a", "v/b")
    assert store.read_bytes("v/b") == b"new"
    store.delete_prefix("v/")
    assert not list(store.objects(""))


def test_markers_of_folders_are_no_objects_and_are_deleted(bucket_store: S3Store, moto_endpoint: str) -> None:
    plain = servers.plain_client(moto_endpoint)
    plain.put_object(Bucket=servers.BUCKET, Key=f"{bucket_store.prefix}drop/", Body=b"")
    bucket_store.put_bytes(b"", "drop/a")
    assert [found.key for found in bucket_store.objects("drop/")] == ["drop/a"]
    bucket_store.delete_prefix("drop/")
    found = plain.list_objects_v2(Bucket=servers.BUCKET, Prefix=bucket_store.prefix)
    assert found["KeyCount"] == 0


def test_two_slashes_in_a_row_make_another_key(bucket_store: S3Store) -> None:
    bucket_store.put_bytes(b"one", "v/a")
    bucket_store.put_bytes(b"two", "v//a")
    assert (bucket_store.read_bytes("v/a"), bucket_store.read_bytes("v//a")) == (b"one", b"two")
    bucket_store.delete_prefix("v//")
    assert [found.key for found in bucket_store.objects("v/")] == ["v/a"]
