"""When each decoded frame is shown: the source's own times where it has them, the best substitute where not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..domain.probe import VideoStream
from ..domain.timing import TimeBase
from .framecrc import FramecrcRows

# Anything below is ffmpeg's "no timestamp".
NO_PTS = -(1 << 62)
# Matroska's: two times within one of its ticks would be the same.
_COARSEST_CLOCK_S = Fraction(1, 1000)


@dataclass(frozen=True)
class FrameTimes:
    """Times of all frames.

    Attributes:
        pts: ``[N]`` int64, strictly increasing.
        last_duration: ticks that the last frame is shown for.
        warnings: what had to be repaired, in words.
    """

    pts: NDArray[np.int64]
    last_duration: int
    warnings: tuple[str, ...] = ()


def settle_times(frames: FramecrcRows, packets: FramecrcRows, video: VideoStream) -> FrameTimes:
    """The time of each decoded frame, in ``frames.time_base``.

    Args:
        frames: at least one decoded frame.
        packets: the stream's packets; without presentation times in containers such as AVI and bare streams.
        video: the stream.
    """
    guessed = bool(len(packets.pts)) and bool((packets.pts < NO_PTS).all())
    unusable = bool((frames.pts < NO_PTS).any()) or (len(frames.pts) > 1 and bool((frames.pts == frames.pts[0]).all()))
    if guessed or unusable:
        pts, note = _counted_out(frames, video, usable=not unusable)
        notes: tuple[str, ...] = (note,)
    else:
        pts, notes = _increasing(frames.pts, frames.time_base)
    return FrameTimes(pts, _last_duration(frames, pts), notes)


def _counted_out(frames: FramecrcRows, video: VideoStream, *, usable: bool) -> tuple[NDArray[np.int64], str]:
    """Times of frames in a stream without timestamps: a steady rate from the stream's start.

    What the decoder made up tells the rate better than the header does (an AVI may claim twice the rate, a bare stream
    25), and a gap of more than a frame in it is a real one: dropped frames of an AVI have no packets.
    """
    start = video.start_pts or 0
    made_up = frames.pts - frames.pts[0] + start if usable else None
    step = float(1 / video.frame_rate / frames.time_base.tick)
    if made_up is not None and len(made_up) > 1:
        step = float(np.median(np.diff(made_up)))
    steady = start + np.rint(np.arange(len(frames.pts)) * step).astype(np.int64)
    words = f"{float(1 / (Fraction(step) * frames.time_base.tick)):.4g} frames per second"
    if made_up is not None and np.abs(made_up - steady).max() > step:
        repaired, _ = _increasing(made_up, frames.time_base)
        return repaired, f"its packets have no presentation times: about {words} with gaps, as the decoder has it"
    return steady, f"it has no timestamps: {words} assumed"


def _increasing(pts: NDArray[np.int64], base: TimeBase) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Repeated and backward times, and such that not every container can tell apart, moved by as little as needed."""
    steps = np.diff(pts)
    apart = max(1, math.ceil(_COARSEST_CLOCK_S / base.tick))
    if not len(steps) or (steps >= apart).all():
        return pts, ()
    # A film of a thousand pictures a second has such times on purpose.
    least_step = apart if np.median(steps) >= 2 * apart else 1
    repaired, moved = pts.copy(), 0
    for number in range(1, len(pts)):
        before = int(repaired[number - 1])
        if pts[number] < before + least_step:
            repaired[number] = before + (apart if pts[number] <= before else least_step)
            moved += 1
    notes = (f"{moved} repeated or backward timestamps were moved to keep every frame",) if moved else ()
    return repaired, notes


def _last_duration(frames: FramecrcRows, pts: NDArray[np.int64]) -> int:
    written = int(frames.duration[-1])
    if written > 0 and len(pts) == 1:
        return written
    steps = np.diff(pts)
    typical = int(np.median(steps)) if len(steps) else 1
    return max(1, written if 0 < written <= 10 * typical else typical)
