"""What every dropped video has, in a folder or a bucket: its name, its settings, and the submission made of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..domain.errors import InvalidSettings
from ..domain.models import DepthKind
from ..domain.settings import ConversionSettings, parse_settings
from ..domain.video import Submission
from ..storage import keys
from ..storage.base import MediaStore

SIDECAR_ENDINGS = (".yaml", ".yml", ".json")
# Cameras, cutting rooms and copying programs put these beside videos; what is left is looked into, and may be refused.
_UNFINISHED = (".part", ".crdownload", ".tmp", ".filepart", ".aria2")
_NOTES = (".txt", ".nfo", ".md", ".xml", ".csv", ".html", ".pdf", ".log", ".ini", ".db", ".url", ".lnk", ".torrent")
_CHECKSUMS = (".md5", ".sha1", ".sha256", ".sfv", ".par2", ".mhl")
_SUBTITLES = (".srt", ".vtt", ".ass", ".ssa", ".sub", ".idx", ".sup", ".smi")
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".exr", ".dpx", ".thm", ".npz")
_LISTS = (".edl", ".aaf", ".otio", ".fcpxml", ".ale", ".cube")
_ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".gz")
_IGNORED_ENDINGS = (
    *SIDECAR_ENDINGS,
    *_UNFINISHED,
    *_NOTES,
    *_CHECKSUMS,
    *_SUBTITLES,
    *_PICTURES,
    *_LISTS,
    *_ARCHIVES,
)
SETTINGS_BYTES = 20_000
_HOW_TO_WRITE = "Write 'name: value' lines"


@dataclass(frozen=True)
class GivenSettings:
    """Settings that came with a video.

    Attributes:
        subject: what gave them, named in errors.
        values: by the names of the settings.
    """

    subject: str
    values: dict[str, Any]


class Dropped(ABC):
    """A video that somebody put where this project looks."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The file name that the user gave it."""

    @abstractmethod
    def chosen_preset(self) -> str:
        """Name of the folder between it and the place for drops; empty for none."""

    @abstractmethod
    def last_change_s(self) -> float:
        """POSIX time of the last change to it or its settings."""

    @abstractmethod
    def given_settings(self) -> Iterator[GivenSettings]:
        """What came with it, the weakest first.

        Raises:
            InvalidSettings: something cannot be read, or names what it may not.
        """

    @abstractmethod
    def submission(self, settings: ConversionSettings) -> Submission:
        """Raises StereoSpotError or OSError if it is gone or cannot be read."""


class Presets(ABC):
    """Where presets lie."""

    @abstractmethod
    def find(self, name: str) -> bytes | None:
        """The file of a preset; None if there is none."""

    @abstractmethod
    def place(self, name: str) -> str:
        """Where the file of a preset lies or would lie, for a person."""


@dataclass(frozen=True)
class FolderPresets(Presets):
    """Presets in a folder: ``<name>.yaml``."""

    folder: Path

    def find(self, name: str) -> bytes | None:
        file = self.folder / f"{name}.yaml"
        return file.read_bytes() if file.is_file() else None

    def place(self, name: str) -> str:
        return str(self.folder / f"{name}.yaml")


@dataclass(frozen=True)
class StorePresets(Presets):
    """Presets in the store: ``presets/<name>.yaml``."""

    store: MediaStore

    def find(self, name: str) -> bytes | None:
        return self.store.find_bytes(keys.preset(name))

    def place(self, name: str) -> str:
        return self.store.locate(keys.preset(name))


def is_video_name(name: str) -> bool:
    """Whether a file of this name is taken for a video: not if it is hidden, unfinished or goes with another one."""
    return bool(name) and not name.startswith(".") and not name.lower().endswith(_IGNORED_ENDINGS)


def is_sidecar_name(name: str) -> bool:
    return name.lower().endswith(SIDECAR_ENDINGS)


def sidecar_names(name: str) -> list[str]:
    """The files of settings that may lie beside a video: ``name.yaml`` and ``name.mp4.yaml``, or JSON."""
    return [start + ending for ending in SIDECAR_ENDINGS for start in (Path(name).stem, name)]


def settings_of(dropped: Dropped, presets: Presets) -> ConversionSettings:
    """Settings of a dropped video: defaults, then its preset, then what came with it.

    Raises:
        InvalidSettings: the preset is unknown, or some settings are wrong; what gave them and the setting are named.
    """
    preset = dropped.chosen_preset()
    values = _preset_values(preset, presets) if preset else {}
    for given in dropped.given_settings():
        values |= given.values
        parse_settings(values, subject=given.subject)
    return parse_settings(values, subject=dropped.name)


def read_settings(data: bytes, subject: str) -> dict[str, Any]:
    """A YAML (or JSON) mapping of settings; an empty file is no settings.

    Raises:
        InvalidSettings: it is not a mapping, not YAML, or longer than settings ever are.
    """
    if len(data) > SETTINGS_BYTES:
        raise InvalidSettings(subject, "it is too long to be settings", _HOW_TO_WRITE)
    try:
        values = yaml.load(data.decode(), _PlainLoader)
    # PyYAML passes on what Python says of a number that is none.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = next(iter(str(error).splitlines()), type(error).__name__)
        raise InvalidSettings(subject, f"it cannot be read as YAML ({line})", _HOW_TO_WRITE) from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InvalidSettings(subject, "it holds no settings", _HOW_TO_WRITE)
    return {str(key): value for key, value in values.items()}


class _PlainLoader(yaml.SafeLoader):
    """Text, numbers, lists and mappings: what settings are made of.

    Whoever may drop a video writes these files. Nine lines of references to references are a value that takes minutes
    to look at, and tags and dates raise whatever their constructors stumble over.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None):
            raise yaml.MarkedYAMLError(problem="references and tags are not for settings")
        return super().compose_node(parent, index)


# A date is text, which no setting takes.
_PlainLoader.add_constructor("tag:yaml.org,2002:timestamp", yaml.SafeLoader.construct_yaml_str)


def named_depth(values: dict[str, Any], subject: str) -> str | None:
    """The file of depth that settings which came with a video name; None if they name none.

    Raises:
        InvalidSettings: they name a network: whoever may drop videos must not get to run something here.
    """
    scheme, _, name = str(values.get("depth", "")).partition(":")
    if scheme == DepthKind.ONNX:
        what = "a sidecar may not name a network to run"
        raise InvalidSettings(subject, what, "Name it in a preset, or on the command line")
    return name if scheme == DepthKind.FILE else None


def _preset_values(name: str, presets: Presets) -> dict[str, Any]:
    """A preset's settings: those of its file, or a layout's name.

    Raises:
        InvalidSettings: there is no such preset, or it is wrong.
    """
    data = presets.find(name)
    if data is not None:
        subject = keys.preset(name)
        values = read_settings(data, f"{name}.yaml")
        parse_settings(values, subject=subject)
        return values
    try:
        return {"layouts": parse_settings({"layouts": [name]}, subject=name).layouts}
    except InvalidSettings:
        remedy = f"Write its settings to {presets.place(name)}, or name the folder after a layout"
        raise InvalidSettings(f"drop/{name}", "there is no such preset", remedy) from None
