"""Depth Anything and MiDaS/DPT: networks of transformers that see one picture at a time."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...domain.models import PictureDepthOptions
from .pictures import ModelFailed, PictureByPicture, inference_size

if TYPE_CHECKING:
    from ..devices import Device

_FAMILIES = ("depth_anything", "dpt")
# Preprocessing of the families where a repository does not say it: side and multiple it was trained with.
TRAINED = {"depth_anything": (518, 14), "dpt": (384, 32)}
_IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
# Metric models give metres. Nearer than this there is nothing that anybody films.
_NEAREST_M = 0.05


class PictureModelDepth(PictureByPicture):
    """Relative depth by a Depth Anything (V1 or V2) or DPT (MiDaS) network, larger is nearer.

    Metric variants of Depth Anything give distances; their inverse is taken. The network is loaded with the first
    pictures, so that a plan can be made without it.

    Args:
        name: as the user writes it.
        folder: with ``config.json``, ``model.safetensors`` and perhaps ``preprocessor_config.json``.
        options: see :class:`PictureDepthOptions`. A ``side`` that is at its default is the one the network was
            trained with.
        device: where it runs.

    Raises:
        ModelFailed: the folder holds another kind of model.
    """

    def __init__(self, name: str, folder: Path, options: PictureDepthOptions, device: Device) -> None:
        self.name = name
        self._folder = folder
        self._device = device
        config = _read_json(folder / "config.json")
        self._family = str(config.get("model_type", ""))
        if self._family not in _FAMILIES:
            what = f"it is a model of the kind '{self._family or 'unknown'}'"
            raise ModelFailed(name, what, f"Use one of the kinds {', '.join(_FAMILIES)}")
        backbone = config.get("backbone_config") or {}
        # DPT without a backbone of its own kind (MiDaS) takes its patches for a square; its hybrid knows one size.
        self._square = self._family == "dpt" and (not backbone or bool(config.get("is_hybrid")))
        self._metric = config.get("depth_estimation_type") == "metric"
        self._preparation = _read_json(folder / "preprocessor_config.json")
        trained_side, trained_multiple = TRAINED[self._family]
        if backbone and not self._square:
            trained_multiple = int(backbone.get("patch_size") or 14)
        size = self._preparation.get("size")
        if isinstance(size, dict):
            size = size.get("height") or size.get("shortest_edge")
        trained_side = int(size or trained_side)
        # The old DPT repositories say 1, but their network needs patches of 16 that are halved again.
        self._multiple = max(int(self._preparation.get("ensure_multiple_of") or 1), trained_multiple)
        chosen = options.side != PictureDepthOptions().side and not config.get("is_hybrid")
        self._side = options.side if chosen else trained_side
        super().__init__(options.batch, stabilise=options.stabilise)

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """The short side as chosen, rounded to what the network takes; the aspect kept, or a square for MiDaS."""
        if self._square:
            width = height = self._side
        return inference_size(width, height, self._side, self._multiple)

    def reset(self, first_frame: int = 0) -> None:
        super().reset(first_frame)
        self._device.reset_peak()

    @property
    def device(self) -> str:
        return self._device.name

    @property
    def peak_memory_mb(self) -> float:
        return self._device.peak_memory_mb()

    @cached_property
    def _network(self) -> Any:
        from transformers import AutoModelForDepthEstimation
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        # Some older repositories have only torch's own file, of which nothing but numbers is read.
        safetensors = any(self._folder.glob("*.safetensors"))
        network = AutoModelForDepthEstimation.from_pretrained(
            self._folder, dtype=self._device.dtype, local_files_only=True, use_safetensors=safetensors
        )
        return network.to(self._device.torch).eval()

    def _infer(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        pixels = torch.from_numpy(self._normalised(batch)).to(self._device.torch, self._device.dtype)
        with torch.inference_mode():
            depths = self._network(pixel_values=pixels).predicted_depth.float().cpu().numpy()
        height, width = batch.shape[1:3]
        if depths.shape[1:] != (height, width):
            depths = np.stack([cv2.resize(depth, (width, height), interpolation=cv2.INTER_LINEAR) for depth in depths])
        if self._metric:
            depths = 1 / np.maximum(depths, np.float32(_NEAREST_M))
        return np.asarray(depths, np.float32)

    def _normalised(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``[N, 3, h, w]`` float32 with the statistics that the network was trained with."""
        default_mean, default_std = _IMAGENET if self._family == "depth_anything" else ([0.5] * 3, [0.5] * 3)
        mean = self._preparation.get("image_mean") or default_mean
        std = self._preparation.get("image_std") or default_std
        return normalised(batch, mean, std)


def normalised(batch: NDArray[np.uint8], mean: list[float], std: list[float]) -> NDArray[np.float32]:
    """``[N, 3, h, w]`` float32: pictures ``[N, h, w, 3]`` in 0..1, less ``mean``, divided by ``std``."""
    # uint8 times float32 is float32: no copy in double precision.
    scale = np.float32(1) / (np.float32(255) * np.asarray(std, np.float32))
    shift = -np.asarray(mean, np.float32) / np.asarray(std, np.float32)
    return np.ascontiguousarray((batch * scale + shift).transpose(0, 3, 1, 2), np.float32)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelFailed(path.name, f"it cannot be read ({error})", "Fetch the model again") from None
    return content if isinstance(content, dict) else {}
