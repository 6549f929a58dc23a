"""Recordings as they come from discs and receivers: what no container takes as it is, is carried all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from stereo_spot_dagster.convert.finish import FinishedVideo
from stereo_spot_dagster.convert.intake import identify
from stereo_spot_dagster.convert.sources import sha256_of
from stereo_spot_dagster.convert.steps import conversion_steps
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.domain.errors import InputRefused
from stereo_spot_dagster.domain.settings import ConversionSettings
from stereo_spot_dagster.domain.video import SourceRecord
from stereo_spot_dagster.verify import Film, Order, verify

from ..e2e.clips import BAR_HEIGHT, BITS, ffmpeg_words, make_master
from ..e2e.evidence import Evidence
from ..e2e.judge import white_shares
from ..e2e.picture_subtitles import pgs_file

pytestmark = pytest.mark.slow

FRAMES, WIDTH, HEIGHT = 40, 160, 96
_SOUND = ["-f", "lavfi", "-i", "sine=d=1.6:r=48000"]
_FAST = ConversionSettings(preset="ultrafast", segment_frames=16)
# A frame of the sound, which may be cut through at a seam.
_SEAM_S = 0.05


@dataclass(frozen=True)
class Made:
    """A finished file, its record of the source, what was said, and what the source's comparison with it differs in."""

    evidence: Evidence
    source: SourceRecord
    warnings: str
    differences: list[str]


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_master(tmp_path_factory.mktemp("master") / "m.mkv", frames=FRAMES, width=WIDTH, height=HEIGHT)


def convert(clip: Path, folder: Path, settings: ConversionSettings = _FAST) -> Made:
    workspace = Workspace.local(folder / "home")
    submission = identify(clip, settings)
    *_, finished = conversion_steps(workspace, submission)
    assert isinstance(finished, FinishedVideo)
    result = Path(workspace.store.locate(finished.outputs[0].key))
    report = verify(Order(source=Film(clip), result=Film(result)), folder)
    source = workspace.source(submission.video)
    return Made(Evidence(result), source, "; ".join(finished.warnings), [found.rule for found in report.differences])


def numbers(evidence: Evidence) -> list[int]:
    """The numbers that the left eyes carry."""
    pictures, _ = evidence.gray_pictures()
    shares = white_shares(pictures[:, :, :WIDTH], {"bits": BITS, "bar_h": BAR_HEIGHT, "frame_h": HEIGHT})
    return [int(number) for number in (shares >= 0.5) @ (1 << np.arange(BITS - 1, -1, -1))]


def sound_times(evidence: Evidence) -> list[float]:
    packets = evidence.packets[evidence.of_kind("audio")[0]["index"]]
    return [float(packet.time_s - evidence.frame_times[0]) for packet in packets if packet.time_s is not None]


def joined(parts: Sequence[Path], target: Path) -> Path:
    target.write_bytes(b"".join(part.read_bytes() for part in parts))
    return target


