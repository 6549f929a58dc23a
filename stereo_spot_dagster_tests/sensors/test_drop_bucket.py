"""What is uploaded to the bucket becomes one video and one run, whatever the queue does."""

from __future__ import annotations

import json

import pytest

from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.definitions import _sensors_of_the_place
from stereo_spot_dagster.domain.layout import Layout
from stereo_spot_dagster.sensors import drop_bucket as module
from stereo_spot_dagster.sensors.sweep import BucketMemory, Sweep
from stereo_spot_dagster.storage import keys
from stereo_spot_dagster.storage.base import StoredObject

from .drop_bucket_world import PREFIX, DropBucket, Sensor


@pytest.fixture
def sensor(bucket: DropBucket, monkeypatch: pytest.MonkeyPatch) -> Sensor:
    """After its first listing, of an empty bucket: from now on messages tell."""
    made = Sensor(monkeypatch)
    assert made.tick() == []
    return made


def test_an_upload_is_one_video_and_one_run_and_its_message_is_deleted_only_afterwards(
    bucket: DropBucket, sensor: Sensor
) -> None:
    bucket.upload("drop/Holiday.mp4")
    assert len(sensor.tick()) == 1
    assert bucket.messages() == 1
    assert sensor.second_tick() == []
    assert bucket.messages() == 0
    (video,) = sensor.videos()
    assert video.startswith("holiday-")
    assert sensor.partitions() == [video]
    assert len(sensor.run_keys()) == 1
    submission = sensor.workspace.submission(video)
    assert submission.origin == "drop bucket"
    assert submission.source.startswith(f"s3://{bucket.name}/{PREFIX}drop/Holiday.mp4?versionId=")


def test_a_tick_whose_requests_were_lost_keeps_its_message_and_is_made_up_for(
    bucket: DropBucket, sensor: Sensor
) -> None:
    bucket.upload("drop/film.mp4")
    sensor.tick(killed=True)
    assert sensor.videos() != sensor.partitions()
    assert sensor.second_tick() == sensor.videos()
    assert bucket.messages() == 1
    assert sensor.second_tick() == []
    assert bucket.messages() == 0
    assert sensor.partitions() == sensor.videos()


def test_messages_twice_late_and_out_of_order_make_each_version_a_video_once(
    bucket: DropBucket, sensor: Sensor
) -> None:
    first, second = bucket.put("drop/film.mp4", b"one"), bucket.put("drop/film.mp4", b"two")
    for version in (second, first, second):
        bucket.tell("drop/film.mp4", version)
    bucket.tell_as_s3("drop/film.mp4", first)
    assert len(sensor.tick()) == 2
    bucket.tell("drop/film.mp4", first)
    sensor.second_tick()
    sensor.list_anew()
    assert bucket.messages() == 0
    assert len(sensor.videos()) == len(sensor.run_keys()) == 2
    found = {sensor.workspace.submission(video).in_bucket for video in sensor.videos()}
    assert {version.version for version in found if version} == {first, second}


def test_a_late_message_does_not_make_a_second_video_of_one_whose_settings_changed_meanwhile(
    bucket: DropBucket, sensor: Sensor
) -> None:
    version = bucket.upload("drop/film.mp4")
    sensor.tick()
    bucket.upload("drop/film.yaml", b"divergence: 3")
    bucket.tell("drop/film.mp4", version)
    sensor.second_tick()
    assert len(sensor.videos()) == len(sensor.run_keys()) == 1


def test_the_listing_finds_what_no_message_told_of(bucket: DropBucket, sensor: Sensor) -> None:
    bucket.put("drop/lost.mp4")
    assert sensor.tick() == []
    assert len(sensor.list_anew()) == 1
    assert sensor.list_anew() == []
    assert len(sensor.run_keys()) == 1


@pytest.mark.parametrize("queue", ["", "http://127.0.0.1:9/1/gone"])
def test_the_listing_alone_suffices(
    bucket: DropBucket, sensor: Sensor, monkeypatch: pytest.MonkeyPatch, queue: str
) -> None:
    monkeypatch.setenv("STEREO_SPOT_DROP_QUEUE", queue)
    bucket.put("drop/film.mp4", b"one")
    assert len(sensor.list_anew()) == 1
    bucket.put("drop/film.mp4", b"two")
    assert len(sensor.list_anew()) == 1
    assert len(sensor.videos()) == 2


