"""Depth by a user's own network in an ONNX file."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...domain.models import PictureDepthOptions
from .picture_model import normalised
from .pictures import ModelFailed, PictureByPicture, inference_size

if TYPE_CHECKING:
    from ..devices import Device

_MEAN, _STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
# Of the networks in use: 14 (Depth Anything) and 32 (MiDaS) do not both divide a handy size, so the user's model
# has to say a fixed size if it needs another multiple.
MULTIPLE = 14
_REMEDY = (
    "It needs one input [N, 3, H, W] of float32, normalised with the statistics of ImageNet, and one output "
    "[N, H, W] or [N, 1, H, W], larger is nearer"
)


class OnnxDepth(PictureByPicture):
    """Relative depth by the network in an ONNX file.

    Input ``[N, 3, H, W]`` float32, RGB normalised with the statistics of ImageNet; N, H and W fixed or free. Output
    ``[N, H, W]`` or ``[N, 1, H, W]`` of any size, larger is nearer. Where H and W are free they are multiples of 14.

    Args:
        path: the file; loaded with it.
        options: see :class:`PictureDepthOptions`; ``side`` and ``batch`` only count where the file leaves them free.
        device: where it runs.

    Raises:
        ModelFailed: it cannot be loaded, or has other inputs and outputs.
    """

    def __init__(self, path: Path, options: PictureDepthOptions, device: Device) -> None:
        self.name = f"onnx:{path.name}"
        self._path = path
        self._device = device
        self._options = options
        batch, self._height, self._width = self._signature()
        super().__init__(batch or options.batch, stabilise=options.stabilise)

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """The size the file fixes, else the short side as chosen and the aspect kept."""
        free = inference_size(width, height, self._options.side, MULTIPLE)
        return self._width or free[0], self._height or free[1]

    @property
    def device(self) -> str:
        return self._device.name if self._provider == "CUDAExecutionProvider" else "CPU"

    def notes(self) -> tuple[str, ...]:
        if self._device.is_cuda and self._provider != "CUDAExecutionProvider":
            return ("onnxruntime was built without CUDA: the network ran on the CPU",)
        return ()

    @property
    def _provider(self) -> str:
        return self._session.get_providers()[0]

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        providers: list[Any] = ["CPUExecutionProvider"]
        if self._device.is_cuda and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            index = int(self._device.torch.partition(":")[2] or 0)
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": index}))
        try:
            return onnxruntime.InferenceSession(str(self._path), options, providers=providers)
        except Exception as error:  # its exceptions have no common base
            first_line = next(iter(str(error).splitlines()), "")[:200]
            raise ModelFailed(self._path.name, f"onnxruntime cannot load it ({first_line})", "Check the file") from None

    def _signature(self) -> tuple[int, int, int]:
        """(N, H, W) of the input; 0 where it is free."""
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or len(outputs) != 1:
            what = f"it has {len(inputs)} inputs and {len(outputs)} outputs"
            raise ModelFailed(self._path.name, what, _REMEDY)
        taken, given = inputs[0], outputs[0]
        # A free length is a name or None.
        colour = len(taken.shape) == 4 and (taken.shape[1] == 3 or not isinstance(taken.shape[1], int))
        if taken.type != "tensor(float)" or not colour:
            what = f"its input '{taken.name}' is {taken.type} {taken.shape}"
            raise ModelFailed(self._path.name, what, _REMEDY)
        if given.type != "tensor(float)" or len(given.shape) not in (3, 4):
            what = f"its output '{given.name}' is {given.type} {given.shape}"
            raise ModelFailed(self._path.name, what, _REMEDY)
        batch, _, height, width = (length if isinstance(length, int) else 0 for length in taken.shape)
        return batch, height, width

    def _infer(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        name = self._session.get_inputs()[0].name
        try:
            depths = self._session.run(None, {name: normalised(batch, _MEAN, _STD)})[0]
        except Exception as error:  # its exceptions have no common base
            height, width = batch.shape[1:3]
            first_line = next(iter(str(error).splitlines()), "")[:200]
            cause = f"it fails on pictures of {width}x{height} ({first_line})"
            raise ModelFailed(self._path.name, cause, "Export it with a fixed size, or choose another side") from None
        if depths.ndim == 4 and depths.shape[1] == 1:
            depths = depths[:, 0]
        if depths.ndim != 3 or len(depths) != len(batch):
            raise ModelFailed(self._path.name, f"its output has the shape {list(depths.shape)}", _REMEDY)
        height, width = batch.shape[1:3]
        if depths.shape[1:] != (height, width):
            depths = np.stack([cv2.resize(depth, (width, height), interpolation=cv2.INTER_LINEAR) for depth in depths])
        return np.asarray(depths, np.float32)
