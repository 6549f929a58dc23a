"""The walk over all videos comes to each of them, however little time it gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from stereo_spot_dagster.convert.workspace import Workspace
from stereo_spot_dagster.sensors import walk as module
from stereo_spot_dagster.sensors.walk import Walk


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
