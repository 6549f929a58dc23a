"""The most telling kinds of awkward files, made with ffmpeg from numbered frames."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..hostile.boxes import inside
from .clips import ffmpeg_words, make_master
from .picture_subtitles import pgs_file

FRAMES = 24
_X264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "8")
_X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-tag:v", "hvc1")
_SOUND = ("-f", "lavfi", "-i", "sine=r=48000:d=0.96")
_CUES = "1\n00:00:00,100 --> 00:00:00,400\nHällo\n\n2\n00:00:00,500 --> 00:00:00,900\nWorld\n"
_TITLES = ";FFMETADATA1\ntitle=A film\n" + "".join(
    f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={start}\nEND={end}\ntitle={title}\n"
    for start, end, title in ((0, 480, "One"), (480, 960, "Two"))
)
_PQ = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:log-level=none"
_HLG = "colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc:log-level=none"
_DISPLAY = (
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400:hdr10=1"
)


class Bench:
    """Makes files in a folder from one master.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.master = make_master(folder / "master.mkv", frames=FRAMES)

    def text(self, name: str, content: str) -> Path:
        path = self.folder / name
        path.write_text(content, encoding="utf-8")
        return path

    def coded(self, name: str, *words: object) -> Path:
        """The master without sound, with ffmpeg's output options."""
        path = self.folder / name
        ffmpeg_words("-i", self.master, *words, path)
        return path

    def with_sound(self, name: str, *words: object, delay_s: float = 0.0) -> Path:
        path = self.folder / name
        ffmpeg_words("-i", self.master, "-itsoffset", delay_s, *_SOUND, "-map", "0:v", "-map", "1:a", *words, path)
        return path


@dataclass(frozen=True)
class Kind:
    """An awkward file and what is right for it.

    Attributes:
        name: what is odd about it.
        file_name: what its user calls it.
        make: makes it; the content, not the name, says what it is.
        shows: numbers of the frames that a player shows.
        verdict: ``accept``, ``warn`` or ``refuse``.
        mention: for refusals and warnings, a regular expression that the words match.
        facts: what ffprobe says of its film, to prove that the file is of its kind.
        encoder: what ffmpeg needs to make it.
    """

    name: str
    file_name: str
    make: Callable[[Bench], Path]
    shows: Sequence[int] = field(default=range(FRAMES))
    verdict: str = "accept"
    mention: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    encoder: str = "libx264"


def _vfr(bench: Bench) -> Path:
    times = "settb=1/90000,setpts=N*3600+mod(N*N\\,7)*311"
    words = ("-fps_mode", "passthrough", "-enc_time_base:v", "1:90000", "-video_track_timescale", "90000")
    return bench.with_sound("vfr.mp4", "-vf", times, *words, *_X264, "-bf", "2", "-c:a", "aac")


def _turned(bench: Bench) -> Path:
    """As phones store portrait pictures: on their side, with the matrix of a quarter turn."""
    path = bench.with_sound("turned.mp4", "-vf", "transpose=cclock", *_X264, "-c:a", "aac")
    film = bytearray(path.read_bytes())
    start, _ = inside(bytes(film), b"tkhd")
    struct.pack_into(">9i", film, start + 48, 0, 1 << 16, 0, -1 << 16, 0, 0, 90 << 16, 0, 1 << 30)
    path.write_bytes(film)
    return path


def _several_sounds(bench: Bench) -> Path:
    path = bench.folder / "sounds.mkv"
    words = ["-i", bench.master, *_SOUND, "-map", "0:v", "-map", "1:a", "-map", "1:a", "-map", "1:a", *_X264]
    words += ["-c:a:0", "aac", "-c:a:1", "ac3", "-c:a:2", "flac"]
    words += ["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fra", "-metadata:s:a:2", "language=eng"]
    words += ["-metadata:s:a:2", "title=Commentary", "-disposition:a:0", "default", "-disposition:a:1", "0"]
    ffmpeg_words(*words, "-disposition:a:2", "comment", path)
    return path


