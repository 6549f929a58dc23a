"""``--start`` and ``--end`` are exact to the frame, by its timestamp, and nothing else changes times or size."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from stereo_spot_dagster.convert.intake import identify
from stereo_spot_dagster.convert.steps import conversion_steps
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.domain.settings import ConversionSettings, parse_settings
from stereo_spot_dagster.domain.video import Driver

from ..e2e.clips import BAR_HEIGHT, BITS, ffmpeg_words, make_master
from ..e2e.evidence import Evidence
from ..e2e.judge import white_shares

FRAMES, WIDTH, HEIGHT = 60, 160, 96
_OFFSET_TOLERANCE = Fraction(11, 10_000)
_UNEVEN = "setpts='(N*40+mod(N*N,23)+gte(N,30)*400)/1000/TB'"
_X264 = ["-c:v", "libx264", "-preset", "veryfast", "-fps_mode", "passthrough"]
_CLOSED = [*_X264, "-x264-params", "keyint=12:bframes=3:scenecut=0"]
_OPEN = [*_X264, "-x264-params", "keyint=12:bframes=3:open-gop=1:scenecut=0"]


def _uneven_mp4(master: Path, target: Path) -> None:
    _encode(master, target, ["-vf", _UNEVEN, "-enc_time_base:v", "1:90000", *_CLOSED])


def _uneven_mkv(master: Path, target: Path) -> None:
    _encode(master, target, ["-vf", _UNEVEN, "-enc_time_base:v", "1:90000", *_OPEN])


def _ntsc(master: Path, target: Path) -> None:
    _encode(master, target, ["-vf", "setpts=N*1001/30000/TB", "-enc_time_base:v", "1:30000", *_OPEN])


def _broadcast(master: Path, target: Path) -> None:
    _encode(master, target, [*_OPEN, "-muxdelay", "0.2"], sound="ac3")


def _below_zero(master: Path, target: Path) -> None:
    """Its first pictures lie before zero, as after an edit that kept the lead-in."""
    _encode(master, target, [*_CLOSED, "-output_ts_offset", "-0.52", "-avoid_negative_ts", "disabled"])


def _hidden_start(master: Path, target: Path) -> None:
    """An edit list hides the pictures before the cut, which lies between two key frames."""
    whole = target.with_name("whole.mp4")
    _encode(master, whole, _CLOSED)
    ffmpeg_words("-ss", "0.3", "-i", whole, "-map", "0", "-c", "copy", target)


def _encode(master: Path, target: Path, words: list[str], sound: str = "aac") -> None:
    noise = ["-f", "lavfi", "-i", "anoisesrc=d=3.4:r=48000:a=0.3:seed=7"]
    ffmpeg_words("-i", master, *noise, "-map", "0:v", "-map", "1:a", *words, "-c:a", sound, target)


SOURCES: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "uneven-mp4": ("mp4", _uneven_mp4),
    "uneven-open-gop-mkv": ("mkv", _uneven_mkv),
    "ntsc-open-gop": ("mp4", _ntsc),
    "broadcast": ("ts", _broadcast),
    "below-zero": ("mp4", _below_zero),
    "hidden-start": ("mp4", _hidden_start),
}


@pytest.fixture(scope="module", params=list(SOURCES))
def source(request, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    folder = tmp_path_factory.mktemp("parts")
    master = make_master(folder / "master.mkv", frames=FRAMES, width=WIDTH, height=HEIGHT)
    ending, make = SOURCES[request.param]
    clip = folder / f"{request.param}.{ending}"
    make(master, clip)
    return Evidence(clip)


def convert(clip: Path, folder: Path, **part: float) -> Evidence:
    settings = {"preset": "ultrafast", "crf": 16, "segment_frames": 9} | part
    workspace = Workspace.local(folder)
    submission = identify(clip, parse_settings(settings, subject="test"), driver=Driver.INLINE)
    list(conversion_steps(workspace, submission))
    final = workspace.final(submission.video)
    assert final
    return Evidence(Path(workspace.store.locate(final.outputs[0].key)))


def numbers(evidence: Evidence, width: int = WIDTH) -> list[int]:
    """The number that each picture (its left ``width`` columns) carries."""
    pictures, _ = evidence.gray_pictures()
    shares = white_shares(pictures[:, :, :width], {"bits": BITS, "bar_h": BAR_HEIGHT, "frame_h": HEIGHT})
    return [int(number) for number in (shares >= 0.5) @ (1 << np.arange(BITS - 1, -1, -1))]


def sound(evidence: Evidence, since: Fraction) -> list[tuple[Fraction, str]]:
    """(seconds after ``since``, hash) of each sound packet."""
    packets = evidence.packets[evidence.of_kind("audio")[0]["index"]]
    return [(packet.time_s - since, packet.sha256) for packet in packets if packet.time_s is not None]


@pytest.mark.slow
@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param((7, 19, 0.0), marks=pytest.mark.other_ffmpeg),
        (13, 44, 0.004),
        (31, None, -0.004),
        (None, 25, 0.0),
        (20, 21, 0.0),
    ],
    ids=["on-frames", "after-frames", "from-before-a-frame", "to-a-frame", "one-frame"],
)
def test_a_part_is_the_frames_whose_times_lie_in_it_with_their_sound(
    source: Evidence, tmp_path: Path, bounds: tuple[int | None, int | None, float]
) -> None:
    first, end, beside = bounds
    shown = numbers(source)
    times = [time - source.frame_times[0] for time in source.frame_times]
    assert len(shown) == len(times) > 45
    part = {name: float(times[at]) + beside for name, at in (("start_s", first), ("end_s", end)) if at is not None}
    start_s, end_s = part.get("start_s", 0), part.get("end_s", 1e9)
    half_tick = 6e-6  # times are given in microseconds at best
    wanted = [n for n, time in enumerate(times) if start_s - half_tick <= time < end_s - half_tick]
    made = convert(source.path, tmp_path, **part)

    assert numbers(made) == [shown[n] for n in wanted]
    tolerance = Fraction(1, 1000) if made.path.suffix == ".mkv" else Fraction(1, 90_000)
    since_first = [time - made.frame_times[0] for time in made.frame_times]
    assert len(since_first) == len(wanted)
    for time, n in zip(since_first, wanted, strict=True):
        assert abs(time - (times[n] - times[wanted[0]])) <= tolerance

    before = {digest: time for time, digest in sound(source, source.frame_times[0] + times[wanted[0]])}
    after = sound(made, made.frame_times[0])
    assert all(abs(time - before[digest]) <= _OFFSET_TOLERANCE for time, digest in after)
    length = times[wanted[-1]] - times[wanted[0]]
    assert after[0][0] < Fraction(1, 20)
    assert after[-1][0] > length - Fraction(1, 20)


@pytest.mark.slow
def test_a_whole_conversion_keeps_every_frame_its_time_and_its_size(source: Evidence, tmp_path: Path) -> None:
    made = convert(source.path, tmp_path)
    assert numbers(made) == numbers(source)
    assert (made.video["width"], made.video["height"]) == (2 * WIDTH, HEIGHT)
    tolerance = Fraction(1, 1000) if made.path.suffix == ".mkv" else Fraction(1, 90_000)
    before, after = ([time - e.frame_times[0] for time in e.frame_times] for e in (source, made))
    assert all(abs(a - b) <= tolerance for a, b in zip(after, before, strict=True))


def test_there_is_no_setting_that_changes_rate_or_size() -> None:
    changing = {"fps", "rate", "height", "width", "scale", "size", "resolution"}
    assert not [name for name in ConversionSettings.model_fields if changing & set(name.split("_"))]
