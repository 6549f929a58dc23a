"""Every awkward file of the corpus, from file to finished file, judged against its measured truth."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stereo_spot_dagster.convert.finish import FinishedVideo, deliver
from stereo_spot_dagster.convert.intake import identify
from stereo_spot_dagster.convert.steps import conversion_steps
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.domain.errors import InputRefused
from stereo_spot_dagster.domain.settings import ConversionSettings

from .judge import Case, judge_input, judge_refusal, judge_result

CORPUS = Path(os.environ.get("STEREO_SPOT_CASES") or Path(__file__).resolve().parents[2] / "../shared/cases")
# Short segments: every file is cut and joined several times.
SETTINGS = ConversionSettings(preset="ultrafast", segment_frames=16)


def _records() -> list[dict[str, Any]]:
    listing = CORPUS / "cases.json"
    if not listing.exists():
        return []
    cases = json.loads(listing.read_text(encoding="utf-8"))["cases"]
    return [record for record in cases if record["kind"] == "file"]


RECORDS = _records()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not RECORDS, reason="the corpus of awkward files is not here")]


@dataclass(frozen=True)
class Ending:
    """How a conversion ended: with files and warnings, or with a refusal."""

    paths: tuple[Path, ...]
    warnings: str
    refusal: InputRefused | None


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["name"])
def test_an_awkward_file_is_converted_rightly_or_refused_clearly(record: dict[str, Any], tmp_path: Path) -> None:
    case, out = _lay_out(record, tmp_path / "in"), tmp_path / "out"
    out.mkdir()
    ending = _convert(case, tmp_path / "home", out)
    problems = judge_input(case)
    if ending.refusal is not None:
        assert case.verdict in ("refuse", "either"), str(ending.refusal)
        problems += judge_refusal(case, str(ending.refusal))
        problems += [f"left in the output folder: {path.name}" for path in out.iterdir()]
    else:
        assert case.verdict != "refuse", f"accepted; it should have been refused as {case.record['error']}"
        problems += judge_result(case, ending.paths[0], ending.warnings)
    assert problems == []
    assert _children() == []


def _lay_out(record: dict[str, Any], folder: Path) -> Case:
    """Copy a case to ``folder`` under the name its user gave it, with the files that lay beside it."""
    folder.mkdir()
    for name, digest in record.get("companions", {}).items():
        _copy(CORPUS / record["name"] / name, folder / name, digest)
    path = folder / record["input_name"]
    _copy(CORPUS / record["file"], path, record["sha256"])
    return Case(record, path)


def _copy(source: Path, target: Path, digest: str) -> None:
    assert hashlib.sha256(source.read_bytes()).hexdigest() == digest, f"{source} is not the file that was measured"
    shutil.copyfile(source, target)


def _convert(case: Case, home: Path, out: Path) -> Ending:
    workspace = Workspace.local(home)
    try:
        submission = identify(case.path, SETTINGS)
        steps = list(conversion_steps(workspace, submission))
    except InputRefused as refusal:
        return Ending((), "", refusal)
    finished = steps[-1]
    assert isinstance(finished, FinishedVideo)
    paths = deliver(workspace, submission.video, finished.outputs, out)
    return Ending(tuple(paths), "; ".join(finished.warnings), None)


def _children() -> list[str]:
    """Child processes of this one that still run, where the system tells."""
    tasks = Path(f"/proc/{os.getpid()}/task")
    lists = [task / "children" for task in tasks.iterdir()] if tasks.exists() else []
    return [pid for found in lists if found.exists() for pid in found.read_text().split()]
