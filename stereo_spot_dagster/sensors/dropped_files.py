"""Files in the drop folder: which there are, whether they are complete, and with which settings they come."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..convert.intake import identify
from ..domain.errors import InvalidSettings
from ..domain.models import DepthKind
from ..domain.settings import ConversionSettings
from ..domain.video import Driver, Submission
from .dropped import (
    SETTINGS_BYTES,
    Dropped,
    FolderPresets,
    GivenSettings,
    is_sidecar_name,
    is_video_name,
    named_depth,
    read_settings,
    settings_of,
    sidecar_names,
)

# A file is taken when its size and time have stayed the same for this long: copies over a network pause for seconds.
STABLE_S = 5.0


@dataclass(frozen=True)
class DroppedFile(Dropped):
    """A file in the drop folder.

    Attributes:
        path: where it lies.
        preset: name of the folder between it and the drop folder; empty for none.
        state: sizes and modification times of it, its sidecars and the depth they name: another state is looked at
            anew.
        changed_s: POSIX time of the last change to it, its sidecars, or the folder it lies in.
    """

    path: Path
    preset: str
    state: str
    changed_s: float

    @property
    def name(self) -> str:
        return self.path.name

    def chosen_preset(self) -> str:
        return self.preset

    def last_change_s(self) -> float:
        return self.changed_s

    def given_settings(self) -> Iterator[GivenSettings]:
        for sidecar in sidecars(self.path):
            if sidecar.is_file():
                yield GivenSettings(sidecar.name, _with_depth_beside(_read(sidecar), sidecar))

    def submission(self, settings: ConversionSettings) -> Submission:
        return identify(self.path, settings, driver=Driver.SENSORS, origin="drop folder")


def dropped_files(folder: Path) -> list[DroppedFile]:
    """Candidate files in the drop folder and its preset folders, in order of name. Links are passed over."""
    inside = _videos_and_presets(folder)
    presets = [entry for entry in inside if entry.is_dir() and not entry.name.startswith(".")]
    found = [_dropped(entry, "") for entry in inside]
    found += [_dropped(entry, preset.name) for preset in presets for entry in _videos_and_presets(preset)]
    return [file for file in found if file]


def sidecars(path: Path) -> list[Path]:
    """The files of settings that may lie beside a video."""
    return [path.with_name(name) for name in sidecar_names(path.name)]


def settings_for(dropped: DroppedFile, presets: Path) -> ConversionSettings:
    """Settings of a dropped file, with the presets in a folder.

    Raises:
        InvalidSettings: the preset is unknown, or a file of settings is wrong; it and the setting are named.
    """
    return settings_of(dropped, FolderPresets(presets))


def _read(sidecar: Path) -> dict[str, Any]:
    try:
        return read_settings(_beginning(sidecar), sidecar.name)
    except OSError as error:
        raise InvalidSettings(sidecar.name, f"it cannot be read ({error.strerror})", "Check its rights") from None


def _beginning(sidecar: Path) -> bytes:
    """All of it, or so much that it is seen to be too long: anybody may put a file of any size there."""
    with sidecar.open("rb") as file:
        return file.read(SETTINGS_BYTES + 1)


def _with_depth_beside(values: dict[str, Any], sidecar: Path) -> dict[str, Any]:
    """A sidecar's settings with the path of the depth that it names.

    Whoever may write to the drop folder must not get to read other files of this machine.

    Raises:
        InvalidSettings: it names something that does not lie beside it.
    """
    name = named_depth(values, sidecar.name)
    if name is None:
        return values
    if not _is_plain_name(name):
        what = f"its depth '{name}' is not the plain name of a file or folder beside the video"
        raise InvalidSettings(sidecar.name, what, "Put the depth beside the video, and write depth: file:NAME")
    path = sidecar.with_name(name)
    if path.is_symlink() or not (path.is_file() or path.is_dir()):
        what = f"there is no file or folder '{name}' beside it"
        raise InvalidSettings(sidecar.name, what, "Put the depth beside the video")
    return values | {"depth": f"{DepthKind.FILE.value}:{path.absolute()}"}


def _is_plain_name(name: str) -> bool:
    return bool(name) and not name.startswith(".") and not set(name) & {"/", "\\", "\0"}


class Memory:
    """What the sensor has seen of each file, as its cursor.

    Args:
        waiting: for files that are watched, their path to state and the time since it has been so.
        done: marks of the files that were handed in, in their state.
        video: the video that was looked at last.
    """

    def __init__(self, waiting: dict[str, tuple[str, float]], done: set[str], video: str) -> None:
        self._waiting = waiting
        self._done = done
        self.video = video

    @classmethod
    def parse(cls, cursor: str | None) -> Memory:
        try:
            stored = json.loads(cursor or "{}")
            waiting = {str(path): (str(state), float(since)) for path, (state, since) in stored["waiting"].items()}
            return cls(waiting, set(str(stored["done"]).split()), str(stored["video"]))
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls({}, set(), "")

    def __str__(self) -> str:
        # Every tick is kept with its cursor: a folder with a thousand finished files must not weigh a megabyte.
        return json.dumps({"waiting": self._waiting, "done": " ".join(sorted(self._done)), "video": self.video})

    def keep_only(self, files: list[DroppedFile]) -> None:
        """Forget what is no longer in the folder."""
        paths = {str(file.path) for file in files}
        self._waiting = {path: seen for path, seen in self._waiting.items() if path in paths}
        self._done &= {_mark(file) for file in files}

    def is_ready(self, file: DroppedFile, now: float) -> bool:
        """True if the file was not handed in, has not changed for a while, and nobody has it open for writing."""
        if _mark(file) in self._done:
            return False
        state, since = self._waiting.get(str(file.path), ("", now))
        # A clock that was set back must not keep a file waiting.
        if state != file.state or since > now:
            self._waiting[str(file.path)] = (file.state, now)
            return False
        return now - since >= STABLE_S and not _is_open_for_writing(file.path)

    def mark_done(self, file: DroppedFile) -> None:
        self._waiting.pop(str(file.path), None)
        self._done.add(_mark(file))


def _mark(file: DroppedFile) -> str:
    return hashlib.sha256(f"{file.path}\0{file.state}".encode("utf-8", "surrogateescape")).hexdigest()[:10]


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder; nothing if it cannot be read (any more)."""
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _videos_and_presets(folder: Path) -> list[Path]:
    """What lies in a folder, but for the depth that sidecars in it name: that belongs to another file."""
    entries = _entries(folder)
    depths = {name for entry in entries if (name := _named_depth(entry))}
    return [entry for entry in entries if entry.name not in depths]


