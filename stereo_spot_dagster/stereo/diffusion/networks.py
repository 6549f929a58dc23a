"""The networks of Stable Video Diffusion, loaded from folders and checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...domain.errors import WeightsBroken
from ..devices import Device
from .memory import Offload


class Networks:
    """The denoiser, the autoencoder, the image encoder and the scheduler of one model, in evaluation mode.

    A process keeps the networks of several models, but only those of the model used last lie on the device.

    Attributes:
        device: where they run.
        scheduler: diffusers' ``EulerDiscreteScheduler``.

    Args:
        unet: an ``UNetSpatioTemporalConditionModel``.
        autoencoder: an ``AutoencoderKLTemporalDecoder``.
        image_encoder: a ``CLIPVisionModelWithProjection``.
        scheduler: see above.
        device: see above.
    """

    _on_device: ClassVar[Networks | None] = None

    def __init__(self, unet: Any, autoencoder: Any, image_encoder: Any, scheduler: Any, device: Device) -> None:
        self.device = device
        self.scheduler = scheduler
        self._parts: dict[str, Any] = {"unet": unet, "autoencoder": autoencoder, "image_encoder": image_encoder}
        self._offload: Offload | None = None
        self._compiled = False
        for part in self._parts.values():
            part.requires_grad_(False).eval()

    @classmethod
    def load(cls, base: Path, unet: Path, in_channels: int, device: Device) -> Networks:
        """Load from a Stable Video Diffusion folder and a folder with the denoiser.

        Args:
            base: folder with ``image_encoder``, ``vae`` and ``scheduler``.
            unet: folder with ``config.json`` and ``diffusion_pytorch_model.safetensors``.
            in_channels: channels the denoiser must take: 9 for StereoCrafter, 8 for DepthCrafter.
            device: where they will run.

        Raises:
            WeightsBroken: a file is missing, damaged, or holds another model.
        """
        from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import AutoencoderKLTemporalDecoder
        from diffusers.models.unets.unet_spatio_temporal_condition import UNetSpatioTemporalConditionModel
        from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
        from transformers import CLIPVisionModelWithProjection
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()
        dtype = device.dtype
        denoiser = _load(UNetSpatioTemporalConditionModel, unet, None, dtype)
        taken = denoiser.conv_in.weight.shape[1]
        if taken != in_channels:
            names = {8: "a depth or plain video model", 9: "a StereoCrafter model"}
            cause = f"its network takes {taken} channels ({names.get(taken, 'an unknown model')}), not {in_channels}"
            raise WeightsBroken(str(unet), cause, "Name the right folder, or pull the weights again")
        return cls(
            denoiser,
            _load(AutoencoderKLTemporalDecoder, base, "vae", dtype),
            _load(CLIPVisionModelWithProjection, base, "image_encoder", dtype),
            _scheduler(EulerDiscreteScheduler, base),
            device,
        )

    def place(self, offload: Offload) -> None:
        """Decide which networks stay on the device; the others wait in main memory until they are used."""
        if offload is self._offload:
            return
        self._make_room()
        if self._offload is Offload.LAYERS:
            from accelerate.hooks import remove_hook_from_submodules

            # They keep the weights in main memory: without them the layers are whole again.
            remove_hook_from_submodules(self._parts["unet"])
        # Unknown until all have moved: memory may run out on the way.
        self._offload = None
        for part in self._parts.values():
            part.to(self.device.torch if offload is Offload.NONE else "cpu")
        if offload is Offload.LAYERS:
            from accelerate import cpu_offload

            cpu_offload(self._parts["unet"], torch.device(self.device.torch))
        elif self.device.compile and not self._compiled:
            self._parts["unet"].compile()
            self._parts["autoencoder"].decoder.compile()
            self._compiled = True
        self._offload = offload
        self.device.release()

    @contextmanager
    def using(self, name: str) -> Iterator[Any]:
        """The network ``name`` (``unet``, ``autoencoder``, ``image_encoder``) on the device."""
        part = self._parts[name]
        if self._offload is None:
            self.place(Offload.NONE)
        self._make_room()
        moves = self._offload is not Offload.NONE and not (name == "unet" and self._offload is Offload.LAYERS)
        try:
            if moves:
                part.to(self.device.torch)
            yield part
        finally:
            if moves:
                part.to("cpu")
                self.device.release()

    def _make_room(self) -> None:
        """Send another model's networks to main memory: together they would not fit, and they take turns."""
        other = Networks._on_device
        Networks._on_device = self
        if other is not None and other is not self:
            other.leave()

    def leave(self) -> None:
        """Move every network to main memory; they come back when they are used."""
        if self._offload is Offload.NONE:
            self._offload = None
            for part in self._parts.values():
                part.to("cpu")
            self.device.release()

    @property
    def unet(self) -> Any:
        """The denoiser, wherever it is now."""
        return self._parts["unet"]


class FrameContext:
    """Gives each frame of a video denoiser an embedding of its own.

    The stock network repeats one embedding for all frames, and silently takes several as a longer context for each of
    them. DepthCrafter was trained with one for each frame. Here hooks exchange the repeated embedding before every
    block, which leaves the network's own code alone and equals a forward pass written for it.

    Args:
        unet: an ``UNetSpatioTemporalConditionModel``, which keeps the hooks.
    """

    def __init__(self, unet: nn.Module) -> None:
        self._embeddings: Tensor | None = None
        for block in [*unet.down_blocks, unet.mid_block, *unet.up_blocks]:  # type: ignore[misc]
            block.register_forward_pre_hook(self._exchange, with_kwargs=True)  # type: ignore[union-attr]

    @contextmanager
    def of(self, embeddings: Tensor) -> Iterator[Tensor]:
        """Within it, frame f attends to ``embeddings[f]``; yields what to pass to the network as its context.

        Args:
            embeddings: ``[F, D]``.
        """
        self._embeddings = embeddings[:, None]
        try:
            yield embeddings[None, :1]
        finally:
            self._embeddings = None

    def _exchange(self, block: nn.Module, arguments: tuple, named: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        if self._embeddings is not None and named.get("encoder_hidden_states") is not None:
            named = named | {"encoder_hidden_states": self._embeddings}
        return arguments, named


def _load(kind: Any, folder: Path, subfolder: str | None, dtype: torch.dtype) -> Any:
    """A network with every weight it needs, or an error that names the folder and the first weight at fault."""
    from safetensors import SafetensorError

    place = folder / subfolder if subfolder else folder
    # Published as half precision beside or instead of single precision files.
    variant = "fp16" if any(place.glob("*.fp16.safetensors")) else None
    options: dict[str, Any] = {"variant": variant} if variant else {}
    try:
        network, info = kind.from_pretrained(
            place, torch_dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True, **options
        )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0]
        raise WeightsBroken(str(place), f"its weights cannot be loaded: {first}", "Pull the weights again") from error
    for problem in ("missing_keys", "mismatched_keys"):
        found = sorted(str(key) for key in info.get(problem) or ())
        if found:
            cause = f"{len(found)} weights of {kind.__name__} are {problem.removesuffix('_keys')}, such as {found[0]}"
            raise WeightsBroken(str(place), cause, "It is another model or a damaged copy: pull the weights again")
    return network


def _scheduler(kind: Any, base: Path) -> Any:
    try:
        return kind.from_pretrained(base, subfolder="scheduler", local_files_only=True)
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        cause = f"its scheduler cannot be loaded: {first}"
        raise WeightsBroken(str(base), cause, "Pull the weights again") from error
