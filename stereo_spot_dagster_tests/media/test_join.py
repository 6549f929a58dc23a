from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from stereo_spot_dagster.domain.settings import Container
from stereo_spot_dagster.media.tools import find_tools

from ..e2e.evidence import Evidence
from .conftest import Studio
from .flat import check, convert

pytestmark = pytest.mark.other_ffmpeg

_TOLERANCE_S = Fraction(11, 10_000)


def sound(evidence: Evidence, position: int) -> list[tuple[Fraction, str]]:
    """(seconds after the first picture, hash) of each packet of a sound track."""
    stream = evidence.of_kind("audio")[position]
    start = evidence.frame_times[0]
    return [(p.time_s - start, p.sha256) for p in evidence.packets[stream["index"]] if p.time_s is not None]


def languages(evidence: Evidence, kind: str) -> list[str | None]:
    return [stream.get("tags", {}).get("language") for stream in evidence.of_kind(kind)]


@pytest.mark.parametrize(
    ("name", "container"),
    [
        ("rich.mp4", Container.AUTO),
        ("rich.mkv", Container.AUTO),
        ("rich.mp4", Container.MKV),
        ("rich.mkv", Container.MP4),
    ],
)
def test_all_that_is_not_picture_is_carried_unchanged(
    studio: Studio, scratch: Path, name: str, container: Container
) -> None:
    clip = studio.rich(name)
    result, job, checks = convert(clip, scratch, container)
    assert [check for check in checks if not check.passed] == []
    source, made = Evidence(clip), Evidence(result)
    assert job.mux.container.value == result.suffix[1:]
    for position in (0, 1):
        before, after = sound(source, position), sound(made, position)
        assert [digest for _, digest in after] == [digest for _, digest in before]
        assert abs(after[0][0] - before[0][0]) <= _TOLERANCE_S
    assert languages(made, "audio") == ["eng", "fra"]
    assert languages(made, "subtitle") == ["deu", "jpn"]
    assert [stream["disposition"]["forced"] for stream in made.of_kind("subtitle")] == [0, 1]
    assert [cue.text for cue in made.cues(0)] == ["Hällo", "World"]
    assert [c["tags"]["title"] for c in made.document["chapters"]] == ["One", "Two"]
    assert made.document["format"]["tags"]["title"] == "A film"


@pytest.mark.parametrize("name", ["rich.mp4", "rich.mkv"])
def test_pictures_keep_their_number_order_and_times(studio: Studio, scratch: Path, name: str) -> None:
    clip = studio.rich(name)
    result, _, _ = convert(clip, scratch)
    source, made = Evidence(clip), Evidence(result)
    before, after = ([time - e.frame_times[0] for time in e.frame_times] for e in (source, made))
    assert after == before
    pictures, complaints = made.gray_pictures()
    originals, _ = source.gray_pictures()
    assert complaints == ""
    assert pictures.shape == (60, 64, 192)
    assert abs(pictures[:, :, :96].astype(int) - originals).mean() < 3


def test_a_font_and_a_cover_stay_attachments_of_matroska(studio: Studio, scratch: Path) -> None:
    result, job, _ = convert(studio.rich("rich.mkv"), scratch)
    made = Evidence(result)
    assert job.mux.left_out == ()
    assert [stream["tags"]["mimetype"] for stream in made.of_kind("attachment")] == ["font/ttf"]
    assert [stream["tags"]["filename"] for stream in made.covers] == ["cover.jpg"]
    assert len(made.of_kind("video")) == 1


def test_what_mp4_cannot_hold_is_named(studio: Studio, scratch: Path) -> None:
    _, job, _ = convert(studio.rich("rich.mkv"), scratch, Container.MP4)
    assert len(job.mux.left_out) == 1
    assert "attachment stream" in job.mux.left_out[0]
    assert "MP4" in job.mux.left_out[0]


@pytest.mark.parametrize("codec", ["aac", "ac3"])
@pytest.mark.parametrize("container", ["ts", "mp4", "mkv"])
def test_a_late_start_of_the_sound_is_kept(studio: Studio, scratch: Path, container: str, codec: str) -> None:
    clip = studio.folder / f"late-{codec}.{container}"
    video = studio.h264("closed.mp4", "keyint=20:bframes=2")
    late = ["-itsoffset", "0.73", "-f", "lavfi", "-i", "sine=d=1.5:r=48000"]
    studio.ffmpeg("-i", str(video), *late, "-map", "0", "-map", "1", "-c:v", "copy", "-c:a", codec, str(clip))
    result, _, checks = convert(clip, scratch)
    assert [check for check in checks if not check.passed] == []
    before, after = sound(Evidence(clip), 0), sound(Evidence(result), 0)
    assert abs(after[0][0] - before[0][0]) <= _TOLERANCE_S
    assert before[0][0] > Fraction(7, 10)


