"""Where weights lie on this machine: the user's own folder first, then the cache that the hub's programs share."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

from ..domain.errors import WeightsMissing
from ..domain.machine import MachineSettings
from .catalogue import ModelWeights

_COMMIT = re.compile(r"^[0-9a-f]{40}$")
_TRUE = ("1", "ON", "YES", "TRUE")
# Beside the branches and tags that the hub's client remembers: another program that downloads the same repository
# moves those, and must not change the depth of a film that is half done.
_OUR_REFS = "stereo-spot"
_SUBFOLDERS = ("", "unet_diffusers", "unet")
_SAMPLE = 1 << 20


def offline() -> bool:
    """True if the user forbade to use the network: ``HF_HUB_OFFLINE=1``."""
    return any(os.environ.get(name, "").upper() in _TRUE for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def hub_cache() -> Path:
    """The cache that all programs share which use the hub: ``$HF_HUB_CACHE``, ``$HF_HOME/hub`` or the default."""
    chosen = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if chosen:
        return Path(os.path.expandvars(chosen)).expanduser()
    home = os.environ.get("HF_HOME")
    if home:
        return Path(os.path.expandvars(home)).expanduser() / "hub"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "huggingface" / "hub"


def commit(entry: ModelWeights) -> str:
    """The commit that is used: the one that was pulled, else the pinned one, else what the cache has; may be empty."""
    refs = _repository(entry) / "refs"
    pulled = _read_ref(refs / _OUR_REFS / entry.revision)
    if pulled or entry.pinned:
        return pulled or entry.revision
    return _read_ref(refs / entry.revision)


def remember(entry: ModelWeights, resolved: str) -> None:
    """Use the commit ``resolved`` of the repository from now on."""
    ref = _repository(entry) / "refs" / _OUR_REFS / entry.revision
    ref.parent.mkdir(parents=True, exist_ok=True)
    written = ref.with_name(ref.name + ".part")
    written.write_text(resolved, encoding="ascii")
    written.replace(ref)


def locate(entry: ModelWeights, machine: MachineSettings | None = None) -> Path | None:
    """The folder with all files of ``entry``, or None; no network is used.

    ``$STEREO_SPOT_MODELS/<name>`` wins over the cache of the hub. UNets may lie there in a subfolder ``unet`` or
    ``unet_diffusers``, and files of half precision may have their plain names.
    """
    machine = machine or MachineSettings.from_environment()
    if machine.models:
        own = Path(machine.models).expanduser() / entry.name
        for subfolder in _SUBFOLDERS if entry.in_channels else ("",):
            if _complete(entry, own / subfolder):
                return own / subfolder
    resolved = commit(entry)
    snapshot = _repository(entry) / "snapshots" / resolved
    return snapshot if resolved and _complete(entry, snapshot) else None


def require(entry: ModelWeights, machine: MachineSettings | None = None) -> Path:
    """The folder with all files of ``entry``.

    Raises:
        WeightsMissing: it is not on this machine; says how to get it, how large it is, and its licence.
    """
    found = locate(entry, machine)
    if found:
        return found
    remedy = f"Run: stereo-spot models pull {entry.name} ({entry.size}, licence: {entry.licence})"
    if entry.gated:
        remedy += f"; first accept the terms at {entry.page} and set HF_TOKEN to your token"
    raise WeightsMissing(entry.name, "its weights are not on this machine", remedy)


def file_path(entry: ModelWeights, folder: Path, path: str) -> Path | None:
    """Where a file of ``entry`` lies in ``folder``, under its name or the one without ``.fp16``; None if nowhere."""
    for name in (path, path.replace(".fp16.", ".")):
        if (folder / name).is_file():
            return folder / name
    return None


def weight_paths(entry: ModelWeights, folder: Path) -> list[Path]:
    """The files of ``entry`` in ``folder``, sorted; those that are missing are left out."""
    if entry.files:
        found = [file_path(entry, folder, file.path) for file in entry.files]
        return sorted(path for path in found if path)
    return sorted(path for path in folder.glob("*") if path.is_file() and entry.takes(path.name))


def identity(entry: ModelWeights, folder: Path) -> str:
    """What distinguishes these weights from other ones of the same name: the commit, or for a user's own folder
    ``folder:`` and 16 hex digits of the files' sizes, beginnings and ends."""
    if folder.parent.name == "snapshots" and _COMMIT.match(folder.name):
        return folder.name
    digest = hashlib.sha256()
    for path in weight_paths(entry, folder):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder)}:{size}".encode())
        with path.open("rb") as file:
            # The beginning of a safetensors file names its tensors; all of it would be gigabytes.
            digest.update(file.read(_SAMPLE))
            file.seek(max(0, size - _SAMPLE))
            digest.update(file.read(_SAMPLE))
    return f"folder:{digest.hexdigest()[:16]}"


def _repository(entry: ModelWeights) -> Path:
    return hub_cache() / f"models--{entry.repo.replace('/', '--')}"


def _read_ref(path: Path) -> str:
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return text if _COMMIT.match(text) else ""


def _complete(entry: ModelWeights, folder: Path) -> bool:
    """True if nothing is missing; what is in the files is not looked at."""
    if entry.files:
        return all(file_path(entry, folder, file.path) for file in entry.files)
    if not (folder / "config.json").is_file():
        return False
    if (folder / "model.safetensors").is_file():
        return True
    try:
        index = json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))
        shards = set(index["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError):
        return False
    return bool(shards) and all((folder / shard).is_file() for shard in shards)
