"""Every kind of sound and subtitle in every container, through the real muxers."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from stereo_spot_dagster.domain.settings import Container
from stereo_spot_dagster.media.join import JoinJob

from ..e2e.evidence import Evidence, Packet
from .conftest import CUES, TITLES, Studio
from .flat import convert
from .subtitles import sup_file

pytestmark = [pytest.mark.slow, pytest.mark.other_ffmpeg]

_TOLERANCE_S = Fraction(11, 10_000)
_CUE_TOLERANCE_S = 0.002
# Codec as ffprobe names it -> how the source is encoded.
SOUNDS = {
    "aac": ["aac"],
    "ac3": ["ac3"],
    "eac3": ["eac3"],
    "opus": ["libopus"],
    "flac": ["flac"],
    "alac": ["alac"],
    "pcm_s16le": ["pcm_s16le"],
    "pcm_s24le": ["pcm_s24le"],
    "dts": ["dca", "-strict", "-2"],
    "truehd": ["truehd", "-strict", "-2"],
    "vorbis": ["libvorbis"],
    "mp3": ["libmp3lame"],
}
IN_MP4 = ("aac", "ac3", "eac3", "opus", "flac", "alac", "dts", "mp3")
LANGUAGES = ["eng", "deu", "fra", "jpn", "spa", "ita", "por", "rus", "kor", "pol", "swe", "nor"]
STYLED = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, Bold, Italic, Alignment, MarginV
Style: Default,Arial,20,&H00FFFFFF,0,0,2,10

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.20,0:00:00.90,Default,,0,0,0,,{\\i1}Hällo{\\i0}
Dialogue: 0,0:00:01.00,0:00:01.50,Default,,0,0,0,,World
"""


def all_sounds(studio: Studio) -> Path:
    """One Matroska file with a track of each kind of sound, each in another language; the third is the default one."""
    path = studio.folder / "all-sounds.mkv"
    if path.exists():
        return path
    words = ["-i", str(studio.h264("closed.mp4", "keyint=20:bframes=2")), "-map", "0"]
    for number, (codec, options) in enumerate(SOUNDS.items()):
        words += [f"-c:a:{number}", *options, f"-metadata:s:a:{number}", f"language={LANGUAGES[number]}"]
        words += [f"-metadata:s:a:{number}", f"title=Sound {codec}"]
        words += [f"-disposition:a:{number}", "default" if number == 2 else "0"]
    inputs = [f"-f lavfi -itsoffset 0.3 -i sine={300 + 40 * n}:r=48000:d=1.9" for n in range(len(SOUNDS))]
    maps = [word for n in range(len(SOUNDS)) for word in ("-map", str(n + 1))]
    given = [word for text in inputs for word in text.split()]
    studio.ffmpeg(*words[:2], *given, *words[2:4], *maps, "-c:v", "copy", *words[4:], str(path))
    return path


@pytest.fixture(scope="module", params=[Container.MP4, Container.AUTO], ids=["mp4", "auto"])
def sounding(request, studio: Studio, tmp_path_factory) -> tuple[Evidence, Evidence, JoinJob]:
    clip = all_sounds(studio)
    result, job, checks = convert(clip, tmp_path_factory.mktemp("sounds"), request.param)
    assert [check for check in checks if not check.passed] == []
    return Evidence(clip), Evidence(result), job


@pytest.mark.parametrize("codec", list(SOUNDS))
def test_each_kind_of_sound_arrives_whole_in_its_place(sounding, codec: str) -> None:
    source, made, job = sounding
    number = list(SOUNDS).index(codec)
    before, after = source.of_kind("audio")[number], made.of_kind("audio")[number]
    assert before["codec_name"] == codec
    copied = job.mux.container is Container.MKV or codec in IN_MP4
    assert after["codec_name"] == (codec if copied else "flac")
    originals, packets = source.packets[before["index"]], made.packets[after["index"]]
    if copied:
        assert [packet.sha256 for packet in packets] == [packet.sha256 for packet in originals]
    elif codec != "vorbis":  # whose samples are floating point
        assert made.sample_digest(number) == source.sample_digest(number)
    if copied:
        assert abs(_start(made, packets) - _start(source, originals)) <= _TOLERANCE_S
    else:
        # A decoder gives nothing for the first packets of some codecs: what counts is when the first sample is heard.
        heard = [e.first_sample_time(number) - e.frame_times[0] for e in (source, made)]
        assert abs(heard[1] - heard[0]) <= _TOLERANCE_S
    told = any(f"({codec}, " in words and "FLAC" in words for words in job.mux.converted)
    assert told is not copied


