"""Where a conversion works: the media store, private scratch folders, and the records of a video."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from ..domain.errors import UnknownVideo
from ..domain.plan import SegmentPlan
from ..domain.video import Attempt, Delivery, FinalRecord, Refusal, SourceRecord, Submission
from ..media.process import scratch_folder
from ..media.scan import FrameTable
from ..storage import keys
from ..storage.base import MediaStore
from ..storage.local import LocalStore
from ..storage.opening import VARIABLE, open_store

_Record = TypeVar("_Record", bound=BaseModel)


def home_folder() -> Path:
    """``$STEREO_SPOT_HOME``, by default ``./data``: everything this project keeps on a machine."""
    return Path(os.environ.get("STEREO_SPOT_HOME") or "data").absolute()


@dataclass(frozen=True)
class Workspace:
    """The store and the scratch space of this machine.

    Attributes:
        store: where media and records lie.
        scratch: parent of private working folders.
        home: the folder with the drop folder and the presets and, of a store in a folder, the done folder.
    """

    store: MediaStore
    scratch: Path
    home: Path

    @classmethod
    def local(cls, home: Path | None = None) -> Workspace:
        """Everything below one folder."""
        home = (home or home_folder()).absolute()
        # Scratch lies on the store's file system, so that finished files are moved, not copied.
        return cls(LocalStore(home), home / "scratch", home)

    @classmethod
    def from_environment(cls, home: Path | None = None, store: str = "") -> Workspace:
        """The store that ``$STEREO_SPOT_STORE`` names (``s3://bucket/prefix``), by default the home folder.

        Args:
            home: instead of ``$STEREO_SPOT_HOME``.
            store: instead of ``$STEREO_SPOT_STORE``.

        Raises:
            InvalidSettings: a variable is wrong.
            ToolUnavailable: what the store needs is not installed.
        """
        where = store or os.environ.get(VARIABLE, "")
        opened = open_store(where, (home or home_folder()).absolute())
        if opened.folder:
            return cls.local(home)
        # Of a store elsewhere nothing is kept here, so a machine without a home folder needs none.
        has_home = home or os.environ.get("STEREO_SPOT_HOME")
        home = (home or home_folder()).absolute()
        elsewhere = Path(tempfile.gettempdir()) / f"stereo-spot-{os.getuid()}"
        return cls(opened, home / "scratch" if has_home else elsewhere, home)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A private scratch folder, removed on leaving."""
        with scratch_folder(self.scratch) as folder:
            yield folder

    def submission(self, video: str) -> Submission:
        """Raises UnknownVideo if it was never handed in."""
        return self._record(keys.submission(video), Submission, video, "it was never submitted")

    def source(self, video: str) -> SourceRecord:
        """Raises UnknownVideo if it was not accepted."""
        return self._record(keys.source_record(video), SourceRecord, video, "its source has not been taken in")

    def plan(self, video: str) -> SegmentPlan:
        """Raises UnknownVideo if there is no plan."""
        return self._record(keys.manifest(video), SegmentPlan, video, "it has no segment plan yet")

    def final(self, video: str) -> FinalRecord | None:
        return self._find(keys.final_record(video), FinalRecord)

    def delivery(self, video: str) -> Delivery:
        return self._find(keys.delivery(video), Delivery) or Delivery()

    def attempt(self, video: str) -> int:
        return (self._find(keys.attempt(video), Attempt) or Attempt()).number

    def refusal(self, video: str) -> Refusal | None:
        return self._find(keys.refusal(video), Refusal)

    def frames(self, plan: SegmentPlan) -> FrameTable:
        return FrameTable.from_bytes(self.store.read_bytes(plan.frames_key))

    def has_submission(self, video: str) -> bool:
        return self.store.exists(keys.submission(video))

    def save(self, record: BaseModel, key: str) -> None:
        self.store.put_bytes(record.model_dump_json(indent=1).encode(), key)

    def _record(self, key: str, kind: type[_Record], video: str, problem: str) -> _Record:
        record = self._find(key, kind)
        if record is None:
            raise UnknownVideo(video, problem, "See: stereo-spot status")
        return record

    def _find(self, key: str, kind: type[_Record]) -> _Record | None:
        data = self.store.find_bytes(key)
        return None if data is None else kind.model_validate_json(data)
