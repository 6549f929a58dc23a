"""Sensor: videos uploaded below ``drop/`` of the bucket, and videos handed in otherwise, are taken in."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

import dagster as dg
from botocore.exceptions import BotoCoreError, ClientError

from ..assets.jobs import take_in_job
from ..assets.partitions import VIDEO_TAG
from ..assets.studio import Studio
from ..convert.workspace import Workspace
from ..domain.errors import InvalidSettings, StereoSpotError
from ..storage import keys
from ..storage.base import StoredObject
from ..storage.s3 import S3Store
from ..storage.s3_objects import FoundObject, find_object, objects_behind
from .drop_messages import MalformedMessage, Upload, parse_message
from .drop_queue import DropQueue, Message
from .dropped import StorePresets
from .dropped_objects import DropName, DroppedObject
from .hand_in import hand_in, is_refused_before_change, registration, take_in_requests
from .sweep import BucketMemory

# A sidecar may be uploaded after its video. Of a file sent in parts S3 tells when that began, so what counts is also
# when its message was sent.
SETTLE_S = 10.0
# The daemon gives a tick a minute, and submitting a run costs 75 to 220 ms of the next one.
_MESSAGES_S, _LISTING_S = 10.0, 10.0
_VIDEOS_A_TICK = 40
# How often the bucket is listed to find what no message told of; without a queue nothing tells.
_SWEEP_S, _SWEEP_WITHOUT_QUEUE_S = 600.0, 30.0


@dg.sensor(
    name="drop_bucket",
    job=take_in_job,
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes in what is uploaded below drop/ of the bucket, and videos handed in by other ways.",
)
def drop_bucket(context: dg.SensorEvaluationContext, studio: Studio) -> dg.SensorResult:
    workspace, memory = studio.workspace, BucketMemory.parse(context.cursor)
    if not isinstance(workspace.store, S3Store):
        raise InvalidSettings("STEREO_SPOT_STORE", "it names no bucket", "Restart with one, or without this sensor")
    desk = Desk(workspace, workspace.store, context.instance, context.log, memory)
    queue = DropQueue.from_environment()
    if queue:
        drain(queue, desk)
    sweep(desk, _SWEEP_S if queue else _SWEEP_WITHOUT_QUEUE_S)
    requests, memory.video = take_in_requests(workspace, memory.video, context.log, desk.videos)
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=registration(context.instance, workspace),
        cursor=str(memory),
    )


@dataclass
class Desk:
    """Where objects are looked at during one tick.

    Attributes:
        workspace, store: where submissions are written.
        instance: knows which runs there are.
        log: of the sensor.
        memory: what was dealt with before.
        videos: that this tick has to request a run of.
    """

    workspace: Workspace
    store: S3Store
    instance: dg.DagsterInstance
    log: logging.Logger
    memory: BucketMemory
    videos: list[str] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        return len(self.videos) >= _VIDEOS_A_TICK

    def look(self, key: str, version: str = "") -> bool:
        """Hand a video in, or those that a sidecar goes with.

        Args:
            key: of the store.
            version: of the object; empty for the present one.

        Returns:
            True if nothing is left to be done for it: its submission was stored by an earlier tick, and so was what
            that tick requested.

        Raises:
            StereoSpotError: it could not be looked at now.
        """
        where = DropName.parse(key)
        if where is None:
            return True
        if not where.is_video:
            videos = [self.look(video) for video in where.videos_beside(self.store)]
            return all(videos)
        found = find_object(self.store.settings, self.store.bucket, self.store.prefix + key, version)
        if found is None or not found.version.size_bytes:
            return True
        if _is_fresh(found.modified_s):
            return False
        done = self._take(DroppedObject(self.store, where, found))
        self.memory.mark(_listed(key, found))
        return done

    def _take(self, dropped: DroppedObject) -> bool:
        video, workspace = dropped.video, self.workspace
        known = workspace.has_submission(video)
        if known and workspace.submission(video).identity != dropped.found.version.identity:
            # Eight digits: of ten thousand clips whose names begin alike, two have the same in one studio of a hundred.
            raise StereoSpotError(dropped.name, f"another video has its key, {video}", "Drop it under another name")
        if not known or is_refused_before_change(workspace, video, dropped):
            self.log.info(hand_in(workspace, dropped, StorePresets(self.store)))
        elif self._is_carried_on(video):
            return True
        self.videos.append(video)
        return False

    def _is_carried_on(self, video: str) -> bool:
        """Whether its run was stored, or what comes of one: a tick's requests are stored after it has returned."""
        if any(self.store.exists(key(video)) for key in (keys.source_record, keys.refusal)):
            return True
        return self.instance.get_runs_count(dg.RunsFilter(tags={VIDEO_TAG: video})) > 0


