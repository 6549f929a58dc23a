"""Objects below ``drop/`` of a bucket: which are videos, and with which settings they come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from ..convert.intake import identify_object
from ..domain.errors import InvalidSettings
from ..domain.settings import ConversionSettings
from ..domain.video import Driver, Submission, video_key
from ..storage import keys
from ..storage.base import StoredObject
from ..storage.s3 import S3Store
from ..storage.s3_objects import FoundObject
from .dropped import (
    SETTINGS_BYTES,
    Dropped,
    GivenSettings,
    is_sidecar_name,
    is_video_name,
    named_depth,
    read_settings,
    sidecar_names,
)

_NEIGHBOURS = 1000
# Bytes of a folder's name, as file systems have it: a longer one has no room for the file of a preset.
_LONGEST_PRESET = 255


@dataclass(frozen=True)
class DropName:
    """Where below ``drop/`` an object lies: there, or in a folder that names a preset."""

    preset: str
    name: str

    @classmethod
    def parse(cls, key: str) -> DropName | None:
        """Of a key of the store; None if videos do not lie there: deeper, hidden, a folder's marker, elsewhere."""
        inside = key.removeprefix(keys.DROP)
        preset, _, name = inside.rpartition("/")
        known = is_video_name(name) or is_sidecar_name(name)
        hidden = name.startswith(".") or preset.startswith(".")
        nowhere = "/" in preset or inside.startswith("/") or "\0" in inside or len(preset.encode()) > _LONGEST_PRESET
        if inside == key or not known or hidden or nowhere:
            return None
        return cls(preset, name)

    @property
    def is_video(self) -> bool:
        return is_video_name(self.name)

    @property
    def folder(self) -> str:
        return f"{keys.DROP}{self.preset}/" if self.preset else keys.DROP

    def sidecars(self, store: S3Store) -> list[StoredObject]:
        """What this video's settings may lie in, the weakest first: one request for all of them."""
        wanted = [f"{self.folder}{name}" for name in sidecar_names(self.name)]
        beside = {stored.key: stored for stored in self._beginning_with(store, f"{Path(self.name).stem}.")}
        if len(beside) == _NEIGHBOURS:
            # Of so many with nearly the same name it may be one that was not listed.
            beside = {key: stored for key in wanted if (stored := store.stat(key))}
        return [beside[key] for key in wanted if key in beside]

    def videos_beside(self, store: S3Store) -> list[str]:
        """Keys of the videos that this sidecar goes with."""
        stem = Path(self.name).stem
        same = store.stat(f"{self.folder}{stem}")
        found = [*self._beginning_with(store, f"{stem}."), *([same] if same else [])]
        names = [stored.key.removeprefix(self.folder) for stored in found]
        videos = [name for name in names if is_video_name(name) and "/" not in name]
        return [f"{self.folder}{name}" for name in videos if self.name in sidecar_names(name)]

    def _beginning_with(self, store: S3Store, start: str) -> list[StoredObject]:
        """The first objects in the same folder, or below it, whose names start so."""
        return list(islice(store.objects(f"{self.folder}{start}"), _NEIGHBOURS))


@dataclass(frozen=True)
class DroppedObject(Dropped):
    """A version of an object below ``drop/``.

    Attributes:
        store: that it lies in.
        where: its name and preset.
        found: what it is.
    """

    store: S3Store
    where: DropName
    found: FoundObject

    @property
    def name(self) -> str:
        return self.where.name

    def chosen_preset(self) -> str:
        return self.where.preset

    def last_change_s(self) -> float:
        preset = self.store.stat(keys.preset(self.where.preset)) if self.where.preset else None
        given = [*self._sidecars, *([preset] if preset else [])]
        return max([self.found.modified_s, *(stored.modified_s for stored in given)])

    @cached_property
    def video(self) -> str:
        """Its key: one for one version of an object, whatever its settings come to be.

        A message that is delivered twice, or before a sidecar, must not make a second video of it.
        """
        version = self.found.version
        return video_key(version.name, version.identity, ConversionSettings())

    @cached_property
    def _sidecars(self) -> list[StoredObject]:
        return self.where.sidecars(self.store)

    def given_settings(self) -> Iterator[GivenSettings]:
        noted = _settings_in(self.found.metadata)
        if noted:
            yield _without_files(GivenSettings(f"the metadata of {self.name}", noted))
        for stored in self._sidecars:
            subject = stored.key.rpartition("/")[2]
            if stored.size_bytes > SETTINGS_BYTES:
                raise InvalidSettings(subject, "it is too long to be settings", "Write 'name: value' lines")
            data = self.store.find_bytes(stored.key) or b""
            yield _without_files(GivenSettings(subject, read_settings(data, subject)))

    def submission(self, settings: ConversionSettings) -> Submission:
        made = identify_object(self.found.version, settings, driver=Driver.SENSORS, origin="drop bucket")
        return made.model_copy(update={"video": self.video})


def _settings_in(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Settings among what was noted with an object; programs that upload note things of their own there.

    Some servers take no underscores in headers, so ``start-s`` is ``start_s``.
    """
    found: dict[str, Any] = {}
    for header, value in metadata.items():
        name = header.lower().replace("-", "_")
        field = ConversionSettings.model_fields.get(name)
        if field:
            several = isinstance(field.get_default(), tuple)
            found[name] = [part.strip() for part in value.split(",")] if several else value
    return found


def _without_files(given: GivenSettings) -> GivenSettings:
    """Raise InvalidSettings if they name a file of the machine that converts the video."""
    if named_depth(given.values, given.subject) is not None:
        cause = "a video in a bucket cannot come with depth from a file"
        raise InvalidSettings(given.subject, cause, "Choose another depth")
    return given
