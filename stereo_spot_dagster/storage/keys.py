"""Every key in the media store is built and parsed here."""

from __future__ import annotations

import re
import uuid

from ..domain.layout import Layout, View, name_suffix
from ..domain.plan import Segment, ShotSurvey
from ..domain.settings import Container
from ..domain.video import output_stem

DROP = "drop/"
DONE = "done/"
VIDEOS = "videos/"
PRESETS = "presets/"
TRIALS = "smoke/"

_SEGMENT_KEY = re.compile(r"^(?P<video>.+)\.(?P<index>\d{5,})$")


def trial() -> str:
    """A key of nobody's, to see whether the store can be written to."""
    return f"{TRIALS}{uuid.uuid4().hex}.txt"


def video_folder(video: str) -> str:
    return f"{VIDEOS}{video}/"


def submission(video: str) -> str:
    return f"{VIDEOS}{video}/submission.json"


def source(video: str, extension: str) -> str:
    """``extension`` with its dot; only letters and digits of it are used."""
    return f"{VIDEOS}{video}/source{_plain(extension)}"


def straightened(video: str, extension: str) -> str:
    """The copy of a source that was brought onto one clock."""
    return f"{VIDEOS}{video}/straightened{_plain(extension)}"


def _plain(extension: str) -> str:
    plain = re.sub(r"[^a-z0-9]", "", extension.lower())[:8]
    return f".{plain}" if plain else ""


def source_record(video: str) -> str:
    return f"{VIDEOS}{video}/source.json"


def preset(name: str) -> str:
    """The file of settings that a folder of this name below ``drop/`` stands for."""
    return f"{PRESETS}{name}.yaml"


def alerts(video: str) -> str:
    """Folder of what people were told about a video."""
    return f"{video_folder(video)}alerts/"


def refusal(video: str) -> str:
    return f"{VIDEOS}{video}/refusal.json"


def manifest(video: str) -> str:
    return f"{VIDEOS}{video}/manifest.json"


def frame_table(video: str) -> str:
    return f"{VIDEOS}{video}/frames.npz"


def cut(video: str, segment: Segment) -> str:
    return f"{VIDEOS}{video}/segments/{_range(segment)}.mkv"


def depth(video: str, depth_fingerprint: str, segment: Segment) -> str:
    return f"{VIDEOS}{video}/depth/{depth_fingerprint}/{_range(segment)}.mkv"


def depth_record(video: str, depth_fingerprint: str, segment: Segment) -> str:
    return f"{VIDEOS}{video}/depth/{depth_fingerprint}/{_range(segment)}.json"


def survey(video: str, first_frame: int, end_frame: int, width: int, height: int) -> str:
    """Pictures of the shot of frames ``first_frame`` to ``end_frame`` - 1, at a depth estimator's size."""
    return f"{VIDEOS}{video}/surveys/{first_frame:08d}_{end_frame:08d}_{width}x{height}.mkv"


def survey_depth(video: str, depth_fingerprint: str, survey: ShotSurvey) -> str:
    return f"{VIDEOS}{video}/depth/{depth_fingerprint}/survey_{survey.first_frame:08d}_{survey.end_frame:08d}.npz"


def supplied_depth(video: str, digest: str, first_frame: int) -> str:
    """A piece, from frame ``first_frame`` of the source, of the depth that came with a video."""
    return f"{VIDEOS}{video}/supplied/{digest}/{first_frame:08d}.mkv"


def stereo(video: str, layout: Layout, view: View, render_fingerprint: str, segment: Segment) -> str:
    """The fingerprint keeps segments of an earlier setting from being joined with those of a later one."""
    which = "" if view is View.PACKED else f"_{view.value}"
    return f"{VIDEOS}{video}/stereo/{layout.value}/{render_fingerprint}/{_range(segment)}{which}.mp4"


def final(video: str, name: str, layout: Layout, view: View, container: Container) -> str:
    return f"{VIDEOS}{video}/final/{output_stem(name)}{name_suffix(layout, view)}.{container.value}"


def final_record(video: str) -> str:
    return f"{VIDEOS}{video}/final.json"


def delivery(video: str) -> str:
    return f"{VIDEOS}{video}/delivery.json"


def attempt(video: str) -> str:
    return f"{VIDEOS}{video}/attempt.json"


def segment_partition(video: str, index: int) -> str:
    """Partition key of a segment: ``holiday-3f9c2a1b.00012``."""
    return f"{video}.{index:05d}"


def parse_segment_partition(key: str) -> tuple[str, int]:
    """(video, segment index) of a segment partition key.

    Raises:
        ValueError: it is not one.
    """
    found = _SEGMENT_KEY.match(key)
    if not found:
        raise ValueError(f"{key!r} is not a segment partition key (like holiday-3f9c2a1b.00012)")
    return found["video"], int(found["index"])


def _range(segment: Segment) -> str:
    return f"{segment.index:05d}_{segment.frames:05d}"
