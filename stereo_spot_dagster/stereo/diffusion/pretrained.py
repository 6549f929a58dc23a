"""The published networks, from where their weights lie on this machine."""

from __future__ import annotations

from ... import weights
from ...domain.machine import MachineSettings
from ...weights.pull import obtain
from ..devices import choose_device
from .networks import Networks


def load_networks(model: str, in_channels: int, machine: MachineSettings) -> Networks:
    """Stable Video Diffusion's networks with the denoiser of ``model``.

    Args:
        model: ``depthcrafter`` or ``stereocrafter``.
        in_channels: channels its denoiser takes.
        machine: where weights and device are.

    Raises:
        WeightsMissing, DownloadFailed: weights are not there and cannot be had.
        WeightsBroken: they are not whole, or another model's.
        InvalidSettings: the device asked for is not there.
    """
    entry, base = weights.find(model), weights.find("svd")
    for needed in (base, entry):
        # A worker of a fleet gets them here; elsewhere they are there since the plan was made.
        obtain(needed, machine)
    device = choose_device(machine)
    return Networks.load(
        weights.verify(base, machine=machine), weights.verify(entry, machine=machine), in_channels, device
    )
