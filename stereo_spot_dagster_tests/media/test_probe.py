from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from stereo_spot_dagster.domain.errors import InputRefused
from stereo_spot_dagster.media import first_picture
from stereo_spot_dagster.media.first_picture import decoded_format
from stereo_spot_dagster.media.probe import probe

from .conftest import Studio


def refused(path: Path, words: str, name: str | None = None) -> None:
    with pytest.raises(InputRefused, match=words) as raised:
        probe(path, name=name)
    assert raised.value.exit_code == 2
    assert str(raised.value).startswith(f"{name or path.name}: ")
    assert raised.value.remedy


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    refused(tmp_path / "a.mp4", "empty")


def test_text_is_refused_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("Dear diary, " * 100)
    refused(tmp_path / "a.mp4", "text file, not a video")


def test_noise_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(bytes(value * 7919 % 251 for value in range(60_000)))
    refused(tmp_path / "a.mp4", "not a video file")


def test_an_mp4_without_its_index_is_called_incomplete(studio: Studio, tmp_path: Path) -> None:
    data = studio.h264("plain.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(data[: data.index(b"moov") - 4])
    refused(tmp_path / "half.mp4", r"not complete: .*moov atom")


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\nplain.mp4\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile plain.mp4\n",
    ],
)
def test_a_playlist_is_refused_and_never_followed(studio: Studio, tmp_path: Path, text: str) -> None:
    (tmp_path / "plain.mp4").write_bytes(studio.h264("plain.mp4").read_bytes())
    (tmp_path / "list.mp4").write_text(text)
    refused(tmp_path / "list.mp4", "playlist, not a video")


def test_sound_alone_is_refused_even_with_a_cover(studio: Studio) -> None:
    sound, cover, both = (studio.folder / name for name in ("sound.m4a", "cover.png", "album.m4a"))
    studio.ffmpeg("-f", "lavfi", "-i", "sine=d=0.5", str(sound))
    studio.ffmpeg("-f", "lavfi", "-i", "color=s=32x32", "-frames:v", "1", "-c:v", "mjpeg", "-f", "image2", str(cover))
    words = ["-map", "0", "-map", "1", "-c", "copy", "-disposition:v:0", "attached_pic"]
    studio.ffmpeg("-i", str(sound), "-i", str(cover), *words, str(both))
    refused(sound, "no video stream")
    refused(both, "no video stream")


def test_a_picture_too_large_is_refused_from_the_header(studio: Studio) -> None:
    bomb = studio.folder / "bomb.mkv"
    studio.ffmpeg("-f", "lavfi", "-i", "color=s=9000x9000", "-frames:v", "1", "-c:v", "png", "-pred", "none", str(bomb))
    refused(bomb, "too large")


def test_a_picture_of_one_pixel_is_refused(studio: Studio) -> None:
    dot = studio.clip("dot.mkv", "-vf", "scale=1:1", "-c:v", "rawvideo", frames=1)
    refused(dot, "too small .1x1; at least 2")


def test_a_recording_that_ends_within_a_fragment_says_so(studio: Studio, tmp_path: Path) -> None:
    whole = studio.h264("fragments.mp4", "keyint=10", "-movflags", "frag_keyframe+empty_moov")
    assert probe(whole).warnings == ()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    assert probe(cut).warnings == ("the file ends in the middle of its data; it is converted as far as it goes",)


def test_a_still_picture_is_not_a_video(studio: Studio, tmp_path: Path) -> None:
    still = tmp_path / "still.jpg"
    studio.ffmpeg("-f", "lavfi", "-i", "color=s=32x32", "-frames:v", "1", str(still))
    still = still.rename(tmp_path / "still.mp4")
    refused(still, "not accepted|not a video")


def test_the_name_in_a_message_is_the_users(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"")
    refused(tmp_path / "source", "empty", name="Urlaub ä.mp4")


def test_a_file_is_described_as_it_is(studio: Studio) -> None:
    report = probe(studio.rich("rich.mp4"))
    video = report.video
    assert (video.codec, video.width, video.height, video.pix_fmt) == ("h264", 96, 64, "yuv420p")
    assert (video.frame_rate, video.sar, video.rotation, video.mirrored) == (25, 1, 0, False)
    assert [stream.language for stream in report.streams("audio")] == ["eng", "fra"]
    assert report.chapters == 2
    assert report.warnings == ()


