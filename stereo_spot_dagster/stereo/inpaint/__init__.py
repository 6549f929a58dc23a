"""Inpainters, one file each."""

from ...domain.settings import Inpaint
from .background import BackgroundInpainter
from .base import Inpainter

__all__ = ["Inpainter", "make_inpainter"]


def make_inpainter(kind: Inpaint) -> Inpainter:
    """The inpainter a conversion setting names."""
    match kind:
        case Inpaint.BACKGROUND:
            return BackgroundInpainter()
