"""A bounded slice of all videos at each tick, so that every video is looked at again and again."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ..convert.progress import known_videos
from ..convert.workspace import Workspace


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
        except (ValueError, AttributeError):
            return cls()

    def __str__(self) -> str:
        return json.dumps({"event": self.event, "video": self.video})


def next_slice(workspace: Workspace, after: str, size: int) -> tuple[list[str], str]:
    """Up to ``size`` video keys after ``after``, and where to go on; from the start again behind the last."""
    videos = known_videos(workspace)
    part = [video for video in videos if video > after][:size]
    return part, part[-1] if len(part) == size else ""
