"""The ``stereo-spot`` program."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from ..domain.errors import StereoSpotError
from ..domain.layout import Layout
from ..domain.machine import MachineSettings
from . import convert as converting
from . import cost as costing
from . import demo as demonstration
from . import doctor as examination
from . import manage, models
from . import recover as recovering
from . import smoke as smoking
from . import verify as verifying
from .options import with_settings
from .session import Session

# Results go to stdout, so that scripts can read them; everything else goes to stderr.
out, err = Console(soft_wrap=True, highlight=False), Console(stderr=True, highlight=False)

app = typer.Typer(
    name="stereo-spot",
    help="Turns 2D video into stereoscopic 3D: frame-exact, resumable, every result traceable.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(models.commands)
_debug = False
# Not paths: those would make one slash of the two in a URL.
Inputs = Annotated[
    list[str], typer.Argument(help="Video files, folders with video files, or s3://bucket/key.", metavar="IN...")
]


@app.callback()
def options(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False) -> None:
    global _debug
    _debug = debug


@app.command()
@with_settings
def convert(
    inputs: Inputs,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for the results (or one file name). [default: the done folder]"),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Where the models run: auto, cpu, cuda, cuda:1 or mps.", metavar="DEVICE")
    ] = None,
    vram: Annotated[
        str | None, typer.Option(help="GPU memory the models may use, such as 16GB.", metavar="SIZE")
    ] = None,
    *,
    settings: dict[str, Any],
) -> None:
    """Convert videos in this process. Interrupted and started again, it goes on from the finished segments."""
    _use_machine(device=device, vram=vram)
    outcomes = converting.convert_all(Session(), inputs, output, settings, err)
    if len(outcomes) > 1:
        err.print(converting.summary(outcomes))
    else:
        for outcome in outcomes:
            if outcome.error:
                raise outcome.error
    for outcome in outcomes:
        _print_places(list(outcome.outputs))
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(1)


@app.command()
@with_settings
def submit(
    inputs: Inputs,
    *,
    settings: dict[str, Any],
) -> None:
    """Hand videos to the daemon, which converts them into the done folder."""
    for video in manage.submit_all(Session(), inputs, settings, err):
        out.print(video)


@app.command()
def verify(
    source: Annotated[str, typer.Argument(help="The file that was converted: a path or an s3:// URL.")],
    result: Annotated[str, typer.Argument(help="The finished file.")],
    layout: Annotated[
        Layout | None, typer.Option(help="How the eyes are packed. [default: what the result's name or marks say]")
    ] = None,
    start: Annotated[str | None, typer.Option(help="Start of the part, as it was converted.", metavar="TIME")] = None,
    end: Annotated[str | None, typer.Option(help="End of the part, as it was converted.", metavar="TIME")] = None,
    sample: Annotated[
        int | None,
        typer.Option(help="Look at this many frames, spread over the film. [default: all]", metavar="FRAMES"),
    ] = None,
) -> None:
    """Compare a finished file with its source, from the two files alone. Exit code 1: they differ; 2: unreadable."""
    report = verifying.verify_files(source, result, layout=layout, start=start, end=end, sample=sample, console=err)
    out.print(verifying.table(report))
    differences = len(report.differences)
    err.print(f"{differences} of {len(report.findings)} rules found a difference." if differences else "No difference.")
    if differences:
        raise typer.Exit(1)


@app.command()
def status(video: Annotated[str | None, typer.Argument(help="One video's key; all videos without it.")] = None) -> None:
    """Show how far videos are, and why they failed."""
    manage.print_status(Session(), video, out)


@app.command()
def retry(video: Annotated[str, typer.Argument(help="The video's key.")]) -> None:
    """Try a failed, refused or interrupted video again, from what is finished."""
    _print_places(manage.retry(Session(), video, err))


@app.command()
@with_settings
def retune(video: Annotated[str, typer.Argument(help="The video's key.")], *, settings: dict[str, Any]) -> None:
    """Render a converted video again with other settings, from the stored depth."""
    _print_places(manage.retune(Session(), video, settings, err))


@app.command()
def remove(
    video: Annotated[str, typer.Argument(help="The video's key.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Stop it if it is running.")] = False,
) -> None:
    """Remove a video: its files in the store, its partitions and its runs. Delivered results stay."""
    session = Session()
    manage.check_removable(session, video, force=force)
    if not yes and not typer.confirm(f"Remove {video} with its source copy, segments and history?", err=True):
        raise typer.Exit(1)
    manage.remove(session, video)
    err.print(f"{video} is removed.")


@app.command()
def cost(
    video: Annotated[str, typer.Argument(help="The video's key.")],
    gpu_price: Annotated[
        float, typer.Option(envvar="STEREO_SPOT_GPU_PRICE", help="USD an hour of a machine with a GPU (assumed: Spot).")
    ] = costing.GPU_PRICE,
    cpu_price: Annotated[
        float, typer.Option(envvar="STEREO_SPOT_CPU_PRICE", help="USD an hour of a machine without one (assumed).")
    ] = costing.CPU_PRICE,
) -> None:
    """Show how long machines worked on a video, failed attempts included, and what that costs."""
    prices, session = costing.Prices(gpu_price, cpu_price), Session()
    found = costing.video_cost(session.instance, session.workspace, video)
    out.print(costing.table(found, prices))
    if found.frames_per_second:
        out.print(f"Depth and second eye: {found.frames_per_second:.2f} frames a second of one machine.")
    if found.unknown:
        err.print(f"Of {found.unknown} steps nobody knows any more how long they took; they are not counted.")


@app.command()
def recover(
    video: Annotated[str | None, typer.Argument(help="One video's key; all videos without it.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All videos in the store, as without a key.")] = False,
) -> None:
    """Tell Dagster again, from the store, what its database has lost; the daemon goes on from there."""
    if video and every:
        raise typer.BadParameter("give one video's key or --all, not both")
    session = Session()
    videos = [video] if video else recovering.videos_in_store(session.workspace)
    outcomes = recovering.recover_all(session, videos)
    out.print(recovering.table(outcomes))
    if any(outcome.failed for outcome in outcomes):
        raise typer.Exit(1)


@app.command()
def doctor() -> None:
    """Check this machine: ffmpeg, encoders, GPU, weights, store, Dagster storage."""
    findings = examination.examine(Session())
    out.print(examination.table(findings))
    if any(finding.state is examination.State.BROKEN for finding in findings):
        raise typer.Exit(1)


@app.command()
def smoke() -> None:
    """Try a deployed stack from here: store, queue, secret, database, fleet. Nothing is started, nothing stays."""
    findings = smoking.examine(Session())
    out.print(examination.table(findings))
    if any(finding.state is examination.State.BROKEN for finding in findings):
        raise typer.Exit(1)


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where the results go.")] = Path("demo-output"),
) -> None:
    """Convert a short clip to full side by side and to anaglyph, and show where the files lie."""
    demonstration.run_demo(folder, err, out)


def _use_machine(**options: str | None) -> None:
    """Let machine settings of the command line win over the environment's, in this process and those it starts."""
    for name, value in options.items():
        if value is not None:
            os.environ[f"STEREO_SPOT_{name.upper()}"] = value
    MachineSettings.from_environment()


def _print_places(places: list[str]) -> None:
    for place in places:
        out.print(Text(place))


def main() -> None:
    """Run the program; errors are one sentence, tracebacks only with ``--debug``."""
    try:
        # Outside its standalone mode the framework returns the code of an exit instead of exiting.
        code = app(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except StereoSpotError as error:
        _fail(str(error), error.exit_code)
    except typer.Abort:
        _fail("Stopped.", 130)
    except KeyboardInterrupt:
        _fail("Stopped. Run the same command again to go on from the finished segments.", 130)
    except Exception as error:
        if getattr(error, "exit_code", None) is not None and hasattr(error, "show"):
            error.show()  # type: ignore[attr-defined]
            sys.exit(error.exit_code)  # type: ignore[attr-defined]
        _fail(f"Something went wrong that should not have: {error!r}. Run again with --debug for the details.", 1)


def _fail(sentence: str, code: int) -> None:
    if _debug:
        traceback.print_exc()
    err.print(Text(sentence, "red"), soft_wrap=True)
    sys.exit(code)
