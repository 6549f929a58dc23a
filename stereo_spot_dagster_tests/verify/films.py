"""A film with everything a film has, good results of it made by ffmpeg alone, and ways to break them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import imageio_ffmpeg

from stereo_spot_dagster.domain.layout import Layout
from stereo_spot_dagster.media.mp4_boxes import Stereo3dMode, finish_mp4
from stereo_spot_dagster.verify import Film, Order, Report, verify

from ..media.conftest import CUES, TITLES

FRAMES = 50
MASTERING = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
COLOR = "setparams=range=tv:colorspace=bt709:color_trc=bt709:color_primaries=bt709"
HDR_COLOR = "setparams=range=tv:colorspace=bt2020nc:color_trc=smpte2084:color_primaries=bt2020"
# The right eye: everything eight pixels farther to the left.
RIGHT = "crop=iw-8:ih:8:0,pad=iw+8:ih:0:0"
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "30")


def ffmpeg(*words: str | Path) -> None:
    # Always the one that comes along: an old one cannot break a film in every way.
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def packed(left: str = "null", last: str = "null", order: str = "[l][r]hstack", color: str = COLOR) -> tuple[str, ...]:
    """Options that put the eyes side by side: filters of the left eye, and of the packed picture."""
    graph = f"[0:v:0]split[a][b];[a]{left}[l];[b]{RIGHT}[r];{order}=shortest=1,{color},{last}[v]"
    # Some versions round the times of filtered frames to the frame rate unless a finer clock is asked for.
    clock = ("-fps_mode", "passthrough", "-enc_time_base:v", "1:128000")
    return ("-filter_complex", graph, "-map", "[v]", *clock)


def make_film(target: Path, *, frames: int = FRAMES, rate: int = 25) -> Path:
    """H.264 with AAC, a subtitle track, two chapters and a title; Matroska also with a font."""
    folder, mkv = target.parent, target.suffix == ".mkv"
    titles, cues, font = (folder / name for name in ("titles.txt", "cues.srt", "font.ttf"))
    titles.write_text(TITLES, encoding="utf-8")
    cues.write_text(CUES, encoding="utf-8")
    font.write_bytes(bytes(range(256)) * 8)
    length = frames / rate
    picture = f"testsrc2=s=192x108:r={rate}:d={length},{COLOR}"
    words = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", f"sine=d={length}:r=48000", "-i", cues, "-i", titles]
    words += ["-map", "0", "-map", "1", "-map", "2", "-map_metadata", "3", "-map_chapters", "3", "-c:v", "libx264"]
    words += ["-preset", "veryfast", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    words += ["-c:s", "srt" if mkv else "mov_text", "-metadata:s:a:0", "language=eng"]
    words += ["-metadata:s:s:0", "language=deu", "-disposition:a:0", "default", "-disposition:s:0", "default"]
    ffmpeg(*words, *(["-attach", font, "-metadata:s:t:0", "mimetype=font/ttf"] if mkv else []), target)
    return target


def make_hdr_film(target: Path) -> Path:
    """HEVC with 10 bits and HDR10 data, no sound."""
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=192x108:r=25:d=0.8,format=yuv420p10le,{HDR_COLOR}", *hdr(), target)
    return target


def hdr(pix_fmt: str = "yuv420p10le", params: str = f"master-display={MASTERING}:max-cll=1000,400") -> tuple[str, ...]:
    options = f"log-level=error:hdr10=1:repeat-headers=1:{params}" if params else "log-level=error"
    return ("-c:v", "libx265", "-preset", "ultrafast", "-crf", "20", "-pix_fmt", pix_fmt, "-x265-params", options)


def make_result(film: Path, target: Path, *words: str | Path) -> Path:
    """A result with all streams of the film; ``words`` come behind the usual options and can replace them."""
    kept = ("-map", "0:a?", "-map", "0:s?", "-map", "0:t?", "-c:a", "copy", "-c:s", "copy", "-c:t", "copy")
    marks = ("-metadata:s:v:0", "stereo_mode=left_right") if target.suffix == ".mkv" else ()
    video = () if "-filter_complex" in words else packed()
    ffmpeg("-i", film, *video, *kept, "-map_metadata", "0", "-map_chapters", "0", *H264, *marks, *words, target)
    return marked(target)


def marked(path: Path) -> Path:
    """An MP4 with its index in front and the mark of a side-by-side film; Matroska as it is."""
    if path.suffix == ".mp4":
        finish_mp4(path, path, stereo3d=Stereo3dMode.LEFT_RIGHT)
    return path


def remux(good: Path, target: Path, *words: str | Path) -> Path:
    """A copy of a result with all of its streams, changed by ``words``."""
    ffmpeg("-i", good, "-map", "0", "-c", "copy", "-strict", "unofficial", *words, target)
    return target


def compare(film: Path, result: Path, scratch: Path, layout: Layout | None = Layout.FULL_SBS, **options) -> Report:
    return verify(Order(Film(film), Film(result), layout=layout, **options), scratch)


def broken_rules(report: Report) -> list[str]:
    return [finding.rule for finding in report.differences]


def put_index_last(path: Path) -> None:
    """Move the index of an MP4 file, which lies in front, behind the media."""
    data = path.read_bytes()
    start = data.index(b"moov") - 4
    end = start + int.from_bytes(data[start : start + 4], "big")
    moov = bytearray(data[start:end])
    for found in re.finditer(b"stco", bytes(moov)):
        count = int.from_bytes(moov[found.end() + 4 : found.end() + 8], "big")
        for place in range(found.end() + 8, found.end() + 8 + 4 * count, 4):
            offset = int.from_bytes(moov[place : place + 4], "big") - len(moov)
            moov[place : place + 4] = offset.to_bytes(4, "big")
    path.write_bytes(data[:start] + data[end:] + moov)
