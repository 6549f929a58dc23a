"""Depth estimators, one file each, and the choice between them."""

from __future__ import annotations

from ...domain.settings import DepthModel
from .base import DepthEstimator
from .cues import CuesDepth

__all__ = ["CuesDepth", "DepthEstimator", "make_depth_estimator", "resolve"]


def resolve(model: DepthModel) -> tuple[DepthModel, str]:
    """The estimator that ``model`` stands for on this machine, never ``AUTO``, and the reason in words."""
    if model is DepthModel.AUTO:
        return DepthModel.CUES, "it needs no weights and no GPU"
    return model, "it was asked for"


def make_depth_estimator(model: DepthModel) -> DepthEstimator:
    """A fresh estimator for one segment."""
    chosen, _ = resolve(model)
    return {DepthModel.CUES: CuesDepth}[chosen]()
