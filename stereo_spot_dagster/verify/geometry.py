"""Where the left eye lies in a result, and how the source looks when it is brought to that size."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ..domain.layout import Layout, View
from .decoding import Look, Planes, Step
from .films import Film, SampleFormat, Turn
from .findings import Finding, different, same

# Eyes grow to a multiple of 4 at most, so that the chroma of the second one stays on the grid.
_LARGEST_PADDING = 3


@dataclass(frozen=True)
class Packing:
    """How a layout puts two eyes into one picture.

    Attributes:
        across, down: eyes beside and above each other.
        halved_x, halved_y: 2 where each eye is halved in that direction, else 1.
        left_is_second: True where the left eye lies on the right side.
    """

    across: int = 1
    down: int = 1
    halved_x: int = 1
    halved_y: int = 1
    left_is_second: bool = False

    def size(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) of the packed picture for an eye that needs no padding."""
        return width * self.across // self.halved_x, height * self.down // self.halved_y


_PACKINGS = {
    Layout.FULL_SBS: Packing(across=2),
    Layout.HALF_SBS: Packing(across=2, halved_x=2),
    Layout.FULL_TB: Packing(down=2),
    Layout.HALF_TB: Packing(down=2, halved_y=2),
    Layout.CROSS_EYED: Packing(across=2, left_is_second=True),
}


def packing_of(layout: Layout) -> Packing:
    return _PACKINGS.get(layout, Packing())


def check_frame_size(source: Film, result: Film, layout: Layout) -> Finding:
    """The result is as large as the layout makes the upright source; eyes may be padded by a few pixels."""
    width, height = packing_of(layout).size(*source.upright_size)
    found = int(result.video["width"]), int(result.video["height"])
    extra = found[0] - width, found[1] - height
    if all(0 <= more <= _LARGEST_PADDING for more in extra):
        return same("frame_size", f"{found[0]}x{found[1]}")
    return different("frame_size", f"{width}x{height}", f"{found[0]}x{found[1]}", f"as {layout.value}")


def check_pixel_aspect(source: Film, result: Film) -> Finding:
    """A pixel of each eye has the shape of the source's."""
    aspect = source.pixel_aspect
    wanted = 1 / aspect if source.quarter_turned else aspect
    words = [f"{ratio.numerator}:{ratio.denominator}" for ratio in (wanted, result.pixel_aspect)]
    # Matroska says it by a size to show, in whole pixels.
    play = 0 if result.is_mp4 else 1 / Fraction(max(1, min(int(result.video["width"]), int(result.video["height"]))))
    close = abs(result.pixel_aspect / wanted - 1) <= play
    return same("pixel_aspect", words[1]) if close else different("pixel_aspect", *words)


def check_orientation(result: Film) -> Finding:
    """The pictures are upright as they are: a rotation left in the file would turn them a second time."""
    matrix = result.side_data("Display Matrix")
    if matrix is None:
        return same("orientation", "upright")
    return different("orientation", "upright", f"a rotation by {matrix.get('rotation')} degrees on top")


@dataclass(frozen=True)
class Comparison:
    """What is decoded of both files to compare left eyes.

    Attributes:
        source: the source, at the size of the compared part of an eye.
        result: the packed pictures.
        packing: where the eyes lie in them.
    """

    source: Look
    result: Look
    packing: Packing

    def eyes(self, packed: Planes) -> tuple[Planes, Planes | None]:
        """(left eye, right eye) in the size of the source's pictures; no right eye where the file holds only one."""
        first, second = self._eye(packed, 0), self._eye(packed, 1)
        if self.packing.across * self.packing.down == 1:
            return first, None
        return (second, first) if self.packing.left_is_second else (first, second)

    def _eye(self, packed: Planes, number: int) -> Planes:
        cut = []
        for plane, (rows, columns) in zip(packed, self.source.plane_shapes(), strict=True):
            x = number * (plane.shape[1] // 2) if self.packing.across == 2 else 0
            y = number * (plane.shape[0] // 2) if self.packing.down == 2 else 0
            cut.append(plane[y : y + rows, x : x + columns])
        return cut[0], cut[1], cut[2]


def comparison_of(source: Film, result: Film, layout: Layout) -> Comparison | None:
    """How left eyes are compared; None where the result is not planar YUV."""
    packing, samples = packing_of(layout), result.samples
    if samples is None:
        return None
    width, height = source.upright_size
    steps: list[Step] = []
    if source.interlaced:
        steps.append(("bwdif", {"mode": "send_frame", "parity": "auto", "deint": "all"}))
    if packing.halved_x * packing.halved_y > 1:
        # Halves of whole chroma samples; a few columns or rows at the edge are left out where the source is odd.
        width, height = _down_to(width, 4 * packing.halved_x), _down_to(height, 4 * packing.halved_y)
        if min(width, height) == 0:
            return None
        steps.append(("crop", {"out_w": width, "out_h": height, "x": 0, "y": 0, "exact": 1}))
    steps += _conversion(source, result, samples)
    width, height = width // packing.halved_x, height // packing.halved_y
    if packing.halved_x * packing.halved_y > 1:
        steps.append(("scale", {"w": width, "h": height, "flags": "area+accurate_rnd"}))
    steps.append(("format", {"pix_fmts": samples.ffmpeg_name}))
    return Comparison(
        # A turn by another angle than a right one is not done.
        source=Look(source, samples, width, height, tuple(steps), as_stored=source.turn is Turn.SKEWED),
        result=Look(result, samples, int(result.video["width"]), int(result.video["height"]), as_stored=True),
        packing=packing,
    )


def _conversion(source: Film, result: Film, samples: SampleFormat) -> list[Step]:
    """Planar YUV is compared sample by sample, whatever the tags say; all else as the result's tags say."""
    pix_fmt = str(source.video.get("pix_fmt", ""))
    full = source.full_range or (pix_fmt.startswith("gray") and source.video.get("color_range") != "tv")
    native = source.samples is not None
    ranges = {True: "pc", False: "tv"}
    made = full if native else result.full_range
    options: dict[str, Any] = {"out_range": ranges[made], "flags": "bicubic+accurate_rnd+full_chroma_int"}
    if _is_rgb(pix_fmt):
        options["out_color_matrix"] = _SCALE_WORDS.get(str(result.video.get("color_space")), "bt709")
    else:
        options["in_range"] = ranges[full]
    if native and source.samples == samples and not pix_fmt.startswith("yuvj"):
        return []
    return [("scale", options)]


_SCALE_WORDS = {"smpte170m": "smpte170m", "bt470bg": "bt470bg", "bt2020nc": "bt2020", "smpte240m": "smpte240m"}


def _is_rgb(pix_fmt: str) -> bool:
    return pix_fmt.startswith(("rgb", "bgr", "gbr", "pal8", "argb", "abgr", "0rgb", "0bgr", "x2rgb", "x2bgr", "mono"))


def _down_to(value: int, multiple: int) -> int:
    return value - value % multiple


def shows_left_eye(layout: Layout, view: View) -> bool:
    """True if the source's own pixels are in the file: not in an anaglyph, nor in the file of the right eye."""
    return not layout.is_anaglyph and view is not View.RIGHT
