"""The denoising loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Predict = Callable[[Tensor, Tensor, bool], Tensor]


def denoise(scheduler: Any, steps: int, start: Callable[[Tensor], Tensor], predict: Predict, guidance: Tensor | None):
    """Follow the scheduler from noise to a sample (Karras et al. 2022, as diffusers' Euler scheduler steps it).

    Args:
        scheduler: a diffusers ``EulerDiscreteScheduler``; its schedule is set here.
        steps: how many.
        start: given the scheduler's sigmas ``[steps + 1]``, the noisy latents ``[F, C, h, w]`` to start from.
        predict: what the network says of (scaled latents ``[F, C, h, w]``, timestep, whether it is told the condition).
        guidance: ``[F, 1, 1, 1]`` weight of the condition (Ho and Salimans 2022); None runs the network only with it.

    Returns:
        ``[F, C, h, w]`` latents.
    """
    scheduler.set_timesteps(steps)
    latents = start(scheduler.sigmas)
    for timestep in scheduler.timesteps:
        scaled = scheduler.scale_model_input(latents, timestep)
        predicted = predict(scaled, timestep, True)
        if guidance is not None:
            without = predict(scaled, timestep, False)
            predicted = without + guidance * (predicted - without)
        latents = scheduler.step(predicted, timestep, latents).prev_sample
    return latents


def guidance_weights(weight: float, last: float, frames: int, like: Tensor) -> Tensor | None:
    """``[frames, 1, 1, 1]`` from ``weight`` (first frame) to ``last``; None where the condition alone is enough."""
    if max(weight, last) <= 1:
        return None
    ramp = torch.linspace(weight, last, frames)
    return ramp[:, None, None, None].to(like.device, like.dtype)
