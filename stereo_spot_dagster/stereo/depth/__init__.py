"""Depth estimators, one file each."""

from __future__ import annotations

from pathlib import Path

from ...domain.machine import MachineSettings
from ...domain.models import DepthChoice, DepthCrafterOptions, DepthKind, ModelOptions, PictureDepthOptions, parse_depth
from .base import DepthEstimator
from .cues import CuesDepth
from .traits import DepthTraits, depth_traits

__all__ = ["CuesDepth", "DepthEstimator", "DepthTraits", "depth_traits", "make_depth_estimator"]


def make_depth_estimator(depth: str, options: ModelOptions | None) -> DepthEstimator:
    """The estimator that ``depth`` names, loaded; keep it for all segments.

    Args:
        depth: a decided depth setting: not ``auto``, and not ``file:``, which needs no estimator.
        options: of that model, as ``ConversionSettings.depth_options`` gives them.

    Raises:
        InvalidSettings: the device that this machine is set to is not there.
        WeightsMissing: the weights are not on this machine.
        ModelFailed: the weights are those of another kind of model.
    """
    choice = parse_depth(depth)
    match choice.kind:
        case DepthKind.CUES:
            return CuesDepth()
        case DepthKind.DEPTHCRAFTER:
            return _depthcrafter(options)
        case DepthKind.TRANSFORMERS | DepthKind.ONNX:
            return _picture_model(choice, options)
    raise ValueError(f"no depth estimator is called {depth}")


def _depthcrafter(options: ModelOptions | None) -> DepthEstimator:
    # Only now, as below.
    from ..diffusion.pretrained import load_networks
    from .depthcrafter import DepthCrafterDepth

    own = options if isinstance(options, DepthCrafterOptions) else DepthCrafterOptions()
    return DepthCrafterDepth(load_networks("depthcrafter", 8, MachineSettings.from_environment()), own)


def _picture_model(choice: DepthChoice, options: ModelOptions | None) -> DepthEstimator:
    # Only now: torch takes seconds and 200 MB, and depth from cues needs none of it.
    from ...weights import find, require
    from ..devices import choose_device
    from .onnx_model import OnnxDepth
    from .picture_model import PictureModelDepth

    machine = MachineSettings.from_environment()
    own = options if isinstance(options, PictureDepthOptions) else PictureDepthOptions()
    device = choose_device(machine)
    if choice.kind is DepthKind.ONNX:
        return OnnxDepth(Path(choice.path), own, device)
    return PictureModelDepth(choice.name, require(find(choice.name), machine), own, device)
