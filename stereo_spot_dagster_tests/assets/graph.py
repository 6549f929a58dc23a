"""Runs parts of the asset graph in this process, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg

from stereo_spot_dagster.assets.depth_segments import depth_segments
from stereo_spot_dagster.assets.final_video import final_video
from stereo_spot_dagster.assets.partitions import SEGMENTS, VIDEO_TAG, VIDEOS, video_of_partition
from stereo_spot_dagster.assets.segments import segments
from stereo_spot_dagster.assets.source_video import source_video
from stereo_spot_dagster.assets.stereo_segments import stereo_segments
from stereo_spot_dagster.assets.studio import Studio
from stereo_spot_dagster.convert.intake import identify, submit
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.domain.settings import ConversionSettings
from stereo_spot_dagster.domain.video import Driver
from stereo_spot_dagster.storage.keys import segment_partition

GRAPH = [source_video, segments, depth_segments, stereo_segments, final_video]
FAST = ConversionSettings(preset="ultrafast", segment_frames=16)


@dataclass
class Graph:
    """The five assets over a home folder, with a Dagster instance of their own.

    Attributes:
        home: the folder.
        instance: forgotten afterwards.
    """

    home: Path
    instance: dg.DagsterInstance = field(default_factory=dg.DagsterInstance.ephemeral)

    @property
    def workspace(self) -> Workspace:
        return Workspace.local(self.home)

    def hand_in(self, clip: Path, settings: ConversionSettings = FAST, driver: Driver = Driver.SENSORS) -> str:
        """Submit a clip and return its key."""
        submission = identify(clip, settings, driver=driver)
        submit(self.workspace, submission)
        return submission.video

    def run(self, names: list[str], partition: str, *, by_hand: bool = False, **tags: str) -> dg.ExecuteInProcessResult:
        """Materialize some assets for one partition, as a sensor's run or as a person's."""
        self.instance.add_dynamic_partitions(str(VIDEOS.name), [video_of_partition(partition)])
        self.instance.add_dynamic_partitions(str(SEGMENTS.name), [partition])
        return dg.materialize(
            GRAPH,
            selection=dg.AssetSelection.assets(*names),
            partition_key=partition,
            instance=self.instance,
            resources={"studio": Studio(home=str(self.home))},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            tags=tags if by_hand else {VIDEO_TAG: video_of_partition(partition), **tags},
            raise_on_error=False,
        )

    def convert_all(self, video: str) -> None:
        """Everything but the joining."""
        assert self.run(["source_video", "segments"], video).success
        for segment in self.workspace.plan(video).segments:
            assert self.run(["depth_segments", "stereo_segments"], segment_partition(video, segment.index)).success


def failure_words(result: dg.ExecuteInProcessResult) -> str:
    """What a person reads in the UI about the step that failed."""
    failure = next(event for event in result.all_events if event.is_step_failure).step_failure_data
    said = failure.user_failure_data.description if failure.user_failure_data else None
    return said or (failure.error.message if failure.error else "")


def failed_checks(result: dg.ExecuteInProcessResult) -> set[str]:
    return {check.check_name for check in result.get_asset_check_evaluations() if not check.passed}


def materialized(result: dg.ExecuteInProcessResult) -> set[str]:
    return {event.asset_key.to_user_string() for event in result.get_asset_materialization_events() if event.asset_key}
