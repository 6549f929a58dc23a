"""Drops files into the folder of a home and does, in this process, what the daemon does: sensors and their runs."""

from __future__ import annotations

import io
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

import dagster as dg
import pytest
from rich.console import Console

from stereo_spot_dagster.assets.studio import Studio
from stereo_spot_dagster.cli.manage import print_status
from stereo_spot_dagster.cli.session import Session
from stereo_spot_dagster.convert.progress import known_videos
from stereo_spot_dagster.sensors.drop_folder import drop_folder
from stereo_spot_dagster.sensors.fan_out import fan_out
from stereo_spot_dagster.sensors.join import join

from ..assets.graph import Graph, failure_words

_ASSETS = {
    "take_in": ["source_video", "segments"],
    "convert_segment": ["depth_segments", "stereo_segments"],
    "finish": ["final_video"],
}
_TICKS = 12
# Files for what each step prints would be three more processes for each.
_INSTANCE = """
telemetry: {enabled: false}
compute_logs: {module: dagster._core.storage.noop_compute_log_manager, class: NoOpComputeLogManager}
"""


@dataclass
class Outcome:
    """What became of a dropped file.

    Attributes:
        video: its key; empty if no sensor took it.
        failure: words of the run that failed.
        refused_after_s: how long the run that failed took.
        log: warnings in the logs of its runs.
        metadata: the warnings in its last materialization.
        status: what `stereo-spot status VIDEO` prints.
        materialized: names of its assets that were materialized.
    """

    video: str = ""
    failure: str = ""
    refused_after_s: float = 0.0
    log: list[str] = field(default_factory=list)
    metadata: str = ""
    status: str = ""
    materialized: set[str] = field(default_factory=set)


class DropFolder:
    """The sensors of a home, ticking on a clock of their own, and the runs that they ask for.

    Args:
        home: the home folder.
        patch: for the sensor's clock.
    """

    def __init__(self, home: Path, patch: pytest.MonkeyPatch) -> None:
        patch.delenv("DAGSTER_HOME", raising=False)
        self.folder = home / "drop"
        self.folder.mkdir(parents=True)
        self.done = home / "done"
        (home / "dagster").mkdir()
        (home / "dagster" / "dagster.yaml").write_text(_INSTANCE)
        self.session = Session(home)
        self.graph = Graph(home, self.session.instance)
        self._cursors: dict[str, str | None] = {}
        self._now = 1_000.0
        patch.setattr("stereo_spot_dagster.sensors.drop_folder.time.time", lambda: self._now)

    def carry_on(self) -> Outcome:
        """Tick until nothing more is asked for."""
        outcome, idle = Outcome(), 0
        for _ in range(_TICKS):
            requests = [(sensor, key) for sensor in (drop_folder, fan_out, join) for key in self._tick(sensor)]
            for sensor, partition in requests:
                self._run(outcome, sensor, partition)
            idle = 0 if requests else idle + 1
            if outcome.failure or (outcome.video and idle > 1):
                break
        outcome.video = next(iter(known_videos(self.graph.workspace)), "")
        outcome.status = self.status(outcome.video)
        return outcome

    def take(self) -> None:
        """Two looks into the folder: a file is seen, and has stayed the same."""
        self._tick(drop_folder)
        self._tick(drop_folder)

    def _tick(self, sensor: dg.SensorDefinition) -> list[str]:
        self._now += 6.0
        context = dg.build_sensor_context(instance=self.session.instance, cursor=self._cursors.get(sensor.name))
        result = sensor(context, studio=Studio(home=str(self.graph.home)))
        assert isinstance(result, dg.SensorResult)
        self._cursors[sensor.name] = result.cursor
        for request in result.dynamic_partitions_requests or []:
            self.session.instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
        return [str(request.partition_key) for request in result.run_requests or []]

    def _run(self, outcome: Outcome, sensor: dg.SensorDefinition, partition: str) -> None:
        assert sensor.job_name in _ASSETS
        started = time.monotonic()
        result = self.graph.run(_ASSETS[sensor.job_name], partition)
        outcome.video = outcome.video or partition
        entries = self.session.instance.all_logs(result.run_id)
        outcome.log += [entry.user_message for entry in entries if entry.level == logging.WARNING]
        for event in result.get_asset_materialization_events():
            made = event.materialization
            outcome.materialized.add(made.asset_key.to_user_string())
            if "warnings" in made.metadata:
                outcome.metadata = str(made.metadata["warnings"].value)
        if not result.success:
            outcome.failure, outcome.refused_after_s = failure_words(result), time.monotonic() - started

    def status(self, video: str) -> str:
        """What `stereo-spot status` prints, of one video or of all."""
        shown = io.StringIO()
        print_status(self.session, video or None, Console(file=shown, width=400))
        return shown.getvalue()
