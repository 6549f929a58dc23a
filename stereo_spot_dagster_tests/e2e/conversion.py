"""Converts a case by the library's own steps, for judges."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stereo_spot_dagster.convert.finish import FinishedVideo, deliver
from stereo_spot_dagster.convert.intake import identify
from stereo_spot_dagster.convert.steps import conversion_steps
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.domain.errors import InputRefused
from stereo_spot_dagster.domain.settings import ConversionSettings

from .judge import Case

# Short segments: every file is cut and joined several times.
SETTINGS = ConversionSettings(preset="ultrafast", segment_frames=16)


@dataclass(frozen=True)
class Ending:
    """How a conversion ended: with files and warnings, or with a refusal."""

    paths: tuple[Path, ...]
    warnings: str
    refusal: InputRefused | None


def convert(case: Case, home: Path, out: Path) -> Ending:
    """Convert a case in a home folder of its own and deliver the results to ``out``."""
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
