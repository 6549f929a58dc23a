"""Small videos of the awkward kinds, made once with the ffmpeg that the tests run against."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stereo_spot_dagster.media.tools import find_tools

SIZE = "96x64"
TITLES = """;FFMETADATA1
title=A film
[CHAPTER]
TIMEBASE=1/1000
START=0
END=900
title=One
[CHAPTER]
TIMEBASE=1/1000
START=900
END=2400
title=Two
"""
CUES = "1\n00:00:00,200 --> 00:00:00,900\nHällo\n\n2\n00:00:01,000 --> 00:00:01,500\nWorld\n"


class Studio:
    """Makes clips in a folder; each is made once.

    Args:
        folder: where they lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ffmpeg(self, *words: str) -> None:
        command = [find_tools().ffmpeg, "-nostdin", "-v", "error", "-y", *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr

    def clip(self, name: str, *words: str, frames: int = 60, rate: str = "25", source: str = "testsrc2") -> Path:
        """``frames`` pictures of a test source, encoded with the output options ``words``."""
        path = self.folder / name
        if not path.exists():
            picture = f"{source}{':' if '=' in source else '='}size={SIZE}:rate={rate}"
            self.ffmpeg("-f", "lavfi", "-i", picture, "-frames:v", str(frames), *words, str(path))
        return path

    def h264(self, name: str, params: str = "", *words: str, frames: int = 60, rate: str = "25") -> Path:
        """An H.264 clip with x264's own parameters."""
        options = ["-c:v", "libx264", "-preset", "veryfast", "-x264-params", params or "keyint=20", *words]
        return self.clip(name, *options, frames=frames, rate=rate)

    def rich(self, name: str) -> Path:
        """Two sound tracks, the second starting late, two subtitle tracks, chapters and a title; for Matroska also a
        font and a cover."""
        path = self.folder / name
        if path.exists():
            return path
        mkv = path.suffix == ".mkv"
        titles, cues, font, cover = (self.folder / word for word in ("t.txt", "c.srt", "f.ttf", "cover.jpg"))
        titles.write_text(TITLES, encoding="utf-8")
        cues.write_text(CUES, encoding="utf-8")
        font.write_bytes(bytes(range(256)) * 8)
        self.ffmpeg("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", "1", str(cover))
        video = self.h264("rich-video.mp4", "keyint=20:bframes=2")
        sounds = ["-f", "lavfi", "-i", "sine=d=2.4:r=48000", "-itsoffset", "0.6", "-f", "lavfi", "-i", "sine=500:d=1.5"]
        words = ["-i", str(video), *sounds, "-i", str(cues), "-i", str(titles), "-map", "0", "-map", "1", "-map", "2"]
        words += ["-map", "3", "-map", "3", "-map_metadata", "4", "-map_chapters", "4", "-c:v", "copy", "-c:a:0", "aac"]
        words += ["-c:a:1", "ac3", "-c:s", "srt" if mkv else "mov_text", "-metadata:s:a:0", "language=eng"]
        words += [
            "-metadata:s:a:1",
            "language=fra",
            "-metadata:s:s:0",
            "language=deu",
            "-metadata:s:s:1",
            "language=jpn",
        ]
        words += ["-disposition:a:1", "0", "-disposition:s:1", "forced"]
        if mkv:
            words += ["-attach", str(font), "-metadata:s:t:0", "mimetype=font/ttf", "-attach", str(cover)]
            words += ["-metadata:s:t:1", "mimetype=image/jpeg", "-metadata:s:t:1", "filename=cover.jpg"]
        self.ffmpeg(*words, str(path))
        return path


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder
