"""One key of each kind that the package writes below ``videos/``: what may expire, and what must stay."""

from __future__ import annotations

from stereo_spot_dagster.domain.layout import Layout, View
from stereo_spot_dagster.domain.plan import Segment, ShotSurvey
from stereo_spot_dagster.domain.settings import Container
from stereo_spot_dagster.storage import keys

_VIDEO = "holiday-3f9c2a1b"
_SEGMENT = Segment(index=12, first_frame=288, frames=24, first_pts=0, end_pts=24, scene_start=True)
_SURVEY = ShotSurvey.model_construct(first_frame=0, end_frame=99)

INTERMEDIATE = (
    keys.cut(_VIDEO, _SEGMENT),
    keys.depth(_VIDEO, "a1b2", _SEGMENT),
    keys.depth_record(_VIDEO, "a1b2", _SEGMENT),
    keys.survey(_VIDEO, 0, 99, 640, 360),
    keys.survey_depth(_VIDEO, "a1b2", _SURVEY),
    keys.supplied_depth(_VIDEO, "c3d4", 0),
    keys.stereo(_VIDEO, Layout.FULL_SBS, View.PACKED, "e5f6", _SEGMENT),
)
KEPT = (
    keys.submission(_VIDEO),
    keys.source(_VIDEO, ".mkv"),
    keys.source_record(_VIDEO),
    keys.refusal(_VIDEO),
    keys.manifest(_VIDEO),
    keys.frame_table(_VIDEO),
    keys.attempt(_VIDEO),
    keys.delivery(_VIDEO),
    keys.final_record(_VIDEO),
    keys.final(_VIDEO, "segments.mkv", Layout.HALF_SBS, View.PACKED, Container.MKV),
    f"{keys.DONE}depth/stereo/film.mp4",
    f"{keys.DROP}depth/film.mp4",
)
