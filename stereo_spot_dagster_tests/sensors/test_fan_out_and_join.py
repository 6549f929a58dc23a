"""Which runs the sensors ask for, and that they ask for each once."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from stereo_spot_dagster.assets.partitions import SEGMENTS
from stereo_spot_dagster.assets.studio import Studio
from stereo_spot_dagster.convert.finish import deliver
from stereo_spot_dagster.convert.progress import Stage, is_settled, video_progress
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.domain.settings import Container
from stereo_spot_dagster.domain.video import Attempt, Driver
from stereo_spot_dagster.sensors import fan_out as fan_out_module
from stereo_spot_dagster.sensors.fan_out import fan_out
from stereo_spot_dagster.sensors.join import join
from stereo_spot_dagster.sensors.walk import progress_of
from stereo_spot_dagster.storage import keys
from stereo_spot_dagster.storage.keys import segment_partition

from ..assets.graph import Graph
from ..e2e.clips import make_clip


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home with a video of three segments that is finished and delivered."""
    folder = tmp_path_factory.mktemp("converted")
    graph = Graph(folder / "home")
    video = graph.hand_in(make_clip(folder / "clip.mp4", frames=48))
    graph.convert_all(video)
    assert graph.run(["final_video"], video).success
    return graph.home, video


class Sensors:
    """The sensors over a copy of that home, with the runs that they asked for remembered as the daemon does."""

    def __init__(self, home: Path, video: str) -> None:
        self.graph = Graph(home)
        self.video = video
        self.cursors: dict[str, str | None] = {}

    @property
    def workspace(self) -> Workspace:
        return self.graph.workspace

    @property
    def instance(self) -> dg.DagsterInstance:
        return self.graph.instance

    def tick(self, sensor: dg.SensorDefinition) -> list[str]:
        """Partitions of the runs that are new, as the daemon would create them."""
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursors.get(sensor.name))
        result = sensor(context, studio=Studio(home=str(self.graph.home)))
        assert isinstance(result, dg.SensorResult)
        self.cursors[sensor.name] = result.cursor
        for request in result.dynamic_partitions_requests or []:
            self.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        return [str(request.partition_key) for request in result.run_requests or [] if self._create(request)]

    def _create(self, request: dg.RunRequest) -> bool:
        tags = {"dagster/run_key": str(request.run_key), "dagster/partition": str(request.partition_key)}
        if self.instance.get_runs(dg.RunsFilter(tags={"dagster/run_key": tags["dagster/run_key"]})):
            return False
        self.instance.add_run(dg.DagsterRun(job_name="any", tags=tags, status=dg.DagsterRunStatus.STARTED))
        return True

    def end_runs(self, status: dg.DagsterRunStatus = dg.DagsterRunStatus.FAILURE) -> None:
        for run in self.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
            kind = {"FAILURE": dg.DagsterEventType.RUN_FAILURE, "SUCCESS": dg.DagsterEventType.RUN_SUCCESS}
            event = dg.DagsterEvent(kind[status.value].value, run.job_name, message="ended by the test")
            self.instance.report_dagster_event(event, run.run_id)

    def forget_segments(self, *indexes: int) -> None:
        """Take converted segments, and what was joined of them, out of the store."""
        for stored in list(self.workspace.store.objects(f"{keys.video_folder(self.video)}stereo/")):
            if int(Path(stored.key).name.split("_")[0]) in indexes:
                self.workspace.store.delete_prefix(stored.key)
        self.forget_result()

    def forget_result(self) -> None:
        for key in (keys.final_record(self.video), keys.delivery(self.video)):
            self.workspace.store.delete_prefix(key)

    def report(self, asset: str, partition: str) -> None:
        self.instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=partition))


@pytest.fixture
def sensors(converted: tuple[Path, str], tmp_path: Path) -> Sensors:
    return Sensors(shutil.copytree(converted[0], tmp_path / "home"), converted[1])


def test_each_missing_segment_is_asked_for_once(sensors: Sensors) -> None:
    sensors.forget_segments(0, 2)
    names = [segment_partition(sensors.video, index) for index in (0, 2)]
    assert sensors.tick(fan_out) == names
    assert sensors.tick(fan_out) == []
    sensors.cursors.clear()
    assert sensors.tick(fan_out) == []


def test_all_segments_of_an_open_video_become_partitions(sensors: Sensors) -> None:
    sensors.forget_segments(2)
    sensors.tick(fan_out)
    assert len(sensors.instance.get_dynamic_partitions(str(SEGMENTS.name))) == 3


def test_a_failed_segment_stays_failed_until_another_attempt_is_asked_for(sensors: Sensors) -> None:
    sensors.forget_segments(1)
    assert len(sensors.tick(fan_out)) == 1
    sensors.end_runs()
    assert sensors.tick(fan_out) == []
    sensors.workspace.save(Attempt(number=1), keys.attempt(sensors.video))
    assert sensors.tick(fan_out) == [segment_partition(sensors.video, 1)]