def test_the_result_says_that_it_is_stereoscopic_and_starts_with_its_index(studio: Studio, scratch: Path) -> None:
    result, _, _ = convert(studio.rich("rich.mp4"), scratch)
    assert (Evidence(result).side_data("Stereo 3D") or {})["type"] == "side by side"
    data = result.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_ffmpeg_itself_can_decode_the_marked_result(studio: Studio, scratch: Path, suffix: str) -> None:
    result, _, _ = convert(studio.h264("closed.mp4", "keyint=20:bframes=2"), scratch, Container(suffix))
    command = [find_tools().ffmpeg, "-nostdin", "-v", "error", "-i", str(result), "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["rich.mp4", "rich.mkv"])
def test_a_part_holds_its_frames_and_its_own_stretch_of_sound(studio: Studio, scratch: Path, name: str) -> None:
    clip = studio.rich(name)
    result, job, checks = convert(clip, scratch, start_s=0.8, end_s=1.6)
    assert [check for check in checks if not check.passed] == []
    source, made = Evidence(clip), Evidence(result)
    assert len(made.frame_times) == 20
    assert job.plan.first_source_frame == 20
    for position in (0, 1):
        before = {digest: time for time, digest in sound(source, position)}
        after = sound(made, position)
        assert all(digest in before for _, digest in after)
        assert Fraction(6, 10) < after[-1][0] - after[0][0] < Fraction(11, 10)
    first = sound(made, 0)[0]
    offset = {digest: time for time, digest in sound(source, 0)}[first[1]] - Fraction(8, 10)
    assert abs(first[0] - offset) <= _TOLERANCE_S


def test_the_checks_notice_another_sound(studio: Studio, scratch: Path) -> None:
    result, job, _ = convert(studio.rich("rich.mp4"), scratch)
    forged = scratch / "forged.mp4"
    studio.ffmpeg(
        "-i", str(result), "-map", "0:v", "-map", "0:a", "-c", "copy", "-c:a:0", "aac", "-b:a", "32k", str(forged)
    )
    failed = {found.name for found in check(job, forged, scratch) if not found.passed}
    assert "audio_identical" in failed


def test_the_checks_notice_a_lost_frame_and_a_lost_chapter(studio: Studio, scratch: Path) -> None:
    result, job, _ = convert(studio.rich("rich.mp4"), scratch)
    forged = scratch / "forged.mp4"
    words = ["-map", "0:v", "-map", "0:a", "-map_chapters", "-1", "-c", "copy", "-frames:v", "59"]
    studio.ffmpeg("-i", str(result), *words, str(forged))
    failed = {found.name for found in check(job, forged, scratch) if not found.passed}
    assert {"final_frame_count", "chapters_kept", "streams_carried", "starts_early"} <= failed


def test_the_checks_notice_moved_sound(studio: Studio, scratch: Path) -> None:
    result, job, _ = convert(studio.rich("rich.mkv"), scratch)
    forged = scratch / "forged.mkv"
    inputs = ["-itsoffset", "0.05", "-i", str(result), "-i", str(result)]
    studio.ffmpeg(*inputs, "-map", "1:v:0", "-map", "0:a", "-map", "1:s", "-c", "copy", str(forged))
    outcomes = {found.name: found for found in check(job, forged, scratch)}
    assert not outcomes["audio_in_step"].passed
    assert "+50" in outcomes["audio_in_step"].detail


@pytest.mark.parametrize(("codec", "container"), [("adpcm_ima_qt", Container.AUTO), ("pcm_s16le", Container.MP4)])
def test_sound_that_must_be_converted_keeps_its_samples_and_its_place(
    studio: Studio, scratch: Path, codec: str, container: Container
) -> None:
    clip = studio.folder / f"{codec}.mov"
    video = str(studio.h264("closed.mp4", "keyint=20:bframes=2"))
    sound = ["-itsoffset", "0.4", "-f", "lavfi", "-i", "sine=d=1.5:r=48000"]
    studio.ffmpeg("-i", video, *sound, "-map", "0", "-map", "1", "-c:v", "copy", "-c:a", codec, str(clip))
    result, _, checks = convert(clip, scratch, container)
    assert [check for check in checks if not check.passed] == []
    source, made = Evidence(clip), Evidence(result)
    assert made.of_kind("audio")[0]["codec_name"] == "flac"
    assert made.sample_digest(0) == source.sample_digest(0)
    assert abs(sound_start(made) - sound_start(source)) <= _TOLERANCE_S


def sound_start(evidence: Evidence) -> Fraction:
    return sound(evidence, 0)[0][0]


@pytest.mark.parametrize("name", ["rich.mp4", "rich.mkv"])
def test_a_part_does_not_claim_the_length_of_chapters_behind_it(studio: Studio, scratch: Path, name: str) -> None:
    result, _, checks = convert(studio.rich(name), scratch, start_s=0.2, end_s=0.8)
    assert [check for check in checks if not check.passed] == []
    made = Evidence(result)
    assert [chapter["tags"]["title"] for chapter in made.document["chapters"]] == ["One"]
    assert float(made.document["format"]["duration"]) < 0.75
    assert len(made.frame_times) == 15


def test_the_title_of_the_film_s_track_is_kept(studio: Studio, scratch: Path) -> None:
    clip = studio.folder / "titled.mkv"
    titled = ("-metadata:s:v:0", "title=Main angle", "-metadata:s:v:0", "language=jpn")
    studio.ffmpeg("-i", str(studio.h264("plain.mp4")), "-c", "copy", *titled, str(clip))
    result, job, checks = convert(clip, scratch)
    assert job.mux.container is Container.MP4
    assert [check for check in checks if not check.passed] == []
    assert Evidence(result).video["tags"]["handler_name"] == "Main angle"
    assert Evidence(result).video["tags"]["language"] == "jpn"
