"""Rules on how many frames there are, when each is shown, and how long the film lasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from statistics import median

from ..domain.errors import InputRefused
from ..domain.timing import TimeBase
from .films import Film
from .findings import Finding, different, not_comparable, same

_MS = Fraction(1, 1000)
# ffmpeg joins on a clock of microseconds; two of them are within the rounding of any coarser clock.
_MICRO = Fraction(1, 1_000_000)
_CLAIM_SLACK_S = 0.05


@dataclass(frozen=True)
class FrameTimes:
    """When the frames of a film are shown, in order.

    Attributes:
        tick: seconds of a tick.
        ticks: one time for each frame; may repeat where the file repeats them.
        written: False where the file has no times and the decoder made them up.
    """

    tick: Fraction
    ticks: tuple[int, ...]
    written: bool = True

    def __len__(self) -> int:
        return len(self.ticks)

    @property
    def step(self) -> Fraction:
        """The usual distance of frames in seconds; 0 for a single frame."""
        steps = [b - a for a, b in zip(self.ticks, self.ticks[1:], strict=False)]
        return Fraction(median(steps)) * self.tick if steps else Fraction(0)

    def part(self, first: int, end: int) -> FrameTimes:
        return FrameTimes(self.tick, self.ticks[first:end], self.written)

    def told_apart(self) -> list[bool]:
        """False for frames whose time repeats, goes back, or is nearer to the last one than a container can tell:
        what shows them has to move them."""
        # A film of a thousand pictures a second has such times on purpose.
        least = _MS / self.tick if self.step >= 2 * _MS else 1
        latest = accumulate(self.ticks, max)
        return [True] + [ticks - before >= least for ticks, before in zip(self.ticks[1:], latest, strict=False)]

    def seconds(self, number: int) -> Fraction:
        return self.ticks[number] * self.tick


def packet_times(film: Film) -> FrameTimes | None:
    """The times of the packets that are shown, in order of presentation; None where the file has none."""
    packets = film.packets.get(film.video["index"])
    if packets is None or not packets.timed:
        return None
    shown = sorted(time for time, flag in zip(packets.times, packets.shown, strict=True) if flag)
    return FrameTimes(packets.tick, tuple(shown)) if shown else None


def choose_part(times: FrameTimes, start_s: float | None, end_s: float | None, name: str) -> tuple[int, int]:
    """(first, end) of the frames whose times, counted from the first frame's, lie in [start, end).

    Raises:
        InputRefused: no frame lies there.
    """
    base = TimeBase(numerator=times.tick.numerator, denominator=times.tick.denominator)
    since = [ticks - times.ticks[0] for ticks in times.ticks]
    first = 0 if start_s is None else sum(ticks < base.ticks(start_s) for ticks in since)
    end = len(since) if end_s is None else sum(ticks < base.ticks(end_s) for ticks in since)
    if end <= first:
        raise InputRefused(name, "no frame lies between the start and end given", "Choose another range")
    return first, end


def same_instants(source: FrameTimes, made: FrameTimes) -> bool:
    """True if both have the same frames at the same times, as far as the result's clock can say them."""
    return len(source) == len(made) and _worst(source, made)[0] <= _tolerance(source, made)


def check_frame_count(source: FrameTimes, made: FrameTimes) -> Finding:
    """The result shows as many frames as the source."""
    rule = "final_frame_count"
    if len(source) == len(made):
        return same(rule, f"{len(made)} frames")
    place = _first_gap(source, made)
    words = f"they part at {float(place):.3f} s from the first frame"
    return different(rule, f"{len(source)} frames", f"{len(made)} frames", words)


def check_frame_times(source: FrameTimes, made: FrameTimes) -> Finding:
    """Every frame is shown at the source's time, counted from the first frame."""
    rule = "frame_times"
    if len(source) != len(made):
        return not_comparable(rule, "the numbers of frames differ")
    if any(b <= a for a, b in zip(made.ticks, made.ticks[1:], strict=False)):
        return different(rule, "times that increase", "times that repeat or go back")
    if not source.written:
        rate = f", about {float(1 / source.step):.4g} frames a second" if source.step else ""
        worst, where = _worst(source, made)
        if worst > source.step:
            return different(rule, f"steady times{rate}", f"frame {where} {float(worst / _MS):.3f} ms off")
        return same(rule, f"steady times{rate}", "the source has none")
    worst, where = _worst(source, made)
    if worst <= _tolerance(source, made):
        words = "equal" if worst == 0 else f"equal within {float(worst / _MS):.3f} ms, the result's clock"
        return same(rule, words)
    expected = float(source.seconds(where) - source.seconds(0))
    found = float(made.seconds(where) - made.seconds(0))
    words = f"{float(worst / _MS):.3f} ms off"
    return different(rule, f"frame {where} at {expected:.6f} s", f"it at {found:.6f} s", words)


