"""Ten minutes of 1080p through planning, cutting and joining, without any stereo work, beside a plain stream copy.

What is in between (depth, warp, encode) is left out: pieces of the source are joined, and so the result is the source
again. Planning decodes every frame once and proves every cut by decoding it, which no stream copy does; how long a
decode alone takes is shown beside it.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import ffmpeg

from stereo_spot_dagster.convert.intake import identify, submit, take_in
from stereo_spot_dagster.convert.planning import make_plan
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.domain.plan import Segment, SegmentPlan
from stereo_spot_dagster.domain.settings import ConversionSettings
from stereo_spot_dagster.domain.video import Driver, SourceRecord
from stereo_spot_dagster.media.container import plan_mux
from stereo_spot_dagster.media.join import JoinJob, join
from stereo_spot_dagster.media.packets import audio_packets, list_packets
from stereo_spot_dagster.media.process import file_url
from stereo_spot_dagster.media.process import run as run_ffmpeg
from stereo_spot_dagster.media.scan import FrameTable

from .clips import make_clip
from .report import Row, Table, print_table
from .timing import seconds

# The demo clip again and again: a key frame at each start, so that pieces of it are exact.
_LOOP_FRAMES, _LOOPS = 125, 120
_ROUNDS = 3


def tables(folder: Path) -> list[Table]:
    return [Table("Plan, cut and join, 10 minutes of 1080p", run())]


def run(loops: int = _LOOPS, rounds: int = _ROUNDS) -> list[Row]:
    """The rows: seconds of each step and their ratios, medians of ``rounds`` in turn on the same file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = _long_clip(folder, loops)
        pieces = _pieces(clip, folder / "pieces", loops)
        taken = [_round(clip, pieces, folder / f"round-{number}") for number in range(rounds)]
    return _rows(taken)


def _long_clip(folder: Path, loops: int) -> Path:
    once = make_clip(folder / "once.mp4", width=1920, height=1080, frames=_LOOP_FRAMES, group=_LOOP_FRAMES)
    clip = folder / "ten-minutes.mp4"
    node = ffmpeg.output(ffmpeg.input(file_url(once), stream_loop=loops - 1), file_url(clip), c="copy")
    run_ffmpeg(node, subject=clip.name)
    return clip


def _pieces(clip: Path, folder: Path, loops: int) -> tuple[Path, ...]:
    """The pictures of each loop as a file, as a finished segment would be."""
    folder.mkdir()
    ends = ",".join(str(_LOOP_FRAMES * number) for number in range(1, loops))
    options = {"format": "segment", "segment_format": "mp4", "segment_frames": ends, "reset_timestamps": 1, "c": "copy"}
    picture = ffmpeg.input(file_url(clip))["v:0"]
    run_ffmpeg(ffmpeg.output(picture, str(folder / "%05d.mp4"), **options), subject=clip.name)
    found = tuple(sorted(folder.iterdir()))
    assert len(found) == loops
    return found


def _round(clip: Path, pieces: tuple[Path, ...], folder: Path) -> dict[str, float]:
    folder.mkdir()
    took = {
        "copy": seconds(lambda: _stream_copy(clip, folder / "copy.mp4")),
        "decode": seconds(lambda: _decode(clip)),
    }
    workspace = Workspace.local(folder / "home")
    submission = identify(clip, ConversionSettings(depth="cues"), driver=Driver.INLINE)
    submit(workspace, submission)
    with _clock(took, "take in"):
        source = take_in(workspace, submission)
    with _clock(took, "plan and cut"):
        plan = make_plan(workspace, source)
    with _clock(took, "join"):
        _join(workspace, source, plan, pieces, folder)
    shutil.rmtree(folder)
    return took


def _rows(taken: list[dict[str, float]]) -> list[Row]:
    def median(name: str) -> float:
        return statistics.median(took[name] for took in taken)

    def ratio(names: tuple[str, ...], over: tuple[str, ...]) -> float:
        return statistics.median(sum(t[n] for n in names) / sum(t[n] for n in over) for t in taken)

    every = ("take in", "plan and cut", "join")
    return [
        Row("plain ffmpeg -c copy", median("copy"), "s"),
        Row("plain ffmpeg decode", median("decode"), "s"),
        Row("take in", median("take in"), "s", "checksum, copy into the store"),
        Row("plan and cut", median("plan and cut"), "s", "two decodes: one to see each frame, one to prove the cuts"),
        Row(
            "join", median("join"), "s", "join, mux, index in front; two packet lists, one of them to count frames here"
        ),
        Row("join / ffmpeg -c copy", ratio(("join",), ("copy",)), "x"),
        Row("plan and cut / ffmpeg decode", ratio(("plan and cut",), ("decode",)), "x"),
        Row("all / ffmpeg -c copy", ratio(every, ("copy",)), "x", "a copy decodes nothing"),
        Row(
            "all / (copy + two decodes)",
            ratio(every, ("copy", "decode", "decode")),
            "x",
            "the same work in plain ffmpeg",
        ),
    ]


def _join(
    workspace: Workspace, source: SourceRecord, plan: SegmentPlan, pieces: tuple[Path, ...], folder: Path
) -> None:
    """Join ``pieces`` as if they were finished segments, and see that nothing got lost."""
    frames, target = workspace.frames(plan), folder / "result.mp4"
    joined = plan.model_copy(update={"segments": _segments(frames, len(pieces))})
    with workspace.folder() as scratch:
        original = workspace.store.fetch(source.key, scratch)
        job = JoinJob(
            name=source.name,
            source=original,
            report=source.probe,
            plan=joined,
            frames=frames,
            segments=pieces,
            mux=plan_mux(source.probe, source.settings.container),
            stereo_mode="left_right",
            packed_in_stream=False,
            audio=audio_packets(original, source.probe, scratch),
            is_part=False,
        )
        join(job, target, scratch)
        made = list_packets(target, [0], scratch, source.name)[0]
    assert len(made.pts) == len(frames)


def _segments(frames: FrameTable, count: int) -> tuple[Segment, ...]:
    firsts = [_LOOP_FRAMES * number for number in range(count)]
    ends = [*(int(frames.pts[first]) for first in firsts[1:]), int(frames.pts[-1]) + frames.last_duration]
    return tuple(
        Segment(
            index=number,
            first_frame=first,
            frames=_LOOP_FRAMES,
            first_pts=int(frames.pts[first]),
            end_pts=end,
            scene_start=True,
        )
        for number, (first, end) in enumerate(zip(firsts, ends, strict=True))
    )


def _stream_copy(clip: Path, target: Path) -> None:
    node = ffmpeg.output(ffmpeg.input(file_url(clip)), file_url(target), c="copy", movflags="faststart")
    run_ffmpeg(node, subject=clip.name)


def _decode(clip: Path) -> None:
    run_ffmpeg(ffmpeg.output(ffmpeg.input(file_url(clip))["v:0"], "pipe:", format="null"), subject=clip.name)


@contextmanager
def _clock(took: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    took[name] = time.perf_counter() - started


if __name__ == "__main__":
    print_table("Plan, cut and join, 10 minutes of 1080p", run())
