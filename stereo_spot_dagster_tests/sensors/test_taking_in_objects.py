"""From an object in a bucket to a source in the store: its own version, whole, and the original left alone."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import dagster as dg
import pytest
from rich.console import Console

from stereo_spot_dagster.assets.source_video import source_video
from stereo_spot_dagster.assets.studio import Studio
from stereo_spot_dagster.cli.manage import submit_all
from stereo_spot_dagster.cli.session import Session
from stereo_spot_dagster.convert.intake import identify_object, look_into, object_at, submit, take_in
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.definitions import defs
from stereo_spot_dagster.domain.errors import InputRefused, StoreFailed
from stereo_spot_dagster.domain.settings import ConversionSettings
from stereo_spot_dagster.domain.video import Driver, SourceRecord, bucket_location
from stereo_spot_dagster.storage import keys, s3_objects, s3_upload
from stereo_spot_dagster.storage.base import StoreRefused
from stereo_spot_dagster.storage.s3 import S3Store

from ..e2e.clips import ffmpeg_words, make_clip
from .drop_bucket_world import PREFIX, DropBucket, Sensor

FAST = ConversionSettings(preset="ultrafast", segment_frames=16)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("other") / "clip.mp4", color="green")


def is_whole(workspace: Workspace, record: SourceRecord, clip: Path) -> bool:
    """Whether the store has the clip's bytes, and its checksum with it."""
    data = clip.read_bytes()
    assert isinstance(workspace.store, S3Store)
    request = {"Bucket": workspace.store.bucket, "Key": workspace.store.prefix + record.key}
    noted = s3_objects.s3_client(workspace.store.settings).head_object(**request)["Metadata"]
    digest = hashlib.sha256(data).hexdigest()
    return workspace.store.read_bytes(record.key) == data and noted == {"sha256": digest} and record.sha256 == digest


def hand_in(workspace: Workspace, url: str) -> str:
    submission = identify_object(object_at(workspace, url), FAST)
    submit(workspace, submission)
    return submission.video


