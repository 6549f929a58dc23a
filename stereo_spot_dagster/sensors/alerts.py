"""Sensors: people are told of videos that failed and of videos at which nothing happens any more.

Messages go to the addresses in ``STEREO_SPOT_ALERT_URLS``, separated by commas or spaces: URLs as the library apprise
has them (``json://host/path`` for a webhook, ``mailto://...``, ``slack://...``; https://appriseit.com/services), or the
ARN of an SNS topic, which is published to with this process's own rights. Without that variable nobody is told.
"""

import importlib
import json
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import dagster as dg

from ..assets.partitions import PARTITION_TAG, VIDEO_TAG, video_of_partition
from ..assets.studio import Studio
from ..convert.progress import Stage, VideoProgress
from ..convert.workspace import Workspace
from ..domain.errors import InvalidSettings, printable
from ..domain.video import Driver
from ..storage import keys
from .join import videos_worked_on
from .walk import Walk, progress_of

ADDRESSES = "STEREO_SPOT_ALERT_URLS"
STUCK_MINUTES = "STEREO_SPOT_ALERT_STUCK_MINUTES"

_DEFAULT_STUCK_MINUTES = 60.0
# The daemon ticks once a minute; after a longer pause nothing can be said about what happened in it.
_PAUSE_S = 600.0
_REASON_LENGTH = 1500
_WILL_RETRY_TAG = "dagster/will_retry"
_BETWEEN = re.compile(r"[\s,]+(?=[a-z][a-z0-9+.-]*://|arn:)", re.IGNORECASE)
_TOPIC = re.compile(r"^arn:aws[a-z-]*:sns:(?P<region>[a-z0-9-]+):\d+:[\w.-]+$")


@dataclass(frozen=True)
class Alert:
    """A message about one video for one cause.

    Attributes:
        video: its key.
        cause: names the cause, so that it is told once: letters, digits and dashes.
        title: a line of plain text.
        body: plain text: the video's name, the reason, and the command that helps.
    """

    video: str
    cause: str
    title: str
    body: str


@dg.run_failure_sensor(
    name="failed_video_alert",
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells people once for each video that a run of it failed, after its last retry.",
)
def failed_video_alert(context: dg.RunFailureSensorContext, studio: Studio) -> dg.SkipReason | None:
    if not addresses():
        return dg.SkipReason(f"{ADDRESSES} is not set: nobody is told")
    run = context.dagster_run
    if run.tags.get(_WILL_RETRY_TAG) == "true":
        return dg.SkipReason("the run is tried again")
    with _harmless(context.log):
        workspace = studio.workspace
        video = run.tags.get(VIDEO_TAG) or video_of_partition(run.tags.get(PARTITION_TAG, ""))
        if video and workspace.has_submission(video):
            step, reason = _failure(context)
            part = "segments" if run.tags.get(PARTITION_TAG, video) != video else step
            tell_once(workspace, failed_alert(workspace, video, part, step, reason), context.log)
    return None


@dataclass(frozen=True)
class Watch:
    """The cursor of the sensor for stuck videos.

    Attributes:
        video: the video that was looked at last.
        since_s: POSIX time since when this sensor has been running without a pause.
        last_s: POSIX time of the last tick.
    """

    video: str = ""
    since_s: float = 0.0
    last_s: float = 0.0

    @classmethod
    def parse(cls, cursor: str | None, now_s: float) -> "Watch":
        """What the cursor says; a watch that begins now where there is none, or after a pause."""
        try:
            stored = json.loads(cursor or "{}")
            watch = cls(str(stored["video"]), float(stored["since_s"]), float(stored["last_s"]))
        except (ValueError, TypeError, KeyError):
            return cls("", now_s, now_s)
        # While the daemon was off nothing could happen: that is nobody's fault.
        return watch if now_s - watch.last_s < _PAUSE_S else cls(watch.video, now_s, now_s)

    def __str__(self) -> str:
        return json.dumps(asdict(self))


