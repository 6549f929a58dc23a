"""Sound that cannot be carried as it is is told before the long work."""

from __future__ import annotations

from pathlib import Path

import pytest

from stereo_spot_dagster.domain.errors import InputRefused
from stereo_spot_dagster.domain.plan import NO_DAMAGE, Damage
from stereo_spot_dagster.domain.settings import Container
from stereo_spot_dagster.media.container import plan_mux, refuse_losses
from stereo_spot_dagster.media.probe import probe
from stereo_spot_dagster.media.rehearsal import rehearse

from .conftest import Studio


def rehearsed(path: Path, scratch: Path, container: Container = Container.AUTO) -> Damage:
    report = probe(path)
    damage = rehearse(path, report, plan_mux(report, container), scratch)
    assert [left.name for left in scratch.iterdir()] == []
    return damage


@pytest.mark.parametrize("name", ["rich.mp4", "rich.mkv"])
def test_sound_and_subtitles_of_a_whole_file_pass(studio: Studio, scratch: Path, name: str) -> None:
    assert rehearsed(studio.rich(name), scratch) == NO_DAMAGE


def test_sound_packets_of_two_bytes_cannot_be_copied_but_the_rest_decodes(studio: Studio, scratch: Path) -> None:
    sound, broken = studio.folder / "sound.ts", studio.folder / "broken.ts"
    video = str(studio.h264("plain.mp4"))
    tracks = ("-i", video, "-f", "lavfi", "-i", "sine=d=2.4", "-f", "lavfi", "-i", "sine=500:d=2.4")
    studio.ffmpeg(*tracks, *("-map", "0", "-map", "1", "-map", "2", "-c:v", "copy", "-c:a", "aac"), str(sound))
    # What is left of a broadcast that was cut off within a packet of its sound.
    drop = "noise=amount='if(eq(n,3),1,0)'"
    studio.ffmpeg("-i", str(sound), "-map", "0", "-c", "copy", "-bsf:a:0", drop, str(broken))
    assert rehearsed(broken, scratch) == Damage(decodable=(1,))


def test_sound_whose_clock_goes_back_is_decoded(studio: Studio, scratch: Path) -> None:
    video, sound, broken = str(studio.h264("plain.mp4")), studio.folder / "sound.flv", studio.folder / "back.flv"
    tracks = ("-i", video, "-f", "lavfi", "-i", "sine=d=2.4:r=44100", "-c:v", "copy", "-c:a", "aac")
    studio.ffmpeg(*tracks, str(sound))
    assert rehearsed(sound, scratch) == NO_DAMAGE
    data = bytearray(sound.read_bytes())
    _set_back(data, packet=20, milliseconds=70)
    broken.write_bytes(data)
    assert rehearsed(broken, scratch) == Damage(decodable=(1,))


def test_sound_with_a_time_hours_off_is_not_filled_with_silence(studio: Studio, scratch: Path) -> None:
    video, sound, broken = str(studio.h264("plain.mp4")), studio.folder / "leap.flv", studio.folder / "leapt.flv"
    tracks = ("-i", video, "-f", "lavfi", "-i", "sine=d=2.4:r=44100", "-c:v", "copy", "-c:a", "aac")
    studio.ffmpeg(*tracks, str(sound))
    data = bytearray(sound.read_bytes())
    _set_back(data, packet=20, milliseconds=-4 * 3_600_000)
    broken.write_bytes(data)
    assert rehearsed(broken, scratch) == Damage(untimed=(1,))


def test_damaged_sound_is_carried_as_flac_with_a_warning_and_refused_if_losses_are(studio: Studio) -> None:
    report = probe(studio.rich("rich.mkv"))
    sound, subtitle = report.streams("audio")[0], report.streams("subtitle")[0]
    damage = Damage(decodable=(sound.index,), hopeless=(subtitle.index,))
    mux = plan_mux(report, Container.AUTO, damage=damage)
    assert [carried.codec for carried in mux.carried if carried.stream == sound] == ["flac"]
    assert subtitle not in [carried.stream for carried in mux.carried]
    said = " | ".join(mux.notices)
    assert f"{sound.label} is damaged; what can be decoded of it is carried as FLAC" in said
    assert f"{subtitle.label} is damaged and cannot be carried; it is left out" in said
    only_sound = plan_mux(report, Container.AUTO, damage=Damage(decodable=(sound.index,)))
    with pytest.raises(InputRefused, match="is damaged"):
        refuse_losses(report, only_sound)


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
    assert rehearsed(studio.h264("plain.mp4"), scratch) == NO_DAMAGE
