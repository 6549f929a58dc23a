"""Sensor: files in the drop folder, and videos handed in otherwise, are taken in."""

import time

import dagster as dg

from ..assets.jobs import take_in_job
from ..assets.studio import Studio
from ..domain.errors import StereoSpotError, printable
from ..storage import keys
from .dropped import FolderPresets
from .dropped_files import Memory, dropped_files
from .hand_in import hand_in, registration, take_in_requests

# Identifying a file reads up to 64 MB of it; the daemon gives a tick a minute.
_HAND_IN_S = 10.0


@dg.sensor(
    name="drop_folder",
    job=take_in_job,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes in files from the drop folder when they are complete, and videos handed in by other ways.",
)
def drop_folder(context: dg.SensorEvaluationContext, studio: Studio) -> dg.SensorResult:
    workspace, memory = studio.workspace, Memory.parse(context.cursor)
    folder, presets = workspace.home / keys.DROP, FolderPresets(workspace.home / "presets")
    folder.mkdir(parents=True, exist_ok=True)
    files = dropped_files(folder)
    memory.keep_only(files)
    started = time.monotonic()
    for file in files:
        if time.monotonic() - started < _HAND_IN_S and memory.is_ready(file, time.time()):
            try:
                context.log.info(printable(hand_in(workspace, file, presets)))
                memory.mark_done(file)
            except (StereoSpotError, OSError) as error:
                # No right to read it, or it was moved away: it is looked at again, as nothing was written down.
                context.log.warning(f"{printable(file.path.name)}: not taken in: {error}")
    requests, memory.video = take_in_requests(workspace, memory.video, context.log)
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=registration(context.instance, workspace),
        cursor=str(memory),
    )
