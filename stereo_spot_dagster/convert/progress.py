"""How far a video has come, read from the store alone: the truth that sensors, status and retries act on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..domain.plan import SegmentPlan
from ..domain.video import Driver, FinalRecord, Refusal, SourceRecord, Submission
from ..media.container import plan_mux
from ..storage import keys
from .finish import missing_segments
from .planning import existing_plan
from .render import Rendering
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
        final: what was joined last, perhaps with other settings.
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
        return Rendering(self.plan, self.source.settings).fingerprint if self.plan and self.source else ""


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
    there = submission.driver is Driver.INLINE or _delivered(workspace, video)
    if final and there and _is_current(final, source, plan):
        return VideoProgress(submission, Stage.FINISHED, None, source, plan, (), final)
    missing = tuple(missing_segments(workspace, source, plan))
    stage = Stage.CONVERTING if missing else Stage.JOINING
    return VideoProgress(submission, stage, None, source, plan, missing, final)


def is_settled(workspace: Workspace, video: str) -> bool:
    """True if a video surely needs nothing, told by the times of its records alone.

    Reading a plan and looking for each of its files costs a hundred times as much, and nearly all videos of an old
    store are finished. False only means that :func:`video_progress` has to look.
    """
    if workspace.store.exists(keys.refusal(video)):
        return not workspace.store.exists(keys.manifest(video))
    final = workspace.store.stat(keys.final_record(video))
    if final is None or not _delivered(workspace, video):
        return False
    changed = [workspace.store.stat(key(video)) for key in (keys.submission, keys.source_record, keys.manifest)]
    return all(record is not None and record.modified_s < final.modified_s for record in changed)


def known_videos(workspace: Workspace) -> list[str]:
    """Keys of all videos in the store, sorted."""
    return workspace.store.folders(keys.VIDEOS)


def _is_current(final: FinalRecord, source: SourceRecord, plan: SegmentPlan) -> bool:
    """Whether the finished files are what the present settings ask for."""
    settings = source.settings
    return (
        final.render_fingerprint == Rendering(plan, settings).fingerprint
        and final.layouts == settings.layouts
        and final.container == plan_mux(source.probe, settings.container, settings.codec).container
    )


def _delivered(workspace: Workspace, video: str) -> bool:
    """Whether the finished files were also put where the user looks: a worker can die between the two."""
    final = workspace.store.stat(keys.final_record(video))
    delivery = workspace.store.stat(keys.delivery(video))
    return final is not None and delivery is not None and delivery.modified_s >= final.modified_s
