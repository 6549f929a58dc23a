"""What ffprobe and ffmpeg say about a file, read without any of the code under test but the place of the binaries."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stereo_spot_dagster.media.tools import find_tools

_TIMEOUT_S = 120


@dataclass(frozen=True)
class Packet:
    """One packet: exact time in seconds (None where the file has none), its bytes' SHA-256, and if it is hidden."""

    time_s: Fraction | None
    sha256: str
    hidden: bool
    duration_s: Fraction


@dataclass(frozen=True)
class Cue:
    """A text subtitle: start and end in seconds, and its text."""

    start_s: float
    end_s: float
    text: str


class Evidence:
    """A media file as the tools describe it; each question is asked once.

    Args:
        path: the file.
        video_index: the video stream of interest; the first that is not a cover by default.
    """

    def __init__(self, path: Path, video_index: int | None = None) -> None:
        self.path = path
        self._video_index = video_index

    @cached_property
    def document(self) -> dict[str, Any]:
        return json.loads(
            self._ffprobe("-show_format", "-show_streams", "-show_chapters", "-show_programs", "-of", "json")
        )

    @property
    def streams(self) -> list[dict[str, Any]]:
        return self.document["streams"]

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [stream for stream in self.streams if stream.get("codec_type") == kind and not is_cover(stream)]

    @property
    def covers(self) -> list[dict[str, Any]]:
        return [stream for stream in self.streams if is_cover(stream)]

    @property
    def video(self) -> dict[str, Any]:
        if self._video_index is not None:
            return next(stream for stream in self.streams if stream["index"] == self._video_index)
        return self.of_kind("video")[0]

    @cached_property
    def packets(self) -> dict[int, list[Packet]]:
        """The packets of each stream by its index, in file order."""
        entries = "packet=stream_index,pts,duration,data_hash,flags"
        found = json.loads(
            self._ffprobe("-show_packets", "-show_data_hash", "sha256", "-show_entries", entries, "-of", "json")
        )
        ticks = {stream["index"]: Fraction(stream["time_base"]) for stream in self.streams}
        lists: dict[int, list[Packet]] = {index: [] for index in ticks}
        for packet in found["packets"]:
            tick = ticks[packet["stream_index"]]
            time = packet["pts"] * tick if "pts" in packet else None
            digest = packet.get("data_hash", "").partition(":")[2]
            hidden, duration = "D" in packet["flags"], packet.get("duration", 0) * tick
            lists[packet["stream_index"]].append(Packet(time, digest, hidden, duration))
        return lists

    @property
    def frame_times(self) -> list[Fraction]:
        """Times of the video packets that are shown, in order of presentation."""
        shown = self.packets[self.video["index"]]
        return sorted(packet.time_s for packet in shown if packet.time_s is not None and not packet.hidden)

    def decoded_times(self) -> list[Fraction | None]:
        """Time in seconds of each picture that ffmpeg decodes, in the order in which it shows them."""
        words = ("-map", f"0:{self.video['index']}", "-fps_mode", "passthrough", "-f", "framecrc", "-enc_time_base:v")
        listed = self._ffmpeg(*words, self.video["time_base"].replace("/", ":"), "-", before=("-copyts",))
        lines = listed.stdout.decode("ascii", "replace").splitlines()
        found = next((line for line in lines if line.startswith("#tb 0:")), "#tb 0: 1/90000")
        tick = Fraction(found.partition(": ")[2])
        pts = [int(line.split(",")[2]) for line in lines if line and not line.startswith("#")]
        return [value * tick if value > -(1 << 62) else None for value in pts]

    @cached_property
    def first_frame(self) -> dict[str, Any]:
        """ffprobe's description of the first picture, with its side data."""
        words = ["-select_streams", str(self.video["index"]), "-read_intervals", "%+#1", "-show_frames", "-of", "json"]
        return next(iter(json.loads(self._ffprobe(*words)).get("frames", [])), {})

    def side_data(self, kind: str) -> dict[str, Any] | None:
        """Side data of that kind of the video stream or of its first picture."""
        entries = self.video.get("side_data_list", []) + self.first_frame.get("side_data_list", [])
        return next((entry for entry in entries if entry.get("side_data_type") == kind), None)

    def gray_pictures(self) -> tuple[NDArray[np.uint8], str]:
        """(``[T, H, W]`` luma of all pictures as shown, what the decoder complained about)."""
        shown = self._ffmpeg("-map", f"0:{self.video['index']}", "-fps_mode", "passthrough", "-pix_fmt", "gray",
                             "-f", "yuv4mpegpipe", "-")  # fmt: skip
        head, _, data = shown.stdout.partition(b"\n")
        size = {word[:1]: int(word[1:]) for word in head.split()[1:] if word[:1] in (b"W", b"H")}
        if not size:
            return np.zeros((0, 1, 1), np.uint8), shown.stderr.decode("utf-8", "replace")
        width, height, mark = size[b"W"], size[b"H"], len(b"FRAME\n")
        count = len(data) // (width * height + mark)
        rows = np.frombuffer(data, np.uint8, count * (width * height + mark)).reshape(count, -1)
        return rows[:, mark:].reshape(count, height, width), shown.stderr.decode("utf-8", "replace")

    def rgb_grid(self, width: int, height: int) -> NDArray[np.uint8]:
        """``[96]`` mean RGB of an 8 x 4 grid over the top left ``width`` x ``height`` of the first picture."""
        chain = f"crop={width}:{height}:0:0:exact=1,format=rgb24,scale=8:4:flags=area"
        done = self._ffmpeg("-map", f"0:{self.video['index']}", "-frames:v", "1", "-vf", chain, "-f", "rawvideo", "-")
        return np.frombuffer(done.stdout, np.uint8)

    def cues(self, position: int) -> list[Cue]:
        """The text cues of the subtitle track at ``position``, in the file's own clock."""
        done = self._ffmpeg("-map", f"0:s:{position}", "-f", "srt", "-", before=("-copyts",))
        pattern = r"(\d+):(\d+):([\d,]+) --> (\d+):(\d+):([\d,]+)\n(.*?)(?=\n\n\d+\n|\s*\Z)"
        found = re.findall(pattern, done.stdout.decode("utf-8", "replace"), flags=re.DOTALL)
        return [Cue(_clock_s(cue[:3]), _clock_s(cue[3:6]), re.sub(r"<[^>]+>", "", cue[6]).strip()) for cue in found]

    def sample_digest(self, position: int) -> str:
        """SHA-256 of the decoded samples of the audio track at ``position``."""
        done = self._ffmpeg("-map", f"0:a:{position}", "-f", "s32le", "-c:a", "pcm_s32le", "-")
        return hashlib.sha256(done.stdout).hexdigest()

    def first_sample_time(self, position: int) -> Fraction:
        """Seconds at which the first sample that is decoded of the audio track at ``position`` is heard."""
        words = ("-map", f"0:a:{position}", "-frames:a", "1", "-f", "framecrc", "-")
        listed = self._ffmpeg(*words, before=("-copyts",)).stdout.decode("ascii", "replace").splitlines()
        tick = next(Fraction(line.partition(": ")[2]) for line in listed if line.startswith("#tb 0:"))
        return int(listed[-1].split(",")[2]) * tick

    def _ffprobe(self, *words: str) -> str:
        command = [find_tools().ffprobe, "-v", "error", *words, "-i", f"file:{self.path.absolute()}"]
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=True)
        return done.stdout.decode("utf-8", "replace")

    def _ffmpeg(self, *words: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[bytes]:
        # In one thread a decoder makes the same of damaged data each time.
        before = ("-threads", "1", *before)
        command = [find_tools().ffmpeg, "-nostdin", "-v", "error", *before, "-i", f"file:{self.path.absolute()}"]
        return subprocess.run([*command, *words], capture_output=True, timeout=_TIMEOUT_S, check=False)


def is_cover(stream: dict[str, Any]) -> bool:
    return bool(stream.get("disposition", {}).get("attached_pic"))


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _clock_s(parts: tuple[str, ...]) -> float:
    hours, minutes, seconds = parts
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))
