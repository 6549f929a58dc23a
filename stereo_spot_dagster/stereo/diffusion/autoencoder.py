"""Pictures to latents and back, in pieces that bound the memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .tiles import Grid, blend

# Pixels along a side for each latent.
FACTOR = 8
# The encoder sees each frame by itself, so this changes only memory.
_ENCODE_BATCH = 4
# Pixels that two tiles of the decoder share: it looks further than that only through its attention.
TILE_OVERLAP = 64
# Frames that two chunks of the decoder share where they are cross-faded.
_FADED_FRAMES = 2


def encode(autoencoder: Any, pictures: Tensor, tile_side: int | None = None) -> Tensor:
    """The mode of the latents, not scaled: the form Stable Video Diffusion takes conditions in.

    Where the network's configuration asks for it, half precision networks encode in single precision.

    Args:
        autoencoder: an ``AutoencoderKLTemporalDecoder``.
        pictures: ``[N, 3, H, W]`` in -1..1 on its device, sides multiples of 8.
        tile_side: about the longest side of what is encoded at once, pixels; None for whole pictures.

    Returns:
        ``[N, 4, H/8, W/8]`` in the number format of the autoencoder.
    """
    dtype = autoencoder.dtype
    upcast = dtype == torch.float16 and getattr(autoencoder.config, "force_upcast", True)
    if upcast:
        _convert(autoencoder, torch.float32)
    try:
        grid = Grid.of(pictures.shape[-2], pictures.shape[-1], tile_side, TILE_OVERLAP, FACTOR)
        parts = [
            blend(grid, lambda rows, columns, part=part: _encoded(autoencoder, part[..., rows, columns]), FACTOR)
            for part in pictures.to(autoencoder.dtype).split(_ENCODE_BATCH)
        ]
        return torch.cat(parts).to(dtype)
    finally:
        if upcast:
            _convert(autoencoder, dtype)


def _convert(network: torch.nn.Module, dtype: torch.dtype) -> None:
    # Not diffusers' own method, which warns each time of parts that might have to keep their precision; there are none.
    torch.nn.Module.to(network, dtype)


def _encoded(autoencoder: Any, pictures: Tensor) -> Tensor:
    return autoencoder.encode(pictures).latent_dist.mode()


def decode(autoencoder: Any, latents: Tensor, tile_side: int | None = None) -> Tensor:
    """Pictures of latents that are decoded together.

    The decoder mixes frames, so which frames are decoded together changes the result.

    Args:
        autoencoder: an ``AutoencoderKLTemporalDecoder``.
        latents: ``[F, 4, h, w]`` on its device.
        tile_side: about the longest side of what is decoded at once, pixels; None for whole pictures.

    Returns:
        ``[F, 3, 8h, 8w]`` float32, about -1..1, not clamped.
    """
    scaled = (latents / autoencoder.config.scaling_factor).to(autoencoder.dtype)
    grid = Grid.of(latents.shape[-2] * FACTOR, latents.shape[-1] * FACTOR, tile_side, TILE_OVERLAP, FACTOR)

    def decoded(rows: slice, columns: slice) -> Tensor:
        rows = slice(rows.start // FACTOR, rows.stop // FACTOR)
        columns = slice(columns.start // FACTOR, columns.stop // FACTOR)
        return autoencoder.decode(scaled[..., rows, columns], num_frames=len(scaled)).sample.float()

    return blend(grid, decoded, 1)


def shared_frames(chunk: int, joint: str) -> int:
    """Frames that two chunks of a decoder share where they meet by ``joint``: ``fade`` or ``hard``."""
    return min(_FADED_FRAMES, (chunk - 1) // 2) if joint == "fade" else 0


class Decoder:
    """Decodes a stream of latents in chunks.

    Chunks may share frames, which are then cross-faded: the decoder mixes the frames of a chunk, and without that a
    pulse at the chunk's period can show.

    Args:
        decode_together: ``[F, 4, h, w]`` latents to what is made of them, ``[F, ...]``.
        chunk: frames decoded together.
        shared: frames that two chunks share, less than half of ``chunk``; 0 for hard joints.
    """

    def __init__(self, decode_together: Callable[[Tensor], Tensor], chunk: int, shared: int) -> None:
        self._decode = decode_together
        self._chunk, self._shared = chunk, shared
        self._latents: list[Tensor] = []
        self._kept: Tensor | None = None

    def resize(self, chunk: int, shared: int) -> None:
        """From the next chunk on, decode ``chunk`` frames together and share ``shared`` of them."""
        self._chunk, self._shared = chunk, shared

    def push(self, latents: Tensor) -> list[Tensor]:
        """``[F, 4, h, w]`` more latents; returns what is complete now, frame by frame."""
        self._latents += list(latents)
        return self._full_chunks()

    def finish(self) -> list[Tensor]:
        """Decode what is left; the next latents begin anew."""
        ready = self._full_chunks()
        if len(self._latents) > self._kept_frames:
            ready += self._run(len(self._latents), last=True)
        elif self._kept is not None:
            # Every frame is decoded, and no other chunk comes to fade into.
            ready += list(self._kept)
        self._latents, self._kept = [], None
        return ready

    @property
    def _kept_frames(self) -> int:
        """How many of the waiting frames are decoded and will be mixed with what the next chunk makes of them."""
        return 0 if self._kept is None else len(self._kept)

    def _full_chunks(self) -> list[Tensor]:
        ready: list[Tensor] = []
        while len(self._latents) >= (count := max(self._chunk, self._kept_frames)):
            ready += self._run(count, last=False)
        return ready

    def _run(self, count: int, *, last: bool) -> list[Tensor]:
        pictures = self._decode(torch.stack(self._latents[:count]))
        if self._kept is not None:
            shared = len(self._kept)
            weight = torch.arange(1, shared + 1, device=pictures.device, dtype=pictures.dtype) / (shared + 1)
            weight = weight.reshape(-1, *[1] * (pictures.ndim - 1))
            faded = torch.lerp(self._kept, pictures[:shared], weight)
            pictures = torch.cat([faded, pictures[shared:]])
        done = count if last else count - self._shared
        self._kept = None if done == count else pictures[done:]
        self._latents = self._latents[done:]
        return list(pictures[:done])
