"""Where a video is cut into segments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..domain.errors import InputRefused
from ..domain.plan import Segment
from .scan import FrameTable

# An encoder delays its first picture by its B-frames; a tail shorter than that gets another delay than its
# neighbours, and ffmpeg then writes a track header that is longer than the track (seen with a one-frame tail).
MIN_SEGMENT_FRAMES = 8
# The times of a segment go to ffmpeg as one argument, which Linux limits to 128 kB: with a variable rate, room for
# 6,500 frames, and segments grow to one and a half of the target.
MAX_TARGET_FRAMES = 4000


def plan_segments(frames: FrameTable, target_frames: int, overlap_frames: int) -> tuple[Segment, ...]:
    """Segments of about ``target_frames``, cut at scene changes where one lies between half and one and a half of that.

    Args:
        frames: the frames to convert.
        target_frames: wanted length; at most :data:`MAX_TARGET_FRAMES` of it is granted.
        overlap_frames: frames that a segment cut inside a shot sees of the one before it.
    """
    starts = segment_starts(frames.scene_start, target_frames)
    ends = [*starts[1:], len(frames)]
    shot_starts = np.flatnonzero(frames.scene_start)
    segments = []
    for index, (first, end) in enumerate(zip(starts, ends, strict=True)):
        shot = int(shot_starts[np.searchsorted(shot_starts, first, side="right") - 1])
        end_pts = int(frames.pts[end]) if end < len(frames) else int(frames.pts[-1]) + frames.last_duration
        segments.append(
            Segment(
                index=index,
                first_frame=first,
                frames=end - first,
                first_pts=int(frames.pts[first]),
                end_pts=end_pts,
                scene_start=shot == first,
                overlap_frames=min(overlap_frames, first - shot),
            )
        )
    return tuple(segments)


def segment_starts(scene_start: NDArray[np.bool_], target_frames: int) -> list[int]:
    """First frames of the segments of a video of ``len(scene_start)`` frames."""
    total = len(scene_start)
    target = min(max(1, target_frames), MAX_TARGET_FRAMES)
    shortest = min(max(target // 2, MIN_SEGMENT_FRAMES), target)
    longest = max(target + target // 2, shortest)
    cuts = np.flatnonzero(scene_start)
    starts = [0]
    # What cannot be shared between two segments that are long enough stays one, even if it is a little too long.
    while (left := total - starts[-1]) > longest and left >= 2 * shortest:
        position = starts[-1]
        usable = cuts[(cuts >= position + shortest) & (cuts <= position + longest) & (cuts <= total - shortest)]
        wanted = position + target
        nearest = int(usable[np.argmin(np.abs(usable - wanted))]) if len(usable) else wanted
        if total - nearest < shortest:
            # What is left would be a stump: share it between the last two segments.
            nearest = position + left // 2
        starts.append(nearest)
    return starts


def choose_part(frames: FrameTable, start_s: float | None, end_s: float | None, name: str) -> tuple[int, int]:
    """(first, end) numbers of the frames whose timestamps lie in [start, end), counted from the first frame's time.

    Raises:
        InputRefused: no frame lies there.
    """
    since_start = frames.pts - frames.pts[0]
    first = 0 if start_s is None else int(np.searchsorted(since_start, frames.time_base.ticks(start_s)))
    end = len(frames) if end_s is None else int(np.searchsorted(since_start, frames.time_base.ticks(end_s)))
    if end <= first:
        length = float(frames.time_base.seconds(int(since_start[-1]) + frames.last_duration))
        raise InputRefused(
            name,
            f"no frame lies between the start and end given (it is {length:.3f} s long)",
            "Choose another range",
        )
    return first, end