@dg.sensor(
    name="stuck_video_alert",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells people of an unfinished video at which nothing has happened for long, with no run to come.",
)
def stuck_video_alert(context: dg.SensorEvaluationContext, studio: Studio) -> dg.SensorResult:
    now_s = time.time()
    watch = Watch.parse(context.cursor, now_s)
    if not addresses():
        reason = dg.SkipReason(f"{ADDRESSES} is not set: nobody is told")
        return dg.SensorResult(skip_reason=reason, cursor=str(Watch(watch.video, watch.since_s, now_s)))
    reached, told = watch.video, 0
    with _harmless(context.log):
        workspace, limit_s = studio.workspace, stuck_after_s()
        busy = videos_worked_on(context.instance)
        walk = Walk(workspace, watch.video)
        for video in walk:
            progress = progress_of(workspace, video, context.log) if video not in busy else None
            if progress is None or not _is_open(progress) or is_failure_told(workspace, video):
                continue
            changed_s = max(watch.since_s, last_change_s(context.instance, workspace, video))
            if now_s - changed_s > limit_s:
                told += tell_once(workspace, stuck_alert(workspace, progress, changed_s, now_s), context.log)
        reached = walk.reached
    reason = dg.SkipReason(f"{told} stuck videos were told of" if told else "no stuck video that was not told of")
    return dg.SensorResult(skip_reason=reason, cursor=str(Watch(reached, watch.since_s, now_s)))


def addresses() -> list[str]:
    """Where messages go; they may hold passwords."""
    return [part for part in _BETWEEN.split(os.environ.get(ADDRESSES, "").strip(" ,\n\t")) if part]


def stuck_after_s() -> float:
    """Seconds without any change after which a video counts as stuck.

    Raises:
        InvalidSettings: the variable is no positive number.
    """
    written = os.environ.get(STUCK_MINUTES) or str(_DEFAULT_STUCK_MINUTES)
    try:
        minutes = float(written)
    except ValueError:
        minutes = 0.0
    if not minutes > 0:
        raise InvalidSettings(STUCK_MINUTES, f"'{written}' is no number of minutes", "Write it like 60, or unset it")
    return minutes * 60


def failed_alert(workspace: Workspace, video: str, part: str, step: str, reason: str) -> Alert:
    """The message about a failed run.

    Args:
        workspace: the store.
        video: the video's key; it was submitted.
        part: of the work: one message for it, as a hundred segments fail in a hundred ways of saying the same.
        step: the asset that failed; empty where the run failed outside of one.
        reason: the failure's words.
    """
    submission, refusal = workspace.submission(video), workspace.refusal(video)
    if refusal and refusal.wrong_settings:
        help_line = "Correct its settings and hand it in again."
    elif refusal:
        help_line = f"Repair the file and hand it in again. If it was refused by mistake: stereo-spot retry {video}"
    else:
        help_line = f"To try again from what is finished: stereo-spot retry {video}"
    name, where = printable(submission.name), f" in {step}" if step else ""
    body = f"{name} (video {video}) failed{where}.\n\nReason: {reason[:_REASON_LENGTH]}\n\n{help_line}"
    return Alert(video, f"failed-{part.replace('_', '-') or 'run'}", f"{name} failed", body)


def stuck_alert(workspace: Workspace, progress: VideoProgress, changed_s: float, now_s: float) -> Alert:
    """The message about a video at which nothing happens; times are POSIX seconds."""
    name, video = printable(progress.submission.name), progress.video
    done = (
        f", {progress.segments - len(progress.missing)} of {progress.segments} segments done" if progress.plan else ""
    )
    minutes = round((now_s - changed_s) / 60)
    body = (
        f"{name} (video {video}) is stuck.\n\n"
        f"Reason: nothing has happened for {minutes} minutes and no run of it is queued or running "
        f"(state: {progress.stage.value}{done}).\n\n"
        f"To go on from what is finished: stereo-spot retry {video}\nTo see more: stereo-spot status {video}"
    )
    # A video that got on and stands still again is told of again.
    return Alert(video, f"stuck-{int(changed_s)}", f"{name} is stuck", body)


