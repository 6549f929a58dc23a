"""Depth by DepthCrafter (Hu et al. 2024): a video diffusion model that denoises depth in overlapping windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...domain.models import DepthCrafterOptions
from ..devices import is_out_of_memory
from ..diffusion import autoencoder
from ..diffusion.autoencoder import Decoder
from ..diffusion.denoise import denoise, guidance_weights
from ..diffusion.memory import Load, fit, reduced
from ..diffusion.networks import FrameContext, Networks
from ..diffusion.noise import FrameNoise, Noise, RollingNoise
from ..diffusion.pictures import embed
from .base import DepthEstimator

# What the model is told of every video: frame rate, amount of motion, noise on the condition (StereoCrafter and
# DepthCrafter use these fixed values whatever the video's frame rate is).
FRAME_RATE, MOTION = 7, 127
SIDE_MULTIPLE = 64
# Frames that two chunks of the decoder share where they are cross-faded.
_DECODER_SHARED = 2
_ENCODE_BATCH = 8


class DepthCrafterDepth(DepthEstimator):
    """Temporally consistent relative depth of long shots.

    Frames are encoded as they come; a window is denoised when it is full, its first latents cross-faded into those of
    the window before, which also anchor it. Only one window of latents is kept.

    Args:
        networks: Stable Video Diffusion's, with DepthCrafter's denoiser (8 input channels).
        options: see :class:`DepthCrafterOptions`.
        noise: makes the source of noise of each segment; by default as ``options.noise`` says.
    """

    name = "depthcrafter"
    relative = True

    def __init__(
        self, networks: Networks, options: DepthCrafterOptions, noise: Callable[[], Noise] | None = None
    ) -> None:
        self._networks = networks
        self._options = options
        self._make_noise = noise or self._noise_of_options
        self._context = FrameContext(networks.unet)
        self.overlap_frames = options.overlap
        self._load = Load(0, 0, options.window, None, options.decode_chunk, 0)
        self.reset()

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """Sides rounded to multiples of 64, the longer at most ``max_side``; the aspect is kept approximately."""
        rounded = [_round(side) for side in (width, height)]
        if max(rounded) > self._options.max_side:
            scale = self._options.max_side / max(width, height)
            rounded = [_round(side * scale) for side in (width, height)]
        return rounded[0], rounded[1]

    def reset(self, first_frame: int = 0) -> None:
        self._noise = self._make_noise()
        self._next_frame = first_frame
        self._notes: list[str] = []
        self._size = (0, 0)
        self._pictures: list[NDArray[np.uint8]] = []
        self._begin_shot()

    def process(self, rgb: NDArray[np.uint8], scene_start: NDArray[np.bool_]) -> NDArray[np.float32]:
        """As the interface says; ``h`` and ``w`` must be multiples of 64."""
        if self._size != rgb.shape[1:3]:
            self._size = (rgb.shape[1], rgb.shape[2])
            self._plan_memory()
        ready: list[NDArray[np.float32]] = []
        for picture, starts in zip(rgb, scene_start, strict=True):
            if starts:
                ready += self._end_shot()
            self._pictures.append(picture.copy())
            if len(self._pictures) == _ENCODE_BATCH:
                self._encode_pictures()
                ready += self._full_windows()
        return self._stack(ready)

    def finish(self) -> NDArray[np.float32]:
        return self._stack(self._end_shot())

    @property
    def device(self) -> str:
        return self._networks.device.name

    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes)

    def _noise_of_options(self) -> Noise:
        if self._options.noise == "rolling":
            return RollingNoise(self._options.seed, self._options.overlap)
        return FrameNoise(self._options.seed)

    def _plan_memory(self) -> None:
        device = self._networks.device
        height, width = self._size
        options, single = self._options, device.precision == "fp32"
        whole = Load(
            width, height, options.window, None, options.decode_chunk, max(width, height), single_precision=single
        )
        self._load = fit(whole, device.memory_gb)
        self._networks.place(self._load.offload)
        if self._load != whole:
            self._notes.append(f"planned for {device.memory_gb:.1f} GB: {self._load.describe()}")

    def _begin_shot(self) -> None:
        # Of the frames of the window that is being filled:
        self._conditions: list[Tensor] = []
        self._embeddings: list[Tensor] = []
        self._frames: list[int] = []
        # Denoised latents of its first frames, from the window before.
        self._anchor: Tensor | None = None
        shared = _DECODER_SHARED if self._options.joint == "fade" else 0
        chunk = self._load.decode_frames
        self._decoder = Decoder(self._decoded, chunk, min(shared, (chunk - 1) // 2))

    def _encode_pictures(self) -> None:
        """Turn waiting pictures into what the denoiser is conditioned on."""
        if not self._pictures:
            return
        numbers = range(self._next_frame, self._next_frame + len(self._pictures))
        stacked = torch.from_numpy(np.stack(self._pictures))
        self._next_frame += len(self._pictures)
        self._pictures = []
        device = self._networks.device.torch
        pictures = stacked.to(device).permute(0, 3, 1, 2).float() / 255 * 2 - 1
        with torch.inference_mode():
            with self._networks.using("image_encoder") as encoder:
                self._embeddings += list(embed(encoder, pictures))
            noise = self._noise.of_pictures(numbers, *self._size).to(device)
            noisy = pictures + noise * self._options.noise_augmentation
            self._conditions += list(self._careful(lambda: self._encoded(noisy)))
        self._frames += numbers

    def _encoded(self, pictures: Tensor) -> Tensor:
        with self._networks.using("autoencoder") as network:
            return autoencoder.encode(network, pictures, self._load.decode_tile)

    def _full_windows(self) -> list[NDArray[np.float32]]:
        """Denoise windows while there are frames beyond them: whether a window is the last is known only then."""
        ready: list[NDArray[np.float32]] = []
        while len(self._frames) > self._load.frames:
            ready += self._window(self._load.frames, last=False)
        return ready

    def _end_shot(self) -> list[NDArray[np.float32]]:
        self._encode_pictures()
        ready = self._full_windows()
        while self._frames:
            ready += self._window(len(self._frames), last=True)
        ready += [_depth(picture) for picture in self._decoder.finish()]
        self._begin_shot()
        return ready

    def _window(self, count: int, *, last: bool) -> list[NDArray[np.float32]]:
        """Denoise the first ``count`` frames; pass on those that no other window changes."""
        with torch.inference_mode():
            latents = self._careful(lambda: self._denoised(min(count, self._load.frames)))
            count, last = len(latents), last and len(latents) == len(self._frames)
            if self._anchor is not None:
                shared = len(self._anchor)
                weight = torch.linspace(0, 1, shared, device=latents.device, dtype=latents.dtype)[:, None, None, None]
                latents[:shared] = latents[:shared] * weight + self._anchor * (1 - weight)
            overlap = 0 if last else min(self._options.overlap, count // 2)
            done = count - overlap
            self._anchor = latents[done:] if overlap else None
            del self._conditions[:done], self._embeddings[:done], self._frames[:done]
            return [_depth(picture) for picture in self._decoder.push(latents[:done])]

    def _denoised(self, count: int) -> Tensor:
        """``[count, 4, h, w]`` latents of the first frames of the window."""
        options = self._options
        condition = torch.stack(self._conditions[:count])
        embeddings = torch.stack(self._embeddings[:count])
        noise = self._noise_of(self._frames[:count], condition)
        ids = condition.new_tensor([[FRAME_RATE, MOTION, options.noise_augmentation]])
        nothing, no_embeddings = torch.zeros_like(condition), torch.zeros_like(embeddings)

        def start(sigmas: Tensor) -> Tensor:
            latents = noise * float(self._networks.scheduler.init_noise_sigma)
            if self._anchor is not None:
                shared = len(self._anchor)
                latents[:shared] = self._anchor + noise[:shared] * float(sigmas[0])
            return latents

        with self._networks.using("unet") as unet:

            def predict(scaled: Tensor, timestep: Tensor, told: bool) -> Tensor:
                sample = torch.cat([scaled.to(condition.dtype), condition if told else nothing], dim=1)
                with self._context.of(embeddings if told else no_embeddings) as context:
                    done = unet(sample[None], timestep, encoder_hidden_states=context, added_time_ids=ids)
                # Latents stay in single precision: their first sizes are thousands, where half precision counts in 2s.
                return done.sample[0].float()

            weights = guidance_weights(options.guidance, options.guidance, count, noise)
            return denoise(self._networks.scheduler, options.steps, start, predict, weights)

    def _noise_of(self, frames: Sequence[int], like: Tensor) -> Tensor:
        return self._noise.of_latents(frames, *like.shape[1:]).to(like.device)

    def _decoded(self, latents: Tensor) -> Tensor:
        """``[F, h, w]`` depth of latents that are decoded together: the mean of the three colours."""

        def decode() -> Tensor:
            with self._networks.using("autoencoder") as network:
                pictures = autoencoder.decode(network, latents, self._load.decode_tile)
            return (pictures / 2 + 0.5).clamp(0, 1).mean(dim=1)

        return self._careful(decode)

    def _careful(self, work: Callable[[], Tensor]) -> Tensor:
        """``work()``, tried again with less at once when the memory is too small."""
        while True:
            try:
                return work()
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
            self._load = reduced(self._load, self.name)
            self._notes.append(f"out of memory: went on with {self._load.describe()}")
            self._networks.device.release()
            self._networks.place(self._load.offload)

    def _stack(self, maps: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.stack(maps) if maps else np.empty((0, *self._size), np.float32)


def _depth(picture: Tensor) -> NDArray[np.float32]:
    return picture.cpu().numpy()


def _round(side: float) -> int:
    return max(SIDE_MULTIPLE, round(side / SIDE_MULTIPLE) * SIDE_MULTIPLE)
