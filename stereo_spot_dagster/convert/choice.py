"""Which models a video is converted with: decided once, recorded with the reason."""

from __future__ import annotations

from dataclasses import dataclass

from ..domain.settings import ConversionSettings, Inpaint


@dataclass(frozen=True)
class ModelChoice:
    """What a video is converted with.

    Attributes:
        depth: a depth setting other than ``auto``.
        depth_reason: why, in words.
        depth_digest: of what else depth depends on: options and weights; empty for ``cues``.
        inpaint: how occlusions are filled, never ``AUTO``.
        inpaint_reason: why, in words.
    """

    depth: str
    depth_reason: str
    depth_digest: str
    inpaint: Inpaint
    inpaint_reason: str


def choose_models(settings: ConversionSettings) -> ModelChoice:
    """The models that ``settings`` stand for on this machine."""
    depth, reason = settings.depth, "it was asked for"
    if depth == "auto":
        depth, reason = "cues", "it needs no weights and no GPU"
    inpaint, inpaint_reason = settings.inpaint, "it was asked for"
    if inpaint is Inpaint.AUTO:
        inpaint, inpaint_reason = Inpaint.BACKGROUND, "it needs no weights and no GPU"
    return ModelChoice(depth, reason, "", inpaint, inpaint_reason)
