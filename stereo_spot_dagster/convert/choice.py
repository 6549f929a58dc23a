"""Which models a video is converted with: decided once, recorded with the reason."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..domain.errors import DownloadFailed, InvalidSettings, ToolUnavailable, WeightsBroken
from ..domain.machine import MachineSettings
from ..domain.models import DepthKind, parse_depth
from ..domain.settings import ConversionSettings, Inpaint
from ..weights import ModelWeights, find, identity, locate, require_acceptance, verify, with_needs
from ..weights.cache import commit, offline
from ..weights.pull import can_be_had, obtain

_LOG = logging.getLogger(__name__)
# Below this the diffusion models run only with most of them in main memory, slower than a night for a short clip.
_DIFFUSION_GB = 12.0
# Cards are sold with round numbers of which the driver keeps some; the limit must not refuse a card of 12 GB.
_DRIVER_SHARE = 0.93
_DIFFUSION_PACKAGES = ("torch", "diffusers", "transformers")
_PICTURE_PACKAGES = ("torch", "transformers")
_DEFAULT_PICTURE_MODEL = "depth-anything-v2-small"
_ASKED = "it was asked for"


@dataclass(frozen=True)
class ModelChoice:
    """What a video is converted with.

    Attributes:
        depth: a depth setting other than ``auto``.
        depth_reason: why, in words.
        depth_digest: of what else depth depends on: options and weights; empty for ``cues`` and ``file:``.
        inpaint: how occlusions are filled, never ``AUTO``.
        inpaint_reason: why, in words.
    """

    depth: str
    depth_reason: str
    depth_digest: str
    inpaint: Inpaint
    inpaint_reason: str


def choose_models(settings: ConversionSettings) -> ModelChoice:
    """The models that ``settings`` stand for on this machine.

    What was asked for and is not here is downloaded; weights are checked before any work is done with them.

    Raises:
        InvalidSettings: a licence has to be accepted, or a file that was named does not exist.
        ToolUnavailable: packages that the model needs are not installed.
        WeightsMissing: its weights are not here, and the network may not be used.
        WeightsBroken: its weights are damaged or another model's.
        DownloadFailed: its weights cannot be downloaded.
    """
    machine = MachineSettings.from_environment()
    # Depth first: whoever asks for both models is told about the first one's licence first.
    depth, depth_reason = _choose_depth(settings, machine)
    inpaint, inpaint_reason = _choose_inpaint(settings, machine)
    return ModelChoice(depth, depth_reason, _depth_digest(settings, machine, depth), inpaint, inpaint_reason)


@dataclass(frozen=True)
class ModelPreview:
    """What ``auto`` would stand for: the fields of :class:`ModelChoice` that can be told without downloading."""

    depth: str
    depth_reason: str
    inpaint: Inpaint
    inpaint_reason: str


def preview_models(settings: ConversionSettings) -> ModelPreview:
    """What ``auto`` would choose for depth and occlusions now; downloads nothing.

    Args:
        settings: only the word on licences counts.
    """
    machine = MachineSettings.from_environment()
    automatic = ConversionSettings(accept_noncommercial=settings.accept_noncommercial)
    depth, depth_reason = _automatic_depth(automatic, machine, download=False)
    inpaint, inpaint_reason = _choose_inpaint(automatic, machine)
    return ModelPreview(depth, depth_reason, inpaint, inpaint_reason)


def _choose_depth(settings: ConversionSettings, machine: MachineSettings) -> tuple[str, str]:
    choice = parse_depth(settings.depth)
    match choice.kind:
        case DepthKind.AUTO:
            return _automatic_depth(settings, machine, download=True)
        case DepthKind.DEPTHCRAFTER:
            _prepare(find("depthcrafter"), settings, machine, _DIFFUSION_PACKAGES)
        case DepthKind.TRANSFORMERS:
            _prepare(find(choice.name), settings, machine, _PICTURE_PACKAGES)
        case DepthKind.ONNX:
            _need_packages("onnx", ("onnxruntime",), machine)
            if not Path(choice.path).is_file():
                raise InvalidSettings(choice.path, "there is no such file", "Correct the path after onnx:")
    return settings.depth, _ASKED


def prepare_inpainter(settings: ConversionSettings) -> None:
    """Pass if the inpainter that was asked for can be used, as :func:`choose_models` does; ``auto`` stays as decided.

    Raises:
        InvalidSettings, ToolUnavailable, WeightsMissing, WeightsBroken, DownloadFailed: as :func:`choose_models`.
    """
    if settings.inpaint is not Inpaint.AUTO:
        _choose_inpaint(settings, MachineSettings.from_environment())


def _choose_inpaint(settings: ConversionSettings, machine: MachineSettings) -> tuple[Inpaint, str]:
    entry = find("stereocrafter")
    if settings.inpaint is Inpaint.STEREOCRAFTER:
        _prepare(entry, settings, machine, _DIFFUSION_PACKAGES)
    if settings.inpaint is not Inpaint.AUTO:
        return settings.inpaint, _ASKED
    obstacle = _diffusion_obstacle(entry, settings, machine)
    if obstacle:
        return Inpaint.BACKGROUND, obstacle
    return Inpaint.STEREOCRAFTER, "there is a GPU with enough memory, its weights are here, its licence is accepted"


def _automatic_depth(settings: ConversionSettings, machine: MachineSettings, *, download: bool) -> tuple[str, str]:
    obstacle = _diffusion_obstacle(find("depthcrafter"), settings, machine)
    if not obstacle:
        return "depthcrafter", "there is a GPU with enough memory, its weights are here, its licence is accepted"
    second = _picture_obstacle(find(_DEFAULT_PICTURE_MODEL), machine, download=download)
    if not second:
        return _DEFAULT_PICTURE_MODEL, f"depthcrafter is not used: {obstacle}"
    return "cues", f"{obstacle}; {second}"


def _diffusion_obstacle(entry: ModelWeights, settings: ConversionSettings, machine: MachineSettings) -> str:
    """Why a diffusion model is not used by itself, or nothing. What is cheap to find out is asked first: importing
    torch takes seconds and 200 MB."""
    if machine.worker_vram is None and not _has_driver(machine):
        return "no GPU" if machine.device == "auto" else f"no GPU is used with STEREO_SPOT_DEVICE={machine.device}"
    if not settings.accept_noncommercial:
        return f"the licence of {entry.name} was not accepted"
    if machine.worker_vram is not None:
        # The workers have the packages, and get weights they lack when they load them.
        return _memory_obstacle(entry, machine.worker_vram, _DIFFUSION_GB)
    lacking = _lacking(_DIFFUSION_PACKAGES)
    if lacking:
        return f"{lacking} is not installed"
    for needed in with_needs(entry):
        obstacle = _weights_obstacle(needed, machine)
        if obstacle:
            return obstacle
    memory_gb = _gpu_memory_gb(machine)
    if memory_gb is None:
        return "torch cannot use the GPU"
    return _memory_obstacle(entry, memory_gb, _DIFFUSION_GB * _DRIVER_SHARE)


def _memory_obstacle(entry: ModelWeights, memory_gb: float, least_gb: float) -> str:
    if memory_gb >= least_gb:
        return ""
    return f"the GPU has {memory_gb:.0f} GB and {entry.name} needs {_DIFFUSION_GB:.0f}"


def _weights_obstacle(entry: ModelWeights, machine: MachineSettings) -> str:
    if not locate(entry, machine):
        return f"the weights of {entry.name} are not here (stereo-spot models pull {entry.name})"
    try:
        verify(entry, machine=machine)
    except WeightsBroken as error:
        return f"the weights of {entry.name} are broken: {error.cause}"
    return ""


def _picture_obstacle(entry: ModelWeights, machine: MachineSettings, *, download: bool) -> str:
    """Why a single-picture model is not used by itself, or nothing; with ``download`` its weights are here then."""
    lacking = _lacking(_PICTURE_PACKAGES)
    if lacking:
        return f"{lacking} is not installed"
    if not locate(entry, machine):
        if offline():
            return f"the weights of {entry.name} are not cached and the network may not be used (HF_HUB_OFFLINE)"
        if not can_be_had(entry):
            return f"the weights of {entry.name} are not cached and the hub cannot be reached"
        if not download:
            return ""
        try:
            _LOG.info("downloading the weights of %s (%s)", entry.name, entry.size)
            obtain(entry, machine)
        except (DownloadFailed, ToolUnavailable) as error:
            _LOG.warning("%s", error)
            return f"the weights of {entry.name} could not be downloaded: {error.cause}"
    return _weights_obstacle(entry, machine)


def _prepare(
    entry: ModelWeights, settings: ConversionSettings, machine: MachineSettings, packages: Sequence[str]
) -> None:
    """Pass if a model that was asked for can be used; its weights are here and whole afterwards.

    A machine that only plans for others (``worker_vram``) needs neither packages nor weights.
    """
    require_acceptance(entry, settings)
    if machine.worker_vram is not None:
        return
    _need_packages(entry.name, packages, machine)
    for needed in with_needs(entry):
        if not locate(needed, machine) and not offline():
            _LOG.info("downloading the weights of %s (%s)", needed.name, needed.size)
        obtain(needed, machine)
        verify(needed, machine=machine)


def _need_packages(name: str, packages: Sequence[str], machine: MachineSettings) -> None:
    lacking = _lacking(packages)
    if lacking and machine.worker_vram is None:
        remedy = "Run: pip install 'stereo-spot-dagster[models]'"
        raise ToolUnavailable(name, f"it needs {lacking}, which is not installed", remedy)


def _lacking(packages: Sequence[str]) -> str:
    """The first of ``packages`` that is not installed, or nothing; none is imported."""
    return next((package for package in packages if importlib.util.find_spec(package) is None), "")


def _has_driver(machine: MachineSettings) -> bool:
    """True if the device may be an NVIDIA GPU and its driver is installed."""
    if machine.device in ("cpu", "mps"):
        return False
    return bool(shutil.which("nvidia-smi")) or Path("/proc/driver/nvidia/version").exists()


def _gpu_memory_gb(machine: MachineSettings) -> float | None:
    """Memory of the GPU that is used, GB, or the share the user allows of it; None if torch sees no GPU."""
    import torch

    if not torch.cuda.is_available():
        return None
    index = int(machine.device.partition(":")[2] or 0)
    if index >= torch.cuda.device_count():
        return None
    memory = torch.cuda.get_device_properties(index).total_memory / 1e9
    return min(memory, machine.vram) if machine.vram is not None else memory


def _depth_digest(settings: ConversionSettings, machine: MachineSettings, depth: str) -> str:
    """16 hex digits of a model's options and weights; empty where depth depends on neither."""
    choice = parse_depth(depth)
    if choice.kind in (DepthKind.CUES, DepthKind.FILE):
        return ""
    if choice.kind is DepthKind.ONNX:
        with open(choice.path, "rb") as file:
            weights = {"onnx": hashlib.file_digest(file, "sha256").hexdigest()}
    else:
        used = with_needs(find(choice.name or depth))
        weights = {entry.name: _weights_identity(entry, machine) for entry in used}
    options = settings.depth_options(depth)
    content = [options.model_dump(mode="json") if options else {}, weights]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _weights_identity(entry: ModelWeights, machine: MachineSettings) -> str:
    folder = locate(entry, machine)
    return identity(entry, folder) if folder else commit(entry)
