"""The segment plan: which frames go into which segment, with their exact times."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .probe import WorkingPicture
from .settings import Inpaint
from .timing import TimeBase


class Segment(BaseModel):
    """A run of frames that is converted in one piece.

    Attributes:
        index: position among the video's segments, from 0.
        first_frame: number of its first frame in the video, from 0.
        frames: how many frames it has.
        first_pts: timestamp of its first frame, in the plan's time base.
        end_pts: timestamp of the first frame after it; for the last segment, the end of its last frame.
        scene_start: True if its first frame begins a new shot, so that nothing before it matters.
        overlap_frames: how many frames before ``first_frame`` the depth estimator sees to find its footing; 0 at a cut.
        cut_key: store key of the file that holds its frames; set when the file has been proved.
        skip_frames: decoded frames of that file that come before the overlap (pre-roll from a key frame).
        sha256: checksum of that file.
    """

    model_config = ConfigDict(frozen=True)

    index: Annotated[int, Field(ge=0)]
    first_frame: Annotated[int, Field(ge=0)]
    frames: Annotated[int, Field(gt=0)]
    first_pts: int
    end_pts: int
    scene_start: bool
    overlap_frames: Annotated[int, Field(ge=0)] = 0
    cut_key: str = ""
    skip_frames: Annotated[int, Field(ge=0)] = 0
    sha256: str = ""

    @property
    def end_frame(self) -> int:
        """Number of the first frame after this segment."""
        return self.first_frame + self.frames

    @property
    def first_needed(self) -> int:
        """Number of the first frame the cut file must hold: the overlap comes before the segment."""
        return self.first_frame - self.overlap_frames


class ShotSurvey(BaseModel):
    """Pictures of a shot that spans several segments, seen by the depth estimator of each of them.

    Depth models know depth only up to scale and shift. Segments of one shot are converted apart, so each aligns its
    depth with the depth of these few pictures, which is the same for all of them.

    Attributes:
        first_frame: number of the shot's first frame.
        end_frame: number of the first frame after it.
        frames: numbers of the pictures, ascending.
        key: store key of a file with just these pictures, RGB.
        width, height: their size: about what the estimator works at.
    """

    model_config = ConfigDict(frozen=True)

    first_frame: Annotated[int, Field(ge=0)]
    end_frame: Annotated[int, Field(gt=0)]
    frames: Annotated[tuple[int, ...], Field(min_length=1)]
    key: str
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]


class Damage(BaseModel):
    """What is found of a source's sound and subtitles when their copy is tried, by stream index.

    Attributes:
        decodable: sound whose packets cannot be copied, but decoded, at least in part.
        untimed: such sound whose times cannot be believed either.
        hopeless: streams that no container takes and that cannot be decoded either.
    """

    model_config = ConfigDict(frozen=True)

    decodable: tuple[int, ...] = ()
    untimed: tuple[int, ...] = ()
    hopeless: tuple[int, ...] = ()


NO_DAMAGE = Damage()


class SegmentPlan(BaseModel):
    """The manifest of a video: everything workers need to convert and join it, and nothing that can go stale.

    Attributes:
        video: the video's key.
        source_sha256: checksum of the source file.
        settings_fingerprint: of the settings that the plan depends on.
        time_base: unit of every timestamp.
        frames: number of frames to convert.
        first_pts: timestamp of the first of them in the source.
        first_source_frame: number of that frame among the source's decoded frames (not 0 only with a start time).
        end_pts: end of the last frame.
        picture: what the frames look like.
        depth: where depth comes from, never ``auto``: decided once for the whole video.
        depth_reason: why.
        depth_digest: of what else depth depends on: options, revision of the weights, the supplied file; may be empty.
        inpaint: how occlusions are filled where the settings say ``auto``: decided once for the whole video.
        inpaint_reason: why.
        surveys: of the shots that span several segments, for estimators that need them.
        mode: ``copy`` if the cut files are stream copies of the source; ``mezzanine`` if they are lossless re-encodes.
        frames_key: store key of the frame table (timestamp and checksum of each frame).
        damage: of the source's sound and subtitles.
        warnings: what is odd about the source, in words.
    """

    model_config = ConfigDict(frozen=True)

    video: str
    source_sha256: str
    settings_fingerprint: str
    time_base: TimeBase
    frames: Annotated[int, Field(gt=0)]
    first_pts: int
    first_source_frame: Annotated[int, Field(ge=0)] = 0
    end_pts: int
    picture: WorkingPicture
    depth: str
    depth_reason: str
    depth_digest: str = ""
    inpaint: Inpaint = Inpaint.BACKGROUND
    inpaint_reason: str = ""
    surveys: tuple[ShotSurvey, ...] = ()
    mode: Literal["copy", "mezzanine"]
    frames_key: str
    segments: tuple[Segment, ...]
    damage: Damage = NO_DAMAGE
    warnings: tuple[str, ...] = ()
    tool: str = ""

    @model_validator(mode="after")
    def _covers_each_frame_once(self) -> SegmentPlan:
        problem = coverage_problem(self.segments, self.frames)
        if problem:
            raise ValueError(problem)
        return self

    @property
    def digest(self) -> str:
        """16 hex digits that differ when any frame would be cut or look differently."""
        picture = self.picture
        content = [
            [self.source_sha256, str(self.time_base), self.first_source_frame, self.first_pts, self.mode, self.depth],
            [picture.width, picture.height, picture.pixel_format.ffmpeg_name, picture.filters],
            [[s.first_frame, s.frames, s.first_pts, s.end_pts, s.overlap_frames, s.skip_frames] for s in self.segments],
        ]
        if self.depth_digest:
            content.append([self.depth_digest])
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def coverage_problem(segments: tuple[Segment, ...], frames: int) -> str | None:
    """How ``segments`` fail to cover frames 0..``frames`` - 1 exactly once, in words; None if they do."""
    expected = 0
    for position, segment in enumerate(segments):
        if segment.index != position:
            return f"segment {position} is numbered {segment.index}"
        if segment.first_frame != expected:
            what = "left out" if segment.first_frame > expected else "covered twice"
            first, end = sorted((expected, segment.first_frame))
            return f"frames between {first} and {end} are {what}"
        if segment.first_needed < 0:
            return f"segment {position} overlaps frames before the first"
        expected = segment.end_frame
    if expected != frames:
        return f"the segments end at frame {expected}, the video at {frames}"
    return None
