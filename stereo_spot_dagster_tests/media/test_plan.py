from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stereo_spot_dagster.domain.errors import InputRefused
from stereo_spot_dagster.domain.plan import coverage_problem
from stereo_spot_dagster.domain.timing import TimeBase
from stereo_spot_dagster.media.plan import (
    MAX_TARGET_FRAMES,
    MIN_SEGMENT_FRAMES,
    choose_part,
    plan_segments,
    segment_starts,
)
from stereo_spot_dagster.media.scan import FrameTable

MILLISECONDS = TimeBase(numerator=1, denominator=1000)


def table(cuts: list[bool], steps: list[int] | None = None, last_duration: int = 40) -> FrameTable:
    """A frame table whose first frame starts a shot, as every real one does."""
    scene_start = np.array([True, *cuts])
    pts = np.cumsum([7, *(steps or [40] * len(cuts))]).astype(np.int64)
    return FrameTable(MILLISECONDS, pts, np.arange(len(pts), dtype=np.uint32), scene_start, last_duration)


@st.composite
def tables(draw: st.DrawFn) -> FrameTable:
    cuts = draw(st.lists(st.booleans(), max_size=400))
    steps = draw(st.lists(st.integers(1, 5000), min_size=len(cuts), max_size=len(cuts)))
    return table(cuts, steps, draw(st.integers(1, 100)))


targets = st.integers(1, 200)


@given(tables(), targets, st.integers(0, 40))
def test_each_frame_lies_in_exactly_one_segment(frames: FrameTable, target: int, overlap: int) -> None:
    segments = plan_segments(frames, target, overlap)
    assert coverage_problem(segments, len(frames)) is None
    covered = [number for segment in segments for number in range(segment.first_frame, segment.end_frame)]
    assert covered == list(range(len(frames)))


@given(tables(), targets)
def test_segments_meet_in_time_without_gap(frames: FrameTable, target: int) -> None:
    segments = plan_segments(frames, target, 0)
    assert [segment.end_pts for segment in segments[:-1]] == [segment.first_pts for segment in segments[1:]]
    assert [segment.first_pts for segment in segments] == [int(frames.pts[s.first_frame]) for s in segments]
    assert segments[-1].end_pts == frames.pts[-1] + frames.last_duration


@given(tables(), targets)
def test_no_segment_is_a_stump(frames: FrameTable, target: int) -> None:
    shortest = min(max(target // 2, MIN_SEGMENT_FRAMES), target)
    lengths = [segment.frames for segment in plan_segments(frames, target, 0)]
    assert len(lengths) == 1 or min(lengths) >= shortest


def test_a_rest_too_short_for_two_segments_stays_one() -> None:
    scene_start = np.zeros(12, bool)
    scene_start[[0, 7]] = True
    assert segment_starts(scene_start, 3) == [0, 3, 7]


@given(tables(), st.integers(16, 200))
def test_no_segment_is_longer_than_one_and_a_half_targets(frames: FrameTable, target: int) -> None:
    assert max(segment.frames for segment in plan_segments(frames, target, 0)) <= target + target // 2


@given(tables(), targets, st.integers(0, 40))
def test_overlap_never_reaches_before_the_shot(frames: FrameTable, target: int, overlap: int) -> None:
    for segment in plan_segments(frames, target, overlap):
        assert segment.first_needed >= 0
        assert segment.overlap_frames <= overlap
        inside = frames.scene_start[segment.first_needed + 1 : segment.first_frame + 1]
        assert not inside.any()
        assert segment.scene_start == bool(frames.scene_start[segment.first_frame])


def test_a_cut_near_the_wanted_length_is_taken() -> None:
    cuts = [number == 37 for number in range(1, 100)]
    assert segment_starts(table(cuts).scene_start, 40)[:2] == [0, 37]


def test_of_several_cuts_the_one_nearest_to_the_wanted_length_is_taken() -> None:
    cuts = [number in (25, 38, 55) for number in range(1, 100)]
    assert segment_starts(table(cuts).scene_start, 40)[1] == 38


def test_without_cuts_segments_have_the_wanted_length() -> None:
    assert segment_starts(table([False] * 119).scene_start, 40) == [0, 40, 80]


def test_a_segment_at_a_cut_needs_no_overlap_and_one_inside_a_shot_gets_it() -> None:
    cuts = [number == 40 for number in range(1, 120)]
    segments = plan_segments(table(cuts), 40, 24)
    assert [(s.first_frame, s.overlap_frames) for s in segments] == [(0, 0), (40, 0), (80, 24)]


def test_segments_never_grow_past_what_fits_on_a_command_line() -> None:
    assert segment_starts(np.zeros(20_000, bool), 100_000) == [0, 4000, 8000, 12_000, 16_000]
    assert MAX_TARGET_FRAMES == 4000


@given(tables(), st.floats(0, 20), st.floats(0.001, 20))
def test_a_part_holds_exactly_the_frames_of_its_time_range(frames: FrameTable, start: float, length: float) -> None:
    since_start = (frames.pts - frames.pts[0]) / 1000
    wanted = np.flatnonzero((since_start >= start - 0.0005) & (since_start < start + length - 0.0005))
    try:
        first, end = choose_part(frames, start, start + length, "clip.mp4")
    except InputRefused:
        assert len(wanted) <= 1
    else:
        assert abs(first - (wanted[0] if len(wanted) else first)) <= 1
        assert abs((end - first) - len(wanted)) <= 1


def test_without_start_and_end_the_part_is_the_whole() -> None:
    assert choose_part(table([False] * 9), None, None, "clip.mp4") == (0, 10)


def test_a_part_is_counted_from_the_first_frame_not_from_the_containers_zero() -> None:
    assert choose_part(table([False] * 9), 0.08, 0.2, "clip.mp4") == (2, 5)


def test_a_range_behind_the_end_is_refused_with_the_length_of_the_video() -> None:
    with pytest.raises(InputRefused, match=r"clip\.mp4: .*0\.400 s long"):
        choose_part(table([False] * 9), 5.0, 6.0, "clip.mp4")


@given(tables())
def test_a_frame_table_survives_storage(frames: FrameTable) -> None:
    again = FrameTable.from_bytes(frames.to_bytes())
    assert again.time_base == frames.time_base
    assert again.last_duration == frames.last_duration
    np.testing.assert_array_equal(again.pts, frames.pts)
    np.testing.assert_array_equal(again.crc, frames.crc)
    np.testing.assert_array_equal(again.scene_start, frames.scene_start)


@given(tables(), st.data())
def test_a_part_of_a_frame_table_starts_a_shot_and_keeps_its_last_duration(
    frames: FrameTable, data: st.DataObject
) -> None:
    first = data.draw(st.integers(0, len(frames) - 1))
    end = data.draw(st.integers(first + 1, len(frames)))
    part = frames.part(first, end)
    assert len(part) == end - first
    assert part.scene_start[0]
    shown_until = frames.pts[end] if end < len(frames) else frames.pts[-1] + frames.last_duration
    assert part.pts[-1] + part.last_duration == shown_until
