"""Looks into a file with ffprobe and decides whether it can be converted at all."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..domain.errors import FfmpegFailed, InputRefused, ToolTimeout, printable
from ..domain.probe import OtherStream, ProbeReport, VideoStream
from ..domain.timing import TimeBase
from .ffprobe import probe_command
from .first_picture import decoded_format, first_picture
from .hdr import CONTENT_LIGHT, MASTERING_DISPLAY, content_light, mastering_display
from .limits import MAX_CHAPTERS, MAX_FRAMES, MAX_PIXELS, MAX_RATE, MAX_SIDE, MAX_STREAMS, MIN_SIDE
from .mp4_boxes import ends_within_a_fragment, ends_within_its_samples
from .oddities import oddities
from .orientation import orientation
from .process import read_output
from .requirements import check_decoder
from .tools import find_tools, version
from .unreadable import explain

PROBE_TIMEOUT_S = 20.0
# A true description of 256 streams and 10,000 chapters is a tenth of this.
_DESCRIPTION_BYTES = 16 << 20
# Tags go into records and, of sound tracks, onto ffmpeg's command line.
_TAG_CHARACTERS = 1000
_WITH_ALPHA = ("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16")
_DISPLAY_MATRIX = "Display Matrix"
_HDR_TRANSFERS = ("smpte2084", "arib-std-b67")
# Codecs whose pictures may say that they hold two eyes.
_WITH_PACKING = ("h264", "hevc")


def probe(path: Path, *, name: str | None = None) -> ProbeReport:
    """What ``path`` holds.

    Args:
        path: a local file.
        name: how the user calls the file, for messages; the path's own name by default.

    Raises:
        InputRefused: it is empty, not a video, broken in its header, encrypted, or too large to decode.
    """
    name = name or path.name
    size = path.stat().st_size
    if size == 0:
        raise InputRefused(name, "the file is empty (0 bytes)", "Copy or upload it again")
    document = describe(path, name)
    if ends_within_its_samples(path):
        raise InputRefused(name, "the file is truncated: it ends before its index says (incomplete)", "Copy it again")
    streams = document.get("streams", [])
    _refuse_too_many(streams, document.get("chapters", []), name)
    chosen = _choose_video(streams, name)
    _refuse_unconvertible(chosen, name)
    _complete_description(path, chosen, name)
    container = document.get("format", {})
    foreign = _foreign_streams(document.get("programs", []), chosen)
    report = ProbeReport(
        file_name=name,
        size_bytes=size,
        format_name=str(container.get("format_name", "")),
        duration_s=_seconds(container.get("duration")),
        start_time=_start_time(container),
        video=_video_stream(chosen),
        others=tuple(
            _other_stream(stream, foreign) for stream in streams if stream is not chosen and not _is_empty(stream)
        ),
        chapters=len(document.get("chapters", [])),
        chapters_from_s=min(_chapter_times(document, "start_time"), default=0.0),
        chapters_to_s=max(_chapter_times(document, "end_time"), default=0.0),
        tags={str(key): _tag(value) or "" for key, value in container.get("tags", {}).items()},
        tool=version(find_tools().ffprobe),
    )
    empty = [_other_stream(stream, foreign).label for stream in streams if _is_empty(stream)]
    notes = tuple(f"{label} has nothing in it that can be read; it is left out" for label in empty) + _skewed(chosen)
    if ends_within_a_fragment(path):
        notes += ("the file ends in the middle of its data; it is converted as far as it goes",)
    return report.model_copy(update={"warnings": oddities(report) + notes})


def describe(path: Path, name: str) -> dict[str, Any]:
    """ffprobe's own description of a file: ``format``, ``streams``, ``programs`` and ``chapters``.

    Raises:
        InputRefused: it cannot be read.
    """
    command = probe_command(path, "-show_format", "-show_streams", "-show_programs", "-show_chapters", "-of", "json")
    try:
        said = read_output(command, subject=name, timeout_s=PROBE_TIMEOUT_S, limit_bytes=_DESCRIPTION_BYTES)
        return json.loads(said)
    except ToolTimeout:
        raise InputRefused(name, "its header could not be read in time", "Check the file with a player") from None
    except FfmpegFailed as error:
        words = explain(error.messages, path) if error.messages else (error.cause, "Check the file with a player")
        raise InputRefused(name, *words) from None
    except json.JSONDecodeError:
        raise InputRefused(name, "its header cannot be read", "Check that it is a video file") from None


def _chapter_times(document: dict[str, Any], which: str) -> list[float]:
    return [_seconds(chapter.get(which)) or 0.0 for chapter in document.get("chapters", [])]


def _refuse_too_many(streams: list[dict[str, Any]], chapters: list[dict[str, Any]], name: str) -> None:
    for count, limit, what in ((len(streams), MAX_STREAMS, "streams"), (len(chapters), MAX_CHAPTERS, "chapters")):
        if count > limit:
            raise InputRefused(name, f"it holds {count} {what}; the limit is {limit}", "Leave some of them out")


def _choose_video(streams: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The video stream that is the film: never a cover picture; the one flagged default; else the largest."""
    videos = [stream for stream in streams if stream.get("codec_type") == "video" and not _is_cover(stream)]
    if not videos:
        kinds = sorted({str(stream.get("codec_type", "unknown")) for stream in streams}) or ["no streams"]
        raise InputRefused(name, f"there is no video stream in it (only {', '.join(kinds)})", "Drop a video file")

    def rank(stream: dict[str, Any]) -> tuple[int, int, int]:
        area = int(stream.get("width", 0)) * int(stream.get("height", 0))
        return (stream.get("disposition", {}).get("default", 0), area, -int(stream["index"]))

    return max(videos, key=rank)


