"""How far a video has come, read from the store alone: the truth that sensors, status and retries act on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..domain.plan import SegmentPlan
from ..domain.video import FinalRecord, Refusal, SourceRecord, Submission
from ..storage import keys
from .finish import missing_segments
from .planning import existing_plan
from .render import render_fingerprint
from .workspace import Workspace


class Stage(StrEnum):
    """What a video needs next."""

    SUBMITTED = "submitted"
    REFUSED = "refused"
    PLANNING = "planning"
    CONVERTING = "converting"
    JOINING = "joining"
    FINISHED = "finished"


@dataclass(frozen=True)
class VideoProgress:
    """A video's state.

    Attributes:
        submission: as it was handed in.
        stage: what it needs next.
        missing: indexes of segments that are not rendered for the present settings.
    """

    submission: Submission
    stage: Stage
    refusal: Refusal | None = None
    source: SourceRecord | None = None
    plan: SegmentPlan | None = None
    missing: tuple[int, ...] = ()
    final: FinalRecord | None = None

    @property
    def video(self) -> str:
        return self.submission.video

    @property
    def segments(self) -> int:
        return len(self.plan.segments) if self.plan else 0

    @property
    def fingerprint(self) -> str:
        """Names the rendering that the present settings ask for; empty before there is a plan."""
        return render_fingerprint(self.plan, self.source.settings) if self.plan and self.source else ""


def video_progress(workspace: Workspace, video: str) -> VideoProgress:
    """Where ``video`` stands.

    Raises:
        UnknownVideo: it was never submitted.
    """
    submission = workspace.submission(video)
    if not workspace.store.exists(keys.source_record(video)):
        refusal = workspace.refusal(video)
        return VideoProgress(submission, Stage.REFUSED if refusal else Stage.SUBMITTED, refusal)
    source = workspace.source(video)
    plan = existing_plan(workspace, source)
    if plan is None:
        refusal = workspace.refusal(video)
        return VideoProgress(submission, Stage.REFUSED if refusal else Stage.PLANNING, refusal, source)
    final = workspace.final(video)
    settings = source.settings
    if final and final.render_fingerprint == render_fingerprint(plan, settings) and final.layouts == settings.layouts:
        return VideoProgress(submission, Stage.FINISHED, None, source, plan, (), final)
    missing = tuple(missing_segments(workspace, source, plan))
    stage = Stage.CONVERTING if missing else Stage.JOINING
    return VideoProgress(submission, stage, None, source, plan, missing, final)


def known_videos(workspace: Workspace) -> list[str]:
    """Keys of all videos in the store, sorted."""
    return workspace.store.folders(keys.VIDEOS)