def check_duration(source: Film, result: Film, wanted: FrameTimes, made: FrameTimes, *, is_part: bool) -> Finding:
    """The last frame stays as long as in the source, and the result claims the length that it has."""
    rule = "duration"
    if len(wanted) != len(made):
        return not_comparable(rule, "the numbers of frames differ")
    step = wanted.step or made.step or Fraction(1, 25)
    slack = Fraction(_CLAIM_SLACK_S) + Fraction(3, 2) * step
    lasts = _last_frame(result, made) or step
    # A part ends where its next frame would begin; of a whole film the file says how long its last frame stays.
    written = step if is_part else _last_frame(source, wanted) or step
    if not min(step, written) - slack <= lasts <= max(step, written) + slack:
        return different(rule, f"a last frame of {float(written):.3f} s", f"one of {float(lasts):.3f} s")
    real = max(_end_s(result), float(made.seconds(len(made) - 1) + lasts))
    # MP4 keeps chapters in a track of its own, which may be longer than the film; it need not.
    chapters = [float(chapter["end_time"]) for chapter in result.document.get("chapters", [])]
    claimed = float(result.document["format"].get("duration") or 0)
    if claimed > max([real, *chapters]) + float(slack) or (result.is_mp4 and claimed < real - float(slack) - 0.5):
        return different(rule, f"{real:.3f} s", f"{claimed:.3f} s", "the container claims a length that it has not")
    return same(rule, f"{claimed or real:.3f} s")


def _end_s(film: Film) -> float:
    """Seconds at which the last packet ends."""
    return max((float(end) for packets in film.packets.values() if (end := packets.end()) is not None), default=0.0)


def _last_frame(film: Film, times: FrameTimes) -> Fraction | None:
    """How long the last frame is shown; None where the file does not say."""
    packets = film.packets[film.video["index"]]
    lengths = [length for time, length in zip(packets.times, packets.durations, strict=True) if time == times.ticks[-1]]
    return max(lengths) * packets.tick if lengths and max(lengths) > 0 else None


def _tolerance(source: FrameTimes, made: FrameTimes) -> Fraction:
    """Nothing where the result's clock can say the source's times, else one tick of it."""
    exact = (source.tick / made.tick).denominator == 1
    return Fraction(0) if exact else made.tick + 2 * _MICRO


def _worst(source: FrameTimes, made: FrameTimes) -> tuple[Fraction, int]:
    """(largest difference in seconds, number of its frame), counted from the first frames.

    Where the source repeats a time or goes back, nobody can say when the frame is to be shown.
    """
    ratio = source.tick / made.tick
    errors = _errors(source.ticks, made.ticks, ratio)
    if source.written:
        errors = [error if apart else 0 for error, apart in zip(errors, source.told_apart(), strict=True)]
    where = max(range(len(errors)), key=errors.__getitem__)
    return abs(errors[where]) * made.tick / ratio.denominator, where


def _errors(wanted: Sequence[int], found: Sequence[int], ratio: Fraction) -> list[int]:
    """Differences in parts of a tick of the result: ``ratio.denominator`` parts are one."""
    first, begin, scale, parts = wanted[0], found[0], ratio.numerator, ratio.denominator
    return [abs((a - first) * scale - (b - begin) * parts) for a, b in zip(wanted, found, strict=True)]


def _first_gap(source: FrameTimes, made: FrameTimes) -> Fraction:
    """Seconds from the first frame at which the two begin to differ by more than half a step."""
    half = max(source.step / 2, _MS)
    for number in range(min(len(source), len(made))):
        wanted = source.seconds(number) - source.seconds(0)
        if abs(wanted - (made.seconds(number) - made.seconds(0))) > half:
            return wanted
    shorter = source if len(source) < len(made) else made
    return shorter.seconds(len(shorter) - 1) - shorter.seconds(0) if len(shorter) else Fraction(0)
