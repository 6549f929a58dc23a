"""The Dagster definitions, assembled here and nowhere else."""

from __future__ import annotations

import dagster as dg

from .assets import jobs
from .assets.depth_segments import depth_segments
from .assets.final_video import final_video
from .assets.segments import segments
from .assets.source_video import source_video
from .assets.stereo_segments import stereo_segments
from .assets.studio import Studio
from .sensors.drop_folder import drop_folder
from .sensors.fan_out import fan_out
from .sensors.join import join

defs = dg.Definitions(
    assets=[source_video, segments, depth_segments, stereo_segments, final_video],
    jobs=jobs.ALL,
    sensors=[drop_folder, fan_out, join],
    resources={"studio": Studio()},
    # A step in a process of its own costs more than a second, and models would be loaded for each.
    executor=dg.in_process_executor,
)
