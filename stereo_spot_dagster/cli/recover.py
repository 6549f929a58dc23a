"""``stereo-spot recover``: what Dagster's database has lost about videos, told to it again from the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg
from rich.table import Table
from rich.text import Text

from ..assets import depth_segments, final_video, segments, source_video, stereo_segments
from ..assets.partitions import SEGMENTS, VIDEOS
from ..assets.studio import Studio
from ..convert.depth import existing_depth
from ..convert.finish import FinishedVideo, delivered_places, missing_segments
from ..convert.planning import existing_plan, make_plan
from ..convert.progress import is_settled, known_videos
from ..convert.render import RenderedSegment, Rendering
from ..convert.workspace import Workspace
from ..domain.errors import StereoSpotError
from ..domain.plan import Segment, SegmentPlan
from ..domain.video import Attempt, Driver, OutputFile, SourceRecord
from ..storage import keys
from ..storage.keys import segment_partition
from .session import Session

_VERSION_TAG = "dagster/data_version"
# Partitions in one query: a database takes some ten thousand parameters.
_LOOKUP = 500
# What only the process that did the work knew; the store does not keep it.
_LOST_MACHINE = ("machine",)
_LOST_WORK = (*_LOST_MACHINE, "seconds_of_work")
_LOST_RENDERING = (*_LOST_WORK, "preview", "disparity", "frames_per_second", "device", "peak_gpu_memory_mb", "notes")

# Makes a lost plan again; None if it is left to somebody else.
Planner = Callable[[Workspace, SourceRecord], SegmentPlan | None]


@dataclass(frozen=True)
class Recovered:
    """What was told to Dagster about a video.

    Attributes:
        video: its key.
        partitions: how many partitions were registered.
        materializations: how many events were logged.
        note: what else was done, or why something could not be.
        failed: True if the video needs a person.
    """

    video: str
    partitions: int = 0
    materializations: int = 0
    note: str = ""
    failed: bool = False


@dataclass
class _Log:
    """Writes materializations of assets, each only if the database has no such one."""

    instance: dg.DagsterInstance
    written: int = field(default=0, init=False)

    def versions(self, asset: str, partitions: Sequence[str]) -> dict[str, str]:
        """Data version of the newest materialization of each partition that has one."""
        found: dict[str, str] = {}
        for start in range(0, len(partitions), _LOOKUP):
            tags = self.instance.event_log_storage.get_latest_tags_by_partition(
                dg.AssetKey(asset),
                dg.DagsterEventType.ASSET_MATERIALIZATION,
                [_VERSION_TAG],
                asset_partitions=list(partitions[start : start + _LOOKUP]),
            )
            found |= {partition: values.get(_VERSION_TAG, "") for partition, values in tags.items()}
        return found

    def write(self, made: dg.MaterializeResult, partition: str) -> None:
        assert made.asset_key is not None
        metadata = dict(made.metadata or {}) | {"recovered": f"from the store, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"}
        tags = {_VERSION_TAG: made.data_version.value} if made.data_version else None
        self.instance.report_runless_asset_event(
            dg.AssetMaterialization(asset_key=made.asset_key, partition=partition, metadata=metadata, tags=tags)
        )
        self.written += 1

    def write_new(self, made: dg.MaterializeResult, partition: str, known: dict[str, str]) -> None:
        """Write it unless its version is the newest that is known of the partition."""
        version = made.data_version.value if made.data_version else ""
        if known.get(partition) != version:
            self.write(made, partition)


def plan_here(workspace: Workspace, source: SourceRecord) -> SegmentPlan:
    """Plan a video in this process.

    Raises:
        StereoSpotError: it cannot be planned, which says why.
    """
    return make_plan(workspace, source)


def leave_to_daemon(workspace: Workspace, source: SourceRecord) -> None:
    """Let the daemon start a run that plans a video: a worker may know of GPUs that are not where a person types."""
    number = workspace.attempt(source.video) + 1
    workspace.save(Attempt(number=number), keys.attempt(source.video))


def leave_to_others(workspace: Workspace, source: SourceRecord) -> None:
    """Plan nothing: a run or a command is at the video already."""


def recover(instance: dg.DagsterInstance, workspace: Workspace, video: str, planner: Planner = plan_here) -> Recovered:
    """Register a video's partitions and log the materializations that the store proves; what is known stays.

    A lost manifest is made again from the source: the same source and settings give the same plan, so depth and
    segments that were made by the lost one are found again.

    Args:
        instance: whose database is completed.
        workspace: the store.
        video: the video's key.
        planner: :func:`plan_here`, :func:`leave_to_daemon` or :func:`leave_to_others`.

    Raises:
        UnknownVideo: it was never submitted.
        StereoSpotError: its plan is lost and cannot be made again.
    """
    submission = workspace.submission(video)
    refusal = workspace.refusal(video)
    if refusal and not workspace.store.exists(keys.source_record(video)):
        # Of what was refused for its settings alone there never was a partition.
        count = 0 if refusal.wrong_settings else _register(instance, VIDEOS, [video])
        return Recovered(video, count, note=f"refused: {refusal.reason}")
    partitions = _register(instance, VIDEOS, [video])
    if not workspace.store.exists(keys.source_record(video)):
        note = "not taken in yet: "
        note += "the daemon does that" if submission.driver is Driver.SENSORS else f"run: stereo-spot retry {video}"
        return Recovered(video, partitions, note=note)
    source, log = workspace.source(video), _Log(instance)
    _recover_source(log, workspace, source)
    plan, note, failed = _plan(workspace, source, planner)
    if plan is None:
        return Recovered(video, partitions, log.written, note, failed)
    names = [segment_partition(video, segment.index) for segment in plan.segments]
    partitions += _register(instance, SEGMENTS, names)
    planned = _without(segments.materialization(plan), _LOST_MACHINE)
    log.write_new(planned, video, log.versions(segments.NAME, [video]))
    before = log.written
    _recover_segments(log, workspace, source, plan)
    # An older event than that of a segment would make the sensor join the video once more.
    _recover_final(log, workspace, source, plan, anyway=log.written > before)
    return Recovered(video, partitions, log.written, note)


def recover_all(session: Session, videos: Iterable[str]) -> list[Recovered]:
    """Recover videos one after the other; one that cannot be recovered does not keep the others from it."""
    outcomes = []
    for video in videos:
        try:
            outcomes.append(recover(session.instance, session.workspace, video, _planner(session, video)))
        except (StereoSpotError, OSError, ValueError) as error:
            outcomes.append(Recovered(video, note=str(error), failed=True))
    return outcomes


def _planner(session: Session, video: str) -> Planner:
    """Who plans a video whose plan is lost."""
    if session.active_runs(video) or session.is_locked(video):
        return leave_to_others
    by_sensors = session.workspace.submission(video).driver is Driver.SENSORS
    return leave_to_daemon if by_sensors and session.daemon_is_alive() else plan_here


def videos_in_store(workspace: Workspace) -> list[str]:
    """Keys of all videos that were handed in whole."""
    return [video for video in known_videos(workspace) if workspace.has_submission(video)]


def table(outcomes: Sequence[Recovered]) -> Table:
    """One row for each video."""
    shown = Table("video", "partitions", "materializations", "note")
    for outcome in outcomes:
        note = Text(outcome.note, "red" if outcome.failed else "", overflow="fold")
        shown.add_row(Text(outcome.video), str(outcome.partitions), str(outcome.materializations), note)
    return shown


def _register(instance: dg.DagsterInstance, kind: dg.DynamicPartitionsDefinition, names: list[str]) -> int:
    """How many of the partitions were not known."""
    known = set(instance.get_dynamic_partitions(str(kind.name)))
    new = [name for name in names if name not in known]
    if new:
        instance.add_dynamic_partitions(str(kind.name), new)
    return len(new)


def _plan(workspace: Workspace, source: SourceRecord, planner: Planner) -> tuple[SegmentPlan | None, str, bool]:
    """(plan, what was done about it, whether a person has to do something); no plan where there is none yet."""
    plan = existing_plan(workspace, source)
    if plan:
        return plan, "", False
    if is_settled(workspace, source.video) and workspace.store.exists(keys.manifest(source.video)):
        # Of a finished video the pieces may have been deleted to save space; nothing needs them.
        return workspace.plan(source.video), "", False
    refusal = workspace.refusal(source.video)
    if refusal:
        return None, f"refused: {refusal.reason}", False
    if not workspace.store.exists(source.key):
        return None, "its manifest and its source are lost: hand the file in again", True
    plan = planner(workspace, source)
    if plan is None:
        return None, "no whole plan: a run of the daemon makes one; then run this again", False
    return plan, "no whole plan: planned anew from the source, as a rerun of segments does", False


def _recover_source(log: _Log, workspace: Workspace, source: SourceRecord) -> None:
    if workspace.store.exists(source.key):
        made = source_video.materialization(_studio(workspace), source)
        log.write_new(_without(made, _LOST_MACHINE), source.video, log.versions(source_video.NAME, [source.video]))


def _recover_segments(log: _Log, workspace: Workspace, source: SourceRecord, plan: SegmentPlan) -> None:
    studio, missing = _studio(workspace), set(missing_segments(workspace, source, plan))
    names = [segment_partition(plan.video, segment.index) for segment in plan.segments]
    depths, stereos = (log.versions(asset.NAME, names) for asset in (depth_segments, stereo_segments))
    for segment, name in zip(plan.segments, names, strict=True):
        record = existing_depth(workspace, plan, segment)
        if record:
            made = depth_segments.materialization(studio, record, b"")
            log.write_new(_without(made, _LOST_MACHINE), name, depths)
        if segment.index not in missing:
            rendered = _rendered(workspace, source, plan, segment)
            made = stereo_segments.materialization(studio, source, plan, segment, rendered)
            log.write_new(_without(made, _LOST_RENDERING), name, stereos)


def _recover_final(log: _Log, workspace: Workspace, source: SourceRecord, plan: SegmentPlan, *, anyway: bool) -> None:
    final = workspace.final(source.video)
    if final is None or workspace.store.missing(output.key for output in final.outputs):
        return
    if not anyway and final.finished_at.timestamp() <= _newest_s(log.instance, final_video.NAME, source.video):
        return
    finished = FinishedVideo(final.outputs, (), final.container, final.warnings, 0.0)
    places = delivered_places(workspace, source.video)
    made = final_video.materialization(_studio(workspace), source, plan, finished, places)
    log.write(_without(made, _LOST_WORK), final.video)


def _rendered(workspace: Workspace, source: SourceRecord, plan: SegmentPlan, segment: Segment) -> RenderedSegment:
    """What the store still knows of a rendered segment: its files."""
    files = Rendering(plan, source.settings).files(segment)
    found = {place: workspace.store.stat(key) for place, key in files.items()}
    outputs = tuple(
        OutputFile(layout=layout, view=view, key=stored.key, size_bytes=stored.size_bytes)
        for (layout, view), stored in found.items()
        if stored
    )
    return RenderedSegment(outputs, (), b"", b"", 0.0, 0.0, "", 0.0, ())


def _without(made: dg.MaterializeResult, lost: Sequence[str]) -> dg.MaterializeResult:
    """``made`` with only such metadata as is true."""
    known = {name: value for name, value in (made.metadata or {}).items() if name not in lost}
    return dg.MaterializeResult(asset_key=made.asset_key, data_version=made.data_version, metadata=known)


def _newest_s(instance: dg.DagsterInstance, asset: str, partition: str) -> float:
    """POSIX time of the newest materialization; 0 if there is none."""
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[partition])
    records = instance.fetch_materializations(wanted, limit=1).records
    return records[0].timestamp if records else 0.0


def _studio(workspace: Workspace) -> Studio:
    return Studio(home=str(workspace.home))
