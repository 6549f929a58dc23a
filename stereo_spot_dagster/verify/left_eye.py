"""The rule on pictures: the left eye is the source's frame of the same number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .decoding import Planes, Span, decoded_times, pictures, window
from .films import Film
from .findings import Finding, different, judged, not_comparable, same
from .geometry import Comparison
from .likeness import Likeness, Sight, mean_db
from .times import FrameTimes

Progress = Callable[[int, int], None]

# Measured: see the tests. A CRF of 30 at the fastest preset gives 27 dB and more on noise-free film, grainy film 24.
LEAST_LUMA_DB, LEAST_CHROMA_DB = 20.0, 20.0
# Coding moves the mean of a patch by a quarter of its error at most, and by less than a level at usual qualities; a
# wrong range or matrix moves it by about all of the error, which is then 5 levels and more.
LARGEST_TONE_ERROR, LARGEST_TONE_SHARE = 2.0, 0.4
# A frame that is this much worse than the film as a whole is not that film's frame.
_LARGEST_DROP_DB = 12.0
_WINDOW = 8
# Decoding from the start is sure and, for so few frames, as fast as seeking.
_SHORT_FILM = 600


@dataclass(frozen=True)
class Decoded:
    """What comparing pictures also found out: the times of all frames, where everything was decoded."""

    source: FrameTimes
    made: FrameTimes


def spread(count: int, sample: int | None) -> list[Span]:
    """Spans of frame numbers below ``count``: all, or windows of 8 spread over the film, ``sample`` frames in all.

    The first and the last window are the film's first and last frames.
    """
    if sample is None or sample * 2 >= count:
        return [(0, count)]
    windows = max(1, -(-sample // _WINDOW))
    length = max(1, min(_WINDOW, sample))
    last = count - length
    starts = sorted({round(last * number / max(1, windows - 1)) for number in range(windows)})
    spans: list[Span] = []
    for start in starts:
        # Windows share no neighbour, so that each frame of the source is needed once.
        if not spans or start - spans[-1][1] >= 2:
            spans.append((start, start + length))
    return spans


def compare_decoding(
    comparison: Comparison, spans: Sequence[Span], first: int, total: int, scratch: Path, progress: Progress | None
) -> tuple[Likeness, Decoded]:
    """Decode both files from their first frame to their last, side by side, and compare the frames in ``spans``.

    Args:
        comparison: how eyes are compared.
        spans: of frame numbers of the result.
        first: number of the source's frame that is the result's first.
        total: frames of the result as its packets tell them, for the progress.
        scratch: a folder for tables of times.
        progress: called with (frames compared, frames to compare).
    """
    tables = scratch / "source.crc", scratch / "made.crc"
    wide = _with_neighbours(spans, first)
    source = pictures(comparison.source, wide, tables[0])
    made = pictures(comparison.result, spans, tables[1])
    likeness = Likeness()
    meter = _Meter(comparison, likeness, min(total, sum(end - start for start, end in spans)), progress)
    for (start, end), (wide_start, wide_end) in zip(spans, wide, strict=True):
        meter.take(source, made, start, end, first, wide_start, wide_end)
    for rest in (source, made):
        for _ in rest:
            pass
    films = comparison.source.film, comparison.result.film
    source_times, made_times = (decoded_times(film, table) for film, table in zip(films, tables, strict=True))
    return likeness, Decoded(source_times, made_times)


def compare_windows(
    comparison: Comparison,
    spans: Sequence[Span],
    first: int,
    times: tuple[FrameTimes, FrameTimes],
    scratch: Path,
    progress: Progress | None,
) -> Likeness | None:
    """Compare the frames in ``spans``, reached by seeking; None where that does not lead to exactly these frames."""
    likeness = Likeness()
    meter = _Meter(comparison, likeness, sum(end - start for start, end in spans), progress)
    for span, wide in zip(spans, _with_neighbours(spans, first, len(times[0])), strict=True):
        source = window(comparison.source, wide, times[0], scratch)
        made = window(comparison.result, span, times[1], scratch)
        if source is None or made is None:
            return None
        meter.take(iter(source), iter(made), span[0], span[1], first, *wide)
    return likeness


def is_worth_seeking(count: int) -> bool:
    return count > _SHORT_FILM


def check_left_eye(likeness: Likeness, *, whole: bool) -> Finding:
    """Each left eye is the source's frame of its number: not another frame, not the other eye, not other colours."""
    rule, wanted = "left_eye", "the source's frames"
    if not likeness.frames:
        return not_comparable(rule, "no frame could be compared")
    luma, chroma = mean_db(likeness.luma_db), mean_db(likeness.chroma_db)
    measured = f"{likeness.frames} frames, luma {luma:.1f} dB, chroma {chroma:.1f} dB"
    if likeness.told and likeness.swapped * 2 > likeness.told:
        return different(rule, wanted, "the right eye", "the eyes are swapped")
    if likeness.displaced:
        number, shown = likeness.displaced[0]
        words = f"frame {number} shows the source's frame {shown}"
        more = f" and {len(likeness.displaced) - 1} more like it" if len(likeness.displaced) > 1 else ""
        return different(rule, wanted, f"other frames in {len(likeness.displaced)} places", words + more)
    tone = sum(likeness.luma_error) / likeness.frames, sum(likeness.chroma_error) / likeness.frames
    if any(_is_other_tone(error, db) for error, db in zip(tone, (luma, chroma), strict=True)):
        words = f"{tone[0]:.1f} levels of brightness and {tone[1]:.1f} of colour off"
        return different(rule, wanted, words, "range, matrix or brightness is another")
    if luma < LEAST_LUMA_DB or chroma < LEAST_CHROMA_DB:
        words = f"luma {luma:.1f} dB, chroma {chroma:.1f} dB"
        return different(rule, f"{LEAST_LUMA_DB:.0f} dB and more", words)
    worst = min(range(likeness.frames), key=likeness.luma_db.__getitem__)
    lowest = likeness.luma_db[worst]
    if lowest < min(luma - _LARGEST_DROP_DB, LEAST_LUMA_DB):
        words = f"frame {likeness.numbers[worst]} with {lowest:.1f} dB"
        return different(rule, f"about {luma:.1f} dB in every frame", words)
    return same(rule, measured, "" if whole else "a sample")


