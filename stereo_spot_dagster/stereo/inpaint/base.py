"""The interface of inpainters."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..frame import Frame
from ..warp.base import SynthesizedView


class Inpainter(ABC):
    """Fills the occlusions of a synthesized view. Visible pixels come back bit-equal."""

    name: str
    licence: str
    noncommercial: bool = False

    @abstractmethod
    def fill(self, view: SynthesizedView) -> Frame:
        """The completed picture, same size and format as ``view.frame``."""
