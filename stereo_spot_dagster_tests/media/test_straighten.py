"""Recordings whose clock starts anew are brought onto one clock, pictures and sound alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stereo_spot_dagster.media.probe import probe
from stereo_spot_dagster.media.straighten import clock_restarts, straightened

from ..e2e.evidence import Evidence
from .conftest import Studio

# A broadcast's sound is a frame long; what was cut through at the seam may move it by one.
_SEAM_S = 0.1


def recording(studio: Studio, name: str, *offsets_s: float) -> Path:
    """Recordings of 2.4 s, each with a clock of its own, one after the other in one file."""
    path, parts = studio.folder / name, []
    for number, offset_s in enumerate(offsets_s):
        part = studio.folder / f"{number}-{name}"
        video = ["-f", "lavfi", "-i", f"testsrc2=size=96x64:rate=25:d=2.4,hue=h={90 * number}"]
        words = [*video, "-f", "lavfi", "-i", "sine=d=2.4:r=48000", "-c:v", "mpeg2video", "-q:v", "3", "-bf", "2"]
        words += ["-c:a", "mp2", "-output_ts_offset", str(offset_s)]
        studio.ffmpeg(*words, *(["-f", "vob"] if path.suffix == ".vob" else []), str(part))
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))
    return path


@pytest.mark.parametrize(
    ("name", "offsets_s"),
    [("reset.ts", (0.0, 0.0)), ("reset.vob", (0.0, 0.0)), ("tape.ts", (5000.0, 20.0, 90_000.0))],
)
def test_after_a_new_start_of_the_clock_the_film_goes_on(
    studio: Studio, scratch: Path, name: str, offsets_s: tuple[float, ...]
) -> None:
    source = recording(studio, name, *offsets_s)
    report = probe(source)
    assert clock_restarts(source, report) == len(offsets_s) - 1
    made = straightened(source, report, scratch / "straight")
    assert made is not None
    before, after = Evidence(source), Evidence(made)
    for kind in ("video", "audio"):
        packets = [e.packets[e.of_kind(kind)[0]["index"]] for e in (before, after)]
        assert [packet.sha256 for packet in packets[1]] == [packet.sha256 for packet in packets[0]]
    pictures = [time for time in after.decoded_times() if time is not None]
    assert len(pictures) == 60 * len(offsets_s)
    steps = np.diff([float(time) for time in pictures])
    assert steps.min() > 0.01
    assert steps.max() < 0.04 + _SEAM_S
    sound = [float(p.time_s) for p in after.packets[after.of_kind("audio")[0]["index"]] if p.time_s is not None]
    per_part = len(sound) // len(offsets_s)
    for number in range(len(offsets_s)):
        begins = sound[number * per_part] - float(pictures[60 * number])
        assert begins == pytest.approx(sound[0] - float(pictures[0]), abs=_SEAM_S)


@pytest.mark.parametrize("offsets_s", [(0.0,), (0.0, 60.0)], ids=["one", "a gap of a minute"])
def test_a_clock_that_runs_through_is_left_alone(studio: Studio, scratch: Path, offsets_s: tuple[float, ...]) -> None:
    source = recording(studio, f"through-{len(offsets_s)}.ts", *offsets_s)
    assert straightened(source, probe(source), scratch / "straight") is None
    assert list(scratch.iterdir()) == []


def test_other_containers_are_not_looked_into(studio: Studio, scratch: Path) -> None:
    clip = studio.h264("plain.mp4")
    assert clock_restarts(clip, probe(clip)) == 0