def _named_depth(sidecar: Path) -> str:
    """The plain name of the depth that a sidecar names; empty for other files, and if it names none."""
    if not is_sidecar_name(sidecar.name):
        return ""
    try:
        # Most sidecars name none, and YAML is slow: a thousand of them took a second of each tick.
        if f"{DepthKind.FILE.value}:".encode() not in _beginning(sidecar):
            return ""
        name = named_depth(_read(sidecar), sidecar.name) or ""
    except (OSError, InvalidSettings):
        return ""
    return name if _is_plain_name(name) else ""


def _supplied_states(path: Path) -> list[os.stat_result]:
    """States of the depth that a video's sidecars name: it may be copied after them."""
    found = [
        path.with_name(name) for sidecar in sidecars(path) if sidecar.is_file() and (name := _named_depth(sidecar))
    ]
    inside = [entry for depth in found if depth.is_dir() for entry in _entries(depth)]
    return [entry.stat() for entry in [*found, *inside] if entry.exists()]


def _dropped(path: Path, preset: str) -> DroppedFile | None:
    if not is_video_name(path.name):
        return None
    try:
        details = [path.lstat(), *(sidecar.stat() for sidecar in sidecars(path) if sidecar.is_file())]
        supplied = _supplied_states(path)
        folder = path.parent.stat()
    except OSError:
        # It was moved away meanwhile.
        return None
    if not stat.S_ISREG(details[0].st_mode):
        return None
    state = " ".join(f"{entry.st_size}:{entry.st_mtime_ns}" for entry in details)
    if supplied:
        # A folder of pictures has as many states as the video has frames.
        whole = " ".join(f"{entry.st_size}:{entry.st_mtime_ns}" for entry in supplied)
        state += " " + hashlib.sha256(whole.encode()).hexdigest()[:16]
    return DroppedFile(path, preset, state, max(entry.st_ctime for entry in [*details, *supplied, folder]))


def _is_open_for_writing(path: Path) -> bool:
    """Whether a process of this machine has the file open for writing (Linux; elsewhere False)."""
    try:
        wanted = path.stat()
        processes = [entry for entry in os.listdir("/proc") if entry.isdigit()]
    except OSError:
        return False
    return any(_writes(process, wanted) for process in processes)


def _writes(process: str, wanted: os.stat_result) -> bool:
    try:
        descriptors = os.listdir(f"/proc/{process}/fd")
    except OSError:
        return False
    for descriptor in descriptors:
        try:
            if os.path.samestat(os.stat(f"/proc/{process}/fd/{descriptor}"), wanted):
                with open(f"/proc/{process}/fdinfo/{descriptor}", encoding="ascii") as info:
                    flags = next(line for line in info if line.startswith("flags:"))
                if int(flags.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY:
                    return True
        except (OSError, StopIteration):
            # The descriptor was closed meanwhile.
            continue
    return False