def _refuse_unconvertible(stream: dict[str, Any], name: str) -> None:
    width, height = int(stream.get("width", 0)), int(stream.get("height", 0))
    codec = stream.get("codec_name")
    if stream.get("codec_tag_string") in ("encv", "drmi", "drmv"):
        raise InputRefused(name, "its video is encrypted (copy protected)", "Use a copy without protection")
    if not codec or codec in ("none", "unknown"):
        raise InputRefused(name, "its video codec is not known", "Convert it to H.264 first")
    if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
        raise InputRefused(
            name,
            f"its pictures are too large ({width}x{height}; the limit is {MAX_SIDE} a side and"
            f" {MAX_PIXELS // 1_000_000} megapixels)",
            "Scale it down first",
        )
    if width < 1 or height < 1:
        # ffprobe 5.1 also says no size of pictures that are larger than it may decode.
        largest = f"more than {MAX_PIXELS // 1_000_000} megapixels"
        cause = f"its video has no pictures that can be decoded: they are damaged, or too large ({largest})"
        raise InputRefused(name, cause, "Check the file with a player, or scale it down")
    if min(width, height) < MIN_SIDE:
        cause = f"its pictures are too small ({width}x{height}; at least {MIN_SIDE} a side are needed)"
        raise InputRefused(name, cause, "Scale it up first")
    rate = _ratio(stream.get("avg_frame_rate"), "/")
    if rate and rate > MAX_RATE:
        cause = f"its clock is wrong: it claims {float(rate):,.0f} pictures a second"
        raise InputRefused(name, cause, "Check the file with a player")
    frames = _number(stream.get("nb_frames"))
    if frames and frames > MAX_FRAMES:
        raise InputRefused(
            name, f"it says that it has {frames:,} pictures; the limit is {MAX_FRAMES:,}", "Split it first"
        )
    profile = _dolby_vision_profile(stream)
    if profile == 5:
        raise InputRefused(
            name,
            "it is Dolby Vision profile 5, whose colours only a Dolby Vision decoder can read",
            "Convert it to HDR10 or SDR first",
        )


def _complete_description(path: Path, stream: dict[str, Any], name: str) -> None:
    """Add to ffprobe's description of the film what only a decoded picture tells.

    Raises:
        InputRefused: its first picture cannot be decoded.
        ToolUnavailable: this ffmpeg has no decoder for it.
    """
    check_decoder(str(stream["codec_name"]), name)
    if not stream.get("pix_fmt"):
        # Some builds of ffprobe have fewer decoders (AV1, PNG) than the ffmpeg beside them.
        stream["pix_fmt"] = decoded_format(path, int(stream["index"]), name)
    hdr = stream.get("color_transfer") in _HDR_TRANSFERS
    if not hdr and stream["codec_name"] not in _WITH_PACKING:
        return
    first = first_picture(path, int(stream["index"]), name)
    if hdr:
        stream.setdefault("side_data_list", []).extend(first.get("side_data_list", []))
    stream["packing"] = first.get("tags", {}).get("stereo_mode")


def _foreign_streams(programs: list[dict[str, Any]], film: dict[str, Any]) -> set[int]:
    """Indexes of the streams that belong to other programs (channels) of a broadcast, and not to the film's."""
    members = [{int(stream["index"]) for stream in program.get("streams", [])} for program in programs]
    own = {index for program in members if film["index"] in program for index in program}
    return set().union(*members) - own if own else set()


