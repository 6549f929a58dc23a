from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stereo_spot_dagster.domain.probe import VideoStream
from stereo_spot_dagster.domain.timing import TimeBase
from stereo_spot_dagster.media.frame_times import settle_times
from stereo_spot_dagster.media.framecrc import FramecrcRows

NONE = -(1 << 63)


def rows(pts: list[int], duration: int = 40, denominator: int = 1000) -> FramecrcRows:
    count = len(pts)
    zeros = np.zeros(count, np.int64)
    base = TimeBase(numerator=1, denominator=denominator)
    full = np.full(count, duration, np.int64)
    return FramecrcRows(base, np.array(pts, np.int64), full, zeros, zeros.astype(np.uint32), zeros == 0)


def video(rate: int = 25, start_pts: int | None = 0) -> VideoStream:
    base = TimeBase(numerator=1, denominator=1000)
    return VideoStream(
        index=0, codec="h264", width=64, height=64, pix_fmt="yuv420p", time_base=base, frame_rate=Fraction(rate),
        start_pts=start_pts,
    )  # fmt: skip


@given(st.lists(st.integers(0, 200), min_size=1, max_size=60))
def test_times_always_increase_and_no_frame_is_lost(pts: list[int]) -> None:
    settled = settle_times(rows(pts), rows(pts), video()).pts
    assert len(settled) == len(pts)
    assert (np.diff(settled) > 0).all()


@given(st.lists(st.integers(1, 200), min_size=2, max_size=60))
def test_good_times_are_left_alone(steps: list[int]) -> None:
    pts = np.cumsum(steps).tolist()
    settled = settle_times(rows(pts), rows(pts), video())
    assert settled.pts.tolist() == pts
    assert settled.warnings == ()


def test_repeated_times_move_to_the_next_tick_and_the_others_stay() -> None:
    pts = [0, 40, 80, 80, 80, 200, 240]
    settled = settle_times(rows(pts), rows(pts), video())
    assert settled.pts.tolist() == [0, 40, 80, 81, 82, 200, 240]
    assert "2 repeated" in settled.warnings[0]


def test_repeated_times_of_a_fine_clock_move_far_enough_for_a_coarse_one() -> None:
    """One tick of a broadcast's clock is nothing in Matroska, whose tick is a millisecond."""
    pts = [0, 3600, 3600, 3600, 7200, 10_800, 10_700, 14_400]
    settled = settle_times(rows(pts, denominator=90_000), rows(pts, denominator=90_000), video())
    assert settled.pts.tolist() == [0, 3600, 3690, 3780, 7200, 10_800, 10_890, 14_400]


def test_without_any_time_frames_follow_at_the_nominal_rate() -> None:
    settled = settle_times(rows([NONE] * 4), rows([NONE] * 4), video(rate=50))
    assert settled.pts.tolist() == [0, 20, 40, 60]
    assert "no timestamps" in settled.warnings[0]


def test_made_up_times_of_packets_without_any_start_with_the_stream() -> None:
    settled = settle_times(rows([80, 120, 161, 200]), rows([NONE] * 4), video(rate=50))
    assert settled.pts.tolist() == [0, 40, 80, 120]
    assert "25 frames per second" in settled.warnings[0]


def test_a_gap_in_made_up_times_is_kept() -> None:
    settled = settle_times(rows([0, 40, 80, 400, 440]), rows([NONE] * 5), video())
    assert settled.pts.tolist() == [0, 40, 80, 400, 440]
    assert "gaps" in settled.warnings[0]


@pytest.mark.parametrize(("written", "expected"), [(40, 40), (0, 40), (100_000, 40), (120, 120)])
def test_an_unbelievable_length_of_the_last_frame_becomes_the_usual_one(written: int, expected: int) -> None:
    pts = [0, 40, 80, 120]
    assert settle_times(rows(pts, written), rows(pts), video()).last_duration == expected


def test_a_single_frame_is_shown_as_long_as_its_file_says() -> None:
    assert settle_times(rows([0], 5000), rows([0]), video()).last_duration == 5000
