"""Comparing whole files: every layout, parts, samples, announced losses, and what is refused."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stereo_spot_dagster.convert.finish import FinishedVideo, deliver
from stereo_spot_dagster.convert.intake import identify
from stereo_spot_dagster.convert.steps import conversion_steps
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.domain.errors import InputRefused
from stereo_spot_dagster.domain.layout import Layout
from stereo_spot_dagster.domain.settings import Container, ConversionSettings
from stereo_spot_dagster.media.mkv_marks import PLACEHOLDER, mark_anaglyph
from stereo_spot_dagster.verify import Announced, Verdict
from stereo_spot_dagster.verify.left_eye import spread

from .conftest import Gallery
from .films import broken_rules, compare, ffmpeg, make_film, make_result, packed, remux


def convert(film: Path, folder: Path, **settings) -> list[Path]:
    """The finished files of a real conversion."""
    workspace = Workspace.local(folder / "home")
    submission = identify(film, ConversionSettings(preset="ultrafast", crf=30, segment_frames=20, **settings))
    finished = list(conversion_steps(workspace, submission))[-1]
    assert isinstance(finished, FinishedVideo)
    return deliver(workspace, submission.video, finished.outputs, folder)


@pytest.mark.slow
@pytest.mark.parametrize("container", [Container.MP4, pytest.param(Container.MKV, marks=pytest.mark.other_ffmpeg)])
def test_results_in_every_layout_are_verified_by_their_names(tmp_path: Path, container: Container) -> None:
    film = make_film(tmp_path / f"film.{container.value}", frames=30)
    for result in convert(film, tmp_path, layouts=tuple(Layout), container=container):
        report = compare(film, result, tmp_path, layout=None)
        assert report.differences == (), result.name
        left_eye = next(finding for finding in report.findings if finding.rule == "left_eye")
        without = "redcyan" in result.name or "_right" in result.name
        assert left_eye.verdict is (Verdict.NOT_COMPARABLE if without else Verdict.SAME), result.name


@pytest.mark.slow
@pytest.mark.other_ffmpeg
def test_a_part_is_compared_with_the_same_part_of_the_source(gallery: Gallery, tmp_path: Path) -> None:
    film = gallery.films["mkv"]
    (result,) = convert(film, tmp_path, start_s=0.5, end_s=1.3)
    assert compare(film, result, tmp_path, start_s=0.5, end_s=1.3).differences == ()
    assert "left_eye" in broken_rules(compare(film, result, tmp_path, start_s=0.54, end_s=1.34))
    assert "final_frame_count" in broken_rules(compare(film, result, tmp_path))


@pytest.mark.slow
def test_a_sample_of_a_long_film_is_reached_by_seeking_and_finds_what_is_broken_there(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", frames=900)
    good = make_result(film, tmp_path / "good.mp4")
    report = compare(film, good, tmp_path, sample=32)
    assert report.differences == ()
    looked = next(finding for finding in report.findings if finding.rule == "left_eye")
    assert looked.sentence.startswith("32 frames")
    assert looked.sentence.endswith("(a sample)")
    late = make_result(film, tmp_path / "late.mp4", *packed(left="tpad=start=1:start_mode=clone"))
    assert broken_rules(compare(film, late, tmp_path, sample=32)) == ["left_eye"]
    short = remux(good, tmp_path / "short.mp4", "-bsf:v", "noise=drop=eq(n\\,450)", "-movflags", "+faststart")
    assert "final_frame_count" in broken_rules(compare(film, short, tmp_path, sample=32))


def test_a_sample_has_the_first_and_the_last_frames_and_no_shared_neighbours() -> None:
    assert spread(100, None) == [(0, 100)]
    assert spread(100, 60) == [(0, 100)]
    spans = spread(1000, 32)
    assert spans[0] == (0, 8)
    assert spans[-1] == (992, 1000)
    assert sum(end - start for start, end in spans) == 32
    assert all(after - end >= 2 for (_, end), (after, _) in itertools.pairwise(spans))
    assert spread(100, 3) == [(0, 3)]


def test_an_announced_loss_is_no_difference(gallery: Gallery, tmp_path: Path) -> None:
    film, result = gallery.films["mkv"], tmp_path / "result.mkv"
    remux(gallery.good["mkv"], result, "-map", "-0:s", "-map", "-0:t")
    assert broken_rules(compare(film, result, tmp_path)) == ["streams_carried"]
    report = compare(film, result, tmp_path, announced=Announced(frozenset([2, 3])))
    assert report.differences == ()
    streams = next(finding for finding in report.findings if finding.rule == "streams_carried")
    assert "left out as announced: subtitle stream 2 (subrip, deu), attachment stream 3" in streams.sentence


@pytest.mark.other_ffmpeg
def test_a_layout_is_told_by_the_marks_where_the_name_tells_none(gallery: Gallery, tmp_path: Path) -> None:
    assert compare(gallery.films["mkv"], gallery.good["mkv"], tmp_path, layout=None).differences == ()
    renamed = tmp_path / "film_TB.mkv"
    renamed.symlink_to(gallery.good["mkv"])
    assert "signalling_3d" in broken_rules(compare(gallery.films["mkv"], renamed, tmp_path, layout=None))


@pytest.mark.other_ffmpeg
def test_an_anaglyph_in_matroska_has_its_mark(gallery: Gallery, tmp_path: Path) -> None:
    film, result = gallery.films["mkv"], tmp_path / "film_redcyan_gray.mkv"
    remux(film, result, "-metadata:s:v:0", f"stereo_mode={PLACEHOLDER}")
    assert broken_rules(compare(film, result, tmp_path, layout=None)) == ["signalling_3d"]
    mark_anaglyph(result)
    assert compare(film, result, tmp_path, layout=None).differences == ()


def test_what_is_no_result_is_refused(gallery: Gallery, tmp_path: Path) -> None:
    film, text = gallery.films["mkv"], tmp_path / "text_LR.mp4"
    text.write_text("#EXTM3U\nfilm.mkv\n")
    with pytest.raises(InputRefused, match="does not look like a result"):
        compare(film, film, tmp_path, layout=None)
    with pytest.raises(InputRefused, match=r"text_LR\.mp4: it cannot be read as a video"):
        compare(film, text, tmp_path)
    with pytest.raises(InputRefused, match="there is no such file"):
        compare(tmp_path / "missing.mp4", film, tmp_path)
    with pytest.raises(InputRefused, match="no frame lies between"):
        compare(film, gallery.good["mkv"], tmp_path, start_s=100.0)


def run(home: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stereo_spot_dagster.cli", "verify", *map(str, words)]
    environment = os.environ | {"STEREO_SPOT_HOME": str(home), "COLUMNS": "160"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
def test_the_command_prints_a_table_and_its_exit_code_tells_differences(gallery: Gallery, tmp_path: Path) -> None:
    film, good = gallery.films["mkv"], gallery.good["mkv"]
    done = run(tmp_path, film, good)
    assert done.returncode == 0, done.stderr
    assert "final frame count" in done.stdout
    assert "50 frames" in done.stdout
    assert "No difference." in done.stderr
    broken = tmp_path / "broken.mkv"
    ffmpeg("-i", good, "-map", "0", "-c", "copy", "-map_chapters", "-1", broken)
    done = run(tmp_path, film, broken, "--sample", "8")
    assert done.returncode == 1
    assert "2 chapters" in done.stdout
    assert "1 of 21 rules found a difference" in done.stderr
    done = run(tmp_path, film, tmp_path / "missing.mkv", "--layout", "full-sbs")
    assert done.returncode == 2
    assert done.stderr.strip() == "missing.mkv: there is no such file. Check the path."
    assert not (tmp_path / "dagster").exists(), "nothing is left behind"
