"""The packets of a file as ffprobe lists them: times, flags and a digest of each one's bytes."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from ..media.ffprobe import output_lines, probe_command
from ..media.process import file_url, run, safe_input

NO_TIME = -(1 << 63)
# Half of a SHA-256: a film's 8 million packets of lossless sound then take 300 MB instead of half a gigabyte.
_DIGEST_BYTES = 16
_STALL_S = 120.0
_MOST_PLACES = 10_000


@dataclass
class Packets:
    """The packets of one stream in file order.

    Attributes:
        tick: seconds of a tick.
        times: presentation times in ticks; :data:`NO_TIME` where the file has none.
        durations: in ticks; 0 where the file says none.
        shown: 0 for packets that the container hides (an edit list).
        digests: 16 bytes for each packet's content.
    """

    tick: Fraction
    times: array[int] = field(default_factory=lambda: array("q"))
    durations: array[int] = field(default_factory=lambda: array("q"))
    shown: array[int] = field(default_factory=lambda: array("b"))
    digests: list[bytes] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.times)

    def time(self, position: int) -> Fraction | None:
        """Seconds of the packet at ``position``; None where the file does not say."""
        ticks = self.times[position]
        return None if ticks == NO_TIME else ticks * self.tick

    @property
    def timed(self) -> bool:
        """True if every packet has a time."""
        return len(self.times) > 0 and NO_TIME not in self.times

    @property
    def untimed(self) -> bool:
        """True if no packet has a time: the file keeps none."""
        return all(time == NO_TIME for time in self.times)

    def end(self) -> Fraction | None:
        """Seconds at which the last packet ends; None where no packet has a time."""
        known = [t + d for t, d in zip(self.times, self.durations, strict=True) if t != NO_TIME]
        return max(known) * self.tick if known else None

    def seconds(self, first: int, count: int) -> NDArray[np.float64]:
        """Seconds of ``count`` packets from the one at ``first`` on; NaN where the file does not say."""
        ticks = np.array(self.times[first : first + count], np.int64)
        return np.where(ticks == NO_TIME, np.nan, ticks * float(self.tick))


def read_packets(path: Path, ticks: dict[int, Fraction], name: str) -> dict[int, Packets]:
    """All packets of a file in one pass, without decoding.

    Args:
        path: the file.
        ticks: seconds of a tick by stream index.
        name: for errors.

    Raises:
        FfmpegFailed: the file cannot be read.
    """
    found = {index: Packets(tick) for index, tick in ticks.items()}
    for record in _records(path, name):
        entries: dict[str, str] = {key: value for key, _, value in (word.partition("=") for word in record.split("|"))}
        packets = found.get(_ticks(entries.get("stream_index"), -1))
        if packets is None:
            continue
        packets.times.append(_ticks(entries.get("pts"), NO_TIME))
        packets.durations.append(_ticks(entries.get("duration"), 0))
        packets.shown.append("D" not in entries.get("flags", ""))
        packets.digests.append(bytes.fromhex(entries.get("data_hash", "").partition(":")[2][: 2 * _DIGEST_BYTES]))
    return found


def digests_without_adts(path: Path, index: int, scratch: Path, name: str) -> list[bytes]:
    """Digests of a broadcast's AAC packets without their transport headers, which no other container keeps."""
    table = scratch / "adts.hash"
    options = {"format": "framehash", "hash": "sha256", "c": "copy", "copyinkf": None, "bsf:0": "aac_adtstoasc"}
    node = ffmpeg.output(safe_input(path)[str(index)], file_url(table), **options)
    run(node, subject=name, timeout_s=600 + path.stat().st_size / 2e6)
    rows = [line.split(",") for line in table.read_text("ascii", "replace").splitlines() if line[:1] not in ("#", "")]
    table.unlink()
    return [bytes.fromhex(row[5].strip()[: 2 * _DIGEST_BYTES]) for row in rows if len(row) > 5]


def find_run(whole: list[bytes], part: list[bytes]) -> list[int]:
    """The places at which ``part`` stands in ``whole``, one after the other; of very many, the first ten thousand."""
    if not part or len(part) > len(whole):
        return []
    hay, needle, places = b"".join(whole), b"".join(part), []
    start = hay.find(needle)
    while start >= 0 and len(places) < _MOST_PLACES:
        if start % _DIGEST_BYTES == 0:
            places.append(start // _DIGEST_BYTES)
        start = hay.find(needle, start + 1)
    return places


def _records(path: Path, name: str) -> Iterator[str]:
    """One text for each packet: ffprobe 5.1 breaks the line of a packet at its side data."""
    record = ""
    for line in _lines(path, name):
        if line.startswith("stream_index="):
            if record:
                yield record
            record = line
        else:
            record += line
    if record:
        yield record


def _lines(path: Path, name: str) -> Iterator[str]:
    words = ["-show_data_hash", "sha256", "-of", "compact=p=0"]
    words += ["-show_entries", "packet=stream_index,pts,duration,flags,data_hash"]
    for line in output_lines(probe_command(path, *words), subject=name, stall_s=_STALL_S):
        yield line.decode("ascii", "replace").strip()


def _ticks(text: str | None, missing: int) -> int:
    try:
        return int(text or "")
    except ValueError:
        return missing
