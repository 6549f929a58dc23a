"""What a source file holds, as found out before any work is done."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from pydantic import BaseModel, ConfigDict

from .picture import ColorSpace, PixelFormat
from .timing import TimeBase


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class VideoStream(_Frozen):
    """The video stream to convert, as the file describes it.

    Attributes:
        index: stream index in the file.
        width, height: coded size in pixels, before rotation.
        pix_fmt: ffmpeg's name of the decoded sample format.
        sar: sample aspect ratio (width : height of a pixel) before rotation.
        rotation: clockwise degrees a player turns the picture by: 0, 90, 180 or 270.
        mirrored: True if the display matrix also flips the picture horizontally (after rotation).
        alpha: True where the file also says how transparent each pixel is.
        field_order: ffprobe's word; anything but ``progressive`` or ``unknown`` is interlaced.
        mastering_display: HDR10 mastering display data in x265's words:
            ``G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)`` in units of 0.00002 and 0.0001 cd/m2; None where there is none.
        content_light: HDR10 ``MaxCLL,MaxFALL`` in cd/m2; None where there is none.
    """

    index: int
    codec: str
    width: int
    height: int
    pix_fmt: str
    time_base: TimeBase
    sar: Fraction = Fraction(1)
    rotation: int = 0
    mirrored: bool = False
    color_matrix: str | None = None
    color_range: str | None = None
    color_transfer: str | None = None
    color_primaries: str | None = None
    chroma_location: str | None = None
    field_order: str = "progressive"
    frame_rate: Fraction = Fraction(25)
    start_pts: int | None = None
    duration_s: float | None = None
    language: str | None = None
    title: str | None = None
    timecode: str | None = None
    alpha: bool = False
    mastering_display: str | None = None
    content_light: str | None = None
    dolby_vision_profile: int | None = None
    stereo_3d: str | None = None
    spherical: str | None = None

    @property
    def interlaced(self) -> bool:
        return self.field_order not in ("progressive", "unknown", "")

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) after rotation."""
        return (self.height, self.width) if self.rotation in (90, 270) else (self.width, self.height)

    @property
    def upright_sar(self) -> Fraction:
        return 1 / self.sar if self.rotation in (90, 270) else self.sar


class OtherStream(_Frozen):
    """A stream that is carried over, not converted: audio, subtitles, attachments, data, covers, further videos.

    Attributes:
        cover: True for a still picture that stands for the film.
        foreign: True where it belongs to another program (channel) of a broadcast than the film.
        dispositions: ffprobe's words, such as ``default`` and ``forced``.
    """

    index: int
    kind: str
    codec: str
    codec_tag: str = ""
    language: str | None = None
    title: str | None = None
    cover: bool = False
    foreign: bool = False
    file_name: str | None = None
    mime_type: str | None = None
    dispositions: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        words = [f"{self.kind} stream {self.index} ({self.codec or 'unknown codec'}"]
        words += [f", {self.language}"] if self.language and self.language != "und" else []
        return "".join(words) + ")"


class ProbeReport(_Frozen):
    """A file's container and streams.

    Attributes:
        chapters: how many there are.
        chapters_from_s, chapters_to_s: when the first of them starts and the last one ends.
    """

    file_name: str
    size_bytes: int
    format_name: str
    duration_s: float | None
    start_time: Fraction = Fraction(0)
    video: VideoStream
    others: tuple[OtherStream, ...]
    chapters: int
    chapters_from_s: float = 0.0
    chapters_to_s: float = 0.0
    tags: dict[str, str]
    warnings: tuple[str, ...] = ()
    tool: str = ""

    def streams(self, kind: str) -> tuple[OtherStream, ...]:
        return tuple(stream for stream in self.others if stream.kind == kind)


class WorkingPicture(_Frozen):
    """The pictures every later step works on: upright, progressive, planar YUV.

    Attributes:
        width, height: upright size in pixels.
        sar: sample aspect ratio after rotation.
        pixel_format: sample format.
        color: what the samples mean.
        filters: ffmpeg filters, in order, that turn decoded frames into working pictures; empty where they already are.
        temporal: True where a filter mixes neighbouring frames, so that frames must be made once, in one pass.
    """

    width: int
    height: int
    sar: Fraction
    pixel_format: PixelFormat
    color: ColorSpace
    tagged: ColorTags
    filters: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...] = ()
    temporal: bool = False

    @property
    def frame_bytes(self) -> int:
        return self.pixel_format.frame_bytes(self.width, self.height)


class ColorTags(_Frozen):
    """Colour description to write on the result: the source's own words, None where it says nothing."""

    matrix: str | None = None
    transfer: str | None = None
    primaries: str | None = None
    full_range: bool = False


WorkingPicture.model_rebuild()
