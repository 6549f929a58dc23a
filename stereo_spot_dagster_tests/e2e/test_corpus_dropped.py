"""Every awkward file of the corpus once through the drop folder: its sensors, its runs, and what it tells people."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from .corpus import lay_out, records
from .dropping import DropFolder, Outcome
from .judge import judge_refusal, judge_result
from .stack import Home, running_stack, wait_for

RECORDS = records()
# In one stack with its daemon: streams, times, geometry, colours and names that are odd in different ways.
TELLING = ("vfr_phone_mp4", "rot90_phone_mp4", "hevc10_hdr10_mp4", "multi_audio_mkv", "name_newline")
FAST = "preset: ultrafast\nsegment_frames: 48\n"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not RECORDS, reason="the corpus of awkward files is not here")]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["name"])
def test_a_dropped_file_is_converted_rightly_or_refused_clearly(
    record: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = DropFolder(tmp_path / "home", monkeypatch)
    case = lay_out(record | {"companions": {}}, drop.folder)
    case.path.with_name(f"{case.path.name}.yaml").write_text(FAST)
    outcome = drop.carry_on()
    assert case.path.exists()
    if outcome.failure:
        assert case.verdict in ("refuse", "either"), outcome.failure
        assert judge_refusal(case, outcome.failure) == []
        assert_refused_cleanly(outcome, drop)
    else:
        assert case.verdict != "refuse"
        (result,) = drop.done.iterdir()
        assert judge_result(case, result, outcome.metadata.replace("none", "")) == []
    if case.verdict == "warn":
        assert_said_everywhere(outcome)


def assert_said_everywhere(outcome: Outcome) -> None:
    """Each warning stands in the log, in the status and in the metadata."""
    warnings = [line.removeprefix("- ") for line in outcome.metadata.splitlines()]
    assert warnings != ["none"]
    for warning in warnings:
        assert any(warning in line for line in outcome.log)
        assert warning in outcome.status


def assert_refused_cleanly(outcome: Outcome, drop: DropFolder) -> None:
    """At the first step, at once, with its reason in the status, and nothing left but the record."""
    assert outcome.failure in outcome.status
    kept = {path.name for path in (drop.graph.home / "videos" / outcome.video).iterdir()}
    assert not drop.done.exists()
    assert outcome.materialized == set()
    assert outcome.refused_after_s < 5
    assert kept == {"submission.json", "refusal.json"}


@pytest.mark.parametrize("record", records("refuse"), ids=lambda record: record["name"])
def test_the_command_refuses_with_one_sentence_and_exit_code_2(record: dict[str, Any], tmp_path: Path) -> None:
    case = lay_out(record, tmp_path / "in")
    done = Home.make(tmp_path / "home").run("stereo-spot", "convert", str(case.path), "-o", str(tmp_path / "out"))
    assert done.returncode == 2, done.stderr
    assert judge_refusal(case, done.stderr) == []
    assert re.match(rf"{re.escape(case.path.name)}: .+\. .+\.\s*$", done.stderr, re.DOTALL), "file, cause and remedy"
    assert not (tmp_path / "out").exists()


@pytest.mark.timeout(900)
def test_the_daemon_converts_telling_files_side_by_side(tmp_path: Path) -> None:
    home = Home.make(tmp_path / "home")
    cases = [lay_out(record, home.drop / "fast") for record in RECORDS if record["name"] in TELLING]
    assert len(cases) == len(TELLING)
    (home.path / "presets").mkdir()
    (home.path / "presets" / "fast.yaml").write_text(FAST)
    with running_stack(home):
        wait_for(lambda: home.done.exists() and len(list(home.done.iterdir())) >= len(cases), 840, "all results")
    problems = {case.name: judge_result(case, _result_of(case.path, home.done), "") for case in cases}
    assert {name: found for name, found in problems.items() if found} == {}


def _result_of(path: Path, done: Path) -> Path:
    from stereo_spot_dagster.domain.video import output_stem

    (found,) = [made for made in done.iterdir() if made.name.startswith(output_stem(path.name) + "_LRF_Full_SBS")]
    return found
