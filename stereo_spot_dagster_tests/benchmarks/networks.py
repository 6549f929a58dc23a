"""The published networks at full size with random weights, and where their time and memory go."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_temporal_decoder import AutoencoderKLTemporalDecoder
from diffusers.models.unets.unet_spatio_temporal_condition import UNetSpatioTemporalConditionModel
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from stereo_spot_dagster.stereo.devices import Device
from stereo_spot_dagster.stereo.diffusion.networks import Networks

_GIB = 1 << 30
EMBEDDING, ENCODING, DENOISING, DECODING = "CLIP embedding", "VAE encode", "denoise", "VAE decode"


@dataclass
class Stage:
    """What one kind of work has cost since the last :meth:`StagedNetworks.restart`.

    Attributes:
        seconds: all of it together.
        calls: of the network itself: passes of the denoiser, batches of the others.
        peak_gb: most memory of a single call of the stage, 2**30 bytes. On a GPU all that torch had allocated,
            weights included; on a CPU what the process held beyond what it held when the stage began.
    """

    seconds: float = 0.0
    calls: int = 0
    peak_gb: float = 0.0


class StagedNetworks(Networks):
    """Networks that note the time and memory of each stage.

    Attributes:
        stages: by name.
    """

    def __init__(self, unet: Any, autoencoder: Any, image_encoder: Any, scheduler: Any, device: Device) -> None:
        super().__init__(unet, autoencoder, image_encoder, scheduler, device)
        self.restart()
        self._hooks: list[Any] = []
        parts = {
            EMBEDDING: image_encoder,
            ENCODING: autoencoder.encoder,
            DENOISING: unet,
            DECODING: autoencoder.decoder,
        }
        for stage, part in parts.items():
            self._hooks.append(part.register_forward_pre_hook(lambda *_, stage=stage: self._count(stage)))

    def close(self) -> None:
        """Leave networks that others share as they were, and let go of all."""
        for hook in self._hooks:
            hook.remove()
        self._parts.clear()

    def restart(self) -> None:
        """Count from zero."""
        self.stages = {name: Stage() for name in (EMBEDDING, ENCODING, DENOISING, DECODING)}
        self._now = ""

    @contextmanager
    def using(self, name: str) -> Iterator[Any]:
        """See :meth:`Networks.using`; what happens within is one call of a stage."""
        with super().using(name) as part:
            before = _begin(self.device)
            started = time.perf_counter()
            yield part
            _synchronise(self.device)
            stage = self.stages[self._now]
            stage.seconds += time.perf_counter() - started
            stage.peak_gb = max(stage.peak_gb, _peak_gb(self.device) - before)

    def _count(self, stage: str) -> None:
        # The first network that runs tells what the work is: the autoencoder is used for two stages.
        self._now = stage
        self.stages[stage].calls += 1


class FullSize:
    """Builds networks of the published sizes; the autoencoder and the image encoder are shared by all.

    Attributes:
        autoencoder: the shared one.

    Args:
        device: where they are built, in its number format.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self.autoencoder = _built(device, _autoencoder).requires_grad_(False).eval()
        self._image_encoder = _built(device, _image_encoder)
        embeddings = self._image_encoder.vision_model.embeddings
        # A buffer that is not among the weights, and so was not filled with them.
        embeddings.position_ids.copy_(torch.arange(embeddings.position_ids.shape[-1]))

    @contextmanager
    def networks(self, in_channels: int) -> Iterator[StagedNetworks]:
        """With a new denoiser, which is gone afterwards: 9 channels for StereoCrafter, 8 for DepthCrafter."""
        unet = _built(self._device, lambda: _unet(in_channels))
        networks = StagedNetworks(unet, self.autoencoder, self._image_encoder, _scheduler(), self._device)
        try:
            yield networks
        finally:
            networks.close()


@contextmanager
def peak_of(device: Device) -> Iterator[Stage]:
    """Time and memory of what happens within, as a :class:`Stage` that is complete afterwards."""
    stage = Stage(calls=1)
    before = _begin(device)
    started = time.perf_counter()
    yield stage
    _synchronise(device)
    stage.seconds = time.perf_counter() - started
    stage.peak_gb = _peak_gb(device) - before


def _built(device: Device, make: Any) -> Any:
    """``make()`` with random values, written once and where they are used.

    Variances keep signals near one, so that no number is infinite or denormal, which would change the time.
    """
    usual = torch.get_default_dtype()
    torch.set_default_dtype(device.dtype)
    try:
        with torch.device("meta"):
            network = make()
    finally:
        torch.set_default_dtype(usual)
    network = network.to_empty(device=device.torch)
    with torch.no_grad():
        for name, weights in network.named_parameters():
            if weights.ndim > 1:
                weights.normal_(0, weights[0].numel() ** -0.5)
            else:
                weights.fill_(1 if name.endswith("weight") else 0)
    return network


def _unet(in_channels: int) -> nn.Module:
    return UNetSpatioTemporalConditionModel(
        in_channels=in_channels, out_channels=4, num_attention_heads=(5, 10, 20, 20), num_frames=25, sample_size=96
    )


def _autoencoder() -> nn.Module:
    return AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 4,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        sample_size=768,
    )


def _image_encoder() -> nn.Module:
    config = CLIPVisionConfig(
        hidden_size=1280,
        intermediate_size=5120,
        projection_dim=1024,
        num_hidden_layers=32,
        num_attention_heads=16,
        patch_size=14,
        image_size=224,
        hidden_act="gelu",
    )
    return CLIPVisionModelWithProjection(config)


def _scheduler() -> EulerDiscreteScheduler:
    return EulerDiscreteScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_type="continuous",
        timestep_spacing="leading",
        steps_offset=1,
        sigma_min=0.002,
        sigma_max=700.0,
        use_karras_sigmas=True,
    )


def _synchronise(device: Device) -> None:
    if device.is_cuda:
        torch.cuda.synchronize(device.torch)


def _begin(device: Device) -> float:
    """Start a peak; returns what of it does not count, 2**30 bytes."""
    _synchronise(device)
    if device.is_cuda:
        device.reset_peak()
        return 0.0
    # What was freed must not hide what is allocated next; then the kernel's high-water mark starts anew (proc(5)).
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _own_gb("VmRSS")


def _peak_gb(device: Device) -> float:
    return torch.cuda.max_memory_allocated(device.torch) / _GIB if device.is_cuda else _own_gb("VmHWM")


def _own_gb(field: str) -> float:
    """A size of this process as the kernel counts it (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024 / _GIB
    raise RuntimeError(f"the kernel does not tell {field}")
