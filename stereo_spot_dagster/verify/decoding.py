"""Decoded pictures of a file, straight through or in windows reached by seeking, with the time of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from ..media.process import Child, arguments, file_url, safe_input
from .films import Film, SampleFormat
from .times import FrameTimes

Planes = tuple[NDArray, NDArray, NDArray]
Step = tuple[str, dict[str, Any]]
Span = tuple[int, int]

_STALL_S = 120.0


@dataclass
class Look:
    """How the pictures of a film are looked at.

    Attributes:
        film: the file.
        samples: sample format wanted; the decoder's own where ``steps`` are empty.
        width, height: size after ``steps``.
        steps: filters, in order.
        as_stored: True for the pictures as they are coded, whatever rotation the file asks for.
        threads: of the decoder; 0 for as many as it likes.
        messages: what the decoder complained about, once the pictures were read.
    """

    film: Film
    samples: SampleFormat
    width: int
    height: int
    steps: tuple[Step, ...] = ()
    as_stored: bool = False
    threads: int = 0
    messages: list[str] = field(default_factory=list)

    def plane_shapes(self) -> list[tuple[int, int]]:
        """(rows, columns) of Y, U and V."""
        across, down = self.samples.chroma_steps
        chroma = -(-self.height // down), -(-self.width // across)
        return [(self.height, self.width), chroma, chroma]

    def stream(self, **options: Any) -> Any:
        """The video stream as an ffmpeg-python input, with the file's own times."""
        how: dict[str, Any] = {"noautorotate": None} if self.as_stored else {}
        how |= {"threads": self.threads} if self.threads else {}
        return safe_input(self.film.path, copyts=None, **how, **options)[str(self.film.video["index"])]

    @property
    def frame_bytes(self) -> int:
        return sum(rows * columns for rows, columns in self.plane_shapes()) * (1 if self.samples.bits == 8 else 2)


def pictures(look: Look, spans: Sequence[Span], times: Path) -> Iterator[Planes]:
    """The frames with numbers in ``spans`` (first, end), in order, from one decode of the whole film.

    Args:
        look: the film and how to look at it.
        spans: not overlapping, in order.
        times: a file to write with the times of all decoded frames, for :func:`decoded_times`.
    """
    source = look.stream()
    node = ffmpeg.merge_outputs(_raw(look.film, _filtered(source, look.steps)), _table(look.film, source, times))
    # Not by ffmpeg's filter `select`: its count begins anew where the size of the pictures changes.
    wanted = iter(spans)
    first, end = next(wanted, (0, 0))
    for number, planes in enumerate(_read(look, node)):
        if number >= end:
            first, end = next(wanted, (first, end))
        if first <= number < end:
            yield planes


def window(look: Look, span: Span, times: FrameTimes, scratch: Path) -> list[Planes] | None:
    """The frames of ``span``, reached by seeking; None where seeking does not lead to exactly these.

    Args:
        look: the film and how to look at it.
        span: (first, end) numbers of frames; they are all held in memory.
        times: the times of all frames.
        scratch: a folder for a table.
    """
    first, count = span[0], span[1] - span[0]
    start = Fraction(str(look.film.document["format"].get("start_time") or 0))
    seek = max(times.seconds(first) - start - times.step / 2, Fraction(0))
    source = look.stream(ss=f"{float(seek):.6f}")
    table = scratch / "window.crc"
    shown = _filtered(source, look.steps)
    node = ffmpeg.merge_outputs(_raw(look.film, shown, count), _table(look.film, source, table, count))
    found = list(_read(look, node))
    same = decoded_times(look.film, table).ticks == times.ticks[first : span[1]]
    return found if same and len(found) == count else None


def times_by_decoding(film: Film, scratch: Path, threads: int = 0) -> tuple[FrameTimes, str]:
    """(the times of all frames that the decoder gives, what it complained about)."""
    table = scratch / "frames.crc"
    how = {"threads": threads} if threads else {}
    source = safe_input(film.path, copyts=None, **how)[str(film.video["index"])]
    with Child(arguments(_table(film, source, table), "error"), subject=film.name, timeout_s=_limit_s(film)) as child:
        messages = child.finish()
    return decoded_times(film, table), messages


def decoded_times(film: Film, table: Path) -> FrameTimes:
    """The times in a table that :func:`pictures` wrote."""
    rows = [line.split(",") for line in table.read_text("ascii").splitlines() if line[:1] not in ("#", "")]
    table.unlink()
    found = [int(row[2]) for row in rows]
    if not found or not film.packets[film.video["index"]].untimed:
        return FrameTimes(film.tick, tuple(found))
    # Times that the decoder made up begin after its delay; the film begins where its stream does.
    start = int(film.video.get("start_pts") or 0)
    return FrameTimes(film.tick, tuple(ticks - found[0] + start for ticks in found), written=False)


def _filtered(node: Any, steps: Sequence[Step]) -> Any:
    for name, options in steps:
        node = node.filter(name, **options)
    return node


def _raw(film: Film, node: Any, count: int | None = None) -> Any:
    return ffmpeg.output(node, "pipe:1", format="rawvideo", **_clock(film, count))


def _table(film: Film, source: Any, target: Path, count: int | None = None) -> Any:
    """The time of each frame; its picture is as small as can be."""
    small = source.filter("scale", 16, 16, flags="neighbor")
    return ffmpeg.output(small, file_url(target), format="framecrc", **_clock(film, count))


def _clock(film: Film, count: int | None) -> dict[str, Any]:
    """Output options: each frame once, at its own time, and no more than ``count``."""
    tick = f"{film.tick.numerator}:{film.tick.denominator}"
    return {"fps_mode": "passthrough", "enc_time_base:v": tick} | ({"frames:v": count} if count else {})


def _read(look: Look, node: Any) -> Iterator[Planes]:
    dtype, shapes = np.dtype(np.uint8 if look.samples.bits == 8 else "<u2"), look.plane_shapes()
    sizes = [rows * columns for rows, columns in shapes]
    with Child(arguments(node, "error"), subject=look.film.name, stdout=True, stall_s=_STALL_S) as child:
        while True:
            data = np.empty(sum(sizes), dtype)
            if child.read_into(memoryview(data).cast("B")) < look.frame_bytes:
                break
            parts = np.split(data, np.cumsum(sizes)[:-1])
            y, u, v = (part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))
            yield y, u, v
        look.messages.append(child.finish())


def _limit_s(film: Film) -> float:
    return 600 + film.path.stat().st_size / 2e5
