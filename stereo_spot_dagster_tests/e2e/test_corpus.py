"""Every awkward file of the corpus, from file to finished file, judged against its measured truth."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from .conversion import convert
from .corpus import lay_out, records
from .judge import judge_input, judge_refusal, judge_result
from .smoke import cases

RECORDS = {record["name"]: record for record in records()}
SMOKE = ["vfr_phone_mp4", "ts_pts_wrap", "mp4_editlist_trim", "opus_preskip_webm", "multi_audio_offsets_mp4"]
SMOKE += ["open_gop_h264_mkv", "midstream_size_ts", "hevc10_hdr10_mp4", "subs_dvd_mkv", "cover_art_mp4"]
SMOKE += ["metadata_phone_mov", "ts_two_programs", "corrupt_middle_mp4", "bomb_16k_png_mkv"]
SMOKE += ["hls_playlist_renamed_mp4"]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not RECORDS, reason="the corpus of awkward files is not here")]


@pytest.mark.parametrize("record", cases(RECORDS, SMOKE))
def test_an_awkward_file_is_converted_rightly_or_refused_clearly(record: dict[str, Any], tmp_path: Path) -> None:
    case, out = lay_out(record, tmp_path / "in"), tmp_path / "out"
    out.mkdir()
    # Servers that other tests of this process use.
    others = _children()
    ending = convert(case, tmp_path / "home", out)
    problems = judge_input(case)
    if ending.refusal is not None:
        assert case.verdict in ("refuse", "either"), str(ending.refusal)
        problems += judge_refusal(case, str(ending.refusal))
        problems += [f"left in the output folder: {path.name}" for path in out.iterdir()]
    else:
        assert case.verdict != "refuse", f"accepted; it should have been refused as {case.record['error']}"
        problems += judge_result(case, ending.paths[0], ending.warnings)
    assert problems == []
    assert _children() <= others


def _children() -> set[str]:
    """Child processes of this one that still run, where the system tells."""
    tasks = Path(f"/proc/{os.getpid()}/task")
    lists = [task / "children" for task in tasks.iterdir()] if tasks.exists() else []
    return {pid for found in lists if found.exists() for pid in found.read_text().split()}