def _subtitles(bench: Bench) -> Path:
    pictures, path = bench.folder / "pictures.sup", bench.folder / "subtitles.mkv"
    pictures.write_bytes(pgs_file())
    words = ["-i", bench.master, "-i", bench.text("cues.srt", _CUES), "-i", pictures]
    words += ["-map", "0:v", "-map", "1:s", "-map", "2:s", *_X264, "-c:s:0", "srt", "-c:s:1", "copy"]
    words += ["-metadata:s:s:0", "language=deu", "-disposition:s:0", "forced", "-metadata:s:s:1", "language=jpn"]
    ffmpeg_words(*words, "-disposition:s:1", "0", path)
    return path


def _text_subtitles(bench: Bench) -> Path:
    path = bench.folder / "cues.mp4"
    words = ("-i", bench.master, "-i", bench.text("cues.srt", _CUES), "-map", "0:v", "-map", "1:s", *_X264)
    ffmpeg_words(*words, "-c:s", "mov_text", "-metadata:s:s:0", "language=deu", path)
    return path


def _chapters(bench: Bench) -> Path:
    path = bench.folder / "chapters.mp4"
    titles = bench.text("titles.txt", _TITLES)
    ffmpeg_words(
        "-i", bench.master, "-i", titles, "-map", "0", "-map_metadata", "1", "-map_chapters", "1", *_X264, path
    )
    return path


def _cover_and_font(bench: Bench) -> Path:
    cover, font, path = bench.folder / "cover.jpg", bench.folder / "font.ttf", bench.folder / "attached.mkv"
    ffmpeg_words("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", "1", cover)
    font.write_bytes(bytes(range(256)) * 8)
    words = ["-i", bench.master, *_X264, "-attach", font, "-metadata:s:t:0", "mimetype=font/ttf"]
    words += ["-metadata:s:t:0", "filename=font.ttf"]
    words += ["-attach", cover, "-metadata:s:t:1", "mimetype=image/jpeg", "-metadata:s:t:1", "filename=cover.jpg"]
    ffmpeg_words(*words, path)
    return path


def _edit_list(bench: Bench) -> Path:
    whole, path = bench.with_sound("whole.mp4", *_X264, "-c:a", "aac"), bench.folder / "edited.mp4"
    ffmpeg_words("-ss", "0.2", "-i", whole, "-c", "copy", path)
    return path


def _two_films(bench: Bench) -> Path:
    path = bench.folder / "two.mkv"
    words = ("-i", bench.master, "-map", "0:v", "-map", "0:v", *_X264, "-s:v:1", "80x46")
    ffmpeg_words(*words, "-disposition:v:0", "default", "-disposition:v:1", "0", path)
    return path


def _cut_off(bench: Bench) -> Path:
    path = bench.with_sound("cut.mp4", *_X264, "-c:a", "aac", "-movflags", "faststart")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    return path


def _without_index(bench: Bench) -> Path:
    path = bench.with_sound("index.mp4", *_X264, "-c:a", "aac")
    film = path.read_bytes()
    path.write_bytes(film[: inside(film, b"moov")[0]])
    return path


def _only_sound(bench: Bench) -> Path:
    path = bench.folder / "sound.m4a"
    ffmpeg_words(*_SOUND, "-c:a", "aac", path)
    return path


def _coded(name: str, *words: object) -> Callable[[Bench], Path]:
    return lambda bench: bench.coded(name, *words)


def _with_sound(name: str, *words: object, delay_s: float = 0.0) -> Callable[[Bench], Path]:
    return lambda bench: bench.with_sound(name, *words, delay_s=delay_s)


