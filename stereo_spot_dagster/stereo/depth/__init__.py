"""Depth estimators, one file each."""

from __future__ import annotations

from ...domain.models import DepthKind, ModelOptions, parse_depth
from .base import DepthEstimator
from .cues import CuesDepth

__all__ = ["CuesDepth", "DepthEstimator", "make_depth_estimator"]


def make_depth_estimator(depth: str, options: ModelOptions | None) -> DepthEstimator:
    """The estimator that ``depth`` names, loaded; keep it for all segments.

    Args:
        depth: a decided depth setting: not ``auto``, and not ``file:``, which needs no estimator.
        options: of that model, as ``ConversionSettings.depth_options`` gives them.
    """
    choice = parse_depth(depth)
    match choice.kind:
        case DepthKind.CUES:
            return CuesDepth()
    raise ValueError(f"no depth estimator is called {depth}")