def _video_stream(stream: dict[str, Any]) -> VideoStream:
    tags = stream.get("tags", {})
    side_data = {entry.get("side_data_type", ""): entry for entry in stream.get("side_data_list", [])}
    turned = orientation(side_data.get(_DISPLAY_MATRIX))
    spherical = side_data.get("Spherical Mapping", {}).get("projection")
    stereo = side_data.get("Stereo 3D", {}).get("type") or stream.get("packing")
    return VideoStream(
        index=stream["index"],
        codec=stream["codec_name"],
        width=stream["width"],
        height=stream["height"],
        pix_fmt=stream["pix_fmt"],
        time_base=_usable_time_base(stream.get("time_base", "1/90000")),
        sar=_ratio(stream.get("sample_aspect_ratio"), ":") or Fraction(1),
        rotation=turned.rotation,
        mirrored=turned.mirrored,
        color_matrix=_word(stream.get("color_space")),
        color_range=_word(stream.get("color_range")),
        color_transfer=_word(stream.get("color_transfer")),
        color_primaries=_word(stream.get("color_primaries")),
        chroma_location=_word(stream.get("chroma_location")),
        field_order=str(stream.get("field_order", "unknown")),
        frame_rate=_frame_rate(stream),
        start_pts=stream.get("start_pts"),
        duration_s=_seconds(stream.get("duration")),
        language=_word_of_language(tags.get("language")),
        title=_tag(tags.get("title")),
        timecode=_tag(tags.get("timecode")),
        # WebM keeps it beside the pictures, unknown to the decoder.
        alpha=stream["pix_fmt"].startswith(_WITH_ALPHA) or tags.get("alpha_mode") == "1",
        mastering_display=mastering_display(side_data.get(MASTERING_DISPLAY)),
        content_light=content_light(side_data.get(CONTENT_LIGHT)),
        dolby_vision_profile=_dolby_vision_profile(stream),
        stereo_3d=None if stereo in (None, "2D", "mono") else str(stereo),
        spherical=str(spherical) if spherical else None,
    )


def _other_stream(stream: dict[str, Any], foreign: set[int]) -> OtherStream:
    tags = stream.get("tags", {})
    dispositions = stream.get("disposition", {})
    return OtherStream(
        index=stream["index"],
        kind=str(stream.get("codec_type", "data")),
        codec=str(stream.get("codec_name", "")),
        codec_tag=str(stream.get("codec_tag_string", "")),
        language=_word_of_language(tags.get("language")),
        title=_tag(tags.get("title")),
        cover=_is_cover(stream),
        foreign=stream["index"] in foreign,
        file_name=_tag(tags.get("filename")),
        mime_type=_tag(tags.get("mimetype")),
        dispositions=tuple(name for name, value in dispositions.items() if value),
    )


def _is_empty(stream: dict[str, Any]) -> bool:
    """A broadcast announces its sound before it comes: of what was cut off before, nothing is known."""
    known = stream.get("codec_name") not in (None, "", "none", "unknown") and _number(stream.get("sample_rate"))
    return stream.get("codec_type") == "audio" and not known


def _is_cover(stream: dict[str, Any]) -> bool:
    return bool(stream.get("disposition", {}).get("attached_pic"))


def _usable_time_base(text: str) -> TimeBase:
    """The stream's own time base; 1/90000 in place of ones too fine for an MP4 track (e.g. 1/1200000)."""
    base = TimeBase.parse(text)
    return base if base.denominator <= 1_000_000 else TimeBase(numerator=1, denominator=90_000)


def _frame_rate(stream: dict[str, Any]) -> Fraction:
    for key in ("avg_frame_rate", "r_frame_rate"):
        rate = _ratio(stream.get(key), "/")
        if rate and rate <= 1000:
            return rate
    return Fraction(25)


def _dolby_vision_profile(stream: dict[str, Any]) -> int | None:
    for entry in stream.get("side_data_list", []):
        if "DOVI" in entry.get("side_data_type", ""):
            return int(entry.get("dv_profile", -1))
    return None


def _tag(text: Any) -> str | None:
    """A tag of a length that tags have."""
    return None if text is None else str(text)[:_TAG_CHARACTERS]


def _word_of_language(text: Any) -> str | None:
    """It is shown to people with the stream that it belongs to."""
    tag = _tag(text)
    return None if tag is None else printable(tag)


def _number(text: Any) -> int | None:
    return int(str(text)) if str(text).isdecimal() else None


def _start_time(container: dict[str, Any]) -> Fraction:
    try:
        return Fraction(str(container.get("start_time", "0")))
    except ValueError:
        return Fraction(0)


def _ratio(text: str | None, separator: str) -> Fraction | None:
    try:
        numerator, denominator = (int(part) for part in str(text).split(separator))
    except ValueError:
        return None
    return Fraction(numerator, denominator) if numerator > 0 and denominator > 0 else None


def _skewed(stream: dict[str, Any]) -> tuple[str, ...]:
    matrices = [entry for entry in stream.get("side_data_list", []) if entry.get("side_data_type") == _DISPLAY_MATRIX]
    odd = any(orientation(matrix).skewed for matrix in matrices)
    return (
        ("it asks players to turn it by an angle that is not a right one; it is left as it is stored",) if odd else ()
    )


def _word(text: str | None) -> str | None:
    return None if text in (None, "", "unknown", "unspecified", "reserved") else text


def _seconds(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
