"""Random numbers for the diffusion models."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor


class Noise(ABC):
    """Where standard normal noise comes from. All of it is drawn on the CPU, so that devices agree."""

    @abstractmethod
    def of_pictures(self, frames: Sequence[int], height: int, width: int) -> Tensor:
        """``[F, 3, height, width]`` float32, added to the pictures that condition the model.

        Args:
            frames: numbers of the frames in the video.
            height, width: in pixels.
        """

    @abstractmethod
    def of_latents(self, frames: Sequence[int], channels: int, height: int, width: int) -> Tensor:
        """``[F, channels, height, width]`` float32, from which denoising starts."""


class FrameNoise(Noise):
    """Noise that belongs to a frame: the same whatever window, chunk, tile or segment asks for it.

    Args:
        seed: of all of it.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def of_pictures(self, frames: Sequence[int], height: int, width: int) -> Tensor:
        return self._draw("pictures", frames, (3, height, width))

    def of_latents(self, frames: Sequence[int], channels: int, height: int, width: int) -> Tensor:
        return self._draw("latents", frames, (channels, height, width))

    def _draw(self, use: str, frames: Sequence[int], shape: tuple[int, ...]) -> Tensor:
        drawn = torch.empty(len(frames), *shape)
        for place, frame in enumerate(frames):
            digest = hashlib.sha256(f"{self._seed}:{use}:{frame}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
            drawn[place] = torch.randn(shape, generator=generator)
        return drawn


class SequenceNoise(Noise):
    """Noise in the order it is asked for, from one generator, as the published StereoCrafter code draws it.

    Args:
        seed: of the generator.
    """

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def of_pictures(self, frames: Sequence[int], height: int, width: int) -> Tensor:
        return torch.randn(len(frames), 3, height, width, generator=self._generator)

    def of_latents(self, frames: Sequence[int], channels: int, height: int, width: int) -> Tensor:
        return torch.randn(1, len(frames), channels, height, width, generator=self._generator)[0]


class RollingNoise(Noise):
    """One window of latent noise that rolls on from window to window, as in DepthCrafter's published code.

    A frame that two windows share gets the same noise in both; the rest is used again. The published code draws the
    noise of all pictures of the clip first; where the clip's length is not known, it is drawn as the pictures come,
    from the same generator.

    Args:
        seed: of the generator.
        overlap: frames that two windows share.
        clip_frames: length of the clip, to draw in the published order; None where it is not known.
    """

    def __init__(self, seed: int, overlap: int, clip_frames: int | None = None) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._overlap = overlap
        self._clip_frames = clip_frames
        self._clip: Tensor | None = None
        self._seen = 0
        self._window: Tensor | None = None

    def of_pictures(self, frames: Sequence[int], height: int, width: int) -> Tensor:
        if self._clip_frames is None:
            return torch.randn(len(frames), 3, height, width, generator=self._generator)
        if self._clip is None:
            self._clip = torch.randn(self._clip_frames, 3, height, width, generator=self._generator)
        first, self._seen = self._seen, self._seen + len(frames)
        return self._clip[first : self._seen]

    def of_latents(self, frames: Sequence[int], channels: int, height: int, width: int) -> Tensor:
        if self._window is None:
            self._window = torch.randn(len(frames), channels, height, width, generator=self._generator)
        else:
            stride = len(self._window) - self._overlap
            self._window = torch.cat([self._window[stride:], self._window[:stride]])
        return self._window[: len(frames)]
