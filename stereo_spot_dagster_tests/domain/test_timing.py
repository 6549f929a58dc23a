from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stereo_spot_dagster.domain.timing import TimeBase

bases = st.builds(TimeBase, numerator=st.integers(1, 5000), denominator=st.integers(1, 2_000_000))
ticks = st.integers(-(10**12), 10**12)


@given(bases, ticks)
def test_seconds_and_back_is_the_same_tick(base: TimeBase, count: int) -> None:
    assert base.ticks(base.seconds(count)) == count


@given(bases)
def test_a_time_base_is_read_from_its_own_words(base: TimeBase) -> None:
    assert TimeBase.parse(str(base)) == base


@given(bases, bases, ticks)
def test_rescaling_is_off_by_half_a_tick_at_most(base: TimeBase, other: TimeBase, count: int) -> None:
    assert abs(other.seconds(base.rescale(count, other)) - base.seconds(count)) <= other.tick / 2


def test_a_year_of_ntsc_frames_is_exact() -> None:
    base = TimeBase.parse("1001/30000")
    assert base.seconds(30_000 * 365 * 86_400) == Fraction(1001 * 365 * 86_400)


@pytest.mark.parametrize("text", ["0/1", "1/0", "-1/25"])
def test_a_time_base_without_length_is_an_error(text: str) -> None:
    with pytest.raises(ValidationError):
        TimeBase.parse(text)
