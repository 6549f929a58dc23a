"""What goes wrong between this machine and a bucket, and what is said about it."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from stereo_spot_dagster.domain.errors import StoreFailed
from stereo_spot_dagster.storage import s3_download
from stereo_spot_dagster.storage.base import ObjectsLeft, StoreRefused
from stereo_spot_dagster.storage.s3 import S3Store
from stereo_spot_dagster.storage.s3_objects import upload

from ..simulated_aws import CREDENTIALS
from . import servers
from .conftest import new_prefix

DATA = os.urandom(3 << 20)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_download.time, "sleep", lambda seconds: None)


@pytest.fixture
def proxy(moto_endpoint: str) -> Iterator[servers.Proxy]:
    proxy = servers.Proxy(moto_endpoint)
    yield proxy
    proxy.close()


@pytest.fixture
def behind_proxy(proxy: servers.Proxy) -> S3Store:
    """A store in moto that is reached over the proxy, with 3 MiB at ``v/a.mp4``."""
    store = S3Store(servers.BUCKET, new_prefix(), servers.settings_for(proxy.endpoint))
    store.put_bytes(DATA, "v/a.mp4")
    return store


def other_hand(store: S3Store, moto_endpoint: str) -> S3Store:
    """The same objects, not over the proxy."""
    return S3Store(store.bucket, store.prefix, servers.settings_for(moto_endpoint))


def test_a_broken_download_goes_on_where_it_broke(behind_proxy: S3Store, proxy: servers.Proxy, tmp_path: Path) -> None:
    proxy.cuts = [2 << 20, 100_000]
    assert behind_proxy.fetch("v/a.mp4", tmp_path).read_bytes() == DATA
    first, second, third = (int(asked.removeprefix("bytes=").rstrip("-")) for asked in proxy.asked)
    assert first == 0
    assert 1 << 20 <= second <= 2 << 20
    assert second <= third <= second + 100_000
    assert [path.suffix for path in tmp_path.iterdir()] == [".mp4"]


def test_a_later_call_goes_on_with_what_an_earlier_one_left(
    behind_proxy: S3Store, proxy: servers.Proxy, tmp_path: Path
) -> None:
    proxy.cuts = [2 << 20, 0, 0, 0, 0]
    with pytest.raises(StoreFailed) as failed:
        behind_proxy.fetch("v/a.mp4", tmp_path)
    assert failed.value.retryable
    proxy.cuts, asked = [], len(proxy.asked)
    assert behind_proxy.fetch("v/a.mp4", tmp_path).read_bytes() == DATA
    (went_on,) = proxy.asked[asked:]
    assert int(went_on.removeprefix("bytes=").rstrip("-")) >= 1 << 20


def test_what_is_here_already_is_not_fetched_again(behind_proxy: S3Store, proxy: servers.Proxy, tmp_path: Path) -> None:
    first = behind_proxy.fetch("v/a.mp4", tmp_path)
    assert behind_proxy.fetch("v/a.mp4", tmp_path) == first
    assert len(proxy.asked) == 1


def test_a_small_object_is_read_again_when_its_connection_breaks(behind_proxy: S3Store, proxy: servers.Proxy) -> None:
    proxy.cuts = [10]
    assert behind_proxy.read_bytes("v/a.mp4") == DATA


def test_an_object_that_is_replaced_while_it_is_fetched_is_noticed(
    behind_proxy: S3Store, proxy: servers.Proxy, moto_endpoint: str, tmp_path: Path
) -> None:
    def replace() -> None:
        if len(proxy.asked) == 2:
            other_hand(behind_proxy, moto_endpoint).put_bytes(DATA[::-1], "v/a.mp4")

    proxy.cuts, proxy.before_answer = [2 << 20], replace
    with pytest.raises(StoreFailed, match="was replaced meanwhile") as failed:
        behind_proxy.fetch("v/a.mp4", tmp_path)
    assert failed.value.retryable
    assert behind_proxy.fetch("v/a.mp4", tmp_path).read_bytes() == DATA[::-1]


def test_an_object_that_is_deleted_while_it_is_fetched_is_said_to_be_gone(
    behind_proxy: S3Store, proxy: servers.Proxy, moto_endpoint: str, tmp_path: Path
) -> None:
    def delete() -> None:
        if len(proxy.asked) == 2:
            other_hand(behind_proxy, moto_endpoint).delete_prefix("v/a.mp4")

    proxy.cuts, proxy.before_answer = [2 << 20], delete
    with pytest.raises(StoreFailed, match="there is no such object"):
        behind_proxy.fetch("v/a.mp4", tmp_path)


def test_damage_in_a_part_that_was_left_is_noticed_and_not_kept(
    behind_proxy: S3Store, proxy: servers.Proxy, tmp_path: Path
) -> None:
    proxy.cuts = [2 << 20, 0, 0, 0, 0]
    with pytest.raises(StoreFailed):
        behind_proxy.fetch("v/a.mp4", tmp_path)
    (part,) = tmp_path.glob("*.part")
    part.write_bytes(b"x" * part.stat().st_size)
    proxy.cuts = []
    with pytest.raises(StoreFailed, match=r"what arrived is not what was stored \(its sha256 differs\)"):
        behind_proxy.fetch("v/a.mp4", tmp_path)
    assert behind_proxy.fetch("v/a.mp4", tmp_path).read_bytes() == DATA


def test_a_full_disk_is_named(bucket_store: S3Store, tmp_path: Path) -> None:
    bucket_store.put_bytes(b"abc", "v/a")
    (tmp_path / "scratch").write_bytes(b"a file, not a folder")
    with pytest.raises(StoreFailed, match=r"cannot be written .* Check space and rights"):
        bucket_store.fetch("v/a", tmp_path / "scratch")


@pytest.mark.parametrize(
    ("status", "code", "said", "retryable"),
    [
        (403, "AccessDenied", "access is denied (AccessDenied). Allow s3:GetObject", False),
        (403, "RequestTimeTooSkewed", "this machine's clock is wrong", False),
        (403, "InvalidAccessKeyId", "credentials are not valid", False),
        (403, "SignatureDoesNotMatch", "credentials are not valid", False),
        (400, "ExpiredToken", "credentials have expired", True),
        (403, "InvalidObjectState", "archive class", False),
        (400, "KMS.DisabledException", "encryption key cannot be used", False),
        (503, "SlowDown", "overloaded", True),
        (500, "InternalError", "overloaded or has a fault", True),
        (418, "Teapot", "S3 says told to (Teapot)", False),
        (404, "NoSuchBucket", "there is no such bucket (NoSuchBucket). Create it, or correct STEREO_SPOT_STORE", False),
    ],
)
def test_each_refusal_says_the_cause_and_the_remedy(
    aws_environment: None, tmp_path: Path, status: int, code: str, said: str, retryable: bool
) -> None:
    speaker = servers.Speaker(status, code)
    store = S3Store(servers.BUCKET, "media/", servers.settings_for(speaker.endpoint, attempts=1))
    acts: list[Callable[[], object]] = [
        lambda: store.stat("v/a"),
        lambda: store.read_bytes("v/a"),
        lambda: store.fetch("v/a", tmp_path),
        lambda: store.put_bytes(b"x", "v/a"),
        lambda: list(store.objects("v/a")),
        lambda: store.folders("v/a/"),
        lambda: store.delete_prefix("v/a"),
    ]
    try:
        for act in acts:
            with pytest.raises(StoreFailed) as failed:
                act()
            assert str(failed.value).startswith("s3://media/media/v/a")
            assert said in str(failed.value)
            assert failed.value.retryable is retryable
    finally:
        speaker.close()


def test_a_bucket_in_another_region_is_said_with_its_region(aws_environment: None) -> None:
    speaker = servers.Speaker(400, "AuthorizationHeaderMalformed", x_amz_bucket_region="eu-west-1")
    store = S3Store(servers.BUCKET, "", servers.settings_for(speaker.endpoint, attempts=1))
    with pytest.raises(StoreRefused, match=r"another region .* Set STEREO_SPOT_S3_REGION=eu-west-1"):
        store.put_bytes(b"x", "v/a")
    speaker.close()


def test_what_may_pass_is_tried_again_and_what_may_not_is_not(aws_environment: None) -> None:
    for code, status, requests in (("SlowDown", 503, 3), ("AccessDenied", 403, 1)):
        speaker = servers.Speaker(status, code)
        store = S3Store(servers.BUCKET, "", servers.settings_for(speaker.endpoint, attempts=3))
        with pytest.raises(StoreFailed):
            store.put_bytes(b"x", "v/a")
        assert speaker.requests == requests
        speaker.close()


def test_a_missing_bucket_is_not_taken_for_a_missing_object(moto_endpoint: str, tmp_path: Path) -> None:
    store = S3Store("nowhere", "", servers.settings_for(moto_endpoint))
    path = tmp_path / "new"
    path.write_bytes(b"x" * (6 << 20))
    for act in (
        lambda: store.stat("v/a"),
        lambda: store.find_bytes("v/a"),
        lambda: store.fetch("v/a", tmp_path),
        lambda: store.put(path, "v/a"),
        lambda: list(store.objects("v/")),
        lambda: store.delete_prefix("v/"),
    ):
        with pytest.raises(StoreRefused, match=r"s3://nowhere/v.*there is no such bucket"):
            act()
    assert path.exists()


def test_an_endpoint_that_is_not_there_is_named_with_what_to_check(aws_environment: None) -> None:
    store = S3Store(servers.BUCKET, "", servers.settings_for("http://127.0.0.1:9", attempts=1))
    with pytest.raises(StoreFailed, match=r"cannot be reached .* STEREO_SPOT_S3_ENDPOINT_URL") as failed:
        store.stat("v/a")
    assert failed.value.retryable


def test_missing_credentials_are_said_to_be_missing(moto_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    # Other settings than those of the other tests, so that no client of theirs is used.
    store = S3Store(servers.BUCKET, "", servers.settings_for(moto_endpoint, read_timeout_s=21))
    with pytest.raises(StoreRefused, match="there are no AWS credentials here"):
        store.stat("v/a")


def test_no_secret_is_in_messages_logs_or_reprs(
    moto_endpoint: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    secret = CREDENTIALS["AWS_SECRET_ACCESS_KEY"]
    store = S3Store("nowhere", "", servers.settings_for(moto_endpoint))
    with caplog.at_level(logging.INFO), pytest.raises(StoreFailed) as failed:
        store.stat("v/a")
    writing = store.presign_put("v/a")
    said = "".join(traceback.format_exception(failed.value)) + caplog.text + repr(store) + repr(store.settings)
    assert secret not in said + repr(writing)
    assert "Signature" in writing.url
    assert "Signature" not in said + repr(writing)


def test_a_failed_upload_leaves_the_old_object_and_no_parts(
    bucket_store: S3Store, moto_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket_store.put_bytes(b"old", "v/a")
    path, client = tmp_path / "new", bucket_store._client
    path.write_bytes(os.urandom(11 << 20))

    def refuse(**arguments: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, "UploadPart")

    monkeypatch.setattr(client, "upload_part", refuse)
    with pytest.raises(StoreRefused, match="access is denied"):
        bucket_store.put(path, "v/a")
    assert bucket_store.read_bytes("v/a") == b"old"
    assert path.exists()
    listing = servers.plain_client(moto_endpoint).list_multipart_uploads(Bucket=servers.BUCKET)
    assert not listing.get("Uploads")


@pytest.mark.parametrize("server", ["moto", "seaweedfs"])
def test_a_file_that_was_sent_in_part_is_sent_on_from_there_by_another_process(
    request: pytest.FixtureRequest, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = request.getfixturevalue(f"{server}_endpoint")
    store, path = S3Store(servers.BUCKET, new_prefix(), servers.settings_for(endpoint)), tmp_path / "film"
    path.write_bytes(os.urandom(23 << 20))
    client, sent, told = store._client, list[int](), list[int]()
    real = client.upload_part

    def send(**arguments: Any) -> object:
        if arguments["PartNumber"] == 4 and not told:
            raise EndpointConnectionError(endpoint_url=endpoint)
        sent.append(arguments["PartNumber"])
        return real(**arguments)

    monkeypatch.setattr(client, "upload_part", send)
    with pytest.raises(StoreFailed, match="endpoint cannot be reached"):
        upload(store, path, "v/source.mp4", lambda count: None)
    assert not store.exists("v/source.mp4")
    before = set(sent)
    sent.clear()
    told.append(0)
    upload(store, path, "v/source.mp4", told.append)
    assert before >= {1, 2}
    assert sorted(sent) == sorted({1, 2, 3, 4, 5} - before)
    assert sum(told) == 23 << 20
    assert store.read_bytes("v/source.mp4") == path.read_bytes()
    assert not servers.plain_client(endpoint).list_multipart_uploads(Bucket=servers.BUCKET).get("Uploads")


def test_parts_of_another_file_are_not_taken_for_those_of_this_one(
    bucket_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, client = tmp_path / "film", bucket_store._client
    path.write_bytes(b"a" * (11 << 20))
    complete = client.complete_multipart_upload

    def break_off(**arguments: object) -> None:
        raise EndpointConnectionError(endpoint_url="http://nowhere")

    monkeypatch.setattr(client, "complete_multipart_upload", break_off)
    with pytest.raises(StoreFailed):
        upload(bucket_store, path, "v/source.mp4", lambda count: None)
    monkeypatch.setattr(client, "complete_multipart_upload", complete)
    path.write_bytes(b"a" * (5 << 20) + b"b" * (6 << 20))
    with pytest.raises(StoreFailed, match="not what was sent"):
        upload(bucket_store, path, "v/source.mp4", lambda count: None)
    assert not bucket_store.exists("v/source.mp4")
    upload(bucket_store, path, "v/source.mp4", lambda count: None)
    assert bucket_store.read_bytes("v/source.mp4") == path.read_bytes()


def test_a_file_that_changes_while_it_is_sent_is_not_published(
    bucket_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, client = tmp_path / "new", bucket_store._client
    path.write_bytes(b"a" * (11 << 20))
    real = client.create_multipart_upload

    def changed(**arguments: object) -> object:
        path.write_bytes(b"b" * (11 << 20))
        return real(**arguments)

    monkeypatch.setattr(client, "create_multipart_upload", changed)
    with pytest.raises(StoreFailed, match="changed while it was sent"):
        bucket_store.put(path, "v/a")
    assert not bucket_store.exists("v/a")


def test_parts_that_got_lost_are_noticed_before_the_object_appears(
    bucket_store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, client = tmp_path / "new", bucket_store._client
    path.write_bytes(b"a" * (11 << 20))
    real = client.upload_part

    def lose(**arguments: object) -> object:
        if arguments["PartNumber"] == 2:
            return {"ETag": '"lost"'}
        return real(**arguments)

    monkeypatch.setattr(client, "upload_part", lose)
    with pytest.raises(StoreFailed, match="S3 has 6291456 of 11534336 bytes, in 2 of 3 parts"):
        bucket_store.put(path, "v/a")
    assert not bucket_store.exists("v/a")


def test_a_prefix_of_more_keys_than_a_listing_holds_is_deleted_but_for_what_is_refused(
    bucket_store: S3Store, moto_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = servers.plain_client(moto_endpoint)
    for number in range(1100):
        plain.put_object(Bucket=servers.BUCKET, Key=f"{bucket_store.prefix}v/{number:04d}", Body=b"")
    assert len(list(bucket_store.objects("v/"))) == 1100
    assert len(bucket_store.missing([f"v/{number:04d}" for number in range(1101)])) == 1
    real, client = bucket_store._client.delete_objects, bucket_store._client
    kept = f"{bucket_store.prefix}v/0500"

    def but_one(**arguments):
        wanted = arguments["Delete"]["Objects"]
        rest = [entry for entry in wanted if entry["Key"] != kept]
        real(**arguments | {"Delete": {"Objects": rest}})
        lost = [{"Key": kept, "Code": "AccessDenied", "Message": "no"}] if len(rest) < len(wanted) else []
        return {"Errors": lost}

    monkeypatch.setattr(client, "delete_objects", but_one)
    with pytest.raises(ObjectsLeft, match=r"1 objects below it .* such as v/0500 \(access is denied\)") as left:
        bucket_store.delete_prefix("v/")
    assert left.value.keys == ("v/0500",)
    assert [found.key for found in bucket_store.objects("v/")] == ["v/0500"]


def test_one_key_with_control_characters_that_is_refused_keeps_no_other_from_being_deleted(
    bucket_store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("v/a\tb", "v/c\td", "v/plain"):
        bucket_store.put_bytes(b"", name)
    client, kept = bucket_store._client, f"{bucket_store.prefix}v/a\tb"
    real = client.delete_object

    def but_one(**arguments: Any) -> object:
        if arguments["Key"] == kept:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "DeleteObject")
        return real(**arguments)

    monkeypatch.setattr(client, "delete_object", but_one)
    with pytest.raises(ObjectsLeft, match=r"1 objects below it .*access is denied") as left:
        bucket_store.delete_prefix("v/")
    assert left.value.keys == ("v/a\tb",)
    assert [found.key for found in bucket_store.objects("v/")] == ["v/a\tb"]
