"""Which models a conversion uses and how they run, as a user writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, Field, model_validator

# owner/name, as the Hugging Face hub spells it, with or without @revision.
_HUB_NAME = re.compile(r"^[\w.-]+/[\w.-]+(@[\w./-]+)?$")


class DepthKind(StrEnum):
    """What a depth setting stands for."""

    AUTO = "auto"
    CUES = "cues"
    DEPTHCRAFTER = "depthcrafter"
    TRANSFORMERS = "transformers"
    ONNX = "onnx"
    FILE = "file"


# Names of single-picture depth models that transformers runs; their repositories are in the catalogue of weights.
PICTURE_MODELS = (
    "depth-anything-v2-small",
    "depth-anything-v2-base",
    "depth-anything-v2-large",
    "midas-dpt-hybrid",
    "midas-dpt-large",
)


class DepthRangeKind(StrEnum):
    """What of a shot's relative depth becomes 0 and 1.

    ``percentiles``: the 0.1st and the 99.9th, so that one hot pixel does not flatten the rest; ``extremes``: the
    smallest and the largest value, as published.
    """

    PERCENTILES = "percentiles"
    EXTREMES = "extremes"


@dataclass(frozen=True)
class DepthChoice:
    """A parsed depth setting.

    Attributes:
        kind: what it stands for.
        name: of the model, for ``TRANSFORMERS``: one of :data:`PICTURE_MODELS` or ``owner/name[@revision]``.
        path: of the file or folder, for ``ONNX`` and ``FILE``.
    """

    kind: DepthKind
    name: str = ""
    path: str = ""


def parse_depth(text: str) -> DepthChoice:
    """What ``text`` asks for.

    Raises:
        ValueError: in words a person understands.
    """
    scheme, colon, path = text.partition(":")
    if colon and scheme in (DepthKind.FILE, DepthKind.ONNX):
        if not path:
            raise ValueError(f"needs a path after '{scheme}:'")
        return DepthChoice(DepthKind(scheme), path=path)
    if text in (DepthKind.AUTO, DepthKind.CUES, DepthKind.DEPTHCRAFTER):
        return DepthChoice(DepthKind(text))
    if text in PICTURE_MODELS or _HUB_NAME.match(text):
        return DepthChoice(DepthKind.TRANSFORMERS, name=text)
    known = ", ".join([DepthKind.AUTO, DepthKind.CUES, DepthKind.DEPTHCRAFTER, *PICTURE_MODELS])
    raise ValueError(f"must be one of {known}, an owner/name of the Hugging Face hub, file:PATH or onnx:PATH")


class ModelOptions(BaseModel, frozen=True, extra="forbid"):
    """Options of one model. Written ``key=value,key=value``; the word ``reference`` is the published behaviour."""

    def __str__(self) -> str:
        changed = self.model_dump(mode="json", exclude_defaults=True)
        return ",".join(f"{name}={value}" for name, value in changed.items())


class DepthCrafterOptions(ModelOptions, frozen=True):
    """How DepthCrafter runs.

    Attributes:
        steps: denoising steps.
        guidance: classifier-free guidance; 1 runs the model once a step instead of twice.
        window: frames denoised together; the model was trained on up to 110.
        overlap: frames two windows of a shot share; their latents are cross-faded.
        max_side: longest side of the pictures the model sees, pixels.
        noise_augmentation: noise added to the pictures it is conditioned on.
        decode_chunk: frames the decoder sees together.
        seed: of all noise.
        noise: ``frame`` draws the noise of each absolute frame by itself; ``rolling`` is the published code's order.
        joint: how decoded chunks meet: ``fade`` over shared frames, or ``hard``.
        depth_range: see :class:`DepthRangeKind`.
    """

    steps: Annotated[int, Field(ge=1, le=100)] = 5
    guidance: Annotated[float, Field(ge=1, le=10)] = 1.0
    window: Annotated[int, Field(ge=2, le=110)] = 110
    overlap: Annotated[int, Field(ge=0, le=55)] = 25
    max_side: Annotated[int, Field(ge=128, le=2048)] = 1024
    noise_augmentation: Annotated[float, Field(ge=0, le=1)] = 0.02
    decode_chunk: Annotated[int, Field(ge=1, le=32)] = 8
    seed: Annotated[int, Field(ge=0)] = 42
    noise: Literal["frame", "rolling"] = "frame"
    joint: Literal["fade", "hard"] = "fade"
    depth_range: DepthRangeKind = DepthRangeKind.PERCENTILES

    @model_validator(mode="after")
    def _overlap_fits(self) -> DepthCrafterOptions:
        if self.overlap > self.window // 2:
            raise ValueError("overlap must be at most half of window")
        return self

    @classmethod
    def reference(cls) -> DepthCrafterOptions:
        """As StereoCrafter's script calls it."""
        return cls(
            steps=8,
            guidance=1.2,
            window=70,
            overlap=25,
            noise="rolling",
            joint="hard",
            depth_range=DepthRangeKind.EXTREMES,
        )


