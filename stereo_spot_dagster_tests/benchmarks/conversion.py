"""Whole conversions: speed beside plain ffmpeg, what Dagster costs, and memory.

Budgets: a 1080p conversion with `cues` reaches half the speed of ffmpeg decoding and encoding the same output; the
graph costs at most 5 % on a two-minute clip; a worker stays below 1 GB at 1080p whatever the length.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

import ffmpeg

from stereo_spot_dagster.cli.session import Session
from stereo_spot_dagster.convert.intake import identify
from stereo_spot_dagster.convert.steps import conversion_steps
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.domain.settings import ConversionSettings
from stereo_spot_dagster.domain.video import Driver
from stereo_spot_dagster.media import process

from .clips import make_clip
from .memory import peak_memory_mb
from .report import Row, Table, print_table
from .timing import seconds

_ROUNDS = 3
# Ten seconds: starting programs and looking into files is a fixed second or two, whatever the length.
_SPEED_FRAMES = 250


def run_speed(folder: Path) -> list[Row]:
    """1080p, full side by side, x264 medium crf 18: seconds beside plain ffmpeg on the same frames, in turn."""
    clip = make_clip(folder / "speed.mp4", width=1920, height=1080, frames=_SPEED_FRAMES)
    _convert(clip, folder / "warm-up")  # numba compiles once per machine, not once per video
    plain, ours = [], []
    for number in range(_ROUNDS):
        plain.append(seconds(lambda number=number: _plain_ffmpeg(clip, folder / f"plain-{number}.mp4")))
        ours.append(seconds(lambda number=number: _convert(clip, folder / f"ours-{number}")))
    shares = [a / b for a, b in zip(plain, ours, strict=True)]
    plain_fps, our_fps = (_SPEED_FRAMES / statistics.median(times) for times in (plain, ours))
    return [
        Row("plain ffmpeg decode + encode, 1080p", plain_fps, "fps", "same size and settings"),
        Row("whole conversion, 1080p", our_fps, "fps", "plan, proof, depth, render, check, join"),
        Row("share of plain ffmpeg's speed", 100 * statistics.median(shares), "%", "budget: at least 50"),
    ]


def run_overhead(folder: Path) -> list[Row]:
    """`convert` through the asset graph against the same steps in a plain loop, two minutes of 640x360."""
    clip = make_clip(folder / "overhead.mp4", width=640, height=360, frames=3000)
    loop, graph = [], []
    for number in range(2):
        loop.append(seconds(lambda number=number: _convert(clip, folder / f"loop-{number}")))
        graph.append(seconds(lambda number=number: _convert_in_graph(clip, folder / f"graph-{number}")))
    ratios = [a / b for a, b in zip(graph, loop, strict=True)]
    return [
        Row("loop without Dagster, 2 min 640x360", statistics.median(loop), "s"),
        Row("asset graph in this process", statistics.median(graph), "s"),
        Row("graph / loop", statistics.median(ratios), "x", "budget: at most 1.05"),
    ]


def run_memory(folder: Path) -> list[Row]:
    """Peak memory of a conversion and all of its children, for a short and a long clip."""
    rows = []
    for length_s in (10, 120):
        clip = make_clip(folder / f"memory-{length_s}.mp4", width=1920, height=1080, frames=25 * length_s)
        home = folder / f"memory-{length_s}"
        command = [sys.executable, "-m", "stereo_spot_dagster.cli", "convert", str(clip), "--preset", "ultrafast"]
        peak = peak_memory_mb(command, {"STEREO_SPOT_HOME": str(home)})
        rows.append(Row(f"peak memory of the worker, {length_s} s 1080p", peak.own_mb, "MB", "budget: at most 1000"))
        rows.append(Row(f"... with its ffmpeg children, {length_s} s", peak.all_mb, "MB"))
    return rows


def _convert(clip: Path, home: Path) -> None:
    submission = identify(clip, ConversionSettings(), driver=Driver.INLINE)
    for _ in conversion_steps(Workspace.local(home), submission):
        pass


def _convert_in_graph(clip: Path, home: Path) -> None:
    submission = identify(clip, ConversionSettings(), driver=Driver.INLINE)
    Session(home).convert(submission, lambda what, done, total: None)


def _plain_ffmpeg(clip: Path, target: Path) -> None:
    left = ffmpeg.input(process.file_url(clip))["v:0"].split()
    both = ffmpeg.filter([left[0], left[1]], "hstack")
    options = {"vcodec": "libx264", "preset": "medium", "crf": 18}
    process.run(ffmpeg.output(both, process.file_url(target), **options), subject=clip.name)


def tables(folder: Path) -> list[Table]:
    """See :func:`run`."""
    return [Table("Whole conversion", run())]


def run() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        return [*run_speed(Path(folder)), *run_overhead(Path(folder)), *run_memory(Path(folder))]


if __name__ == "__main__":
    print_table("Whole conversion", run())
