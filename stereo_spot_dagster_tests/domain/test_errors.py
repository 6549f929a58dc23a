from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stereo_spot_dagster.domain.checks import CheckOutcome, equal, require
from stereo_spot_dagster.domain.errors import InputRefused, InvalidSettings, ProofFailed, StoreFailed, printable


@given(st.text(max_size=80))
def test_a_hostile_name_stays_on_one_line(name: str) -> None:
    message = str(InputRefused(name, "it is empty", "Copy it again"))
    assert message.isprintable()
    assert message.endswith(": it is empty. Copy it again.")


def test_printable_text_is_left_alone() -> None:
    assert printable("Käse 日本 🎬.mp4") == "Käse 日本 🎬.mp4"
    assert printable("a\nb\x1b[31m") == "a\\nb\\x1b[31m"


def test_exit_codes_tell_bad_input_from_failure() -> None:
    codes = [error("x", "y").exit_code for error in (InputRefused, InvalidSettings, ProofFailed, StoreFailed)]
    assert codes == [2, 2, 1, 1]
    assert StoreFailed("x", "y").retryable
    assert not InputRefused("x", "y").retryable


def test_stops_are_not_doubled() -> None:
    assert str(InputRefused("a.mp4", "it is empty.", "Copy it again.")) == "a.mp4: it is empty. Copy it again."


def test_passing_checks_require_nothing() -> None:
    outcomes = [equal("frame_count", 3, 3), CheckOutcome(name="decodes", passed=True, detail="")]
    require(outcomes, "a.mp4")
    assert [outcome.passed for outcome in outcomes] == [True, True]


def test_every_failed_check_is_named_with_what_was_found() -> None:
    outcomes = [equal("frame_count", 3, 2), equal("frame_size", "4x4", "4x4"), equal("sound", "aac", "none")]
    with pytest.raises(
        ProofFailed, match=r"a\.mp4: .*frame count: expected 3, found 2; sound: expected aac, found none"
    ):
        require(outcomes, "a.mp4")
