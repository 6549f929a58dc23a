"""Sound that cannot be carried is told before the long work."""

from __future__ import annotations

from pathlib import Path

import pytest

from stereo_spot_dagster.domain.errors import InputRefused
from stereo_spot_dagster.domain.settings import Container
from stereo_spot_dagster.media.container import plan_mux
from stereo_spot_dagster.media.probe import probe
from stereo_spot_dagster.media.rehearsal import rehearse

from .conftest import Studio


def rehearsed(path: Path, scratch: Path) -> None:
    report = probe(path)
    rehearse(path, report, plan_mux(report, Container.AUTO), scratch)
    assert [left.name for left in scratch.iterdir()] == []


@pytest.mark.parametrize("name", ["rich.mp4", "rich.mkv"])
def test_sound_and_subtitles_of_a_whole_file_pass(studio: Studio, scratch: Path, name: str) -> None:
    rehearsed(studio.rich(name), scratch)


def test_a_sound_packet_of_two_bytes_is_refused_with_the_stream_that_it_lies_in(studio: Studio, scratch: Path) -> None:
    sound, broken = studio.folder / "sound.ts", studio.folder / "broken.ts"
    video = str(studio.h264("plain.mp4"))
    studio.ffmpeg("-i", video, "-f", "lavfi", "-i", "sine=d=2.4", "-c:v", "copy", "-c:a", "aac", str(sound))
    # What is left of a broadcast that was cut off within a packet of its sound.
    drop = "noise=amount='if(eq(n,3),1,0)'"
    studio.ffmpeg("-i", str(sound), "-c", "copy", "-bsf:a", drop, str(broken))
    with pytest.raises(InputRefused, match=r"^broken\.ts: its .*(damaged|cannot be carried)"):
        rehearsed(broken, scratch)


def test_a_file_without_sound_needs_no_rehearsal(studio: Studio, scratch: Path) -> None:
    rehearsed(studio.h264("plain.mp4"), scratch)
