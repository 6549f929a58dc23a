"""From what a stream holds to the pictures we work on: upright, progressive, planar YUV at native depth."""

from __future__ import annotations

import re
from typing import Any

from ..domain.picture import ColorSpace, PixelFormat
from ..domain.probe import ColorTags, VideoStream, WorkingPicture

FilterStep = tuple[str, tuple[tuple[str, Any], ...]]

# swscale's default paths differ between processors; these flags make every machine compute the same samples.
_EXACT_SCALING = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"
_PLANAR = re.compile(r"^yuv(a?)(j?)(420|422|444|440)p(\d*)(le|be)?$")
_WORKING_DEPTHS = (8, 10, 12)


def working_picture(video: VideoStream) -> WorkingPicture:
    """How pictures of ``video`` look to every later step, and the filters that make them so."""
    pixel_format, native = _pixel_format(video.pix_fmt)
    is_rgb = _is_rgb(video.pix_fmt)
    full_range = _is_full_range(video) and native
    matrix = _known_matrix(video, is_rgb)
    width, height = video.upright_size
    steps: list[FilterStep] = []
    if video.interlaced:
        # One picture out for each picture in; field order from each frame's own flag.
        steps.append(("bwdif", (("mode", "send_frame"), ("parity", "auto"), ("deint", "all"))))
    if not native:
        steps.append(_conversion(video, pixel_format, matrix))
        steps.append(("format", (("pix_fmts", pixel_format.ffmpeg_name),)))
    steps += _orientation_steps(video)
    color = ColorSpace(
        matrix=matrix,
        full_range=full_range,
        transfer=video.color_transfer or "bt709",
        primaries=video.color_primaries or "bt709",
    )
    tags = ColorTags(
        matrix=matrix if is_rgb or video.color_matrix in ("gbr", "rgb") else video.color_matrix,
        transfer=video.color_transfer,
        primaries=video.color_primaries,
        full_range=full_range,
    )
    return WorkingPicture(
        width=width,
        height=height,
        sar=video.upright_sar,
        pixel_format=pixel_format,
        color=color,
        tagged=tags,
        filters=tuple(steps),
        temporal=video.interlaced,
    )


def _pixel_format(name: str) -> tuple[PixelFormat, bool]:
    """(working format, True if decoded frames already have it)."""
    planar = _PLANAR.match(name)
    if planar:
        alpha, _, sampling, depth, order = planar.groups()
        bits = int(depth or 8)
        working = min((d for d in _WORKING_DEPTHS if d >= bits), default=_WORKING_DEPTHS[-1])
        chroma_x, chroma_y = {"420": (1, 1), "422": (1, 0), "444": (0, 0), "440": (0, 0)}[sampling]
        native = not alpha and bits == working and order != "be" and sampling != "440"
        return PixelFormat(working, chroma_x, chroma_y), native
    bits = _component_bits(name)
    if name.startswith("gbr"):
        return PixelFormat(bits, 0, 0), False
    if name.startswith(("yuyv", "uyvy", "yvyu", "nv16", "nv20", "p21", "y210", "yuv411")):
        return PixelFormat(bits, 1, 0), False
    return PixelFormat(bits, 1, 1), False


def _component_bits(name: str) -> int:
    """Bits per component of a format that is not planar YUV: ``gray10le``, ``p010le``, ``rgb48le``, ``gbrp12le``..."""
    if name.startswith(("rgb48", "bgr48", "rgba64", "bgra64", "p016", "p216", "x2rgb10", "x2bgr10")):
        return 12 if "48" in name or "64" in name or "16" in name else 10
    found = re.search(r"(?:gray|gbrp|gbrap|p0|p2|p4|y2|ya)(\d\d)", name)
    bits = int(found.group(1)) if found else 8
    return min((d for d in _WORKING_DEPTHS if d >= bits), default=_WORKING_DEPTHS[-1])


def _is_rgb(name: str) -> bool:
    return name.startswith(("rgb", "bgr", "gbr", "pal8", "argb", "abgr", "0rgb", "0bgr", "x2rgb", "x2bgr", "mono"))


def _is_full_range(video: VideoStream) -> bool:
    return video.color_range == "pc" or video.pix_fmt.startswith("yuvj")


def _known_matrix(video: VideoStream, is_rgb: bool) -> str:
    """The source's matrix; where it says none, what players assume: BT.601 below 720 lines, BT.709 from there."""
    if is_rgb or video.color_matrix in ("gbr", "rgb"):
        return "bt709"
    return video.color_matrix or ("smpte170m" if min(video.width, video.height) < 720 else "bt709")


def _conversion(video: VideoStream, target: PixelFormat, matrix: str) -> FilterStep:
    """Other layouts become limited-range YUV with the range and matrix said on both sides, never guessed."""
    options: list[tuple[str, Any]] = [("out_range", "tv"), ("flags", _EXACT_SCALING)]
    if _is_rgb(video.pix_fmt):
        options.append(("out_color_matrix", _SCALE_MATRIX.get(matrix, "bt709")))
    elif _is_full_range(video) or (video.pix_fmt.startswith("gray") and video.color_range != "tv"):
        options.append(("in_range", "pc"))
    return ("scale", tuple(options))


# The words that ffmpeg's scale filter takes for a matrix.
_SCALE_MATRIX = {
    "bt709": "bt709",
    "smpte170m": "smpte170m",
    "bt470bg": "bt470bg",
    "smpte240m": "smpte240m",
    "fcc": "fcc",
    "bt2020nc": "bt2020",
    "bt2020c": "bt2020",
}


def scale_matrix(color: ColorSpace) -> str:
    """``color.matrix`` in the words of ffmpeg's scale filter."""
    return _SCALE_MATRIX.get(color.matrix, "bt709")


def _orientation_steps(video: VideoStream) -> list[FilterStep]:
    steps: list[FilterStep] = [("hflip", ())] if video.mirrored else []
    if video.rotation == 90:
        steps.append(("transpose", (("dir", "clock"),)))
    elif video.rotation == 180:
        steps += [("hflip", ()), ("vflip", ())]
    elif video.rotation == 270:
        steps.append(("transpose", (("dir", "cclock"),)))
    return steps
