from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stereo_spot_dagster.domain.errors import InputRefused
from stereo_spot_dagster.media.plan import plan_segments
from stereo_spot_dagster.media.scan import scan

from ..e2e.evidence import Evidence
from .conftest import Studio
from .flat import cut_by_mezzanine, look


def shortened(clip: Path, folder: Path, share: float) -> Path:
    """The first part of a file, as an interrupted copy leaves it."""
    data = clip.read_bytes()
    target = folder / f"cut{clip.suffix}"
    target.write_bytes(data[: int(len(data) * share)])
    return target


@pytest.mark.parametrize("words", [["-movflags", "+faststart"], []])
def test_an_interrupted_copy_of_an_mp4_is_refused(studio: Studio, scratch: Path, words: list[str]) -> None:
    clip = studio.h264(f"copied{len(words)}.mp4", "keyint=20", *words)
    with pytest.raises(InputRefused, match=r"truncated|not complete"):
        look(shortened(clip, scratch, 0.7), scratch)


def test_an_interrupted_copy_of_a_matroska_file_is_refused(studio: Studio, scratch: Path) -> None:
    with pytest.raises(InputRefused, match="truncated"):
        look(shortened(studio.h264("copied.mkv", "keyint=20"), scratch, 0.6), scratch)


def test_an_interrupted_recording_is_taken_as_far_as_it_goes_and_that_is_said(studio: Studio, scratch: Path) -> None:
    live = studio.h264("live.mkv", "keyint=20", "-live", "1")
    scanned = look(shortened(live, scratch, 0.6), scratch)
    assert 20 < len(scanned.seen.frames) < 60
    assert any("ends in the middle" in warning for warning in scanned.seen.warnings)


def test_a_whole_file_has_nothing_odd(studio: Studio, scratch: Path) -> None:
    assert look(studio.h264("plain.mkv"), scratch).seen.warnings == ()


def test_damage_in_the_middle_is_reported_and_the_rest_converted(studio: Studio, scratch: Path) -> None:
    data = bytearray(studio.h264("plain.mp4").read_bytes())
    middle = data.index(b"mdat") + 3000
    data[middle : middle + 400] = bytes(400)
    damaged = scratch / "damaged.mp4"
    damaged.write_bytes(data)
    scanned = look(damaged, scratch)
    assert len(scanned.seen.frames) >= 50
    assert any("damaged" in warning for warning in scanned.seen.warnings)


def test_a_recording_joined_within_a_group_of_pictures_says_what_is_lost(studio: Studio, scratch: Path) -> None:
    clip, joined = studio.h264("whole.ts", "keyint=20:bframes=0"), studio.folder / "joined.ts"
    studio.ffmpeg("-i", str(clip), "-c", "copy", "-copyinkf", "-bsf:v", "noise=drop='lt(n,7)'", str(joined))
    scanned = look(joined, scratch)
    assert any("before its first key frame" in warning for warning in scanned.seen.warnings)
    assert len(scanned.seen.frames) == len(Evidence(joined).gray_pictures()[0])


def test_a_change_of_size_is_noticed_and_resolved_without_losing_a_frame(studio: Studio, scratch: Path) -> None:
    large, small = studio.h264("large.ts", "keyint=20"), studio.h264("small.ts", "keyint=20", "-s", "48x32")
    both = studio.folder / "two-sizes.ts"
    both.write_bytes(large.read_bytes() + small.read_bytes())
    scanned = look(both, scratch)
    assert not scanned.seen.uniform
    assert any("size of its pictures changes" in warning for warning in scanned.seen.warnings)
    assert len(scanned.seen.frames) == 120
    cut = cut_by_mezzanine(scanned, plan_segments(scanned.seen.frames, 40, 0), scratch)
    assert (cut.frames.crc[:60] == scanned.seen.frames.crc[:60]).all()
    assert (cut.frames.crc[60:] != scanned.seen.frames.crc[60:]).all()


def test_interlaced_fields_become_one_picture_each_pair(studio: Studio, scratch: Path) -> None:
    clip = studio.h264("interlaced.mp4", "keyint=20:interlaced=1:tff=1:bframes=0", "-vf", "setfield=tff")
    scanned = look(clip, scratch)
    assert scanned.picture.temporal
    assert len(scanned.seen.frames) == 60
    cut = cut_by_mezzanine(scanned, plan_segments(scanned.seen.frames, 16, 0), scratch)
    np.testing.assert_array_equal(cut.frames.crc, scanned.seen.frames.crc)


def test_a_single_picture_is_a_film(studio: Studio, scratch: Path) -> None:
    scanned = look(studio.h264("single.mp4", frames=1), scratch)
    assert len(scanned.seen.frames) == 1
    assert scanned.seen.frames.last_duration > 0


def test_progress_counts_the_frames(studio: Studio, scratch: Path) -> None:
    scanned, seen = look(studio.h264("plain.mkv"), scratch), []
    scan(scanned.path, scanned.report, scanned.picture, scratch, seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 60
