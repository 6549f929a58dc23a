"""After Dagster's database is lost, the store tells it again what there is."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import dagster as dg
import pytest

from stereo_spot_dagster.assets.partitions import SEGMENTS, VIDEO_TAG, VIDEOS
from stereo_spot_dagster.assets.studio import Studio
from stereo_spot_dagster.cli.app import app
from stereo_spot_dagster.cli.recover import leave_to_daemon, recover, recover_all, videos_in_store
from stereo_spot_dagster.cli.session import Session
from stereo_spot_dagster.convert.progress import Stage, video_progress
from stereo_spot_dagster.domain.layout import Layout
from stereo_spot_dagster.domain.settings import ConversionSettings
from stereo_spot_dagster.domain.video import Refusal
from stereo_spot_dagster.sensors.fan_out import fan_out
from stereo_spot_dagster.sensors.hand_in import take_in_requests
from stereo_spot_dagster.sensors.join import join
from stereo_spot_dagster.storage import keys
from stereo_spot_dagster.storage.keys import segment_partition

from ..assets.graph import GRAPH, Graph
from ..e2e.clips import make_clip

Known = dict[tuple[str, str], str]


def known_to(instance: dg.DagsterInstance) -> Known:
    """Data version of the newest materialization by asset and partition; that of a finished video is Dagster's own."""
    found: Known = {}
    for asset in GRAPH:
        name = asset.key.to_user_string()
        for record in instance.fetch_materializations(asset.key, limit=1000, ascending=True).records:
            made = record.asset_materialization
            assert made
            assert made.partition
            version = (made.tags or {}).get("dagster/data_version", "")
            found[name, made.partition] = "" if name == "final_video" else version
    return found


def partitions_of(instance: dg.DagsterInstance) -> tuple[set[str], set[str]]:
    videos, segments = (set(instance.get_dynamic_partitions(str(kind.name))) for kind in (VIDEOS, SEGMENTS))
    return videos, segments


def events(instance: dg.DagsterInstance) -> int:
    return sum(len(instance.fetch_materializations(asset.key, limit=1000).records) for asset in GRAPH)


def ask(sensor: dg.SensorDefinition, graph: Graph) -> list[str]:
    """Partitions of the runs that a sensor without a cursor asks for."""
    result = sensor(dg.build_sensor_context(instance=graph.instance), studio=Studio(home=str(graph.home)))
    assert isinstance(result, dg.SensorResult)
    return [str(request.partition_key) for request in result.run_requests or []]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Graph, str]:
    """A video of three segments, finished and delivered."""
    folder = tmp_path_factory.mktemp("finished")
    graph = Graph(folder / "home")
    settings = ConversionSettings(
        preset="ultrafast", segment_frames=16, layouts=(Layout.FULL_SBS, Layout.ANAGLYPH_DUBOIS)
    )
    video = graph.hand_in(make_clip(folder / "clip.mp4", frames=48), settings)
    graph.convert_all(video)
    graph.instance.delete_dynamic_partition(str(SEGMENTS.name), video)
    assert graph.run(["final_video"], video).success
    graph.instance.delete_dynamic_partition(str(SEGMENTS.name), video)
    for name in partitions_of(graph.instance)[0] - {video}:
        graph.instance.delete_dynamic_partition(str(VIDEOS.name), name)
    return graph, video


@pytest.fixture
def lost(finished: tuple[Graph, str], tmp_path: Path) -> tuple[Graph, str]:
    """A copy of that home with an empty database."""
    return Graph(shutil.copytree(finished[0].home, tmp_path / "home")), finished[1]


def test_a_finished_video_is_known_again_as_it_was(finished: tuple[Graph, str], lost: tuple[Graph, str]) -> None:
    graph, video = lost
    outcome = recover(graph.instance, graph.workspace, video)
    assert partitions_of(graph.instance) == partitions_of(finished[0].instance)
    assert known_to(graph.instance) == known_to(finished[0].instance)
    assert (outcome.partitions, outcome.materializations, outcome.note) == (4, 9, "")


def test_recovering_twice_changes_nothing(lost: tuple[Graph, str]) -> None:
    graph, video = lost
    recover(graph.instance, graph.workspace, video)
    before = events(graph.instance)
    outcome = recover(graph.instance, graph.workspace, video)
    assert (outcome.partitions, outcome.materializations) == (0, 0)
    assert events(graph.instance) == before


def test_a_database_that_has_lost_nothing_is_left_as_it_is(finished: tuple[Graph, str]) -> None:
    graph, video = finished
    before = events(graph.instance)
    assert recover(graph.instance, graph.workspace, video).materializations == 0
    assert events(graph.instance) == before


def test_a_recovered_finished_video_is_not_converted_again(lost: tuple[Graph, str]) -> None:
    graph, video = lost
    recover(graph.instance, graph.workspace, video)
    assert ask(fan_out, graph) == []
    assert ask(join, graph) == []