_HDR = {"pix_fmt": "yuv420p10le", "color_space": "bt2020nc", "color_primaries": "bt2020"}
KINDS = (
    Kind("variable frame rate", "phone.mp4", _vfr),
    Kind("turned by a quarter", "portrait.mp4", _turned, facts={"width": 90, "height": 160}),
    Kind("pixels that are not square", "wide.mp4", _coded("sar.mp4", "-vf", "setsar=4/3", *_X264),
         facts={"sample_aspect_ratio": "4:3"}),
    Kind("interlaced", "tape.ts", _with_sound("interlaced.ts", "-vf", "setfield=tff", "-c:v", "mpeg2video", "-q:v", "2",
         "-flags", "+ilme+ildct", "-c:a", "mp2"), facts={"field_order": "tt"}),
    Kind("HDR10", "hdr.mp4", _coded("hdr10.mp4", *_X265, "-x265-params", f"{_PQ}:{_DISPLAY}"),
         facts=_HDR | {"color_transfer": "smpte2084"}, encoder="libx265"),
    Kind("HLG", "hlg.mp4", _coded("hlg.mp4", *_X265, "-x265-params", _HLG),
         facts=_HDR | {"color_transfer": "arib-std-b67"}, encoder="libx265"),
    Kind("full range", "camera.mp4", _coded("full.mp4", "-vf", "scale=out_range=pc,setparams=range=pc", *_X264,
         "-color_range", "pc"), facts={"color_range": "pc"}),
    Kind("odd size", "odd.webm", _coded("odd.webm", "-vf", "crop=159:89:0:0:exact=1", "-c:v", "libvpx-vp9", "-deadline",
         "realtime"), facts={"width": 159, "height": 89}, encoder="libvpx-vp9"),
    Kind("open GOP", "broadcast.mkv", _coded("open.mkv", *_X264, "-x264-params", "open-gop=1:keyint=8:bframes=3")),
    Kind("hidden VP8 frames", "call.webm", _coded("hidden.webm", "-c:v", "libvpx", "-auto-alt-ref", "1",
         "-lag-in-frames", "10", "-b:v", "1M"), encoder="libvpx"),
    Kind("AV1", "net.mkv", _coded("av1.mkv", "-c:v", "libsvtav1", "-preset", "10", "-g", "8"), encoder="libsvtav1",
         facts={"codec_name": "av1"}),
    Kind("sound that starts late", "late.mp4", _with_sound("late.mp4", *_X264, "-c:a", "aac", delay_s=0.4)),
    Kind("several sound tracks", "film.mkv", _several_sounds),
    Kind("text and picture subtitles", "foreign.mkv", _subtitles),
    Kind("text subtitles in MP4", "foreign.mp4", _text_subtitles),
    Kind("chapters", "lecture.mp4", _chapters),
    Kind("cover and font", "anime.mkv", _cover_and_font),
    Kind("edit list that hides the start", "trimmed.mp4", _edit_list, shows=range(5, FRAMES)),
    Kind("clock that starts late", "recorder.ts", _with_sound("clock.ts", *_X264, "-bf", "2", "-c:a", "mp2",
         "-output_ts_offset", "5000")),
    Kind("pictures shown before they are decoded", "ahead.mp4", _with_sound("ahead.mp4", *_X264, "-bf", "2", "-c:a",
         "aac", "-movflags", "negative_cts_offsets")),
    Kind("single frame", "still.mp4", _coded("still.mp4", *_X264, "-frames:v", "1"), shows=range(1)),
    Kind("4:2:2 in ten bits with a timecode track", "edit.mov", _with_sound("edit.mov", "-c:v", "prores", "-c:a",
         "pcm_s16le", "-timecode", "01:00:00:00"), facts={"pix_fmt": "yuv422p10le"}, encoder="prores"),
    Kind("4:4:4", "screen.mp4", _coded("full-chroma.mp4", *_X264, "-pix_fmt", "yuv444p"), facts={"pix_fmt": "yuv444p"}),
    Kind("name of another container", "renamed.mp4", _with_sound("really.mkv", *_X264, "-c:a", "libopus")),
    Kind("fragments", "stream.mp4", _with_sound("fragments.mp4", *_X264, "-c:a", "aac", "-movflags",
         "frag_keyframe+empty_moov")),
    Kind("AVI with B-frames", "old.avi", _with_sound("old.avi", "-c:v", "mpeg4", "-q:v", "2", "-bf", "2", "-c:a",
         "libmp3lame")),
    Kind("bare stream", "stream.h264", _coded("bare.h264", *_X264, "-bf", "2")),
    Kind("two films", "angles.mkv", _two_films, verdict="warn", mention="video stream 1 .* left out"),
    Kind("cut off", "copied.mp4", _cut_off, verdict="refuse", mention="truncated|incomplete"),
    Kind("without index", "crash.mp4", _without_index, verdict="refuse", mention="index .moov atom. is missing"),
    Kind("text", "notes.mp4", lambda bench: bench.text("notes.mp4", "my notes"), verdict="refuse",
         mention="a text file"),
    Kind("empty", "empty.mp4", lambda bench: bench.text("empty.mp4", ""), verdict="refuse", mention="0 bytes"),
    Kind("only sound", "song.mp4", _only_sound, verdict="refuse", mention="no video stream"),
)  # fmt: skip
