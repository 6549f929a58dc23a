"""View synthesizers, one file each."""

from ...domain.settings import Synthesizer
from .base import SynthesizedView, ViewSynthesizer
from .disparity import disparity_from_depth
from .exact import ExactSynthesizer
from .reference import ReferenceSynthesizer

__all__ = ["SynthesizedView", "ViewSynthesizer", "disparity_from_depth", "make_synthesizer"]


def make_synthesizer(kind: Synthesizer) -> ViewSynthesizer:
    """The view synthesizer a conversion setting names."""
    match kind:
        case Synthesizer.EXACT:
            return ExactSynthesizer()
        case Synthesizer.REFERENCE:
            return ReferenceSynthesizer()
