"""Sensor: files in the drop folder, and videos handed in otherwise, are taken in."""

import json
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from ..assets.jobs import take_in_job
from ..assets.partitions import VIDEO_TAG, VIDEOS
from ..assets.studio import Studio
from ..convert.intake import identify, refuse, submit
from ..convert.progress import Stage, video_progress
from ..convert.workspace import Workspace
from ..domain.errors import InvalidSettings, StereoSpotError, UnknownVideo
from ..domain.settings import ConversionSettings, parse_settings
from ..domain.video import Driver
from ..storage.keys import DROP
from .walk import next_slice

# A file is taken when its size and time have stayed the same for this long: copies over a network pause for seconds.
STABLE_S = 5.0
_FILES_A_TICK = 20
_SLICE = 50
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
)


@dataclass(frozen=True)
class DroppedFile:
    """A file in the drop folder.

    Attributes:
        path: where it lies.
        preset: name of the folder between it and the drop folder; empty for none.
        state: size and modification time: another state is another file.
    """

    path: Path
    preset: str
    state: str


def dropped_files(folder: Path) -> list[DroppedFile]:
    """Candidate files in the drop folder and its preset folders, in order of name. Links and odd files are passed over."""
    found = []
    for parent, preset in [(folder, ""), *((entry, entry.name) for entry in _folders(folder))]:
        for entry in sorted(parent.iterdir()):
            if entry.name.startswith(".") or entry.name.lower().endswith(_IGNORED_ENDINGS):
                continue
            details = entry.lstat()
            if stat.S_ISREG(details.st_mode):
                found.append(DroppedFile(entry, preset, f"{details.st_size}:{details.st_mtime_ns}"))
    return found


def settings_for(dropped: DroppedFile, presets: Path) -> ConversionSettings:
    """Settings of a dropped file: defaults, then its preset, then its sidecar ``name.yaml``.

    Raises:
        InvalidSettings: the preset is unknown, or a file of settings is wrong; it is named.
    """
    values: dict[str, Any] = {}
    if dropped.preset:
        values |= preset_values(dropped.preset, presets)
    for ending in _SIDECAR_ENDINGS:
        for sidecar in (dropped.path.with_suffix(ending), dropped.path.with_name(dropped.path.name + ending)):
            if sidecar.is_file():
                values |= read_settings(sidecar)
    return parse_settings(values, subject=dropped.path.name)


def preset_values(name: str, presets: Path) -> dict[str, Any]:
    """A preset's settings: ``presets/<name>.yaml``, or a layout's name.

    Raises:
        InvalidSettings: there is no such preset.
    """
    file = presets / f"{name}.yaml"
    if file.is_file():
        return read_settings(file)
    try:
        return {"layouts": parse_settings({"layouts": [name]}, subject=name).layouts}
    except InvalidSettings:
        raise InvalidSettings(
            f"drop/{name}",
            "there is no such preset",
            f"Write its settings to {file}, or name the folder after a layout",
        ) from None


