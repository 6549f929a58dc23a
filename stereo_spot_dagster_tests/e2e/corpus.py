"""The corpus of awkward files, where it is here."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from .judge import Case

CORPUS = Path(os.environ.get("STEREO_SPOT_CASES") or Path(__file__).resolve().parents[2] / "../shared/cases")


def records(*verdicts: str) -> list[dict[str, Any]]:
    """Its files with one of these verdicts; all of them by default."""
    listing = CORPUS / "cases.json"
    if not listing.exists():
        return []
    cases = json.loads(listing.read_text(encoding="utf-8"))["cases"]
    return [case for case in cases if case["kind"] == "file" and (not verdicts or case["verdict"] in verdicts)]


def lay_out(record: dict[str, Any], folder: Path) -> Case:
    """Copy a case to ``folder`` under the name its user gave it, with the files that lay beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, digest in record.get("companions", {}).items():
        _copy(CORPUS / record["name"] / name, folder / name, digest)
    path = folder / record["input_name"]
    _copy(CORPUS / record["file"], path, record["sha256"])
    return Case(record, path)


def _copy(source: Path, target: Path, digest: str) -> None:
    assert hashlib.sha256(source.read_bytes()).hexdigest() == digest, f"{source} is not the file that was measured"
    shutil.copyfile(source, target)
