"""What a plan must know about a depth estimator, told without its weights and without torch.

The machine that plans need not be one that could run the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...domain.models import DepthCrafterOptions, DepthKind, ModelOptions, PictureDepthOptions, parse_depth
from .base import DepthEstimator
from .cues import CuesDepth
from .picture_model import TRAINED
from .pictures import STEADY_FRAMES, PictureByPicture, inference_size

# DepthCrafter at 1024 x 576 and five steps on a GPU of the middle class.
_DEPTHCRAFTER_FRAMES_PER_S = 2.0
_DEPTHCRAFTER_MULTIPLE = 64


@dataclass(frozen=True)
class DepthTraits:
    """As the attributes of :class:`DepthEstimator` that have the same names.

    Attributes:
        survey_size: (width, height) of a survey's pictures for a video of a width and height: the working size, or
            close to it where only the weights tell.
    """

    relative: bool
    overlap_frames: int
    frames_per_s: float
    segment_work_s: float
    survey_size: Callable[[int, int], tuple[int, int]]

    @classmethod
    def of(cls, estimator: DepthEstimator) -> DepthTraits:
        return cls(
            estimator.relative,
            estimator.overlap_frames,
            estimator.frames_per_s,
            estimator.segment_work_s,
            estimator.working_size,
        )


def depth_traits(depth: str, options: ModelOptions | None) -> DepthTraits:
    """The traits of the estimator that ``make_depth_estimator`` would make of the same arguments.

    Raises:
        ValueError: it needs none (``file:``), or is not decided (``auto``).
    """
    choice = parse_depth(depth)
    match choice.kind:
        case DepthKind.CUES:
            return DepthTraits.of(CuesDepth())
        case DepthKind.DEPTHCRAFTER:
            return _depthcrafter(options if isinstance(options, DepthCrafterOptions) else DepthCrafterOptions())
        case DepthKind.TRANSFORMERS | DepthKind.ONNX:
            own = options if isinstance(options, PictureDepthOptions) else PictureDepthOptions()
            return _picture_model(choice.name.lower(), own)
    raise ValueError(f"no depth estimator is called {depth}")


def _picture_model(name: str, options: PictureDepthOptions) -> DepthTraits:
    family = "dpt" if "dpt" in name or "midas" in name else "depth_anything"
    trained, multiple = TRAINED[family]
    side = trained if options.side == PictureDepthOptions().side else options.side
    return DepthTraits(
        relative=True,
        overlap_frames=STEADY_FRAMES if options.stabilise else 0,
        frames_per_s=PictureByPicture.frames_per_s,
        segment_work_s=PictureByPicture.segment_work_s,
        # MiDaS sees squares.
        survey_size=lambda width, height: inference_size(width, width if family == "dpt" else height, side, multiple),
    )


def _depthcrafter(options: DepthCrafterOptions) -> DepthTraits:
    return DepthTraits(
        relative=True,
        overlap_frames=options.overlap,
        frames_per_s=_DEPTHCRAFTER_FRAMES_PER_S,
        segment_work_s=DepthEstimator.segment_work_s,
        survey_size=lambda width, height: depthcrafter_size(width, height, options.max_side),
    )


def depthcrafter_size(width: int, height: int, max_side: int) -> tuple[int, int]:
    """(width, height) rounded to multiples of 64, the longer at most ``max_side``; the aspect is kept approximately."""
    rounded = [_rounded(side) for side in (width, height)]
    if max(rounded) > max_side:
        scale = max_side / max(width, height)
        rounded = [_rounded(side * scale) for side in (width, height)]
    return rounded[0], rounded[1]


def _rounded(side: float) -> int:
    return max(_DEPTHCRAFTER_MULTIPLE, round(side / _DEPTHCRAFTER_MULTIPLE) * _DEPTHCRAFTER_MULTIPLE)