def read_settings(path: Path) -> dict[str, Any]:
    """A YAML (or JSON) mapping of settings; an empty file is no settings.

    Raises:
        InvalidSettings: it is not a mapping, or not YAML.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")[:100_000])
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        line = str(error).splitlines()[0]
        raise InvalidSettings(path.name, f"it cannot be read as YAML ({line})", "Write 'name: value' lines") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InvalidSettings(path.name, "it holds no settings", "Write 'name: value' lines")
    return {str(key): value for key, value in values.items()}


@dg.sensor(
    name="drop_folder",
    job=take_in_job,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Takes in files from the drop folder when they are complete, and videos handed in by other ways.",
)
def drop_folder(context: dg.SensorEvaluationContext, studio: Studio) -> dg.SensorResult:
    workspace = studio.workspace
    memory = _Memory.parse(context.cursor)
    folder = workspace.home / DROP
    folder.mkdir(parents=True, exist_ok=True)
    files = dropped_files(folder)
    memory.forget_all_but({str(file.path) for file in files})
    handed_in = 0
    for file in files:
        if handed_in < _FILES_A_TICK and memory.is_stable(file, time.time()):
            _hand_in(context, workspace, file)
            memory.mark_done(file)
            handed_in += 1
    requests, memory.video = _take_in_requests(workspace, memory.video)
    new = [request.partition_key for request in requests if request.partition_key]
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[VIDEOS.build_add_request(new)] if new else [],
        cursor=str(memory),
    )


def _hand_in(context: dg.SensorEvaluationContext, workspace: Workspace, file: DroppedFile) -> None:
    """Write the submission down; a video that is known already is left as it is."""
    try:
        settings = settings_for(file, workspace.home / "presets")
        submission = identify(file.path, settings, driver=Driver.SENSORS, origin="drop folder")
    except InvalidSettings as error:
        submission = identify(file.path, ConversionSettings(), driver=Driver.SENSORS, origin="drop folder")
        submit(workspace, submission)
        refuse(workspace, submission, str(error))
        context.log.error(str(error))
        return
    except (StereoSpotError, OSError) as error:
        context.log.warning(f"{file.path.name}: not taken in: {error}")
        return
    if workspace.has_submission(submission.video) and workspace.submission(submission.video).driver is Driver.SENSORS:
        context.log.info(f"{file.path.name} is known as {submission.video}")
        return
    submit(workspace, submission)
    context.log.info(f"{file.path.name} is video {submission.video}")


def _take_in_requests(workspace: Workspace, after: str) -> tuple[list[dg.RunRequest], str]:
    """Runs for videos that are handed in but not planned, from the next slice of all videos."""
    requests = []
    part, position = next_slice(workspace, after, _SLICE)
    for video in part:
        try:
            progress = video_progress(workspace, video)
        except UnknownVideo:
            continue
        if progress.submission.driver is Driver.SENSORS and progress.stage in (Stage.SUBMITTED, Stage.PLANNING):
            key = f"{video}:take-in:{progress.submission.settings.fingerprint}:{workspace.attempt(video)}"
            requests.append(dg.RunRequest(run_key=key, partition_key=video, tags={VIDEO_TAG: video}))
    return requests, position


class _Memory:
    """The sensor's cursor: what was seen of each file, and the position of the walk."""

    def __init__(self, files: dict[str, dict[str, Any]], video: str) -> None:
        self._files = files
        self.video = video

    @classmethod
    def parse(cls, cursor: str | None) -> "_Memory":
        try:
            stored = json.loads(cursor or "{}")
            return cls(dict(stored.get("files", {})), str(stored.get("video", "")))
        except (ValueError, AttributeError):
            return cls({}, "")

    def __str__(self) -> str:
        return json.dumps({"files": self._files, "video": self.video})

    def forget_all_but(self, paths: set[str]) -> None:
        self._files = {path: seen for path, seen in self._files.items() if path in paths}

    def is_stable(self, file: DroppedFile, now: float) -> bool:
        """True once, when the file has not changed for :data:`STABLE_S` and nobody has it open for writing."""
        seen = self._files.get(str(file.path))
        if seen is None or seen["state"] != file.state:
            self._files[str(file.path)] = {"state": file.state, "since": now, "done": False}
            return False
        return not seen["done"] and now - seen["since"] >= STABLE_S and not _is_open_for_writing(file.path)

    def mark_done(self, file: DroppedFile) -> None:
        self._files[str(file.path)]["done"] = True


def _folders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _is_open_for_writing(path: Path) -> bool:
    """Whether a process of this machine has the file open for writing (Linux; elsewhere False)."""
    try:
        wanted = path.stat()
        processes = [entry for entry in os.listdir("/proc") if entry.isdigit()]
    except OSError:
        return False
    for process in processes:
        folder = f"/proc/{process}/fd"
        try:
            for descriptor in os.listdir(folder):
                if os.path.samestat(os.stat(f"{folder}/{descriptor}"), wanted):
                    with open(f"/proc/{process}/fdinfo/{descriptor}", encoding="ascii") as info:
                        flags = next(line for line in info if line.startswith("flags:"))
                    if int(flags.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY:
                        return True
        except (OSError, StopIteration):
            continue
    return False
