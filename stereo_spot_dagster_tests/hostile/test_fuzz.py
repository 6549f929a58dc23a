"""Five hundred damaged files: each is converted rightly, or refused in a sentence; none hangs, crashes or lies."""

from __future__ import annotations

import multiprocessing
import time
import traceback
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from stereo_spot_dagster.convert.finish import FinishedVideo
from stereo_spot_dagster.convert.intake import identify
from stereo_spot_dagster.convert.steps import conversion_steps
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.domain.errors import InputRefused
from stereo_spot_dagster.domain.settings import ConversionSettings
from stereo_spot_dagster.domain.video import SourceRecord

from .mutations import make_originals, mutated
from .plain_decode import decode, differences

MUTATIONS = 500
SETTINGS = ConversionSettings(preset="ultrafast", crf=8, depth="cues")
_SLOW_S = 60.0
_LEFT_UNTURNED = "not a right one"
_NEW_CLOCK = "clock starts anew"
_TIMES_WERE_REPAIRED = ("timestamps", "presentation times")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@dataclass(frozen=True)
class Ending:
    """What became of a damaged file.

    Attributes:
        problem: what is wrong with that, in words; empty if nothing is.
        converted: True if there is a result.
    """

    label: str
    problem: str
    converted: bool


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return make_originals(tmp_path_factory.mktemp("originals"))


def test_every_undamaged_file_is_converted(originals: list[Path], tmp_path: Path) -> None:
    endings = [_ending(path.name, path.read_bytes(), tmp_path) for path in originals]
    assert [ending.label for ending in endings if not ending.converted] == []
    assert [ending.problem for ending in endings if ending.problem] == []


def test_a_damaged_file_ends_in_a_right_result_or_in_a_clear_refusal(originals: list[Path], tmp_path: Path) -> None:
    work = partial(_damage_and_convert, originals, tmp_path)
    # Processes that begin anew: the estimators of this one are not to be shared by what is forked from it.
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as workers:
        endings = list(workers.map(work, range(MUTATIONS), chunksize=5))
    assert [f"{ending.label}: {ending.problem}" for ending in endings if ending.problem] == []
    # Damage that is always refused, or never, would prove little.
    assert MUTATIONS * 0.3 < sum(ending.converted for ending in endings) < MUTATIONS * 0.95


def _damage_and_convert(originals: list[Path], folder: Path, number: int) -> Ending:
    which, seed = number % len(originals), number // len(originals)
    kind, data = mutated([path.read_bytes() for path in originals], which, seed)
    ending = _ending(originals[which].name, data, folder)
    return Ending(f"{originals[which].name} with {kind} (seed {seed})", ending.problem, ending.converted)


def _ending(name: str, data: bytes, folder: Path) -> Ending:
    started = time.monotonic()
    with TemporaryDirectory(dir=folder) as private:
        upload = Path(private) / name
        upload.write_bytes(data)
        converted, problem = _convert(upload, Workspace.local(Path(private) / "home"))
    took_s = time.monotonic() - started
    problem += f" it took {took_s:.0f} s" if took_s > _SLOW_S else ""
    return Ending(name, problem, converted)


def _convert(upload: Path, workspace: Workspace) -> tuple[bool, str]:
    """Whether there is a result, and what is wrong with the ending."""
    try:
        steps = list(conversion_steps(workspace, identify(upload, SETTINGS)))
    except InputRefused as refused:
        said = str(refused)
        return False, "" if said.startswith(f"{upload.name}: ") and said.count(". ") == 1 else f"unclear: {said}"
    except Exception:
        return False, traceback.format_exc()
    source, finished = steps[0], steps[-1]
    assert isinstance(source, SourceRecord)
    assert isinstance(finished, FinishedVideo)
    if any(_LEFT_UNTURNED in warning for warning in finished.warnings):
        # ffmpeg turns these by any angle: its pictures are no yardstick.
        return True, ""
    result = Path(workspace.store.locate(finished.outputs[0].key))
    exact = not any(sign in warning for warning in finished.warnings for sign in _TIMES_WERE_REPAIRED)
    tolerance = Fraction(1, 90_000 if result.suffix == ".mp4" else 1000)
    if any(_NEW_CLOCK in warning for warning in finished.warnings):
        # What was converted is its copy on one clock.
        upload = Path(workspace.store.locate(source.key))
    source_pictures = decode(upload, source.probe.video.index)
    problems = differences(source_pictures, result, times=exact, tolerance=tolerance)
    if problems and not np.array_equal(source_pictures.luma, decode(upload, source.probe.video.index).luma):
        # Some decoders show what lay in memory before, where data is damaged: there is no one truth then.
        return True, ""
    return True, "; ".join(problems)
