"""Inpainters, one file each."""

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
    """
    match kind:
        case Inpaint.BACKGROUND:
            return BackgroundInpainter()
    raise ValueError(f"no inpainter is called {kind.value}")
