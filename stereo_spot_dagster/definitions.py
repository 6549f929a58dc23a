"""The Dagster definitions, assembled here and nowhere else."""

from __future__ import annotations

import os

import dagster as dg

from .assets import jobs
from .assets.depth_segments import depth_segments
from .assets.final_video import final_video
from .assets.segments import segments
from .assets.source_video import source_video
from .assets.stereo_segments import stereo_segments
from .assets.studio import Studio
from .convert.workspace import home_folder
from .sensors.alerts import failed_video_alert, stuck_video_alert
from .sensors.drop_folder import drop_folder
from .sensors.fan_out import fan_out
from .sensors.join import join
from .sensors.lost_starts import lost_starts
from .storage.opening import VARIABLE, open_store


def _sensors_of_the_place() -> list[dg.SensorDefinition]:
    """What a single machine or a fleet needs alone.

    Among it the sensor that looks where files are dropped: a second one, of the other kind, would start each run twice,
    as Dagster tells runs of the same key apart by their sensors.
    """
    where = os.environ.get(VARIABLE, "")
    if not where.startswith("s3://"):
        return [drop_folder]
    # Says in words what is wrong with the bucket's name or missing on this machine, before an import does.
    open_store(where, home_folder())
    from .sensors.drop_bucket import drop_bucket

    return [drop_bucket, lost_starts]


defs = dg.Definitions(
    assets=[source_video, segments, depth_segments, stereo_segments, final_video],
    jobs=jobs.ALL,
    sensors=[*_sensors_of_the_place(), fan_out, join, failed_video_alert, stuck_video_alert],
    resources={"studio": Studio()},
    # A step in a process of its own costs more than a second, and models would be loaded for each.
    executor=dg.in_process_executor,
)
