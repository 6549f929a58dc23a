"""Which layout a result has, and the rule that its name, container and stream agree on it."""

from __future__ import annotations

import re
from pathlib import PurePath

import ffmpeg

from ..domain.errors import FfmpegFailed, InputRefused
from ..domain.layout import Layout, View, name_suffix
from ..media.process import run_verbose, safe_input
from .films import Film
from .findings import Finding, judged
from .geometry import packing_of

_TIMEOUT_S = 60.0
Kind = tuple[Layout, View]

# What a mark says of the picture, in ffmpeg's words.
_MARKS = {
    Layout.FULL_SBS: "side by side",
    Layout.HALF_SBS: "side by side",
    Layout.FULL_TB: "top and bottom",
    Layout.HALF_TB: "top and bottom",
    Layout.CROSS_EYED: "side by side, inverted",
}
_ANAGLYPH = "anaglyph"
_NONE = "none"


def layout_in_name(name: str) -> Kind | None:
    """The layout that the ending of a file's name tells; None where it tells none."""
    stem = PurePath(name).stem
    # A result whose name was taken has eight digits of its video behind it.
    stems = [stem, re.sub(r"_[0-9a-f]{8}$", "", stem)]
    for layout in Layout:
        for view in layout.views:
            suffix = name_suffix(layout, view)
            if suffix and any(found.endswith(suffix) for found in stems):
                return layout, view
    return None


def layout_of(source: Film, result: Film) -> Kind:
    """The layout of a result: from its name, else from what its container or stream says.

    Raises:
        InputRefused: nothing tells.
    """
    named = layout_in_name(result.name)
    if named is not None:
        return named
    mark = container_mark(result)
    if mark == _NONE:
        mark = stream_mark(result)
    for layout in (Layout.FULL_SBS, Layout.FULL_TB, Layout.CROSS_EYED, Layout.HALF_SBS, Layout.HALF_TB):
        if mark == _MARKS[layout] and _is_large_enough(source, result, layout):
            return layout, View.PACKED
    raise InputRefused(
        result.name,
        "neither its name nor its marks say how the eyes are packed: it does not look like a result of stereo-spot",
        "Name the layout: --layout full-sbs",
    )


def check_signalling(result: Film, layout: Layout, view: View) -> Finding:
    """Name, container and stream say how the eyes are packed; none of them says something else."""
    rule, problems = "signalling_3d", []
    named, wanted = layout_in_name(result.name), _MARKS.get(layout, _NONE)
    if named is not None and named != (layout, view):
        problems.append((f"a name as of {layout.value}", f"one as of {named[0].value}"))
    found, where = container_mark(result), "container"
    if _marks_stream(result, layout):
        # Sets that take 3D broadcasts read the stream; a second mark in the container keeps ffmpeg 8 from decoding.
        if found == _NONE:
            found, where = stream_mark(result), "stream"
        else:
            where = "container instead of the stream"
            problems.append((f"{wanted} in the stream", f"{found} in the container"))
    elif result.is_mp4 and (layout.is_anaglyph or layout is Layout.CROSS_EYED):
        wanted = _NONE  # MP4 has no words for these.
    elif layout.is_anaglyph:
        wanted = _ANAGLYPH
    if found != wanted and not problems:
        problems.append((f"{wanted} in the {where}", found))
    name = f", {name_suffix(layout, view)} in the name" if named else ""
    return judged(rule, problems, f"{found} in the {where}{name}")


def container_mark(film: Film) -> str:
    """What the container says of the eyes."""
    record = next(
        (entry for entry in film.video.get("side_data_list", []) if entry.get("side_data_type") == "Stereo 3D"), None
    )
    if record is not None and str(record.get("type")).lower() != "2d":
        words = str(record["type"]).lower()
        return f"{words}, inverted" if int(record.get("inverted") or 0) else words
    return _ANAGLYPH if str(film.video.get("tags", {}).get("stereo_mode", "")).startswith("anaglyph") else _NONE


def stream_mark(film: Film) -> str:
    """What the stream says of the eyes. ffprobe names the record of a picture, but not its type: ffmpeg is asked."""
    shown = safe_input(film.path)[str(film.video["index"])].filter("showinfo")
    node = ffmpeg.output(shown, "pipe:1", format="null", **{"frames:v": 1})
    try:
        said = run_verbose(node, subject=film.name, timeout_s=_TIMEOUT_S)
    except FfmpegFailed:
        return _NONE
    found = re.search(r"(?:Stereo 3D|stereoscopic information): type - ([a-z ]+[a-z])(.*inverted)?", said)
    if found is None:
        return _NONE
    return f"{found.group(1)}, inverted" if found.group(2) else found.group(1)


def _marks_stream(film: Film, layout: Layout) -> bool:
    return layout.frame_packing is not None and film.video.get("codec_name") == "h264"


def _is_large_enough(source: Film, result: Film, layout: Layout) -> bool:
    width, height = packing_of(layout).size(*source.upright_size)
    return int(result.video["width"]) >= width and int(result.video["height"]) >= height
