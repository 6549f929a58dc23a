from __future__ import annotations

from typing import Any

import pytest

from stereo_spot_dagster.domain.errors import InvalidSettings
from stereo_spot_dagster.domain.probe import OtherStream, ProbeReport, VideoStream
from stereo_spot_dagster.domain.settings import Codec, Container
from stereo_spot_dagster.domain.timing import TimeBase
from stereo_spot_dagster.media.container import plan_mux


def report(*others: OtherStream, **changes: Any) -> ProbeReport:
    base = TimeBase(numerator=1, denominator=25)
    video = VideoStream(index=0, codec="h264", width=64, height=64, pix_fmt="yuv420p", time_base=base)
    values: dict[str, Any] = {"file_name": "a.mkv", "size_bytes": 1, "format_name": "x", "duration_s": 1.0, "tags": {}}
    return ProbeReport.model_validate(values | {"video": video, "others": others, "chapters": 0} | changes)


def stream(kind: str, codec: str, **changes: Any) -> OtherStream:
    return OtherStream.model_validate({"index": 1, "kind": kind, "codec": codec} | changes)


@pytest.mark.parametrize(
    ("other", "container"),
    [
        (stream("audio", "aac"), Container.MP4),
        (stream("audio", "opus"), Container.MP4),
        (stream("audio", "mp2"), Container.MKV),
        (stream("audio", "pcm_s16le"), Container.MKV),
        (stream("audio", "truehd"), Container.MKV),
        (stream("subtitle", "mov_text"), Container.MP4),
        (stream("subtitle", "subrip"), Container.MKV),
        (stream("subtitle", "hdmv_pgs_subtitle"), Container.MKV),
        (stream("attachment", "ttf"), Container.MKV),
        (stream("video", "mjpeg", cover=True), Container.MP4),
        (stream("video", "bmp", cover=True), Container.MP4),
        (stream("video", "webp", cover=True), Container.MKV),
        (stream("data", "none"), Container.MP4),
        (stream("video", "h264"), Container.MP4),
    ],
)
def test_the_container_is_mp4_where_everything_fits_unchanged(other: OtherStream, container: Container) -> None:
    assert plan_mux(report(other), Container.AUTO).container is container


def test_every_stream_is_carried_or_named_as_left_out() -> None:
    others = (stream("audio", "aac"), stream("subtitle", "dvd_subtitle"), stream("data", "klv"))
    for container in Container:
        mux = plan_mux(report(*others), container)
        assert len(mux.carried) + sum("cannot be carried" in words for words in mux.left_out) == len(others)


@pytest.mark.parametrize(
    ("codec", "container", "how"),
    [
        ("subrip", Container.MP4, "mov_text"),
        ("ass", Container.MP4, "mov_text"),
        ("mov_text", Container.MP4, "copy"),
        ("mov_text", Container.MKV, "srt"),
        ("ass", Container.MKV, "copy"),
        ("webvtt", Container.MKV, "copy"),
    ],
)
def test_text_subtitles_are_converted_only_where_they_must(codec: str, container: Container, how: str) -> None:
    assert [carried.codec for carried in plan_mux(report(stream("subtitle", codec)), container).carried] == [how]


@pytest.mark.parametrize(("codec", "container"), [("adpcm_ima_qt", Container.AUTO), ("pcm_s16le", Container.MP4)])
def test_sound_without_a_place_in_the_container_becomes_lossless_and_that_is_said(
    codec: str, container: Container
) -> None:
    mux = plan_mux(report(stream("audio", codec)), container)
    assert [carried.codec for carried in mux.carried] == ["flac"]
    assert "carried as FLAC" in mux.converted[0]
    assert mux.left_out == ()


@pytest.mark.parametrize(
    ("codec", "how"),
    [
        ("pcm_dvd", "pcm_s24le"),
        ("pcm_bluray", "pcm_s24le"),
        ("s302m", "pcm_s24le"),
        ("pcm_s8", "pcm_s16le"),
        ("pcm_f32be", "pcm_f32le"),
        ("pcm_s24be", "copy"),
        ("pcm_mulaw", "copy"),
    ],
)
def test_samples_that_matroska_has_no_name_for_become_plain_ones(codec: str, how: str) -> None:
    mux = plan_mux(report(stream("audio", codec)), Container.AUTO)
    assert [carried.codec for carried in mux.carried] == [how]
    assert mux.converted == (
        () if how == "copy" else (f"audio stream 1 ({codec}) is carried as {how}: MKV cannot hold it as it is",)
    )


def test_bitmap_subtitles_are_never_promised_to_mp4() -> None:
    mux = plan_mux(report(stream("subtitle", "hdmv_pgs_subtitle", language="fra")), Container.MP4)
    assert mux.carried == ()
    assert mux.left_out == ("subtitle stream 1 (hdmv_pgs_subtitle, fra) cannot be carried into MP4",)


def test_chapter_titles_and_timecode_tracks_come_with_what_they_describe() -> None:
    chapters, timecode = stream("data", "bin_data", codec_tag="text"), stream("data", "none", codec_tag="tmcd")
    assert len(plan_mux(report(chapters, timecode), Container.AUTO).left_out) == 2
    made = report(chapters, timecode, chapters=3)
    made = made.model_copy(update={"video": made.video.model_copy(update={"timecode": "01:00:00:00"})})
    assert plan_mux(made, Container.AUTO).left_out == ()


def test_streams_of_another_program_decide_nothing() -> None:
    mux = plan_mux(report(stream("audio", "pcm_bluray", foreign=True)), Container.AUTO)
    assert (mux.container, mux.carried, mux.left_out) == (Container.MP4, (), ())


def test_chapters_that_begin_late_or_end_behind_the_film_and_flags_of_matroska_stay_in_matroska() -> None:
    assert plan_mux(report(chapters=2, chapters_from_s=0.0), Container.AUTO).container is Container.MP4
    assert plan_mux(report(chapters=2, chapters_from_s=0.3), Container.AUTO).container is Container.MKV
    assert plan_mux(report(chapters=2, chapters_to_s=1.1), Container.AUTO).container is Container.MP4
    assert plan_mux(report(chapters=2, chapters_to_s=90.0), Container.AUTO).container is Container.MKV
    original = stream("audio", "aac", dispositions=("default", "original"))
    assert plan_mux(report(original), Container.AUTO).container is Container.MKV


def test_unusual_tags_become_quicktime_keys_and_with_a_cover_matroska() -> None:
    tags = {"title": "x", "com.apple.quicktime.make": "Example", "major_brand": "qt  "}
    assert plan_mux(report(tags=tags), Container.AUTO).tag_keys
    assert not plan_mux(report(tags={"title": "x", "major_brand": "qt  "}), Container.AUTO).tag_keys
    cover = stream("video", "mjpeg", cover=True)
    assert plan_mux(report(cover, tags=tags), Container.AUTO).container is Container.MKV
    asked = plan_mux(report(cover, tags=tags), Container.MP4)
    assert not asked.tag_keys
    assert "com.apple.quicktime.make" in asked.left_out[0]


def test_ffv1_lives_in_matroska() -> None:
    assert plan_mux(report(), Container.AUTO, Codec.FFV1).container is Container.MKV
    with pytest.raises(InvalidSettings, match="MP4 cannot hold FFV1"):
        plan_mux(report(), Container.MP4, Codec.FFV1)
