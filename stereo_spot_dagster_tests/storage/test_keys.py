from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stereo_spot_dagster.domain.layout import Layout, View
from stereo_spot_dagster.domain.plan import Segment
from stereo_spot_dagster.domain.settings import Container
from stereo_spot_dagster.storage import keys

video_keys = st.from_regex(r"[a-z0-9][a-z0-9-]{0,60}-[0-9a-f]{8}", fullmatch=True)


def segment(index: int = 3, frames: int = 240) -> Segment:
    return Segment(index=index, first_frame=720, frames=frames, first_pts=0, end_pts=1, scene_start=True)


@given(video_keys, st.integers(0, 300_000))
def test_a_segment_partition_is_parsed_back(video: str, index: int) -> None:
    assert keys.parse_segment_partition(keys.segment_partition(video, index)) == (video, index)


@given(video_keys, st.integers(0, 99_998))
def test_partitions_of_a_video_sort_by_number(video: str, index: int) -> None:
    assert keys.segment_partition(video, index) < keys.segment_partition(video, index + 1)


@pytest.mark.parametrize("key", ["", "clip", "clip.12", "clip-00000000", ".00001", "clip.0000x"])
def test_what_is_no_segment_partition_is_an_error(key: str) -> None:
    with pytest.raises(ValueError, match="not a segment partition key"):
        keys.parse_segment_partition(key)


@given(video_keys)
def test_every_key_of_a_video_lies_in_its_folder(video: str) -> None:
    made = [
        keys.submission(video), keys.source(video, ".mp4"), keys.source_record(video), keys.refusal(video),
        keys.manifest(video), keys.frame_table(video), keys.cut(video, segment()), keys.depth(video, "f", segment()),
        keys.stereo(video, Layout.FULL_SBS, View.PACKED, "f", segment()), keys.final_record(video),
        keys.final(video, "clip.mp4", Layout.FULL_SBS, View.PACKED, Container.MP4), keys.delivery(video),
    ]  # fmt: skip
    assert len(set(made)) == len(made)
    assert all(key.startswith(keys.video_folder(video)) for key in made)


@given(st.text(max_size=30))
def test_an_extension_brings_nothing_but_letters_and_digits_into_a_key(extension: str) -> None:
    name = keys.source("v", extension).removeprefix("videos/v/")
    assert name == "source" or name.removeprefix("source.").isalnum()
    assert len(name) <= len("source.") + 8


@given(st.text(min_size=1, max_size=60), st.sampled_from(Layout))
def test_the_users_name_cannot_make_folders_in_a_final_key(name: str, layout: Layout) -> None:
    key = keys.final("v", name, layout, layout.views[0], Container.MP4)
    assert key.count("/") == 3
    assert ".." not in key.split("/")


def test_renderings_with_other_settings_never_share_a_key() -> None:
    made = {
        keys.stereo("v", layout, view, fingerprint, segment())
        for layout in Layout
        for view in layout.views
        for fingerprint in ("a", "b")
    }
    assert len(made) == 2 * sum(len(layout.views) for layout in Layout)
