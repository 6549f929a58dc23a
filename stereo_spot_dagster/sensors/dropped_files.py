"""Files in the drop folder: which there are, whether they are complete, and with which settings they come."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..domain.errors import InvalidSettings
from ..domain.models import DepthKind
from ..domain.settings import ConversionSettings, parse_settings

# A file is taken when its size and time have stayed the same for this long: copies over a network pause for seconds.
STABLE_S = 5.0
_SIDECAR_ENDINGS = (".yaml", ".yml", ".json")
_IGNORED_ENDINGS = (
    *_SIDECAR_ENDINGS,
    ".part",
    ".crdownload",
    ".tmp",
    ".filepart",
    ".aria2",
    ".txt",
    ".nfo",
    ".srt",
    ".jpg",
    ".npz",
)


@dataclass(frozen=True)
class DroppedFile:
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


def dropped_files(folder: Path) -> list[DroppedFile]:
    """Candidate files in the drop folder and its preset folders, in order of name. Links are passed over."""
    inside = _videos_and_presets(folder)
    presets = [entry for entry in inside if entry.is_dir() and not entry.name.startswith(".")]
    found = [_dropped(entry, "") for entry in inside]
    found += [_dropped(entry, preset.name) for preset in presets for entry in _videos_and_presets(preset)]
    return [file for file in found if file]


def sidecars(path: Path) -> list[Path]:
    """The files of settings that may lie beside a video: ``name.yaml`` and ``name.mp4.yaml``, or JSON."""
    names = [name for ending in _SIDECAR_ENDINGS for name in (path.stem + ending, path.name + ending)]
    return [path.with_name(name) for name in names]


def settings_for(dropped: DroppedFile, presets: Path) -> ConversionSettings:
    """Settings of a dropped file: defaults, then its preset, then its sidecar.

    Raises:
        InvalidSettings: the preset is unknown, or a file of settings is wrong; it and the setting are named.
    """
    values: dict[str, Any] = {}
    if dropped.preset:
        values |= preset_values(dropped.preset, presets)
    for sidecar in sidecars(dropped.path):
        if sidecar.is_file():
            values |= _with_depth_beside(read_settings(sidecar), sidecar)
            parse_settings(values, subject=sidecar.name)
    return parse_settings(values, subject=dropped.path.name)


def _with_depth_beside(values: dict[str, Any], sidecar: Path) -> dict[str, Any]:
    """A sidecar's settings with the path of the depth that it names.

    Whoever may write to the drop folder must not get to read other files of this machine.

    Raises:
        InvalidSettings: it names something that does not lie beside it.
    """
    scheme, _, name = str(values.get("depth", "")).partition(":")
    if scheme == DepthKind.ONNX:
        what = "a sidecar may not name a network to run"
        raise InvalidSettings(sidecar.name, what, "Name it in a preset, or on the command line")
    if scheme != DepthKind.FILE:
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


def preset_values(name: str, presets: Path) -> dict[str, Any]:
    """A preset's settings: ``presets/<name>.yaml``, or a layout's name.

    Raises:
        InvalidSettings: there is no such preset, or it is wrong.
    """
    file = presets / f"{name}.yaml"
    if file.is_file():
        values = read_settings(file)
        parse_settings(values, subject=f"presets/{file.name}")
        return values
    try:
        return {"layouts": parse_settings({"layouts": [name]}, subject=name).layouts}
    except InvalidSettings:
        remedy = f"Write its settings to {file}, or name the folder after a layout"
        raise InvalidSettings(f"drop/{name}", "there is no such preset", remedy) from None


def read_settings(path: Path) -> dict[str, Any]:
    """A YAML (or JSON) mapping of settings; an empty file is no settings.

    Raises:
        InvalidSettings: it is not a mapping, or not YAML.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")[:100_000])
    except (yaml.YAMLError, UnicodeDecodeError, OSError, RecursionError) as error:
        line = next(iter(str(error).splitlines()), type(error).__name__)
        raise InvalidSettings(path.name, f"it cannot be read as YAML ({line})", "Write 'name: value' lines") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InvalidSettings(path.name, "it holds no settings", "Write 'name: value' lines")
    return {str(key): value for key, value in values.items()}


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
    if not sidecar.name.lower().endswith(_SIDECAR_ENDINGS):
        return ""
    try:
        # Most sidecars name none, and YAML is slow: a thousand of them took a second of each tick.
        if f"{DepthKind.FILE.value}:" not in sidecar.read_text(encoding="utf-8")[:100_000]:
            return ""
        scheme, _, name = str(read_settings(sidecar).get("depth", "")).partition(":")
    except (OSError, UnicodeDecodeError, InvalidSettings):
        return ""
    return name if scheme == DepthKind.FILE and _is_plain_name(name) else ""


def _supplied_states(path: Path) -> list[os.stat_result]:
    """States of the depth that a video's sidecars name: it may be copied after them."""
    found = [
        path.with_name(name) for sidecar in sidecars(path) if sidecar.is_file() and (name := _named_depth(sidecar))
    ]
    inside = [entry for depth in found if depth.is_dir() for entry in _entries(depth)]
    return [entry.stat() for entry in [*found, *inside] if entry.exists()]


def _dropped(path: Path, preset: str) -> DroppedFile | None:
    if path.name.startswith(".") or path.name.lower().endswith(_IGNORED_ENDINGS):
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
