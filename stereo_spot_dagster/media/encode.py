"""Encodes the pictures of one segment with their exact times."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from ..domain.errors import ToolUnavailable
from ..domain.layout import Layout
from ..domain.picture import PixelFormat
from ..domain.probe import ColorTags, VideoStream
from ..domain.settings import Codec
from ..domain.timing import TimeBase
from .frames import PictureWriter
from .hdr import codec_for
from .process import file_url
from .tools import ANOTHER_FFMPEG, encoder_works, find_tools

_ENCODERS = {Codec.H264: "libx264", Codec.HEVC: "libx265", Codec.FFV1: "ffv1"}
# x264 has 8 and 10 bit builds in one; x265 also 12.
_DEEPEST = {Codec.H264: 10, Codec.HEVC: 12, Codec.FFV1: 16}
# MP4 has no name for FFV1, its parent QuickTime does; both have a clock of any fineness, which Matroska has not.
_SEGMENT_FORMAT = {Codec.H264: "mp4", Codec.HEVC: "mp4", Codec.FFV1: "mov"}


@dataclass(frozen=True)
class EncodeJob:
    """How one output file of a segment is encoded.

    Attributes:
        width, height: size of the packed picture.
        pixel_format: its sample format as fed to the encoder.
        sar: sample aspect ratio to signal.
        tags: colour description to signal.
        codec: as in the settings; HDR10 data of ``source`` can change it (:func:`codec_for`).
        crf, preset: as in the settings; crf 0 is lossless.
        time_base: unit of ``pts``.
        pts: ``[T]`` timestamps relative to the segment's first frame.
        frame_rate: nominal rate, for the encoder's rate control only.
        frame_packing: H.264 frame packing arrangement type to write into the stream; None for none.
        source: the source stream, whose HDR10 data is carried over.
    """

    width: int
    height: int
    pixel_format: PixelFormat
    sar: Fraction
    tags: ColorTags
    codec: Codec
    crf: int
    preset: str
    time_base: TimeBase
    pts: NDArray[np.int64]
    frame_rate: Fraction
    frame_packing: int | None
    source: VideoStream


def packing_in_stream(layout: Layout, codec: Codec) -> int | None:
    """Frame packing type that the stream itself carries; None where the container says how the eyes are packed."""
    return layout.frame_packing if codec is Codec.H264 else None


def check_encoder(codec: Codec, fmt: PixelFormat, name: str) -> None:
    """Raise ToolUnavailable if this ffmpeg cannot encode pictures of ``fmt``; it is asked, not its version."""
    encoder, pix_fmt, program = _ENCODERS[codec], _encoder_format(fmt, codec), find_tools().ffmpeg
    if not encoder_works(program, encoder, pix_fmt):
        cause = f"this ffmpeg ({program}) cannot encode {pix_fmt} with {encoder}"
        raise ToolUnavailable(name, cause, f"{ANOTHER_FFMPEG}, or choose another codec")


def depth_warning(fmt: PixelFormat, codec: Codec) -> tuple[str, ...]:
    """What to say where the result has fewer bits than the pictures."""
    if fmt.bit_depth <= _DEEPEST[codec]:
        return ()
    deepest = _DEEPEST[codec]
    return (f"its {fmt.bit_depth} bit pictures become {deepest} bit: {codec.value} has no more; hevc has 12",)


def track_timescale(base: TimeBase) -> int:
    """Ticks per second of an MP4 track in which every tick of ``base`` is a whole number."""
    return base.denominator


def open_encoder(job: EncodeJob, target: Path, *, name: str) -> PictureWriter:
    """An encoder that writes ``target`` (MP4 or QuickTime, video only), ready for ``len(job.pts)`` pictures.

    Raises:
        ToolUnavailable: this ffmpeg cannot encode the wanted codec at this bit depth.
    """
    codec = codec_for(job.source, job.codec)
    check_encoder(codec, job.pixel_format, name)
    encoder, pix_fmt = _ENCODERS[codec], _encoder_format(job.pixel_format, codec)
    stream = ffmpeg.input(
        "pipe:0",
        format="rawvideo",
        pix_fmt=job.pixel_format.ffmpeg_name,
        s=f"{job.width}x{job.height}",
        framerate=f"{job.frame_rate.numerator}/{job.frame_rate.denominator}",
    )["v:0"]
    timescale = track_timescale(job.time_base)
    stream = stream.filter("settb", f"1/{timescale}").filter(
        "setpts", pts_expression(job.pts * job.time_base.numerator)
    )
    stream = stream.filter("setsar", f"{job.sar.numerator}/{job.sar.denominator}").filter(
        "setparams", **_params(job.tags)
    )
    options = {"fps_mode": "passthrough", "enc_time_base:v": f"1:{timescale}", "vcodec": encoder, "pix_fmt": pix_fmt}
    options |= {"video_track_timescale": timescale, "format": _SEGMENT_FORMAT[codec]} | _tag_options(job.tags)
    options |= _CODEC_OPTIONS[codec](job)
    return PictureWriter(ffmpeg.output(stream, file_url(target), **options), name=name)


def pts_expression(pts: NDArray[np.int64]) -> str:
    """ffmpeg's ``setpts`` expression for a list of timestamps: a balanced tree over runs of steady steps.

    A steady rate is one leaf; a wholly irregular segment has a leaf for each frame, about 20 bytes each.
    """
    runs = _steady_runs([int(value) for value in pts])
    return _tree(runs)


def _steady_runs(pts: list[int]) -> list[tuple[int, int, int]]:
    """(first frame number, its time, step) of each run in which time grows by the same step."""
    runs: list[tuple[int, int, int]] = []
    position = 0
    while position < len(pts):
        end = position + 1
        step = pts[end] - pts[position] if end < len(pts) else 0
        while end < len(pts) and pts[end] - pts[end - 1] == step:
            end += 1
        runs.append((position, pts[position], step))
        position = end
    return runs


def _tree(runs: list[tuple[int, int, int]]) -> str:
    if len(runs) == 1:
        first, time, step = runs[0]
        return f"{time - step * first}+{step}*N" if step else str(time)
    middle = len(runs) // 2
    return f"if(lt(N,{runs[middle][0]}),{_tree(runs[:middle])},{_tree(runs[middle:])})"


def _encoder_format(fmt: PixelFormat, codec: Codec) -> str:
    depth = min(fmt.bit_depth, _DEEPEST[codec])
    return PixelFormat(depth, fmt.chroma_x, fmt.chroma_y, fmt.gray).ffmpeg_name


def _params(tags: ColorTags) -> dict[str, str]:
    """Frame properties: encoders of ffmpeg 7 and later take colour from them and ignore the output options."""
    words = {"range": "pc" if tags.full_range else "tv"}
    words |= {"colorspace": tags.matrix} if tags.matrix else {}
    words |= {"color_trc": tags.transfer} if tags.transfer else {}
    words |= {"color_primaries": tags.primaries} if tags.primaries else {}
    return words


def _tag_options(tags: ColorTags) -> dict[str, str]:
    options = {"color_range": "pc" if tags.full_range else "tv"}
    options |= {"colorspace": tags.matrix} if tags.matrix else {}
    options |= {"color_trc": tags.transfer} if tags.transfer else {}
    options |= {"color_primaries": tags.primaries} if tags.primaries else {}
    return options


def _x264_options(job: EncodeJob) -> dict[str, object]:
    # Segments are joined without re-encoding, so none may refer to pictures outside itself.
    params = ["open-gop=0"] + ([f"frame-packing={job.frame_packing}"] if job.frame_packing is not None else [])
    quality: dict[str, object] = {"qp": 0} if job.crf == 0 else {"crf": job.crf}
    return quality | {"preset": job.preset, "x264-params": ":".join(params)}


def _x265_options(job: EncodeJob) -> dict[str, object]:
    params = ["open-gop=0", "log-level=error", "repeat-headers=0"]
    params += ["lossless=1"] if job.crf == 0 else []
    if job.source.mastering_display:
        params += ["hdr10=1", "hdr10-opt=1", f"master-display={job.source.mastering_display}"]
    if job.source.content_light:
        params.append(f"max-cll={job.source.content_light}")
    quality: dict[str, object] = {} if job.crf == 0 else {"crf": job.crf}
    return quality | {"preset": job.preset, "x265-params": ":".join(params), "tag:v": "hvc1"}


def _ffv1_options(_: EncodeJob) -> dict[str, object]:
    return {"level": 3, "g": 1, "slices": 4, "slicecrc": 1}


_CODEC_OPTIONS = {Codec.H264: _x264_options, Codec.HEVC: _x265_options, Codec.FFV1: _ffv1_options}
