"""Rules on sound: the same packets, at the same distance from the picture."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from ..media.process import Child, arguments, read_output, safe_input
from .films import Film, Stream, named
from .findings import Finding, judged, not_comparable
from .packets import digests_without_adts, find_run
from .pairing import Pair, is_lossless
from .times import FrameTimes

# A millisecond for Matroska's clock and a tenth for rounding.
STEP_TOLERANCE_S = 0.0011
_SPREAD_TOLERANCE_S = 0.0025
_MS = Fraction(1, 1000)
_BLOCK = 1 << 16
_STALL_S = 120.0
_FIRST_SAMPLE_S = 600.0


class Sound:
    """Compares the sound tracks of two files.

    Args:
        source, result: the files.
        pairs: tracks that belong together.
        wanted: times of the source's frames that were converted.
        made: times of the result's frames.
        is_part: True where only a part was converted.
        scratch: a folder for a table.
        damaged: indexes of source streams of which only what decodes is kept, as was announced.
    """

    def __init__(
        self,
        source: Film,
        result: Film,
        pairs: tuple[Pair, ...],
        wanted: FrameTimes,
        made: FrameTimes,
        *,
        is_part: bool,
        scratch: Path,
        damaged: frozenset[int] = frozenset(),
    ) -> None:
        self._source, self._result, self._is_part, self._scratch = source, result, is_part, scratch
        self._damaged = damaged
        self._wanted, self._made = wanted, made
        self._pairs = pairs
        self._places = {made["index"]: self._place(track, made) for track, made in pairs}

    def check_packets(self) -> Finding:
        """Every packet of the source, bit for bit; sound that had to become another kind, sample for sample."""
        problems, words = [], []
        for track, made in self._pairs:
            expected = f"the packets of {named(track)}"
            if track["index"] in self._damaged:
                words.append(f"{named(track)} as far as it decodes, as announced")
                continue
            problem = self._packet_problem(track, made)
            problems += [(expected, problem)] if problem else []
            words += [f"{named(track)} sample for sample as {made['codec_name']}"] if _is_converted(track, made) else []
        said = f"{len(self._pairs)} tracks bit-identical" + (f"; {', '.join(words)}" if words else "")
        return judged("audio_identical", problems, said if self._pairs else "no sound, as the source")

    def check_step(self) -> Finding:
        """The first packet follows the first frame as in the source, and no packet moved against it."""
        if not self._pairs:
            return judged("audio_in_step", [], "no sound, as the source")
        problems, largest, compared = [], 0.0, 0
        tolerance_s = max(STEP_TOLERANCE_S, 0.0 if self._wanted.written else float(self._wanted.step))
        for track, made in self._pairs:
            shifts = self._shifts(track, made)
            if not len(shifts):
                continue
            compared += 1
            largest = max(largest, abs(float(shifts[0])))
            spread_s = float(np.abs(shifts - shifts[0]).max())
            plain = str(track.get("codec_name")).startswith("pcm_")
            if abs(shifts[0]) > tolerance_s:
                words = f"it {float(shifts[0]) * 1000:+.1f} ms against the picture"
                problems.append((f"{named(track)} in step", words))
            elif spread_s > self._play_s(track) and not plain:
                words = f"packets moved by {spread_s * 1000:.1f} ms against each other"
                problems.append((f"{named(track)} in step", words))
        if not compared:
            return not_comparable("audio_in_step", "no packet of the source is found, or none has a time")
        return judged("audio_in_step", problems, f"within {largest * 1000:.2f} ms")

    def _play_s(self, track: Stream) -> float:
        """How much packets may move against each other: where the source's own clock jumps, by one of them."""
        packets = self._source.packets[track["index"]]
        lengths = np.array(packets.durations, np.float64)[:-1] * float(packets.tick)
        jumps = np.abs(np.diff(packets.seconds(0, len(packets))) - lengths)
        if not len(jumps) or np.nan_to_num(jumps).max() <= _SPREAD_TOLERANCE_S:
            return _SPREAD_TOLERANCE_S
        return _SPREAD_TOLERANCE_S + float(lengths.max())

    def _packet_problem(self, track: Stream, made: Stream) -> str | None:
        """What is wrong with the packets of ``made``, in words."""
        if _is_converted(track, made):
            return None if self._is_part else self._sample_problem(track, made, largest=1)
        if _kind(track) != _kind(made):
            return f"{made.get('codec_name')}"
        whole, part = self._digests(track), self._result.packets[made["index"]].digests
        if whole == part:
            return None
        place = self._places[made["index"]]
        if place is None:
            if not part and (self._is_part or not whole):
                return None
            plain = str(track.get("codec_name")).startswith("pcm_") and not self._is_part
            return self._sample_problem(track, made, largest=0) if plain else "other packets"
        return self._loss(track, made, place, len(whole) - len(part))

    def _loss(self, track: Stream, made: Stream, place: int, lost: int) -> str | None:
        """Packets may only be missing before the first frame; of a part, also behind the last."""
        packets = self._source.packets[track["index"]]
        first = self._wanted.seconds(0)
        begins = packets.time(place)
        if place and begins is not None and begins > first + _length(packets, place):
            return f"{place} packets less at its beginning"
        behind = lost - place
        if behind > 0:
            end = packets.time(len(packets) - behind)
            step = self._wanted.step or Fraction(1, 25)
            last = self._wanted.seconds(len(self._wanted) - 1) + step
            if not self._is_part or (end is not None and end < last - _length(packets, place)):
                return f"{behind} packets less at its end"
        return None

    def _sample_problem(self, track: Stream, made: Stream, *, largest: int) -> str | None:
        """Decode both and compare; ``largest`` is the difference of 16 bit samples that rounding explains."""
        wanted, found = _samples(self._source, track), _samples(self._result, made)
        position = 0
        for a in wanted:
            b = next(found, np.zeros(0, np.int16))
            if len(a) != len(b):
                return f"{abs(len(a) - len(b))} samples more or less after {position}"
            apart = np.abs(a.astype(np.int32) - b)
            if len(apart) and int(apart.max()) > largest:
                return f"other samples after {position}"
            position += len(a)
        return "more samples" if len(next(found, np.zeros(0, np.int16))) else None

    def _shifts(self, track: Stream, made: Stream) -> NDArray[np.float64]:
        """How much later than in the source each packet follows the first frame, in seconds."""
        place = self._places[made["index"]]
        if place is None and (_is_converted(track, made) or str(track.get("codec_name")).startswith("pcm_")):
            place = None if self._is_part else 0
        whole, part = self._source.packets[track["index"]], self._result.packets[made["index"]]
        if place is None or not len(part) or not len(whole):
            return np.zeros(0)
        if _is_converted(track, made):
            return self._shift_of_samples(track, made)
        copied = whole.digests[place] == part.digests[0] or len(whole) == len(part)
        count = min(len(part), len(whole) - place) if copied else 1
        origin, begin = float(self._wanted.seconds(0)), float(self._made.seconds(0))
        shifts = (part.seconds(0, count) - begin) - (whole.seconds(place, count) - origin)
        return shifts[~np.isnan(shifts)]

    def _shift_of_samples(self, track: Stream, made: Stream) -> NDArray[np.float64]:
        """As :meth:`_shifts`, of the first sample: packets of another codec hold other samples."""
        times = [_first_sample(film, one) for film, one in ((self._source, track), (self._result, made))]
        if None in times:
            return np.zeros(0)
        wanted, found = (float(time) for time in times if time is not None)
        return np.array([(found - float(self._made.seconds(0))) - (wanted - float(self._wanted.seconds(0)))])

    def _place(self, track: Stream, made: Stream) -> int | None:
        """Where the packets of ``made`` begin in ``track``; None where they are not in it."""
        whole, part = self._digests(track), self._result.packets[made["index"]].digests
        places = [0] if whole == part and part else find_run(whole, part)
        if len(places) < 2:
            return places[0] if places else None
        # Silence repeats packets: of several places the one nearest in time is meant.
        packets, first = self._source.packets[track["index"]], self._result.packets[made["index"]].time(0)
        expected = (first or Fraction(0)) - self._made.seconds(0) + self._wanted.seconds(0)
        return min(places, key=lambda place: abs((packets.time(place) or Fraction(0)) - expected))

    def _digests(self, track: Stream) -> list[bytes]:
        # Broadcasts put a transport header before each AAC packet and say nothing of the codec in front.
        if track.get("codec_name") == "aac" and not track.get("extradata_size"):
            return digests_without_adts(self._source.path, track["index"], self._scratch, self._source.name)
        return self._source.packets[track["index"]].digests


