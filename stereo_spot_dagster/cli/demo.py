"""``stereo-spot demo``: a real clip through the real graph."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import ffmpeg
from rich.console import Console
from rich.text import Text

from ..media.process import file_url, run, safe_input
from .convert import convert_all
from .session import Session

_LAYOUTS = ["full-sbs", "anaglyph-dubois"]
# Both characters are in the picture then.
_STILL_S = 3.0


def demo_clip() -> Path:
    """The clip that comes with this package: five seconds of Big Buck Bunny (c) Blender Foundation, CC BY 3.0."""
    return Path(str(resources.files("stereo_spot_dagster") / "demo" / "bigbuckbunny.mp4"))


def still(video: Path, picture: Path) -> None:
    """Write one frame of ``video`` as a PNG."""
    frame = safe_input(video, ss=_STILL_S)["v:0"]
    run(
        ffmpeg.output(frame, file_url(picture), vframes=1, vcodec="png", format="image2"),
        subject=video.name,
        timeout_s=60,
    )


def run_demo(folder: Path, messages: Console, results: Console) -> None:
    """Convert the clip into ``folder`` and print where the files and a still of each lie."""
    folder.mkdir(parents=True, exist_ok=True)
    messages.print("Converting Big Buck Bunny (5 s, 1280x720) with weight-free depth ...")
    values = {"layouts": _LAYOUTS, "depth": "cues", "inpaint": "background"}
    outcomes = convert_all(Session(folder / "home"), [str(demo_clip())], folder, values, messages)
    for outcome in outcomes:
        if outcome.error:
            raise outcome.error
        messages.print(f"Done in {outcome.seconds:.0f} s.")
        for video in map(Path, outcome.outputs):
            picture = video.with_suffix(".png")
            still(video, picture)
            results.print(Text(f"video {video.absolute()}"))
            results.print(Text(f"still {picture.absolute()}"))