def test_the_job_takes_an_upload_in_and_leaves_the_original(
    bucket: DropBucket, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = Sensor(monkeypatch)
    bucket.put("drop/clip.yaml", b"preset: ultrafast\nsegment_frames: 16\n")
    version = bucket.upload("drop/clip.mp4", clip.read_bytes(), divergence="3")
    (video,) = sensor.tick()
    result = defs.resolve_job_def("take_in").execute_in_process(
        partition_key=video, instance=sensor.instance, resources={"studio": Studio()}, raise_on_error=False
    )
    assert result.success
    workspace = sensor.workspace
    record = workspace.source(video)
    assert is_whole(workspace, record, clip)
    assert record.settings.divergence == 3
    assert len(workspace.plan(video).segments) == 2
    original = bucket.s3.get_object(Bucket=bucket.name, Key=f"{PREFIX}drop/clip.mp4")
    assert (original["VersionId"], original["Body"].read()) == (version, clip.read_bytes())
    # Nothing of it stays on the machine that took it in.
    assert not list(workspace.scratch.iterdir())


def test_an_object_that_is_overwritten_before_its_turn_is_taken_in_as_it_was(
    bucket: DropBucket, clip: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor = Sensor(monkeypatch)
    bucket.upload("drop/clip.mp4", clip.read_bytes())
    (first,) = sensor.tick()
    bucket.upload("drop/clip.mp4", other.read_bytes())
    (second,) = sensor.second_tick()
    workspace = sensor.workspace
    records = [take_in(workspace, workspace.submission(video)) for video in (second, first)]
    assert is_whole(workspace, records[0], other)
    assert is_whole(workspace, records[1], clip)


@pytest.mark.parametrize("overwritten", [True, False])
def test_without_versions_what_is_gone_is_refused_in_words(
    bucket: DropBucket, clip: Path, other: Path, overwritten: bool
) -> None:
    bucket.s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Suspended"})
    workspace, key = Workspace.from_environment(), f"{PREFIX}clip.mp4"
    bucket.put("clip.mp4", clip.read_bytes())
    video = hand_in(workspace, f"s3://{bucket.name}/{key}")
    if overwritten:
        bucket.put("clip.mp4", other.read_bytes())
    else:
        bucket.s3.delete_object(Bucket=bucket.name, Key=key)
    words = "another file was written over it" if overwritten else "no longer there"
    with pytest.raises(InputRefused, match=words):
        take_in(workspace, workspace.submission(video))
    refusal = workspace.refusal(video)
    assert refusal is not None
    assert words in refusal.reason


def test_what_is_no_video_is_refused_and_not_copied(bucket: DropBucket) -> None:
    workspace = Workspace.from_environment()
    bucket.put("noise.mp4", bytes(range(256)) * 40)
    submission = identify_object(object_at(workspace, f"s3://{bucket.name}/{PREFIX}noise.mp4"), FAST)
    with pytest.raises(InputRefused):
        look_into(workspace, submission)
    names = {stored.key.rpartition("/")[2] for stored in workspace.store.objects("videos/")}
    assert names == {"submission.json", "refusal.json"}


def test_an_object_larger_than_one_request_copies_is_copied_in_parts(
    bucket: DropBucket, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_objects, "_COPIED_AT_ONCE", 5 << 20)
    monkeypatch.setattr(s3_upload, "_COPIED_AT_ONCE", 5 << 20)
    workspace = Workspace.from_environment()
    # What is behind the last box of an MP4 does not matter.
    long = clip.with_name("long.mp4")
    long.write_bytes(clip.read_bytes() + (12 << 20).to_bytes(4, "big") + b"free" + bytes((12 << 20) - 8))
    bucket.put("long.mp4", long.read_bytes())
    video = hand_in(workspace, f"s3://{bucket.name}/{PREFIX}long.mp4")
    assert is_whole(workspace, take_in(workspace, workspace.submission(video)), long)


@pytest.mark.parametrize("failure", [StoreRefused, StoreFailed])
def test_what_s3_may_not_copy_is_sent_from_here_and_what_it_could_not_is_tried_again(
    bucket: DropBucket, clip: Path, monkeypatch: pytest.MonkeyPatch, failure: type[StoreFailed]
) -> None:
    def fails(*_: object) -> None:
        raise failure("bucket", "access is denied")

    monkeypatch.setattr(s3_objects, "copy_into", fails)
    workspace = Workspace.from_environment()
    bucket.put("clip.mp4", clip.read_bytes())
    video = hand_in(workspace, f"s3://{bucket.name}/{PREFIX}clip.mp4")
    if failure is StoreRefused:
        assert is_whole(workspace, take_in(workspace, workspace.submission(video)), clip)
    else:
        with pytest.raises(StoreFailed):
            take_in(workspace, workspace.submission(video))


def test_a_store_in_a_folder_takes_objects_too(bucket: DropBucket, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STEREO_SPOT_STORE")
    workspace = Workspace.from_environment()
    bucket.put("clip.mp4", clip.read_bytes(), sha256="what somebody else calls so")
    video = hand_in(workspace, f"s3://{bucket.name}/{PREFIX}clip.mp4")
    record = take_in(workspace, workspace.submission(video))
    assert workspace.store.read_bytes(record.key) == clip.read_bytes()


def test_an_object_is_submitted_by_its_url_once(bucket: DropBucket, clip: Path) -> None:
    session, words = Session(), Console(file=io.StringIO(), width=300)
    bucket.put("films/a b.mp4", clip.read_bytes())
    url = f"s3://{bucket.name}/{PREFIX}films/a b.mp4"
    (video,) = submit_all(session, [url], {}, words)
    assert submit_all(session, [url], {}, words) == [video]
    assert submit_all(session, [url], {"divergence": 3}, words) != [video]
    assert session.workspace.submission(video).driver is Driver.SENSORS
    assert session.instance.has_dynamic_partition("videos", video)
    assert is_whole(session.workspace, take_in(session.workspace, session.workspace.submission(video)), clip)
    with pytest.raises(InputRefused, match="there is no such object"):
        submit_all(session, [f"s3://{bucket.name}/nothing.mp4"], {}, words)
    with pytest.raises(StoreRefused, match="not a valid key"):
        submit_all(session, [f"s3://{bucket.name}/films/../nothing.mp4"], {}, words)


def test_what_was_dropped_with_settings_keeps_them_when_it_is_submitted_too(
    bucket: DropBucket, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensor, words = Sensor(monkeypatch), io.StringIO()
    bucket.upload("drop/half-sbs/clip.mp4", clip.read_bytes())
    (dropped,) = sensor.tick()
    url = f"s3://{bucket.name}/{PREFIX}drop/half-sbs/clip.mp4"
    assert submit_all(Session(), [url], {}, Console(file=words, width=300)) == [dropped]
    assert "with the settings it was dropped with" in words.getvalue()
    assert sensor.workspace.submission(dropped).settings.layouts == ("half-sbs",)


def test_a_local_file_is_sent_to_the_bucket_in_parts_and_taken_in_without_this_machine(
    bucket: DropBucket, clip: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STEREO_SPOT_S3_PART_MB", "5")
    film = tmp_path / "My film.mp4"
    film.write_bytes(clip.read_bytes() + (12 << 20).to_bytes(4, "big") + b"free" + bytes((12 << 20) - 8))
    data = film.read_bytes()
    session, console = Session(), Console(file=io.StringIO(), width=300)
    (video,) = submit_all(session, [str(film)], {}, console)
    assert film.read_bytes() == data
    workspace = session.workspace
    sent = workspace.submission(video).in_bucket
    # A second time nothing is sent.
    assert submit_all(session, [str(film)], {}, console) == [video]
    assert workspace.submission(video).in_bucket == sent
    film.rename(tmp_path / "elsewhere.mp4")
    record = take_in(workspace, workspace.submission(video))
    assert is_whole(workspace, record, tmp_path / "elsewhere.mp4")
    assert [stored.key for stored in workspace.store.objects(record.key)] == [record.key]


def test_a_recording_that_is_brought_onto_one_clock_leaves_what_was_sent_as_it_was(
    bucket: DropBucket, clip: Path, tmp_path: Path
) -> None:
    part, film = tmp_path / "part.ts", tmp_path / "recording.ts"
    ffmpeg_words("-i", clip, "-c:v", "mpeg2video", "-g", "8", part)
    film.write_bytes(part.read_bytes() * 2)
    session = Session()
    (video,) = submit_all(session, [str(film)], {}, Console(file=io.StringIO()))
    submission, store = session.workspace.submission(video), session.workspace.store
    for _ in range(2):
        record = take_in(session.workspace, submission)
        assert record.straightened_from == hashlib.sha256(film.read_bytes()).hexdigest()
        assert hashlib.sha256(store.read_bytes(record.key)).hexdigest() == record.sha256
        assert store.read_bytes(keys.source(video, ".ts")) == film.read_bytes()
        # As if the machine had died just before it was written down.
        store.delete_prefix(keys.source_record(video))


def test_how_much_was_sent_is_told(bucket: DropBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEREO_SPOT_S3_PART_MB", "5")
    store, file, told = Workspace.from_environment().store, tmp_path / "file", list[int]()
    assert isinstance(store, S3Store)
    file.write_bytes(bytes(11 << 20))
    version = s3_objects.upload(store, file, "videos/x/source.mp4", told.append)
    assert sorted(told) == [1 << 20, 5 << 20, 5 << 20]
    assert version.size_bytes == sum(told)


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("s3://media/a/b c.mp4", ("media", "a/b c.mp4", "")),
        ("s3://media/a//film.mp4?versionId=v1.x", ("media", "a//film.mp4", "v1.x")),
        ("s3://media/what?.mp4", ("media", "what?.mp4", "")),
        ("s3://media", None),
        ("s3:/media/film.mp4", None),
        ("s3://media/folder/", None),
        ("/home/s3/film.mp4", None),
    ],
)
def test_the_url_of_an_object_is_told_from_a_path(text: str, location: tuple[str, str, str] | None) -> None:
    assert bucket_location(text) == location


def test_the_asset_says_what_is_wrong_with_a_source_in_a_bucket(bucket: DropBucket) -> None:
    workspace, instance = Workspace.from_environment(), dg.DagsterInstance.ephemeral()
    bucket.put("noise.mp4", bytes(range(256)) * 40)
    video = hand_in(workspace, f"s3://{bucket.name}/{PREFIX}noise.mp4")
    instance.add_dynamic_partitions("videos", [video])
    result = dg.materialize(
        [source_video], partition_key=video, instance=instance, resources={"studio": Studio()}, raise_on_error=False
    )
    assert not result.success
    assert workspace.refusal(video) is not None