def drain(queue: DropQueue, desk: Desk) -> None:
    """Look at what the queue tells of.

    A message is deleted when it comes for the second time. By the first time its video is handed in and a run
    requested; but Dagster stores requests after the tick, which may be killed before. So the message stays, hidden for
    half a minute, and is deleted by a tick that finds the submission in the store and the run, or what it has made, in
    Dagster. What cannot be read, or used for five times, the queue itself sets aside.
    """
    started = time.monotonic()
    try:
        for messages in queue.batches():
            queue.delete([message for message in messages if _is_used_up(message, desk)])
            if desk.is_full or time.monotonic() - started > _MESSAGES_S:
                return
    except (BotoCoreError, ClientError) as error:
        # The listing finds everything too, only later.
        desk.log.warning(f"The queue of uploads cannot be used: {error}")


def sweep(desk: Desk, interval_s: float) -> None:
    """Go on listing what lies below ``drop/``: alone, this finds everything as well."""
    memory, started = desk.memory, time.monotonic()
    if not memory.sweep.is_due(time.time(), interval_s):
        return
    memory.sweep = memory.sweep.begun(time.time())
    try:
        for stored in objects_behind(desk.store, keys.DROP, memory.sweep.after):
            if desk.is_full or time.monotonic() - started > _LISTING_S:
                return
            if stored.size_bytes and memory.sweep.looks_at(stored) and not memory.is_marked(stored):
                _look_at_listed(stored, desk)
            memory.sweep = memory.sweep.passed(stored.key)
    except StereoSpotError as error:
        desk.log.warning(f"What lies in the bucket cannot be listed: {error}")
        return
    memory.sweep = memory.sweep.ended(time.time(), interval_s)
    memory.forget_old()


def _look_at_listed(stored: StoredObject, desk: Desk) -> None:
    try:
        desk.look(stored.key)
    except (StereoSpotError, ValueError) as error:
        desk.log.warning(f"{desk.store.locate(stored.key)}: not taken in: {error}")
        return
    where = DropName.parse(stored.key)
    if where is None or not where.is_video:
        desk.memory.mark(stored)


def _is_fresh(time_s: float) -> bool:
    """What comes from the future is not: then the clock here is wrong."""
    return 0 <= time.time() - time_s < SETTLE_S


def _is_used_up(message: Message, desk: Desk) -> bool:
    if _is_fresh(message.sent_s):
        return False
    try:
        done = [_is_done(upload, desk) for upload in parse_message(message.body)]
        return all(done)
    except MalformedMessage as error:
        desk.log.warning(f"Message {message.identity} cannot be read and is left in the queue: {error}")
    except (StereoSpotError, ValueError) as error:
        desk.log.warning(f"Message {message.identity} is left in the queue: {error}")
    return False


def _is_done(upload: Upload, desk: Desk) -> bool:
    store = desk.store
    if upload.bucket != store.bucket or not upload.key.startswith(store.prefix):
        return True
    return desk.look(upload.key.removeprefix(store.prefix), upload.version)


def _listed(key: str, found: FoundObject) -> StoredObject:
    """As a listing shows it."""
    return StoredObject(key, found.version.size_bytes, found.modified_s, found.version.etag)
