from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stereo_spot_dagster.domain.timing import TimeBase
from stereo_spot_dagster.media.packets import PacketList, audio_packets, find_run
from stereo_spot_dagster.media.probe import probe

from .conftest import Studio

BASE = TimeBase(numerator=1, denominator=50)


def packets(hashes: str, first: int = 0) -> PacketList:
    """One packet for each letter, 20 ms apart."""
    return PacketList(BASE, np.arange(first, first + len(hashes)), tuple(hashes))


@given(st.text("abc", min_size=1, max_size=40), st.data())
def test_a_piece_is_found_at_its_own_place(hashes: str, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(hashes) - 1))
    end = data.draw(st.integers(first + 1, len(hashes)))
    whole = packets(hashes, 7)
    assert find_run(whole, packets(hashes[first:end]), whole.time(first)) == first


def test_in_silence_the_place_nearest_to_the_expected_time_is_taken() -> None:
    whole = packets("s" * 1000)
    assert find_run(whole, packets("s" * 50), Fraction(10)) == 500
    assert find_run(whole, packets("s" * 50), Fraction(-5)) == 0
    assert find_run(whole, packets("s" * 50), Fraction(900)) == 950


@pytest.mark.parametrize("part", ["", "x", "ac", "abcd", "cba"])
def test_other_packets_are_not_found(part: str) -> None:
    assert find_run(packets("abc"), packets(part), Fraction(0)) is None


def test_a_transport_header_is_not_part_of_a_packet(studio: Studio, scratch: Path) -> None:
    plain, broadcast = studio.folder / "adts.mp4", studio.folder / "adts.ts"
    video, sound = str(studio.h264("plain.mp4")), ["-f", "lavfi", "-i", "sine=d=1:r=48000"]
    studio.ffmpeg("-i", video, *sound, "-map", "0", "-map", "1", "-c:v", "copy", "-c:a", "aac", str(plain))
    studio.ffmpeg("-i", str(plain), "-map", "0", "-c", "copy", str(broadcast))
    (before,) = audio_packets(plain, probe(plain), scratch).values()
    (after,) = audio_packets(broadcast, probe(broadcast), scratch).values()
    assert after.hashes == before.hashes
    assert len(before.hashes) > 40
