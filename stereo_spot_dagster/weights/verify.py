"""Whether weights are whole and are those of the model, from the headers of the files: no network is built."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from pathlib import Path

from ..domain.errors import WeightsBroken
from ..domain.machine import MachineSettings
from .cache import file_path, require, weight_paths
from .catalogue import ModelWeights, WeightFile

_SHA256 = re.compile(r"^[0-9a-f]{64}$")
# The largest published headers are a few megabytes; a random first word is most likely above this.
_LARGEST_HEADER = 100 << 20
_UNET_WEIGHTS = "diffusion_pytorch_model.safetensors"
_UNET_KINDS = {
    4: "an image UNet (4 input channels)",
    8: "a depth UNet (8 input channels)",
    9: "an inpainting UNet (9 input channels)",
}


def verify(entry: ModelWeights, *, full: bool = False, machine: MachineSettings | None = None) -> Path:
    """Check the weights of ``entry`` on this machine.

    Args:
        full: read every byte and compare checksums where they are known; else only headers and sizes.

    Returns:
        The folder they lie in.

    Raises:
        WeightsMissing: they are not here.
        WeightsBroken: says all that is wrong.
    """
    folder = require(entry, machine)
    wrong = problems(entry, folder, full=full)
    if wrong:
        remedy = f"Delete {folder} and run: stereo-spot models pull {entry.name}"
        raise WeightsBroken(entry.name, "; ".join(wrong), remedy)
    return folder


def problems(entry: ModelWeights, folder: Path, *, full: bool = False) -> list[str]:
    """All that is wrong with the weights of ``entry`` in ``folder``, one sentence each without a stop."""
    wrong = []
    # Sizes and checksums of the catalogue are those of its revision; a user's own copy may be of another.
    published = folder.name == entry.revision
    for file in _files(entry, folder):
        known = file if published else file.model_copy(update={"size": 0, "sha256": ""})
        path = file_path(entry, folder, file.path)
        found = _wrong_file(known, path, full=full) if path else f"{file.path} is missing"
        if found:
            wrong.append(found)
    if not wrong and entry.in_channels:
        found = _wrong_unet(entry, folder)
        wrong += [found] if found else []
    return wrong


def check_unet(entry: ModelWeights, folder: Path) -> None:
    """Check that ``folder`` (``config.json`` and weights) holds the UNet of ``entry`` and not another model's.

    Raises:
        WeightsBroken: names the file and what it is instead.
    """
    found = _wrong_unet(entry, folder)
    if found:
        remedy = f"Put the right files there, or run: stereo-spot models pull {entry.name}"
        raise WeightsBroken(entry.name, found, remedy)


def tensors(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors in a safetensors file, from its header.

    Raises:
        ValueError: it is not such a file, or is cut off; in words.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= _LARGEST_HEADER:
            raise ValueError(f"{path} is not a safetensors file")
        if 8 + length > size:
            raise ValueError(f"{path} is cut off within its header: {size} bytes")
        text = file.read(length)
    try:
        header = json.loads(text)
        entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
        shapes = {name: tuple(map(int, entry["shape"])) for name, entry in entries.items()}
        end = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise ValueError(f"{path} is not a safetensors file") from None
    if 8 + length + end != size:
        raise ValueError(f"{path} is cut off or damaged: it has {size} bytes and should have {8 + length + end}")
    return shapes


def _files(entry: ModelWeights, folder: Path) -> list[WeightFile]:
    if entry.files:
        return list(entry.files)
    return [WeightFile(path=path.name) for path in weight_paths(entry, folder)]


def _wrong_file(file: WeightFile, path: Path, *, full: bool) -> str:
    """What is wrong with one file, or nothing."""
    size = path.stat().st_size
    if file.size and size != file.size:
        return f"{path} has {size} bytes and should have {file.size}"
    if path.suffix == ".safetensors":
        try:
            names = tensors(path)
        except ValueError as error:
            return str(error)
        lacking = [prefix for prefix in file.needs if not any(name.startswith(prefix) for name in names)]
        if lacking:
            return f"{path} has no tensors called {', '.join(prefix + '*' for prefix in lacking)}"
    elif path.suffix == ".json":
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, OSError):
            return f"{path} is not valid JSON"
    elif path.suffix == ".bin" and not zipfile.is_zipfile(path):
        # The directory of a zip file is at its end, so a file that is cut off fails here too.
        return f"{path} is cut off or is not a PyTorch checkpoint"
    if full:
        known = _blob_sha256(path) or file.sha256
        if known and _sha256(path) != known:
            return f"{path} does not have the checksum that it has on the hub"
    return ""


def _wrong_unet(entry: ModelWeights, folder: Path) -> str:
    """Why ``folder`` is not the UNet of ``entry``, or nothing; only the number of input channels is fixed."""
    path = folder / _UNET_WEIGHTS
    if not path.is_file():
        return f"there is no {path}"
    try:
        shape = tensors(path).get("conv_in.weight", ())
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        return str(error)
    except OSError:
        return f"there is no {folder / 'config.json'}"
    channels = shape[1] if len(shape) == 4 else 0
    if channels != entry.in_channels:
        what = _UNET_KINDS.get(channels, f"a UNet with {channels} input channels" if channels else "not a UNet")
        return f"this is {what}, {entry.name} needs {entry.in_channels}: {path}"
    declared = config.get("in_channels") if isinstance(config, dict) else None
    if declared != channels:
        return f"{folder / 'config.json'} says {declared} input channels, the weights beside it have {channels}"
    return ""


def _blob_sha256(path: Path) -> str:
    """The checksum that the hub's cache gave a large file as its name; empty for small files and copies."""
    blob = path.resolve().name
    return blob if path.is_symlink() and _SHA256.match(blob) else ""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