def test_an_overwritten_object_is_a_second_video_also_without_versions(bucket: DropBucket, sensor: Sensor) -> None:
    bucket.s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Suspended"})
    bucket.upload("drop/film.mp4", b"one")
    sensor.tick()
    bucket.upload("drop/film.mp4", b"three")
    sensor.second_tick()
    # The same bytes once more are the same video.
    bucket.upload("drop/film.mp4", b"three")
    sensor.second_tick()
    assert len(sensor.videos()) == len(sensor.run_keys()) == 2


def test_eleven_hundred_keys_are_listed_to_the_last(bucket: DropBucket, sensor: Sensor) -> None:
    for number in range(1097):
        bucket.put(f"drop/{number:04d}.txt")
    for name in ("0500.mp4", "1050.mp4", "zz.mp4"):
        bucket.put(f"drop/{name}")
    assert len(sensor.list_anew()) == 3
    assert sensor.list_anew() == []


def test_a_listing_goes_on_in_slices_behind_a_key_that_is_gone(
    bucket: DropBucket, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All within a second or two: their times are equal to S3.
    for number in range(7):
        bucket.put(f"drop/{number}.mp4")
    monkeypatch.setattr(module, "_VIDEOS_A_TICK", 3)
    assert len(sensor.list_anew()) == 3
    reached = BucketMemory.parse(sensor.cursor).sweep.after
    assert reached == "drop/2.mp4"
    bucket.s3.delete_object(Bucket=bucket.name, Key=PREFIX + reached)
    assert len(sensor.tick()) == 3
    assert len(sensor.tick()) == 1
    assert len(sensor.run_keys()) == 7


def test_a_video_that_was_removed_does_not_come_back_with_the_next_listing(bucket: DropBucket, sensor: Sensor) -> None:
    bucket.upload("drop/film.mp4")
    (video,) = sensor.tick()
    sensor.second_tick()
    sensor.workspace.store.delete_prefix(keys.video_folder(video))
    for run in sensor.instance.get_runs():
        sensor.instance.delete_run(run.run_id)
    assert sensor.list_anew() == []
    assert not sensor.workspace.has_submission(video)


@pytest.mark.parametrize(
    "name",
    [
        "a b+c%2Bd%.mp4",
        "zażółć 日本語.mp4",
        "q?versionId=3&x=#y.mp4",
        "Ünï (1)'\"<>.mp4",
        "no-extension",
        "n" * 1000 + ".mp4",
    ],
)
def test_keys_are_decoded_exactly_once(bucket: DropBucket, sensor: Sensor, name: str) -> None:
    one = bucket.put(f"drop/{name}", b"one")
    bucket.tell(f"drop/{name}", one)
    two = bucket.put(f"drop/{name}", b"two")
    bucket.tell_as_s3(f"drop/{name}", two)
    assert len(sensor.tick()) == 2
    assert {sensor.workspace.submission(video).name for video in sensor.videos()} == {name}


def test_markers_notes_empty_hidden_deep_and_unfinished_objects_are_passed_over(
    bucket: DropBucket, sensor: Sensor
) -> None:
    for key in ("drop/", "drop/half-sbs/", "drop/film.nfo", "drop/.film.mp4", "drop/a/b/film.mp4", "drop/film.yaml"):
        bucket.upload(key)
    for foreign in ("drop/filmM01.XML", "drop/film.mp4.md5", "drop/half-sbs/poster.png"):
        bucket.upload(foreign)
    bucket.upload(f"drop/{'p' * 300}/film.mp4")
    bucket.upload("drop/empty.mp4", b"")
    bucket.upload("elsewhere/film.mp4")
    bucket.s3.create_multipart_upload(Bucket=bucket.name, Key=f"{PREFIX}drop/growing.mp4")
    sensor.tick()
    sensor.list_anew()
    assert sensor.videos() == []
    assert bucket.messages() == 0


def test_settings_come_from_the_folder_then_the_metadata_then_the_sidecar(bucket: DropBucket, sensor: Sensor) -> None:
    bucket.put("presets/cinema.yaml", b"layouts: [full-tb]\ndivergence: 1\ncrf: 30\n")
    bucket.put("drop/cinema/film.yaml", b"crf: 20")
    noted = {"divergence": "3", "crf": "25", "start-s": "1.5", "mtime": "1700000000"}
    bucket.upload("drop/cinema/film.mp4", **noted)
    bucket.upload("drop/half-sbs/film.mp4", layouts="half-sbs, half-tb")
    sensor.tick()
    found = [sensor.workspace.submission(video).settings for video in sensor.videos()]
    preset = next(settings for settings in found if settings.crf == 20)
    assert preset.layouts == (Layout.FULL_TB,)
    assert (preset.divergence, preset.start_s) == (3, 1.5)
    (other,) = [settings for settings in found if settings.crf != 20]
    assert other.layouts == (Layout.HALF_SBS, Layout.HALF_TB)


@pytest.mark.parametrize(
    ("key", "metadata", "named"),
    [
        ("drop/film.mp4", {"divergence": "99"}, "the metadata of film.mp4: setting 'divergence'"),
        ("drop/film.mp4", {"depth": "file:/etc/passwd"}, "cannot come with depth from a file"),
        ("drop/film.mp4", {"depth": "onnx:net.onnx"}, "may not name a network"),
        ("drop/sideways/film.mp4", {}, f"{PREFIX}presets/sideways.yaml"),
    ],
)
def test_wrong_settings_refuse_the_video_with_a_sentence(
    bucket: DropBucket, sensor: Sensor, key: str, metadata: dict[str, str], named: str
) -> None:
    bucket.upload(key, **metadata)
    assert sensor.tick() == []
    (video,) = sensor.videos()
    refusal = sensor.workspace.refusal(video)
    assert refusal is not None
    assert named in refusal.reason
    assert refusal.wrong_settings
    # Refused in the second of its upload, it is looked at once more.
    sensor.second_tick()
    sensor.second_tick()
    assert bucket.messages() == 0


def test_a_sidecar_that_makes_no_sense_refuses_its_video_and_blocks_no_other(
    bucket: DropBucket, sensor: Sensor
) -> None:
    for name, text in {"odd": b"divergence: !!bool maybe", "endless": bytes(1 << 20)}.items():
        bucket.put(f"drop/{name}.yaml", text)
        bucket.upload(f"drop/{name}.mp4")
    bucket.upload("drop/plain.mp4")
    (taken,) = sensor.tick()
    assert taken.startswith("plain-")
    refusals = [sensor.workspace.refusal(video) for video in sensor.videos()]
    reasons = " ".join(refusal.reason for refusal in refusals if refusal)
    assert "odd.yaml: it cannot be read as YAML" in reasons
    assert "endless.yaml: it is too long to be settings" in reasons
    sensor.second_tick()
    sensor.second_tick()
    assert bucket.messages() == 0


def test_a_sidecar_is_found_among_many_of_nearly_the_same_name(
    bucket: DropBucket, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stereo_spot_dagster.sensors.dropped_objects._NEIGHBOURS", 3)
    for number in range(5):
        bucket.put(f"drop/film.{number:04d}.txt")
    bucket.put("drop/film.yaml", b"divergence: 99")
    bucket.upload("drop/film")
    sensor.tick()
    (refused,) = sensor.videos()
    assert sensor.workspace.refusal(refused)
    for number in range(5):
        bucket.put(f"drop/film-{number}.txt")
    bucket.upload("drop/film.yaml", b"divergence: 3")
    assert sensor.second_tick() == [refused]
    assert sensor.workspace.submission(refused).settings.divergence == 3


@pytest.mark.parametrize("told", [True, False])
def test_a_refused_video_is_taken_when_its_sidecar_is_corrected(bucket: DropBucket, sensor: Sensor, told: bool) -> None:
    bucket.put("drop/film.yaml", b"divergence: 99")
    bucket.upload("drop/film.mp4")
    assert sensor.tick() == []
    (refused,) = sensor.videos()
    if told:
        bucket.upload("drop/film.yaml", b"divergence: 3")
        assert sensor.second_tick() == [refused]
    else:
        bucket.put("drop/film.yaml", b"divergence: 3")
        assert sensor.list_anew() == [refused]
    assert sensor.videos() == [refused]
    assert sensor.workspace.submission(refused).settings.divergence == 3
    sensor.second_tick()
    sensor.list_anew()
    assert len(sensor.run_keys()) == 1


def test_an_upload_is_left_a_while_for_a_sidecar_that_comes_after_it(
    bucket: DropBucket, sensor: Sensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLE_S", 1000.0)
    bucket.upload("drop/film.mp4")
    assert sensor.tick() == []
    assert sensor.videos() == []
    bucket.put("drop/film.yaml", b"crf: 30")
    time_of_settling = 2000
    sensor.second_tick(after_s=time_of_settling)
    (video,) = sensor.videos()
    assert sensor.workspace.submission(video).settings.crf == 30


def test_a_message_that_cannot_be_read_stops_no_other_and_ends_in_the_dead_letter_queue(
    bucket: DropBucket, sensor: Sensor
) -> None:
    bucket.send("not json")
    bucket.upload("drop/film.mp4")
    assert len(sensor.tick()) == 1
    for _ in range(6):
        sensor.second_tick()
    assert bucket.messages() == 0
    assert bucket.dead_messages() == 1


def test_a_video_whose_key_another_one_has_already_is_not_lost_in_silence(bucket: DropBucket, sensor: Sensor) -> None:
    bucket.upload("drop/film.mp4")
    sensor.tick(killed=True)
    (video,) = sensor.videos()
    other = sensor.workspace.submission(video).model_copy(update={"identity": "0" * 32})
    sensor.workspace.save(other, keys.submission(video))
    for _ in range(6):
        sensor.second_tick()
    assert sensor.workspace.submission(video) == other
    assert (bucket.messages(), bucket.dead_messages()) == (0, 1)


def test_a_message_about_what_was_deleted_meanwhile_is_used_up(bucket: DropBucket, sensor: Sensor) -> None:
    version = bucket.upload("drop/film.mp4")
    bucket.s3.delete_object(Bucket=bucket.name, Key=f"{PREFIX}drop/film.mp4", VersionId=version)
    assert sensor.tick() == []
    assert bucket.messages() == 0
    assert sensor.videos() == []


def test_a_lost_cursor_starts_nothing_twice(bucket: DropBucket, sensor: Sensor) -> None:
    bucket.upload("drop/film.mp4")
    sensor.tick()
    sensor.cursor = None
    assert sensor.second_tick() == []
    assert len(sensor.run_keys()) == 1


@pytest.mark.parametrize("cursor", [None, "", "not json", "[]", '{"sweep": 3}', '{"video": "", "sweep": ["a", "b"]}'])
def test_a_cursor_that_makes_no_sense_is_an_empty_memory(cursor: str | None) -> None:
    assert str(BucketMemory.parse(cursor)) == str(BucketMemory())


def test_the_memory_of_a_thousand_uploads_is_small_and_forgets_old_ones() -> None:
    memory = BucketMemory(sweep=Sweep(since_s=0.0))
    objects = [StoredObject(f"drop/a film {number}.mp4", 1, number * 600.0, "e") for number in range(1000)]
    for stored in objects:
        memory.mark(stored)
    again = BucketMemory.parse(str(memory))
    assert all(again.is_marked(stored) for stored in objects)
    assert len(str(memory)) < 15_000
    again.sweep = Sweep(since_s=1e9)
    again.forget_old()
    assert json.loads(str(again))["marks"] == {}


def test_the_definitions_hold_the_sensor_of_the_place_where_files_are_dropped(
    bucket: DropBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [sensor.name for sensor in _sensors_of_the_place()] == ["drop_bucket", "lost_starts"]
    monkeypatch.delenv("STEREO_SPOT_STORE")
    assert [sensor.name for sensor in _sensors_of_the_place()] == ["drop_folder"]
    assert Workspace.from_environment().store.folder
