"""Whole conversions with the media in a bucket, and nothing of them left on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from stereo_spot_dagster.assets.studio import Studio
from stereo_spot_dagster.convert.finish import deliver, deliver_as, deliver_done, delivered_places
from stereo_spot_dagster.convert.progress import Stage, known_videos, video_progress
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.definitions import defs
from stereo_spot_dagster.domain.errors import ToolUnavailable
from stereo_spot_dagster.domain.layout import Layout, View
from stereo_spot_dagster.domain.video import OutputFile
from stereo_spot_dagster.media.probe import probe
from stereo_spot_dagster.storage import opening
from stereo_spot_dagster.storage.s3 import S3Store

from ..e2e.clips import make_clip


@pytest.fixture
def in_bucket(bucket_store: S3Store, moto_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> S3Store:
    """The environment of a machine whose media lie in a bucket."""
    monkeypatch.setenv("STEREO_SPOT_STORE", bucket_store.locate("").rstrip("/"))
    monkeypatch.setenv("STEREO_SPOT_S3_ENDPOINT_URL", moto_endpoint)
    monkeypatch.setenv("STEREO_SPOT_S3_PATH_STYLE", "true")
    monkeypatch.setenv("STEREO_SPOT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return bucket_store


def command(*words: object) -> list[str]:
    """Run ``stereo-spot`` and return the lines of its output."""
    line = [sys.executable, "-m", "stereo_spot_dagster.cli", *map(str, words)]
    environment = os.environ | {"COLUMNS": "300"}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_a_clip_is_converted_in_a_bucket_and_fetched_or_left_there(in_bucket: S3Store, tmp_path: Path) -> None:
    clip, home = make_clip(tmp_path / "clip.mp4"), tmp_path / "home"
    options = ("--preset", "ultrafast", "--segment-frames", "16", "--layout", "half-sbs", "--layout", "half-tb")
    fetched = command("convert", clip, *options, "-o", tmp_path / "out")
    assert [Path(path).parent for path in fetched] == [tmp_path / "out"] * 2
    assert all(probe(Path(path)).video.width == 160 for path in fetched)
    left_there = command("convert", clip, *options)
    assert [url.rpartition("/")[0] for url in left_there] == [in_bucket.locate("done")] * 2
    for path, url in zip(fetched, left_there, strict=True):
        assert in_bucket.read_bytes(url.removeprefix(in_bucket.locate(""))) == Path(path).read_bytes()
    # Once more into the same folder: the same files under the same names.
    assert command("convert", clip, *options, "-o", tmp_path / "out") == fetched
    (video,) = known_videos(Workspace.from_environment())
    assert not (home / "videos").exists()
    assert not [path for path in (home / "scratch").iterdir() if path.suffix != ".lock"]
    status = "\n".join(command("status", video))
    assert "finished" in status
    assert left_there[0] in status
    assert in_bucket.locate("") in "\n".join(command("doctor"))
    command("remove", video, "--yes")
    assert not list(in_bucket.objects("videos/"))


@pytest.mark.slow
def test_the_job_converts_in_a_bucket_and_shows_where_the_files_lie(
    in_bucket: S3Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clip, store = make_clip(tmp_path / "clip.mp4", frames=16), in_bucket.locate("")
    monkeypatch.delenv("STEREO_SPOT_STORE")
    result = defs.resolve_job_def("convert_video").execute_in_process(
        run_config={"ops": {"convert": {"config": {"source": str(clip), "settings": {"preset": "ultrafast"}}}}},
        resources={"studio": Studio(home=str(tmp_path / "home"), store=store)},
        raise_on_error=False,
    )
    assert result.success
    made = {event.asset_key.to_user_string(): event for event in result.get_asset_materialization_events()}  # type: ignore[union-attr]
    metadata = {name: event.materialization.metadata for name, event in made.items()}
    final = metadata["final_video"]["result"]
    assert isinstance(final, dg.TextMetadataValue)
    assert str(final.text).startswith(f"{store}done/clip")
    assert "open" not in metadata["final_video"]
    assert str(metadata["source_video"]["file"].value).startswith(f"{store}videos/clip-")
    workspace = Workspace.from_environment(tmp_path / "home", store)
    (video,) = known_videos(workspace)
    assert video_progress(workspace, video).stage is Stage.FINISHED


@pytest.mark.slow
def test_an_object_in_any_bucket_is_converted_by_its_url(
    in_bucket: S3Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    in_bucket.put(make_clip(tmp_path / "clip.mp4", frames=16), "films//of 2024/clip.mp4")
    url = in_bucket.locate("films//of 2024/clip.mp4")
    monkeypatch.delenv("STEREO_SPOT_STORE")
    (result,) = command("convert", url, "--preset", "ultrafast", "-o", tmp_path / "out")
    assert Path(result).name == "clip_LRF_Full_SBS.mp4"
    assert probe(Path(result)).video.width == 320
    config = {"source": url, "settings": {"preset": "ultrafast"}, "output": str(tmp_path / "job")}
    done = defs.resolve_job_def("convert_video").execute_in_process(
        run_config={"ops": {"convert": {"config": config}}},
        resources={"studio": Studio(home=str(tmp_path / "home"))},
        raise_on_error=False,
    )
    assert done.success
    assert (tmp_path / "job" / Path(result).name).read_bytes() == Path(result).read_bytes()


def finished(workspace: Workspace, video: str, data: bytes) -> tuple[OutputFile, ...]:
    stored = workspace.store.put_bytes(data, f"videos/{video}/final/clip_sbs.mp4")
    return (OutputFile(layout=Layout.FULL_SBS, view=View.PACKED, key=stored.key, size_bytes=stored.size_bytes),)


@pytest.fixture(params=["folder", "bucket"])
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    if request.param == "folder":
        return Workspace.local(tmp_path / "home")
    request.getfixturevalue("in_bucket")
    return Workspace.from_environment()


def test_a_done_name_of_another_video_is_left_alone_and_ones_own_is_replaced(workspace: Workspace) -> None:
    store = workspace.store
    one, other = finished(workspace, "clip-00000001", b"one"), finished(workspace, "clip-00000002", b"other")
    assert deliver_done(workspace, "clip-00000001", one) == [store.locate("done/clip_sbs.mp4")]
    assert deliver_done(workspace, "clip-00000002", other) == [store.locate("done/clip_sbs_00000002.mp4")]
    again = finished(workspace, "clip-00000001", b"again")
    assert deliver_done(workspace, "clip-00000001", again) == [store.locate("done/clip_sbs.mp4")]
    assert store.read_bytes("done/clip_sbs.mp4") == b"again"
    assert store.read_bytes("done/clip_sbs_00000002.mp4") == b"other"
    assert delivered_places(workspace, "clip-00000001") == [store.locate("done/clip_sbs.mp4")]


def test_a_delivery_whose_record_was_lost_is_not_made_a_second_time(workspace: Workspace) -> None:
    outputs = finished(workspace, "clip-00000001", b"one")
    first = deliver_done(workspace, "clip-00000001", outputs)
    workspace.store.delete_prefix("videos/clip-00000001/delivery.json")
    assert deliver_done(workspace, "clip-00000001", outputs) == first
    assert len(list(workspace.store.objects("done/"))) == 1


def test_a_file_of_the_user_in_the_folder_is_left_alone(workspace: Workspace, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "clip_sbs.mp4").write_bytes(b"mine")
    outputs = finished(workspace, "clip-00000001", b"one")
    assert deliver(workspace, "clip-00000001", outputs, out) == [out / "clip_sbs_00000001.mp4"]
    assert (out / "clip_sbs.mp4").read_bytes() == b"mine"


def test_a_file_that_the_user_named_is_replaced(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"older")
    outputs = finished(workspace, "clip-00000001", b"one")
    assert deliver_as(workspace, "clip-00000001", outputs, tmp_path / "film.mp4") == [tmp_path / "film.mp4"]
    assert (tmp_path / "film.mp4").read_bytes() == b"one"


def test_a_file_of_this_machine_is_not_taken_for_one_delivered_on_another(in_bucket: S3Store, tmp_path: Path) -> None:
    workspace, out = Workspace.from_environment(), tmp_path / "out"
    deliver(workspace, "clip-00000001", finished(workspace, "clip-00000001", b"one"), out)
    # The other machine has another file there.
    (out / "clip_sbs.mp4").write_bytes(b"mine")
    again = finished(workspace, "clip-00000001", b"again")
    assert deliver(workspace, "clip-00000001", again, out) == [out / "clip_sbs_00000001.mp4"]
    assert (out / "clip_sbs.mp4").read_bytes() == b"mine"


def test_scratch_lies_in_the_home_folder_or_where_the_system_keeps_such_things(
    in_bucket: S3Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert Workspace.from_environment().scratch == tmp_path / "home" / "scratch"
    monkeypatch.delenv("STEREO_SPOT_HOME")
    assert Workspace.from_environment().scratch.parent == Path(os.environ.get("TMPDIR", "/tmp"))
    assert not (tmp_path / "home").exists()


def test_without_boto3_a_bucket_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    for name in [name for name in sys.modules if name.startswith("stereo_spot_dagster.storage.s3")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ToolUnavailable, match=r"needs the package boto3. Run: pip install"):
        opening.open_store("s3://media", tmp_path)
