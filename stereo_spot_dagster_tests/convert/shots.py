"""Long synthetic shots that are cut into several segments, and how their depth changes at the seams."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from stereo_spot_dagster.convert.depth import DepthRecord, estimate_depth, existing_depth, read_depth
from stereo_spot_dagster.convert.intake import identify, submit, take_in
from stereo_spot_dagster.convert.planning import make_plan
from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.domain.plan import SegmentPlan
from stereo_spot_dagster.domain.settings import ConversionSettings
from stereo_spot_dagster.media.frames import PictureWriter
from stereo_spot_dagster.media.process import file_url

from ..stereo.scenes import Stereo, render

SIZE = (192, 108)
# Frames on either side of a seam that its change is compared with: also without a seam, one frame in three changes
# more than the two beside it.
NEIGHBOURS = 5


def film(scene: str, target: Path, frames: int = 160, seed: int = 21) -> Path:
    """A lossless clip of a scene, with key frames to cut at."""
    clip = render(scene, *SIZE, frames=frames, seed=seed, stereo=Stereo(4.0, 0.5))
    source = ffmpeg.input("pipe:0", format="rawvideo", pix_fmt="rgb24", s=f"{SIZE[0]}x{SIZE[1]}", framerate=25)
    options = {"vcodec": "libx264", "pix_fmt": "yuv420p", "preset": "veryfast", "crf": 12, "g": 20}
    with PictureWriter(ffmpeg.output(source, file_url(target), **options), name="film") as writer:
        for picture in clip.left:
            writer.write([picture])
    return target


@dataclass(frozen=True)
class Estimated:
    """Depth of all segments of a clip, as it was stored.

    Attributes:
        workspace: where.
        plan: of the video.
        records: one for each segment.
        depth: ``[T, h, w]`` float32.
    """

    workspace: Workspace
    plan: SegmentPlan
    records: tuple[DepthRecord, ...]
    depth: NDArray[np.float32]

    @property
    def changes(self) -> NDArray[np.float32]:
        """``[T - 1]``: mean absolute change from each frame to the next."""
        return np.abs(np.diff(self.depth, axis=0)).mean(axis=(1, 2))

    def seams(self) -> list[tuple[float, float]]:
        """For each seam inside a shot: the change there, and the largest among its neighbours."""
        changes, found = self.changes, []
        for segment in self.plan.segments:
            if not segment.scene_start:
                at = segment.first_frame - 1
                beside = np.r_[changes[at - NEIGHBOURS : at], changes[at + 1 : at + 1 + NEIGHBOURS]]
                found.append((float(changes[at]), float(beside.max())))
        return found


def plan_of(home: Path, clip: Path, settings: ConversionSettings) -> tuple[Workspace, SegmentPlan]:
    """Take a clip in and plan it."""
    workspace = Workspace.local(home)
    submission = identify(clip, settings)
    submit(workspace, submission)
    return workspace, make_plan(workspace, take_in(workspace, submission))


def estimate_all(home: Path, clip: Path, settings: ConversionSettings) -> Estimated:
    """Plan a clip and estimate the depth of each segment."""
    workspace, plan = plan_of(home, clip, settings)
    frames = workspace.frames(plan)
    for segment in plan.segments:
        estimate_depth(workspace, settings, plan, frames, segment)
    records = [existing_depth(workspace, plan, segment) for segment in plan.segments]
    kept = tuple(record for record in records if record)
    maps = [depth for record in kept for depth in read_depth(Path(workspace.store.locate(record.key)), record)]
    return Estimated(workspace, plan, kept, np.stack(maps))
