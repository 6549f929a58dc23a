"""Tiny random networks and what the published code made with them, number by number.

The networks' values are exactly representable in bfloat16 and stored so; they run in single precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from stereo_spot_dagster.stereo.devices import Device
from stereo_spot_dagster.stereo.diffusion.networks import Networks

FOLDER = Path(__file__).parent / "golden"
CPU = Device("cpu", "CPU", "fp32")

Arrays = dict[str, NDArray]


@cache
def stereocrafter_networks() -> Networks:
    folder = FOLDER / "stereocrafter_tiny"
    return Networks.load(folder, folder / "unet", 9, CPU)


def depthcrafter_networks() -> Networks:
    """Fresh: an estimator leaves hooks on the denoiser."""
    return Networks.load(FOLDER / "stereocrafter_tiny", FOLDER / "depthcrafter_tiny" / "unet", 8, CPU)


def golden(name: str) -> Arrays:
    """The arrays of ``<model>_tiny/<case>``."""
    with np.load(FOLDER / f"{name}.npz") as file:
        return {key: file[key] for key in file.files}


@dataclass
class Steps:
    """What happened in each denoising step.

    Attributes:
        given, returned: of the denoiser, one for each pass: with the condition first, then without it.
        before, after: latents that the scheduler was given and gave back.
    """

    given: list[Tensor] = field(default_factory=list)
    returned: list[Tensor] = field(default_factory=list)
    before: list[Tensor] = field(default_factory=list)
    after: list[Tensor] = field(default_factory=list)


@contextmanager
def spied_steps(networks: Networks) -> Iterator[Steps]:
    """Note what the denoiser and the scheduler of ``networks`` are given and give back."""
    steps, scheduler = Steps(), networks.scheduler
    step = scheduler.step

    def forward(_: Any, arguments: tuple[Tensor, ...], made: Any) -> None:
        steps.given.append(arguments[0].clone())
        steps.returned.append(made.sample.clone())

    def spied(predicted: Tensor, timestep: Tensor, latents: Tensor) -> Any:
        steps.before.append(latents.clone())
        made = step(predicted, timestep, latents)
        steps.after.append(made.prev_sample.clone())
        return made

    handle = networks.unet.register_forward_hook(forward)
    scheduler.step = spied
    try:
        yield steps
    finally:
        handle.remove()
        scheduler.step = step