def _kind(track: Stream) -> str:
    """MP4 has one code for MPEG audio: readers of it take layer 2 for layer 3."""
    codec = str(track.get("codec_name"))
    return "MPEG audio" if codec in ("mp1", "mp2", "mp3") else codec


def _is_converted(track: Stream, made: Stream) -> bool:
    return made.get("codec_name") != track.get("codec_name") and is_lossless(made)


def _length(packets, place: int) -> Fraction:
    return max(packets.durations[place] * packets.tick, _MS)


def _first_sample(film: Film, stream: Stream) -> Fraction | None:
    """Seconds at which the first sample that is decoded of a track is heard."""
    source = safe_input(film.path, copyts=None)[str(stream["index"])]
    node = ffmpeg.output(source, "pipe:1", format="framecrc", **{"frames:a": 1})
    said = read_output(arguments(node, "error"), subject=film.name, timeout_s=_FIRST_SAMPLE_S).decode("ascii")
    base = re.search(r"^#tb 0: (\d+)/(\d+)", said, re.MULTILINE)
    row = re.search(r"^0, *-?\d+, *(-?\d+)", said, re.MULTILINE)
    return Fraction(int(base[1]), int(base[2])) * int(row[1]) if base and row else None


def _samples(film: Film, stream: Stream) -> Iterator[NDArray[np.int16]]:
    """The decoded samples of a track as 16 bit, block by block."""
    node = ffmpeg.output(safe_input(film.path)[str(stream["index"])], "pipe:1", format="s16le", acodec="pcm_s16le")
    buffer = bytearray(_BLOCK)
    with Child(arguments(node, "error"), subject=film.name, stdout=True, stall_s=_STALL_S) as child:
        while size := child.read_into(memoryview(buffer)):
            yield np.frombuffer(bytes(buffer[: size - size % 2]), "<i2")
