"""Tiny random networks and what the published code made with them, number by number.

The networks' values are exactly representable in bfloat16 and stored so; they run in single precision.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