def _start(evidence: Evidence, packets: list[Packet]) -> Fraction:
    assert packets[0].time_s is not None
    return packets[0].time_s - evidence.frame_times[0]


@pytest.mark.parametrize("container", [Container.AUTO, Container.MKV])
def test_apples_lossless_sound_is_copied(studio: Studio, scratch: Path, container: Container) -> None:
    # Not among the tracks above: from a Matroska file, ffmpeg 5.1 hides its last packet in MP4 by the edit list.
    clip, video = studio.folder / "alac.mov", str(studio.h264("closed.mp4", "keyint=20:bframes=2"))
    sound = ["-itsoffset", "0.3", "-f", "lavfi", "-i", "sine=d=1.9:r=48000"]
    studio.ffmpeg("-i", video, *sound, "-map", "0", "-map", "1", "-c:v", "copy", "-c:a", "alac", str(clip))
    result, job, checks = convert(clip, scratch, container)
    assert [check for check in checks if not check.passed] == []
    assert (job.mux.container is Container.MP4) == (container is Container.AUTO)
    source, made = Evidence(clip), Evidence(result)
    before, after = (e.packets[e.of_kind("audio")[0]["index"]] for e in (source, made))
    assert [packet.sha256 for packet in after] == [packet.sha256 for packet in before]
    assert abs(_start(made, after) - _start(source, before)) <= _TOLERANCE_S


def test_languages_titles_and_the_preferred_track_are_kept(sounding) -> None:
    _, made, job = sounding
    tracks = made.of_kind("audio")
    assert [track["tags"]["language"] for track in tracks] == LANGUAGES
    key = "title" if job.mux.container is Container.MKV else "handler_name"
    assert [track["tags"][key] for track in tracks] == [f"Sound {codec}" for codec in SOUNDS]
    assert [track["disposition"]["default"] for track in tracks] == [int(n == 2) for n in range(len(SOUNDS))]
    assert job.mux.left_out == ()


@pytest.fixture(scope="module")
def all_subtitles(studio: Studio) -> Path:
    """A Matroska file with a track of each kind of subtitle, a font, a cover, chapters and odd tags."""
    folder, path = studio.folder, studio.folder / "all-subtitles.mkv"
    files = {"c.srt": CUES, "c.ass": STYLED, "t.txt": TITLES + "\n"}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "c.sup").write_bytes(sup_file([(0.2, 0.9), (1.0, 1.5)]))
    (folder / "f.ttf").write_bytes(bytes(range(256)) * 8)
    studio.ffmpeg("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", "1", str(folder / "cover.jpg"))
    studio.ffmpeg("-i", str(folder / "c.srt"), str(folder / "c.vtt"))
    words = ["-i", str(studio.h264("closed.mp4", "keyint=20:bframes=2"))]
    for name in ("c.srt", "c.ass", "c.vtt", "c.sup", "c.sup", "t.txt"):
        words += ["-i", str(folder / name)]
    words += ["-map", "0", "-map", "1", "-map", "2", "-map", "3", "-map", "4", "-map", "5", "-map_metadata", "6"]
    words += ["-map_chapters", "6", "-c", "copy", "-c:s:4", "dvdsub", "-metadata", "studio=Example"]
    for number, language in enumerate(("eng", "deu", "fra", "jpn", "spa")):
        words += [f"-metadata:s:s:{number}", f"language={language}", f"-disposition:s:{number}", "0"]
    words += ["-disposition:s:1", "forced", "-disposition:s:2", "hearing_impaired"]
    words += ["-attach", str(folder / "f.ttf"), "-metadata:s:t:0", "mimetype=font/ttf"]
    words += ["-attach", str(folder / "cover.jpg"), "-metadata:s:t:1", "mimetype=image/jpeg"]
    studio.ffmpeg(*words, "-metadata:s:t:1", "filename=cover.jpg", str(path))
    return path


def _cues(evidence: Evidence, position: int) -> list[tuple[str, float, float]]:
    start = float(evidence.frame_times[0])
    return [
        (re.sub(r"\{[^}]*\}", "", cue.text), cue.start_s - start, cue.end_s - start) for cue in evidence.cues(position)
    ]


def _assert_same_cues(made: list[tuple[str, float, float]], wanted: list[tuple[str, float, float]]) -> None:
    assert [cue[0] for cue in made] == [cue[0] for cue in wanted] == ["Hällo", "World"]
    for after, before in zip(made, wanted, strict=True):
        assert after[1:] == pytest.approx(before[1:], abs=_CUE_TOLERANCE_S)


