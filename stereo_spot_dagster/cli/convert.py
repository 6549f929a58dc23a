"""``stereo-spot convert``: files in, finished files out, in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ..convert.finish import deliver, deliver_as, deliver_done
from ..convert.intake import identify_any
from ..domain.errors import InputRefused, InvalidSettings, StereoSpotError, printable
from ..domain.plan import SegmentPlan
from ..domain.settings import ConversionSettings, parse_settings
from ..domain.video import Driver, FinalRecord, bucket_location
from .session import Session

VIDEO_ENDINGS = frozenset(
    [
        ".mp4",
        ".m4v",
        ".mov",
        ".mkv",
        ".webm",
        ".avi",
        ".mpg",
        ".mpeg",
        ".m2ts",
        ".mts",
        ".ts",
        ".vob",
        ".wmv",
        ".asf",
        ".flv",
        ".3gp",
        ".ogv",
        ".gif",
        ".mxf",
        ".dv",
        ".h264",
        ".hevc",
    ]
)
_RESULT_ENDINGS = (".mp4", ".mkv")


@dataclass(frozen=True)
class Outcome:
    """What became of one input.

    Attributes:
        source: path or ``s3://`` URL.
        outputs: paths or ``s3://`` URLs.
    """

    source: str
    outputs: tuple[str, ...] = ()
    error: StereoSpotError | None = None
    seconds: float = 0.0


def inputs(sources: list[str]) -> list[str]:
    """What ``sources`` name: files and ``s3://`` URLs as they are, of a folder the video files in it (not below it).

    Raises:
        InputRefused: a folder holds no video.
    """
    found: list[str] = []
    for source in sources:
        path = Path(source)
        if bucket_location(source) or not path.is_dir():
            found.append(source)
            continue
        inside = sorted(p for p in path.iterdir() if p.is_file() and p.suffix.lower() in VIDEO_ENDINGS)
        if not inside:
            raise InputRefused(str(path), "there is no video file in this folder", "Name another folder")
        found += map(str, inside)
    return found


def convert_all(
    session: Session, sources: list[str], output: Path | None, values: dict[str, Any], console: Console
) -> list[Outcome]:
    """Convert each file, those of each folder, and each ``s3://bucket/key``.

    An error of one does not stop the others.
    """
    files = inputs(sources)
    if output and output.suffix.lower() in _RESULT_ENDINGS and not output.is_dir():
        values = {"container": output.suffix.lower().removeprefix(".")} | values
        if len(files) > 1:
            raise InvalidSettings(str(output), "one file cannot hold several results", "Name a folder with -o")
    settings = parse_settings(values, subject="options")
    outcomes = []
    with _progress_bar(console) as bar:
        for number, source in enumerate(files, 1):
            label = _name_of(source) if len(files) == 1 else f"{number}/{len(files)} {_name_of(source)}"
            outcomes.append(_convert_one(session, source, output, settings, bar, label))
    return outcomes


def models_in_words(plan: SegmentPlan) -> str:
    """Which models a video is converted with, and why these."""
    return f"depth by {plan.depth} ({plan.depth_reason}), occlusions by {plan.inpaint.value} ({plan.inpaint_reason})"


def summary(outcomes: list[Outcome]) -> Table:
    """One row for each input of a batch."""
    table = Table(title="Summary")
    for heading in ("file", "result", "seconds"):
        table.add_column(heading, overflow="fold")
    for outcome in outcomes:
        result = (
            Text(str(outcome.error), "red") if outcome.error else Text("\n".join(map(str, outcome.outputs)), "green")
        )
        table.add_row(Text(_name_of(outcome.source)), result, f"{outcome.seconds:.1f}")
    return table


def _convert_one(
    session: Session, source: str, output: Path | None, settings: ConversionSettings, bar: Progress, label: str
) -> Outcome:
    started = time.monotonic()
    task = bar.add_task(label[:50], total=None, what="reading")
    bar_of, video, name = "", "", _name_of(source)

    def tell(what: str, done: int, total: int | None) -> None:
        nonlocal bar_of, video
        if video and what in ("depth", "converting"):
            bar.console.print(Text(f"{name}: {models_in_words(session.workspace.plan(video))}", "dim"))
            video = ""
        if what == "depth":
            # Depth and rendering take turns, segment by segment: the bar counts the frames that are rendered.
            bar.update(task, what=what)
            return
        if what != bar_of:
            bar_of = what
            bar.reset(task, total=total)
        bar.update(task, completed=done, total=total, what=what)

    try:
        submission = identify_any(session.workspace, source, settings, driver=Driver.INLINE, origin="command line")
        video = submission.video
        final = session.convert(submission, tell)
        for warning in final.warnings:
            bar.console.print(Text(f"{name}: {printable(warning)}", "yellow"))
        places = _deliver(session, final, output)
        return Outcome(source, tuple(places), seconds=time.monotonic() - started)
    except StereoSpotError as error:
        return Outcome(source, error=error, seconds=time.monotonic() - started)
    finally:
        bar.remove_task(task)


def _name_of(source: str) -> str:
    """The file name in a path or URL, for a terminal."""
    location = bucket_location(source)
    return printable((location[1] if location else source).rpartition("/")[2])


def _deliver(session: Session, final: FinalRecord, output: Path | None) -> list[str]:
    """Paths or URLs of the finished files."""
    workspace = session.workspace
    if output is None:
        return deliver_done(workspace, final.video, final.outputs)
    one = output.suffix.lower() in _RESULT_ENDINGS and not output.is_dir()
    return [str(path) for path in (deliver_as if one else deliver)(workspace, final.video, final.outputs, output)]


class _Count(ProgressColumn):
    """How much of how much."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.completed:.0f}/{task.total:.0f}" if task.total else "")


class _FramesPerSecond(ProgressColumn):
    """Speed of steps that count frames."""

    def render(self, task: Task) -> Text:
        speed = None if task.fields["what"] == "cutting" else task.finished_speed or task.speed
        return Text(f"{speed:.1f} fps" if speed else "", "cyan")


@contextmanager
def _progress_bar(console: Console) -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description}", markup=False),
        TextColumn("[dim]{task.fields[what]}"),
        BarColumn(),
        _Count(),
        _FramesPerSecond(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield bar
