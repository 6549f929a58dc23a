"""``stereo-spot verify``: what a finished file has of its source, rule by rule."""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ..domain.errors import FfmpegFailed, InputRefused, InvalidSettings
from ..domain.layout import Layout
from ..storage.opening import open_store
from ..verify import Film, Order, Report, Verdict, verify
from .options import parse_time

_COLORS = {Verdict.SAME: "green", Verdict.DIFFERENT: "bold red", Verdict.NOT_COMPARABLE: "dim"}
_BUCKET = "s3://"


def verify_files(
    source: str,
    result: str,
    *,
    layout: Layout | None,
    start: str | None,
    end: str | None,
    sample: int | None,
    console: Console,
) -> Report:
    """Compare two files, which may lie in buckets, with a progress bar on ``console``.

    Raises:
        InputRefused: a file cannot be read, or the result does not look like one.
        InvalidSettings: an option is wrong.
        StoreFailed: an object cannot be fetched.
    """
    if sample is not None and sample < 1:
        raise InvalidSettings("--sample", f"{sample} is not a number of frames", "Write 1 or more")
    with tempfile.TemporaryDirectory(prefix="stereo-spot-verify-") as folder, _progress_bar(console) as bar:
        scratch = Path(folder)
        task = bar.add_task(PurePosixPath(result).name[:50], total=None)
        order = Order(
            source=Film(_local(source, scratch / "source"), PurePosixPath(source).name),
            result=Film(_local(result, scratch / "result"), PurePosixPath(result).name),
            layout=layout,
            start_s=parse_time(start) if start else None,
            end_s=parse_time(end) if end else None,
            sample=sample,
        )
        try:
            return verify(order, scratch, lambda done, total: bar.update(task, completed=done, total=total))
        except FfmpegFailed as error:
            # Exit code 1 is for differences; nothing was found out here.
            raise InputRefused(error.subject, f"it cannot be compared ({error.cause})", error.remedy) from error


def table(report: Report) -> Table:
    """One row for each rule."""
    made = Table()
    for heading in ("rule", "verdict", "expected", "found"):
        made.add_column(heading, overflow="fold")
    for finding in report.findings:
        found = f"{finding.found} ({finding.detail})" if finding.detail else finding.found
        verdict = Text(finding.verdict.value, _COLORS[finding.verdict])
        made.add_row(finding.rule.replace("_", " "), verdict, Text(finding.expected), Text(found))
    return made


def _local(place: str, folder: Path) -> Path:
    """The file at a path or an ``s3://`` URL, fetched where it is in a bucket."""
    if not place.startswith(_BUCKET):
        return Path(place)
    where, _, key = place.rpartition("/")
    folder.mkdir()
    return open_store(where, folder).fetch(key, folder)


def _progress_bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