def check_decodes(result: Film, messages: Sequence[str], *, whole: bool) -> Finding:
    """The result's pictures decode without complaints.

    Opening a file, ffmpeg also tries its sound, which is the source's, damaged or not: that is not meant here.
    """
    others = {str(s.get("codec_name")) for s in result.streams if s is not result.video}
    others -= {str(result.video.get("codec_name"))}
    lines = [line.strip() for text in messages for line in text.splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith(tuple(f"[{codec} @" for codec in others))]
    words = "without errors" if whole else "without errors, a sample"
    return judged("decodes", [("no errors", " ".join(said)[:200])] if said else [], words)


def _is_other_tone(error: float, db: float) -> bool:
    """True if patches are off by so much, compared with single samples, that coding does not explain it."""
    samples = 255 / 10 ** (db / 20)
    return error > max(LARGEST_TONE_ERROR, LARGEST_TONE_SHARE * samples)


class _Meter:
    """Goes through spans of frames with their neighbours, three frames of the source at a time in memory."""

    def __init__(self, comparison: Comparison, likeness: Likeness, total: int, progress: Progress | None) -> None:
        self._comparison, self._likeness = comparison, likeness
        self._total, self._progress = total, progress
        self._bits = comparison.source.samples.bits

    def take(
        self,
        source: Iterator[Planes],
        made: Iterator[Planes],
        start: int,
        end: int,
        first: int,
        wide_start: int,
        wide_end: int,
    ) -> None:
        """Compare the frames ``start`` to ``end`` - 1; ``source`` begins with its frame ``wide_start``."""
        sights: dict[int, Sight] = {}
        position = wide_start
        for number in range(start, end):
            wanted = number + first
            while position <= wanted + 1 and position < wide_end:
                planes = next(source, None)
                if planes is None:
                    break
                sights[position] = Sight.of(planes, self._bits)
                position += 1
            packed = next(made, None)
            if packed is None or wanted not in sights:
                return
            left, right = self._comparison.eyes(packed)
            neighbours = {other: sights[other] for other in (wanted - 1, wanted + 1) if other in sights}
            right_sight = Sight.of(right, self._bits) if right is not None else None
            self._likeness.add(wanted, sights[wanted], neighbours, Sight.of(left, self._bits), right_sight)
            sights.pop(wanted - 1, None)
            if self._progress:
                self._progress(self._likeness.frames, self._total)
        # The neighbour behind the last frame is read, so that the next span begins where it should.
        while position < wide_end and next(source, None) is not None:
            position += 1


def _with_neighbours(spans: Sequence[Span], first: int, count: int | None = None) -> list[Span]:
    """``spans`` in the source's numbers, with one frame more on both sides where there is one; of ``count`` frames."""
    wide = [(max(0, start + first - 1), end + first + 1) for start, end in spans]
    return wide if count is None else [(start, min(end, count)) for start, end in wide]
