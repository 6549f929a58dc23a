"""StereoCrafter's network on a stack of pictures: what it is told, and the latents it denoises."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ...domain.models import StereoCrafterOptions
from ..diffusion import autoencoder
from ..diffusion.autoencoder import FACTOR
from ..diffusion.denoise import denoise, guidance_weights
from ..diffusion.networks import Networks
from ..diffusion.pictures import embed

# What the model is told of every video: frame rate less one, amount of motion, noise on the condition (the values of
# StereoCrafter's script, whatever the video's frame rate is).
TOLD = (6.0, 127.0, 0.0)
# From here on a partly covered pixel is a hole.
HOLE_FROM = 0.5


def latent_mask(mask: Tensor, mode: str) -> Tensor:
    """Holes at the size of the latents.

    Args:
        mask: ``[F, 1, H, W]`` in 0..1, 1 where nothing is seen.
        mode: ``max``: a latent pixel is a hole if any pixel it covers is; ``nearest``: if its top left pixel is, as
            published, which loses holes that miss every eighth row or column.

    Returns:
        ``[F, 1, H/8, W/8]``, 0 or 1.
    """
    holes = (mask >= HOLE_FROM).to(mask.dtype)
    return functional.max_pool2d(holes, FACTOR) if mode == "max" else holes[..., ::FACTOR, ::FACTOR]


class VideoInpainting:
    """Runs the network.

    Args:
        networks: Stable Video Diffusion's, with StereoCrafter's denoiser (9 input channels).
        options: see :class:`StereoCrafterOptions`.
    """

    def __init__(self, networks: Networks, options: StereoCrafterOptions) -> None:
        self.networks = networks
        self.options = options

    def denoised(
        self,
        pictures: Tensor,
        mask: Tensor,
        noise: Tensor,
        told: tuple[float, float, float] = TOLD,
        last_guidance: float | None = None,
        embedded: Tensor | None = None,
        encode_tile: int | None = None,
    ) -> Tensor:
        """Latents of the completed pictures.

        The network sees noisy latents (4 channels), the latents of the pictures (4) and the mask (1), and the CLIP
        embedding of the first picture. Without its condition all three are zero (Blattmann et al. 2023).

        Args:
            pictures: ``[F, 3, H, W]`` float32 in -1..1, black in holes; sides multiples of 8.
            mask: ``[F, 1, H, W]`` in 0..1.
            noise: ``[F, 4, H/8, W/8]`` standard normal.
            told: frame rate less one, motion bucket, noise augmentation.
            last_guidance: guidance of the last picture, if it is not that of the first.
            embedded: ``[1, 3, H, W]``: the picture CLIP sees, if it is not the first of ``pictures``.
            encode_tile: longest side of what is encoded at once; None for whole pictures.

        Returns:
            ``[F, 4, H/8, W/8]`` float32.
        """
        networks, options = self.networks, self.options
        with networks.using("image_encoder") as encoder:
            embedding = embed(encoder, pictures[:1] if embedded is None else embedded)[:, None]
        with networks.using("autoencoder") as network:
            latents = autoencoder.encode(network, pictures, encode_tile)
        condition = torch.cat([latents, latent_mask(mask, options.mask).to(latents.dtype)], dim=1)
        nothing, no_embedding = torch.zeros_like(condition), torch.zeros_like(embedding)
        ids = condition.new_tensor([told])
        with networks.using("unet") as unet:

            def predict(scaled: Tensor, timestep: Tensor, told_condition: bool) -> Tensor:
                sample = torch.cat([scaled.to(condition.dtype), condition if told_condition else nothing], dim=1)
                context = embedding if told_condition else no_embedding
                return _run(unet, sample, timestep, context, ids)

            last = options.guidance if last_guidance is None else last_guidance
            weights = guidance_weights(options.guidance, last, len(pictures), noise)

            def start(_: Tensor) -> Tensor:
                # Asked only now: the scheduler knows its largest sigma once its schedule is set.
                return noise * float(networks.scheduler.init_noise_sigma)

            return denoise(networks.scheduler, options.steps, start, predict, weights)

    def decoded(self, latents: Tensor, decode_tile: int | None = None) -> Tensor:
        """``[F, 3, 8h, 8w]`` float32 in 0..1 of ``[F, 4, h, w]`` latents decoded together."""
        with self.networks.using("autoencoder") as network:
            return (autoencoder.decode(network, latents, decode_tile) / 2 + 0.5).clamp(0, 1)


def _run(unet: Any, sample: Tensor, timestep: Tensor, context: Tensor, ids: Tensor) -> Tensor:
    # Latents stay in single precision: their first sizes are thousands, where half precision counts in 2s.
    return unet(sample[None], timestep, encoder_hidden_states=context, added_time_ids=ids).sample[0].float()
