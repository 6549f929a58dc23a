"""Inpainters, one file each."""

from __future__ import annotations

from ...domain.machine import MachineSettings
from ...domain.models import StereoCrafterOptions
from ...domain.settings import Inpaint
from .background import BackgroundInpainter
from .base import Inpainter

__all__ = ["Inpainter", "make_inpainter"]


def make_inpainter(kind: Inpaint, options: StereoCrafterOptions) -> Inpainter:
    """The inpainter that a decided setting names, loaded; keep it for all segments.

    Args:
        kind: not ``AUTO``.
        options: of StereoCrafter.

    Raises:
        WeightsMissing, WeightsBroken: StereoCrafter's weights are not there or not whole.
        InvalidSettings: the device asked for is not there.
    """
    match kind:
        case Inpaint.BACKGROUND:
            return BackgroundInpainter()
        case Inpaint.STEREOCRAFTER:
            return _stereocrafter(options)
    raise ValueError(f"no inpainter is called {kind.value}")


def _stereocrafter(options: StereoCrafterOptions) -> Inpainter:
    # Imported here: torch takes seconds and 200 MB, which those who fill from the background need not pay.
    from ..diffusion.pretrained import load_networks
    from .stereocrafter import StereoCrafterInpainter

    return StereoCrafterInpainter(load_networks("stereocrafter", 9, MachineSettings.from_environment()), options)
