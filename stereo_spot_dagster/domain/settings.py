"""What a user may choose for a conversion. CLI options, presets, sidecars and run config all come from here."""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from .errors import InvalidSettings
from .layout import Layout
from .models import (
    DepthCrafterOptions,
    DepthCrafterSetting,
    DepthKind,
    DepthName,
    ModelOptions,
    PictureDepthOptions,
    PictureDepthSetting,
    StereoCrafterOptions,
    StereoCrafterSetting,
    parse_depth,
)


class Synthesizer(StrEnum):
    """How the second eye is warped."""

    EXACT = "exact"
    REFERENCE = "reference"


class DepthEdges(StrEnum):
    """How silhouettes of depth that is smaller than the picture are enlarged.

    ``picture`` puts them where the picture has its edges, if a trained model made the depth (others: ``steep``);
    ``steep`` makes them steps where the depth has them; ``soft`` is bilinear, as published.
    """

    PICTURE = "picture"
    STEEP = "steep"
    SOFT = "soft"


class Inpaint(StrEnum):
    """How occlusions in the second eye are filled."""

    AUTO = "auto"
    BACKGROUND = "background"
    STEREOCRAFTER = "stereocrafter"


class Codec(StrEnum):
    """Video codec of the result."""

    H264 = "h264"
    HEVC = "hevc"
    FFV1 = "ffv1"


class Container(StrEnum):
    """File format of the result. ``auto`` is MP4 where every stream fits, else MKV."""

    AUTO = "auto"
    MP4 = "mp4"
    MKV = "mkv"


class ConversionSettings(BaseModel):
    """All settings of one conversion, frozen with the video when it is accepted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    layouts: Annotated[tuple[Layout, ...], Field(min_length=1, description="output layouts, one file each")] = (
        Layout.FULL_SBS,
    )
    divergence: Annotated[
        float,
        Field(ge=0, le=10, description="strength of the 3D effect: largest disparity in percent of the width"),
    ] = 2.0
    convergence: Annotated[
        float,
        Field(ge=0, le=1, description="depth that lies in the screen plane: 0 farthest, 1 nearest"),
    ] = 0.5
    depth: Annotated[
        DepthName,
        Field(
            description="where depth comes from: auto, cues, depthcrafter, depth-anything-v2-small (or -base, -large), "
            "midas-dpt-hybrid, midas-dpt-large, a hub owner/name, onnx:PATH, file:PATH"
        ),
    ] = "auto"
    synthesizer: Annotated[Synthesizer, Field(description="how the second eye is warped")] = Synthesizer.EXACT
    depth_edges: Annotated[
        DepthEdges,
        Field(description="silhouettes of a model's depth: at the picture's edges, steep, or soft as published"),
    ] = DepthEdges.PICTURE
    inpaint: Annotated[Inpaint, Field(description="how occlusions are filled")] = Inpaint.AUTO
    accept_noncommercial: Annotated[
        bool, Field(description="you accept that DepthCrafter and StereoCrafter are for research and education only")
    ] = False
    depthcrafter: Annotated[
        DepthCrafterSetting, Field(description="options of DepthCrafter: key=value,... or reference")
    ] = DepthCrafterOptions()
    stereocrafter: Annotated[
        StereoCrafterSetting, Field(description="options of StereoCrafter: key=value,... or reference")
    ] = StereoCrafterOptions()
    picture_depth: Annotated[
        PictureDepthSetting, Field(description="options of single-picture depth models: key=value,... or reference")
    ] = PictureDepthOptions()
    codec: Annotated[Codec, Field(description="video codec of the result")] = Codec.H264
    crf: Annotated[int, Field(ge=0, le=51, description="constant rate factor: lower is better; 0 is lossless")] = 18
    preset: Annotated[str, Field(description="x264/x265 speed preset")] = "medium"
    container: Annotated[Container, Field(description="file format of the result")] = Container.AUTO
    strict: Annotated[bool, Field(description="refuse a video if the container cannot hold all of its streams")] = False
    start_s: Annotated[float | None, Field(ge=0, description="start of the part to convert, seconds")] = None
    end_s: Annotated[float | None, Field(gt=0, description="end of the part to convert, seconds")] = None
    segment_frames: Annotated[
        int | None,
        Field(
            ge=1,
            le=100_000,
            description="segment length in frames; by default chosen from the depth model's speed",
        ),
    ] = None

    @field_validator("layouts", mode="before")
    @classmethod
    def _one_layout_may_be_given_alone(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("layouts")
    @classmethod
    def _layouts_once_each(cls, value: tuple[Layout, ...]) -> tuple[Layout, ...]:
        return tuple(dict.fromkeys(value))

    @field_validator("preset")
    @classmethod
    def _known_preset(cls, value: str) -> str:
        if value not in PRESETS:
            raise ValueError(f"must be one of {', '.join(PRESETS)}")
        return value

    @model_validator(mode="after")
    def _range_not_empty(self) -> ConversionSettings:
        if self.end_s is not None and self.end_s <= (self.start_s or 0.0):
            raise ValueError("end_s must be later than start_s")
        return self

    @property
    def fingerprint(self) -> str:
        """16 hex digits that differ when any setting differs.

        Settings at their default do not count: one that is added later changes no key of a known video.
        """
        return _digest(self.model_dump(mode="json", exclude_defaults=True))

    def depth_options(self, depth: str) -> ModelOptions | None:
        """The options that the model of a decided depth setting has; None where it has none."""
        match parse_depth(depth).kind:
            case DepthKind.DEPTHCRAFTER:
                return self.depthcrafter
            case DepthKind.TRANSFORMERS | DepthKind.ONNX:
                return self.picture_depth
        return None

    @property
    def plan_fingerprint(self) -> str:
        """16 hex digits of the settings that the segment plan and depth depend on."""
        return _digest(self.model_dump(mode="json", include=PLANNED, exclude_defaults=True))


# The settings that the segment plan and depth depend on; all others another rendering can change.
PLANNED = {
    "start_s",
    "end_s",
    "segment_frames",
    "depth",
    "depthcrafter",
    "picture_depth",
}
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")


def parse_settings(values: dict[str, Any], *, subject: str) -> ConversionSettings:
    """Settings from loosely typed values (a sidecar, a form, run config).

    Args:
        values: field name to value; unknown names are an error.
        subject: the file or option the values came from, named in the error.

    Raises:
        InvalidSettings: names the field, what is wrong with it, and the fields there are.
    """
    try:
        return ConversionSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "settings"
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            known = ", ".join(ConversionSettings.model_fields)
            raise InvalidSettings(subject, f"there is no setting '{field}'", f"Use one of: {known}") from None
        raise InvalidSettings(subject, f"setting '{field}' {message[:1].lower()}{message[1:]}", "Correct it") from None


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
