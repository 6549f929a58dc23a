"""What the sensor of the drop bucket remembers: how far its listing is, and what it need not look at again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace

from ..storage.base import StoredObject

# The time of a file sent in parts is when that began; S3 gives such uploads up after a week, by our rule.
_OVERLAP_DAYS = 8
_DAY_S = 86_400.0


@dataclass(frozen=True)
class Sweep:
    """A listing of the whole bucket, some of it in each tick.

    Attributes:
        after: key that it has come to; it need not be there any more.
        started_s: when it began; 0 if none is under way.
        since_s: when the last one that came to its end began: what is much older was seen then.
        next_s: when the next one is due.
    """

    after: str = ""
    started_s: float = 0.0
    since_s: float = 0.0
    next_s: float = 0.0

    def is_due(self, now_s: float, interval_s: float) -> bool:
        """Also after a clock was set back by more than the interval."""
        return bool(self.started_s) or now_s >= self.next_s or self.next_s - now_s > interval_s

    def begun(self, now_s: float) -> Sweep:
        return self if self.started_s else replace(self, after="", started_s=now_s)

    def passed(self, key: str) -> Sweep:
        return replace(self, after=key)

    def ended(self, now_s: float, interval_s: float) -> Sweep:
        return Sweep("", 0.0, self.started_s, now_s + interval_s)

    def looks_at(self, stored: StoredObject) -> bool:
        return stored.modified_s >= self.since_s - _OVERLAP_DAYS * _DAY_S


@dataclass
class BucketMemory:
    """The sensor's cursor. Losing it costs a listing of everything; and a video that was removed, but whose original
    still lies in the bucket, comes back.

    Attributes:
        video: that was looked at last by the walk over all videos.
        sweep: how far the listing is.
        marks: of the objects that were dealt with, by the day of their last change.
    """

    video: str = ""
    sweep: Sweep = field(default_factory=Sweep)
    marks: dict[int, set[str]] = field(default_factory=dict)

    @classmethod
    def parse(cls, cursor: str | None) -> BucketMemory:
        try:
            stored = json.loads(cursor or "{}")
            after, *times = stored["sweep"]
            sweep = Sweep(str(after), *(float(value) for value in times))
            marks = {int(day): set(str(words).split()) for day, words in stored["marks"].items()}
            return cls(str(stored["video"]), sweep, marks)
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls()

    def __str__(self) -> str:
        # Every tick is kept with its cursor: a thousand objects of a week must not weigh a megabyte.
        sweep = [self.sweep.after, self.sweep.started_s, self.sweep.since_s, self.sweep.next_s]
        marks = {str(day): " ".join(sorted(words)) for day, words in sorted(self.marks.items())}
        return json.dumps({"video": self.video, "sweep": sweep, "marks": marks})

    def mark(self, stored: StoredObject) -> None:
        self.marks.setdefault(_day(stored), set()).add(_mark(stored))

    def is_marked(self, stored: StoredObject) -> bool:
        return _mark(stored) in self.marks.get(_day(stored), ())

    def forget_old(self) -> None:
        """Drop the marks of what no listing looks at any more."""
        oldest = self.sweep.since_s / _DAY_S - _OVERLAP_DAYS - 1
        self.marks = {day: words for day, words in self.marks.items() if day >= oldest}


def _day(stored: StoredObject) -> int:
    return int(stored.modified_s // _DAY_S)


def _mark(stored: StoredObject) -> str:
    """Another one when the object was written anew. HEAD tells times in whole seconds, a listing perhaps finer."""
    what = f"{stored.key}\0{stored.version}\0{stored.size_bytes}\0{int(stored.modified_s)}"
    return hashlib.sha256(what.encode("utf-8", "surrogateescape")).hexdigest()[:10]