def _flags(stream: dict[str, Any]) -> set[str]:
    return {name for name in ("default", "forced", "hearing_impaired") if stream["disposition"].get(name)}


def test_auto_keeps_every_kind_of_subtitle_in_matroska(all_subtitles: Path, scratch: Path) -> None:
    result, job, checks = convert(all_subtitles, scratch)
    assert [check for check in checks if not check.passed] == []
    assert (job.mux.container, job.mux.notices) == (Container.MKV, ())
    source, made = Evidence(all_subtitles), Evidence(result)
    before, after = source.of_kind("subtitle"), made.of_kind("subtitle")
    kinds = ["subrip", "ass", "webvtt", "hdmv_pgs_subtitle", "dvd_subtitle"]
    assert [track["codec_name"] for track in after] == [track["codec_name"] for track in before] == kinds
    for one, other in zip(before, after, strict=True):
        hashes = [[packet.sha256 for packet in e.packets[s["index"]]] for e, s in ((source, one), (made, other))]
        assert hashes[0] == hashes[1] != []
        assert one["tags"]["language"] == other["tags"]["language"]
        assert _flags(one) == _flags(other)
    for position in range(3):
        _assert_same_cues(_cues(made, position), _cues(source, position))
    assert [c["tags"]["title"] for c in made.document["chapters"]] == ["One", "Two"]
    assert made.document["format"]["tags"]["STUDIO"] == "Example"
    assert [stream["tags"]["filename"] for stream in made.of_kind("attachment")] == ["f.ttf"]
    assert [stream["tags"]["filename"] for stream in made.covers] == ["cover.jpg"]


def test_forced_mp4_gets_text_subtitles_converted_and_says_what_it_lacks(all_subtitles: Path, scratch: Path) -> None:
    result, job, checks = convert(all_subtitles, scratch, Container.MP4)
    assert [check for check in checks if not check.passed] == []
    source, made = Evidence(all_subtitles), Evidence(result)
    tracks = made.of_kind("subtitle")
    assert [track["codec_name"] for track in tracks] == ["mov_text"] * 3
    assert [track["tags"]["language"] for track in tracks] == ["eng", "deu", "fra"]
    assert [_flags(track) - {"default"} for track in tracks] == [set(), {"forced"}, {"hearing_impaired"}]
    for position in range(3):
        _assert_same_cues(_cues(made, position), _cues(source, position))
    assert len(made.covers) == 1
    assert [c["tags"]["title"] for c in made.document["chapters"]] == ["One", "Two"]
    lost = " | ".join(job.mux.left_out)
    for words in ("styles of subtitle stream 2", "hdmv_pgs_subtitle", "dvd_subtitle", "attachment stream", "STUDIO"):
        assert words in lost
    assert len(job.mux.converted) == 3


@pytest.mark.parametrize(("container", "codec"), [(Container.AUTO, "mov_text"), (Container.MKV, "subrip")])
def test_subtitles_of_an_mp4_stay_or_become_plain_text(
    studio: Studio, scratch: Path, container: Container, codec: str
) -> None:
    clip = studio.rich("rich.mp4")
    result, job, checks = convert(clip, scratch, container)
    assert [check for check in checks if not check.passed] == []
    source, made = Evidence(clip), Evidence(result)
    assert [track["codec_name"] for track in made.of_kind("subtitle")] == [codec, codec]
    assert (job.mux.left_out, len(job.mux.converted)) == ((), 0 if codec == "mov_text" else 2)
    for position in (0, 1):
        _assert_same_cues(_cues(made, position), _cues(source, position))


@pytest.mark.parametrize("container", [Container.AUTO, Container.MKV])
def test_a_timecode_track_is_carried_as_a_tag_and_unknown_data_is_named(
    studio: Studio, scratch: Path, container: Container
) -> None:
    clip = studio.folder / "timecode.mov"
    video = str(studio.h264("closed.mp4", "keyint=20:bframes=2"))
    studio.ffmpeg("-i", video, "-map", "0", "-c", "copy", "-timecode", "01:00:00:00", str(clip))
    result, job, checks = convert(clip, scratch, container)
    assert [check for check in checks if not check.passed] == []
    assert job.mux.notices == ()
    assert result.suffix == (".mkv" if container is Container.MKV else ".mp4")
    tags = [stream.get("tags", {}) for stream in Evidence(result).streams]
    assert "01:00:00:00" in [tag.get("timecode", tag.get("TIMECODE")) for tag in tags]
