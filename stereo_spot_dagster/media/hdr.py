"""HDR10 static metadata: from ffprobe's words to x265's, and which codec can carry it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from ..domain.probe import VideoStream
from ..domain.settings import Codec

MASTERING_DISPLAY = "Mastering display metadata"
CONTENT_LIGHT = "Content light level metadata"

_CHROMATICITY_UNIT = Fraction(1, 50_000)
_LUMINANCE_UNIT = Fraction(1, 10_000)
_POINTS = (("G", "green"), ("B", "blue"), ("R", "red"), ("WP", "white_point"))


def mastering_display(side_data: dict[str, Any] | None) -> str | None:
    """x265's ``master-display`` for ffprobe's mastering display side data; None where it is absent or incomplete."""
    if side_data is None:
        return None
    try:
        points = [f"{word}({_point(side_data, key)})" for word, key in _POINTS]
        brightest = _units(side_data["max_luminance"], _LUMINANCE_UNIT)
        darkest = _units(side_data["min_luminance"], _LUMINANCE_UNIT)
    except (KeyError, ValueError, ZeroDivisionError):
        return None
    return "".join(points) + f"L({brightest},{darkest})"


def content_light(side_data: dict[str, Any] | None) -> str | None:
    """x265's ``max-cll`` (MaxCLL,MaxFALL) for ffprobe's content light side data; None where it is absent."""
    if side_data is None or "max_content" not in side_data:
        return None
    return f"{int(side_data['max_content'])},{int(side_data.get('max_average', 0))}"


def codec_for(video: VideoStream, wanted: Codec) -> Codec:
    """The codec that a video is really encoded with: H.264 has no place for HDR10 data that players read."""
    return Codec.HEVC if wanted is Codec.H264 and _has_hdr10(video) else wanted


def codec_warning(video: VideoStream, wanted: Codec) -> tuple[str, ...]:
    """What to say where :func:`codec_for` departs from the wish."""
    if codec_for(video, wanted) is wanted:
        return ()
    return ("the source has HDR10 data, which H.264 cannot carry: the result is HEVC",)


def _has_hdr10(video: VideoStream) -> bool:
    return video.mastering_display is not None or video.content_light is not None


def _point(side_data: dict[str, Any], key: str) -> str:
    return ",".join(str(_units(side_data[f"{key}_{axis}"], _CHROMATICITY_UNIT)) for axis in "xy")


def _units(ratio: str, unit: Fraction) -> int:
    return round(Fraction(ratio) / unit)
