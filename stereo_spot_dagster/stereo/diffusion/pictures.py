"""Pictures as the networks take them, and their CLIP embeddings."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# Side of the pictures that CLIP ViT takes, and the mean and standard deviation of its training pictures (OpenAI, 2021).
CLIP_SIDE = 224
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
# Pictures that CLIP sees at once. Each stands for itself, so it changes only memory.
_CLIP_BATCH = 8


def antialiased_resize(pictures: Tensor, height: int, width: int) -> Tensor:
    """Reduce pictures the way Stable Video Diffusion was trained: Gaussian blur, then bicubic with aligned corners.

    The blur has sigma = max((scale - 1) / 2, 0.001) and an odd kernel of at least 3 and about 4 sigma.

    Args:
        pictures: ``[N, C, H, W]`` float32.
        height, width: of the result.

    Returns:
        ``[N, C, height, width]`` float32.
    """
    rows = _gaussian(pictures.shape[-2] / height, pictures)
    columns = _gaussian(pictures.shape[-1] / width, pictures)
    channels = pictures.shape[1]
    pad_y, pad_x = len(rows) // 2, len(columns) // 2
    padded = functional.pad(pictures, (pad_x, pad_x, pad_y, pad_y), mode="reflect")
    padded = functional.conv2d(padded, columns.expand(channels, 1, 1, -1), groups=channels)
    padded = functional.conv2d(padded, rows[:, None].expand(channels, 1, -1, 1), groups=channels)
    return functional.interpolate(padded, (height, width), mode="bicubic", align_corners=True)


def _gaussian(scale: float, like: Tensor) -> Tensor:
    sigma = max((scale - 1) / 2, 0.001)
    size = max(int(4 * sigma), 3) | 1
    offsets = torch.arange(size, dtype=like.dtype, device=like.device) - size // 2
    weights = torch.exp(-(offsets**2) / (2 * sigma**2))
    return weights / weights.sum()


def clip_pictures(pictures: Tensor) -> Tensor:
    """``[N, 3, H, W]`` float32 in -1..1 to ``[N, 3, 224, 224]`` as CLIP takes them; no cropping, aspect is lost."""
    small = antialiased_resize(pictures, CLIP_SIDE, CLIP_SIDE)
    mean = small.new_tensor(_CLIP_MEAN)[:, None, None]
    std = small.new_tensor(_CLIP_STD)[:, None, None]
    return ((small + 1) / 2 - mean) / std


def embed(encoder: Any, pictures: Tensor) -> Tensor:
    """CLIP embeddings.

    Args:
        encoder: a ``CLIPVisionModelWithProjection``.
        pictures: ``[N, 3, H, W]`` float32 in -1..1, on the encoder's device.

    Returns:
        ``[N, D]`` in the encoder's number format.
    """
    parts = [clip_pictures(part).to(encoder.dtype) for part in pictures.split(_CLIP_BATCH)]
    return torch.cat([encoder(pixel_values=part).image_embeds for part in parts])
