"""Time and memory of sensor ticks over a large store and database.

Run with ``python -m stereo_spot_dagster_tests.benchmarks.sensors [videos] [segments of each]``; 1000 200 is full size.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import tracemalloc
import uuid
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage
from sqlalchemy import text

from stereo_spot_dagster.assets.partitions import SEGMENTS, VIDEOS
from stereo_spot_dagster.assets.studio import Studio
from stereo_spot_dagster.convert.intake import identify, submit
from stereo_spot_dagster.convert.progress import video_progress
from stereo_spot_dagster.convert.render import Rendering
from stereo_spot_dagster.convert.steps import conversion_steps
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.domain.plan import Segment, SegmentPlan
from stereo_spot_dagster.domain.settings import Container, ConversionSettings
from stereo_spot_dagster.domain.video import Delivery, FinalRecord, SourceRecord, Submission
from stereo_spot_dagster.sensors.drop_folder import drop_folder
from stereo_spot_dagster.sensors.fan_out import fan_out
from stereo_spot_dagster.sensors.join import join
from stereo_spot_dagster.storage import keys

from ..e2e.clips import make_clip
from .report import Row, Table, print_table

# Videos that are half converted; each of their segments has had its run requested already.
OPEN = 20
TICKS = 5
_INSERT = "insert into {} ({}) values ({})"


@dataclass(frozen=True)
class Scale:
    """How much there is."""

    videos: int = 100
    segments: int = 100

    @classmethod
    def from_environment(cls) -> Scale:
        """``STEREO_SPOT_BENCH_VIDEOS`` videos of ``STEREO_SPOT_BENCH_SEGMENTS`` segments."""
        videos, segments = (os.environ.get(f"STEREO_SPOT_BENCH_{name}", "100") for name in ("VIDEOS", "SEGMENTS"))
        return cls(int(videos), int(segments))


def tables(folder: Path) -> list[Table]:
    """See :func:`run`."""
    return [Table("Sensor ticks", run())]


def run(scale: Scale | None = None) -> list[Row]:
    """First and slowest tick of each sensor, and the most memory that one holds."""
    scale = scale or Scale.from_environment()
    folder = Path(tempfile.mkdtemp(prefix="sensors-"))
    try:
        (folder / "dagster").mkdir()
        with dg.DagsterInstance.local_temp(str(folder / "dagster")) as instance:
            workspace = Workspace.local(folder / "home")
            build(workspace, instance, scale, folder)
            return measure(workspace, instance, scale)
    finally:
        shutil.rmtree(folder)


def measure(workspace: Workspace, instance: dg.DagsterInstance, scale: Scale) -> list[Row]:
    note = f"{scale.videos:,} videos, {scale.videos * scale.segments:,} segment partitions, {OPEN} open"
    studio = Studio(home=str(workspace.home))
    rows: list[Row] = []
    for sensor in (drop_folder, fan_out, join):
        times, busy, cursor = [], [], None
        for _ in range(TICKS):
            started, worked = time.perf_counter(), time.process_time()
            cursor = tick(sensor, instance, studio, cursor)
            times.append((time.perf_counter() - started) * 1000)
            busy.append((time.process_time() - worked) * 1000)
        tracemalloc.start()
        tick(sensor, instance, studio, None)
        peak = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        rows.append(Row(f"{sensor.name}: first tick, without a cursor", times[0], "ms", note))
        rows.append(Row(f"{sensor.name}: slowest tick", max(times), "ms", "budget: 2000 at 1,000 videos of 200"))
        rows.append(Row(f"{sensor.name}: slowest tick, processor time", max(busy), "ms"))
        rows.append(Row(f"{sensor.name}: peak memory of a tick", peak, "MB"))
    return rows


def tick(sensor: dg.SensorDefinition, instance: dg.DagsterInstance, studio: Studio, cursor: str | None) -> str | None:
    """One evaluation; returns the new cursor."""
    result = sensor(dg.build_sensor_context(instance=instance, cursor=cursor), studio=studio)
    assert isinstance(result, dg.SensorResult)
    return result.cursor


def build(workspace: Workspace, instance: dg.DagsterInstance, scale: Scale, folder: Path) -> None:
    """One converted video, multiplied: the first ``OPEN`` lack half of their segments, the others are finished."""
    clip = make_clip(folder / "clip.mp4", frames=8)
    submission = identify(clip, ConversionSettings(preset="ultrafast"))
    steps = list(conversion_steps(workspace, submission))
    source = next(step for step in steps if isinstance(step, SourceRecord))
    plan = next(step for step in steps if isinstance(step, SegmentPlan))
    workspace.store.delete_prefix(keys.video_folder(submission.video))
    names = [f"film-{number:08x}" for number in range(scale.videos)]
    for number, video in enumerate(names):
        _store(workspace, submission, source, plan, video, scale.segments, finished=number >= OPEN)
    instance.add_dynamic_partitions(str(VIDEOS.name), names)
    segments = [keys.segment_partition(video, index) for video in names for index in range(scale.segments)]
    for start in range(0, len(segments), 40_000):
        instance.add_dynamic_partitions(str(SEGMENTS.name), segments[start : start + 40_000])
    _insert_runs(workspace, instance, segments)
    _insert_events(instance, segments, names[OPEN:])


def _store(
    workspace: Workspace,
    submission: Submission,
    source: SourceRecord,
    plan: SegmentPlan,
    video: str,
    count: int,
    *,
    finished: bool,
) -> None:
    source = source.model_copy(update={"video": video, "key": keys.source(video, ".mp4")})
    plan = _long_plan(plan, video, count)
    submit(workspace, submission.model_copy(update={"video": video}))
    workspace.save(source, keys.source_record(video))
    workspace.save(plan, keys.manifest(video))
    rendering = Rendering(plan, source.settings)
    rendered = plan.segments if finished else plan.segments[: count // 2]
    files = [segment.cut_key for segment in plan.segments] + [plan.frames_key, source.key]
    files += [key for segment in rendered for key in rendering.files(segment).values()]
    for key in files:
        path = workspace.home / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    if finished:
        final = FinalRecord(
            video=video,
            render_fingerprint=rendering.fingerprint,
            layouts=source.settings.layouts,
            container=Container.MP4,
            outputs=(),
            finished_at=submission.submitted_at,
        )
        workspace.save(final, keys.final_record(video))
        workspace.save(Delivery(paths=("film.mp4",)), keys.delivery(video))


def _long_plan(plan: SegmentPlan, video: str, count: int) -> SegmentPlan:
    length = plan.segments[0].frames
    segments = []
    for index in range(count):
        segment = Segment(
            index=index,
            first_frame=index * length,
            frames=length,
            first_pts=index * length,
            end_pts=(index + 1) * length,
            scene_start=True,
            sha256="0" * 64,
        )
        segments.append(segment.model_copy(update={"cut_key": keys.cut(video, segment)}))
    update = {"video": video, "frames": count * length, "segments": tuple(segments)}
    return plan.model_copy(update=update | {"frames_key": keys.frame_table(video)})


def _insert_runs(workspace: Workspace, instance: dg.DagsterInstance, segments: list[str]) -> None:
    """A finished run for each segment, as the fan-out sensor asks for it; by SQL, as a call costs 5 ms."""
    suffixes: dict[str, str] = {}
    runs, tags = [], []
    for name in segments:
        video = keys.parse_segment_partition(name)[0]
        if video not in suffixes:
            progress = video_progress(workspace, video)
            suffixes[video] = f"{progress.fingerprint}:full-sbs:0"
        run_id = str(uuid.uuid4())
        own = {"dagster/partition": name, "dagster/run_key": f"{name}:{suffixes[video]}", "stereo_spot/video": video}
        body = dg.serialize_value(dg.DagsterRun(job_name="convert_segment", run_id=run_id, tags=own))
        runs.append({"i": run_id, "b": body, "p": name})
        tags += [{"i": run_id, "k": key, "v": value} for key, value in own.items()]
    columns = "run_id, pipeline_name, status, run_body, partition, create_timestamp, update_timestamp"
    values = ":i, 'convert_segment', 'FAILURE', :b, :p, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP"
    storage = instance.run_storage
    assert isinstance(storage, SqlRunStorage)
    with storage.connect() as connection:
        connection.execute(text(_INSERT.format("runs", columns, values)), runs)
        connection.execute(text(_INSERT.format("run_tags", "run_id, key, value", ":i, :k, :v")), tags)


def _insert_events(instance: dg.DagsterInstance, segments: list[str], finished: list[str]) -> None:
    """A materialization of each segment and each finished video, copied from one that Dagster wrote itself."""
    for asset, partitions in (("segments", finished[:1]), ("stereo_segments", segments), ("final_video", finished)):
        event = dg.AssetMaterialization(asset, partition=partitions[0], metadata={"preview": "x" * 30_000})
        instance.report_runless_asset_event(event)
        columns = "run_id, event, dagster_event_type, timestamp, asset_key, partition"
        storage = instance.event_log_storage
        assert isinstance(storage, SqlEventLogStorage)
        with storage.index_connection() as connection:
            select = f"select {columns} from event_logs where asset_key is not null order by id desc limit 1"
            row = dict(connection.execute(text(select)).mappings().one())
            row["event"] = row["event"].replace("x" * 30_000, "")
            rows = [row | {"partition": partition} for partition in partitions[1:]]
            values = ", ".join(f":{column}" for column in columns.split(", "))
            if rows:
                connection.execute(text(_INSERT.format("event_logs", columns, values)), rows)


def _scale(arguments: list[str]) -> Scale:
    return Scale(int(arguments[0]), int(arguments[1])) if len(arguments) > 1 else Scale.from_environment()


if __name__ == "__main__":
    print_table("Sensor ticks", run(_scale(sys.argv[1:])))
