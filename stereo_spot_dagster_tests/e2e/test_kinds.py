"""The most telling kinds of awkward files, made here, converted, and judged as those of the corpus are."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from stereo_spot_dagster.media.tools import capabilities, find_tools

from .conversion import Ending, convert
from .evidence import Evidence
from .judge import Case, judge_input, judge_refusal, judge_result
from .kinds import KINDS, Bench, Kind
from .measure import measured
from .smoke import cases

pytestmark = pytest.mark.slow

SMOKE = ["variable frame rate", "turned by a quarter", "interlaced", "HDR10", "hidden VP8 frames", "AV1"]
SMOKE += ["several sound tracks", "text and picture subtitles", "text subtitles in MP4", "chapters", "cover and font"]
SMOKE += ["edit list that hides the start", "clock that starts late", "4:2:2 in ten bits with a timecode track"]
SMOKE += ["name of another container", "fragments", "two films", "cut off"]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("kinds"))


@pytest.mark.parametrize("kind", cases({kind.name: kind for kind in KINDS}, SMOKE))
def test_a_file_of_each_kind_is_converted_rightly_or_refused_clearly(kind: Kind, bench: Bench, tmp_path: Path) -> None:
    if kind.encoder not in capabilities(find_tools().ffmpeg).encoders:
        lack = f"this ffmpeg cannot make one: it has no encoder {kind.encoder}"
        # CI has chosen its ffmpeg: there nothing is left out in silence.
        pytest.fail(lack) if os.environ.get("CI") else pytest.skip(lack)
    case = _lay_out(kind, bench, tmp_path / "in")
    out = tmp_path / "out"
    out.mkdir()
    ending = convert(case, tmp_path / "home", out)
    problems = judge_input(case) + _judge_ending(kind, case, ending)
    assert problems == []


def _lay_out(kind: Kind, bench: Bench, folder: Path) -> Case:
    folder.mkdir()
    path = folder / kind.file_name
    shutil.copyfile(kind.make(bench), path)
    case = Case(measured(path, kind.shows, kind.verdict, kind.mention), path)
    if kind.verdict != "refuse":
        pts = case.video["pts"]
        assert {name: case.video.get(name) for name in kind.facts} == kind.facts
        assert pts is None or len(pts) == len(kind.shows), f"it was made with {len(pts)} frames"
    return case


def _judge_ending(kind: Kind, case: Case, ending: Ending) -> list[str]:
    if ending.refusal is not None:
        said = str(ending.refusal)
        return judge_refusal(case, said) if kind.verdict == "refuse" else [f"refused: {said}"]
    if kind.verdict == "refuse":
        return ["accepted"]
    problems = judge_result(case, ending.paths[0], ending.warnings)
    if not re.search(kind.mention, ending.warnings):
        problems.append(f"other warnings: {ending.warnings}")
    return problems


def test_the_judge_tells_a_result_that_lacks_a_frame(bench: Bench, tmp_path: Path) -> None:
    """Of a right result with one frame less, so that the tests above can fail."""
    kind = next(kind for kind in KINDS if kind.name == "4:4:4")
    case = _lay_out(kind, bench, tmp_path / "in")
    ending = convert(case, tmp_path / "home", tmp_path / "out")
    assert judge_result(case, ending.paths[0], "") == []
    shorter = Case(measured(case.path, [*kind.shows, 24], "accept", ""), case.path)
    assert judge_result(shorter, ending.paths[0], "") != []
    other = Case(measured(case.path, [*kind.shows[:-1], 3], "accept", ""), case.path)
    assert any("other frames" in problem for problem in judge_result(other, ending.paths[0], ""))
    assert len(Evidence(ending.paths[0]).frame_times) == len(kind.shows)
