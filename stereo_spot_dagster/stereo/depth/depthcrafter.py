"""Depth by DepthCrafter (Hu et al. 2024): a video diffusion model that denoises depth in overlapping windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...domain.models import DepthCrafterOptions
from ..diffusion import autoencoder
from ..diffusion.autoencoder import Decoder, shared_frames
from ..diffusion.denoise import denoise, guidance_weights
from ..diffusion.memory import Load
from ..diffusion.networks import FrameContext, Networks
from ..diffusion.noise import FrameNoise, Noise, RollingNoise
from ..diffusion.pictures import embed
from ..diffusion.workload import Workload
from .base import DepthEstimator
from .traits import depthcrafter_size

# What the model is told of every video: frame rate, amount of motion, noise on the condition (StereoCrafter and
# DepthCrafter use these fixed values whatever the video's frame rate is).
FRAME_RATE, MOTION = 7, 127
_ENCODE_BATCH = 8


class DepthCrafterDepth(DepthEstimator):
    """Temporally consistent relative depth of long shots.

    Frames are encoded as they come; a window is denoised when it is full, its first latents cross-faded into those of
    the window before, which also anchor it. Only one window of latents is kept.

    Args:
        networks: Stable Video Diffusion's, with DepthCrafter's denoiser (8 input channels).
        options: see :class:`DepthCrafterOptions`.
        noise: makes the source of noise of each shot; by default as ``options.noise`` says.
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
        self._work = Workload(networks, self.name, Load(0, 0, options.window, None, options.decode_chunk, 0))
        self.reset()

    def working_size(self, width: int, height: int) -> tuple[int, int]:
        """Sides rounded to multiples of 64, the longer at most ``max_side``; the aspect is kept approximately."""
        return depthcrafter_size(width, height, self._options.max_side)

    def reset(self, first_frame: int = 0) -> None:
        self._networks.device.reset_peak()
        self._work.begin()
        self._next_frame = first_frame
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

    @property
    def peak_memory_mb(self) -> float:
        return self._networks.device.peak_memory_mb()

    def notes(self) -> tuple[str, ...]:
        return self._work.notes()

    def _noise_of_options(self) -> Noise:
        if self._options.noise == "rolling":
            return RollingNoise(self._options.seed, self._options.overlap)
        return FrameNoise(self._options.seed)

    def _plan_memory(self) -> None:
        height, width = self._size
        options, single = self._options, self._networks.device.precision == "fp32"
        self._work.plan(
            Load(width, height, options.window, None, options.decode_chunk, max(width, height), single_precision=single)
        )
        self._begin_shot()

    def _begin_shot(self) -> None:
        self._noise = self._make_noise()
        # Of the frames of the window that is being filled:
        self._conditions: list[Tensor] = []
        self._embeddings: list[Tensor] = []
        self._frames: list[int] = []
        # Denoised latents of its first frames, from the window before.
        self._anchor: Tensor | None = None
        chunk = self._work.load.decode_frames
        self._decoder = Decoder(self._decoded, chunk, shared_frames(chunk, self._options.joint))

    def _encode_pictures(self) -> None:
        """Turn waiting pictures into what the denoiser is conditioned on."""
        if not self._pictures:
            return
        numbers = range(self._next_frame, self._next_frame + len(self._pictures))
        pictures = torch.from_numpy(np.stack(self._pictures))
        noise = self._noise.of_pictures(numbers, *self._size)
        self._next_frame += len(self._pictures)
        self._pictures = []
        embeddings, conditions = self._work.run(lambda: self._encoded(pictures, noise))
        self._embeddings += list(embeddings)
        self._conditions += list(conditions)
        self._frames += numbers

    def _encoded(self, pictures: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """``[F, D]`` embeddings and ``[F, 4, h, w]`` latents of ``[F, H, W, 3]`` pictures."""
        device = self._networks.device.torch
        with torch.inference_mode():
            signed = pictures.to(device).permute(0, 3, 1, 2).float() / 255 * 2 - 1
            with self._networks.using("image_encoder") as encoder:
                embeddings = embed(encoder, signed)
            noisy = signed + noise.to(device) * self._options.noise_augmentation
            with self._networks.using("autoencoder") as network:
                return embeddings, autoencoder.encode(network, noisy, self._work.load.decode_tile)

    def _full_windows(self) -> list[NDArray[np.float32]]:
        """Denoise windows while there are frames beyond them: whether a window is the last is known only then."""
        ready: list[NDArray[np.float32]] = []
        while len(self._frames) > self._work.load.frames:
            ready += self._window()
        return ready

    def _end_shot(self) -> list[NDArray[np.float32]]:
        self._encode_pictures()
        ready = self._full_windows()
        while self._frames:
            ready += self._window()
        ready += [_depth(picture) for picture in self._decoder.finish()]
        self._begin_shot()
        return ready

    def _window(self) -> list[NDArray[np.float32]]:
        """Denoise the oldest frames; pass on those that no other window changes."""
        ready: list[NDArray[np.float32]] = []

        def denoised() -> Tensor:
            # Looked at again in each try: after one that was too much the window is shorter.
            longest = self._work.load.frames
            ready.extend(self._passed_on(longest // 2))
            return self._denoised(min(len(self._frames), longest))

        with torch.inference_mode():
            latents = self._work.run(denoised)
            count = len(latents)
            if self._anchor is not None:
                shared = len(self._anchor)
                weight = torch.linspace(0, 1, shared, device=latents.device, dtype=latents.dtype)[:, None, None, None]
                latents[:shared] = latents[:shared] * weight + self._anchor * (1 - weight)
            last = count == len(self._frames)
            overlap = 0 if last else min(self._options.overlap, count // 2)
            done = count - overlap
            self._anchor = latents[done:] if overlap else None
            self._forget(done)
        return ready + self._decode(latents[:done])

    def _passed_on(self, shared: int) -> list[NDArray[np.float32]]:
        """Leave at most ``shared`` frames to anchor the next window: a window that became shorter takes no more."""
        surplus = 0 if self._anchor is None else len(self._anchor) - shared
        if self._anchor is None or surplus <= 0:
            return []
        finished, self._anchor = self._anchor[:surplus], self._anchor[surplus:]
        self._forget(surplus)
        return self._decode(finished)

    def _forget(self, count: int) -> None:
        del self._conditions[:count], self._embeddings[:count], self._frames[:count]

    def _decode(self, latents: Tensor) -> list[NDArray[np.float32]]:
        return [_depth(picture) for picture in self._decoder.push(latents)]

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

        def decoded() -> Tensor:
            load = self._work.load
            # Frames are split here only where they were taken together before that proved too much.
            self._decoder.resize(load.decode_frames, shared_frames(load.decode_frames, self._options.joint))
            parts = []
            with torch.inference_mode(), self._networks.using("autoencoder") as network:
                for part in latents.split(load.decode_frames):
                    pictures = autoencoder.decode(network, part, load.decode_tile)
                    parts.append((pictures / 2 + 0.5).clamp(0, 1).mean(dim=1))
            return torch.cat(parts)

        return self._work.run(decoded)

    def _stack(self, maps: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        return np.stack(maps) if maps else np.empty((0, *self._size), np.float32)


def _depth(picture: Tensor) -> NDArray[np.float32]:
    return picture.cpu().numpy()
