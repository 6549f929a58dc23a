"""A media file as ffprobe describes it, and which of its streams is the film."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum, auto
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..domain.errors import FfmpegFailed, InputRefused
from ..media.ffprobe import probe_command
from ..media.process import read_output
from .packets import Packets, read_packets

Stream = dict[str, Any]

_TIMEOUT_S = 60.0
# Pictures are stored by at most a second out of order; who misses ten minutes has two recordings.
_BACK_S, _LEAP_S = 1.0, 600.0
# Shares of the largest number of a display matrix that turns by a right angle.
_NEARLY_NOTHING, _NEARLY_ALL = 0.01, 0.9
_PLANAR = re.compile(r"^yuvj?(420|422|444|440|411)p(\d*)(?:le)?$")


class Turn(Enum):
    """Kinds of display matrices."""

    HALF_OR_NONE = auto()
    QUARTER = auto()
    SKEWED = auto()


@dataclass(frozen=True)
class SampleFormat:
    """Planar YUV samples: chroma subsampling as in ``4:2:0`` (``420``) and bits of each sample."""

    sampling: str
    bits: int

    def __str__(self) -> str:
        return f"{self.bits} bit {':'.join(self.sampling)}"

    @property
    def ffmpeg_name(self) -> str:
        return f"yuv{self.sampling}p" + ("" if self.bits == 8 else f"{self.bits}le")

    @property
    def chroma_steps(self) -> tuple[int, int]:
        """(columns, rows) of luma samples for one chroma sample."""
        return {"420": (2, 2), "422": (2, 1), "444": (1, 1), "440": (1, 2), "411": (4, 1)}[self.sampling]


class Film:
    """One of the two files; each question is asked once.

    Args:
        path: the file.
        name: what the user calls it, for messages.
    """

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.path = path
        self.name = name or path.name

    @cached_property
    def document(self) -> dict[str, Any]:
        """ffprobe's description.

        Raises:
            InputRefused: the file is missing or cannot be read as a video.
        """
        if not self.path.is_file():
            raise InputRefused(self.name, "there is no such file", "Check the path")
        sections = ["-show_format", "-show_streams", "-show_programs", "-show_chapters", "-show_data_hash", "sha256"]
        try:
            return json.loads(self._ffprobe(*sections))
        except (FfmpegFailed, json.JSONDecodeError) as error:
            cause = error.cause if isinstance(error, FfmpegFailed) else "its description makes no sense"
            raise InputRefused(self.name, f"it cannot be read as a video ({cause})", "Check the file") from None

    @cached_property
    def video(self) -> Stream:
        """The stream that is the film: never a cover; the one flagged default, else the largest.

        Raises:
            InputRefused: there is none.
        """
        videos = self.of_kind("video")
        if not videos:
            raise InputRefused(self.name, "there is no video stream in it", "Name a video file")

        def rank(stream: Stream) -> tuple[int, int, int]:
            area = int(stream.get("width", 0)) * int(stream.get("height", 0))
            return int(stream.get("disposition", {}).get("default", 0)), area, -int(stream["index"])

        return max(videos, key=rank)

    @property
    def streams(self) -> list[Stream]:
        return self.document["streams"]

    def of_kind(self, kind: str) -> list[Stream]:
        """The streams of a kind, covers excepted."""
        return [stream for stream in self.streams if stream.get("codec_type") == kind and not is_cover(stream)]

    @property
    def covers(self) -> list[Stream]:
        return [stream for stream in self.streams if is_cover(stream)]

    @cached_property
    def packets(self) -> dict[int, Packets]:
        """The packets of each stream by its index."""
        ticks = {stream["index"]: Fraction(stream["time_base"]) for stream in self.streams if _has_clock(stream)}
        return read_packets(self.path, ticks, self.name)

    @cached_property
    def clock_restarts(self) -> int:
        """How often the film's clock starts anew, as where two recordings of a broadcast were joined."""
        if not {"mpegts", "mpeg"} & set(str(self.document["format"].get("format_name")).split(",")):
            return 0
        packets = self.packets[self.video["index"]]
        times = packets.seconds(0, len(packets))
        steps = np.diff(times[~np.isnan(times)])
        return int(((steps < -_BACK_S) | (steps > _LEAP_S)).sum())

    @property
    def tick(self) -> Fraction:
        """Seconds of a tick of the film's clock."""
        return Fraction(self.video["time_base"])

    @property
    def is_mp4(self) -> bool:
        return "mp4" in str(self.document["format"].get("format_name"))

    @property
    def tags(self) -> dict[str, str]:
        """The container's tags, names in lower case."""
        return {key.lower(): str(value) for key, value in self.document["format"].get("tags", {}).items()}

    @property
    def samples(self) -> SampleFormat | None:
        """The format of the samples; None where they are not planar YUV (RGB, gray, packed formats)."""
        found = _PLANAR.match(str(self.video.get("pix_fmt", "")))
        return SampleFormat(found.group(1), int(found.group(2) or 8)) if found else None

    @property
    def full_range(self) -> bool:
        return self.video.get("color_range") == "pc" or str(self.video.get("pix_fmt", "")).startswith("yuvj")

    @property
    def interlaced(self) -> bool:
        return self.video.get("field_order", "unknown") not in ("progressive", "unknown", "")

    @property
    def pixel_aspect(self) -> Fraction:
        found = re.fullmatch(r"(\d+):(\d+)", str(self.video.get("sample_aspect_ratio", "")))
        numbers = [int(word) for word in found.groups()] if found else [1, 1]
        return Fraction(*numbers) if all(numbers) else Fraction(1)

    @cached_property
    def turn(self) -> Turn:
        """How a player turns the picture."""
        matrix = self.side_data("Display Matrix")
        lines = str((matrix or {}).get("displaymatrix", "")).splitlines()
        numbers = [int(word) for line in lines for word in line.split()[1:]]
        if len(numbers) != 9:
            return Turn.HALF_OR_NONE
        # A player maps (x, y) to (a x + c y, b x + d y) (ISO/IEC 14496-12, 8.3.2).
        straight, across = sorted((abs(numbers[0]), abs(numbers[4]))), sorted((abs(numbers[1]), abs(numbers[3])))
        small, large = sorted((straight, across), key=max)
        if small[1] > _NEARLY_NOTHING * large[1] or large[0] < _NEARLY_ALL * large[1]:
            return Turn.SKEWED
        return Turn.QUARTER if large is across else Turn.HALF_OR_NONE

    @property
    def quarter_turned(self) -> bool:
        """True if a player turns the picture by 90 or 270 degrees."""
        return self.turn is Turn.QUARTER

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) as a player shows it."""
        width, height = int(self.video["width"]), int(self.video["height"])
        return (height, width) if self.quarter_turned else (width, height)

    def side_data(self, kind: str) -> dict[str, Any] | None:
        """Side data of a kind that the film's stream or its first picture carries."""
        entries = self.video.get("side_data_list", []) + self._first_picture.get("side_data_list", [])
        return next((entry for entry in entries if entry.get("side_data_type") == kind), None)

    @cached_property
    def _first_picture(self) -> dict[str, Any]:
        words = ["-select_streams", str(self.video["index"]), "-read_intervals", "%+#1", "-show_frames"]
        try:
            return next(iter(json.loads(self._ffprobe(*words)).get("frames", [])), {})
        except (FfmpegFailed, json.JSONDecodeError):
            # Some builds of ffprobe have fewer decoders than the ffmpeg beside them; the stream's own data counts then.
            return {}

    def _ffprobe(self, *words: str) -> bytes:
        command = probe_command(self.path, *words, "-of", "json")
        return read_output(command, subject=self.name, timeout_s=_TIMEOUT_S)


def is_cover(stream: Stream) -> bool:
    return bool(stream.get("disposition", {}).get("attached_pic"))


def language(stream: Stream) -> str:
    return stream.get("tags", {}).get("language") or "und"


def named(stream: Stream) -> str:
    """A stream in words."""
    codec = stream.get("codec_name") or stream.get("codec_tag_string") or "unknown codec"
    words = codec if language(stream) == "und" else f"{codec}, {language(stream)}"
    return f"{stream.get('codec_type', 'data')} stream {stream['index']} ({words})"


def _has_clock(stream: Stream) -> bool:
    return re.fullmatch(r"\d+/0*[1-9]\d*", str(stream.get("time_base", ""))) is not None
