"""How sensors find work: events tell what has just changed, and a walk over all videos finds what events missed."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import dagster as dg

from ..convert.progress import VideoProgress, is_settled, known_videos, video_progress
from ..convert.workspace import Workspace
from ..domain.errors import StereoSpotError, UnknownVideo

# Records of settled videos cost 0.1 ms each to pass over: this many are half a second.
_LOOKS_A_TICK = 5_000
# In a bucket each of them costs requests: some 60 ms.
_WALK_S = 5.0
# In a bucket a look at a finished video costs seven requests: three sensors that always look at a thousand of them
# cost 100 to 250 USD a month. So each rests, the longer the more often it was found so.
_FIRST_REST_S, _LONGEST_REST_S = 30.0, 600.0
# Events can be committed out of order; looking again is harmless.
_LOOK_BACK = 200
# Storage ids of one look, and how far back a sensor without a cursor begins. A segment's run writes about 40 events.
_IDS_A_TICK = 10_000
_HISTORY = 50_000


@dataclass(frozen=True)
class Position:
    """A sensor's cursor: the last event seen, and the last video looked at.

    Both are only for speed: with a lost cursor the walk finds everything again.
    """

    event: int = 0
    video: str = ""

    @classmethod
    def parse(cls, cursor: str | None) -> Position:
        try:
            stored = json.loads(cursor or "{}")
            return cls(int(stored.get("event", 0)), str(stored.get("video", "")))
        except (ValueError, TypeError, AttributeError):
            return cls()

    def __str__(self) -> str:
        return json.dumps({"event": self.event, "video": self.video})


class _Resting:
    """Videos of buckets that this process has found settled, and until when it does not look at them again."""

    def __init__(self) -> None:
        self._rests: dict[tuple[str, str], tuple[float, float]] = {}

    def is_settled(self, workspace: Workspace, video: str) -> bool:
        """As :func:`is_settled`, or what that said a while ago."""
        if workspace.store.folder:
            return is_settled(workspace, video)
        which, now_s = (workspace.store.locate(""), video), time.monotonic()
        until_s, rest_s = self._rests.get(which, (0.0, 0.0))
        if now_s < until_s:
            return True
        if not is_settled(workspace, video):
            self._rests.pop(which, None)
            return False
        rest_s = min(max(2 * rest_s, _FIRST_REST_S), _LONGEST_REST_S)
        self._rests[which] = (now_s + rest_s, rest_s)
        return True


_RESTING = _Resting()


class Walk(Iterable[str]):
    """Keys of videos that may need something, each once: from the one behind ``after`` on, round to it.

    It ends early when it took too long.

    Attributes:
        reached: the video to go on behind: the last one that was looked at and done with.
    """

    def __init__(self, workspace: Workspace, after: str) -> None:
        self._workspace = workspace
        self.reached = after

    def __iter__(self) -> Iterator[str]:
        videos, end_s = known_videos(self._workspace), time.monotonic() + _WALK_S
        behind = [video for video in videos if video > self.reached]
        around = behind + videos[: len(videos) - len(behind)]
        for video in around[:_LOOKS_A_TICK]:
            if not _RESTING.is_settled(self._workspace, video):
                yield video
            self.reached = video
            if time.monotonic() > end_s:
                return


def progress_of(workspace: Workspace, video: str, log: logging.Logger) -> VideoProgress | None:
    """A video's state; None if it is being removed or cannot be read.

    One video with broken records must not keep a sensor from all others.
    """
    try:
        return video_progress(workspace, video)
    except UnknownVideo:
        return None
    except (StereoSpotError, OSError, ValueError) as error:
        log.warning(f"{video}: its records cannot be read: {error}")
        return None


@dataclass(frozen=True)
class Materialized:
    """Partitions of an asset that were materialized since an event, and the event to go on from."""

    partitions: tuple[str, ...]
    event: int


def materialized_since(instance: dg.DagsterInstance, asset: str, event: int) -> Materialized:
    """What was materialized after ``event``, a bounded part of it.

    Bodies of events are not read: each holds a preview picture.
    """
    newest = _newest_event(instance, asset)
    if not event or newest <= event - _LOOK_BACK:
        # No cursor, or one that is older than the database: what happened long ago was acted on then.
        event = max(0, newest - _HISTORY)
    until = min(newest, event + _IDS_A_TICK)
    found = instance.get_materialized_partitions(
        dg.AssetKey(asset), after_cursor=max(0, event - _LOOK_BACK), before_cursor=until + 1
    )
    return Materialized(tuple(sorted(found)), until)


def newest_events(instance: dg.DagsterInstance, asset: str, partitions: Iterable[str]) -> Mapping[str, int]:
    """Storage id of the newest materialization of each of some partitions that has one."""
    wanted = set(partitions)
    if not wanted:
        return {}
    return instance.get_latest_storage_id_by_partition(
        dg.AssetKey(asset), dg.DagsterEventType.ASSET_MATERIALIZATION, wanted
    )


def _newest_event(instance: dg.DagsterInstance, asset: str) -> int:
    records = instance.fetch_materializations(dg.AssetKey(asset), limit=1).records
    return records[0].storage_id if records else 0
