"""Decides, before any long work, which container holds the result and what becomes of each stream."""

from __future__ import annotations

from dataclasses import dataclass

from ..domain.probe import OtherStream, ProbeReport
from ..domain.settings import Container

_MP4_AUDIO = {"aac", "mp3", "mp2", "ac3", "eac3", "alac", "opus", "flac", "dts"}
_MP4_SUBTITLES = {"mov_text"}
_TEXT_SUBTITLES = {"mov_text", "subrip", "srt", "ass", "ssa", "webvtt", "text"}
_MKV_SUBTITLES = {"subrip", "srt", "ass", "ssa", "webvtt", "hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle", "text"}
_IMAGES = {"mjpeg": ("image/jpeg", "cover.jpg"), "png": ("image/png", "cover.png")}


@dataclass(frozen=True)
class CarriedStream:
    """One source stream in the result.

    Attributes:
        stream: the source stream.
        codec: ``copy``, or the encoder a text subtitle is converted with.
    """

    stream: OtherStream
    codec: str = "copy"


@dataclass(frozen=True)
class MuxPlan:
    """The container and the streams beside the video.

    Attributes:
        container: MP4 or MKV, decided.
        carried: streams in the result, in order.
        covers: cover pictures.
        attachments: fonts and the like (MKV only).
        left_out: what cannot be carried, in words.
    """

    container: Container
    carried: tuple[CarriedStream, ...]
    covers: tuple[OtherStream, ...]
    attachments: tuple[OtherStream, ...]
    left_out: tuple[str, ...]


def plan_mux(report: ProbeReport, wanted: Container) -> MuxPlan:
    """What the result holds: MP4 where every stream fits, else MKV, unless one is asked for."""
    container = wanted
    if wanted is Container.AUTO:
        container = Container.MP4 if all(_fits_mp4(stream) for stream in report.others) else Container.MKV
    carried, covers, attachments, left_out = [], [], [], []
    for stream in report.others:
        if stream.cover:
            covers.append(stream)
        elif stream.kind == "attachment" and container is Container.MKV:
            attachments.append(stream)
        elif stream.kind in ("audio", "subtitle") and (codec := _codec_in(container, stream)):
            carried.append(CarriedStream(stream, codec))
        elif stream.kind == "data" and _is_chapter_track(stream, report):
            continue
        else:
            left_out.append(f"{stream.label} cannot be carried into {container.value.upper()}")
    return MuxPlan(container, tuple(carried), tuple(covers), tuple(attachments), tuple(left_out))


def cover_file(stream: OtherStream) -> tuple[str, str]:
    """(MIME type, file name) of a cover picture as a Matroska attachment."""
    return _IMAGES.get(stream.codec, ("image/jpeg", "cover.jpg"))


def _fits_mp4(stream: OtherStream) -> bool:
    if stream.cover:
        return stream.codec in _IMAGES
    if stream.kind == "audio":
        return stream.codec in _MP4_AUDIO
    if stream.kind == "subtitle":
        return stream.codec in _MP4_SUBTITLES
    # Data tracks and further videos fit neither container: they decide nothing.
    return stream.kind != "attachment"


def _codec_in(container: Container, stream: OtherStream) -> str | None:
    """How the stream gets into the container; None if it cannot."""
    if stream.kind == "audio":
        return "copy" if container is Container.MKV or stream.codec in _MP4_AUDIO else None
    native = _MP4_SUBTITLES if container is Container.MP4 else _MKV_SUBTITLES
    if stream.codec in native:
        return "copy"
    if stream.codec in _TEXT_SUBTITLES:
        return "mov_text" if container is Container.MP4 else "srt"
    return None


def _is_chapter_track(stream: OtherStream, report: ProbeReport) -> bool:
    """QuickTime keeps chapter titles in a text track; the chapters themselves are carried."""
    return report.chapters > 0 and stream.codec_tag == "text"