def test_a_half_converted_video_goes_on_to_its_end(lost: tuple[Graph, str]) -> None:
    graph, video = lost
    store, gone = graph.workspace.store, segment_partition(video, 2)
    store.delete_prefix(keys.final_record(video))
    for stored in list(store.objects(f"{keys.video_folder(video)}stereo/")):
        if "/00002_" in stored.key:
            store.delete_prefix(stored.key)
    recover(graph.instance, graph.workspace, video)
    assert ("stereo_segments", segment_partition(video, 1)) in known_to(graph.instance)
    assert ("stereo_segments", gone) not in known_to(graph.instance)
    assert ("depth_segments", gone) in known_to(graph.instance)
    assert ask(join, graph) == []
    assert ask(fan_out, graph) == [gone]
    assert graph.run(["depth_segments", "stereo_segments"], gone).success
    assert ask(join, graph) == [video]
    assert graph.run(["final_video"], video).success
    assert video_progress(graph.workspace, video).stage is Stage.FINISHED


def test_a_lost_manifest_is_planned_again_and_finds_what_was_made_by_it(
    finished: tuple[Graph, str], lost: tuple[Graph, str]
) -> None:
    graph, video = lost
    graph.workspace.store.delete_prefix(keys.manifest(video))
    outcome = recover(graph.instance, graph.workspace, video)
    assert "planned anew" in outcome.note
    assert graph.workspace.plan(video).digest == finished[0].workspace.plan(video).digest
    assert known_to(graph.instance) == known_to(finished[0].instance)


def test_a_lost_manifest_can_be_left_to_the_daemon(lost: tuple[Graph, str]) -> None:
    graph, video = lost
    graph.workspace.store.delete_prefix(keys.final_record(video))
    graph.workspace.store.delete_prefix(keys.manifest(video))
    outcome = recover(graph.instance, graph.workspace, video, leave_to_daemon)
    assert "a run of the daemon makes one" in outcome.note
    assert not outcome.failed
    (request,), _ = take_in_requests(graph.workspace, "", logging.getLogger())
    assert request.partition_key == video
    assert graph.run(["source_video", "segments"], video).success
    assert recover(graph.instance, graph.workspace, video).materializations == 6


def test_a_video_that_is_being_planned_is_not_planned_a_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    graph, session = Graph(tmp_path / "home"), Session(tmp_path / "home")
    video = graph.hand_in(make_clip(tmp_path / "clip.mp4"))
    assert graph.run(["source_video"], video).success
    tags = {VIDEO_TAG: video}
    session.instance.add_run(dg.DagsterRun(job_name="take_in", tags=tags, status=dg.DagsterRunStatus.STARTED))
    (outcome,) = recover_all(session, [video])
    assert "a run of the daemon makes one" in outcome.note
    assert graph.workspace.attempt(video) == 0


def test_without_manifest_and_source_it_is_said_what_to_do(lost: tuple[Graph, str]) -> None:
    graph, video = lost
    graph.workspace.store.delete_prefix(keys.manifest(video))
    graph.workspace.store.delete_prefix(graph.workspace.source(video).key)
    outcome = recover(graph.instance, graph.workspace, video)
    assert outcome.failed
    assert "hand the file in again" in outcome.note


def test_a_finished_video_whose_pieces_were_deleted_to_save_space_is_not_planned_again(lost: tuple[Graph, str]) -> None:
    graph, video = lost
    for folder in ("segments/", "depth/", "stereo/"):
        graph.workspace.store.delete_prefix(keys.video_folder(video) + folder)
    assert recover(graph.instance, graph.workspace, video).note == ""
    assert set(known_to(graph.instance)) == {(name, video) for name in ("source_video", "segments", "final_video")}


def test_a_video_that_was_only_handed_in_becomes_a_partition(tmp_path: Path) -> None:
    graph = Graph(tmp_path / "home")
    video = graph.hand_in(make_clip(tmp_path / "clip.mp4"))
    assert "not taken in yet" in recover(graph.instance, graph.workspace, video).note
    assert partitions_of(graph.instance) == ({video}, set())


def test_a_refused_video_is_told_with_its_reason(tmp_path: Path) -> None:
    graph = Graph(tmp_path / "home")
    video = graph.hand_in(make_clip(tmp_path / "clip.mp4"))
    submission = graph.workspace.submission(video)
    refusal = Refusal(video=video, name="clip.mp4", reason="no pictures", refused_at=submission.submitted_at)
    graph.workspace.save(refusal, keys.refusal(video))
    outcome = recover(graph.instance, graph.workspace, video)
    assert (outcome.note, outcome.failed) == ("refused: no pictures", False)


def test_the_command_recovers_all_videos_and_says_which_one_is_broken(
    lost: tuple[Graph, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    graph, video = lost
    broken = video[:-8] + "00000000"
    shutil.copytree(graph.home / "videos" / video, graph.home / "videos" / broken)
    (graph.home / "videos" / broken / "source.json").write_text("{", encoding="utf-8")
    monkeypatch.setenv("STEREO_SPOT_HOME", str(graph.home))
    monkeypatch.setenv("DAGSTER_HOME", "")
    assert videos_in_store(graph.workspace) == [broken, video]
    code = app(["recover", "--all"], standalone_mode=False)
    printed = capsys.readouterr().out
    assert code == 1
    assert video in printed
    assert broken in printed
