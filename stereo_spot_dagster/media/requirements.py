"""What the result of a video will be and what ffmpeg must know for it, decided before the work on it starts."""

from __future__ import annotations

from ..domain.errors import ToolUnavailable
from ..domain.probe import ProbeReport
from ..domain.settings import ConversionSettings
from .container import MuxPlan, plan_mux, refuse_losses
from .encode import check_encoder
from .hdr import codec_for
from .picture import working_picture
from .tools import ANOTHER_FFMPEG, capabilities, find_tools


def check_result(report: ProbeReport, settings: ConversionSettings) -> MuxPlan:
    """Decide the container and what becomes of each stream, and make sure that this machine can do it.

    Raises:
        InputRefused: streams would be left out, and the settings are strict.
        InvalidSettings: the container that is asked for cannot hold the codec.
        ToolUnavailable: this ffmpeg lacks a decoder or an encoder that is needed.
    """
    mux = plan_mux(report, settings.container, settings.codec)
    if settings.strict:
        refuse_losses(report, mux)
    check_decoder(report.video.codec, report.file_name)
    check_encoder(codec_for(report.video, settings.codec), working_picture(report.video).pixel_format, report.file_name)
    for carried in mux.carried:
        if carried.codec == "copy":
            continue
        check_decoder(carried.stream.codec, report.file_name)
        if carried.codec not in capabilities(find_tools().ffmpeg).encoders:
            cause = f"{_this_ffmpeg()} has no encoder {carried.codec} for {carried.stream.label}"
            raise ToolUnavailable(report.file_name, cause, f"{ANOTHER_FFMPEG}, or the container mkv")
    return mux


def check_decoder(codec: str, name: str) -> None:
    """Raise ToolUnavailable if this ffmpeg cannot decode ``codec``."""
    if codec not in capabilities(find_tools().ffmpeg).decoded:
        raise ToolUnavailable(name, f"{_this_ffmpeg()} has no decoder for {codec}", ANOTHER_FFMPEG)


def _this_ffmpeg() -> str:
    return f"this ffmpeg ({find_tools().ffmpeg})"