def test_the_queue_is_not_filled_beyond_its_limit_and_goes_on_where_it_stopped(
    sensors: Sensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fan_out_module, "_QUEUE", 2)
    sensors.forget_segments(0, 1, 2)
    assert len(sensors.tick(fan_out)) == 2
    assert sensors.tick(fan_out) == []
    sensors.end_runs()
    assert sensors.tick(fan_out) == [segment_partition(sensors.video, 2)]


def test_a_wiped_database_asks_only_for_what_is_missing_in_the_store(sensors: Sensors) -> None:
    sensors.forget_segments(1)
    sensors.tick(fan_out)
    sensors.graph.instance = dg.DagsterInstance.ephemeral()
    assert sensors.tick(fan_out) == [segment_partition(sensors.video, 1)]


def test_a_video_converted_by_a_command_is_left_to_it(sensors: Sensors) -> None:
    sensors.forget_segments(1)
    submission = sensors.workspace.submission(sensors.video).model_copy(update={"driver": Driver.INLINE})
    sensors.workspace.save(submission, keys.submission(sensors.video))
    assert sensors.tick(fan_out) == []
    assert sensors.tick(join) == []


def test_a_complete_video_is_joined_once(sensors: Sensors) -> None:
    sensors.forget_result()
    assert sensors.tick(join) == [sensors.video]
    assert sensors.tick(join) == []
    sensors.end_runs()
    sensors.cursors.clear()
    assert sensors.tick(join) == []


def test_a_video_is_joined_only_after_the_runs_of_its_segments_have_ended(sensors: Sensors) -> None:
    sensors.forget_segments(1)
    sensors.tick(fan_out)
    sensors.graph.run(["depth_segments", "stereo_segments"], segment_partition(sensors.video, 1))
    assert sensors.tick(join) == []
    sensors.end_runs(dg.DagsterRunStatus.SUCCESS)
    assert sensors.tick(join) == [sensors.video]


def test_a_rerun_segment_of_a_finished_video_is_joined_again_once(sensors: Sensors) -> None:
    sensors.report("final_video", sensors.video)
    assert sensors.tick(join) == []
    sensors.report("stereo_segments", segment_partition(sensors.video, 1))
    assert sensors.tick(join) == [sensors.video]
    assert sensors.tick(join) == []
    sensors.report("final_video", sensors.video)
    sensors.end_runs(dg.DagsterRunStatus.SUCCESS)
    assert sensors.tick(join) == []


def test_several_rerun_segments_are_joined_after_the_last(sensors: Sensors) -> None:
    sensors.report("final_video", sensors.video)
    sensors.report("stereo_segments", segment_partition(sensors.video, 0))
    request = dg.RunRequest(run_key="by hand", partition_key=segment_partition(sensors.video, 1))
    sensors._create(request)
    assert sensors.tick(join) == []
    sensors.end_runs()
    assert sensors.tick(join) == [sensors.video]


def test_a_video_whose_join_ends_while_the_sensor_looks_is_not_joined_again(
    sensors: Sensors, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensors.report("stereo_segments", segment_partition(sensors.video, 1))
    sensors._create(dg.RunRequest(run_key="its join", partition_key=sensors.video))

    def ended_meanwhile(*arguments: Any) -> Any:
        sensors.report("final_video", sensors.video)
        sensors.end_runs(dg.DagsterRunStatus.SUCCESS)
        return progress_of(*arguments)

    monkeypatch.setattr("stereo_spot_dagster.sensors.join.progress_of", ended_meanwhile)
    assert sensors.tick(join) == []
    monkeypatch.undo()
    assert sensors.tick(join) == []


def test_going_back_to_earlier_settings_is_joined_again(sensors: Sensors) -> None:
    workspace, video = sensors.workspace, sensors.video
    plain = workspace.source(video)
    matroska = plain.settings.model_copy(update={"container": Container.MKV})
    for settings in (matroska, plain.settings, matroska):
        workspace.save(plain.model_copy(update={"settings": settings}), keys.source_record(video))
        assert sensors.tick(join) == [video]
        assert sensors.graph.run(["final_video"], video).success
        sensors.end_runs(dg.DagsterRunStatus.SUCCESS)
        assert video_progress(workspace, video).stage is Stage.FINISHED


def test_a_result_that_was_joined_but_not_delivered_is_finished_again(sensors: Sensors) -> None:
    sensors.workspace.store.delete_prefix(keys.delivery(sensors.video))
    assert sensors.tick(join) == [sensors.video]


def test_a_finished_video_is_settled_and_one_with_newer_records_is_not(sensors: Sensors) -> None:
    workspace, video = sensors.workspace, sensors.video
    final = workspace.final(video)
    assert final is not None
    deliver(workspace, video, final.outputs, workspace.home / "done")
    assert is_settled(workspace, video)
    workspace.save(workspace.source(video), keys.source_record(video))
    assert not is_settled(workspace, video)