def tell_once(workspace: Workspace, alert: Alert, log: logging.Logger) -> bool:
    """Send a message unless it was sent in the video's present attempt; True if it was sent now.

    What was told is remembered in the store, as that outlives the database. A message that no address took is not
    remembered.
    """
    key = f"{keys.alerts(alert.video)}{workspace.attempt(alert.video):05d}-{alert.cause}.json"
    if workspace.store.exists(key):
        return False
    took_it = [send(address, alert, log) for address in addresses()]
    if not any(took_it):
        log.warning(f"{alert.title}: nobody could be told")
        return False
    told = asdict(alert) | {"told_at": datetime.now(UTC).isoformat()}
    workspace.store.put_bytes(json.dumps(told, indent=1).encode(), key)
    return True


def is_failure_told(workspace: Workspace, video: str) -> bool:
    """True if people know that the video's present attempt has failed: then it stands still, of course."""
    return any(True for _ in workspace.store.objects(f"{keys.alerts(video)}{workspace.attempt(video):05d}-failed-"))


def last_change_s(instance: dg.DagsterInstance, workspace: Workspace, video: str) -> float:
    """POSIX time of the newest object or run of a video; 0 if it has none."""
    told = keys.alerts(video)
    folder = workspace.store.objects(keys.video_folder(video))
    stored_s = max((stored.modified_s for stored in folder if not stored.key.startswith(told)), default=0.0)
    records = instance.get_run_records(dg.RunsFilter(tags={VIDEO_TAG: video}), limit=1)
    return max([stored_s, *(record.update_timestamp.timestamp() for record in records)])


def send(address: str, alert: Alert, log: logging.Logger) -> bool:
    """True if the address took the message; a failure is logged, without the address, which may hold a password."""
    kind = address.partition(":")[0]
    try:
        topic = _TOPIC.match(address)
        if topic:
            client = importlib.import_module("boto3").client("sns", region_name=topic["region"])
            # A subject is a line of at most 99 ASCII characters.
            subject = alert.title.encode("ascii", "replace").decode()[:99]
            client.publish(TopicArn=address, Subject=subject, Message=alert.body)
            return True
        apprise = importlib.import_module("apprise")
        channel = apprise.Apprise()
        if not channel.add(address):
            log.error(f"{ADDRESSES} has an address of the kind '{kind}' that cannot be understood")
            return False
        arguments = {"title": alert.title, "body": alert.body, "notify_type": apprise.NotifyType.FAILURE}
        if channel.notify(**arguments, body_format=apprise.NotifyFormat.TEXT):
            return True
        log.error(f"the address of the kind '{kind}' in {ADDRESSES} did not take the message")
    except ImportError as error:
        log.error(f"alerts need the package {error.name}: pip install 'stereo-spot-dagster[alerts]'")
    except Exception as error:  # whatever goes wrong with a message must not stop the sensor
        log.error(f"the address of the kind '{kind}' in {ADDRESSES} cannot be reached: {type(error).__name__}")
    return False


@contextmanager
def _harmless(log: logging.Logger) -> Iterator[None]:
    """Logs what goes wrong inside instead of raising it: alerts must never be what breaks."""
    try:
        yield
    except Exception as error:
        log.error(f"alerts: {type(error).__name__}: {error}")


def _is_open(progress: VideoProgress) -> bool:
    """True if the sensors should be at it: a command's own conversion is watched by whoever typed it."""
    ended = progress.stage in (Stage.FINISHED, Stage.REFUSED)
    return not ended and progress.submission.driver is Driver.SENSORS


def _failure(context: dg.RunFailureSensorContext) -> tuple[str, str]:
    """(asset, words) of the last step that failed; of the run itself where its worker died."""
    for event in reversed(context.get_step_failure_events()):
        data = event.step_failure_data
        said = data.user_failure_data.description if data.user_failure_data else None
        if not said and data.error:
            said = (data.error.cause or data.error).message
        if said:
            return str(event.step_key or ""), said.strip()
    return "", (context.failure_event.message or "the run failed without a message").strip()