class StereoCrafterOptions(ModelOptions, frozen=True):
    """How StereoCrafter runs.

    Attributes:
        steps: denoising steps.
        guidance: classifier-free guidance; 1 runs the model once a step instead of twice.
        chunk: frames denoised together; the model was trained on 25.
        overlap: frames of a chunk that are given from the one before.
        tile_side: longest side of a tile, pixels; larger pictures are denoised in overlapping tiles.
        tile_overlap: pixels two tiles share.
        tile_count: tiles along each side; 0 chooses them by ``tile_side``.
        decode_chunk: frames the decoder sees together.
        seed: of all noise.
        noise: ``frame`` draws the noise of each absolute frame by itself; ``sequence`` is the published code's order.
        joint: how chunks meet: ``fade`` over the shared frames, or ``hard``.
        mask: ``max`` keeps a latent pixel a hole if any pixel it covers is; ``nearest`` looks at the top left one.
        edges: ``pad`` extends the picture to a size the model takes; ``crop`` cuts it, and loses rows and columns.
        paste: ``holes`` takes only hole pixels from the model; ``all`` takes the whole picture.
        match_colour: shift the colours of what was made to those around each hole.
    """

    steps: Annotated[int, Field(ge=1, le=100)] = 8
    guidance: Annotated[float, Field(ge=1, le=10)] = 1.0
    chunk: Annotated[int, Field(ge=1, le=64)] = 23
    overlap: Annotated[int, Field(ge=0, le=32)] = 3
    tile_side: Annotated[int, Field(ge=128, le=4096)] = 1024
    tile_overlap: Annotated[int, Field(ge=64, le=512)] = 128
    tile_count: Annotated[int, Field(ge=0, le=16)] = 0
    decode_chunk: Annotated[int, Field(ge=1, le=32)] = 8
    seed: Annotated[int, Field(ge=0)] = 42
    noise: Literal["frame", "sequence"] = "frame"
    joint: Literal["fade", "hard"] = "fade"
    mask: Literal["max", "nearest"] = "max"
    edges: Literal["pad", "crop"] = "pad"
    paste: Literal["holes", "all"] = "holes"
    match_colour: bool = True

    @model_validator(mode="after")
    def _overlap_fits(self) -> StereoCrafterOptions:
        if self.overlap > self.chunk // 2:
            raise ValueError("overlap must be at most half of chunk")
        return self

    @classmethod
    def reference(cls) -> StereoCrafterOptions:
        """As the published inpainting script runs, except that the output keeps the size of the input."""
        return cls(
            guidance=1.01,
            tile_count=2,
            decode_chunk=2,
            noise="sequence",
            joint="hard",
            mask="nearest",
            edges="crop",
            paste="all",
            match_colour=False,
        )


class PictureDepthOptions(ModelOptions, frozen=True):
    """How single-picture depth models run.

    Attributes:
        side: short side of the pictures the model sees, pixels; models round it to what they take.
        batch: pictures at once.
        stabilise: align scale and shift of each picture with those before it in the shot.
        depth_range: see :class:`DepthRangeKind`.
    """

    side: Annotated[int, Field(ge=98, le=2048)] = 518
    batch: Annotated[int, Field(ge=1, le=64)] = 4
    stabilise: bool = True
    depth_range: DepthRangeKind = DepthRangeKind.PERCENTILES

    @classmethod
    def reference(cls) -> PictureDepthOptions:
        """Each picture by itself, in the range of its extremes in the shot."""
        return cls(stabilise=False, depth_range=DepthRangeKind.EXTREMES)


_Options = TypeVar("_Options", bound=ModelOptions)


def _from_text(kind: type[_Options], value: Any) -> Any:
    """``kind`` from ``reference``, from ``key=value,key=value``, or as pydantic takes it."""
    if not isinstance(value, str):
        return value
    chosen: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in value.split(","))):
        name, equals, content = part.partition("=")
        if part == "reference":
            chosen |= kind.reference().model_dump()  # type: ignore[attr-defined]
        elif equals and name.strip() in kind.model_fields:
            chosen[name.strip()] = content.strip()
        else:
            raise ValueError(f"has no option '{part}'; write reference, or key=value of {', '.join(kind.model_fields)}")
    return kind.model_validate(chosen)


DepthName = Annotated[str, BeforeValidator(lambda value: _valid_depth(value))]
DepthCrafterSetting = Annotated[
    DepthCrafterOptions, BeforeValidator(lambda value: _from_text(DepthCrafterOptions, value))
]
StereoCrafterSetting = Annotated[
    StereoCrafterOptions, BeforeValidator(lambda value: _from_text(StereoCrafterOptions, value))
]
PictureDepthSetting = Annotated[
    PictureDepthOptions, BeforeValidator(lambda value: _from_text(PictureDepthOptions, value))
]


def _valid_depth(value: Any) -> str:
    text = str(value)
    choice = parse_depth(text)
    if choice.path:
        return f"{choice.kind}:{Path(choice.path)}"
    return text