@pytest.mark.parametrize("ending", ["ts", "vob"])
def test_a_film_whose_clock_starts_anew_goes_on_with_its_sound(master: Path, tmp_path: Path, ending: str) -> None:
    part = tmp_path / f"part.{ending}"
    video = ["-c:v", "mpeg2video", "-q:v", "2", "-bf", "2", "-g", "8", "-flags", "cgop", "-sc_threshold", "1000000000"]
    form = ["-f", "vob"] if ending == "vob" else []
    ffmpeg_words("-i", master, *_SOUND, *video, "-c:a", "ac3", *form, part)
    clip = joined([part, part], tmp_path / f"joined.{ending}")
    made = convert(clip, tmp_path)
    assert "its clock starts anew" in made.warnings
    assert made.source.straightened_from == sha256_of(clip) != made.source.sha256
    assert made.differences == []
    assert numbers(made.evidence) == [*range(FRAMES), *range(FRAMES)]
    steps = np.diff([float(time) for time in made.evidence.frame_times])
    seam = slice(FRAMES - 8, FRAMES + 8)
    assert np.delete(steps, seam) == pytest.approx(0.04, abs=0.002)
    assert steps.min() > 0
    assert steps[seam].sum() == pytest.approx(16 * 0.04, abs=2 * _SEAM_S)
    sound, second = sound_times(made.evidence), float(made.evidence.frame_times[FRAMES] - made.evidence.frame_times[0])
    assert sound[len(sound) // 2] - second == pytest.approx(sound[0], abs=_SEAM_S)


def test_plain_samples_of_a_widescreen_dvd_are_carried_in_plain_order(master: Path, tmp_path: Path) -> None:
    clip = tmp_path / "title.vob"
    video = ["-vf", "setsar=32/27", "-c:v", "mpeg2video", "-q:v", "2", "-c:a", "pcm_dvd", "-f", "vob"]
    ffmpeg_words("-i", master, *_SOUND, *video, clip)
    made = convert(clip, tmp_path)
    assert "pcm_dvd) is carried as pcm_s24le" in made.warnings
    assert made.differences == []
    assert made.evidence.video["sample_aspect_ratio"] == Evidence(clip).video["sample_aspect_ratio"]
    assert made.evidence.sample_digest(0) == Evidence(clip).sample_digest(0)


def _with_damaged_sound(master: Path, folder: Path) -> Path:
    """A broadcast of which three sound packets are cut off after their first bytes."""
    whole, clip = folder / "whole.ts", folder / "broken.ts"
    ffmpeg_words("-i", master, *_SOUND, "-c:v", "libx264", "-preset", "veryfast", "-g", "8", "-c:a", "aac", whole)
    ffmpeg_words("-i", whole, "-map", "0", "-c", "copy", "-bsf:a", "noise=amount='if(between(n,30,32),1,0)'", clip)
    return clip


def test_damaged_sound_is_carried_as_far_as_it_decodes_in_its_place(master: Path, tmp_path: Path) -> None:
    clip = _with_damaged_sound(master, tmp_path)
    made = convert(clip, tmp_path)
    assert "is damaged; what can be decoded of it is carried as FLAC" in made.warnings
    assert [track["codec_name"] for track in made.evidence.of_kind("audio")] == ["flac"]
    assert numbers(made.evidence) == list(range(FRAMES))
    source = Evidence(clip)
    assert sound_times(made.evidence)[0] == pytest.approx(sound_times(source)[0], abs=0.0011)
    assert sound_times(made.evidence)[-1] == pytest.approx(sound_times(source)[-1], abs=0.1)


def test_damaged_sound_is_refused_where_nothing_may_be_lost(master: Path, tmp_path: Path) -> None:
    strict = _FAST.model_copy(update={"strict": True})
    with pytest.raises(InputRefused, match=r"audio stream 1 .* is damaged"):
        convert(_with_damaged_sound(master, tmp_path), tmp_path, strict)


def test_blu_ray_subtitles_of_a_broadcast_are_the_same_in_matroska(master: Path, tmp_path: Path) -> None:
    pictures, clip = tmp_path / "pictures.sup", tmp_path / "disc.m2ts"
    pictures.write_bytes(pgs_file())
    words = ["-map", "0:v", "-map", "1:s", "-c:v", "libx264", "-preset", "veryfast", "-c:s", "copy"]
    ffmpeg_words("-i", master, "-i", pictures, *words, "-mpegts_m2ts_mode", "1", "-f", "mpegts", clip)
    if not Evidence(clip).of_kind("subtitle"):
        pytest.skip("this ffmpeg cannot write Blu-ray subtitles into a transport stream")
    made = convert(clip, tmp_path)
    assert made.differences == []
    assert len(made.evidence.of_kind("subtitle")) == 1


def test_a_film_that_changes_its_format_in_the_middle_keeps_every_frame(master: Path, tmp_path: Path) -> None:
    video = ["-c:v", "libx264", "-preset", "veryfast", "-g", "8", "-bf", "0"]
    halves = [tmp_path / "first.ts", tmp_path / "second.ts"]
    ffmpeg_words("-i", master, "-frames:v", "20", *video, "-pix_fmt", "yuv420p", halves[0])
    rest = "trim=start_frame=20,setpts=PTS-STARTPTS"
    ffmpeg_words("-i", master, "-vf", rest, *video, "-pix_fmt", "yuv444p", "-output_ts_offset", "0.8", halves[1])
    made = convert(joined(halves, tmp_path / "film.ts"), tmp_path)
    assert numbers(made.evidence) == list(range(FRAMES))
