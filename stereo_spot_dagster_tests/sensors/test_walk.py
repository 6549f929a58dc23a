"""The walk over all videos comes to each of them, however little time it gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.sensors import walk as module
from stereo_spot_dagster.sensors.walk import Walk

from .drop_bucket_world import DropBucket


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace.local(tmp_path)
    for name in "abcd":
        made.store.put_bytes(b"{}", f"videos/{name}-00000000/submission.json")
    return made


def test_a_walk_goes_once_round(workspace: Workspace) -> None:
    walk = Walk(workspace, "b-00000000")
    assert [video[0] for video in walk] == ["c", "d", "a", "b"]
    assert walk.reached == "b-00000000"


def test_a_walk_that_ran_out_of_time_is_gone_on_with_behind_what_it_reached(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WALK_S", -1.0)
    reached, found = "", []
    for _ in range(5):
        walk = Walk(workspace, reached)
        found += [video[0] for video in walk]
        reached = walk.reached
    assert found == ["a", "b", "c", "d", "a"]


def test_settled_videos_are_passed_over_but_count_as_reached(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "is_settled", lambda _, video: video[0] in "bcd")
    walk = Walk(workspace, "")
    assert [video[0] for video in walk] == ["a"]
    assert walk.reached == "d-00000000"


def test_a_video_at_which_a_tick_stops_is_not_reached(workspace: Workspace) -> None:
    walk = Walk(workspace, "")
    steps = iter(walk)
    assert [next(steps)[0], next(steps)[0]] == ["a", "b"]
    assert walk.reached == "a-00000000"


def test_a_settled_video_in_a_bucket_is_looked_at_less_and_less_often_until_it_is_settled_no_more(
    bucket: DropBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("videos/a-00000000/submission.json")
    workspace, now_s, looks, settled = Workspace.from_environment(), 0.0, list[float](), True

    def look(_: Workspace, video: str) -> bool:
        looks.append(now_s)
        return settled

    monkeypatch.setattr(module, "is_settled", look)
    monkeypatch.setattr(module.time, "monotonic", lambda: now_s)
    monkeypatch.setattr(module, "_RESTING", module._Resting())
    for second in range(0, 4000, 10):
        now_s = float(second)
        assert list(Walk(workspace, "")) == []
    assert looks == [0, 30, 90, 210, 450, 930, 1530, 2130, 2730, 3330, 3930]
    settled, now_s = False, 5000.0
    assert list(Walk(workspace, "")) == ["a-00000000"]
    assert list(Walk(workspace, "")) == ["a-00000000"]


def test_settled_videos_in_a_folder_are_looked_at_always(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    monkeypatch.setattr(module, "is_settled", lambda _, video: looks.append(video) is None)
    assert list(Walk(workspace, "")) == list(Walk(workspace, "")) == []
    assert len(looks) == 8
