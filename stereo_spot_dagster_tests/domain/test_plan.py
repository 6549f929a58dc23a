from __future__ import annotations

from fractions import Fraction

import pytest
from pydantic import ValidationError

from stereo_spot_dagster.domain.picture import ColorSpace, PixelFormat
from stereo_spot_dagster.domain.plan import Segment, SegmentPlan, coverage_problem
from stereo_spot_dagster.domain.probe import ColorTags, WorkingPicture
from stereo_spot_dagster.domain.timing import TimeBase


def segment(index: int, first: int, frames: int, overlap: int = 0) -> Segment:
    return Segment(
        index=index, first_frame=first, frames=frames, first_pts=first * 40, end_pts=(first + frames) * 40,
        scene_start=overlap == 0, overlap_frames=overlap,
    )  # fmt: skip


def plan(segments: tuple[Segment, ...], frames: int, **changes: object) -> SegmentPlan:
    picture = WorkingPicture(
        width=64, height=36, sar=Fraction(4, 3), pixel_format=PixelFormat(10), color=ColorSpace(), tagged=ColorTags(),
        filters=(("scale", (("out_range", "tv"),)),),
    )  # fmt: skip
    values: dict[str, object] = {
        "video": "clip-00000000", "source_sha256": "0", "settings_fingerprint": "0", "frames": frames, "first_pts": 0,
        "time_base": TimeBase(numerator=1, denominator=1000), "end_pts": frames * 40, "picture": picture,
        "depth": "cues", "depth_reason": "", "mode": "copy", "frames_key": "f", "segments": segments,
    }  # fmt: skip
    return SegmentPlan.model_validate(values | changes)


def test_segments_that_cover_each_frame_once_are_a_plan() -> None:
    made = plan((segment(0, 0, 10), segment(1, 10, 5, overlap=3)), 15)
    assert made.segments[1].first_needed == 7
    assert made.segments[1].end_frame == 15


@pytest.mark.parametrize(
    ("segments", "frames", "words"),
    [
        ((segment(0, 0, 10), segment(1, 11, 4)), 15, "frames between 10 and 11 are left out"),
        ((segment(0, 0, 10), segment(1, 9, 6)), 15, "frames between 9 and 10 are covered twice"),
        ((segment(0, 0, 10),), 15, "the segments end at frame 10, the video at 15"),
        ((segment(0, 0, 10), segment(2, 10, 5)), 15, "segment 1 is numbered 2"),
        ((segment(0, 0, 15, overlap=1),), 15, "overlaps frames before the first"),
        ((), 15, "the segments end at frame 0"),
    ],
)
def test_a_plan_with_a_gap_or_a_double_frame_cannot_exist(
    segments: tuple[Segment, ...], frames: int, words: str
) -> None:
    assert words in str(coverage_problem(segments, frames))
    with pytest.raises(ValidationError, match=words):
        plan(segments, frames)


def test_a_plan_survives_storage() -> None:
    made = plan((segment(0, 0, 15),), 15)
    again = SegmentPlan.model_validate_json(made.model_dump_json())
    assert again == made
    assert again.digest == made.digest
    assert again.picture.sar == Fraction(4, 3)


def test_the_digest_names_the_frames_and_not_the_tool() -> None:
    made = plan((segment(0, 0, 15),), 15)
    assert made.model_copy(update={"tool": "ffmpeg 9", "warnings": ("odd",)}).digest == made.digest
    assert plan((segment(0, 0, 8), segment(1, 8, 7)), 15).digest != made.digest
    assert plan((segment(0, 0, 15),), 15, source_sha256="1").digest != made.digest
