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


def test_sound_whose_clock_goes_back_is_refused(studio: Studio, scratch: Path) -> None:
    video, sound, broken = str(studio.h264("plain.mp4")), studio.folder / "sound.flv", studio.folder / "back.flv"
    tracks = ("-i", video, "-f", "lavfi", "-i", "sine=d=2.4:r=44100", "-c:v", "copy", "-c:a", "aac")
    studio.ffmpeg(*tracks, str(sound))
    rehearsed(sound, scratch)
    data = bytearray(sound.read_bytes())
    _set_back(data, packet=20, milliseconds=70)
    broken.write_bytes(data)
    with pytest.raises(InputRefused, match=r"^back\.flv: its .* is damaged: its times cannot be carried"):
        rehearsed(broken, scratch)


def _set_back(flv: bytearray, packet: int, milliseconds: int) -> None:
    """Lessen the time of a sound packet: FLV has a head of 13 bytes, and each packet one of 11 and a size behind it."""
    at, sound = 13, 0
    while at < len(flv):
        if flv[at] == 8:
            if sound == packet:
                time = int.from_bytes(flv[at + 4 : at + 7], "big") - milliseconds
                flv[at + 4 : at + 7] = time.to_bytes(3, "big")
            sound += 1
        at += 11 + int.from_bytes(flv[at + 1 : at + 4], "big") + 4
    assert sound > packet


def test_a_file_without_sound_needs_no_rehearsal(studio: Studio, scratch: Path) -> None:
    rehearsed(studio.h264("plain.mp4"), scratch)