@pytest.mark.parametrize(
    ("words", "rotation", "mirrored"),
    [
        (["-display_rotation", "0"], 0, False),
        (["-display_rotation", "-90"], 90, False),
        (["-display_rotation", "180"], 180, False),
        (["-display_rotation", "90"], 270, False),
        (["-display_hflip"], 0, True),
        (["-display_vflip"], 180, True),
    ],
)
def test_the_display_matrix_is_read_as_clockwise_turn_and_mirror(
    studio: Studio, words: list[str], rotation: int, mirrored: bool
) -> None:
    turned = studio.folder / f"turned{'-'.join(words)}.mp4"
    try:
        studio.ffmpeg(*words, "-i", str(studio.h264("plain.mp4")), "-c", "copy", str(turned))
    except AssertionError:
        pytest.skip("this ffmpeg cannot write a display matrix")
    video = probe(turned).video
    assert (video.rotation, video.mirrored) == (rotation, mirrored)


def test_anamorphic_pixels_turn_with_the_picture(studio: Studio) -> None:
    clip = studio.h264("wide.mp4", "", "-vf", "setsar=4/3")
    video = probe(clip).video
    assert video.upright_sar == Fraction(4, 3)
    turned = video.model_copy(update={"rotation": 90})
    assert (turned.upright_size, turned.upright_sar) == ((64, 96), Fraction(3, 4))


def test_of_two_films_the_default_one_is_taken_and_the_other_named(studio: Studio) -> None:
    both = studio.folder / "both.mkv"
    large, small = studio.h264("plain.mp4"), studio.h264("small.mp4", "", "-s", "48x32")
    words = ["-map", "0", "-map", "1", "-c", "copy", "-disposition:v:0", "0", "-disposition:v:1", "default"]
    studio.ffmpeg("-i", str(large), "-i", str(small), *words, str(both))
    report = probe(both)
    assert (report.video.index, report.video.width) == (1, 48)
    assert report.warnings == ("only video stream 1 is converted; video stream 0 (h264) left out",)


def test_a_broadcast_keeps_to_the_program_of_its_film(studio: Studio) -> None:
    both = studio.folder / "two-programs.ts"
    video, sound = str(studio.h264("plain.mp4")), ["-f", "lavfi", "-i", "sine=d=1"]
    maps = ["-map", "0", "-map", "1", "-map", "0", "-map", "2", "-c:v", "copy", "-c:a", "mp2"]
    programs = ["-program", "program_num=1:st=0:st=1", "-program", "program_num=2:st=2:st=3"]
    studio.ffmpeg("-i", video, *sound, *sound, *maps, *programs, str(both))
    report = probe(both)
    assert [stream.foreign for stream in report.streams("audio")] == [False, True]
    assert "programs" in report.warnings[0]
    assert "audio stream" in report.warnings[0]


def test_ffmpeg_is_asked_where_ffprobe_has_no_decoder(studio: Studio) -> None:
    assert decoded_format(studio.h264("plain.mp4"), 0, "plain.mp4") == "yuv420p"
    assert decoded_format(studio.clip("png.mkv", "-c:v", "png", "-pix_fmt", "rgb24", frames=2), 0, "png.mkv") == "rgb24"
    assert probe(studio.clip("png.mkv", "-c:v", "png", "-pix_fmt", "rgb24", frames=2)).video.pix_fmt == "rgb24"


def test_a_stream_that_nothing_decodes_is_refused(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputRefused, match="cannot be decoded"):
        decoded_format(studio.rich("rich.mp4"), 7, "rich.mp4")
    monkeypatch.setattr(first_picture, "run_verbose", lambda *args, **words: "no picture at all")
    with pytest.raises(InputRefused, match="no pictures"):
        decoded_format(studio.h264("plain.mp4"), 0, "plain.mp4")


def test_pictures_and_names_that_say_stereoscopic_are_reported(studio: Studio, tmp_path: Path) -> None:
    packed = studio.h264("packed.mp4", "frame-packing=3")
    assert any("already stereoscopic" in warning for warning in probe(packed).warnings)
    flat = studio.h264("plain.mp4")
    for name in ("Film.3D.H-SBS.1080p.mkv", "film half-OU.mp4", "holiday_sbs.mp4"):
        assert any("its name says" in warning for warning in probe(flat, name=name).warnings)
    for name in ("Sbsa.mp4", "husbands.mkv", "you.mp4", "table.mp4"):
        assert probe(flat, name=name).warnings == ()


def test_transparency_is_reported(studio: Studio) -> None:
    clip = studio.clip("alpha.mov", "-c:v", "png", "-pix_fmt", "rgba", frames=2)
    assert any("transparency" in warning for warning in probe(clip).warnings)
